"""The keys under which a telephone number or a sender id is compared."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nocontactd.number import keys

E164 = [
    ("+44 7700 900123", None, "+447700900123"),
    ("+44 (0)7700 900123", None, "+447700900123"),
    ("07700 900123", "GB", "+447700900123"),
    ("447700900123", "GB", "+447700900123"),
    ("447700900123", "US", "+447700900123"),
    (" 447700900123", "US", "+447700900123"),
    ("00447700900123", "US", "+447700900123"),
    ("011447700900123", "GB", "+447700900123"),
    ("whatsapp:+447700900123", None, "+447700900123"),
    ("RCS:+447700900123", None, "+447700900123"),
    ("sip:+447700900123@sip.example.com;user=phone", None, "+447700900123"),
    ("sips:%2B447700900123@sip.example.com", None, "+447700900123"),
    ("tel:+44-7700-900-123;ext=9", None, "+447700900123"),
    ("tel:7700-900123;phone-context=+44", "US", "+447700900123"),
    ("+447700900123 x9", None, "+447700900123"),
    ("+٤٤٧٧٠٠٩٠٠١٢٣", None, "+447700900123"),
    ("\uff0b４４７７００９００１２３", None, "+447700900123"),
    ("\u202a+44\u00a07700\u2011900123\u202c", None, "+447700900123"),
    ("(+44) 7700 900123", None, "+447700900123"),
    ("+44 [0] 7700\u00b7900123", None, "+447700900123"),
    ("%2B447700900123", None, "+447700900123"),
    ("+447700900123,,9", None, "+447700900123"),
    ("+447700900123 extension 9", None, "+447700900123"),
    ("+447700900123/TYPE=PLMN", None, "+447700900123"),
    ('"Ex" <sip:+447700900123@sip.example.com>', None, "+447700900123"),
    ("sms:+447700900123?body=hi", None, "+447700900123"),
    ("signal:+447700900123", None, "+447700900123"),
    ("+447700900123\x00", None, "+447700900123"),
    ("+5215512345678", None, "+525512345678"),
    ("044 55 1234 5678", "MX", "+525512345678"),
    ("+54 9 11 1234 5678", None, "+541112345678"),
    ("011 15 1234-5678", "AR", "+541112345678"),
    ("+55 11 8234-5678", None, "+5511982345678"),
    ("+55 11 3876-5432", None, "+551138765432"),
    ("+55 11 93876-5432", None, "+5511938765432"),
    ("06 1234 5678", "IT", "+390612345678"),
    ("+39 6 1234 5678", None, "+39612345678"),
    ("2025550143", "US", "+12025550143"),
]
VERBATIM = [
    ("72345", "GB", "72345"),
    ("123456", "DE", "123456"),
    ("ExPartner", "GB", "expartner"),
    ("Ex  Partner", "GB", "ex partner"),
    ("whatsapp:GB.13491208655302741918", "GB", "gb.13491208655302741918"),
    ("messenger:447700900123", "GB", "messenger:447700900123"),
    ("messenger:+447700900123", "GB", "messenger:+447700900123"),
    ("ＥＸ\u200bPARTNER", "GB", "expartner"),
    ("e\u0301x", "GB", "éx"),
    ("+44770090012³", "GB", "+44770090012³"),
    ("1-800-FLOWERS", "US", "1-800-flowers"),
    ("07700900123", None, "07700900123"),
    ("+", "GB", "+"),
]


@pytest.mark.parametrize(("text", "region", "key"), E164)
def test_a_telephone_number_has_one_key_however_it_is_written(text: str, region: str | None, key: str) -> None:
    assert keys(text, region) == (key,)


@pytest.mark.parametrize(("text", "region", "key"), VERBATIM)
def test_what_is_no_telephone_number_is_compared_as_it_stands(text: str, region: str, key: str) -> None:
    assert keys(text, region) == (key,)


def test_blank_text_has_no_key() -> None:
    assert keys("", "GB") == keys(" \u200b", "GB") == ()


def test_a_number_that_begins_with_its_own_country_code_is_read_both_ways() -> None:
    assert "+4915112345678" in keys("4915112345678", "DE")


def test_a_space_in_front_is_a_plus_that_was_decoded_once_too_often() -> None:
    assert keys(" 4915112345678", "DE") == ("+4915112345678",)


def test_a_short_code_is_not_the_end_of_a_number() -> None:
    assert not set(keys("72345", "GB")) & set(keys("+447700972345", "GB"))


REGIONS = st.sampled_from([None, "GB", "US", "DE", "IT", "MX", "AR", "BR", "FO", "XX"])


@given(st.text(max_size=40) | st.text("+0123456789 ()-;=ext:@%2B", max_size=25), REGIONS)
def test_any_text_has_keys_and_every_key_is_its_own(text: str, region: str | None) -> None:
    for key in keys(text, region):
        assert key in keys(key, region)


def test_nothing_is_imported_for_numbers_until_one_is_compared() -> None:
    program = "import sys, nocontactd.decide; sys.exit('phonenumbers' in sys.modules or 'idna' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode == 0

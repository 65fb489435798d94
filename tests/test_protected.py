"""Nobody is cut off from a court or a hotline: the shipped list, and its place in the order of a decision."""

import re
import tomllib
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from nocontactd import address, shipped
from nocontactd.decide import Policy, Reason, policy
from nocontactd.model import Disposition, Kind, Rule
from nocontactd.protected import Protected
from nocontactd.reading import Reader
from tests.recognition import blocked, of

LIST = tomllib.loads((Path(shipped.__file__).parent / "data" / "protected.toml").read_text(encoding="utf-8"))
SENDERS: list[dict[str, Any]] = LIST["sender"]
COUNTRIES = [
    *("GB", "IE", "US", "CA", "AU", "NZ", "DE", "AT", "CH", "FR", "NL"),
    *("BE", "ES", "IT", "SE", "NO", "DK", "FI", "PL", "PT", "EU", "INT"),
]
SHARED = {
    *("gmail.com", "googlemail.com", "outlook.com", "hotmail.com", "live.com", "yahoo.com", "icloud.com", "gmx.de"),
    *("web.de", "mail.com", "proton.me", "protonmail.com", "aol.com", "fastmail.com", "orange.fr", "t-online.de"),
    *("gov.uk", "gov.au", "govt.nz", "gc.ca", "gov", "gouv.fr", "gv.at", "admin.ch", "bund.de", "gov.pl", "gov.pt"),
    *("mailchimp.com", "sendgrid.net", "amazonses.com", "salesforce.com", "wordpress.com", "org.uk", "europa.eu"),
}
"""Where others have their mail, too."""

OF_ONE = {"nhs.uk"}
"""Made like a registry, and all of it one organisation's."""


@pytest.mark.parametrize("sender", SENDERS, ids=lambda sender: sender["domain"])
def test_an_entry_of_the_list_is_whole_and_in_comparable_form(sender: dict[str, Any]) -> None:
    assert sender.keys() == {"domain", "kind", "country", "name", "source", "date"}
    assert sender["domain"] == address.domain(sender["domain"]) and re.fullmatch(r"[a-z0-9.-]+", sender["domain"])
    assert not address.registry(sender["domain"]) or sender["domain"] in OF_ONE
    assert sender["kind"] in {"court", "police", "hotline", "legal", "health"}
    assert sender["country"] in COUNTRIES
    assert sender["name"].strip() == sender["name"] != ""
    assert re.fullmatch(r"https://[a-z0-9.-]+/\S*", sender["source"])
    assert type(sender["date"]) is date


def test_no_entry_stands_twice_or_under_another() -> None:
    domains = [sender["domain"] for sender in SENDERS]
    assert len(domains) == len(set(domains))
    assert [each for each in domains if set(list(address.parents(each))[1:]) & set(domains)] == []


def test_no_entry_is_where_others_have_their_mail() -> None:
    listed = shipped.protected()
    assert [each for each in sorted(SHARED) if listed.covers(each)] == []


def test_every_country_has_a_court_the_police_and_a_hotline() -> None:
    for country in COUNTRIES[:-2]:
        kinds = {sender["kind"] for sender in SENDERS if sender["country"] == country}
        assert {"court", "police", "hotline"} <= kinds, country


def test_the_list_is_loaded_whole_with_its_version() -> None:
    listed = shipped.protected()
    assert (listed.version, len(listed.domains)) == (LIST["version"], len(SENDERS))
    assert listed.covers("met.police.uk") and listed.covers("police.uk")
    assert not listed.covers("police.uk.example") and not listed.covers("xpolice.uk") and not listed.covers("uk")


COURTS = Protected("1", {"court.example": "court"})
READER = Reader(("mx.home.example",))
PROVEN = "Authentication-Results: mx.home.example; dmarc=pass header.from=family.court.example\r\n"
FORGED = "Authentication-Results: mx.home.example; dmarc=fail header.from=family.court.example\r\n"
CLERK = "From: Alex Example <clerk@family.court.example>\r\nReply-To: x@business.example\r\n\r\n"
ADDRESS = Rule(Kind.ADDRESS, "clerk@family.court.example")
DOMAIN = Rule(Kind.DOMAIN, "@court.example")
OTHER = Rule(Kind.DOMAIN, "@business.example")
NAME = Rule(Kind.NAME, "Alex Example")


def protecting(*rules: Rule) -> Policy:
    return policy(rules, None, Disposition.PASS, 1000, COURTS)


def decided(header: str, *rules: Rule) -> tuple[Disposition, str]:
    found = of(READER.of_message(header.encode()), protecting(*rules))
    return found.disposition, found.reason


SEAL, HOLD, PASS = Disposition.SEAL, Disposition.HOLD, Disposition.PASS
ORDER = [
    (PROVEN, (ADDRESS, DOMAIN, OTHER, NAME), (SEAL, Reason.LISTED_ADDRESS)),
    (PROVEN, (DOMAIN, OTHER, NAME), (PASS, Reason.PROTECTED_SENDER)),
    (PROVEN, (OTHER,), (PASS, Reason.PROTECTED_SENDER)),
    (PROVEN, (NAME,), (PASS, Reason.PROTECTED_SENDER)),
    (PROVEN, (), (PASS, Reason.PROTECTED_SENDER)),
    (FORGED, (ADDRESS, DOMAIN, OTHER, NAME), (SEAL, Reason.LISTED_ADDRESS)),
    (FORGED, (DOMAIN, NAME), (SEAL, Reason.LISTED_DOMAIN)),
    (FORGED, (NAME,), (HOLD, Reason.LISTED_NAME)),
    (FORGED, (), (PASS, Reason.NOT_LISTED)),
    ("", (DOMAIN,), (SEAL, Reason.LISTED_DOMAIN)),
    (PROVEN.replace("mx.home", "mx.evil"), (DOMAIN,), (SEAL, Reason.LISTED_DOMAIN)),
    (FORGED + PROVEN, (DOMAIN,), (SEAL, Reason.LISTED_DOMAIN)),
]


@pytest.mark.parametrize(("header", "rules", "expected"), ORDER)
def test_a_full_address_goes_before_protection_and_protection_before_the_rest(
    header: str, rules: tuple[Rule, ...], expected: tuple[Disposition, str]
) -> None:
    assert decided(header + CLERK, *rules) == expected


def test_a_listed_person_is_not_protected_by_a_court_in_another_field() -> None:
    mail = "From: ex@business.example\r\nSender: clerk@family.court.example\r\n\r\n"
    assert decided(PROVEN + mail, OTHER) == (SEAL, Reason.LISTED_DOMAIN)


def test_another_list_is_another_digest_so_that_every_message_is_looked_at_again() -> None:
    other = policy((NAME,), None, PASS, 1000, Protected("2", COURTS.domains))
    assert len({protecting(NAME).digest, other.digest, blocked(NAME).digest}) == 3

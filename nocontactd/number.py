"""Two spellings are one telephone when they share a key. Never by their last digits, never by a substring.

What can be a telephone number becomes E.164, with the changes undone that old contact lists
still carry. Anything else, a short code or an alphanumeric sender, is compared as it stands,
without case.
"""

import re
import unicodedata
from dataclasses import dataclass

from nocontactd.invisible import without_invisible

_CHANNELS = ("whatsapp:", "rcs:", "tel:", "sip:", "sips:", "sms:", "smsto:", "mms:", "mmsto:", "callto:")
"""Schemes whose rest may be a telephone number. Not messenger:, whose ids only look like one."""
_OTHER_CHANNEL = re.compile(r"(?!messenger:)[a-z][a-z0-9.-]{1,20}:\s*(?=\+\d)", re.IGNORECASE)
"""signal:, viber:, client: and the like: only telephone numbers are written with a plus."""
_EXTENSION = re.compile(r"\s*(?:;ext=|;isub=|,+|(?:ext(?:ension)?\b[.:]?|x|#))\s*\d{1,8}$|/TYPE=PLMN$", re.IGNORECASE)
_NUMBER = re.compile(r"[(\[]?\+?[\d\s()\[\].\-/~\u00b7\u2022]*\d[\d\s()\[\].\-/~\u00b7\u2022]*")
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")
_NAMED = re.compile(r'[^<>]*<([^<>]+)>\s*|"([^"]+)"')
"""A name-addr of SIP (RFC 3261, 20.10), or a number in quotation marks."""
_LONGEST = 64  # characters; E.164 has fifteen digits
_SHORT_CODE = 6  # digits: what is no longer is a short code wherever it is not a valid number

_CHANGES = (
    # Mexico dropped the mobile 1 after +52, and the trunk prefixes 01, 044 and 045, in 2019 and 2020.
    (re.compile(r"\+52(?:1|01|044|045)(\d{10})"), r"+52\1"),
    # Argentina: the 9 of a mobile is dialled from abroad only, and contacts are kept without it.
    (re.compile(r"\+549(\d{10})"), r"+54\1"),
    # Brazil: a ninth digit went before mobiles by 2016; [2-5] begins a landline, which has none.
    (re.compile(r"\+55(\d\d)([016-9]\d{7})"), r"+55\g<1>9\2"),
)


def keys(text: str, region: str | None) -> tuple[str, ...]:
    """Every comparable form of a number or sender id, none for blank text; more than one in doubt.

    `region` (ISO 3166) is for what is written without a country. Takes any text, never raises.
    """
    text = _plain(text)
    bare = _without_channel(text.strip())
    number = _EXTENSION.sub("", bare) if len(bare) <= _LONGEST else ""
    if not _NUMBER.fullmatch(number):
        identifier = " ".join(unicodedata.normalize("NFC", bare.casefold()).split())
        return (identifier,) if identifier else ()
    digits = re.sub(r"\D", "", number)
    if number.lstrip("([").startswith("+"):
        return (_reading("+" + digits, None).e164 or "+" + digits,)
    plus_lost = text.startswith(" ")  # a form's "+447…" decoded once too often
    return _undecided(digits, "" if plus_lost else number, region)


def is_telephone(key: str) -> bool:
    """Whether a comparable form is a telephone number in E.164, not a short code or a sender's name."""
    return key.startswith("+")


def _plain(text: str) -> str:
    """Decimal digits, spaces, dashes and plus signs of every script in ASCII; nothing invisible.

    A superscript is no decimal digit and stays what it is (`str.isdigit` would take it for one).
    """
    text = _CONTROL.sub("", without_invisible(text))
    return text if text.isascii() else "".join(map(_ascii, text))


def _ascii(character: str) -> str:
    if (value := unicodedata.decimal(character, None)) is not None:
        return str(value)
    if character == "\ufe62":
        return "+"
    if "\uff01" <= character <= "\uff5e":  # full-width
        return chr(ord(character) - 0xFEE0)
    if character == "\u2212" or unicodedata.category(character) == "Pd":
        return "-"
    return " " if character.isspace() else character


def _without_channel(text: str) -> str:
    """Strip schemes, then what a URI says beside the number (RFC 3966, 3; RFC 3261, 19.1.1)."""
    if named := _NAMED.fullmatch(text):
        text = named[1] or named[2]
    text = re.sub(r"\A\s*(?:\+|%2B)+", "+", text, flags=re.IGNORECASE)
    stripped = _OTHER_CHANNEL.sub("", text, count=1) if _OTHER_CHANNEL.match(text) else text
    while (scheme := next((s for s in _CHANNELS if stripped[: len(s)].lower() == s), None)) is not None:
        stripped = stripped[len(scheme) :].lstrip(" /")
    if stripped == text and not re.match(r"\+\d+@", text):
        return text
    user = re.split("[@?]", stripped, maxsplit=1)[0].replace("%2B", "+").replace("%2b", "+")
    number, _, parameters = user.partition(";")
    if not _NUMBER.fullmatch(number):
        return stripped
    context = re.search(r"phone-context=(\+[\d-]+)", parameters)
    return context[1] + number if context and not number.startswith("+") else number


def _undecided(digits: str, number: str, region: str | None) -> tuple[str, ...]:
    """Readings of a number without a plus: as dialled in the region, and as one that lost its plus."""
    found = [digits] if len(digits) <= _SHORT_CODE else []
    national = _reading(number, region)
    if national.valid or (national.possible and len(digits) > _SHORT_CODE):
        found.append(national.e164)
    for prefix in ("", "00", "011"):  # the last two: as dialled elsewhere than in the region
        if len(digits) > _SHORT_CODE and digits.startswith(prefix):
            abroad = _reading("+" + digits[len(prefix) :], None)
            if (abroad.valid and (not national.valid or national.own_code)) or (abroad.possible and not found):
                found.append(abroad.e164)
    return tuple(dict.fromkeys(found)) or (digits,)


@dataclass(frozen=True, slots=True)
class _Reading:
    e164: str = ""
    """With old spellings undone; "" when it cannot be read as a number."""
    possible: bool = False
    valid: bool = False
    own_code: bool = False
    """It was written without a plus and begins with the country code of its region all the same."""


def _reading(number: str, region: str | None) -> _Reading:
    import phonenumbers  # 36 ms and 10 MB: only where a number is compared

    try:
        parsed = phonenumbers.parse(number, region)
    except phonenumbers.NumberParseException:
        return _Reading()
    e164 = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    for old, new in _CHANGES:
        if old.fullmatch(e164):
            e164 = old.sub(new, e164)
            parsed = phonenumbers.parse(e164)
    return _Reading(
        e164,
        phonenumbers.is_possible_number(parsed),
        phonenumbers.is_valid_number(parsed),
        number.startswith(str(parsed.country_code)),
    )

"""Header octets as the text a mail client would show: encoded-words (RFC 2047), raw 8-bit octets.

What is malformed is decoded as far as it goes. Nothing here raises, and nothing takes more than
linear time: charsets whose decoders do are unknown charsets.
"""

import binascii
import re
from collections.abc import Callable
from encodings.aliases import aliases

_WORD = re.compile(r"=\?([^?\s]*)\?([bBqQ])\?([^?]*)\?(?:=|(?=\s|$))")
_RUN = re.compile(rf"{_WORD.pattern}(?:\s*{_WORD.pattern})*")
"""Adjacent encoded-words, whose white space between is not shown (RFC 2047, 6.2)."""
_NOT_BASE64 = re.compile(r"[^A-Za-z0-9+/]+")
_SURROGATE = re.compile("[\ud800-\udfff]")
_TOO_COSTLY = frozenset({"idna", "punycode", "unicode_escape", "raw_unicode_escape"})
_CHARSETS = frozenset({*aliases, *aliases.values()}) - _TOO_COSTLY
"""Python's own list: asking its registry for a sender's invention would be remembered for ever."""


def readings(value: bytes) -> tuple[str, ...]:
    """A field's octets as text: UTF-8 (RFC 6532), and Windows-1252 as well where they are not."""
    try:
        return (value.decode("utf-8"),)
    except UnicodeDecodeError:
        return value.decode("utf-8", "replace"), value.decode("cp1252", "replace")


def decoded(text: str) -> str:
    """The text with its encoded-words as they are shown."""
    return with_runs(text, decode_run)


def with_runs(text: str, replace: Callable[[str], str]) -> str:
    """The text with something else in place of each run of encoded-words."""
    return _RUN.sub(lambda run: replace(run[0]), text) if "=?" in text else text


def decode_run(run: str) -> str:
    """One run of adjacent encoded-words; a character cut in two by their border is mended."""
    pieces: list[tuple[str, bytes]] = []
    for word in _WORD.finditer(run):
        charset = word[1].partition("*")[0].lower().replace("-", "_")  # RFC 2231, 5: charset*language
        octets = _octets(word[2], word[3])
        if pieces and pieces[-1][0] == charset:
            octets = pieces.pop()[1] + octets
        pieces.append((charset, octets))
    return "".join(in_charset(charset, octets) for charset, octets in pieces)


def _octets(encoding: str, payload: str) -> bytes:
    if encoding in "qQ":
        return binascii.a2b_qp(payload.encode("utf-8", "replace"), header=True)
    return b"".join(map(_from_base64, payload.split("=")))  # what follows padding is shown too


def _from_base64(payload: str) -> bytes:
    digits = _NOT_BASE64.sub("", payload)
    digits = digits[: len(digits) - (len(digits) % 4 == 1)]  # one digit alone says nothing
    return binascii.a2b_base64(digits + "=" * (-len(digits) % 4))


def in_charset(charset: str, octets: bytes) -> str:
    """Octets by a charset as mail names it; by UTF-8 or Windows-1252 where Python has none of that name."""
    if charset not in _CHARSETS:
        return readings(octets)[-1]
    try:
        return _SURROGATE.sub("\ufffd", octets.decode(charset, "replace"))
    except (UnicodeError, LookupError):  # a few decoders refuse even so; some names are no text encoding
        return readings(octets)[-1]

"""The parts of a message that may name another author, decoded as a mail client would show them.

What lies in an attached message is that message's, and is never looked at. A walk of our own,
bounded in depth, number and size: linear time for any octets, and nothing raises.
"""

import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from itertools import islice

from nocontactd import headers
from nocontactd.headers.fields import body
from nocontactd.headers.words import in_charset

PART_OCTETS = 1024 * 1024
"""No more is read of one part, decoded."""
MOST_PARTS = 200
"""No more parts are looked at, of all that a message has."""
_DEEPEST = 8
_MOST_PADDED = 100  # pieces of base64 in one part, each ended by padding; clients show what follows it
_LONGEST = 2000  # characters of a field with parameters

_FIELDS = ("Content-Type", "Content-Disposition", "Content-Transfer-Encoding")
_PARAMETER = re.compile(r';\s*([\w-]+)(\*[0-9*]*)?\s*=\s*(?:"([^"\\]*+(?:\\.[^"\\]*+)*)"?|([^\s;]*))')
_PERCENT = re.compile("%([0-9A-Fa-f]{2})")
_DELIMITED = re.compile(rb"(--)?[ \t]*\r?(?:\n|\Z)")
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]+")
_UNICODE = frozenset({"", "utf_8", "utf8", "us_ascii", "ascii"})
_HIDDEN = ("head", "style", "script", "title")
_LINE = re.compile(r"/?(?:br|p|div|td|th|tr|table|li|ul|ol|h[1-6]|blockquote)\b", re.IGNORECASE)
_LONG_REFERENCE = re.compile("&#[xX]?[0-9a-fA-F]{8,}")
"""A character that Unicode does not have; thousands of digits are more than Python makes a number of."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A part that has no parts itself."""

    kind: str
    """Media type, lower case; text/plain where none is given (RFC 2045, 5.2)."""
    charset: str
    name: str
    """Of the file that it stands for."""
    attached: bool
    """It is to be saved rather than shown."""
    encoding: str
    """Content-Transfer-Encoding."""
    octets: bytes
    """As they stand in the message."""


def leaves(raw: bytes) -> Iterator[Leaf]:
    """The parts of a message or other MIME entity, in their order."""
    return islice(_leaves(raw, _DEEPEST), MOST_PARTS)


def is_calendar(kind: str, name: str) -> bool:
    """Whether a part of this media type and file name is an invitation (RFC 6047; application/ics is Google's)."""
    return kind.lower() in {"text/calendar", "application/ics"} or name.strip().lower().endswith(".ics")


def calendars(raw: bytes) -> tuple[bytes, ...]:
    """The calendar objects that a message carries."""
    return tuple(
        decoded(leaf.octets, leaf.encoding, leaf.charset) for leaf in leaves(raw) if is_calendar(leaf.kind, leaf.name)
    )


def text(raw: bytes) -> str:
    """The text that is shown of a message: its first text/plain, else its first text/html without the markup."""
    shown = [leaf for leaf in leaves(raw) if leaf.kind in {"text/plain", "text/html"} and not leaf.attached]
    for leaf in sorted(shown, key=lambda leaf: leaf.kind != "text/plain"):
        return legible(leaf.kind, decoded(leaf.octets, leaf.encoding, leaf.charset))
    return ""


def decoded(octets: bytes, encoding: str, charset: str = "") -> bytes:
    """A part's octets without their transfer encoding, in UTF-8 where another charset is named."""
    octets, encoding = octets[: 3 * PART_OCTETS], encoding.strip().lower()
    if encoding == "quoted-printable":
        octets = binascii.a2b_qp(octets)
    elif encoding == "base64":
        octets = b"".join(map(_from_base64, octets.split(b"=", _MOST_PADDED)))
    octets = octets[:PART_OCTETS]
    charset = charset.strip().lower().replace("-", "_")
    return octets if charset in _UNICODE else in_charset(charset, octets).encode("utf-8", "replace")


def _from_base64(octets: bytes) -> bytes:
    digits = _NOT_BASE64.sub(b"", octets)
    digits = digits[: len(digits) - (len(digits) % 4 == 1)]  # one digit alone says nothing
    return binascii.a2b_base64(digits + b"=" * (-len(digits) % 4))


def legible(kind: str, octets: bytes) -> str:
    """The text of a decoded text/plain or text/html part."""
    written = in_charset("utf_8", octets)
    return _without_markup(written) if kind.lower() == "text/html" else written


def parameter(field: str, name: str) -> str:
    """A parameter of a Content-Type or Content-Disposition, its pieces joined (RFC 2231); "" where there is none."""
    found = ""
    for key, extended, quoted, bare in _PARAMETER.findall(field[:_LONGEST]):
        if key.lower() == name:
            value = re.sub(r"\\(.)", r"\1", quoted) or bare
            if extended:  # charset'language'value, and octets by their numbers
                value = _PERCENT.sub(lambda each: chr(int(each[1], 16)), value.rpartition("'")[2])
            found += value
    return found


def _leaves(raw: bytes, depth: int) -> Iterator[Leaf]:
    content_type, disposition, encoding = headers.texts(raw, *_FIELDS)
    content_type = content_type[:_LONGEST]
    kind = content_type.partition(";")[0].strip().lower() or "text/plain"
    if kind.startswith("multipart/"):
        for part in _parts(body(raw), parameter(content_type, "boundary")) if depth else ():
            if part.startswith((b"\n", b"\r\n")):  # no header: plain text (RFC 2045, 5.2)
                yield Leaf("text/plain", "", "", False, "", part)
            else:
                yield from _leaves(part, depth - 1)
        return
    yield Leaf(
        kind,
        parameter(content_type, "charset"),
        parameter(disposition, "filename") or parameter(content_type, "name"),
        disposition.lower().startswith("attachment"),
        encoding,
        body(raw),
    )


def _parts(octets: bytes, boundary: str) -> Iterator[bytes]:
    """What stands between the delimiters (RFC 2046, 5.1.1); the last one may be missing."""
    if not boundary.strip():
        return
    octets, delimiter = b"\n" + octets, b"\n--" + boundary.rstrip().encode("utf-8", "replace")
    start, found = -1, octets.find(delimiter)
    while found >= 0:
        if end := _DELIMITED.match(octets, found + len(delimiter)):
            if start >= 0:
                yield octets[start:found]
            if end[1]:
                return
            start = end.end()
        found = octets.find(delimiter, found + len(delimiter))
    if start >= 0:
        yield octets[start:]


def _without_markup(written: str) -> str:
    """What a text/html part says, a line for each block. Tags are no more than told apart from text."""
    said = []
    hidden = ""
    for piece in ("br>" + written).split("<"):
        tag, _, rest = piece.partition(">")
        name = tag.strip().partition(" ")[0].lower()
        if hidden:
            hidden = "" if name == "/" + hidden else hidden
        elif name in _HIDDEN:
            hidden = name
        if not hidden:
            said.append(("\n" if _LINE.match(tag) else "") + " ".join(rest.split()) + " " * rest[-1:].isspace())
    return unescape(_LONG_REFERENCE.sub(" ", "".join(said)))

"""The fields of a header block, from bytes that may have been made to hide them.

A header ends at its first empty line and at nothing else: garbage, NUL, bare CR, CR CR LF, mbox
lines, white-space lines and byte-order marks end it early in one parser or another, and a mail
client shows what comes after. A line that begins with white space belongs to the field above it.
"""

import re
from collections.abc import Iterator

HEADER_OCTETS = 8 * 1024 * 1024
"""No more of a message is looked at in search of its header's end."""
AUTHOR_OCTETS = 1024 * 1024
"""No more is read of all author fields together: room for forty thousand mailboxes."""

_TOP = re.compile(rb"(?:[\x00-\x20]|\xef\xbb\xbf)+")
"""What may stand before the first field; some relays take leading space away (RFC 5322 has none)."""
_END = re.compile(rb"\n\r*\n")
_CR_FIELD = re.compile(rb"\r(?=[!-9;-~]{1,64}[ \t]*:)")
"""A bare CR ends a line to some parsers; taken so only where a field follows it."""

_NAMES = (
    rb"from|sender|reply-to|return-path|resent-(?:from|sender|reply-to)"
    rb"|author"  # RFC 9057: the author, where a list rewrites From
    rb"|(?:[a-z0-9]{1,20}-){0,3}orig(?:inal)?-(?:mail-?)?(?:from|sender|author|reply-to|return-path)"
    rb"|x-mailfrom|old-return-path"  # Mailman 3; SmartList
)
_REST = rb")[\x00-\x09\x0b-\x20\x7f]*:([^\n]*(?:\n[ \t<][^\n]*)*)"
"""RFC 5322 allows white space before the colon (4.5.3); an angle-addr may have lost its folding space."""
_AUTHOR_FIELD = re.compile(rb"\n[\x00-\x08\x0b-\x1f]*(" + _NAMES + _REST, re.IGNORECASE)


def author_fields(raw: bytes) -> Iterator[tuple[str, bytes]]:
    """Each field that names an author: its name in title case, its value with any folding."""
    left = AUTHOR_OCTETS
    for match in _AUTHOR_FIELD.finditer(header(raw)):
        yield match[1].decode("ascii").title(), match[2][:left]
        left -= len(match[0])
        if left <= 0:
            return


def first(raw: bytes, name: str) -> bytes:
    """The value of the first field of this name (ASCII), folding and all; empty where there is none."""
    wanted = re.compile(rb"\n(" + re.escape(name.encode("ascii")) + _REST, re.IGNORECASE)
    match = wanted.search(header(raw))
    return match[2] if match else b""


def header(raw: bytes) -> bytes:
    """The header block with an LF before each of its lines; a CR that is left is white space."""
    start, end = _span(raw)
    block = b"\n" + raw[start:end]
    if b"\r" not in block:
        return block
    block = block.replace(b"\r\n", b"\n")
    if b"\r" not in block:
        return block
    if b"\n" not in block[1:]:  # line ends of the old Mac
        return block.replace(b"\r", b"\n").partition(b"\n\n")[0]
    return _CR_FIELD.sub(b"\n", block)


def body(raw: bytes) -> bytes:
    """What follows the empty line; empty where the header has no end."""
    return raw[_span(raw)[1] :].lstrip(b"\r").removeprefix(b"\n")


def _span(raw: bytes) -> tuple[int, int]:
    """Where the header block begins and ends, its last line end included."""
    top = _TOP.match(raw)
    start = top.end() if top else 0
    end = _END.search(raw, start, HEADER_OCTETS)
    return start, end.start() + 1 if end else min(len(raw), HEADER_OCTETS)

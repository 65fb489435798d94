"""The fields of a header block, from bytes that may have been made to hide them.

A header ends at its first empty line and at nothing else: garbage, NUL, bare CR, CR CR LF, mbox
lines, white-space lines and byte-order marks end it early in one parser or another, and a mail
client shows what comes after. A line that begins with white space belongs to the field above it.
"""

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

HEADER_OCTETS = 8 * 1024 * 1024
"""No more of a message is looked at in search of its header's end."""
AUTHOR_OCTETS = 1024 * 1024
"""No more is read of all author fields together: room for forty thousand mailboxes."""

_TOP = re.compile(rb"(?:[\x00-\x20]|\xef\xbb\xbf|\xfe\xff|\xff\xfe)+")
"""What may stand before the first field; some relays take leading space away (RFC 5322 has none)."""
_END = re.compile(rb"\n\r*\n")
_EMPTY = re.compile(rb"\r*\n?")
_BARE_CR = re.compile(rb"\r(?!\n)")
_CR_FIELD = re.compile(rb"\r(?=[!-9;-~]{1,64}[ \t]*:)")
"""A bare CR ends a line to some parsers; taken so only where a field follows it."""

_UNSEEN = rb"\x00-\x08\x0b-\x1f\xef\xbb\xbf\xfe\xff"
_KEPT = rb"(?=o|rea)(?:orig(?:inal)?|old|real)-(?:mail-?|envelope-)?(?:from|sender|author|reply-to|return-path)"
_NAMES = (
    rb"from|sender|re(?:ply-to|turn-path|sent-(?:from|sender|reply-to))|mail-reply-to"
    rb"|author"  # RFC 9057: the author, where a list rewrites From
    rb"|" + _KEPT + rb"|x-(?:sender|mailfrom|(?:[a-z0-9]{1,20}-){0,2}" + _KEPT + rb")"  # eGroups, Mailman 3, others
    rb"|(?:x-)?envelope-(?:from|sender)"  # what delivery agents call Return-Path
)
_REST = rb")[\x00-\x09\x0b-\x20\x7f]*:([^\n]*(?:\n[ \t<][^\n]*)*)"
"""RFC 5322 allows white space before the colon (4.5.3); an angle-addr may have lost its folding space."""
_OTHERS = rb"Rec|Authe|ARC-|Subj|Mes|MIME|X-Spam-Status:|X-Mailer:"
"""How the commonest fields begin that name no author."""
_AUTHOR_FIELD = re.compile(
    rb"\n(?=[aefmorsxAEFMORSX" + _UNSEEN + rb"])(?!" + _OTHERS + rb")[" + _UNSEEN + rb"]*((?i:" + _NAMES + rb")" + _REST
)
"""The look-aheads turn nearly all lines away at once; what they let through is decided by the names."""
_TITLES = {name.encode(): name for name in ("From", "Sender", "Reply-To", "Return-Path")}


def author_fields(raw: bytes) -> Iterable[tuple[str, bytes]]:
    """Each field that names an author: its name in title case, its value with any folding."""
    block, plain = _lines(raw)
    if not plain or b"\0" in block or len(block) > AUTHOR_OCTETS:
        return _bounded(block, plain)
    # as nearly every header is: the same, found in one go
    return [(_titled(name), value.replace(b"\r", b"")) for name, value in _AUTHOR_FIELD.findall(block)]


def _titled(name: bytes) -> str:
    return _TITLES.get(name) or name.decode("ascii").title()


def _bounded(block: bytes, plain: bool) -> Iterator[tuple[str, bytes]]:
    left = AUTHOR_OCTETS
    for text in (block, block.replace(b"\0", b"")) if b"\0" in block else (block,):  # servers drop NUL, or do not
        for match in _AUTHOR_FIELD.finditer(text):
            name, value = match.groups()
            length = len(name) + len(value)
            if length > left:
                value = value[:left]
            # of the value alone: to rewrite the whole block would take as long as all else
            yield _titled(name), value.replace(b"\r", b"") if plain else value
            left -= length
            if left <= 0:
                return


def first(raw: bytes, name: str) -> bytes:
    """The value of the first field of this name (ASCII), folding and all; empty where there is none."""
    return first_in(header(raw), name)


def first_in(block: bytes, name: str) -> bytes:
    """The same of a header block, as `header` gives it, where several fields are wanted."""
    match = _field(name).search(block)
    return match[2] if match else b""


@lru_cache(64)
def _field(name: str) -> re.Pattern[bytes]:
    """A handful of names are asked for, some of them in each part of each message."""
    return re.compile(rb"\n(" + re.escape(name.encode("ascii")) + _REST, re.IGNORECASE)


def header(raw: bytes) -> bytes:
    """The header block with an LF before each of its lines; a CR that is left is white space."""
    block, plain = _lines(raw)
    return block.replace(b"\r", b"") if plain else block  # several times as fast as CR LF by LF


def _lines(raw: bytes) -> tuple[bytes, bool]:
    """The header block with an LF before each of its lines, and whether each CR that is left only belongs to one."""
    start, end = _span(raw)
    block = b"\n" + raw[start:end]
    if not _BARE_CR.search(block):
        return block, True
    block = block.replace(b"\r\n", b"\n")
    if b"\n" not in block[1:]:  # line ends of the old Mac
        return block.replace(b"\r", b"\n").partition(b"\n\n")[0], False
    return _CR_FIELD.sub(b"\n", block), False


def body(raw: bytes) -> bytes:
    """What follows the empty line; empty where the header has no end."""
    empty = _EMPTY.match(raw, _span(raw)[1])
    return raw[empty.end() :] if empty else b""


def _span(raw: bytes) -> tuple[int, int]:
    """Where the header block begins and ends, its last line end included."""
    top = _TOP.match(raw)
    start = top.end() if top else 0
    end = _END.search(raw, start, HEADER_OCTETS)
    return start, end.start() + 1 if end else min(len(raw), HEADER_OCTETS)

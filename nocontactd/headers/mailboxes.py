"""Every mailbox that a strict or a lenient reader would find in the text of an author field.

An address is what stands around an @ outside closed quotes and closed comments, whether or not
the grammar allows it there: parsers disagree on which of two is the sender, so both are. Where a
quote or a comment never closes, the text is read once more without it. What a quoted string or
an encoded-word before an angle-addr says is a display name and nothing else.
"""

import re
from collections.abc import Iterator
from itertools import pairwise

from nocontactd.address import joined
from nocontactd.headers.lifted import LIFTED, PRIVATE, REMARKS, Lifted
from nocontactd.invisible import without_invisible

_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f]")
_FULL_WIDTH_AT = str.maketrans("\uff20\ufe6b", "@@")
_OVERRIDE = re.compile("\u202e+([^\u202c\u202e\u2069]*)")
_REAL_NAME_NO_MORE = re.compile(r"[<\x00\r\n]")

_WS = r"\s" + REMARKS
_SPECIAL = r'()<>\[\]:;@\\,"'
_ATOM = rf"[^{_WS}.{_SPECIAL}]+"
_LABEL = rf"(?:[-_0-9A-Za-z]|[^\x00-\x7f{_WS}])+"
_GAP = re.compile(f"[{_WS}]+")
_NEEDLESS_BACKSLASH = re.compile(rf"\\(?=[^{_WS}{_SPECIAL}])")
_DELIMITER = re.compile("([<>,;:])")
# Both halves of an address are read twice: up to white space, and as the obsolete grammar has
# it, with white space around dots (RFC 5322, 4.4). A local part is read backwards from its @.
_LOCALS = (
    re.compile(rf"[{_WS}]*([^{_WS}{_SPECIAL}]+)"),
    re.compile(rf"[{_WS}]*({_ATOM}(?:[{_WS}]*\.[{_WS}.]*{_ATOM})*)"),
)
_HOSTS = (
    re.compile(rf"[{_WS}]*((?:[-._0-9A-Za-z]|[^\x00-\x7f{_WS}])+|\[[^\[\]]*\])"),
    re.compile(rf"[{_WS}.]*({_LABEL}(?:[{_WS}]*\.[{_WS}.]*{_LABEL})*)"),
)
_DECORATION = "'`{}|*\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb\u2039\u203a\u2032\u2033"
"""Quotation marks that are none to RFC 5322; Outlook writes 'ex@example.org'."""
_REWRITTEN = re.compile(r'([^=@+"]+)=(?:40)?((?:[a-z0-9-]+\.)+[a-z0-9-]+)@', re.IGNORECASE)


def mailboxes(text: str, *, words: bool = True) -> tuple[tuple[str, str], ...]:
    """Each (address, display name) that may be read from a field's text, each once.

    The address is `local@domain` as it stands there, not in comparable form. Where there is no
    address at all, one entry ("", what is shown). `words`: encoded-words are yet to be decoded.
    """
    found: dict[tuple[str, str], None] = {}
    for reading in _cleaned(text):
        found |= dict.fromkeys(_read(reading, words=words))
    return tuple(found)


def rewritten(address: str) -> str:
    """The author whom list software wrote into the From it put in place of theirs; "" if it did not.

    `ex=40example.org@dmarc.ietf.org` (IETF), `ex=example.org@groups.io`. A bounce address with
    a + before it (VERP) is somebody's envelope and no author.
    """
    match = _REWRITTEN.match(address)
    return f"{match[1]}@{match[2]}" if match else ""


def _cleaned(text: str) -> Iterator[str]:
    """The text without what nobody sees, in each way that clients are known to show it."""
    if not text.isascii():
        text = PRIVATE.sub("\ufffd", text).translate(_FULL_WIDTH_AT)
        if "\u202e" in text:
            yield from _cleaned(_OVERRIDE.sub(lambda override: override[1][::-1], text))
        text = without_invisible(text)
    if _CONTROL.search(text):
        yield _CONTROL.sub(",", text)  # shown up to the NUL (Mailsploit)
        text = _CONTROL.sub("", text)
    yield text
    if "%40" in text and "mailto:" in text.lower():  # RFC 6068, 2
        yield text.replace("%40", "@")


def _read(text: str, *, words: bool) -> Iterator[tuple[str, str]]:
    """With quotes and comments, and again without whichever of them is torn."""
    found = doubtful = False
    todo = [(True, True)]
    for quotes, comments in todo:
        lifted = Lifted(text, words=words, quotes=quotes, comments=comments)
        for box in _boxes(lifted):
            found = True
            yield box
        doubtful = lifted.doubtful
        todo += (again for again in lifted.torn if again not in todo)
    if doubtful:
        yield from mailboxes(text, words=False)
    if not found:
        yield from _read_loosely(text, words=words)


def _read_loosely(text: str, *, words: bool) -> Iterator[tuple[str, str]]:
    """Where nobody else is the sender, what stands in quotes and comments may be; else it is a name."""
    lifted = Lifted(text, words=words, quotes=False, comments=False)
    if words:
        yield from mailboxes(lifted.restored(lifted.skeleton), words=False)
        return
    boxes = tuple(_boxes(lifted))
    shown = lifted.shown(lifted.skeleton).strip('" ')
    yield from boxes or ([("", shown)] if shown else [])


def _boxes(lifted: Lifted) -> Iterator[tuple[str, str]]:
    """The mailboxes of a skeleton, read from left to right by its delimiters."""
    pieces = [*_DELIMITER.split(_NEEDLESS_BACKSLASH.sub("", lifted.skeleton)), ""]
    name, angle = "", False
    for piece, delimiter in zip(pieces[0::2], pieces[1::2], strict=True):
        phrase = delimiter == "<" and bool(piece) and not piece.isspace()
        if phrase:
            name = lifted.shown(piece)
        if piece:
            yield from _in_phrase(piece, lifted) if phrase else _in_piece(piece, lifted, name, angle)
        if delimiter == "<":
            angle = True
        elif delimiter == ">" or not angle:
            name, angle = "", False


def _in_phrase(piece: str, lifted: Lifted) -> Iterator[tuple[str, str]]:
    """A display name. What stands in it unquoted counts, and what decodes to more than a name."""
    if "@" in piece or any(_REAL_NAME_NO_MORE.search(text) for text in lifted.encoded(piece)):
        yield from _in_piece(piece, lifted, "", False)


def _in_piece(piece: str, lifted: Lifted, name: str, angle: bool) -> Iterator[tuple[str, str]]:
    if lifted.encoded(piece):  # where an address stands, clients decode it
        for address, inner in mailboxes(lifted.restored(piece), words=False):
            if address:
                yield address, name or inner
    elif "@" in piece:
        name = name or ("" if angle else lifted.remark(piece))
        for address in _addresses(piece, lifted):
            yield address, name
        if angle and _GAP.search(piece.strip()):  # some clients delete white space inside an angle-addr
            for address in _addresses(_GAP.sub("", piece), lifted):
                yield address, name


def _addresses(piece: str, lifted: Lifted) -> Iterator[str]:
    first, *inner, last = piece.split("@")
    parts = (first, *(part for part in inner if _GAP.sub("", part)), last)
    for left, right in pairwise(parts):
        hosts = {_GAP.sub("", match[1]) for pattern in _HOSTS if (match := pattern.match(right))}
        for local in _locals(left, lifted) if hosts else ():
            for host in sorted(hosts):
                yield joined(local, lifted.shown(host).strip(_DECORATION))


def _locals(left: str, lifted: Lifted) -> Iterator[str]:
    """Each local part that may be read at the end of what stands before an @."""
    backwards = left[::-1]
    spans = {_GAP.sub("", match[1]) for pattern in _LOCALS if (match := pattern.match(backwards))}
    for span in sorted(spans):
        local = span[::-1]
        yield lifted.unquoted(local)
        if (bare := local.strip(_DECORATION)) != local:
            yield lifted.unquoted(bare)
        tail = LIFTED.split(local)[-1]  # "Name"ex@example.org, without a space
        if tail not in {"", local}:
            yield tail

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
_NEEDLESS_BACKSLASH = re.compile(rf"\\(?=[^{_WS}{_SPECIAL}]|@)")
_DELIMITER = re.compile(r"([<>,;]|:(?![0-9A-Fa-f:.]{0,45}\]))")
"""The colons of [IPv6:2001:db8::1] belong to the address (RFC 5321, 4.1.3)."""
# Both halves of an address are read twice: up to white space, and as the obsolete grammar has
# it, with white space around dots (RFC 5322, 4.4); a host also as parsers have it that skip any
# white space in it. A local part is read backwards from its @.
_LOCALS = (
    re.compile(rf"[{_WS}]*([^{_WS}{_SPECIAL}]+)"),
    re.compile(rf"[{_WS}]*({_ATOM}(?:[{_WS}]*\.[{_WS}.]*{_ATOM})*)"),
)
_HOSTS = (
    re.compile(rf"[{_WS}]*((?:[-._0-9A-Za-z]|[^\x00-\x7f{_WS}])+|\[[^\[\]]*\])"),
    re.compile(rf"[{_WS}.]*({_LABEL}(?:[{_WS}]*\.[{_WS}.]*{_LABEL})*)"),
    re.compile(rf"[{_WS}]*({_LABEL}(?:[{_WS}.]+{_LABEL})*)"),
)
_DOTS = re.compile(r"\.{2,}")
_DECORATION = (
    "'`{}|*\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb\u2039\u203a\u2032\u2033"
    "\uff02\uff07\uff08\uff09\uff1c\uff1e\uff3b\uff3d\u3008\u3009\u300a\u300b\u300c\u300d\u3010\u3011"
)
"""Quotation marks and brackets that are none to RFC 5322; Outlook writes 'ex@example.org'."""
_BETWEEN = re.compile(r"[-._0-9A-Za-z]+[^-._0-9A-Za-z\x80-\U0010ffff]+([^\s]+)\s*")
"""After one address the next without white space: friend@ok.example/ex@example.org."""
_REWRITTEN = re.compile(r'([^=@+"]+)=(?:40)?((?:[a-z0-9-]+\.)+[a-z0-9-]+)@', re.IGNORECASE)
_TAGGED = re.compile(
    r"prvs=[^=@]+=(?P<batv>[^@]+@[^@]+)|SRS0[=+-][^=@]+=[^=@]+=(?P<host>[^=@]+)=(?P<local>[^@]+)@.+", re.IGNORECASE
)
_INVALID = ".invalid"


MOST_MAILBOXES = 50_000
"""No more are read in one message, each reading of a field counted."""


class Room:
    """How much is read of one message in all: what is made to have many readings must not take for ever.

    The first reading of every field has room always, for as many mailboxes as are left.
    """

    def __init__(self) -> None:
        self._left = 128 * 1024  # characters to be read again in another way
        self._mailboxes = MOST_MAILBOXES
        self._read: set[tuple[str, bool, bool, bool]] = set()

    def add(self, text: str) -> None:
        """Room for reading a field, and for its encoded-words."""
        self._left += 2 * len(text)

    def take(self, text: str, words: bool, quotes: bool, comments: bool) -> bool:
        """Whether to read a text in one way: it was not yet, and there is room."""
        if (key := (text, words, quotes, comments)) in self._read or len(text) > self._left:
            return False
        self._read.add(key)
        self._left -= len(text)
        return True

    def has_more(self) -> bool:
        """Whether one more mailbox is read."""
        self._mailboxes -= 1
        return self._mailboxes >= 0


def mailboxes(text: str, room: Room | None = None) -> tuple[tuple[str, str], ...]:
    """Each (address, display name) that may be read from a field's text, each once.

    The address is `local@domain` as it stands there, not in comparable form. Where there is no
    address at all, one entry ("", what is shown). `room`: that of the other fields of a message.
    """
    room = room or Room()
    room.add(text)
    return _mailboxes(text, room, words=True)


def _mailboxes(text: str, room: Room, *, words: bool) -> tuple[tuple[str, str], ...]:
    """`words`: encoded-words are yet to be decoded."""
    found: dict[tuple[str, str], None] = {}
    for reading in _cleaned(text):
        found |= dict.fromkeys(_read(reading, room, words=words))
    return tuple(found)


def rewritten(address: str) -> str:
    """The author whom list software wrote into the From it put in place of theirs; "" if it did not.

    `ex=40example.org@dmarc.ietf.org` (IETF), `ex=example.org@groups.io`, `ex@example.org.invalid`
    (RFC 7960, 4.1.3.1). A bounce address with a + before it (VERP) is somebody's envelope and no author.
    """
    if match := _REWRITTEN.match(address):
        return f"{match[1]}@{match[2]}"
    return address[: -len(_INVALID)] if address.lower().endswith(_INVALID) else ""


def tagged(address: str) -> str:
    """The sender whose envelope address was signed (BATV) or passed on by a forwarder (SRS); "" where it was not."""
    match = _TAGGED.fullmatch(address)
    return (match["batv"] or f"{match['local']}@{match['host']}") if match else ""


def _cleaned(text: str) -> Iterator[str]:
    """The text without what nobody sees, in each way that clients are known to show it."""
    if not text.isascii():
        shown = PRIVATE.sub("\ufffd", text).translate(_FULL_WIDTH_AT)
        text = without_invisible(shown)
        if "\u202e" in shown:
            yield text
            yield from _cleaned(_OVERRIDE.sub(lambda override: override[1][::-1], shown))
    if _CONTROL.search(text):
        yield _CONTROL.sub(",", text)  # shown up to the NUL (Mailsploit)
        text = _CONTROL.sub("", text)
    yield text
    if "%40" in text and "mailto:" in text.lower():  # RFC 6068, 2
        yield text.replace("%40", "@")


def _read(text: str, room: Room, *, words: bool) -> Iterator[tuple[str, str]]:
    """With quotes and comments, and again without whichever of them is torn."""
    found = doubtful = False
    todo = [(True, True)]
    for quotes, comments in todo:
        if not room.take(text, words, quotes, comments):
            return
        lifted = Lifted(text, words=words, quotes=quotes, comments=comments)
        for box in _boxes(lifted, room):
            found = True
            yield box
        doubtful = lifted.doubtful
        todo += (again for again in lifted.torn if again not in todo)
    if doubtful:
        yield from _mailboxes(text, room, words=False)
    if not found:
        yield from _read_loosely(text, room, words=words)


def _read_loosely(text: str, room: Room, *, words: bool) -> Iterator[tuple[str, str]]:
    """Where nobody else is the sender, what stands in quotes and comments may be; else it is a name."""
    lifted = Lifted(text, words=words, quotes=False, comments=False)
    if words:
        yield from _mailboxes(lifted.restored(lifted.skeleton), room, words=False)
        return
    boxes = tuple(_boxes(lifted, room))
    shown = lifted.shown(lifted.skeleton).strip('" ')
    yield from boxes or ([("", shown)] if shown else [])


def _boxes(lifted: Lifted, room: Room) -> Iterator[tuple[str, str]]:
    """The mailboxes of a skeleton, read from left to right by its delimiters."""
    pieces = [*_DELIMITER.split(_NEEDLESS_BACKSLASH.sub("", lifted.skeleton)), ""]
    name, angle = "", False
    for piece, delimiter in zip(pieces[0::2], pieces[1::2], strict=True):
        phrase = delimiter == "<" and bool(piece) and not piece.isspace()
        if phrase:
            name = lifted.shown(piece)
        if piece:
            for box in _in_phrase(piece, lifted, room) if phrase else _in_piece(piece, lifted, room, name, angle):
                if not room.has_more():
                    return
                yield box
        if delimiter == "<":
            angle = True
        elif delimiter == ">" or not angle:
            name, angle = "", False


def _in_phrase(piece: str, lifted: Lifted, room: Room) -> Iterator[tuple[str, str]]:
    """A display name. What stands in it unquoted counts, and what decodes to more than a name."""
    if "@" in piece or any(_REAL_NAME_NO_MORE.search(text) for text in lifted.encoded(piece)):
        yield from _in_piece(piece, lifted, room, "", False)


def _in_piece(piece: str, lifted: Lifted, room: Room, name: str, angle: bool) -> Iterator[tuple[str, str]]:
    if lifted.encoded(piece):  # where an address stands, clients decode it
        for address, inner in _mailboxes(lifted.restored(piece), room, words=False):
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
    for at, (left, right) in enumerate(pairwise(parts)):
        hosts = {_GAP.sub("", match[1]) for pattern in _HOSTS if (match := pattern.match(right))}
        for local in _locals(left, lifted, again=at > 0) if hosts else ():
            for host in sorted(hosts):
                yield joined(local, _DOTS.sub(".", lifted.shown(host).strip(_DECORATION)))


def _locals(left: str, lifted: Lifted, *, again: bool) -> Iterator[str]:
    """Each local part that may be read at the end of what stands before an @; `again`: another stands before it."""
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
    if between := _BETWEEN.fullmatch(left) if again else None:
        yield lifted.unquoted(between[1])

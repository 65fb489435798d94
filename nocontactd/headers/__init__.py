"""Who may have written a message, read from its raw header bytes.

Every author field counts, and every mailbox in it; where a strict and a lenient reading differ,
or mail clients are known to differ, both count. Any bytes are read, in linear time, up to the
bounds of `fields`; nothing raises.
"""

import re
from collections.abc import Iterable, Iterator

from nocontactd.headers.fields import author_fields, first, first_in, header
from nocontactd.headers.mailboxes import Room, mailboxes, rewritten, tagged
from nocontactd.headers.words import decoded, readings
from nocontactd.model import Author

__all__ = ["addresses", "authors", "authors_in_full", "field", "message_id", "texts"]


_DOT_ATOM = rb"[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*"
_HOST = rb"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*(?<!\.[iI][nN][vV][aA][lL][iI][dD])"
_WORDS = rb"[A-Za-z0-9.'-]+(?: [A-Za-z0-9.'-]+)*"
_PLAIN = re.compile(
    rb'\s*+(?:(?:(%(words)s)|"(%(words)s)")?\s*+<(%(atom)s@%(host)s)>|(%(atom)s@%(host)s))\s*'
    % {b"words": _WORDS, b"atom": _DOT_ATOM, b"host": _HOST}
)
"""What all readers read alike, as nearly every field is written: a short way, held equal to the long one by test."""


def authors(raw: bytes) -> tuple[Author, ...]:
    """Every author in a message or its header, each once, in the order of the fields."""
    found: dict[tuple[str, bytes, bytes], None] = {}
    for name, value in author_fields(raw):
        if not (plain := _PLAIN.fullmatch(value)):
            return authors_in_full(author_fields(raw))
        words, quoted, in_angles, bare = plain.groups(b"")
        found[name, in_angles or bare, words or quoted] = None
    return tuple([Author(name, address.decode(), person.decode()) for name, address, person in found])


def authors_in_full(fields: Iterable[tuple[str, bytes]]) -> tuple[Author, ...]:
    """The same without the short way for plain fields; the shortest field first, lest another take the room."""
    fields, room = tuple(fields), Room()
    found: dict[int, tuple[Author, ...]] = {}
    for at in sorted(range(len(fields)), key=lambda at: len(fields[at][1])):
        found[at] = tuple(_read_in_full(*fields[at], room))
    return tuple(dict.fromkeys(author for at in range(len(fields)) for author in found[at]))


def _read_in_full(name: str, value: bytes, room: Room) -> Iterator[Author]:
    """Every author in one field, by each of its readings."""
    for text in readings(value):
        for address, person in mailboxes(text, room):
            yield Author(name, address, person)
            if author := (rewritten if name == "From" else tagged)(address):
                yield Author(name, author, person)


def addresses(text: str) -> tuple[str, ...]:
    """Every mail address that stands in a text or may be read from it."""
    return tuple(dict.fromkeys(address for address, _ in mailboxes(text) if address))


def field(raw: bytes, name: str) -> str:
    """The first field of this name, unfolded and decoded for a reader; "" where there is none."""
    return _shown(first(raw, name))


def texts(raw: bytes, *names: str) -> tuple[str, ...]:
    """The first field of each of these names."""
    block = header(raw)
    return tuple([_shown(first_in(block, name)) for name in names])


def _shown(value: bytes) -> str:
    return " ".join(decoded(readings(value)[0]).split())


def message_id(raw: bytes) -> str:
    """The Message-ID as it stands, angle brackets included; "" where there is none."""
    return field(raw, "Message-ID")

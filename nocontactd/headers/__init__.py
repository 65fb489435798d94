"""Who may have written a message, read from its raw header bytes.

Every author field counts, and every mailbox in it; where a strict and a lenient reading differ,
or mail clients are known to differ, both count. Any bytes are read, in linear time, up to the
bounds of `fields`; nothing raises.
"""

import re
from collections.abc import Iterator

from nocontactd.headers.fields import author_fields, first
from nocontactd.headers.mailboxes import mailboxes, rewritten
from nocontactd.headers.words import decoded, readings
from nocontactd.model import Author

__all__ = ["addresses", "authors", "field", "message_id", "read_in_full"]


_DOT_ATOM = rb"[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*"
_HOST = rb"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*"
_WORDS = rb"[A-Za-z0-9.'-]+(?: [A-Za-z0-9.'-]+)*"
_PLAIN = re.compile(
    rb'\s*+(?:(?:(%(words)s)|"(%(words)s)")?\s*+<(%(atom)s@%(host)s)>|(%(atom)s@%(host)s))\s*'
    % {b"words": _WORDS, b"atom": _DOT_ATOM, b"host": _HOST}
)
"""What all readers read alike, as nearly every field is written: a short way, held equal to the long one by test."""


def authors(raw: bytes) -> tuple[Author, ...]:
    """Every author in a message or its header, each once, in the order of the fields."""
    found: dict[Author, None] = {}
    for name, value in author_fields(raw):
        if plain := _PLAIN.fullmatch(value):
            address = plain[3] or plain[4]
            found[Author(name, address.decode("ascii"), (plain[1] or plain[2] or b"").decode("ascii"))] = None
        else:
            found |= dict.fromkeys(read_in_full(name, value))
    return tuple(found)


def read_in_full(name: str, value: bytes) -> Iterator[Author]:
    """Every author in one field, by each of its readings."""
    for text in readings(value):
        for address, person in mailboxes(text):
            yield Author(name, address, person)
            if name == "From" and (author := rewritten(address)):
                yield Author(name, author, person)


def addresses(text: str) -> tuple[str, ...]:
    """Every mail address that stands in a text or may be read from it."""
    return tuple(dict.fromkeys(address for address, _ in mailboxes(text) if address))


def field(raw: bytes, name: str) -> str:
    """The first field of this name, unfolded and decoded for a reader; "" where there is none."""
    return " ".join(decoded(readings(first(raw, name))[0]).split())


def message_id(raw: bytes) -> str:
    """The Message-ID as it stands, angle brackets included; "" where there is none."""
    return field(raw, "Message-ID")

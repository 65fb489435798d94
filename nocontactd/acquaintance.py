"""Whom the owner has written to is learnt from the Sent folders, and counts only from a time that nobody can choose.

What stands there when everything begins counts from its own date. Whatever appears later counts
from when it was seen, and a person is met only once: neither a message that was put there with an
old date, nor a folder or a mailbox that was prepared, nor one reply in a weak hour opens a door.
"""

from collections.abc import Callable, Iterator
from datetime import datetime

from nocontactd.address import comparable
from nocontactd.model import Cursor, Look
from nocontactd.ports import Ledger, Source

WRITTEN = "\nwritten"
"""Behind a source's name: under that, how far its Sent folders were read. No source has a line break in its name."""
_AT_ONCE = 5_000
"""People who are remembered in one go; a first look meets those of many years."""


def learn(source: Source, ledger: Ledger, now: Callable[[], datetime]) -> None:
    """Remember everybody to whom the owner has written since the last time.

    A folder that cannot be read is left out, until the next time. SourceError, CredentialError:
    the source cannot be looked at at all. SealError: the ledger cannot be written.
    """
    place = source.name + WRITTEN
    known = ledger.cursors(place)
    began = now()
    by_date = not known and ledger.beginning(began)
    met: dict[str, datetime] = {}
    for item in source.written(known):
        if isinstance(item, Look):
            ledger.meet(met.items())
            met.clear()
            ledger.advance(place, _advanced(item))
            continue
        at = item.at if by_date else max(item.at, began)
        for address in map(comparable, item.addresses):
            met[address] = min(at, met.get(address, at))
        if len(met) > _AT_ONCE:
            ledger.meet(met.items())
            met.clear()


def _advanced(look: Look) -> Iterator[Cursor]:
    if not look.problem:
        yield Cursor(look.folder, look.uidvalidity, look.next_uid, "")

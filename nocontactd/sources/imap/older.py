"""What is older in one folder, from the newest message down. Only what may concern somebody listed is read in full.

Of a large backlog the author fields alone are asked for, and screened here: where they look odd or
may name somebody listed, where a service or an invitation may name another author, the whole header
is read as that of a new message is. All others are only counted.
"""

from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial

from nocontactd.model import Cursor, Stretch
from nocontactd.ports import Concerns
from nocontactd.sources.imap.contents import Contents
from nocontactd.sources.imap.look import envelopes_of
from nocontactd.sources.imap.screen import SCREENED, Screen
from nocontactd.sources.imap.seen import Seen
from nocontactd.sources.imap.session import RefusedError, Session, chunks

BACKLOG = 2_000
"""Up to so many messages in a folder, each is read in full: of single fields a server may alter or miss some."""
STRETCH = 5_000
"""Messages that are looked through before it is told how far: nothing of them but their UIDs is kept till then."""


class Below:
    """The UIDs that are left in the folder under way, so that they are searched for once and not in each stretch."""

    def __init__(self) -> None:
        self._place = ("", 0, 0)
        self._uids = array("Q")

    def uids(self, session: Session, cursor: Cursor) -> "array[int]":
        """Those below the cursor's lower bound, ascending; they only ever become fewer."""
        place = (cursor.folder, cursor.uidvalidity, cursor.lower)
        if place != self._place:
            self._uids = array("Q", session.search("UID", f"1:{cursor.lower - 1}") if cursor.lower > 1 else ())
            self._place = place
        return self._uids

    def cut(self, cursor: Cursor, lower: int, count: int) -> None:
        """So many of the highest ones were looked through."""
        del self._uids[len(self._uids) - count :]
        self._place = (cursor.folder, cursor.uidvalidity, lower)


def look_below(
    session: Session, source: str, cursor: Cursor, concerns: Concerns, contents: Contents, below: Below, backlog: int
) -> Iterator[Stretch]:
    """See ports.Source.older. SourceErrors of the session."""
    now = session.reading(cursor.folder)
    if now.uidvalidity != cursor.uidvalidity:
        raise RefusedError("it was replaced meanwhile")
    uids = below.uids(session, cursor)
    whole, left = len(uids) <= backlog, len(uids)
    with closing(session.octets_each(_downwards(uids), SCREENED)) as coming:
        sifting = Sifting(coming, Screen(concerns, contents.reader.catalogue))
        while left or not uids:
            part = list(uids[-STRETCH:])
            session.stay(now.folder, now.uidvalidity)
            suspects = part if whole else sifting.suspects(part, partial(contents.holding_calendars, session))
            seen = envelopes_of(session, source, now, suspects, contents, Seen(), arrival=False)
            found = tuple(each for each in seen if concerns(each.authors))
            left -= len(part)
            lower = part[0] if left else 0
            below.cut(cursor, lower, len(part))
            yield Stretch(found, lower, len(part), left)
            if not left:
                return


def _downwards(uids: "array[int]") -> Iterator[Sequence[int]]:
    """What is asked for together, stretch by stretch from the top; those above may be cut off meanwhile."""
    for end in range(len(uids), 0, -STRETCH):
        yield from chunks(uids[max(end - STRETCH, 0) : end])


class Sifting:
    """Picks out the messages whose author fields do not show that nobody of concern wrote them."""

    def __init__(self, coming: Iterator[list[tuple[int, bytes]]], screen: Screen) -> None:
        self._coming = coming
        """UIDs with the fields that are screened, in pieces as `_downwards` has them."""
        self._screen = screen
        self._suspects: set[int] = set()
        self._perhaps: set[int] = set()
        """Both may hold some of the next stretch: it is asked for already, and a server may answer at once."""

    def suspects(
        self, stretch: Sequence[int], holding_calendars: Callable[[Sequence[int]], Sequence[int]]
    ) -> Sequence[int]:
        """Those of the next stretch, ascending."""
        for _ in chunks(stretch):
            self._screen.sift(next(self._coming), self._suspects, self._perhaps)
        suspects, perhaps = (_taken(of, stretch[0]) for of in (self._suspects, self._perhaps))
        return sorted(suspects.union(holding_calendars(sorted(perhaps - suspects))))


def _taken(uids: set[int], lowest: int) -> set[int]:
    """These from the lowest one on, and no longer among the others."""
    taken = {uid for uid in uids if uid >= lowest}
    uids -= taken
    return taken

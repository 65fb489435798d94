"""What is older in one folder, from the newest message down. Only what may concern somebody listed is read in full.

Of a large backlog the author fields alone are asked for, and screened here: where they look odd or
may name somebody listed, where a service or an invitation may name another author, the whole header
is read as that of a new message is. All others are only counted.
"""

from array import array
from collections.abc import Iterator, Sequence

from nocontactd.model import Cursor, Stretch
from nocontactd.ports import Concerns
from nocontactd.sources.imap.contents import Contents
from nocontactd.sources.imap.look import envelopes_of
from nocontactd.sources.imap.screen import SCREENED, Screen
from nocontactd.sources.imap.seen import Seen
from nocontactd.sources.imap.session import RefusedError, Selected, Session, chunks

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
    screen = Screen(concerns, contents.reader.catalogue)
    while left or not uids:
        part = list(uids[-STRETCH:])
        suspects = part if whole else _suspects(session, now, part, screen, contents)
        seen = envelopes_of(session, source, now, suspects, contents, Seen(), arrival=False)
        found = tuple(each for each in seen if concerns(each.authors))
        left -= len(part)
        lower = part[0] if left else 0
        below.cut(cursor, lower, len(part))
        yield Stretch(found, lower, len(part), left)
        if not left:
            return


def _suspects(
    session: Session, where: Selected, uids: Sequence[int], screen: Screen, contents: Contents
) -> Sequence[int]:
    """Those whose author fields do not show that nobody of concern wrote them, ascending."""
    suspects: set[int] = set()
    perhaps: set[int] = set()
    session.stay(where.folder, where.uidvalidity)
    for messages in session.octets_each(chunks(uids), SCREENED):
        screen.sift(messages, suspects, perhaps)
    suspects.update(contents.holding_calendars(session, sorted(perhaps - suspects)))
    return sorted(suspects)

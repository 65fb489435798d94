"""Which folders need not be opened: those that stand as they were left, by what the server says of them.

UIDNEXT is there "to determine whether any messages have been delivered" (RFC 9051, 2.3.1.1). It is
believed where everything else agrees: the same UIDVALIDITY, no more messages than before, judged by
the same rules. What is missing, or was not seen by this process, is opened; and now and then
everything is, and searched through whatever UIDNEXT says, because a server may be wrong.
"""

from collections.abc import Mapping

from nocontactd.model import Cursor, Look
from nocontactd.sources.imap.answers import Standing

THOROUGH = 3600.0
"""Seconds until every folder is opened again, although nothing seems to have come."""


class Unchanged:
    """How each folder of a mailbox was left by the last look into it."""

    def __init__(self) -> None:
        self._left: dict[str, Look] = {}
        self._doubted_at: dict[str, float] = {}

    def doubts(self, folder: str, at: float) -> bool:
        """Whether it is time (monotonic seconds) to open a folder, and to search it, whatever is said of it."""
        return at >= self._doubted_at.get(folder, at)

    def is_contradicted(self, folder: str, standing: Mapping[str, Standing]) -> bool:
        """Whether its next UID cannot be true, so that it is to be searched: it went back, or hides something."""
        now, left = standing.get(folder), self._left.get(folder)
        if now is None or left is None or now.uidvalidity != left.uidvalidity:
            return False
        return (now.uidnext, left.exists) < (left.next_uid, now.exists)

    def leave(self, look: Look, at: float) -> None:
        """A folder was looked through; `at`: the time for which it was asked whether there is a doubt."""
        if self.doubts(look.folder, at):
            self._doubted_at[look.folder] = at + THOROUGH
        self._left[look.folder] = look

    def look(self, folder: str, standing: Mapping[str, Standing], cursor: Cursor | None, rules: str) -> Look | None:
        """The Look at a folder that needs no opening, unless there is a doubt; None: it is to be opened."""
        now, left = standing.get(folder), self._left.get(folder)
        if now is None or left is None or cursor is None or cursor.rules != rules:
            return None
        if not now.uidvalidity == cursor.uidvalidity == left.uidvalidity:
            return None
        if now.uidnext != cursor.next_uid or now.exists > left.exists:
            return None
        self._left[folder] = look = Look(folder, now.uidvalidity, now.uidnext, now.exists)
        return look

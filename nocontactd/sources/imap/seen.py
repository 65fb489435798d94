"""What a scan saw at a UID, so that a later fetch can tell whether it is given the same message.

Courier serves an invented one for a message that has gone, and a header first and a body later may
be two different messages. Sixteen octets a message: a first look may see hundreds of thousands of them.
"""

from array import array
from bisect import bisect_left
from zlib import crc32


class Seen:
    """Size and Message-ID of what the last look saw, by folder, UIDVALIDITY and UID."""

    def __init__(self) -> None:
        self._folders: dict[tuple[str, int], tuple[array[int], array[int], array[int]]] = {}

    def clear(self) -> None:
        """A new look begins."""
        self._folders.clear()

    def note(self, folder: str, uidvalidity: int, uid: int, size: int, message_id: str) -> None:
        """To be called with ascending UIDs of a folder."""
        columns = self._folders.setdefault((folder, uidvalidity), (array("I"), array("Q"), array("I")))
        for column, value in zip(columns, (uid, size, _mark(message_id)), strict=True):
            column.append(value)

    def size(self, folder: str, uidvalidity: int, uid: int) -> int | None:
        """RFC822.SIZE, as it was seen there; None where nothing was."""
        uids, sizes, _ = self._folders.get((folder, uidvalidity), (array("I"), array("Q"), array("I")))
        at = bisect_left(uids, uid)
        return sizes[at] if at < len(uids) and uids[at] == uid else None

    def differs(self, folder: str, uidvalidity: int, uid: int, size: int, message_id: str) -> bool:
        """Whether something else was seen there. A message that was not looked at differs from nothing."""
        found = self._at(folder, uidvalidity, uid)
        if found is None:
            return False
        known, given = found[1], _mark(message_id)
        return found[0] != size or bool(known and given and known != given)

    def recognises(self, folder: str, uidvalidity: int, uid: int, message_id: str) -> bool:
        """Whether just this was seen there: what a message must be whose size is no help."""
        found = self._at(folder, uidvalidity, uid)
        return found is not None and found[1] == _mark(message_id)

    def _at(self, folder: str, uidvalidity: int, uid: int) -> tuple[int, int] | None:
        uids, sizes, marks = self._folders.get((folder, uidvalidity), (array("I"), array("Q"), array("I")))
        at = bisect_left(uids, uid)
        return (sizes[at], marks[at]) if at < len(uids) and uids[at] == uid else None


def _mark(message_id: str) -> int:
    """0: there is none to compare. One that begins beyond what is read of a header counts as none."""
    return crc32(message_id.encode("utf-8", "surrogatepass")) or 1 if message_id else 0

"""What came to the inbox, as the listener hands it over to the source's thread with a sign: values, and no connection.

It is a hint like the sign itself. It counts where it follows on from what was looked at before, and
whoever looks decides on it himself; whatever is odd is not handed over.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nocontactd.errors import SourceError
from nocontactd.model import Cursor, Envelope, Look, Original, Part
from nocontactd.reading import Reader
from nocontactd.sources.imap.contents import Contents
from nocontactd.sources.imap.look import envelopes_of
from nocontactd.sources.imap.original import open_original
from nocontactd.sources.imap.seen import Seen
from nocontactd.sources.imap.session import LostError, Selected, Session
from nocontactd.sources.imap.together import Together

SMALL = 256 * 1024
"""Octets of a message that is handed over whole."""
ALL = 2 * 1024 * 1024
"""Octets of all messages that are handed over with one sign."""
WAITING = 8
"""Signs that wait with what came for a look that is under way. Of more than these the look asks the server."""
Wanted = Callable[[Envelope], bool]
"""Whether a message is to be sealed: the octets of no other are asked for."""


@dataclass(frozen=True, slots=True)
class Whole:
    """A message that is to be sealed: its octets, as they were read and judged."""

    envelope: Envelope
    octets: bytes
    facts: tuple[tuple[str, str], ...]

    def original(self) -> Original:
        part = Part("message.eml", len(self.octets), iter([self.octets]))
        return Original(self.envelope, iter([part]), self.facts)


@dataclass(frozen=True, slots=True)
class Arrival:
    """Everything that a folder held from UID `first` on, up to the next UID of the look."""

    first: int
    look: Look
    envelopes: tuple[Envelope, ...]
    wholes: tuple[Whole, ...]


def bring(
    session: Session, source: str, where: Selected, uids: Sequence[int], reader: Reader, wanted: Wanted
) -> tuple[tuple[Envelope, ...], tuple[Whole, ...]] | None:
    """What came, by the code of the look, and those that are wanted whole; None: it is too much, or odd.

    LostError: the connection.
    """
    try:
        seen = Seen()
        envelopes = tuple(envelopes_of(session, source, where, uids, Contents(reader), seen, arrival=True))
        to_seal = [each for each in envelopes if wanted(each)]
        if len(envelopes) != len(uids) or any(each.size > SMALL for each in to_seal):
            return None
        if sum(each.size for each in to_seal) > ALL:
            return None
        together = Together()
        together.expect([each.ref for each in to_seal])
        wholes = tuple(_whole(open_original(session, each.ref, seen, reader, together)) for each in to_seal)
    except SourceError:
        if not session.alive:
            raise LostError("the connection was lost") from None
        return None
    found = tuple(whole for whole in wholes if whole)
    return (envelopes, found) if len(found) == len(wholes) else None


def _whole(original: Original | None) -> Whole | None:
    """SourceError: as it is read."""
    if original is None:
        return None
    octets = b"".join(chunk for part in original.parts for chunk in part.chunks)
    return Whole(original.envelope, octets, original.facts)


class Box:
    """From the listener's thread to the source's."""

    def __init__(self) -> None:
        self._arrivals: deque[Arrival] = deque(maxlen=WAITING)

    def put(self, arrival: Arrival) -> None:
        self._arrivals.append(arrival)

    def take(self) -> list[Arrival]:
        """All that waits, in its order."""
        return [self._arrivals.popleft() for _ in range(len(self._arrivals))]


def following(arrivals: Sequence[Arrival], cursor: Cursor) -> Arrival | None:
    """What they bring beyond the cursor, as one; None: nothing, or something may stand in between."""
    next_uid, look = cursor.next_uid, None
    envelopes: list[Envelope] = []
    wholes: list[Whole] = []
    for arrival in arrivals:
        if (arrival.look.folder, arrival.look.uidvalidity) != (cursor.folder, cursor.uidvalidity):
            return None
        if arrival.first > next_uid:
            return None
        envelopes += (each for each in arrival.envelopes if int(each.ref.uid) >= next_uid)
        wholes += arrival.wholes
        if arrival.look.next_uid > next_uid:
            next_uid, look = arrival.look.next_uid, arrival.look
    return Arrival(cursor.next_uid, look, tuple(envelopes), tuple(wholes)) if look else None

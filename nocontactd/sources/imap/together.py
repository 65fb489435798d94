"""Small messages that are about to be fetched come several in one answer, each with its UID, size and octets as alone.

To ask for one at a time costs a round trip each, which over a slow line is most of the time of a
sweep; and while some are sealed, the server is at the next ones. Whatever goes wrong with several, they
are asked for one by one, so that none holds up others.
"""

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence

from nocontactd.errors import SourceError
from nocontactd.model import MessageRef
from nocontactd.sources.imap.fetch_answers import Answer
from nocontactd.sources.imap.length import PIECE
from nocontactd.sources.imap.seen import Seen
from nocontactd.sources.imap.session import Session

TOGETHER = 25
"""Messages in one answer: if each turns out to be as long as a piece, they are still let in (wire.py)."""
OCTETS = 1024 * 1024
"""Of all of them, by what their sizes were said to be."""


class Together:
    """What is expected to be fetched next, and what of it has come already."""

    def __init__(self) -> None:
        self._expected: deque[MessageRef] = deque()
        self._under_way: deque[dict[int, MessageRef]] = deque()
        """Those that were asked for, by UID: one for each command that was not answered yet."""
        self._answers: Generator[list[Answer], None, None] | None = None
        """To these commands, in their order."""
        self._come: dict[MessageRef, Answer] = {}
        self.failed = False
        """Several could not be had together: what was expected is forgotten, and may be asked for alone."""

    def expect(self, refs: Iterable[MessageRef]) -> None:
        """These will be fetched, in this order; nothing else is kept any longer."""
        self._end()
        self._expected = deque(refs)
        self._come.clear()
        self.failed = False

    def answer(self, session: Session, ref: MessageRef, seen: Seen) -> Answer | None:
        """What was said of this message with others; None: it is to be asked for alone. SourceErrors of the session."""
        self.failed = False
        try:
            while ref not in self._come and (coming := self._coming(session, ref, seen)):
                self._hear(coming)
        except SourceError:
            self.expect(())
            self.failed = True
            raise
        return self._come.pop(ref, None)

    def _coming(self, session: Session, ref: MessageRef, seen: Seen) -> Iterator[list[Answer]] | None:
        """The answers among which this one is to come."""
        if any(ref in part.values() for part in self._under_way):
            return self._answers
        if ref not in self._expected:
            return None
        self._end()
        while self._expected[0] != ref:
            self._expected.popleft()
        self._answers = session.fetch_ahead(self._parts(seen), first_piece(session))
        return self._answers

    def _hear(self, coming: Iterator[list[Answer]]) -> None:
        answers = next(coming)
        for part in self._under_way:
            self._come |= {part[answer.uid]: answer for answer in answers if answer.uid in part and is_whole(answer)}
        self._under_way.popleft()

    def _parts(self, seen: Seen) -> Iterator[Sequence[int]]:
        """UIDs of the folder of the first one, as many as one command asks for, until another folder's turn comes."""
        place = _place(self._expected[0])
        while self._expected and _place(self._expected[0]) == place:
            part: dict[int, MessageRef] = {}
            octets = 0
            while self._expected and _place(self._expected[0]) == place and len(part) < TOGETHER:
                size = seen.size(*place, int(self._expected[0].uid))
                octets += PIECE if size is None else size
                if part and octets > OCTETS:
                    break
                ref = self._expected.popleft()
                part[int(ref.uid)] = ref
            self._under_way.append(part)
            yield sorted(part)

    def _end(self) -> None:
        """What is still to be said to a command is for nobody: whoever asks next hears it."""
        self._under_way.clear()
        if self._answers:
            self._answers.close()
            self._answers = None


def _place(ref: MessageRef) -> tuple[str, int]:
    return ref.folder, ref.uidvalidity


def first_piece(session: Session) -> str:
    """What is asked of a message to be sealed."""
    gmail = " X-GM-MSGID" if "X-GM-EXT-1" in session.capabilities else ""
    return f"(UID RFC822.SIZE INTERNALDATE{gmail} BODY.PEEK[]<0.{PIECE}>)"


def is_whole(answer: Answer) -> bool:
    """Whether size and octets came in this very answer."""
    return answer.size is not None and answer.octets is not None and not answer.offset

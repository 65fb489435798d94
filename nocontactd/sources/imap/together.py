"""Small messages that are about to be fetched come several in one answer, each with its UID, size and octets as alone.

To ask for one at a time costs a round trip each, which over a slow line is most of the time of a
sweep. Whatever goes wrong with several, they are asked for one by one, so that none holds up others.
"""

from collections import deque
from collections.abc import Iterable

from nocontactd.errors import SourceError
from nocontactd.model import MessageRef
from nocontactd.sources.imap.fetch_answers import Answer
from nocontactd.sources.imap.length import PIECE
from nocontactd.sources.imap.seen import Seen
from nocontactd.sources.imap.session import Session

TOGETHER = 25
"""Messages in one answer: if each turns out to be as long as a piece, they are still let in (wire.py)."""
OCTETS = 2 * 1024 * 1024
"""Of all of them, by what their sizes were said to be."""


class Together:
    """What is expected to be fetched next, and what of it has come already."""

    def __init__(self) -> None:
        self._expected: deque[MessageRef] = deque()
        self._come: dict[MessageRef, Answer] = {}
        self.failed = False
        """Several could not be had together: what was expected is forgotten, and may be asked for alone."""

    def expect(self, refs: Iterable[MessageRef]) -> None:
        """These will be fetched, in this order; nothing else is kept any longer."""
        self._expected = deque(refs)
        self._come.clear()
        self.failed = False

    def answer(self, session: Session, ref: MessageRef, seen: Seen) -> Answer | None:
        """What was said of this message with others; None: it is to be asked for alone. SourceErrors of the session."""
        self.failed = False
        if ref not in self._come and ref in self._expected:
            while self._expected[0] != ref:
                self._expected.popleft()
            try:
                self._ask(session, seen)
            except SourceError:
                self.expect(())
                self.failed = True
                raise
        return self._come.pop(ref, None)

    def _ask(self, session: Session, seen: Seen) -> None:
        first, octets = self._expected[0], 0
        together: dict[int, MessageRef] = {}
        for ref in self._expected:
            size = seen.size(ref.folder, ref.uidvalidity, int(ref.uid))
            octets += PIECE if size is None else size
            if octets > OCTETS or len(together) == TOGETHER or (ref.folder, ref.uidvalidity) != (
                first.folder, first.uidvalidity
            ):  # fmt: skip
                break
            together[int(ref.uid)] = ref
        for _ in together:
            self._expected.popleft()
        self._come.clear()
        for answer in session.fetch(sorted(together), first_piece(session)) if len(together) > 1 else ():
            if is_whole(answer):
                self._come[together[answer.uid or 0]] = answer


def first_piece(session: Session) -> str:
    """What is asked of a message to be sealed."""
    gmail = " X-GM-MSGID" if "X-GM-EXT-1" in session.capabilities else ""
    return f"(UID RFC822.SIZE INTERNALDATE{gmail} BODY.PEEK[]<0.{PIECE}>)"


def is_whole(answer: Answer) -> bool:
    """Whether size and octets came in this very answer."""
    return answer.size is not None and answer.octets is not None and not answer.offset

"""The inbox of a mailbox by itself: what a sign is about, and where a message is in sight.

The same session, the same cursor and the same promises; whatever is not new there is left to the
look at the whole mailbox that follows.
"""

from collections.abc import Iterator, Mapping, Sequence

from nocontactd.model import (
    Cursor,
    Envelope,
    Look,
    MessageRef,
    Original,
    PutBack,
    Receipt,
    Removal,
    Stretch,
    Written,
)
from nocontactd.ports import Concerns
from nocontactd.sources.imap.mailbox import Mailbox


class Inbox:
    """See ports.Source. The thread that owns the mailbox owns this, too."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    @property
    def name(self) -> str:
        return self._mailbox.name

    def scan(self, cursors: Mapping[str, Cursor], rules: str) -> Iterator[Envelope | Look]:
        return self._mailbox.arrivals(cursors, rules)

    def written(self, _cursors: Mapping[str, Cursor]) -> Iterator[Written | Look]:
        return iter(())

    def older(self, cursor: Cursor, concerns: Concerns) -> Iterator[Stretch]:
        return self._mailbox.older(cursor, concerns)

    def envelopes(self, refs: Sequence[MessageRef]) -> Iterator[Envelope]:
        return self._mailbox.envelopes(refs)

    def fetch(self, ref: MessageRef) -> Original | None:
        return self._mailbox.fetch(ref)

    def expect(self, refs: Sequence[MessageRef]) -> None:
        self._mailbox.expect(refs)

    def remove(self, receipts: Sequence[Receipt]) -> Removal:
        return self._mailbox.remove(receipts)

    def put_back(self, _steps: Sequence[PutBack]) -> frozenset[MessageRef]:
        """No rule files to the inbox."""
        return frozenset()

    def close(self) -> None:
        """Nothing is open that is not the mailbox's."""

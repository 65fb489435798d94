"""The inbox of a mailbox by itself: what a sign is about, and where a message is in sight.

The same session, the same cursor and the same promises; whatever is not new there is left to the
look at the whole mailbox that follows. What a listener handed over with the sign is not asked for
again: of that, the inbox is opened for nothing but to remove it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

from nocontactd.errors import SourceError
from nocontactd.model import (
    Author,
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
from nocontactd.sources.imap.arrival import Box, Wanted, Whole
from nocontactd.sources.imap.idle import Listener
from nocontactd.sources.imap.mailbox import Mailbox


class Inbox:
    """See ports.Source. The thread that owns the mailbox owns this, too."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox
        self._box = Box()
        self._wholes: dict[MessageRef, Whole] = {}
        """Handed over whole; of messages that were, no others are fetched in this look."""
        self._known: frozenset[MessageRef] = frozenset()
        """All that were handed over."""

    def listener(self, ring: Callable[[], None], wanted: Wanted) -> Listener:
        """What calls `ring` when something may have come. `wanted`: whether a message is to be sealed."""
        return self._mailbox.listener(ring, wanted, self._box.put)

    @property
    def name(self) -> str:
        return self._mailbox.name

    def scan(self, cursors: Mapping[str, Cursor], rules: str) -> Iterator[Envelope | Look]:
        found, arrival = self._mailbox.arrivals(cursors, rules, self._box.take())
        self._wholes = {whole.envelope.ref: whole for whole in arrival.wholes} if arrival else {}
        self._known = frozenset(each.ref for each in arrival.envelopes) if arrival else frozenset()
        return found

    def written(self, _cursors: Mapping[str, Cursor]) -> Iterator[Written | Look]:
        return iter(())

    def older(self, cursor: Cursor, concerns: Callable[[Sequence[Author]], bool]) -> Iterator[Stretch]:
        return self._mailbox.older(cursor, concerns)

    def envelopes(self, refs: Sequence[MessageRef]) -> Iterator[Envelope]:
        return self._mailbox.envelopes(refs)

    def expect(self, refs: Sequence[MessageRef]) -> None:
        """Where all are at hand, the inbox is opened for removing meanwhile."""
        if refs and all(ref in self._wholes for ref in refs):
            self._mailbox.start_removing(refs[0].folder)
        elif not self._known:
            self._mailbox.expect(refs)

    def fetch(self, ref: MessageRef) -> Original | None:
        """One that was handed over by its header alone is left to the whole look: what was seen of it is not here."""
        if whole := self._wholes.pop(ref, None):
            return whole.original()
        if ref in self._known:
            raise SourceError(f"{self.name}: a message was not fetched and not sealed: it is not at hand")
        return self._mailbox.fetch(ref)

    def remove(self, receipts: Sequence[Receipt]) -> Removal:
        return self._mailbox.remove(receipts)

    def put_back(self, _steps: Sequence[PutBack]) -> frozenset[MessageRef]:
        """No rule files to the inbox."""
        return frozenset()

    def close(self) -> None:
        """Nothing is open that is not the mailbox's."""

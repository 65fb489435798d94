"""A source that stops between two steps once the daemon is asked to end. What is sealed is still removed.

A pass knows nothing of signals: to it the source becomes unreachable, and it ends as it always
does then, with everything before that finished.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime

from nocontactd.errors import UnreachableError
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
from nocontactd.ports import Concerns, Relay, Source


class Interruptible:
    """See ports.Source."""

    def __init__(self, source: Source, ending: Callable[[], bool]) -> None:
        self._source = source
        self._ending = ending

    @property
    def name(self) -> str:
        return self._source.name

    def scan(self, cursors: Mapping[str, Cursor], rules: str) -> Iterator[Envelope | Look]:
        for item in self._source.scan(cursors, rules):
            self._go_on()
            yield item

    def older(self, cursor: Cursor, concerns: Concerns) -> Iterator[Stretch]:
        for stretch in self._source.older(cursor, concerns):
            yield stretch
            self._go_on()

    def envelopes(self, refs: Sequence[MessageRef]) -> Iterator[Envelope]:
        self._go_on()
        return self._source.envelopes(refs)

    def written(self, cursors: Mapping[str, Cursor]) -> Iterator[Written | Look]:
        for item in self._source.written(cursors):
            self._go_on()
            yield item

    def expect(self, refs: Sequence[MessageRef]) -> None:
        self._source.expect(refs)

    def fetch(self, ref: MessageRef) -> Original | None:
        self._go_on()
        return self._source.fetch(ref)

    def remove(self, receipts: Sequence[Receipt]) -> Removal:
        return self._source.remove(receipts)

    def put_back(self, steps: Sequence[PutBack]) -> frozenset[MessageRef]:
        self._go_on()
        return self._source.put_back(steps)

    def close(self) -> None:
        self._source.close()

    def _go_on(self) -> None:
        _go_on(self.name, self._ending)


class InterruptibleRelay:
    """See ports.Relay: a long row of texts is passed on in the next life of the daemon."""

    def __init__(self, relay: Relay, ending: Callable[[], bool]) -> None:
        self._relay = relay
        self._ending = ending

    def send(self, ref: MessageRef, *, repeat: bool) -> str | None:
        _go_on(ref.source, self._ending)
        return self._relay.send(ref, repeat=repeat)

    def find(self, ref: MessageRef, since: datetime, claimed: frozenset[str]) -> str | None:
        _go_on(ref.source, self._ending)
        return self._relay.find(ref, since, claimed)


def _go_on(source: str, ending: Callable[[], bool]) -> None:
    if ending():
        raise UnreachableError(f"{source}: the look was cut short, because the daemon ends")

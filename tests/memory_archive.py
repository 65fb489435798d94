"""A sealer and a ledger in memory that keep the promises of ports.py, and nothing else. They outlive a death."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime

from nocontactd.model import Cursor, Envelope, Intent, MessageRef, Original, Receipt, Verdict


class MemorySealer:
    """Durable is what stands in `records`; what a batch holds is lost when it is left without commit."""

    def __init__(self) -> None:
        self.records: dict[str, tuple[MessageRef, bytes, Verdict]] = {}
        self.notes: list[tuple[Envelope, Verdict]] = []
        self.last = 0
        self.fail: Exception | None = None

    @contextmanager
    def batch(self, refs: Sequence[MessageRef]) -> Iterator["MemoryBatch"]:
        names = tuple(f"2026-11-22/{self.last + n + 1:06}" for n in range(len(refs)))
        self.last += len(refs)
        yield MemoryBatch(self, dict(zip(names, refs, strict=True)))

    def recall(self, record: str, ref: MessageRef) -> Receipt | None:
        return Receipt(record, ref) if record in self.records else None

    def note(self, envelope: Envelope, verdict: Verdict) -> None:
        self.notes.append((envelope, verdict))


class MemoryBatch:
    """A group on its way into a MemorySealer."""

    def __init__(self, sealer: MemorySealer, refs: dict[str, MessageRef]) -> None:
        self.records = tuple(refs)
        self._refs = refs
        self._sealer = sealer
        self._added: dict[str, tuple[MessageRef, bytes, Verdict]] = {}

    def add(self, record: str, original: Original, verdict: Verdict) -> None:
        if self._sealer.fail:
            raise self._sealer.fail
        octets = b"".join(chunk for part in original.parts for chunk in part.chunks)
        self._added[record] = (self._refs[record], octets, verdict)

    def commit(self) -> tuple[Receipt, ...]:
        self._sealer.records.update(self._added)
        return tuple(Receipt(record, ref) for record, (ref, _, _) in self._added.items())


class MemoryLedger:
    """ports.Ledger as dictionaries."""

    def __init__(self) -> None:
        self.reservations: dict[MessageRef, str] = {}
        self.receipts: dict[str, Receipt] = {}
        self.kept: dict[str, dict[str, Cursor]] = {}
        self.matches: dict[MessageRef, None] = {}
        """What is to be taken out of what is older, in order."""
        self.notes: set[MessageRef] = set()
        self.intents: dict[MessageRef, Intent] = {}
        self.people: dict[str, datetime] = {}
        self.is_new = True

    def reserve(self, pairs: Iterable[tuple[MessageRef, str]]) -> None:
        self.reservations.update(pairs)

    def reserved(self, source: str) -> Sequence[tuple[MessageRef, str]]:
        return [(ref, record) for ref, record in self.reservations.items() if ref.source == source]

    def release(self, refs: Iterable[MessageRef]) -> None:
        for ref in refs:
            self.reservations.pop(ref, None)

    def note(self, receipts: Iterable[Receipt]) -> None:
        for receipt in receipts:
            self.receipts[receipt.record] = receipt
            self.reservations.pop(receipt.ref, None)

    def open(self, source: str) -> Sequence[Receipt]:
        return [receipt for receipt in self.receipts.values() if receipt.ref.source == source]

    def move(self, receipts: Iterable[Receipt]) -> None:
        self.receipts.update({receipt.record: receipt for receipt in receipts})

    def close(self, receipts: Iterable[Receipt]) -> None:
        for receipt in receipts:
            self.receipts.pop(receipt.record, None)

    def cursors(self, source: str) -> Mapping[str, Cursor]:
        return dict(self.kept.get(source, {}))

    def advance(self, source: str, cursors: Iterable[Cursor], found: Iterable[MessageRef] = ()) -> None:
        now = {cursor.folder: cursor for cursor in cursors}
        self.kept.setdefault(source, {}).update(now)
        for ref in found:
            self.matches.pop(ref, None)
            self.matches[ref] = None
        renewed = [ref for ref in self.matches if ref.source == source and ref.folder in now]
        self.forget([ref for ref in renewed if ref.uidvalidity != now[ref.folder].uidvalidity])

    def found(self, source: str) -> Sequence[MessageRef]:
        return [ref for ref in self.matches if ref.source == source]

    def forget(self, refs: Iterable[MessageRef]) -> None:
        for ref in refs:
            self.matches.pop(ref, None)

    def begin(self, source: str, rules: str) -> None:
        kept = self.kept.get(source, {})
        if any(cursor.rules != rules for cursor in kept.values()):
            self.kept[source] = {c.folder: replace(c, rules=rules, lower=c.next_uid) for c in kept.values()}
            self.forget(self.found(source))

    def noted(self, ref: MessageRef) -> bool:
        return ref in self.notes

    def remember_note(self, ref: MessageRef) -> None:
        self.notes.add(ref)

    def intent(self, ref: MessageRef) -> Intent | None:
        return self.intents.get(ref)

    def intend(self, ref: MessageRef, at: datetime) -> None:
        self.intents[ref] = Intent(at, None)

    def withdraw(self, ref: MessageRef) -> None:
        self.intents.pop(ref, None)

    def relayed(self, ref: MessageRef, sid: str) -> None:
        self.intents[ref] = Intent(self.intents[ref].at, sid)

    def claimed(self, source: str) -> frozenset[str]:
        return frozenset(i.sid for ref, i in self.intents.items() if i.sid and ref.source == source)

    def beginning(self, now: datetime) -> bool:
        return self.is_new

    def meet(self, people: Iterable[tuple[str, datetime]]) -> None:
        for address, at in people:
            self.people[address] = min(at, self.people.get(address, at))

    def familiar(self, before: datetime) -> frozenset[str]:
        return frozenset(address for address, at in self.people.items() if at < before)

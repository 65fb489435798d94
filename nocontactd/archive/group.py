"""A group of records becomes durable together. The order in `commit` is the promise of a Receipt.

Written, flushed and read back in incoming/; renamed into mail/DAY/; that folder flushed; the
leaves appended and flushed: only then is there a receipt. One record costs three flushes, n cost
n + 2. Whatever fails before leaves no leaf, and a file without a leaf counts for nothing.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from nocontactd import __version__
from nocontactd.archive.draft import Draft
from nocontactd.archive.durable import Disk, flush_folder, round_time, sealing
from nocontactd.archive.format import MESSAGE, Meta, Plaintext
from nocontactd.archive.hashing import Sha256
from nocontactd.archive.leaves import Leaves
from nocontactd.archive.log import Leaf
from nocontactd.archive.many import at_once, begin
from nocontactd.errors import SealError, SourceError
from nocontactd.model import Envelope, MessageRef, Original, Part, Receipt, Verdict
from nocontactd.ports import Examiner

OPEN = 32
"""Drafts that are flushed together, while as many are written: each is an open file."""


@dataclass(frozen=True, slots=True)
class Workshop:
    """What every group of one archive works with."""

    archive: Path
    disk: Disk
    leaves: Leaves
    now: Callable[[], datetime]
    entropy: Callable[[int], bytes]
    encrypt: Callable[[Iterable[bytes], Callable[[bytes], None], str, Callable[[int], bytes]], None]
    """encrypt(plaintext, write, recipient, entropy): what any of them raises goes through."""
    sha256: Callable[[], Sha256]
    flushing: Executor
    examiner: Examiner | None = None
    """Of the signatures of mail."""


class Group:
    """Fits ports.Batch. One thread fills it; others may fill theirs."""

    def __init__(
        self, work: Workshop, refs: Sequence[MessageRef], records: tuple[str, ...], recipient: str, day: str
    ) -> None:
        self.records = records
        """All of this day."""
        self.day = day
        self._midnight = datetime.fromisoformat(day).replace(tzinfo=UTC)
        self._incoming, self._folder = work.archive / "incoming", work.archive / "mail" / day
        self.committed = False
        self._work = work
        self._refs = dict(zip(records, refs, strict=True))
        self._recipient = recipient
        self._drafts: dict[str, Draft] = {}
        """Everything added."""
        self._open: dict[str, str] = {}
        """The commitments of those that are not flushed yet."""
        self._flushing: tuple[dict[str, str], Callable[[], None]] = ({}, lambda: None)
        """The commitments of those that are being flushed, and what waits for that."""
        self._leaves: dict[str, Leaf] = {}
        """Of those that are, and were read back."""

    def add(self, record: str, original: Original, verdict: Verdict) -> None:
        """Write one original; see ports.Batch."""
        self.write(record, MESSAGE, original.envelope, verdict, original.facts, original.parts)

    def write(
        self,
        record: str,
        kind: str,
        envelope: Envelope | None,
        verdict: Verdict | None,
        facts: tuple[tuple[str, str], ...],
        parts: Iterable[Part] = (),
    ) -> None:
        """Write one record of any kind; not durable yet. SourceError, SealError: it alone is dropped."""
        salt = self._work.entropy(32).hex()
        meta = Meta(record, kind, self._work.now(), __version__, salt, envelope, verdict, facts)
        plaintext = Plaintext(meta, parts, self._work.sha256, self._work.examiner)
        place = self._incoming / f"{record.replace('/', '-')}.age"
        draft = Draft(self._work.archive, self._work.disk, place, self._work.sha256)
        done = False
        try:
            self._work.encrypt(plaintext, draft.write, self._recipient, self._work.entropy)
            draft.finish(self._midnight)
            done = True
        except ValueError:
            name = envelope.ref.source if envelope else "archive"
            raise SourceError(
                f"{name}: a message was not what had been announced; it was neither sealed nor removed",
                "the next pass fetches it anew",
            ) from None
        finally:
            if not done:
                draft.discard()
        self._drafts[record], self._open[record] = draft, plaintext.commitment
        if len(self._open) == OPEN:
            self._settle_begun()
            self._flushing = self._open, begin(self._work.flushing, self._flushes())
            self._open = {}

    def commit(self) -> tuple[Receipt, ...]:
        """Make everything added durable; see ports.Batch. SealError: nothing of it is."""
        if not self._drafts:
            return ()
        self._settle()  # what takes its time holds up no other source
        with sealing(self._work.archive), self._work.leaves.turn():
            moved: list[Path] = []
            done = False
            try:
                self._move(moved)
                self._work.leaves.append(list(self._leaves.values()), self._work.now())
                done = True
            finally:
                # A leaf that could not be cut off again keeps its file, or it would be a leaf without one.
                if not done and not self._work.leaves.doubtful:
                    self._discard(moved)
                    self.drop()
                self._drafts.clear()
        self.committed = True
        return tuple(Receipt(record, self._refs[record]) for record in self._leaves)

    def drop(self) -> None:
        """Take away what was written and not committed."""
        with suppress(SealError):  # a number of a file that is closed may soon be another's
            self._flushing[1]()
        for draft in self._drafts.values():
            draft.discard()
        self._drafts.clear()

    def _settle(self) -> None:
        """Flush and read back what was not yet. SealError."""
        self._settle_begun()
        at_once(self._work.flushing, self._flushes())
        self._read_back(self._open)

    def _settle_begun(self) -> None:
        """Wait for what is being flushed, and read it back. SealError."""
        begun, end = self._flushing
        end()
        self._read_back(begun)

    def _flushes(self) -> list[Callable[[], None]]:
        return [self._drafts[record].flush for record in self._open]

    def _read_back(self, flushed: dict[str, str]) -> None:
        for record, commitment in flushed.items():
            self._leaves[record] = Leaf(record, self._drafts[record].read_back(), commitment)
        flushed.clear()

    def _move(self, moved: list[Path]) -> None:
        for record, draft in self._drafts.items():
            target = self._folder / f"{record.rpartition('/')[2]}.age"
            if target.exists():
                raise SealError(
                    f"archive {self._work.archive}: a file stands where a record was to go; nothing was removed",
                    "run `nocontact verify`; the next pass takes the next place",
                )
            self._work.disk.rename(draft.path, target)
            moved.append(target)
        round_time(self._folder, self._midnight)
        flush_folder(self._work.disk, self._folder)

    def _discard(self, files: Iterable[Path]) -> None:
        for file in files:
            with suppress(OSError):
                self._work.disk.remove(file)

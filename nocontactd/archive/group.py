"""A group of records becomes durable together. The order in `commit` is the promise of a Receipt.

Written, flushed and read back in incoming/; renamed into mail/DAY/; that folder flushed; the
leaves appended and flushed: only then is there a receipt. One record costs three flushes, n cost
n + 2. Whatever fails before leaves no leaf, and a file without a leaf counts for nothing.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from nocontactd import __version__
from nocontactd.archive.durable import Disk, digest, flush_folder, refusals, round_time, sealing
from nocontactd.archive.format import MESSAGE, Meta, Plaintext
from nocontactd.archive.leaves import Leaves
from nocontactd.archive.log import Leaf
from nocontactd.errors import SealError, SourceError
from nocontactd.model import Envelope, MessageRef, Original, Part, Receipt, Verdict


@dataclass(frozen=True, slots=True)
class Workshop:
    """What every group of one archive works with."""

    archive: Path
    disk: Disk
    leaves: Leaves
    now: Callable[[], datetime]
    entropy: Callable[[int], bytes]
    encrypt: Callable[[Iterable[bytes], Callable[[bytes], None], str], None]
    """encrypt(plaintext, write, recipient): what either of the first two raises goes through."""


class Group:
    """Fits ports.Batch. One thread fills it; others may fill theirs."""

    def __init__(self, work: Workshop, refs: Sequence[MessageRef], records: tuple[str, ...], recipient: str) -> None:
        self.records = records
        self.committed = False
        self._work = work
        self._refs = dict(zip(records, refs, strict=True))
        self._recipient = recipient
        self._written: dict[str, Leaf] = {}

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
        plaintext = Plaintext(meta, parts)
        draft = self._draft(record)
        done = False
        try:
            sealed = self._seal(plaintext, draft, record)
            done = True
        except ValueError:
            name = envelope.ref.source if envelope else "archive"
            raise SourceError(
                f"{name}: a message was not what had been announced; it was neither sealed nor removed",
                "the next pass fetches it anew",
            ) from None
        finally:
            if not done:
                with suppress(OSError):
                    self._work.disk.remove(draft)
        self._written[record] = Leaf(record, sealed, plaintext.commitment)

    def commit(self) -> tuple[Receipt, ...]:
        """Make everything added durable; see ports.Batch. SealError: nothing of it is."""
        written, self._written = self._written, {}
        if not written:
            return ()
        with sealing(self._work.archive), self._work.leaves.turn():
            moved: list[Path] = []
            done = False
            try:
                self._move(written, moved)
                self._work.leaves.append(list(written.values()), self._work.now())
                done = True
            finally:
                # A leaf that could not be cut off again keeps its file, or it would be a leaf without one.
                if not done and not self._work.leaves.doubtful:
                    self._discard([*moved, *map(self._draft, written)])
        self.committed = True
        return tuple(Receipt(record, self._refs[record]) for record in written)

    def drop(self) -> None:
        """Take away what was written and not committed."""
        written, self._written = self._written, {}
        self._discard(map(self._draft, written))

    def _seal(self, plaintext: Plaintext, draft: Path, record: str) -> str:
        """Write, flush, read back; the SHA-256 (hex) of the sealed file."""
        archive, disk = self._work.archive, self._work.disk
        seen = hashlib.sha256()
        with _new(archive, disk, draft) as fd:

            def write(data: bytes) -> None:
                with refusals(archive):
                    disk.write(fd, data)
                seen.update(data)

            self._work.encrypt(plaintext, write, self._recipient)
            with refusals(archive):
                round_time(fd, _day(record[:10]))
                disk.flush(fd, draft)
        with refusals(archive):
            found = digest(draft, from_disk=True)
        if found != seen.hexdigest():
            raise SealError(
                f"archive {archive}: what was read back is not what was written; nothing was removed",
                "the disk or the memory of this machine is failing: run `nocontact verify`, then a memory test",
            )
        return found

    def _move(self, written: Iterable[str], moved: list[Path]) -> None:
        for record in written:
            target = self._place(record)
            if target.exists():
                raise SealError(
                    f"archive {self._work.archive}: a file stands where a record was to go; nothing was removed",
                    "run `nocontact verify`; the next pass takes the next place",
                )
            self._work.disk.rename(self._draft(record), target)
            moved.append(target)
        for folder in {target.parent for target in moved}:
            round_time(folder, _day(folder.name))
            flush_folder(self._work.disk, folder)

    def _discard(self, files: Iterable[Path]) -> None:
        for file in files:
            with suppress(OSError):
                self._work.disk.remove(file)

    def _draft(self, record: str) -> Path:
        return self._work.archive / "incoming" / f"{record.replace('/', '-')}.age"

    def _place(self, record: str) -> Path:
        return self._work.archive / "mail" / f"{record}.age"


def _day(day: str) -> datetime:
    return datetime.fromisoformat(day).replace(tzinfo=UTC)


@contextmanager
def _new(archive: Path, disk: Disk, path: Path) -> Iterator[int]:
    """A new file, open for writing; what a dead process left under this name goes."""
    with refusals(archive):
        disk.remove(path)
        fd = disk.create(path)
    try:
        yield fd
    finally:
        os.close(fd)

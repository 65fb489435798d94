"""The writing half of the archive: it seals to the public side of day keys and cannot read what it wrote.

Whatever it needs and does not find (a key for the day, the log's private key) it makes, durably,
before it seals; whatever it cannot do is a SealError, and then nothing may be removed anywhere.
"""

import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pyrage  # type: ignore[import-untyped]  # published without types

from nocontactd.archive import charter, pinned, recovery
from nocontactd.archive.charter import Charter
from nocontactd.archive.copies import Copies
from nocontactd.archive.daykeys import DayKeys
from nocontactd.archive.durable import Disk, flush_folder, refusals, sealing
from nocontactd.archive.format import NOTE
from nocontactd.archive.group import Group, Workshop
from nocontactd.archive.leaves import Leaves
from nocontactd.archive.lock import flocked
from nocontactd.archive.log import Signer
from nocontactd.archive.logkey import LogKey
from nocontactd.archive.names import Names
from nocontactd.archive.presence import expect
from nocontactd.archive.stash import Stash
from nocontactd.errors import BusyError, SealError
from nocontactd.model import Envelope, MessageRef, Receipt, Verdict
from nocontactd.ports import Batch

NAMES = "names"
"""Beside the log's key in the state directory: the highest record number given out each day."""
_NO_MESSAGE = MessageRef("", "", 0, "")


class Archive:
    """The archive as a Sealer (ports.py). Several threads may use one at the same time.

    Order of a start: `Archive(...)`, `lock()`, `recover()`, then batches. `enter` alone (the
    review room beside a running daemon) needs neither lock nor recovery.
    """

    def __init__(
        self,
        path: Path,
        log_key: Path,
        now: Callable[[], datetime],
        disk: Disk | None = None,
        entropy: Callable[[int], bytes] = secrets.token_bytes,
        mint: Callable[[Charter], tuple[str, bytes]] | None = None,
    ) -> None:
        """`mint` makes a day key (daykeys.py); by default a child process does.

        NoKeysError: no archive.json there yet. DamagedError: there was one.
        """
        expect(path)
        self._path = path
        self._now = now
        self._disk = disk or Disk()
        self._leaves = Leaves(path, self._disk)
        self._copies = Copies(path, self._disk)
        self._keys = DayKeys(path, self._disk, mint)
        self._names = Names(path, log_key.with_name(NAMES), self._disk)
        self._log_key = LogKey(log_key, self._disk, entropy)
        self._work = Workshop(path, self._disk, self._leaves, now, entropy, encrypt)
        self._law: tuple[str, Charter] | None = None
        self._long_lock: int | None = None
        self._lagging = True
        self._settled = ""

    def lock(self) -> AbstractContextManager[None]:
        """Take the long lock at once (one daemon); held until the context is left or `close`. BusyError."""
        with refusals(self._path):
            taken = flocked(self._path)
        if taken is None:
            raise BusyError(
                f"archive {self._path}: another daemon is at work on it; nothing was done",
                "one daemon an archive: see `nocontact status`",
            )
        self._long_lock = taken
        return self._locked()

    def recover(self) -> None:
        """Finish or undo what a dead process left; needs the long lock. SealError, DamagedError."""
        if self._long_lock is None:
            raise RuntimeError("recovery without the long lock")
        with refusals(self._path):
            moment = self._moment()
            recovery.recover(self._path, self._disk, self._leaves, self._copies, self._keys, moment)
            self._law = None
            with self._leaves.turn():
                self._catch_up(moment)

    @contextmanager
    def batch(self, refs: Sequence[MessageRef]) -> Iterator[Batch]:
        """See ports.Sealer."""
        group = self._group(refs)
        try:
            yield group
        finally:
            group.drop()
        if group.committed:
            self._follow()

    def recall(self, record: str, ref: MessageRef) -> Receipt | None:
        """See ports.Sealer. A name is never given out twice (names.py), so this record is that ref's."""
        with sealing(self._path), self._leaves.turn():
            leaf = self._leaves.record(record)
            stands = leaf is not None and not leaf.orphan and (self._path / "mail" / f"{record}.age").is_file()
        return Receipt(record, ref) if stands else None

    def note(self, envelope: Envelope, verdict: Verdict) -> None:
        """See ports.Sealer."""
        self._single(NOTE, envelope, verdict, ())

    def enter(self, kind: str, facts: tuple[tuple[str, str], ...]) -> None:
        """Seal a record without a message: coverage, opening, loosening or keys; durable on return. SealError."""
        self._single(kind, None, None, facts)

    def close(self) -> None:
        """Bring the second copies up and let go of the locks. Never raises."""
        if self._settled:
            self._settled = ""
            self._follow()
        self._leaves.close()
        self._unlock()

    def _single(
        self, kind: str, envelope: Envelope | None, verdict: Verdict | None, facts: tuple[tuple[str, str], ...]
    ) -> None:
        ref = envelope.ref if envelope else _NO_MESSAGE
        with sealing(self._path), self._leaves.turn():  # throughout: a daemon that starts just now empties incoming/
            group = self._group([ref])
            try:
                group.write(group.records[0], kind, envelope, verdict, facts)
                group.commit()
            finally:
                group.drop()
        self._follow()

    def _group(self, refs: Sequence[MessageRef]) -> Group:
        """Names for these messages, and everything that must be durable before the first of them."""
        with sealing(self._path), self._leaves.turn():
            moment = self._moment()
            law = self._charter()
            if self._lagging:
                self._catch_up(moment)
            day = moment.strftime("%Y-%m-%d")
            recipient = self._keys.recipient(day, self._leaves, law, moment)
            folder = self._path / "mail" / day
            if not folder.is_dir():
                self._disk.make_folder(folder)
                flush_folder(self._disk, folder.parent)
            return Group(self._work, refs, self._names.give(len(refs), self._leaves, moment), recipient)

    def _follow(self) -> None:
        """Copies and checkpoint follow the receipt; where they cannot, the next group waits for them."""
        try:
            with sealing(self._path), self._leaves.turn():
                self._catch_up(self._moment())
        except SealError:
            self._lagging = True

    def _catch_up(self, moment: datetime) -> None:
        law = self._charter()
        signer = self._signer(law, moment)
        self._lagging = True
        day = moment.strftime("%Y-%m-%d")
        if day == self._settled:
            self._copies.bring_up(self._leaves, signer, law.origin, moment)
        else:
            self._copies.settle(self._leaves, signer, law.origin, moment)
            self._settled = day
        self._lagging = False

    def _charter(self) -> Charter:
        pin = self._leaves.last(charter.NAME)
        if self._law is None or pin is None or self._law[0] != pin.first:
            self._law = (pin.first if pin else "", pinned.law(self._path, self._leaves))
        return self._law[1]

    def _signer(self, law: Charter, moment: datetime) -> Signer:
        signer = self._log_key.signer(law.origin, moment)
        if signer.verifier not in law.log_keys:
            changed = law.signed_by(signer.verifier)
            pinned.amend(self._path, self._leaves, changed, "log-key:new", self._disk, moment)
        return signer

    def _moment(self) -> datetime:
        return self._now().astimezone(UTC)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            yield
        finally:
            self._unlock()

    def _unlock(self) -> None:
        if self._long_lock is not None:
            os.close(self._long_lock)
            self._long_lock = None


def encrypt(plaintext: Iterable[bytes], write: Callable[[bytes], None], recipient: str) -> None:
    """Seal a stream to one age recipient, 64 KiB at a time. What `plaintext` or `write` raises goes through."""
    source, sink = _Source(iter(plaintext)), _Sink(write)
    try:
        pyrage.encrypt_io(source, sink, [pyrage.x25519.Recipient.from_str(recipient)])
    except (pyrage.EncryptError, pyrage.RecipientError, OSError) as problem:
        # pyrage turns whatever they raised into a text of its own.
        failure = source.stash.failure or sink.stash.failure
        raise failure or SealError(f"the archive's record could not be made: {type(problem).__name__}") from None


class _Source:
    """A file to be read, of pieces of any length."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self.stash = Stash()
        self._pieces = pieces
        self._rest = memoryview(b"")

    def read(self, size: int) -> bytes:
        with self.stash:
            while not self._rest:
                piece = next(self._pieces, None)
                if piece is None:
                    return b""
                self._rest = memoryview(piece)
            taken, self._rest = self._rest[:size], self._rest[size:]
            return bytes(taken)


class _Sink:
    """A file to be written."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self.stash = Stash()
        self._write = write

    def write(self, data: bytes) -> int:
        with self.stash:
            self._write(data)
        return len(data)

    def flush(self) -> None: ...

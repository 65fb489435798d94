"""The writing half of the archive: it seals to the public side of day keys and cannot read what it wrote.

Whatever it needs and does not find (a key for the day, the log's private key) it makes, durably,
before it seals; whatever it cannot do is a SealError, and then nothing may be removed anywhere.
"""

import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from nocontactd.archive import charter, closing, cover, history, pinned, recovery, trusted
from nocontactd.archive.charter import Charter
from nocontactd.archive.copies import Copies
from nocontactd.archive.daykeys import DayKeys
from nocontactd.archive.durable import Disk, flush_folder, refusals, sealing
from nocontactd.archive.encrypt import encrypt
from nocontactd.archive.format import COVER, FLOOR, NOTE
from nocontactd.archive.group import Group, Workshop
from nocontactd.archive.hashing import Sha256, lanes
from nocontactd.archive.leaves import Leaves
from nocontactd.archive.lock import flocked
from nocontactd.archive.log import Signer
from nocontactd.archive.logkey import LogKey
from nocontactd.archive.many import GROUP, WIDE
from nocontactd.archive.names import NAMES, Names
from nocontactd.archive.presence import expect
from nocontactd.errors import BusyError, SealError
from nocontactd.model import Envelope, MessageRef, Receipt, Verdict
from nocontactd.ports import Batch, Examiner

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
        examiner: Examiner | None = None,
    ) -> None:
        """`mint` makes a day key (daykeys.py); by default a child process does. `examiner`: of a mail's signatures.

        NoKeysError: no archive.json there yet. DamagedError: there was one.
        """
        expect(path)
        self._path = path
        self._now = now
        self._disk = disk or Disk()
        self._leaves = Leaves(path, self._disk, partial(history.signed, path))
        self._copies = Copies(path, self._disk)
        self._keys = DayKeys(path, self._disk, mint)
        self._names = Names(path, log_key.with_name(NAMES), self._disk)
        self._leaves.watched = self._names.size()
        self._log_key = LogKey(log_key, self._disk, entropy)
        hashing = lanes()
        self._work = Workshop(
            *(path, self._disk, self._leaves, now, entropy, encrypt),
            sha256=lambda: Sha256(hashing),
            flushing=ThreadPoolExecutor(WIDE, "flushing"),
            examiner=examiner,
        )
        self._law: tuple[str, Charter] | None = None
        self._long_lock: int | None = None
        self._lagging = True
        self._settled = ""
        self._open: list[str] = []
        """The days of the groups that are under way."""
        self._closed = ""
        """The day before which every one was seen to be closed."""
        self._tried = ""

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
                self._names.compare(self._charter().origin, self._leaves, moment)
                self._catch_up(moment)

    @property
    def put_back(self) -> str:
        """The day on which `recover` found an older copy of the archive, or another, than was sealed to; or ""."""
        return self._names.back

    @property
    def added(self) -> str:
        """The day on which `recover` found records that nobody who uses this state has sealed; or ""."""
        return self._names.added

    @contextmanager
    def batch(self, refs: Sequence[MessageRef]) -> Iterator[Batch]:
        """See ports.Sealer."""
        group = self._group(refs)
        try:
            yield group
        finally:
            group.drop()
            self._open.remove(group.day)
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

    def close_days(self) -> None:
        """Fill up each day that is over with cover records. SealError: it is gone on with at the next call.

        A day that a group is still under way for waits for it; one that is closed stays as it is.
        """
        moment = self._moment()
        if _day(moment) == self._closed:
            return
        with sealing(self._path), self._leaves.turn():
            self._close_over(moment)
        self._follow()

    def decoy(self) -> None:
        """To be called once a minute: now and then a larger cover is sealed at once. SealError: it was not."""
        filler = cover.decoy(self._work.entropy)
        if filler is None:
            return
        with sealing(self._path), self._leaves.turn():
            closing.make_sure_of_room(self._path, filler)
            self._cover(self._moment(), [filler])
        self._follow()

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
                self._open.remove(group.day)
        self._follow()

    def _group(self, refs: Sequence[MessageRef]) -> Group:
        """Names for these messages, and everything that must be durable before the first of them."""
        with sealing(self._path), self._leaves.turn():
            moment = self._moment()
            if self._lagging:
                self._catch_up(moment)
            if self._long_lock is not None and self._tried != _day(moment):
                self._close_in_passing(moment)
            group = self._group_of(moment, refs)
            self._open.append(group.day)
            return group

    def _group_of(self, moment: datetime, refs: Sequence[MessageRef]) -> Group:
        """Of that moment's day. Needs the turn."""
        day = _day(moment)
        law = self._charter()
        recipient = self._keys.recipient(day, self._leaves, law, moment, partial(self._names.ours, day))
        folder = self._path / "mail" / day
        if not folder.is_dir():
            self._disk.make_folder(folder)
            flush_folder(self._disk, folder.parent)
        names = self._names.give(len(refs), self._leaves, moment, law.origin, recipient)
        return Group(self._work, refs, names, recipient, day)

    def _close_in_passing(self, moment: datetime) -> None:
        """Close what is over before the new day has a key: a later leaf of the old one would be known for a cover's.

        Tried once a day: no message waits for covers, and `close_days` says what is the matter.
        """
        self._tried = _day(moment)
        with suppress(SealError), sealing(self._path):
            self._close_over(moment)

    def _close_over(self, moment: datetime) -> None:
        """Needs the turn."""
        today = _day(moment)
        days = closing.over(self._path, self._leaves, today)
        for day in days:
            if day not in self._open:
                self._fill(self._path / "mail" / day, newest=day == days[-1])
        if not any(day < today for day in tuple(self._open)):
            self._closed = today

    def _fill(self, folder: Path, *, newest: bool) -> None:
        lacking = cover.lacking(closing.sizes(folder), self._work.entropy)
        if lacking:
            closing.make_sure_of_room(self._path, sum(max(filler, FLOOR) for filler in lacking))
        for start in range(0, len(lacking), GROUP):
            self._cover(datetime.fromisoformat(folder.name).replace(tzinfo=UTC), lacking[start : start + GROUP])
        if lacking or newest:  # a process may have died between the last cover and this
            closing.level(folder)

    def _cover(self, day: datetime, fillers: Sequence[int]) -> None:
        group = self._group_of(day, [_NO_MESSAGE] * len(fillers))
        try:
            for record, filler in zip(group.records, fillers, strict=True):
                group.write(record, COVER, None, None, (), cover.parts(filler))
            group.commit()
        finally:
            group.drop()

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
        day = _day(moment)
        if day == self._settled:
            self._copies.bring_up(self._leaves, signer, law.origin, moment)
        else:
            self._copies.settle(self._leaves, signer, law.origin, moment)
            self._settled = day
        self._lagging = False

    def _charter(self) -> Charter:
        pin = self._leaves.last(charter.NAME)
        if self._law is None or pin is None or self._law[0] != pin.first:
            law = pinned.law(self._path, self._leaves)
            trusted.check(self._log_key.path, law, self._disk, self._moment())
            self._law = (pin.first if pin else "", law)
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


def _day(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d")

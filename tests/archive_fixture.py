"""A small archive to play with: a copy of the published one, so that no test waits for a passphrase to be locked.

def test_something(made_archive: Made) -> None:      # from tests.archive_fixture import Made, made_archive
    sealer = made_archive.sealer(now)
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from nocontactd.archive.durable import Disk
from nocontactd.archive.format import COVER
from nocontactd.archive.keys import FOLDERS, mint
from nocontactd.archive.seal import Archive
from nocontactd.archive.unseal import Opened, Opener
from nocontactd.errors import DamagedError
from nocontactd.model import Author, Channel, Disposition, Envelope, MessageRef, Original, Part, Receipt, Verdict
from tests.light import light

__all__ = ["light"]

VECTORS = Path(__file__).parent / "vectors"
OWNER = "correct horse battery staple of the owner"
THERAPIST = "walnut harbor velvet lantern oyster meadow piano"
WITNESS = "pretzel glacier tugboat almond saffron kayak zebra"
DAY = "2026-11-22"
VERDICT = Verdict(Disposition.SEAL, "listed", "ex@abuser.example", "From")


def noon() -> datetime:
    """A clock that stands still."""
    return datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)


class Clock:
    """A clock that a test sets."""

    def __init__(self, moment: datetime | None = None) -> None:
        self.moment = moment or noon()

    def __call__(self) -> datetime:
        return self.moment

    def next_day(self) -> None:
        self.moment += timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Made:
    """An archive without a record, made for the three passphrases above."""

    path: Path
    log_key: Path

    def archive(self, now: Callable[[], datetime] = noon, disk: Disk | None = None) -> Archive:
        """As the review room has it: neither locked nor recovered. Its day keys are made in this process."""
        return Archive(self.path, self.log_key, now, disk, mint=lambda law: mint(law.owner, law.others))

    def sealer(self, now: Callable[[], datetime] = noon, disk: Disk | None = None) -> Archive:
        """As the daemon has it: locked and recovered."""
        archive = self.archive(now, disk)
        archive.lock()
        archive.recover()
        return archive

    def opener(self, second: str = "therapist") -> Opener:
        """Opened by the owner and another, without the wait for their passphrases."""
        return Opener(self.path, identity("owner"), identity(second))

    def opened(self, *days: str) -> list[Opened]:
        """Every record but covers; a damaged one fails the test."""
        return [item for item in self.all_opened(*days) if item.kind != COVER]

    def all_opened(self, *days: str) -> list[Opened]:
        """Every record, and those that fill up a day, too."""
        found = list(self.opener().messages(days or self.opener().days()))
        assert [item for item in found if isinstance(item, DamagedError)] == []
        return [item for item in found if isinstance(item, Opened)]

    def leaves(self) -> list[str]:
        return (self.path / "log" / "leaves").read_text().splitlines()


def identity(role: str) -> str:
    """The published identity of a holder: AGE-SECRET-KEY-1..."""
    return (VECTORS / f"{role}.key").read_text().splitlines()[-1]


def copy(place: Path, vector: str = "new") -> Made:
    """A published archive (`new` or `filled`), copied to `place`/archive with its state beside it."""
    shutil.copytree(VECTORS / vector, place / "archive")
    for folder in FOLDERS:  # git keeps no empty ones
        (place / "archive" / folder).mkdir(exist_ok=True)
    for path in (place / "archive", *(place / "archive").rglob("*")):  # nor any mode but the executable's
        path.chmod(0o700 if path.is_dir() else 0o600)
    (place / "state").mkdir(mode=0o700)
    shutil.copy(VECTORS / "log.key", place / "state" / "log.key")
    return Made(place / "archive", place / "state" / "log.key")


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    """A folder where flushing costs nothing, for tests that flush thousands of times."""
    shared = Path("/dev/shm")
    if not os.access(shared, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="nocontact-", dir=shared) as name:
        yield Path(name)


@pytest.fixture
def made_archive(tmp_path: Path) -> Made:
    """An archive without a record."""
    return copy(tmp_path)


def ref(uid: int | str = 1, source: str = "home") -> MessageRef:
    return MessageRef(source, "INBOX", 7, str(uid))


def envelope(uid: int | str = 1, source: str = "home") -> Envelope:
    authors = (Author("From", "ex@abuser.example", "Alex Example"),)
    return Envelope(ref(uid, source), Channel.MAIL, authors, noon() - timedelta(minutes=5), 11)


def original(body: bytes = b"hello\r\n", uid: int | str = 1, source: str = "home") -> Original:
    """A message of one part."""
    return Original(envelope(uid, source), iter([Part("message.eml", len(body), [body])]), (("greeting", "* OK"),))


def seal(archive: Archive, bodies: Iterable[bytes], uid: int = 1, source: str = "home") -> tuple[Receipt, ...]:
    """Seal these messages in one group."""
    bodies = list(bodies)
    with archive.batch([ref(uid + n, source) for n in range(len(bodies))]) as batch:
        for n, (record, body) in enumerate(zip(batch.records, bodies, strict=True)):
            batch.add(record, original(body, uid + n, source), VERDICT)
        return batch.commit()


class RecordingDisk(Disk):
    """Writes down what is done to the archive, in order, by path below `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.done: list[str] = []

    def flush(self, fd: int, path: Path, *, data_only: bool = False) -> None:
        super().flush(fd, path, data_only=data_only)
        self._note("flush", path)

    def rename(self, source: Path, target: Path) -> None:
        super().rename(source, target)
        self._note("rename to", target)

    def write(self, fd: int, data: bytes, offset: int | None = None) -> None:
        super().write(fd, data, offset)
        self._note("write", Path(f"/proc/self/fd/{fd}").readlink())

    def flushes(self) -> list[str]:
        return [step for step in self.done if step.startswith("flush")]

    def _note(self, what: str, path: Path) -> None:
        if path.is_relative_to(self.root):
            step = f"{what} {path.relative_to(self.root).as_posix()}"
            if not self.done or self.done[-1] != step:
                self.done.append(step)


def most_resident() -> int:
    """KB of memory that this process ever held. Not ru_maxrss, which begins with what its parent held."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))


def contents(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file below a folder, for comparing before and after."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path.relative_to(folder).as_posix(), path.read_bytes()

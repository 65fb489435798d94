"""Sealing a message whole (write, flush, read back, leaf) against the `age` program making a file of it.

`age` makes a file and promises nothing of the disk. So it is compared three times, like with like in the first and
the last: with the writer of age files alone (archive/encrypt.py), which makes the same file and nothing else; with a
message sealed whole; and with that again where `age` is followed by `sync` and `sha256sum`, as a script would have to
that promises as much. A message is in memory, where it came from a server; `age` is given it as a file in the page
cache. Rounds alternate; each column has the least and the median, "times" the ratio of both.

"disk alone": the same octets written, flushed and read back with the same calls, and nothing else done. "hashing
alone": SHA-256 of the message, of its file, and of the file once more from the disk, on two processors. Neither can be
had for less, so no sealing is faster than the larger of the two. The second table is of a file system in memory, where
a flush costs nothing.
"""

import hashlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from threading import Thread

from nocontactd.archive.durable import PIECE, hasten
from nocontactd.archive.encrypt import encrypt
from nocontactd.archive.many import WIDE, at_once
from nocontactd.archive.seal import Archive
from nocontactd.model import Original, Part
from tests import archive_fixture as fixture

ROUNDS = 15
CASES = (
    ("4 KB alone", 4 << 10, 1),
    ("4 KB of 100", 4 << 10, 100),
    ("1 MB", 1 << 20, 1),
    ("25 MB", 25 << 20, 1),
)
"""Name, octets of a message, messages in the group."""


def timed(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def seal(archive: Archive, pieces: list[bytes], count: int) -> None:
    size = sum(map(len, pieces))
    refs = [fixture.ref(uid) for uid in range(count)]
    with archive.batch(refs) as batch:
        for uid, record in enumerate(batch.records):
            part = Part("message.eml", size, pieces)
            batch.add(record, Original(fixture.envelope(uid), iter([part])), fixture.VERDICT)
        assert len(batch.commit()) == count


def age_file(pieces: list[bytes], recipient: str, target: Path) -> None:
    """What the `age` program makes, and no more."""
    target.unlink(missing_ok=True)  # a record is a new file
    with target.open("xb", 0) as file:

        def write(octets: bytes) -> None:
            file.write(octets)

        encrypt(iter(pieces), write, recipient, os.urandom)


class Bare:
    """What the disk is asked for by a group of records, with nothing in between."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "bare"
        self._folder.mkdir()
        self._pool = ThreadPoolExecutor(WIDE)
        self._logs = [os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND) for name in ("names", "leaves")]

    def __call__(self, octets: bytes, count: int) -> None:
        names, leaves = self._logs
        self._append(names)
        opened = [os.open(self._folder / str(n), os.O_RDWR | os.O_CREAT | os.O_TRUNC) for n in range(count)]
        for fd in opened:
            for at in range(0, len(octets), PIECE):
                os.write(fd, octets[at : at + PIECE])
                if len(octets) > PIECE:
                    hasten(fd)
        at_once(self._pool, [partial(flush, fd) for fd in opened])
        for fd in opened:
            os.lseek(fd, 0, os.SEEK_SET)
            while os.read(fd, PIECE):
                pass
            os.close(fd)
        folder = os.open(self._folder, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
        self._append(leaves)

    def _append(self, fd: int) -> None:
        os.write(fd, bytes(140))
        os.fdatasync(fd)


def flush(fd: int) -> None:
    os.fsync(fd)
    hasten(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_WILLNEED)


def hashing(octets: bytes, count: int) -> None:
    """Three times, of which two can be at the same time."""
    for _ in range(count):
        beside = Thread(target=lambda: hashlib.sha256(octets).digest())
        beside.start()
        hashlib.sha256(octets).digest()
        beside.join()
        hashlib.sha256(octets).digest()


def measure(folder: Path) -> None:
    made = fixture.copy(folder)
    archive = made.sealer(lambda: datetime.now(UTC))
    archive.enter("coverage", ())  # makes the day's key
    recipient = next((made.path / "keys").glob("*.pub")).read_text().strip()
    plain, sealed, bare = folder / "plain", folder / "sealed", Bare(folder)
    age = ["age", "-r", recipient, "-o", str(sealed), str(plain)]
    promise = ["sh", "-c", f"{' '.join(age)} && sync {sealed} {folder} && sha256sum {sealed} >{folder}/sum"]
    print(HEAD)
    for name, size, count in CASES:
        octets = os.urandom(size)
        plain.write_bytes(octets)
        pieces = [octets[at : at + (1 << 20)] for at in range(0, size, 1 << 20)]
        length = bytes(max(size, 10_240))
        acts: tuple[Callable[[], object], ...] = (
            partial(seal, archive, pieces, count),
            partial(subprocess.run, age, check=True),
            partial(subprocess.run, promise, check=True),
            partial(age_file, pieces, recipient, folder / "made"),
            partial(bare, length, count),
            partial(hashing, length, count),
        )
        acts[0]()
        rounds = [[timed(act) for act in acts] for _ in range(ROUNDS)]
        print(f"{name:>12}{row(rounds, count)}")
    archive.close()


HEAD = (
    f"{'':>12}{'age':>14}{'our writer':>14}{'times':>12}{'sealed whole':>16}{'times':>12}"
    f"{'age, sync, sha256sum':>22}{'times':>12}{'disk alone':>16}{'hashing alone':>16}"
)


def row(rounds: list[list[float]], count: int) -> str:
    """Least and median of each column."""
    columns = [[seconds * 1000 for seconds in column] for column in zip(*rounds, strict=True)]
    for shared in (0, 4, 5):
        columns[shared] = [each / count for each in columns[shared]]
    ours, bare, promised, made, disk, hashed = ((min(column), statistics.median(column)) for column in columns)

    def times(theirs: tuple[float, float], by: tuple[float, float]) -> str:
        return f"{theirs[0] / by[0]:>7.1f} {theirs[1] / by[1]:>4.1f}"

    def pair(column: tuple[float, float], width: int) -> str:
        return f"{f'{column[0]:.2f} {column[1]:.2f}':>{width}}"

    return (
        f"{pair(bare, 14)}{pair(made, 14)}{times(bare, made)}{pair(ours, 16)}{times(bare, ours)}"
        f"{pair(promised, 22)}{times(promised, ours)}{pair(disk, 16)}{pair(hashed, 16)}"
    )


def main() -> int:
    if not shutil.which("age"):
        print("age is not installed: nothing to compare with")
        return 0
    for name, place in (("on the disk", None), ("in memory", "/dev/shm")):
        if place and not os.access(place, os.W_OK):
            continue
        with tempfile.TemporaryDirectory(prefix="nocontact-bench-", dir=place) as folder:
            print(f"{name}, milliseconds a message: least and median of {ROUNDS}")
            measure(Path(folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Sealing a message whole (write, flush, read back, leaf) against the `age` program making a file of it.

`age` promises nothing of the disk; in the last column it is followed by `sync` and `sha256sum`, as a script would have
to that promises as much. The second table is of a file system in memory, where a flush costs nothing.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

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


def measure(folder: Path) -> None:
    made = fixture.copy(folder)
    archive = made.sealer(lambda: datetime.now(UTC))
    archive.enter("coverage", ())  # makes the day's key
    recipient = next((made.path / "keys").glob("*.pub")).read_text().strip()
    plain, sealed = folder / "plain", folder / "sealed"
    age = ["age", "-r", recipient, "-o", str(sealed), str(plain)]
    promise = ["sh", "-c", f"{' '.join(age)} && sync {sealed} {folder} && sha256sum {sealed} >{folder}/sum"]
    print(f"{'':>12}  {'ours':>8}  {'age':>8}  {'times':>6}  {'age, sync, sha256sum':>20}  {'times':>6}")
    for name, size, count in CASES:
        octets = os.urandom(size)
        plain.write_bytes(octets)
        pieces = [octets[at : at + (1 << 20)] for at in range(0, size, 1 << 20)]
        seal(archive, pieces, count)
        rounds = [
            (
                timed(lambda p=pieces, c=count: seal(archive, p, c)) / count,
                timed(lambda: subprocess.run(age, check=True)),
                timed(lambda: subprocess.run(promise, check=True)),
            )
            for _ in range(ROUNDS)
        ]
        ours, bare, promised = (statistics.median(column) * 1000 for column in zip(*rounds, strict=True))
        print(
            f"{name:>12}  {ours:>5.1f} ms  {bare:>5.1f} ms  {bare / ours:>6.1f}"
            f"  {promised:>17.1f} ms  {promised / ours:>6.1f}"
        )
    archive.close()


def main() -> int:
    if not shutil.which("age"):
        print("age is not installed: nothing to compare with")
        return 0
    for name, place in (("on the disk", None), ("in memory", "/dev/shm")):
        if place and not os.access(place, os.W_OK):
            continue
        with tempfile.TemporaryDirectory(prefix="nocontact-bench-", dir=place) as folder:
            print(f"{name}, milliseconds a message")
            measure(Path(folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())

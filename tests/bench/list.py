"""Listing an archive for the second time, from its index, against the first time, which opens each record.

python tests/bench/list.py [RECORDS] [DAYS]     100,000 records over 100 days, unless said otherwise
"""

import shutil
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from nocontactd.archive.durable import Disk
from nocontactd.errors import DamagedError
from nocontactd.review.listing import Listing
from nocontactd.review.rows import as_json, folded
from tests.archive_fixture import Clock, Made, copy, noon, seal

GROUP = 500


class Hasty(Disk):
    """Flushes nothing: what is measured is reading."""

    def flush(self, fd: int, path: Path, *, data_only: bool = False) -> None: ...


def letter(number: int) -> bytes:
    """A message of an ordinary length."""
    return (
        f"From: Alex Example <ex@abuser.example>\r\nTo: me@home.example\r\nSubject: number {number} again\r\n"
        f"Message-ID: <{number}@abuser.example>\r\n\r\nWhy do you not answer? {number}\r\n"
    ).encode() + b"Some more words of an ordinary length stand here.\r\n" * 40


def fill(made: Made, records: int, days: int) -> None:
    """Seal so many messages, as many on each day, and fill up the days with covers."""
    clock = Clock()
    archive = made.sealer(clock, Hasty())
    for day in range(days):
        numbers = range(records * day // days, records * (day + 1) // days)
        for at in range(0, len(numbers), GROUP):
            group = numbers[at : at + GROUP]
            seal(archive, map(letter, group), group[0])
        clock.moment = noon() + timedelta(days=day + 1)
        archive.close_days()
    archive.close()


def listed(made: Made) -> tuple[float, float, float, int]:
    """Seconds until the listing of all days was made, of these on a processor, until its first line; lines."""
    opener = made.opener()
    began, worked = time.perf_counter(), time.process_time()
    listing = Listing(opener, made.path, lambda: datetime.now(UTC), lambda problem: print(problem))
    first, lines = 0.0, 0
    for item in folded(listing.rows(opener.days(), lambda _done, _all: None)):
        assert not isinstance(item, DamagedError), item
        lines += bool(as_json(item))
        first = first or time.perf_counter() - began
    return time.perf_counter() - began, time.process_time() - worked, first, lines


def main() -> int:
    records, days = (int(text) for text in (sys.argv[1:] + ["100000", "100"][len(sys.argv) - 1 :]))
    shared = Path("/dev/shm")
    roomy = shared.is_dir() and shutil.disk_usage(shared).free > records * 16_000
    folder = Path(tempfile.mkdtemp(prefix="nocontact-bench-", dir=shared if roomy else None))
    try:
        made = copy(folder)
        fill(made, records, days)
        first, first_worked, _, whole = listed(made)
        second, worked, at_once, again = min(listed(made) for _ in range(3))
        assert whole == again == records
        index = sum(file.stat().st_size for file in (made.path / "index").iterdir())
        files = sum(1 for _ in made.path.glob("mail/*/*.age"))
        print(f"{records} messages over {days} days, {files} files; index {index / 1e6:.0f} MB")
        print(f"first time, each record opened  {first:8.2f} s, {first_worked:.2f} s of them on a processor")
        print(f"from the index                  {second:8.2f} s, {worked:.2f} s; the first line after {at_once:.2f} s")
        print(f"times as fast                   {first / second:8.1f}, {first_worked / worked:.1f}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

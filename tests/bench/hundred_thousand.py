"""What 100,000 texts cost on a disk: sealing them, closing their days, checking them, and another therapist.

python tests/bench/hundred_thousand.py [RECORDS] [DAYS]     100,000 records over 100 days, unless said otherwise

Everything is flushed as the daemon does it. (Listing them is measured by tests/bench/list.py.)
"""

import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from nocontactd.archive import holders
from nocontactd.archive.replace import replace
from nocontactd.archive.verify import verify
from tests.archive_fixture import Clock, Made, copy, identity, noon, seal

GROUP = 100


def timed(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def fill(made: Made, records: int, days: int) -> tuple[float, float]:
    """Seconds for sealing so many texts, as many on each day, and for filling the days up with covers."""
    clock = Clock()
    archive = made.sealer(clock)
    sealing = closing = 0.0
    for day in range(days):
        numbers = range(records * day // days, records * (day + 1) // days)
        groups = [numbers[at : at + GROUP] for at in range(0, len(numbers), GROUP)]
        for group in groups:
            bodies = [b"text number %d" % number for number in group]
            sealing += timed(lambda b=bodies, g=group: seal(archive, b, g[0]))
        clock.moment = noon() + timedelta(days=day + 1)
        closing += timed(archive.close_days)
    archive.close()
    return sealing, closing


def used(folder: Path) -> int:
    """Octets that the file system gave to what is below a folder."""
    return sum(path.lstat().st_blocks * 512 for path in folder.rglob("*"))


def main() -> int:
    records, days = (int(text) for text in (sys.argv[1:] + ["100000", "100"][len(sys.argv) - 1 :]))
    folder = Path(tempfile.mkdtemp(prefix="nocontact-bench-"))
    try:
        made = copy(folder)
        sealing, closing = fill(made, records, days)
        files = sum(1 for _ in made.path.glob("mail/*/*.age"))
        mail, keys, log = (used(made.path / name) for name in ("mail", "keys", "log"))
        checking = timed(lambda: verify(made.path).ok or sys.exit("the archive is not whole"))
        resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        another = holders.create("therapist", "another therapist's seven words")
        clock = Clock(noon() + timedelta(days=days))
        rekeying = timed(lambda: replace(made.path, made.log_key, another, identity("witness"), clock))
        print(f"{records} texts over {days} days, in groups of {GROUP}; {files - records} covers beside them")
        print(f"sealing                {sealing:7.1f} s  ({1000 * sealing / records:.2f} ms a text)")
        print(f"closing the days       {closing:7.1f} s")
        print(f"verify                 {checking:7.1f} s")
        print(f"another therapist      {rekeying:7.1f} s")
        print(f"on the disk            {mail / 1e6:7.0f} MB mail, {keys / 1e6:.0f} MB keys, {log / 1e6:.0f} MB log")
        print(f"resident at most       {resident:7.0f} MB, without the passphrase")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

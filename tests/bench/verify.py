"""How long `verify` takes against `sha256sum` over the same files, alternating; and how the time divides.

PYTHONPATH=. python tests/bench/verify.py [RECORDS]
"""

import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path

from nocontactd.archive.log import Checkpoint, Signer, Tree
from tests.archive_fixture import Made, copy

ROUNDS = 7
DAYS = 64
SEALED = 10_240 + 216
"""Octets of a sealed text or short letter."""
LARGE = 25_000_000
NOCONTACT = [sys.executable, "-c", "import sys; from nocontactd.cli import main; sys.exit(main())"]


def fill(made: Made, records: int) -> None:
    """As many sealed files as asked for, in log and tree; of random octets, for nothing here opens them."""
    lines = made.leaves()
    for day in range(DAYS):
        name = (date(2026, 11, 23) + timedelta(day)).isoformat()
        folder = made.path / "mail" / name
        folder.mkdir(mode=0o700)
        for number in range(1, records // DAYS + 1):
            lines.append(write(folder / f"{number:06d}.age", SEALED))
    lines.append(write(folder / "999999.age", LARGE))
    log = "".join(f"{line}\n" for line in lines)
    tree = Tree()
    for line in lines:
        tree.add(line.encode())
    signer = Signer(made.log_key.read_text())
    note = signer.sign(Checkpoint(signer.name, tree.size, tree.root()).text())
    for place in (made.path / "log", made.path / "log" / "copy"):
        (place / "leaves").write_text(log)
        (place / "checkpoint").write_text(note)


def write(path: Path, size: int) -> str:
    data = os.urandom(size)
    path.write_bytes(data)
    return f"{path.parent.name}/{path.stem} {hashlib.sha256(data).hexdigest()} {'0' * 64}"


def main() -> None:
    records = int(sys.argv[1]) if len(sys.argv) > 1 else 12_800
    with tempfile.TemporaryDirectory(prefix="nocontact-bench-") as name:
        made = copy(Path(name))
        fill(made, records)
        files = sorted(path for path in made.path.rglob("*") if path.is_file())
        names = made.path.parent / "names"
        names.write_bytes(b"\0".join(os.fsencode(path) for path in files))
        theirs, ours = [], []
        for _round in range(ROUNDS):
            theirs.append(timed(["xargs", "-0", "-a", str(names), "sha256sum"]))
            ours.append(timed([*NOCONTACT, "verify", "--archive", str(made.path)]))
        megabytes = sum(path.stat().st_size for path in files) / 1e6
        print(f"{len(files)} files, {megabytes:.0f} MB, {ROUNDS} rounds")
        print(f"{'sha256sum':>12}  {'verify':>12}  {'times as long':>13}")
        ratio = statistics.median(our / their for our, their in zip(ours, theirs, strict=True))
        print(f"{statistics.median(theirs):>10.2f} s  {statistics.median(ours):>10.2f} s  {ratio:>13.2f}")


def timed(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()

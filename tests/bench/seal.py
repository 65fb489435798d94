"""Sealing a message whole (write, flush, read back, leaf) against the `age` program making a file of it."""

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

from nocontactd.archive import keys, seal
from nocontactd.model import Channel, Disposition, Envelope, MessageRef, Original, Part, Verdict

ROUNDS = 15


def timed(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def sealing(archive: seal.Archive, octets: bytes) -> None:
    ref = MessageRef("bench", "INBOX", 1, "1")
    envelope = Envelope(ref, Channel.MAIL, (), datetime.now(UTC), len(octets))
    with archive.batch([ref]) as batch:
        pieces = [octets[at : at + (1 << 20)] for at in range(0, len(octets), 1 << 20)]
        original = Original(envelope, iter([Part("message.eml", len(octets), pieces)]))
        batch.add(batch.records[0], original, Verdict(Disposition.SEAL, "bench"))
        assert batch.commit()


def main() -> int:
    if not shutil.which("age"):
        print("age is not installed: nothing to compare with")
        return 0
    folder = Path(tempfile.mkdtemp(prefix="nocontact-bench-"))
    try:
        now = lambda: datetime.now(UTC)  # noqa: E731
        keys.make(folder / "archive", folder / "log.key", "owner", "therapist", None, unattended=True, now=now)
        archive = seal.Archive(folder / "archive", folder / "log.key", now)
        archive.enter("coverage", ())
        recipient = next((folder / "archive/keys").glob("*.pub")).read_text().split()[-1]
        print(f"{'size':>8}  {'ours':>9}  {'age':>9}  {'times as fast':>13}")
        for name, size in (("4 KB", 4096), ("1 MB", 1 << 20), ("25 MB", 25 << 20)):
            octets = os.urandom(size)
            (folder / "plain").write_bytes(octets)
            command = ["age", "-r", recipient, "-o", str(folder / "sealed"), str(folder / "plain")]
            pairs = [
                (timed(lambda o=octets: sealing(archive, o)), timed(lambda c=command: subprocess.run(c, check=True)))
                for _ in range(ROUNDS)
            ]
            ours, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
            ratio = statistics.median(b / a for a, b in pairs)
            print(f"{name:>8}  {ours * 1000:>6.1f} ms  {theirs * 1000:>6.1f} ms  {ratio:>13.1f}")
        archive.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

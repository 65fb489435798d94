"""What the programs cost when they do nothing: start-up against a bare interpreter, memory of an idle daemon."""

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.installation import NOCONTACT, Installation
from tests.peers.dovecot import dovecot

ROUNDS = 15


def started(*command: str) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - began


def resident(pid: int) -> float:
    """Resident memory in MB."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def main() -> int:
    bare = [sys.executable, "-c", "pass"]
    print(f"{'program':>22}  {'median':>8}  {'times a bare interpreter':>24}")
    daemon = [sys.executable, "-m", "nocontactd", "--help"]
    for name, command in (("nocontact --help", [*NOCONTACT, "--help"]), ("nocontactd --help", daemon)):
        pairs = [(started(*command), started(*bare)) for _ in range(ROUNDS)]
        ratio = statistics.median(a / b for a, b in pairs)
        print(f"{name:>22}  {statistics.median(a for a, _ in pairs):>6.3f} s  {ratio:>24.1f}")
    folder = Path(tempfile.mkdtemp(prefix="nocontact-bench-"))
    try:
        with dovecot() as server:
            place = Installation(folder / "place", server).with_keys()
            running = place.daemon(folder / "journal")
            try:
                time.sleep(8)
                print(f"\nidle daemon, one mailbox, after 8 looks: {resident(running.pid):.0f} MB resident")
            finally:
                running.terminate()
                running.wait(10)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

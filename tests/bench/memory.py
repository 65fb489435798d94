"""What a first pass over a large mailbox adds to the memory of an idle daemon: the most that each had resident.

PYTHONPATH=. python tests/bench/memory.py [MESSAGES]     100,000 unless said otherwise
"""

import sys
import tempfile
import time
from pathlib import Path

from tests.bench.first_pass import fill
from tests.installation import Installation
from tests.peers.dovecot import Dovecot, dovecot

AIM = 30
"""Megabytes above an idle daemon."""


def most_resident(pid: int) -> float:
    """The high-water mark in MB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def measured(folder: Path, server: Dovecot, messages: int) -> float:
    """Of a daemon whose first pass is over, in MB."""
    owner = Installation(folder / f"owner{messages}", server, user=f"box{messages}").with_keys()
    owner.put("config.yaml", owner.config.read_text().replace("ex@abuser.example", "p0.list@abuser0.example"))
    fill(server, messages, ["list"] if messages else [], owner.user)
    running = owner.daemon(owner.folder / "journal")
    try:
        while "started" not in (owner.folder / "journal").read_text():
            time.sleep(0.05)
        while owner.nocontact("poll").returncode == 75:  # the first pass is not over
            time.sleep(1)
        time.sleep(3)
        return most_resident(running.pid)
    finally:
        running.terminate()
        running.wait(10)


def main(messages: int) -> None:
    with tempfile.TemporaryDirectory() as name, dovecot() as server:
        idle, busy = (measured(Path(name), server, count) for count in (0, messages))
    print(f"idle {idle:.0f} MB, after a first pass over {messages} messages {busy:.0f} MB at most")
    print(f"{busy - idle:.0f} MB above an idle daemon, to be under {AIM}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)

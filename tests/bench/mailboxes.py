"""One daemon with many idle mailboxes: memory and processor a mailbox, and how long until a message is gone from each.

PYTHONPATH=. python tests/bench/mailboxes.py [MAILBOXES] [none|tls]
"""

import os
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.bench.idle import resident
from tests.installation import Installation, letter
from tests.peers.authority import certify
from tests.peers.dovecot import Dovecot, dovecot

SOURCE = """\
  - source: box{number}
    host: localhost
    port: {port}
    security: {security}
    user: box{number}
    password_file: {folder}/secret
    every: 60s{ca_file}
"""
PER_BOX = 60.0
"""Seconds over which the processor time is taken: one interval."""


def installed(folder: Path, server: Dovecot, boxes: int, authority: Path | None) -> Installation:
    owner = Installation(folder, server).with_keys()
    sources = "".join(
        SOURCE.format(
            number=number,
            port=server.tls_port if authority else server.port,
            security="tls" if authority else "none",
            folder=folder,
            ca_file=f"\n    ca_file: {authority}" if authority else "",
        )
        for number in range(boxes)
    )
    owner.put("config.yaml", re.sub(r"(?s)(mail:\n).*(archive:)", rf"\1{sources}\2", owner.config.read_text()))
    return owner


def used(pid: int) -> float:
    """Processor seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def place(server: Dovecot, number: int) -> Path:
    return server.folder / "home" / f"box{number}" / "Maildir"


def deliver(inbox: Path, octets: bytes) -> None:
    """As a delivery agent does: beside, then into its place."""
    owner = inbox.stat()
    draft = inbox / "tmp" / "1.bench"
    draft.write_bytes(octets)
    os.chown(draft, owner.st_uid, owner.st_gid)
    draft.rename(inbox / "new" / "1.bench")


def until_gone(inboxes: Sequence[Path], limit: float) -> list[float]:
    """Seconds until each is empty, as far as it is within the limit."""
    began, left, taken = time.monotonic(), list(inboxes), []
    while left and time.monotonic() - began < limit:
        for inbox in tuple(left):
            if not any(entry for name in ("new", "cur") for entry in (inbox / name).iterdir()):
                left.remove(inbox)
                taken.append(time.monotonic() - began)
        time.sleep(0.05)
    return taken


def measure(folder: Path, server: Dovecot, boxes: int, authority: Path | None) -> tuple[float, float]:
    """Memory in MB and processor seconds in an interval of an idle daemon with so many mailboxes."""
    owner = installed(folder, server, boxes, authority)
    daemon = owner.daemon(folder / "journal")
    try:
        began = time.monotonic()
        while "started" not in (folder / "journal").read_text():
            time.sleep(0.05)
        while owner.nocontact("poll").returncode == 75:  # some look has not finished yet
            pass
        ready = time.monotonic() - began
        time.sleep(5)
        before = used(daemon.pid)
        time.sleep(PER_BOX)
        memory, processor = resident(daemon.pid), used(daemon.pid) - before
        print(
            f"{boxes:4} mailboxes: first look at all {ready:5.1f} s, {memory:5.0f} MB, {processor / PER_BOX:6.2%} CPU"
        )
        inboxes = [place(server, number) for number in range(boxes)]
        for number, inbox in enumerate(inboxes):
            deliver(inbox, letter("ex@abuser.example", number))
        taken = until_gone(inboxes, PER_BOX)
        last = max(taken, default=0.0)
        print(f"     a message in each: {len(taken)} gone within an interval, the last after {last:.1f} s")
        return memory, processor
    finally:
        daemon.terminate()
        daemon.wait(30)


def main(boxes: int = 200, security: str = "tls") -> None:
    with tempfile.TemporaryDirectory() as name:
        certificate = certify(Path(name) / "certificate")
        with dovecot(certificate=(certificate.chain, certificate.key), password="plain") as server:
            authority = certificate.authority if security == "tls" else None
            one = measure(Path(name) / "one", server, 1, authority)
            many = measure(Path(name) / "many", server, boxes, authority)
    memory, processor = ((many[at] - one[at]) / (boxes - 1) for at in (0, 1))
    each = 1000 * processor / PER_BOX
    print(f"a mailbox ({security}): {1000 * memory:.0f} kB, {each:.2f} ms of a processor each second")


if __name__ == "__main__":
    main(*[kind(word) for kind, word in zip((int, str), sys.argv[1:], strict=False)])

"""A pass under strace: SIGKILL, EIO and ENOSPC at every system call that touches the archive, the state or a socket.

One pass is recorded; then one pass is made for each such call, with the fault put there by
strace. Judged by what is lost, doubled, touched and left: all of them nothing. Every time some of
the calls are tried, spread over the whole pass, and in `make soak` each of them.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import forked
from tests.archive_fixture import Made, made_archive
from tests.installation import Installation
from tests.peers import missing
from tests.peers.dovecot import Dovecot, dovecot
from tests.test_killed import THEIRS, filled, others

__all__ = ["made_archive"]

CALLS = (
    "openat,read,pread64,write,pwrite64,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,mkdir,ftruncate,"
    "connect,sendto,recvfrom"
)
FLUSHES = "trace=sync,syncfs,fsync,fdatasync,sync_file_range,msync,newfstatat,stat,statx"
FAULTS = ("signal=KILL", "error=EIO", "error=ENOSPC")
TAKE_ROOM = {"openat", "write", "pwrite64", "fsync", "fdatasync", "rename", "renameat", "renameat2", "mkdir"}
"""Calls that a full disk can fail; no other ever gives ENOSPC (open(2), write(2), fsync(2), rename(2), mkdir(2))."""
PARTS = 5
"""A prime: what a pass repeats every second or fourth call falls into each of them."""
EVERY_TIME = {("signal=KILL", 0), ("signal=KILL", 2), ("error=EIO", 1), ("error=ENOSPC", 3)}
LINE = re.compile(r"^(\d+) +(\w+)\((.*)")


@dataclass(frozen=True)
class Call:
    """A system call of one thread, counted from its start by name."""

    name: str
    count: int


@pytest.fixture(scope="module")
def server() -> Iterator[Dovecot]:
    if not shutil.which("strace"):
        missing("strace is not installed (Debian: strace)")
    with dovecot() as running:
        yield running


def under_strace(place: Installation, *options: str) -> int:
    """Make a pass with strace holding the process from its first step; its exit code, negative for a signal."""
    process = forked.start(["poll"], place.environ, place.folder, stopped=True)
    pid = process.pid or 0
    wait_for(pid, "State:\tT")
    tracer = subprocess.Popen(
        ["strace", "-f", "-qq", "-yy", "-p", str(pid), "-o", place.folder / "strace", *options], stderr=subprocess.PIPE
    )
    try:
        if not wait_for(pid, f"TracerPid:\t{tracer.pid}"):
            assert tracer.stderr
            missing(f"strace may not hold a process here: {tracer.stderr.read().decode()}")
        os.kill(pid, signal.SIGCONT)
        return forked.finish(process)
    finally:
        tracer.wait(10)


def wait_for(pid: int, line: str) -> bool:
    """Until /proc says so of the process; False after five seconds."""
    for _ in range(5000):
        if f"\n{line}" in Path(f"/proc/{pid}/status").read_text():
            return True
        time.sleep(0.001)
    return False


def touching(place: Installation, *places: Path) -> list[Call]:
    """Record a pass: each call of its main thread that touches these places or a socket."""
    assert under_strace(place, "-e", f"trace={CALLS}") == 0
    counts: Counter[str] = Counter()
    found = []
    lines = [match for line in (place.folder / "strace").read_text().splitlines() if (match := LINE.match(line))]
    main = lines[0][1]
    for thread, call, words in (line.groups() for line in lines):
        if thread != main:
            continue
        counts[call] += 1
        if any(str(each) in words for each in places) or "<TCP" in words or "sin_port" in words:
            found.append(Call(call, counts[call]))
    return found


def faults(calls: list[Call], fault: str, folder: Path, server: Dovecot) -> None:
    """A pass for each of these calls, with the fault there; all of them are judged."""
    felt: list[bool] = []
    wrong = []
    if fault == "error=ENOSPC":
        calls = [call for call in calls if call.name in TAKE_ROOM]
    for number, call in enumerate(calls):
        place = filled(folder / str(number), server)
        found = judged(place, f"{call.name}:{fault}:when={call.count}")
        felt.append("felt" in found)
        wrong += [f"{call.name} {call.count}: {each}" for each in found if each != "felt"]
        place.client.logout()
        shutil.rmtree(place.folder)
    assert wrong == []
    assert sum(felt) > len(felt) * 0.9, "strace did not reach the calls that were recorded"


@pytest.mark.parametrize(
    ("fault", "part"),
    [
        pytest.param(fault, part, marks=() if (fault, part) in EVERY_TIME else pytest.mark.soak)
        for fault in FAULTS
        for part in range(PARTS)
    ],
)
def test_a_fault_at_any_call_on_archive_or_socket_loses_doubles_touches_and_leaves_nothing(
    fault: str, part: int, tmp_path: Path, server: Dovecot
) -> None:
    recorded = filled(tmp_path / "recorded", server)
    calls = touching(recorded, recorded.archive)
    assert {"fsync", "fdatasync", "rename", "sendto", "recvfrom"} <= {call.name for call in calls}
    faults(calls[part::PARTS], fault, tmp_path, server)


@pytest.mark.soak
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_at_any_call_on_the_state_loses_doubles_touches_and_leaves_nothing(
    fault: str, tmp_path: Path, server: Dovecot
) -> None:
    recorded = filled(tmp_path / "recorded", server)
    faults(touching(recorded, recorded.state, recorded.folder / "xdg"), fault, tmp_path, server)


def judged(place: Installation, fault: str) -> list[str]:
    """What was wrong after one pass with that fault and one without; `felt` when the fault was."""
    before = others(place)
    code = under_strace(place, "-e", f"trace={fault.split(':')[0]}", "-e", f"inject={fault}")
    felt = ["felt"] if "(INJECTED)" in (place.folder / "strace").read_text() or code == -signal.SIGKILL else []
    said = (place.folder / "said").read_text()
    standing = [octets for _, octets in place.mailbox().values()]
    known = place.acknowledged()
    wrong = ["lost" for each in THEIRS if each not in standing and each not in known]
    wrong += ["touched"] * (others(place) != before)
    wrong += ["traceback"] * ("Traceback" in said)
    wrong += [f"exit {code}"] * (code not in (0, 1, 73, 75, 77, 65, 78, -signal.SIGKILL))
    again = forked.finish(forked.start(["poll"], place.environ, place.folder))
    wrong += [f"the next pass ended with {again}: {(place.folder / 'said').read_text()}"] * (again != 0)
    wrong += ["left"] * (place.mailbox() != before)
    known = place.acknowledged()
    wrong += ["lost for good" for each in THEIRS if each not in known]
    wrong += ["doubled" for times in known.values() if times > 1]
    return felt + wrong


SEALS = """
import os, sys
from pathlib import Path
from tests.archive_fixture import VERDICT, Made, original, ref, seal
made, count = Made(Path(sys.argv[1]), Path(sys.argv[2])), int(sys.argv[3])
sealer = made.sealer()
seal(sealer, [b"the day's first makes its key"])
with sealer.batch([ref(uid) for uid in range(count)]) as batch:
    os.path.exists("/begin")
    for uid, record in enumerate(batch.records):
        batch.add(record, original(uid=uid), VERDICT)
    batch.commit()
    os.path.exists("/receipt")
"""


@pytest.mark.parametrize(("count", "allowed"), [(1, 3), (10, 12), (100, 102)])
def test_the_kernel_is_asked_for_no_more_flushes_before_a_receipt_than_was_promised(
    made_archive: Made, count: int, allowed: int
) -> None:
    """And every one of them reaches it: of the records, of their folder, of the log."""
    if not shutil.which("strace"):
        missing("strace is not installed (Debian: strace)")
    trace = made_archive.path.parent / "trace"
    subprocess.run(
        [
            *("strace", "-f", "-qq", "-y", "-o", trace, "-e", FLUSHES),
            *(sys.executable, "-c", SEALS, made_archive.path, made_archive.log_key, str(count)),
        ],
        cwd=Path(__file__).parents[1],
        check=True,
    )
    between = "\n".join(whole(trace.read_text().splitlines())).split('"/begin"')[1].split('"/receipt"')[0]
    flushes = [line for line in between.splitlines() if "sync" in line and str(made_archive.path) in line]
    assert len(flushes) == allowed, "\n".join(flushes)
    assert all(line.endswith("= 0") for line in flushes)


def whole(lines: list[str]) -> Iterator[str]:
    """Calls by their end: where several threads are in one at a time, strace writes its beginning and its end apart."""
    begun: dict[str, str] = {}
    for line in lines:
        thread, _blank, said = line.partition(" ")
        if said.endswith("<unfinished ...>"):
            begun[thread] = line.removesuffix("<unfinished ...>")
        elif said.lstrip().startswith("<... "):
            yield begun.pop(thread) + said.partition(" resumed>")[2]
        else:
            yield line

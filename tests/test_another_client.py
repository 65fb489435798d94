"""A daemon, or two on two machines, while another client moves, flags, deletes and expunges at random: nothing is lost.

A few seconds of it here; `make soak` has ten minutes.
"""

import random
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from nocontactd.sieve import MARK
from tests.installation import Installation
from tests.peers.dovecot import Dovecot, dovecot
from tests.peers.meddler import Journal, Meddler, token
from tests.peers.onlooker import Sights, looking


@pytest.fixture(scope="module")
def server() -> Iterator[Dovecot]:
    with dovecot(sieve=True) as running:
        yield running


def installed(folder: Path, server: Dovecot, user: str) -> Installation:
    """With a rule on the server, and a provider that says who is genuine."""
    owner = Installation(folder, server, user=user).with_keys()
    text = owner.config.read_text().replace("[ex@abuser.example]", '[ex@abuser.example, "@biz.example"]')
    at = text.index("    password_file:")
    more = f"    sieve: {{port: {server.sieve_port}}}\n    authserv_id: mx.home.example\n"
    owner.put("config.yaml", text[:at] + more + text[at:] + "max_per_pass: 100000\n")
    return owner


@contextmanager
def daemons(owners: Sequence[Installation]) -> Iterator[None]:
    running = [owner.daemon(owner.folder / "log") for owner in owners]
    try:
        yield
        assert [daemon.poll() for daemon in running] == [None] * len(running), "a daemon ended"
    finally:
        for daemon in running:
            daemon.terminate()
        for daemon in running:
            with_patience(daemon)


def with_patience(daemon: "subprocess.Popen[bytes]") -> None:
    try:
        daemon.wait(30)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()


def meddle(
    folder: Path, server: Dovecot, *, seconds: float, seed: int, machines: int = 1, pace: float = 0.02
) -> Journal:
    """Let them be at it for so long, then wait until the daemons are through; what is not as it must be fails."""
    user = f"{folder.name}@home.example"
    owners = [installed(folder / str(number), server, user) for number in range(machines)]
    meddler = Meddler(server, user, seed, server.lmtp_port)
    pauses = random.Random(seed)  # not for secrets
    try:
        with daemons(owners):
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                meddler.act()
                time.sleep(pauses.expovariate(1 / pace))
            sights = drained(server, user, meddler.journal)
    finally:
        meddler.close()
    sealed = {token(octets) for owner in owners for octets in owner.acknowledged()}
    print(f"{meddler.journal.done}; {len(meddler.journal.others)} of others stand, {len(sealed)} are sealed")
    faults = meddler.journal.faults(sights, sealed, machines)
    assert not faults, faults
    return meddler.journal


def drained(server: Dovecot, user: str, journal: Journal) -> Sights:
    """The mailbox once nothing of a listed person stands there any more and nothing waits in the rule's folder."""
    until = time.monotonic() + 60
    with looking(server, user) as client:
        while True:
            sights = client.everything()
            left = [at for at, sight in sights.items() if token(sight.octets) in journal.listed or MARK in sight.flags]
            if not left:
                return sights
            assert time.monotonic() < until, f"still there: {left}"
            time.sleep(0.2)


def test_while_another_client_meddles_nothing_is_lost_and_nobody_is_touched(tmp_path: Path, server: Dovecot) -> None:
    journal = meddle(tmp_path, server, seconds=3, seed=1)
    assert journal.listed and journal.others and journal.misfiled


def test_two_machines_at_one_mailbox_lose_nothing(tmp_path: Path, server: Dovecot) -> None:
    """No lock is common to them. What both seal is sealed twice; nothing is in neither archive."""
    journal = meddle(tmp_path, server, seconds=2, seed=2, machines=2)
    assert journal.listed and journal.others


@pytest.mark.soak
@pytest.mark.parametrize(("machines", "seconds"), [(1, 600), (2, 120)])
def test_ten_minutes_of_it(tmp_path: Path, server: Dovecot, machines: int, seconds: float) -> None:
    journal = meddle(tmp_path, server, seconds=seconds, seed=time.time_ns(), machines=machines)
    assert sum(journal.done.values()) > seconds

"""What goes wrong in real life: an error that says what was not done, nothing lost, and the next pass finishes."""

import shutil
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import forked
from tests.installation import Installation, letter
from tests.peers import missing
from tests.peers.dovecot import Dovecot, dovecot
from tests.peers.faulty import CLIENT, CLOSE, RESET, SERVER, Fault, Place, bad_network
from tests.peers.imap_proxy import ImapProxy, imap_proxy
from tests.test_killed import OTHERS, THEIRS, filled, others, through


@pytest.fixture(scope="module")
def server() -> Iterator[Dovecot]:
    with dovecot() as running:
        yield running


@pytest.fixture
def proxy(server: Dovecot) -> Iterator[ImapProxy]:
    with imap_proxy(server.host, server.port) as running:
        yield running


def poll(place: Installation) -> tuple[int, str]:
    """A pass: its exit code, and what it said."""
    said = place.folder / "said"
    said.unlink(missing_ok=True)
    return forked.finish(forked.start(["poll"], place.environ, place.folder)), said.read_text()


def assert_finished(place: Installation, before: dict[tuple[str, int], tuple[bytes, bytes]]) -> None:
    code, said = poll(place)
    assert (code, said) == (0, "")
    assert place.mailbox() == before
    assert place.acknowledged() == Counter(THEIRS)


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Callable[[str], None]]:
    """A tmpfs over the folder, with what was in it; what is yielded mounts it anew with other options."""

    def mount(options: str) -> None:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, text=True, check=False
        )
        if done.returncode:
            missing(f"a small disk cannot be mounted here: {done.stderr.strip()}")

    kept = folder.with_name(folder.name + ".kept")
    folder.rename(kept)
    folder.mkdir(mode=0o700)
    mount(f"size={size},mode=0700")
    try:
        subprocess.run(["cp", "-a", f"{kept}/.", folder], check=True)
        yield lambda options: mount(f"remount,{options}")
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def test_a_full_disk_loses_nothing_and_is_named(tmp_path: Path, server: Dovecot) -> None:
    place = filled(tmp_path / "place", server)
    many = [letter("ex@abuser.example", 100 + number) for number in range(12)]
    place.deliver(*many)
    before = {where: each for where, each in others(place).items() if each[1] not in many}
    with small_disk(place.archive, "160k") as again:
        code, said = poll(place)
        assert code == 73
        assert "No space left" in said and "nothing was removed" in said and "Traceback" not in said
        standing = {octets for _, octets in place.mailbox().values()}
        assert standing | set(place.acknowledged()) >= {*THEIRS, *many}
        again("size=100m")
        assert poll(place) == (0, "")
        assert place.acknowledged() == Counter([*THEIRS, *many])
        assert place.mailbox() == before
        assert place.nocontact("verify").returncode == 0


def test_an_archive_that_is_read_only_loses_nothing_and_is_named(tmp_path: Path, server: Dovecot) -> None:
    place = filled(tmp_path / "place", server)
    everything = place.mailbox()
    before = others(place)
    with small_disk(place.archive, "100m") as again:
        again("ro")
        code, said = poll(place)
        assert code == 73
        assert "Read-only" in said and "Traceback" not in said
        assert place.mailbox() == everything
        again("rw")
        assert_finished(place, before)


def test_the_second_of_two_polls_at_once_is_told_to_come_again(
    tmp_path: Path, server: Dovecot, proxy: ImapProxy
) -> None:
    place = filled(tmp_path / "place", server)
    before = others(place)
    through(place, proxy.port)
    held, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        held.set()
        go_on.wait(30)

    proxy.arm(8, "after", hold)
    first = forked.start(["poll"], place.environ, place.folder)
    assert held.wait(30)
    second = place.nocontact("poll")
    go_on.set()
    assert second.returncode == 75
    assert "another process is at work" in second.stderr and "nothing was done" in second.stderr
    assert second.stderr.startswith("nocontact: error: ") and "nocontact: hint: " in second.stderr
    assert forked.finish(first) in (0, 75)  # its connection ended there
    proxy.arm(0, "", lambda: None)
    assert_finished(place, before)


@pytest.mark.parametrize("at", [1, 3, 4, 7, 9, 12, 14, 16, 18, 19, 20])
def test_a_connection_that_is_dropped_loses_nothing(tmp_path: Path, server: Dovecot, proxy: ImapProxy, at: int) -> None:
    place = filled(tmp_path / "place", server)
    before = others(place)
    through(place, proxy.port)
    proxy.arm(at, "after", lambda: None)
    code, said = poll(place)
    assert code in (0, 75, 77) and "Traceback" not in said
    proxy.arm(0, "", lambda: None)
    assert others(place) == before
    assert_finished(place, before)


@pytest.mark.soak
@pytest.mark.parametrize("kind", [CLOSE, RESET])
@pytest.mark.parametrize("side", [CLIENT, SERVER])
def test_a_conversation_of_the_whole_program_that_is_cut_anywhere_loses_nothing(
    tmp_path: Path, server: Dovecot, side: str, kind: str
) -> None:
    with bad_network(server.host, server.port) as calm:
        place = filled(tmp_path / "calm", server)
        through(place, calm.port)
        assert poll(place) == (0, "")
    for part in range(12):
        place = filled(tmp_path / f"{side}{kind}{part}", server)
        before = others(place)
        with bad_network(
            server.host, server.port, Fault(Place(side, len(calm.said[side]) * part // 12), kind)
        ) as rough:
            through(place, rough.port)
            code, said = poll(place)
            assert rough.struck
            assert code in (0, 75, 77) and "Traceback" not in said
            assert others(place) == before
            rough.mend()
            assert_finished(place, before)


def test_a_refused_login_is_told_apart_and_changes_nothing(tmp_path: Path, server: Dovecot) -> None:
    place = filled(tmp_path / "place", server)
    everything = place.mailbox()
    before = others(place)
    place.put("secret", "wrong")
    code, said = poll(place)
    assert code == 77 and said.startswith("nocontact: error: home: ") and "nocontact: hint: " in said
    assert place.mailbox() == everything
    place.put("secret", server.password)
    assert_finished(place, before)


def test_without_keys_nothing_is_looked_at(tmp_path: Path, server: Dovecot) -> None:
    place = Installation(tmp_path / "place", server)
    place.deliver(THEIRS[0], OTHERS[0])
    everything = place.mailbox()
    done = place.nocontact("poll")
    assert done.returncode == 78 and "nocontact keys init" in done.stderr
    assert place.mailbox() == everything


def test_a_state_that_was_lost_costs_second_copies_at_most(tmp_path: Path, server: Dovecot) -> None:
    place = filled(tmp_path / "place", server)
    before = others(place)
    assert poll(place) == (0, "")
    shutil.rmtree(place.state)
    place.deliver(letter("ex@abuser.example", 77))
    assert poll(place) == (0, "")
    assert set(place.acknowledged()) == {*THEIRS, letter("ex@abuser.example", 77)}
    assert place.mailbox() == before
    assert place.nocontact("verify").returncode == 0

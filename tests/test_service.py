"""The daemon as a process of its own, against a real Dovecot: start, signals, the file that changes, the end."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from nocontactd import state, status
from tests.installation import Installation, letter
from tests.peers.dovecot import Dovecot, dovecot

EX, FRIEND = letter("ex@abuser.example", 1), letter("nadia@friends.example", 2)
SECOND = """\
  - source: second
    host: 127.0.0.1
    port: {port}
    security: none
    user: second
    password_file: {folder}/secret
    every: 1s
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dovecot]:
    with dovecot() as running:
        yield running


@pytest.fixture
def place(tmp_path: Path, server: Dovecot) -> Installation:
    place = Installation(tmp_path, server).with_keys()
    edit(place, "every: 1s", "every: 1h")  # what happens here happens at once, or not by the schedule
    return place


def edit(place: Installation, old: str, new: str) -> None:
    text = place.config.read_text()
    assert old in text
    write(place, text.replace(old, new))


def write(place: Installation, text: str) -> None:
    """As an editor does: in place, so that its beginning can be seen alone."""
    place.config.write_text(text)


class Daemon:
    """A running daemon and what it says."""

    def __init__(self, place: Installation, process: "subprocess.Popen[bytes]", journal: Path) -> None:
        self.place, self.process, self._journal = place, process, journal

    @property
    def journal(self) -> str:
        return self._journal.read_text()

    def status(self) -> status.Status | None:
        return status.read(self.place.state)

    def until(self, true: Callable[[], object], seconds: float = 15.0) -> None:
        end = time.monotonic() + seconds
        while not true():
            assert self.process.poll() is None, f"the daemon ended: {self.journal}"
            assert time.monotonic() < end, f"it did not come about: {self.journal}"
            time.sleep(0.05)

    def sources(self) -> dict[str, str | None]:
        """What is wrong with each source."""
        said = self.status()
        return {source.source: source.problem for source in said.sources} if said else {}

    def healthy(self) -> bool:
        said = self.status()
        return said is not None and said.healthy and state.held(self.place.state)

    def settled(self) -> None:
        """Let it see whatever has changed."""
        time.sleep(1.6)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> float:
        """End it; how long that took."""
        begun = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(20)
        return time.monotonic() - begun


@contextmanager
def daemon(place: Installation, **environ: str) -> Iterator[Daemon]:
    """A daemon that has started, is looking, and ends with the test."""
    journal = place.folder / "journal"
    (place.state / "status.json").unlink(missing_ok=True)
    process = place.daemon(journal, **environ)
    try:
        running = Daemon(place, process, journal)
        running.until(running.status)
        yield running
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(10)


def start(place: Installation, **environ: str) -> "subprocess.CompletedProcess[str]":
    """A daemon that is not to start at all."""
    command = [sys.executable, "-m", "nocontactd"]
    return subprocess.run(command, env=place.environ | environ, capture_output=True, text=True, timeout=30, check=False)


def senders(place: Installation) -> str:
    return b"".join(octets for _, octets in place.mailbox().values()).decode()


def accepted(place: Installation) -> str:
    return (place.state / "accepted.json").read_text()


def test_the_first_look_is_made_at_once_and_the_end_is_quick_and_clean(place: Installation) -> None:
    place.deliver(EX, FRIEND)
    with daemon(place) as running:
        running.until(lambda: "ex@abuser.example" not in senders(place))
        running.until(running.healthy)
        assert "nadia@friends.example" in senders(place)
        assert running.stop() < 3
        assert running.process.returncode == 0
        assert not state.held(place.state)
    assert "abuser" not in running.journal


def test_an_entry_at_a_court_is_warned_of_in_the_journal_without_naming_it(place: Installation) -> None:
    with daemon(place) as running:
        assert "warning" not in running.journal
        edit(place, "[ex@abuser.example]", "[ex@abuser.example, pc.canary@kent.police.uk]")
        running.until(lambda: f"{place.config}:3:31: warning: this address is at a court" in running.journal)
        assert running.healthy()
    assert "canary" not in running.journal


def test_a_second_daemon_is_refused_on_the_same_state_and_on_the_same_archive(place: Installation) -> None:
    with daemon(place) as running:
        refused = start(place)
        assert (refused.returncode, refused.stdout) == (75, "")
        assert "nothing was done" in refused.stderr
        other = place.put("other.yaml", place.config.read_text().replace(str(place.state), str(place.folder / "new")))
        refused = start(place, NOCONTACT_CONFIG=str(other))
        assert refused.returncode == 75
        assert "archive" in refused.stderr
        assert running.process.poll() is None


def test_without_a_configuration_or_keys_it_does_not_start(tmp_path: Path, server: Dovecot) -> None:
    place = Installation(tmp_path, server)
    refused = start(place)
    assert refused.returncode == 78
    assert "nocontact keys init" in refused.stderr
    for text in ("", "blocked: [\n", place.config.read_text() + "nonsense: 1\n"):
        other = place.put("bad.yaml", text.replace(str(place.state), str(tmp_path / "unused")))
        refused = start(place, NOCONTACT_CONFIG=str(other))
        assert refused.returncode == 78
        assert f"nocontactd: error: {other}:" in refused.stderr
    assert start(place, NOCONTACT_CONFIG=str(tmp_path / "none.yaml")).returncode == 78


def test_a_person_more_is_taken_out_as_soon_as_the_file_is_saved(place: Installation) -> None:
    place.deliver(FRIEND)
    with daemon(place) as running:
        running.until(running.healthy)
        edit(place, "mail: [ex@abuser.example]", "mail: [ex@abuser.example, nadia@friends.example]")
        running.until(lambda: "nadia@friends.example" not in senders(place))


def test_sighup_reads_the_file_and_looks_at_once(place: Installation) -> None:
    with daemon(place) as running:
        running.until(running.healthy)
        place.deliver(EX)
        running.process.send_signal(signal.SIGHUP)
        running.until(lambda: "ex@abuser.example" not in senders(place))
        assert running.healthy()


def test_a_source_more_is_looked_at_at_once_and_one_less_goes_on(place: Installation, server: Dovecot) -> None:
    second = Installation(place.folder / "second", server, user="second")
    with daemon(place) as running:
        running.until(running.healthy)
        second.deliver(EX)
        before = place.config.read_text()
        edit(place, "archive:", SECOND.format(port=server.port, folder=place.folder) + "archive:")
        running.until(lambda: senders(second) == "")
        write(place, before)
        running.settled()
        second.deliver(EX)
        running.until(lambda: senders(second) == "")
        running.until(running.healthy)


def test_a_bad_new_file_leaves_the_old_rules_running_and_at_a_restart_too(place: Installation) -> None:
    with daemon(place) as running:
        running.until(running.healthy)
        write(place, "blocked: [\n")
        running.until(lambda: not running.healthy())
        said = running.status()
        assert said is not None
        assert "config.yaml:" in said.problems[0]
        running.stop()
    place.deliver(EX)
    with daemon(place) as running:
        running.until(lambda: "ex@abuser.example" not in senders(place))
        said = running.status()
        assert said is not None
        assert not said.healthy
    shown = place.nocontact("status")
    assert shown.returncode == 1


def test_a_file_that_is_cut_lets_nobody_through_while_running_and_after_a_restart(place: Installation) -> None:
    text = place.config.read_text()
    archive = next(line for line in text.splitlines() if line.startswith("archive:"))
    text = f"{archive}\n" + text.replace(f"{archive}\n", "")  # so that beginnings are whole configurations
    write(place, text)
    with daemon(place) as running:
        running.until(running.healthy)
        for end in (text.index("every:"), text.index("password_file") + 30):
            write(place, text[:end])
            running.settled()
            place.deliver(EX)
            running.process.send_signal(signal.SIGHUP)
            running.until(lambda: "ex@abuser.example" not in senders(place))
        running.stop()
    write(place, text[: text.index("mail:") + 5])
    place.deliver(EX)
    with daemon(place) as running:
        running.until(lambda: "ex@abuser.example" not in senders(place))


def test_a_loosening_is_shown_cancelled_or_comes_into_force_when_due(place: Installation) -> None:
    write(place, place.config.read_text() + "loosening: {delay: 4s}\n")
    with daemon(place) as running:
        running.until(running.healthy)
        edit(place, "Alex Canaryname", "Somebody Else")
        edit(place, "mail: [ex@abuser.example]", "mail: [other@abuser.example]")
        running.until(lambda: '"waiting": []' not in accepted(place))
        waiting = json.loads(place.nocontact("pending", "--json").stdout)
        assert {item["what"] for item in waiting} == {
            "no longer listed: ex@abuser.example",
            "no longer listed: Alex Canaryname",
        }
        name = next(item["id"] for item in waiting if "Canaryname" in item["what"])
        assert place.nocontact("cancel", name).returncode == 0
        assert len(json.loads(place.nocontact("pending", "--json").stdout)) == 1
        running.until(lambda: "ex@abuser.example" not in accepted(place))
        assert json.loads(place.nocontact("pending", "--json").stdout) == []
        assert "Alex Canaryname" in accepted(place)
        place.deliver(EX)
        running.process.send_signal(signal.SIGHUP)
        running.settled()
        assert "ex@abuser.example" in senders(place)
    assert "abuser" not in running.journal
    assert "Canary" not in running.journal


def test_a_secret_that_is_missing_is_a_problem_and_its_new_place_holds_at_once(place: Installation) -> None:
    (place.folder / "secret").unlink()
    with daemon(place) as running:
        running.until(lambda: "secret" in (running.sources().get("home") or ""))
        place.put("moved", place.server.password)
        edit(place, "/secret", "/moved")
        running.until(running.healthy)


def test_another_archive_is_taken_into_use_when_it_has_waited(place: Installation) -> None:
    other, before = place.folder / "other", records(place.archive)
    shutil.copytree(place.archive, other)
    write(place, place.config.read_text() + "loosening: {delay: 1s}\n")
    with daemon(place) as running:
        running.until(running.healthy)
        edit(place, f"path: {place.archive}", f"path: {other}")
        running.until(lambda: running.journal.count("started") == 2)
        running.until(running.healthy)
        place.deliver(EX)
        running.process.send_signal(signal.SIGHUP)
        running.until(lambda: "ex@abuser.example" not in senders(place))
    # a look and the change, and perhaps what followed a sign
    assert before + 2 <= records(place.archive) <= before + 3
    assert records(other) == before + 2  # a look and the message


def records(archive: Path) -> int:
    return len(list((archive / "mail").rglob("*.age")))


def test_poll_asks_the_daemon(place: Installation) -> None:
    with daemon(place) as running:
        running.until(running.healthy)
        place.deliver(EX)
        done = place.nocontact("poll")
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert "ex@abuser.example" not in senders(place)


def test_poll_looks_by_itself_where_no_daemon_runs_by_the_rules_in_force(place: Installation) -> None:
    assert place.nocontact("poll").returncode == 0
    place.deliver(EX)
    edit(place, "mail: [ex@abuser.example]", "mail: [other@abuser.example]")
    assert place.nocontact("poll").returncode == 0
    assert "ex@abuser.example" not in senders(place)
    assert "ex@abuser.example" in place.nocontact("pending").stdout


def test_systemd_is_told_of_readiness_reloading_looks_and_the_end(place: Installation) -> None:
    edit(place, "every: 1h", "every: 1s")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(place.folder / "notify"))
        manager.settimeout(15)
        with daemon(place, NOTIFY_SOCKET=str(place.folder / "notify"), WATCHDOG_USEC="60000000") as running:
            heard = [manager.recv(200).decode() for _ in range(3)]
            assert heard[0].splitlines()[0] == "READY=1"
            assert heard[1:] == ["WATCHDOG=1", "WATCHDOG=1"]
            running.process.send_signal(signal.SIGHUP)
            while not (reloading := manager.recv(200).decode()).startswith("RELOADING=1"):
                assert reloading == "WATCHDOG=1"
            assert "MONOTONIC_USEC=" in reloading
            while not (ready := manager.recv(200).decode()).startswith("READY=1"):
                assert ready == "WATCHDOG=1"
            running.stop()
            manager.settimeout(0.5)
            last = []
            with suppress(TimeoutError):
                while True:
                    last.append(manager.recv(200).decode())
            assert last[-1] == "STOPPING=1"


def test_a_server_that_never_answers_delays_no_other_source_and_starves_the_watchdog(
    place: Installation, server: Dovecot
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(place.folder / "notify"))
        edit(place, "every: 1h", "every: 1s")
        edit(place, "archive:", SECOND.format(port=silent.getsockname()[1], folder=place.folder) + "archive:")
        with daemon(place, NOTIFY_SOCKET=str(place.folder / "notify"), WATCHDOG_USEC="60000000") as running:
            for _ in range(2):
                place.deliver(EX)
                running.until(lambda: "ex@abuser.example" not in senders(place))
            assert running.sources() == {"home": None, "second": "the first look has not finished yet"}
            assert running.stop() < 10
            assert running.process.returncode == 0
            manager.setblocking(False)
            heard = []
            with suppress(BlockingIOError):
                while True:
                    heard.append(manager.recv(200).decode())
            assert "WATCHDOG=1" not in heard


def test_the_daemon_is_small_and_shuts_its_doors(place: Installation) -> None:
    with daemon(place) as running:
        running.until(running.healthy)
        said = Path(f"/proc/{running.process.pid}/status").read_text()
        limits = Path(f"/proc/{running.process.pid}/limits").read_text()
        resident = next(int(line.split()[1]) for line in said.splitlines() if line.startswith("VmRSS"))
        assert resident < 60 * 1024, f"{resident} KB"
        assert next(line for line in limits.splitlines() if "core file" in line).split()[4:6] == ["0", "0"]
        assert next(line for line in said.splitlines() if line.startswith("Umask")).split()[1] == "0077"
        assert b"abuser" not in Path(f"/proc/{running.process.pid}/cmdline").read_bytes()


def test_what_an_earlier_daemon_said_is_gone_before_a_new_one_is_ready(place: Installation) -> None:
    said = status.Status(True, datetime(2026, 11, 22, tzinfo=UTC), ())
    status.write(place.state, said)
    shutil.rmtree(place.archive)
    assert start(place).returncode == 78
    assert status.read(place.state) is None


def test_a_daemon_that_is_killed_starts_again(place: Installation) -> None:
    with daemon(place) as running:
        running.until(running.healthy)
        running.stop(signal.SIGKILL)
    assert not status.running(place.state)
    with daemon(place) as running:
        running.until(running.healthy)


def test_libraries_say_nothing_even_when_everything_is_to_be_said(place: Installation) -> None:
    place.deliver(EX, FRIEND)
    with daemon(place, NOCONTACT_LOG="DEBUG") as running:
        running.until(lambda: "home: looked" in running.journal)
        running.stop()
    own = ("home: ", "started", "ending", "ceremony: ", "this process is not kept ")
    assert all(line.startswith(own) for line in running.journal.splitlines())


@pytest.mark.parametrize("word", ["--help", "--version"])
def test_help_and_version_need_nothing(word: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "nocontactd", word],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    assert done.returncode == 0
    assert "nocontactd" in done.stdout


def test_an_unknown_option_is_a_usage_error() -> None:
    command = [sys.executable, "-m", "nocontactd", "--nonsense"]
    assert subprocess.run(command, capture_output=True, check=False, timeout=20).returncode == 2

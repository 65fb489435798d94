"""The service over sources that do as a test tells them: in this process, on the real schedule, at short intervals."""

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from signal import SIGTERM

import pytest

from nocontactd import status
from nocontactd.assemble import Job, Parts
from nocontactd.coverage import Coverage, Facts
from nocontactd.decide import Policy, compile_rules
from nocontactd.errors import CredentialError, SourceError, UnreachableError
from nocontactd.in_force import InForce
from nocontactd.model import Cursor, Disposition, Look
from nocontactd.service import Service
from tests.memory_archive import MemoryLedger
from tests.test_loosening import CONFIG, HOME


class Told:
    """A source that counts looks, and does in each what it is told to."""

    def __init__(self, name: str, act: Callable[[], None] = lambda: None) -> None:
        self.name = name
        self.act = act
        self.looks = 0
        self.closed = False

    def scan(self, _cursors: object, _rules: str) -> Iterator[Look]:
        self.looks += 1
        self.act()
        yield Look("INBOX", 1, 1, 0)

    def written(self, _cursors: object) -> Iterator[Look]:
        return iter(())

    def remove(self, _receipts: object) -> None:
        raise AssertionError("nothing is to be removed here")

    def close(self) -> None:
        self.closed = True


class Ledger(MemoryLedger):
    """A ledger that numbers looks."""

    def next_look(self, _source: str) -> int:
        return 1


class Installed:
    """A service with these sources, and a socket on which it speaks to systemd."""

    def __init__(self, folder: Path, *sources: Told, every: float = 0.1, watchdog: float | None = None) -> None:
        self.folder = folder
        self.entered: list[dict[str, str]] = []
        self.moved_by = 0.0
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.manager.bind(str(folder / "notify"))
        self.manager.setblocking(False)
        environ = {"NOTIFY_SOCKET": str(folder / "notify")}
        if watchdog:
            environ["WATCHDOG_USEC"] = str(int(watchdog * 1e6))
        jobs = tuple(Job(source.name, every, source, None, replace(HOME, name=source.name)) for source in sources)  # type: ignore[arg-type]
        policy = Policy(compile_rules((), None), Disposition.PASS, 10, "digest")
        self.ledger = Ledger()
        self.parts = Parts(jobs, None, self.ledger, policy, Coverage(self._enter), timedelta(7), ("a remark",))  # type: ignore[arg-type]
        rules = InForce(CONFIG, folder, (), ())
        self.service = Service(folder / "config.yaml", environ, rules, self.parts, self._now, time.monotonic)

    def _enter(self, _kind: str, facts: Facts) -> None:
        self.entered.append(dict(facts))

    def _now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.moved_by)

    def heard(self) -> list[str]:
        """What systemd was told since this was last asked."""
        lines = []
        while True:
            try:
                lines += self.manager.recv(1000).decode().splitlines()
            except BlockingIOError:
                return lines

    def until(self, true: Callable[[], object], seconds: float = 5.0) -> None:
        """Tick until something is so."""
        end = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < end, "it did not come about"
            self.service.tick(frozenset())
            time.sleep(0.01)

    def status(self) -> status.Status:
        said = status.read(self.folder)
        assert said
        return said


@contextmanager
def running(installed: Installed) -> Iterator[Installed]:
    """Start, and end what is not ended yet."""
    installed.service.start()
    try:
        yield installed
    finally:
        if not installed.service.ending:
            installed.service.end()
        installed.manager.close()


def hang(until: threading.Event) -> Callable[[], None]:
    return lambda: [None, until.wait(20)][0]


def test_every_source_is_looked_at_at_once_and_then_on_its_interval(tmp_path: Path) -> None:
    home, work = Told("home"), Told("work")
    with running(Installed(tmp_path, home, work)) as installed:
        begun = time.monotonic()
        installed.until(lambda: home.looks and work.looks)
        assert time.monotonic() - begun < 0.5
        installed.until(lambda: home.looks > 4 and work.looks > 4)
        assert time.monotonic() - begun > 0.35
        assert installed.status().healthy


def test_a_source_that_hangs_delays_no_other_and_stops_the_watchdog(tmp_path: Path) -> None:
    release = threading.Event()
    home, work = Told("home"), Told("work")
    with running(Installed(tmp_path, home, work, watchdog=1.0)) as installed:
        installed.until(lambda: home.looks > 3 and work.looks > 3)
        assert "WATCHDOG=1" in installed.heard()
        home.act = hang(release)
        before = work.looks
        installed.until(lambda: work.looks > before + 8)
        time.sleep(0.5)
        installed.heard()
        before = work.looks
        installed.until(lambda: work.looks > before + 5)
        assert "WATCHDOG=1" not in installed.heard()
        release.set()
        home.act = lambda: None
        installed.until(lambda: "WATCHDOG=1" in installed.heard())


def test_the_watchdog_is_not_fed_before_every_source_was_looked_at(tmp_path: Path) -> None:
    release = threading.Event()
    home, work = Told("home"), Told("work", hang(release))
    with running(Installed(tmp_path, home, work, watchdog=60.0)) as installed:
        installed.until(lambda: home.looks > 5)
        assert "WATCHDOG=1" not in installed.heard()
        release.set()
        installed.until(lambda: "WATCHDOG=1" in installed.heard())


def test_the_watchdog_is_asked_for_patience_where_looks_are_far_apart(tmp_path: Path) -> None:
    with running(Installed(tmp_path, Told("home"), every=7200.0, watchdog=60.0)) as installed:
        assert f"WATCHDOG_USEC={(60 + 2 * 7200) * 1_000_000}" in installed.heard()


def test_readiness_and_the_end_are_told(tmp_path: Path) -> None:
    home = Told("home")
    with running(Installed(tmp_path, home)) as installed:
        assert "READY=1" in installed.heard()
        installed.service.tick(frozenset({SIGTERM}))
        installed.service.end()
        assert installed.heard() == ["STOPPING=1"]
        assert home.closed


def test_a_known_error_is_told_once_and_the_look_counts_as_finished(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise SourceError("home: the server is unreachable")

    home = Told("home", fail)
    with caplog.at_level(logging.INFO, "nocontactd"), running(Installed(tmp_path, home, watchdog=60.0)) as installed:
        installed.until(lambda: home.looks > 4)
        assert installed.status().sources[0].problem == "the server is unreachable"
        assert "WATCHDOG=1" in installed.heard()
        home.act = lambda: None
        installed.until(lambda: installed.status().healthy)
    assert caplog.messages.count("home: the server is unreachable") == 1
    assert caplog.messages.count("home: well again") == 1


def test_an_error_of_the_program_is_told_by_its_kind_alone_and_ends_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise KeyError("canary@abuser.example")

    home, work = Told("home", fail), Told("work")
    with caplog.at_level(logging.DEBUG, "nocontactd"), running(Installed(tmp_path, home, work)) as installed:
        installed.until(lambda: home.looks > 2 and work.looks > 2)
        assert "KeyError" in (installed.status().sources[0].problem or "")
    assert "KeyError" in caplog.text
    assert "canary" not in caplog.text + (tmp_path / "status.json").read_text()


def test_a_refused_login_is_not_tried_at_every_interval_but_on_request(tmp_path: Path) -> None:
    def refuse() -> None:
        raise CredentialError("home: the login was refused")

    home, work = Told("home", refuse), Told("work")
    with running(Installed(tmp_path, home, work)) as installed:
        installed.until(lambda: work.looks > 8)
        assert home.looks == 1
        status.ask(tmp_path, "token")
        installed.until(lambda: status.answer(tmp_path, "token"))
        assert home.looks == 2


def test_a_server_that_cannot_be_reached_is_not_tried_at_every_interval_but_on_request(tmp_path: Path) -> None:
    def away() -> None:
        raise UnreachableError("home: the server cannot be reached")

    home, work = Told("home", away), Told("work")
    with running(Installed(tmp_path, home, work)) as installed:
        installed.until(lambda: work.looks > 12)
        assert home.looks <= 3
        status.ask(tmp_path, "token")
        installed.until(lambda: status.answer(tmp_path, "token"))
        assert home.looks <= 4


def test_a_request_is_answered_when_every_source_has_finished_a_look_that_began_after_it(tmp_path: Path) -> None:
    release, again = threading.Event(), threading.Event()
    home, work = Told("home", hang(release)), Told("work")
    with running(Installed(tmp_path, home, work, every=3600.0)) as installed:
        installed.until(lambda: home.looks and work.looks)
        status.ask(tmp_path, "token")
        installed.until(lambda: work.looks == 2)

        def fail() -> None:
            again.wait(20)
            raise CredentialError("home: the login was refused", "see the password")

        home.act = fail
        release.set()
        installed.until(lambda: home.looks == 2)
        assert status.answer(tmp_path, "token") is None
        again.set()
        installed.until(lambda: status.answer(tmp_path, "token"))
        assert status.answer(tmp_path, "token") == status.Answer(
            "token", 77, (status.Problem("home", "home: the login was refused", "see the password"),)
        )


def test_a_request_is_taken_note_of_at_once_and_told_which_looks_are_open(tmp_path: Path) -> None:
    release = threading.Event()
    home, work = Told("home", hang(release)), Told("work")
    with running(Installed(tmp_path, home, work, every=3600.0)) as installed:
        installed.until(lambda: home.looks and work.looks and not installed.service._watches["work"].busy)
        status.ask(tmp_path, "token")
        installed.service.tick(frozenset())
        noted = status.progress(tmp_path, "token")
        assert noted
        assert (noted.finished, noted.exit_code) == (False, 75)
        assert [problem.source for problem in noted.problems] == ["home", "work"]
        installed.until(lambda: work.looks == 2 and not installed.service._watches["work"].busy)
        installed.service.tick(frozenset())
        noted = status.progress(tmp_path, "token")
        assert noted
        assert [problem.message for problem in noted.problems] == ["home: the look has not finished yet; it goes on"]
        release.set()
        installed.until(lambda: status.answer(tmp_path, "token") == status.Answer("token", 0, ()))


def test_a_clock_that_was_set_has_the_status_written_anew(tmp_path: Path) -> None:
    """By the new clock the old one would be hours old, or of the future; so too after a machine slept."""
    with running(Installed(tmp_path, Told("home"), every=3600.0)) as installed:
        installed.until(lambda: installed.status().healthy)
        os.utime(tmp_path / "status.json", (0, 0))
        installed.service.tick(frozenset())
        assert (tmp_path / "status.json").stat().st_mtime == 0
        installed.moved_by = 3600.0
        installed.service.tick(frozenset())
        assert (tmp_path / "status.json").stat().st_mtime > 0


def test_a_request_left_by_somebody_long_ago_is_not_answered(tmp_path: Path) -> None:
    status.ask(tmp_path, "old")
    home = Told("home")
    with running(Installed(tmp_path, home, every=3600.0)) as installed:
        installed.until(lambda: home.looks)
        installed.service.tick(frozenset())
        time.sleep(0.2)
        installed.service.tick(frozenset())
        assert (home.looks, status.answer(tmp_path, "old")) == (1, None)


def test_a_clock_set_back_does_not_stop_the_looks(tmp_path: Path) -> None:
    home = Told("home")
    with running(Installed(tmp_path, home, every=30.0)) as installed:
        installed.until(lambda: home.looks == 1)
        installed.moved_by = -86400.0
        installed.until(lambda: home.looks == 2)


def test_the_end_cuts_a_look_at_its_next_step_and_seals_what_is_known(tmp_path: Path) -> None:
    release = threading.Event()
    home = Told("home", hang(release))
    with running(Installed(tmp_path, home)) as installed:
        installed.until(lambda: home.looks)
        threading.Timer(0.3, release.set).start()
        installed.service.end()
        assert not installed.service.stuck
        assert home.closed
        assert installed.entered[-1]["failed"] == "1"
        assert "cut short" in installed.entered[-1]["state"]


def test_a_look_that_does_not_end_holds_up_the_end_for_seconds_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nocontactd.service.GRACE", 0.3)
    release = threading.Event()
    home = Told("home", hang(release))
    with running(Installed(tmp_path, home)) as installed:
        installed.until(lambda: home.looks)
        begun = time.monotonic()
        installed.service.end()
        assert time.monotonic() - begun < 2
        assert installed.service.stuck
        release.set()


def test_a_look_that_is_late_is_made_all_the_same(tmp_path: Path) -> None:
    """A machine that slept: by default the library drops what is a second late."""
    with running(Installed(tmp_path, Told("home"))) as installed:
        job = installed.service._scheduler.get_job("source home")
        assert (job.misfire_grace_time, job.coalesce, job.max_instances) == (None, True, 1)


def test_a_look_that_was_asked_for_is_made_even_if_the_schedule_stands_still(tmp_path: Path) -> None:
    home = Told("home")
    with running(Installed(tmp_path, home)) as installed:
        installed.until(lambda: home.looks > 2)
        installed.service._scheduler.pause()
        time.sleep(0.3)
        before = home.looks
        time.sleep(0.3)
        assert home.looks == before
        status.ask(tmp_path, "token")
        installed.until(lambda: status.answer(tmp_path, "token"))
        assert home.looks == before + 1


def test_a_source_that_is_gone_while_a_look_at_it_hangs_is_not_forgotten(tmp_path: Path) -> None:
    """Its thread would hold up the interpreter's own end for ever."""
    release = threading.Event()
    home = Told("home", hang(release))
    with running(Installed(tmp_path, home)) as installed:
        installed.until(lambda: home.looks)
        installed.service._parts = replace(installed.parts, jobs=())
        installed.service._schedule()
        assert (installed.service.stuck, home.closed) == (True, False)
        assert installed.service._health.status((), ()).sources == ()
        release.set()
        installed.until(lambda: not installed.service.stuck)
        assert home.closed


def test_a_source_named_like_something_of_the_library_is_a_source(tmp_path: Path) -> None:
    source = Told("default")
    with running(Installed(tmp_path, source)) as installed:
        installed.until(lambda: source.looks > 1)


def test_a_status_is_written_again_before_it_is_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nocontactd.service.STATUS_AGE", 0.2)
    home = Told("home")
    with running(Installed(tmp_path, home)) as installed:
        installed.until(lambda: installed.status().healthy)
        before = (tmp_path / "status.json").stat().st_mtime_ns
        installed.until(lambda: (tmp_path / "status.json").stat().st_mtime_ns > before)
        assert installed.status().remarks == ("a remark",)


def test_looks_that_were_made_are_in_the_coverage(tmp_path: Path) -> None:
    home = Told("home")
    installed = Installed(tmp_path, home)
    installed.ledger.advance("home", [Cursor("INBOX", 1, 1, "digest")])
    with running(installed):
        installed.until(lambda: home.looks > 3)
    assert sum(int(record["done"]) for record in installed.entered) == home.looks


class Ear:
    """A listener that a test rings by hand."""

    def __init__(self, ring: Callable[[], None], _wanted: object = None) -> None:
        self.ring = ring
        self.stopped = threading.Event()

    def run(self) -> None:
        self.stopped.wait(20)

    def stop(self) -> None:
        self.stopped.set()


def with_ears(installed: Installed, ears: list[Ear]) -> Installed:
    """The same service, whose sources can be listened at."""

    def listener(ring: Callable[[], None], _wanted: object) -> Ear:
        ears.append(Ear(ring))
        return ears[-1]

    parts = replace(installed.parts, jobs=tuple(replace(job, listener=listener) for job in installed.parts.jobs))
    rules = InForce(CONFIG, installed.folder, (), ())
    environ = {"NOTIFY_SOCKET": str(installed.folder / "notify")}
    installed.service = Service(installed.folder / "config.yaml", environ, rules, parts, installed._now, time.monotonic)
    return installed


def test_a_sign_brings_a_look_at_once_without_waiting_for_the_tick(tmp_path: Path) -> None:
    home, ears = Told("home"), list[Ear]()
    with running(with_ears(Installed(tmp_path, home, every=60.0), ears)) as installed:
        installed.until(lambda: home.looks == 1)
        time.sleep(0.1)
        ears[0].ring()
        until = time.monotonic() + 0.3
        while home.looks < 2:  # no tick in here
            assert time.monotonic() < until, "the look waited for something"
            time.sleep(0.005)
    assert ears[0].stopped.is_set()


def test_a_sign_has_the_inbox_looked_at_first_and_the_timer_has_not(tmp_path: Path) -> None:
    home, ears, order = Told("home"), list[Ear](), list[str]()
    inbox = Told("home", lambda: order.append("inbox"))
    home.act = lambda: order.append("home")
    installed = with_ears(Installed(tmp_path, home, every=60.0), ears)
    parts = installed.service._parts
    installed.service._parts = replace(parts, jobs=tuple(replace(job, inbox=inbox) for job in parts.jobs))
    with running(installed):
        installed.until(lambda: home.looks == 1)
        ears[0].ring()
        installed.until(lambda: home.looks == 2)
    assert order == ["home", "inbox", "home"]


def test_a_sign_during_a_look_brings_another_one_after_it(tmp_path: Path) -> None:
    home, ears = Told("home"), list[Ear]()
    home.act = lambda: ears[0].ring() if home.looks == 1 else None
    with running(with_ears(Installed(tmp_path, home, every=60.0), ears)) as installed:
        installed.until(lambda: home.looks >= 2)
        time.sleep(0.2)
        assert home.looks == 2


def test_a_listener_that_breaks_is_told_and_the_timer_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Breaks(Ear):
        def run(self) -> None:
            raise ZeroDivisionError("canary")

    home, ears = Told("home"), list[Ear]()
    installed = with_ears(Installed(tmp_path, home), ears)
    installed.service._parts = replace(
        installed.service._parts, jobs=tuple(replace(job, listener=Breaks) for job in installed.service._parts.jobs)
    )
    with caplog.at_level(logging.DEBUG), running(installed):
        installed.until(lambda: home.looks > 2)
    assert "home: listening was not finished" in caplog.text and "canary" not in caplog.text

"""How the sources are: silence is no sign of health."""

from datetime import UTC, datetime, timedelta

import pytest

from nocontactd.errors import CredentialError, SourceError
from nocontactd.health import SLACK, Health

START = datetime(2026, 11, 22, tzinfo=UTC)


class Clock:
    """Both clocks, set by a test."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def health(clock: Clock) -> Health:
    health = Health(clock.now, clock.monotonic)
    health.expect({"home": 60.0, "number": 60.0})
    return health


def test_a_source_is_not_well_before_its_first_look(health: Health) -> None:
    said = health.status((), ())
    assert not said.healthy
    assert [(s.source, s.healthy) for s in said.sources] == [("home", False), ("number", False)]
    assert not health.on_time(3600)


def test_all_is_well_when_every_source_was_looked_at(health: Health) -> None:
    health.finished("home", (), 60)
    assert not health.on_time(30)
    health.finished("number", (), 60)
    assert health.status((), ()).healthy
    assert health.on_time(30)


def test_a_problem_is_told_once_and_without_the_name_of_its_source(health: Health) -> None:
    problem = SourceError("home: a folder was not looked through")
    health.finished("home", (problem, SourceError("home: a folder was not looked through")), 60)
    assert health.status((), ()).sources[0].problem == "a folder was not looked through"
    assert health.status((), ()).sources[0].hint is None


def test_what_can_be_done_about_a_problem_is_told_with_it(health: Health) -> None:
    health.finished(
        "home", (SourceError("home: more than may be", "raise it"), SourceError("home: gone", "raise it")), 60
    )
    source = health.status((), ()).sources[0]
    assert (source.problem, source.hint) == ("more than may be; gone", "raise it")


def test_a_known_error_is_a_finished_look(health: Health) -> None:
    for source in ("home", "number"):
        health.finished(source, (SourceError("x"),), 60)
    assert health.on_time(30)


def test_a_look_that_does_not_end_is_told_and_stops_the_watchdog(health: Health, clock: Clock) -> None:
    for source in ("home", "number"):
        health.finished(source, (), 60)
    clock.seconds += 60 + SLACK + 1
    health.finished("number", (), 60)
    assert [s.healthy for s in health.status((), ()).sources] == [False, True]
    assert not health.on_time(30)


def test_since_is_the_last_change_between_well_and_not(health: Health, clock: Clock) -> None:
    first = health.status((), ()).since
    for source in ("home", "number"):
        health.finished(source, (), 1e9)
    clock.seconds += 100
    well = health.status((), ()).since
    assert well == first + timedelta(seconds=100)
    clock.seconds += 100
    assert health.status((), ("a remark",)).since == well
    assert health.status(("config.yaml:1:1: bad",), ()).since == clock.now()


def test_a_source_that_is_gone_is_told_of_no_more_and_a_new_one_is_awaited(health: Health) -> None:
    health.finished("home", (), 60)
    health.expect({"home": 60.0, "new": 60.0})
    health.finished("number", (SourceError("late"),), 60)
    assert [(s.source, s.healthy) for s in health.status((), ()).sources] == [("home", True), ("new", False)]


def test_refused_logins_are_known(health: Health) -> None:
    health.finished("home", (CredentialError("home: refused"),), 60)
    health.finished("number", (SourceError("number: unreachable"),), 60)
    assert health.refused() == {"home"}

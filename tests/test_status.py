"""What passes between the daemon and the owner's tool."""

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from nocontactd import state, status
from nocontactd.errors import BusyError
from nocontactd.status import Answer, Problem, SourceStatus, Status

SAID = Status(
    healthy=False,
    since=datetime(2026, 11, 22, tzinfo=UTC),
    sources=(SourceStatus("home", True, None), SourceStatus("work", False, "the login was refused", "the key")),
    problems=("config.yaml:1:1: this key is not known",),
    remarks=("ceremony: unattended",),
)


def test_a_status_comes_back_as_it_was_written_and_is_private(tmp_path: Path) -> None:
    status.write(tmp_path, SAID)
    assert status.read(tmp_path) == SAID
    assert (tmp_path / "status.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", [None, "", "{", "[]", "null", '{"healthy": true}', '{"healthy": 1, "sources": [1]}'])
def test_a_status_that_cannot_be_read_is_none(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "status.json").write_text(text)
    assert status.read(tmp_path) is None


WRITTEN = datetime(2026, 11, 22, 12, tzinfo=UTC)
WELL = Status(True, SAID.since, (SourceStatus("home", True, None),), remarks=("a remark",))


def heard(directory: Path, age: timedelta, said: Status = WELL) -> Status | None:
    """What is believed of a status so long after it was written."""
    status.write(directory, said)
    os.utime(directory / "status.json", (WRITTEN.timestamp(), WRITTEN.timestamp()))
    return status.believed(directory, WRITTEN + age)


@pytest.mark.parametrize("seconds", [0, 179, -59])
def test_what_the_daemon_said_lately_is_believed(tmp_path: Path, seconds: int) -> None:
    assert heard(tmp_path, timedelta(seconds=seconds)) == WELL


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(181, "anything for 3 minutes"), (3700, "anything for 61 minutes"), (-61, "since the clock was set back")],
)
def test_a_daemon_that_has_long_said_nothing_is_not_healthy_and_nor_is_any_source(
    tmp_path: Path, seconds: int, words: str
) -> None:
    said = heard(tmp_path, timedelta(seconds=seconds))
    assert said
    assert not said.healthy
    assert said.since == WRITTEN + min(timedelta(0), timedelta(seconds=seconds))
    [source], [problem] = said.sources, said.problems
    assert (source.source, source.healthy) == ("home", False)
    assert source.problem
    assert source.problem.endswith(words)
    assert problem == f"{source.problem}; {status.UNKNOWN}"
    assert said.remarks == WELL.remarks


def test_a_silent_daemon_that_was_not_well_is_so_since_then(tmp_path: Path) -> None:
    said = heard(tmp_path, timedelta(hours=1), SAID)
    assert said
    assert (said.healthy, said.since) == (False, SAID.since)
    assert not any(source.healthy for source in said.sources)


def test_where_nothing_was_said_nothing_is_believed(tmp_path: Path) -> None:
    assert status.believed(tmp_path, WRITTEN) is None


def test_an_answer_is_for_the_request_that_was_asked(tmp_path: Path) -> None:
    answer = Answer("abc", 77, (Problem("home", "the login was refused", "see the password"),))
    status.reply(tmp_path, answer)
    assert status.answer(tmp_path, "abc") == answer
    assert status.answer(tmp_path, "other") is None


def test_a_request_waits_for_its_answer(tmp_path: Path) -> None:
    def daemon(_seconds: float) -> None:
        token = status.asked(tmp_path)
        assert token
        status.reply(tmp_path, Answer(token, 0, ()))

    status.write(tmp_path, SAID)
    with state.lock(tmp_path):
        assert status.request(tmp_path, "abc", 5, daemon) == Answer("abc", 0, ())


def test_a_later_request_answers_an_earlier_one(tmp_path: Path) -> None:
    """Two at once: the daemon sees the last only, and its looks began after both."""

    def other(_seconds: float) -> None:
        status.ask(tmp_path, "later")
        status.reply(tmp_path, Answer("later", 0, ()))

    status.write(tmp_path, SAID)
    with state.lock(tmp_path):
        assert status.request(tmp_path, "abc", 5, other).exit_code == 0


def test_a_request_ends_when_nobody_is_there_to_answer_it(tmp_path: Path) -> None:
    with pytest.raises(BusyError, match="ended"):
        status.request(tmp_path, "abc", 5, lambda _: None)


OPEN = Answer("abc", 75, (Problem("home", "home: the look has not finished yet; it goes on", ""),), finished=False)


def test_a_request_that_nobody_takes_note_of_is_given_up_after_seconds(tmp_path: Path) -> None:
    slept: list[float] = []
    status.write(tmp_path, WELL)
    with state.lock(tmp_path), pytest.raises(BusyError, match="does not answer; nothing was looked at now"):
        status.request(tmp_path, "abc", 90, slept.append)
    assert sum(slept) == pytest.approx(status.ACKNOWLEDGED, abs=0.2)


def test_a_request_that_was_taken_note_of_waits_and_comes_back_with_what_is_open(tmp_path: Path) -> None:
    slept, noted = [], []

    def daemon(seconds: float) -> None:
        slept.append(seconds)
        if sum(slept) > 5:
            status.reply(tmp_path, OPEN)

    status.write(tmp_path, WELL)
    with state.lock(tmp_path):
        assert status.request(tmp_path, "abc", 30, daemon, lambda: noted.append(1)) == OPEN
    assert sum(slept) == pytest.approx(30, abs=0.2)
    assert noted == [1]
    assert status.answer(tmp_path, "abc") is None


def test_a_request_that_was_taken_note_of_is_answered_in_the_end(tmp_path: Path) -> None:
    answers = [OPEN] * 3 + [Answer("abc", 0, ())]
    status.write(tmp_path, WELL)
    with state.lock(tmp_path):
        found = status.request(tmp_path, "abc", 30, lambda _: status.reply(tmp_path, answers.pop(0)))
    assert found == replace(OPEN, exit_code=0, problems=(), finished=True)

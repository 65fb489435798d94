"""Coverage records: proof of looking, few in number, the same whether messages came or not."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from nocontactd.coverage import Coverage, Facts, Looked
from nocontactd.errors import SealError
from nocontactd.model import Look

START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
INBOX = Look("INBOX", 7, 100, 12)


class Records:
    """An archive that keeps what is entered."""

    def __init__(self) -> None:
        self.entered: list[dict[str, str]] = []
        self.full = False
        self.coverage = Coverage(self.enter)
        self.number = 0

    def enter(self, kind: str, facts: Facts) -> None:
        if self.full:
            raise SealError("the archive is full")
        assert (kind, len(dict(facts))) == ("coverage", len(facts))
        self.entered.append(dict(facts))

    def look(
        self,
        minute: float,
        *looks: Look,
        problem: str = "",
        matches: int = 0,
        rules: str = "digest",
        source: str = "home",
    ) -> None:
        self.number += 1
        at = START + timedelta(minutes=minute)
        self.coverage.add(Looked(source, self.number, at, rules, looks or (INBOX,), matches, problem))


@pytest.fixture
def records() -> Records:
    return Records()


def test_a_quiet_day_leaves_one_record_an_hour_for_each_source(records: Records) -> None:
    for minute in range(24 * 60):
        for source in ("home", "number"):
            records.look(minute, source=source)
    assert len(records.entered) == 2 * 24


def test_messages_make_no_records(records: Records) -> None:
    """Or their number would show on the disk."""
    for minute in range(24 * 60):
        records.look(minute, Look("INBOX", 7, 100 + minute, minute), matches=3)
    assert len(records.entered) == 24


def test_every_look_is_told_of_once(records: Records) -> None:
    for minute in range(200):
        records.look(minute, problem="unreachable" if minute % 50 == 3 else "", matches=1)
    records.coverage.flush()
    done = sum(int(entered["done"]) for entered in records.entered)
    failed = sum(int(entered["failed"]) for entered in records.entered)
    spans = [(int(entered["first look"]), int(entered["last look"])) for entered in records.entered]
    assert (done, failed) == (196, 4)
    assert sum(int(entered["matches"]) for entered in records.entered) == 200
    assert spans[0][0] == 1
    assert all(later[0] == earlier[1] + 1 for earlier, later in pairwise(spans))
    assert spans[-1][1] == 200


def test_the_first_look_a_failure_and_a_change_are_told_of_at_once(records: Records) -> None:
    records.look(0)
    records.look(6)
    assert len(records.entered) == 1
    records.look(7, problem="the server is unreachable")
    assert records.entered[-1]["state"] == "the server is unreachable"
    records.look(13)
    records.look(19, rules="other")
    records.look(25, Look("INBOX", 8, 1, 0), rules="other")
    records.look(31, Look("INBOX", 8, 1, 0), Look("New", 1, 1, 0), rules="other")
    assert len(records.entered) == 6


def test_a_source_well_and_ill_by_turns_makes_a_bounded_number_of_records(records: Records) -> None:
    for second in range(3600):
        records.look(second / 60, problem="refused" if second % 2 else "")
    assert len(records.entered) <= 13


def test_a_record_says_what_was_looked_at_and_how_far(records: Records) -> None:
    records.look(0)
    records.look(30, Look("INBOX", 7, 103, 15))
    records.look(61, Look("INBOX", 7, 105, 14), Look("Junk", 9, 0, 0, "it was not opened"), matches=2)
    assert records.entered[1] == {
        "source": "home",
        "from": "2026-11-22T12:30:00+00:00",
        "until": "2026-11-22T13:01:00+00:00",
        "first look": "2",
        "last look": "3",
        "done": "2",
        "failed": "0",
        "state": "ok",
        "matches": "2",
        "rules": "digest",
        "folder 1": "INBOX",
        "uidvalidity 1": "7",
        "first uidnext 1": "103",
        "last uidnext 1": "105",
        "exists 1": "14",
        "state 1": "ok",
        "folder 2": "Junk",
        "uidvalidity 2": "9",
        "first uidnext 2": "0",
        "last uidnext 2": "0",
        "exists 2": "0",
        "state 2": "it was not opened",
    }


def test_what_could_not_be_sealed_is_told_of_next_time(records: Records) -> None:
    records.full = True
    with pytest.raises(SealError):
        records.look(0)
    with pytest.raises(SealError):
        records.look(1)
    records.full = False
    records.look(2)
    assert [(e["first look"], e["last look"]) for e in records.entered] == [("1", "3")]


def test_a_clock_set_back_does_not_end_the_telling(records: Records) -> None:
    records.look(0)
    records.look(-100000)
    assert len(records.entered) == 2

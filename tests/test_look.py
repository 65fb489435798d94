"""One look, and its proof."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from nocontactd.assemble import Job, Parts
from nocontactd.coverage import Coverage, Facts
from nocontactd.decide import Policy, policy
from nocontactd.errors import SealError, SourceError
from nocontactd.in_force import InForce, Waiting
from nocontactd.look import enter_loosenings, look, unusable
from nocontactd.model import Cursor, Disposition, Envelope, Kind, Look, Rule, Stretch, Verdict, Written
from tests.memory_archive import MemoryLedger, MemorySealer
from tests.memory_source import MemorySource
from tests.test_loosening import CONFIG, HOME

START = datetime(2026, 11, 22, tzinfo=UTC)


class Archive:
    """What is entered, unless it is full."""

    def __init__(self) -> None:
        self.entered: list[tuple[str, dict[str, str]]] = []
        self.noted: list[Envelope] = []
        self.full = False

    def note(self, envelope: Envelope, _verdict: Verdict) -> None:
        self.noted.append(envelope)

    def enter(self, kind: str, facts: Facts) -> None:
        if self.full:
            raise SealError("the archive is full")
        self.entered.append((kind, dict(facts)))


class Ledger(MemoryLedger):
    """A ledger that numbers looks, unless it cannot be written."""

    looks = 0
    damaged = False

    def next_look(self, _source: str) -> int:
        if self.damaged:
            raise SealError("the ledger cannot be written")
        self.looks += 1
        return self.looks


class Sealing(MemorySealer):
    """Seals in memory; what is entered goes to the archive."""

    def __init__(self, archive: Archive) -> None:
        super().__init__()
        self.enter = archive.enter


class Quiet:
    """A mailbox of one folder without a message."""

    name = "home"
    problem: Exception | None = None
    letters: tuple[Written, ...] = ()

    def scan(self, _cursors: object, _rules: str) -> Iterator[Look]:
        if self.problem:
            raise self.problem
        yield Look("INBOX", 1, 5, 4)

    def older(self, _cursor: object, _concerns: object) -> Iterator[Stretch]:
        yield Stretch((), 0, 4, 0)

    def written(self, _cursors: object) -> Iterator[Written]:
        yield from self.letters

    def close(self) -> None: ...


class Place:
    """Everything that a look needs."""

    def __init__(self) -> None:
        self.archive, self.ledger, self.source = Archive(), Ledger(), Quiet()
        rules: Policy = policy((), None, Disposition.PASS, 10)
        self.job = Job("home", 60.0, self.source, None, HOME)  # type: ignore[arg-type]
        coverage = Coverage(self.archive.enter)
        self.parts = Parts((self.job,), self.archive, self.ledger, rules, coverage, timedelta(days=7))  # type: ignore[arg-type]

    def look(self) -> tuple[Exception, ...]:
        return look(self.job, self.parts, lambda: START)


@pytest.fixture
def place() -> Place:
    return Place()


def test_a_look_leaves_its_number_its_rules_and_how_far_it_came(place: Place) -> None:
    assert place.look() == ()
    ((kind, facts),) = place.archive.entered
    assert kind == "coverage"
    assert facts["first look"] == "1"
    assert facts["rules"] == place.parts.policy.digest
    assert facts["last uidnext 1"] == "5"


def test_after_a_sign_the_inbox_goes_first_and_counts_in_the_same_look(place: Place) -> None:
    """Before the look is numbered, the Sent folder is asked after, or anything else that can wait."""
    order: list[str] = []

    class Inbox(MemorySource):
        def scan(self, cursors: Mapping[str, Cursor], rules: str) -> Iterator[Envelope | Look]:
            order.append(f"the inbox, in look {place.ledger.looks}")
            yield from super().scan(cursors, rules)

    class Whole(Quiet):
        def written(self, _cursors: object) -> Iterator[Written]:
            order.append(f"the Sent folder, in look {place.ledger.looks}")
            yield from ()

    inbox = Inbox("home", ("INBOX",))
    place.ledger.advance("home", [Cursor("INBOX", 1000, 1, "")])
    inbox.put(b"From: ex@abuser.example\r\n\r\nhi\r\n")
    listed = policy((Rule(Kind.ADDRESS, "ex@abuser.example"),), None, Disposition.PASS, 10)
    parts = replace(place.parts, archive=Sealing(place.archive), policy=listed)  # type: ignore[arg-type]
    job = replace(place.job, source=Whole(), inbox=inbox)  # type: ignore[arg-type]
    assert look(job, parts, lambda: START, sign=True) == ()
    assert order == ["the inbox, in look 0", "the Sent folder, in look 1"]
    assert inbox.everything() == {}
    ((_, facts),) = place.archive.entered
    assert (facts["matches"], facts["folder 1"], facts["last look"]) == ("1", "INBOX", "1")
    order.clear()
    assert look(job, parts, lambda: START) == ()
    assert order == ["the Sent folder, in look 2"], "without a sign everything in its turn"


def test_what_goes_wrong_after_a_sign_is_left_to_the_whole_look(place: Place) -> None:
    failing = Quiet()
    failing.problem = SourceError("home: the server is unreachable")
    assert look(replace(place.job, inbox=failing), place.parts, lambda: START, sign=True) == ()  # type: ignore[arg-type]


def test_a_look_that_failed_is_covered_too(place: Place) -> None:
    place.source.problem = SourceError("home: the server is unreachable")
    assert place.look() == (place.source.problem,)
    assert place.archive.entered[0][1]["state"] == "home: the server is unreachable"
    assert place.archive.entered[0][1]["failed"] == "1"


def test_a_look_whose_proof_cannot_be_sealed_is_a_problem(place: Place) -> None:
    place.archive.full = True
    assert [str(problem) for problem in place.look()] == ["the archive is full"]


def test_nothing_is_looked_at_when_the_ledger_cannot_be_written(place: Place) -> None:
    place.ledger.damaged = True
    assert [str(problem) for problem in place.look()] == ["the ledger cannot be written"]
    assert place.archive.entered == []


def test_a_source_is_unusable_until_a_look_at_it_was_finished_or_when_it_refuses(place: Place) -> None:
    assert unusable(place.parts, ()) == {"home"}
    place.ledger.advance("home", [Cursor("INBOX", 1, 5, "")])
    assert unusable(place.parts, ()) == frozenset()
    assert unusable(place.parts, {"home", "gone"}) == {"home"}


def test_what_came_into_force_is_sealed_with_its_name_and_date(place: Place, tmp_path: Path) -> None:
    rules = InForce(CONFIG, tmp_path, (), (), (Waiting("0123", "no longer listed: ex@abuser.example", START),))
    enter_loosenings(rules, place.parts)
    assert place.archive.entered == [
        ("loosening", {"id": "0123", "what": "no longer listed: ex@abuser.example", "due": START.isoformat()})
    ]


def test_whom_the_owner_has_written_to_long_enough_ago_is_held_no_longer(place: Place) -> None:
    name = policy((Rule(Kind.NAME, "Alex Example"),), None, Disposition.PASS, 10)
    parts = replace(place.parts, policy=name)
    source = MemorySource("home", ("INBOX", "Sent"))
    job = replace(place.job, source=source)
    long_ago, lately = START - timedelta(days=8), START - timedelta(days=6)
    for writer, written in (("new@x.example", None), ("old@x.example", long_ago), ("late@x.example", lately)):
        source.put(f"From: Alex Example <{writer}>\r\n\r\nhi\r\n".encode())
        if written:
            source.put(f"To: {writer}\r\n\r\nhi\r\n".encode(), "Sent", arrived=written)
    source.put(b"To: just@x.example\r\n\r\nhi\r\n", "Sent", arrived=START)
    assert look(job, parts, lambda: START) == ()
    assert look(job, replace(parts, policy=replace(name, digest="other")), lambda: START) == ()
    noted = [author.address for envelope in place.archive.noted for author in envelope.authors]
    assert sorted(noted) == ["late@x.example", "new@x.example"]


def test_a_sent_folder_that_cannot_be_read_is_no_problem_of_the_look(place: Place) -> None:
    source = MemorySource("home", ("INBOX", "Sent"))
    source.broken.add("Sent")
    assert look(replace(place.job, source=source), place.parts, lambda: START) == ()

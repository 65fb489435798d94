"""Whom the owner has written to: learnt from Sent folders, never by a date that somebody could have chosen."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from nocontactd.acquaintance import WRITTEN, learn
from nocontactd.decide import Policy, decide, policy
from nocontactd.errors import SealError, SourceError
from nocontactd.ledger import BEGINNING, SqliteLedger
from nocontactd.marks import KEY
from nocontactd.model import Disposition, Kind, Rule
from tests.fuse import Died, Fuse
from tests.memory_archive import MemoryLedger
from tests.memory_source import MemorySource

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
DELAY = timedelta(days=7)
LONG_AGO = NOW - timedelta(days=400)
FRIEND = "nadia@friends.example"


def sent(to: str = FRIEND) -> bytes:
    return f"From: me@home.example\r\nTo: {to}\r\n\r\nhello\r\n".encode()


class World:
    """A mailbox, and what is known of it."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.source = MemorySource("home", ("INBOX", "Sent"))
        self.ledger = SqliteLedger(state / "ledger.sqlite")

    def learn(self, now: datetime = NOW, source: MemorySource | None = None) -> None:
        learn(source or self.source, self.ledger, lambda: now)

    def knows(self, address: str = FRIEND, at: datetime = NOW) -> bool:
        return address in self.ledger.familiar(at - DELAY)

    def restart(self, *lost: str) -> None:
        self.ledger.disconnect()
        for pattern in lost:
            for file in self.state.glob(pattern):
                file.unlink()
        self.ledger = SqliteLedger(self.state / "ledger.sqlite")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.ledger.disconnect()


def test_whom_the_owner_wrote_to_long_before_all_this_is_familiar_at_once(world: World) -> None:
    world.source.put(sent(f'"N." <{FRIEND.upper()}>, Tim <tim+x@friends.example>'), "Sent", arrived=LONG_AGO)
    world.learn()
    assert world.knows()
    assert world.knows("tim@friends.example")
    assert not world.knows("other@friends.example")


def test_whom_the_owner_wrote_to_lately_is_familiar_when_the_delay_has_passed_since(world: World) -> None:
    world.source.put(sent(), "Sent", arrived=NOW - timedelta(days=3))
    world.learn()
    assert not world.knows()
    assert world.knows(at=NOW + timedelta(days=5))


@pytest.mark.parametrize("dated", [LONG_AGO, NOW, NOW + timedelta(hours=2)])
def test_what_appears_later_counts_from_when_it_was_seen_whatever_its_date(world: World, dated: datetime) -> None:
    world.source.put(sent("somebody@x.example"), "Sent", arrived=LONG_AGO)
    world.learn()
    later = NOW + timedelta(hours=1)
    world.source.put(sent(), "Sent", arrived=dated)
    world.learn(later)
    begin = max(dated, later)
    assert not world.knows(at=begin + DELAY)
    assert world.knows(at=begin + DELAY + timedelta(seconds=1))


def test_the_first_time_counts_however_often_somebody_is_written_to(world: World) -> None:
    world.source.put(sent(), "Sent", arrived=LONG_AGO)
    world.learn()
    world.source.put(sent(), "Sent", arrived=NOW)
    world.learn()
    assert world.knows()


def test_a_folder_numbered_anew_changes_nothing_for_those_known_and_believes_no_date(world: World) -> None:
    world.source.put(sent(), "Sent", arrived=LONG_AGO)
    world.learn()
    world.source.renew("Sent")
    world.source.put(sent("door@x.example"), "Sent", arrived=LONG_AGO)
    world.learn(NOW + timedelta(minutes=1))
    assert world.knows()
    assert not world.knows("door@x.example")


def test_a_mailbox_that_is_added_later_may_have_been_prepared(world: World) -> None:
    world.source.put(sent("somebody@x.example"), "Sent", arrived=LONG_AGO)
    world.learn()
    other = MemorySource("other", ("INBOX", "Sent"))
    other.put(sent(), "Sent", arrived=LONG_AGO)
    later = NOW + BEGINNING + timedelta(hours=1)
    world.learn(later, other)
    assert not world.knows(at=later)
    assert world.knows(at=later + DELAY + timedelta(seconds=1))


@pytest.mark.parametrize(
    ("lost", "believed"),
    [
        (("ledger.sqlite*",), False),
        ((KEY,), True),
        (("ledger.sqlite*", KEY), True),
    ],
    ids=["the ledger", "the key on the first day", "the whole state"],
)
def test_of_what_is_lost_everybody_is_learnt_again(world: World, lost: tuple[str, ...], believed: bool) -> None:
    world.source.put(sent(), "Sent", arrived=LONG_AGO)
    world.learn()
    world.restart(*lost)
    assert not world.knows()
    world.learn()
    assert world.knows() is believed
    assert world.knows(at=NOW + DELAY + timedelta(seconds=1))


def test_a_key_that_is_lost_later_brings_no_believed_date(world: World) -> None:
    world.learn()
    world.restart(KEY)
    world.source.put(sent(), "Sent", arrived=LONG_AGO)
    later = NOW + BEGINNING
    world.learn(later)
    assert not world.knows(at=later)


def test_a_clock_that_was_set_back_believes_no_date(world: World) -> None:
    world.source.put(sent(), "Sent", arrived=LONG_AGO)
    world.ledger.beginning(NOW)
    world.learn(NOW - timedelta(days=2))
    assert not world.knows(at=NOW - timedelta(days=2))


def test_no_address_is_in_any_file_and_the_key_is_its_owners(world: World) -> None:
    world.source.put(sent(), "Sent", arrived=LONG_AGO)
    world.learn()
    world.ledger.disconnect()
    files = [file for file in world.state.iterdir() if file.is_file()]
    assert {file.stat().st_mode & 0o077 for file in files} == {0}
    assert len((world.state / KEY).read_bytes()) == 32
    assert not [file for file in files if b"nadia" in file.read_bytes() or b"friends" in file.read_bytes()]


def test_two_installations_mark_one_address_differently(world: World, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = World(tmp_path / "other")
    rows = []
    for each in (world, other):
        each.source.put(sent(), "Sent", arrived=LONG_AGO)
        each.learn()
        rows.append(each.ledger._rows("SELECT address FROM familiar"))
    assert rows[0] != rows[1]
    other.ledger.disconnect()


def test_a_folder_that_cannot_be_read_is_read_the_next_time(world: World) -> None:
    world.source.put(sent(), "Sent", arrived=LONG_AGO)
    world.source.broken.add("Sent")
    world.learn()
    assert world.ledger.cursors("home" + WRITTEN) == {}
    world.source.broken.clear()
    world.learn()
    assert world.knows()


def test_a_source_without_such_a_folder_teaches_nothing(world: World) -> None:
    del world.source.folders["Sent"]
    world.learn()
    assert not world.knows()


def test_a_source_that_cannot_be_reached_says_so(world: World) -> None:
    world.source.down = SourceError("home: gone")
    with pytest.raises(SourceError, match="gone"):
        world.learn()


def test_what_was_learnt_is_no_finished_look_at_the_source(world: World) -> None:
    world.source.put(sent(), "Sent", arrived=LONG_AGO)
    world.learn()
    assert world.ledger.cursors("home") == {}


def test_a_ledger_that_cannot_be_read_knows_nobody(world: World) -> None:
    world.source.put(sent(), "Sent", arrived=LONG_AGO)
    world.learn()
    world.ledger.disconnect()
    assert not world.knows()
    with pytest.raises(SealError):
        world.learn()


def test_dead_at_any_call_everybody_is_known_after_one_more_time() -> None:
    def begin(fuse: Fuse) -> tuple[MemorySource, MemoryLedger]:
        source, ledger = MemorySource("home", ("INBOX", "Sent")), MemoryLedger()
        source.put(sent(), "Sent", arrived=LONG_AGO)
        with suppress(Died):
            learn(fuse.wrap(source, "source"), fuse.wrap(ledger, "ledger"), lambda: NOW)
        return source, ledger

    begin(whole := Fuse())
    assert whole.calls > 5
    for after in (False, True):
        for at in range(1, whole.calls + 1):
            source, ledger = begin(fuse := Fuse(at, after=after))
            assert fuse.dead
            learn(source, ledger, lambda: NOW)
            assert FRIEND in ledger.familiar(NOW + timedelta(days=1)), (fuse.names, after)


HELD = b"From: Alex Example <nadia@friends.example>\r\n\r\nhi\r\n"
LISTED = b"From: Alex Example <ex@abuser.example>\r\n\r\nhi\r\n"
RULES: Policy = policy(
    (Rule(Kind.NAME, "Alex Example"), Rule(Kind.ADDRESS, "ex@abuser.example")), None, Disposition.SEAL, 1000
)


def test_a_familiar_person_is_no_longer_held_and_a_listed_one_is_sealed_all_the_same(world: World) -> None:
    world.source.put(sent(f"{FRIEND}, ex@abuser.example"), "Sent", arrived=LONG_AGO)
    world.learn()
    rules = replace(RULES, familiar=world.ledger.familiar(NOW - DELAY))
    for octets, before, now in ((HELD, "hold", "pass"), (LISTED, "seal", "seal")):
        [envelope] = world.source.envelopes([world.source.put(octets)])
        assert (decide(envelope, RULES).disposition, decide(envelope, rules).disposition) == (before, now)

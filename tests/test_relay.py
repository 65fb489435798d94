"""Everybody else's texts go on: none lost, none twice unless marked, whatever Twilio answers and whenever we die."""

from datetime import UTC, datetime, timedelta

import pytest

from nocontactd.errors import CredentialError, SourceError, UnknownOutcomeError, UnreachableError
from nocontactd.model import Author, Channel, Envelope, MessageRef
from nocontactd.relay import PATIENCE, pass_on
from tests.fuse import Died, Fuse
from tests.memory_archive import MemoryLedger

NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)


class Phone:
    """A relay, and what the phone at its end shows. `answers` are raised; "lost": it arrives, and nobody tells us."""

    def __init__(self) -> None:
        self.shown: list[tuple[str, bool, datetime]] = []
        self.answers: list[Exception | str] = []
        self.gone: set[str] = set()
        self.unlisted = False
        self.now = NOW
        self.asked = 0

    def send(self, ref: MessageRef, *, repeat: bool) -> str | None:
        self.asked += 1
        if ref.uid in self.gone:
            return None
        answer = self.answers.pop(0) if self.answers else ""
        if isinstance(answer, Exception):
            raise answer
        self.shown.append((ref.uid, repeat, self.now))
        if answer == "lost":
            raise UnknownOutcomeError("number: not known")
        return f"OUT{len(self.shown) - 1}"

    def find(self, ref: MessageRef, since: datetime, claimed: frozenset[str]) -> str | None:
        for place, (uid, _, at) in enumerate(self.shown):
            if uid == ref.uid and at >= since and f"OUT{place}" not in claimed and not self.unlisted:
                return f"OUT{place}"
        return None

    def clock(self) -> datetime:
        return self.now

    @property
    def texts(self) -> list[tuple[str, bool]]:
        return [(uid, repeat) for uid, repeat, _ in self.shown]


@pytest.fixture
def phone() -> Phone:
    return Phone()


@pytest.fixture
def ledger() -> MemoryLedger:
    return MemoryLedger()


def text(uid: str, minute: int = 0) -> Envelope:
    ref = MessageRef("number", "", 0, uid)
    return Envelope(ref, Channel.SMS, (Author("from", "x"),), NOW + timedelta(minutes=minute), relay=True)


def test_each_text_goes_on_once_however_often_it_is_seen(phone: Phone, ledger: MemoryLedger) -> None:
    for _ in range(3):
        assert pass_on([text("a"), text("b", 1)], phone, ledger, phone.clock) == []
    assert phone.texts == [("a", False), ("b", False)]


def test_the_oldest_goes_first(phone: Phone, ledger: MemoryLedger) -> None:
    pass_on([text("c", 5), text("a"), text("b", 1)], phone, ledger, phone.clock)
    assert [uid for uid, _ in phone.texts] == ["a", "b", "c"]


def test_what_was_certainly_not_sent_is_sent_at_the_next_look_unmarked(phone: Phone, ledger: MemoryLedger) -> None:
    phone.answers = [SourceError("number: refused")]
    assert len(pass_on([text("a")], phone, ledger, phone.clock)) == 1
    assert pass_on([text("a")], phone, ledger, phone.clock) == []
    assert phone.texts == [("a", False)]


def test_one_that_is_refused_holds_up_no_other(phone: Phone, ledger: MemoryLedger) -> None:
    phone.answers = [SourceError("number: refused")]
    [problem] = pass_on([text("a"), text("b", 1)], phone, ledger, phone.clock)
    assert isinstance(problem, SourceError)
    assert phone.texts == [("b", False)]


@pytest.mark.parametrize("failure", [UnreachableError("number: not reached"), CredentialError("number: refused")])
def test_where_nothing_can_be_sent_the_rest_is_not_tried_and_nothing_is_lost(
    phone: Phone, ledger: MemoryLedger, failure: Exception
) -> None:
    phone.answers = [failure]
    assert pass_on([text("a"), text("b", 1)], phone, ledger, phone.clock) == [failure]
    assert phone.asked == 1
    assert pass_on([text("a"), text("b", 1)], phone, ledger, phone.clock) == []
    assert phone.texts == [("a", False), ("b", False)]


def test_after_an_unknown_outcome_what_is_found_is_not_sent_again(phone: Phone, ledger: MemoryLedger) -> None:
    phone.answers = ["lost"]
    assert len(pass_on([text("a")], phone, ledger, phone.clock)) == 1
    assert pass_on([text("a")], phone, ledger, phone.clock) == []
    phone.now += 10 * PATIENCE
    assert pass_on([text("a")], phone, ledger, phone.clock) == []
    assert phone.texts == [("a", False)]


def test_after_an_unknown_outcome_it_is_sent_again_marked_but_only_after_a_quarter_of_an_hour(
    phone: Phone, ledger: MemoryLedger
) -> None:
    phone.answers = [UnknownOutcomeError("number: not known")]
    pass_on([text("a")], phone, ledger, phone.clock)
    for minutes in (1, 14):
        phone.now = NOW + timedelta(minutes=minutes)
        [problem] = pass_on([text("a")], phone, ledger, phone.clock)
        assert isinstance(problem, UnknownOutcomeError)
        assert phone.texts == []
    phone.now = NOW + timedelta(minutes=15)
    assert pass_on([text("a")], phone, ledger, phone.clock) == []
    assert phone.texts == [("a", True)]


def test_a_repeat_that_was_certainly_not_sent_is_still_a_repeat_and_the_first_can_still_be_found(
    phone: Phone, ledger: MemoryLedger
) -> None:
    phone.unlisted = True
    phone.answers = ["lost"]
    pass_on([text("a")], phone, ledger, phone.clock)
    phone.now = NOW + PATIENCE
    phone.answers = [SourceError("number: refused")]
    assert len(pass_on([text("a")], phone, ledger, phone.clock)) == 1
    phone.unlisted = False
    assert pass_on([text("a")], phone, ledger, phone.clock) == []
    assert phone.texts == [("a", False)]


def test_a_refused_repeat_is_sent_again_as_a_repeat(phone: Phone, ledger: MemoryLedger) -> None:
    phone.answers = [UnknownOutcomeError("number: not known"), SourceError("number: refused")]
    pass_on([text("a")], phone, ledger, phone.clock)
    phone.now = NOW + PATIENCE
    pass_on([text("a")], phone, ledger, phone.clock)
    assert pass_on([text("a")], phone, ledger, phone.clock) == []
    assert phone.texts == [("a", True)]


def test_a_clock_set_back_does_not_hold_a_text_up_for_good(phone: Phone, ledger: MemoryLedger) -> None:
    phone.answers = [UnknownOutcomeError("number: not known")]
    pass_on([text("a")], phone, ledger, phone.clock)
    phone.now = NOW - timedelta(days=30)
    assert pass_on([text("a")], phone, ledger, phone.clock) == []
    assert phone.texts == [("a", True)]


def test_a_text_that_is_gone_is_done_with(phone: Phone, ledger: MemoryLedger) -> None:
    phone.gone = {"a"}
    assert pass_on([text("a")], phone, ledger, phone.clock) == []
    pass_on([text("a")], phone, ledger, phone.clock)
    assert phone.asked == 1
    assert phone.texts == []


def test_nothing_is_sent_before_the_intent_is_in_the_ledger(phone: Phone, ledger: MemoryLedger) -> None:
    fuse = Fuse(at=2)  # ledger.intent, then ledger.intend
    with pytest.raises(Died):
        pass_on([text("a")], phone, fuse.wrap(ledger, "ledger"), phone.clock)
    assert fuse.names[-1] == "ledger.intend"
    assert phone.texts == []


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("at", range(1, 9))
def test_death_at_any_call_loses_no_text_and_doubles_none_unmarked(
    phone: Phone, ledger: MemoryLedger, at: int, after: bool
) -> None:
    waiting = [text("a"), text("b", 1)]
    fuse = Fuse(at, after=after)
    with pytest.raises(Died):
        pass_on(waiting, fuse.wrap(phone, "relay"), fuse.wrap(ledger, "ledger"), phone.clock)
    for _ in range(3):
        pass_on(waiting, phone, ledger, phone.clock)
        phone.now += PATIENCE
    assert sorted(uid for uid, _ in phone.texts) == ["a", "b"]  # what was sent was found, and not sent again
    assert pass_on(waiting, phone, ledger, phone.clock) == []

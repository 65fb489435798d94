"""One pass, killed at every call of every port: each listed message is at the source or sealed, others untouched."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

import pytest

from nocontactd.decide import Policy, policy
from nocontactd.errors import NocontactError, SealError, SourceError, UnreachableError
from nocontactd.model import Cursor, Disposition, Kind, MessageRef, Original, Receipt, Removal, Report, Rule
from nocontactd.poll import GROUP_MESSAGES, LARGE, poll
from tests.fuse import Died, Fuse
from tests.memory_archive import MemoryLedger, MemorySealer
from tests.memory_source import Letter, MemorySource

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
RULES = (Rule(Kind.ADDRESS, "ex@abuser.example"), Rule(Kind.NAME, "Alex Example"))


def blocked(limit: int = 1000, *more: Rule, uncertain: Disposition = Disposition.PASS) -> Policy:
    return policy((*RULES, *more), None, uncertain, limit)


def letter(sender: str, number: int = 0) -> bytes:
    return f"From: {sender}\r\nMessage-ID: <{number}@x>\r\n\r\nbody {number}\r\n".encode()


EX, FRIEND = "ex@abuser.example", "nadia@friends.example"


@dataclass
class World:
    """A mailbox, an archive and a ledger that outlive the process."""

    source: MemorySource = field(default_factory=MemorySource)
    sealer: MemorySealer = field(default_factory=MemorySealer)
    ledger: MemoryLedger = field(default_factory=MemoryLedger)

    def pass_(
        self, rules: Policy | None = None, fuse: Fuse | None = None, now: Callable[[], datetime] = lambda: NOW
    ) -> Report:
        fuse = fuse or Fuse()
        ports = (fuse.wrap(self.source, "source"), fuse.wrap(self.sealer, "sealer"), fuse.wrap(self.ledger, "ledger"))
        return poll(*ports, rules or blocked(), now)

    def sealed(self) -> Counter[bytes]:
        return Counter(octets for _, octets, _ in self.sealer.records.values())

    def standing(self) -> set[bytes]:
        return {each.octets for each in self.source.everything().values()}


def filled(trash: str | None = None) -> World:
    world = World(MemorySource(folders=("INBOX", "Junk"), trash=trash))
    for number in range(2):
        world.source.put(letter(FRIEND, number))
        world.source.put(letter(EX, 10 + number))
        world.source.put(letter(FRIEND, 20 + number), "Junk", flags=["\\Deleted", "\\Seen"])
    world.source.put(letter(EX, 30), "Junk")
    return world


class ForgetfulLedger(MemoryLedger):
    """What is not waited for is lost with the power, unless something that is has followed."""

    def __init__(self) -> None:
        super().__init__()
        self._disk = deepcopy(vars(self))

    def cut_power(self) -> None:
        vars(self).update(deepcopy(self._disk))

    def reserve(self, pairs: Iterable[tuple[MessageRef, str]]) -> None:
        self._waited(partial(super().reserve, tuple(pairs)))

    def move(self, receipts: Iterable[Receipt]) -> None:
        self._waited(partial(super().move, tuple(receipts)))

    def advance(self, source: str, cursors: Iterable[Cursor], found: Iterable[MessageRef] = ()) -> None:
        self._waited(partial(super().advance, source, tuple(cursors), tuple(found)))

    def _waited(self, write: Callable[[], None]) -> None:
        before = {name: each for name, each in deepcopy(vars(self)).items() if name != "_disk"}
        write()
        after = {name: each for name, each in deepcopy(vars(self)).items() if name != "_disk"}
        if after != before:  # who writes nothing does not wait for the disk either
            self._disk = after


THEIRS = {letter(EX, number) for number in (10, 11, 30)}


def others(world: World) -> dict[tuple[str, int, int], Letter]:
    return {place: each for place, each in world.source.everything().items() if each.octets not in THEIRS}


def test_a_pass_seals_and_removes_what_is_listed_and_nothing_else() -> None:
    world = filled()
    before = others(world)
    report = world.pass_()
    assert report.problems == ()
    assert set(world.sealed()) == THEIRS
    assert world.source.everything() == before
    assert world.ledger.open("memory") == [] and world.ledger.reserved("memory") == []


def calls_of_a_pass(trash: str | None) -> int:
    fuse = Fuse()
    filled(trash).pass_(fuse=fuse)
    return fuse.calls


@pytest.mark.parametrize("trash", [None, "Trash"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_dead_at_any_call_each_listed_message_is_somewhere_and_one_more_pass_finishes(
    after: bool, trash: str | None
) -> None:
    calls = calls_of_a_pass(trash)
    assert calls > 20
    for at in range(1, calls + 1):
        world = filled(trash)
        before = others(world)
        fuse = Fuse(at, after=after)
        with pytest.raises(Died):
            world.pass_(fuse=fuse)
        assert world.standing() | set(world.sealed()) >= THEIRS, f"lost at call {at}, {fuse.names[-1]}"
        assert others(world) == before, f"touched at call {at}, {fuse.names[-1]}"
        report = world.pass_()
        assert report.problems == ()
        assert world.sealed() == Counter(THEIRS) or trash, f"doubled at call {at}, {fuse.names[-1]}"
        assert set(world.sealed()) == THEIRS
        assert world.source.everything() == before, f"left at call {at}, {fuse.names[-1]}"
        assert world.ledger.open("memory") == [] and world.ledger.reserved("memory") == []


@pytest.mark.parametrize("trash", [None, "Trash"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_power_cut_at_any_call_costs_nothing_although_receipts_are_noted_without_waiting_for_the_disk(
    after: bool, trash: str | None
) -> None:
    for at in range(1, calls_of_a_pass(trash) + 1):
        world = filled(trash)
        world.ledger = ledger = ForgetfulLedger()
        before = others(world)
        with pytest.raises(Died):
            world.pass_(fuse=Fuse(at, after=after))
        ledger.cut_power()
        assert world.standing() | set(world.sealed()) >= THEIRS, f"lost at call {at}"
        assert world.pass_().problems == ()
        assert world.sealed() == Counter(THEIRS) or trash, f"doubled at call {at}"
        assert set(world.sealed()) == THEIRS
        assert world.source.everything() == before, f"left at call {at}"
        assert world.ledger.open("memory") == [] and world.ledger.reserved("memory") == []


def test_a_receipt_stands_in_the_ledger_before_the_source_is_touched() -> None:
    """The rule itself: in the order of all calls, note comes before remove and commit before note."""
    fuse = Fuse()
    filled().pass_(fuse=fuse)
    names = [n for n in fuse.names if n in {"sealer.batch.commit", "ledger.note", "source.remove", "ledger.close"}]
    assert names[-4:] == ["sealer.batch.commit", "ledger.note", "source.remove", "ledger.close"]


def test_what_the_archive_does_not_take_stays_and_the_pass_says_so() -> None:
    world = filled()
    before = world.source.everything()
    world.sealer.fail = SealError("the archive is full; nothing was removed")
    report = world.pass_()
    assert [type(problem) for problem in report.problems] == [SealError]
    assert world.source.everything() == before
    world.sealer.fail = None
    assert world.pass_().problems == ()
    assert set(world.sealed()) == THEIRS


def test_new_messages_that_the_archive_does_not_take_are_new_once_more() -> None:
    world = World()
    world.pass_()
    world.source.put(letter(EX))
    world.sealer.fail = SealError("the archive is full; nothing was removed")
    world.pass_()
    world.sealer.fail = None
    assert world.pass_(blocked(0)).problems == ()
    assert not world.standing()


def test_one_message_that_breaks_off_holds_up_no_other_and_is_tried_again() -> None:
    world = World()
    bad = world.source.put(letter(EX, 1))
    world.source.put(letter(EX, 2))
    world.source.cut.add(bad)
    for _ in range(2):
        report = world.pass_()
        assert [type(problem) for problem in report.problems] == [SourceError]
        assert set(world.sealed()) == {letter(EX, 2)}
    world.source.cut.clear()
    assert world.pass_().problems == ()
    assert set(world.sealed()) == {letter(EX, 1), letter(EX, 2)} and not world.standing()


def test_a_new_message_that_breaks_off_is_new_once_more() -> None:
    world = World()
    world.pass_()
    bad = world.source.put(letter(EX))
    world.source.cut.add(bad)
    assert world.pass_().problems
    world.source.cut.clear()
    assert world.pass_(blocked(0)).problems == ()
    assert not world.standing()


def test_a_message_that_vanished_between_scan_and_fetch_is_no_problem() -> None:
    world = World()
    ref = world.source.put(letter(EX))
    scan = world.source.scan
    world.source.scan = lambda *words: [*scan(*words), world.source.vanish(ref)][:-1]  # type: ignore[method-assign]
    assert world.pass_().problems == ()
    assert not world.sealed() and world.ledger.reserved("memory") == []


def test_octets_that_turn_out_to_be_somebody_elses_are_left_alone() -> None:
    """The header said listed, the octets say otherwise: what is sealed is decided on the octets."""
    world = World()
    ref = world.source.put(letter(EX))
    fetch = world.source.fetch

    def swapped(where: MessageRef) -> Original | None:
        world.source.folders["INBOX"].letters[int(ref.uid)] = Letter(letter(FRIEND))
        return fetch(where)

    world.source.fetch = swapped  # type: ignore[method-assign]
    world.pass_()
    assert world.standing() == {letter(FRIEND)} and not world.sealed()


def test_a_changed_uidvalidity_makes_a_receipt_void_and_the_message_is_found_anew() -> None:
    world = World()
    world.source.put(letter(EX))
    removal = world.source.remove
    world.source.remove = lambda receipts: (_ for _ in ()).throw(UnreachableError("memory: gone"))  # type: ignore
    assert [type(p) for p in world.pass_().problems] == [UnreachableError]
    world.source.renew("INBOX")
    world.source.remove = removal  # type: ignore[method-assign]
    assert world.pass_().problems == ()
    assert not world.standing() and set(world.sealed()) == {letter(EX)}


def test_a_sweep_above_the_limit_is_refused_whole_and_new_arrivals_are_not() -> None:
    world = World()
    for number in range(3):
        world.source.put(letter(EX, number))
    report = world.pass_(blocked(2))
    assert len(report.problems) == 1 and isinstance(report.problems[0], NocontactError)
    assert not world.sealed()
    for number in range(10, 15):
        world.source.put(letter(EX, number))
    assert world.pass_(blocked(2)).problems != ()
    assert set(world.sealed()) == {letter(EX, number) for number in range(10, 15)}
    assert world.pass_(blocked(3)).problems == ()
    assert not world.standing()


def test_a_new_entry_sweeps_what_was_passed_before() -> None:
    world = World()
    world.source.put(letter("other@else.example"))
    world.pass_()
    assert world.standing()
    world.pass_(blocked(1000, Rule(Kind.ADDRESS, "other@else.example")))
    assert not world.standing()


def test_what_was_looked_through_is_not_looked_through_again() -> None:
    world = filled()
    world.pass_()
    fuse = Fuse()
    world.pass_(fuse=fuse)
    assert fuse.names.count("source.scan.next") == len(world.source.folders) + 1  # looks alone, and the end


def test_a_storm_is_taken_in_pieces() -> None:
    world = World()
    for number in range(GROUP_MESSAGES * 2 + 1):
        world.source.put(letter(EX, number))
    fuse = Fuse()
    world.pass_(blocked(10_000), fuse)
    assert fuse.names.count("source.remove") == 3 and not world.standing()


def test_no_message_stands_in_sight_while_a_large_one_is_fetched() -> None:
    world = World()
    world.pass_()
    large = world.source.put(letter(EX) + bytes(LARGE))
    small = world.source.put(letter(EX, 1))
    standing: dict[MessageRef, set[bytes]] = {}

    class Source(MemorySource):
        def fetch(self, ref: MessageRef) -> Original | None:
            standing[ref] = world.standing()
            return super().fetch(ref)

    world.source.__class__ = Source
    world.pass_()
    assert list(standing) == [small, large]
    assert letter(EX, 1) not in standing[large]
    assert not world.standing()


def test_what_is_held_stays_and_leaves_one_sealed_note() -> None:
    world = World()
    world.source.put(letter("Alex Example <new@else.example>"))
    world.pass_()
    world.ledger.kept.clear()  # as after a change of rules: everything is looked through again
    world.pass_()
    assert world.standing() and len(world.sealer.notes) == 1


def test_what_is_held_is_sealed_where_the_owner_wishes_so() -> None:
    world = World()
    world.source.put(letter("Alex Example <new@else.example>"))
    world.pass_(blocked(uncertain=Disposition.SEAL))
    assert not world.standing() and len(world.sealed()) == 1 and not world.sealer.notes


def test_a_folder_that_fails_is_named_without_its_name_and_looked_through_later() -> None:
    world = filled()
    world.source.broken.add("Junk")
    report = world.pass_()
    assert len(report.problems) == 1 and "Junk" not in str(report.problems[0])
    assert letter(EX, 30) in world.standing() and letter(EX, 10) not in world.standing()
    world.source.broken.clear()
    world.pass_()
    assert letter(EX, 30) not in world.standing()


def test_a_folder_that_failed_once_is_no_sweep_at_the_next_look() -> None:
    """Its cursor stands, or what came meanwhile would count towards the limit of a sweep."""
    world = filled()
    world.pass_()
    world.source.broken.add("Junk")
    world.pass_()
    world.source.broken.clear()
    world.source.put(letter(EX, 31), "Junk")
    assert world.pass_(blocked(0)).problems == ()
    assert letter(EX, 31) not in world.standing()


def test_a_receipt_stays_open_until_the_source_says_that_its_message_is_gone() -> None:
    world = World()
    world.source.put(letter(EX))
    removal = world.source.remove
    kept = SourceError("memory: what is sealed was not removed: the server kept it")
    world.source.remove = lambda _receipts: Removal((), (), (kept,))  # type: ignore[method-assign]
    assert world.pass_().problems == (kept,)
    assert len(world.ledger.open("memory")) == 1
    world.source.remove = removal  # type: ignore[method-assign]
    assert world.pass_().problems == ()
    assert not world.standing() and world.sealed() == Counter([letter(EX)])


def test_what_reached_the_trash_is_removed_from_there_and_not_sealed_again() -> None:
    """Its receipt goes with it, whatever comes between the two removals."""
    world = World(MemorySource(trash="Trash"))
    world.source.put(letter(EX))
    removal = world.source.remove

    def once(receipts: Sequence[Receipt]) -> Removal:
        if receipts[0].ref.folder == "Trash":
            raise UnreachableError("memory: gone")
        return removal(receipts)

    world.source.remove = once  # type: ignore[method-assign]
    assert [type(problem) for problem in world.pass_().problems] == [UnreachableError]
    assert [receipt.ref.folder for receipt in world.ledger.open("memory")] == ["Trash"]
    world.source.remove = removal  # type: ignore[method-assign]
    assert world.pass_().problems == ()
    assert not world.standing() and world.sealed() == Counter([letter(EX)])

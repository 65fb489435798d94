"""What is older is looked through in stretches, taken out when all of it is known, and never in the way of the new."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nocontactd.decide import Policy, decide
from nocontactd.errors import SealError, SourceError, UnreachableError
from nocontactd.model import Author, Channel, Disposition, Envelope, Kind, MessageRef, Report, Rule, Stretch
from nocontactd.poll import LONGEST
from tests.fuse import Died, Fuse
from tests.memory_source import MemorySource
from tests.recognition import REF, THEN
from tests.test_poll import EX, FRIEND, NOW, World, blocked, letter

OTHER = "other@else.example"
LISTED_TOO = Rule(Kind.ADDRESS, OTHER)


def backlog(messages: int = 23, every: int = 4) -> World:
    """Two folders; every fourth message is a listed person's."""
    world = World(MemorySource(folders=("INBOX", "Junk")))
    for number in range(messages):
        world.source.put(letter(FRIEND if number % every else EX, number), "INBOX" if number % 3 else "Junk")
    return world


def theirs(world: World, *senders: str) -> set[bytes]:
    marks = [sender.encode() for sender in senders or (EX,)]
    return {octets for octets in world.standing() if any(mark in octets for mark in marks)}


class Hurried:
    """A clock by which a pass gets through one stretch."""

    def __init__(self, step: timedelta = LONGEST * 3 / 5) -> None:
        self.at, self.step = NOW, step

    def __call__(self) -> datetime:
        self.at += self.step
        return self.at


def hurried(world: World, rules: Policy | None = None) -> Report:
    return world.pass_(rules, now=Hurried())


def to_the_end(world: World, rules: Policy | None = None) -> list[Report]:
    reports = [hurried(world, rules)]
    while reports[-1].more:
        assert len(reports) < 100
        reports.append(hurried(world, rules))
    return reports


def test_a_pass_goes_on_for_a_while_and_the_next_one_where_it_ended() -> None:
    world = backlog(40)
    listed = theirs(world)
    shown: list[MessageRef] = []
    older = world.source.older

    def watched(*words: object) -> Iterator[Stretch]:
        for stretch in older(*words):  # type: ignore[arg-type]
            shown.append((stretch.lower, stretch.looked, stretch.left))  # type: ignore[arg-type]
            yield stretch

    world.source.older = watched  # type: ignore[method-assign, assignment]
    reports = to_the_end(world)
    assert len(reports) >= 8
    assert sum(looked for _, looked, _ in shown) == 40  # type: ignore[misc]
    assert set(world.sealed()) == listed and not theirs(world)
    assert reports[-1].more is None and all(report.problems == () for report in reports)


def test_how_far_it_is_grows_and_says_nothing_of_what_was_found() -> None:
    quiet, loud = backlog(40, 1000), backlog(40, 2)
    told = [[report.more for report in to_the_end(world) if report.more] for world in (quiet, loud)]
    assert [more.whole for more in told[0]][:3] == [40, 40, 40]
    looked = [more.looked for more in told[0]]
    assert looked == sorted(looked) and looked[0] > 0
    assert looked == [more.looked for more in told[1]][: len(looked)]


def test_nothing_older_is_touched_before_all_of_it_was_looked_through() -> None:
    world = backlog(40)
    before = world.source.everything()
    while (report := hurried(world)).more and report.more.looked < report.more.whole:
        assert world.source.everything() == before
        assert not world.sealed()
    assert world.source.everything() != before


def test_what_is_new_goes_before_what_is_older_in_every_folder() -> None:
    world = backlog(40)
    hurried(world)
    for folder in ("INBOX", "Junk"):
        world.source.put(letter(EX, 100), folder)
    fuse = Fuse()
    assert world.pass_(fuse=fuse, now=Hurried()).more
    assert set(world.sealed()) == {letter(EX, 100)}
    assert fuse.names.index("source.remove") < fuse.names.index("source.older")


def test_a_storm_of_what_is_new_is_taken_out_beside_a_sweep_that_was_refused() -> None:
    world = backlog(40)
    assert to_the_end(world, blocked(3))[-1].problems
    storm = {letter(EX, number) for number in range(100, 120)}
    for octets in storm:
        world.source.put(octets)
    assert hurried(world, blocked(3)).problems
    assert set(world.sealed()) == storm


def test_above_the_limit_looking_stops_and_a_higher_limit_goes_on_from_there() -> None:
    world = backlog(200, 2)
    before = world.source.everything()
    [*_, refused] = to_the_end(world, blocked(10))
    assert "max_per_pass" in str(refused.problems[0]) and refused.more is None
    assert world.source.everything() == before
    left = world.ledger.cursors("memory")
    assert left["INBOX"].lower
    to_the_end(world, blocked(10))
    assert world.ledger.cursors("memory") == left  # nothing more was looked at
    to_the_end(world, blocked(100))
    assert not theirs(world)


def test_the_limit_holds_over_all_folders_together() -> None:
    world = backlog(40)
    assert len(theirs(world)) == 10
    to_the_end(world, blocked(9))
    assert not world.sealed()
    to_the_end(world, blocked(10))
    assert not theirs(world)


def test_the_same_rules_begin_nothing_anew() -> None:
    world = backlog(40)
    to_the_end(world)
    fuse = Fuse()
    world.pass_(fuse=fuse)
    assert "source.older" not in fuse.names


def test_a_list_that_changes_in_the_middle_is_followed_as_it_is_then() -> None:
    world = backlog(40)
    for number in range(5):
        world.source.put(letter(OTHER, 200 + number), "Junk")
    for _ in range(3):
        hurried(world)
    both = blocked(1000, LISTED_TOO)
    hurried(world, both)
    hurried(world, both)
    to_the_end(world)  # and back again, to what part of it was looked through by
    assert not theirs(world) and len(theirs(world, OTHER)) == 5
    to_the_end(world, both)
    assert not theirs(world, OTHER)


def test_somebody_taken_off_the_list_in_the_middle_is_left_alone() -> None:
    world = backlog(40)
    world.source.put(letter(OTHER, 200))
    to_the_end(world, blocked(5, LISTED_TOO))
    found = {each.octets for ref in world.ledger.found("memory") if (each := world.source._letter(ref))}
    assert letter(OTHER, 200) in found
    to_the_end(world)
    assert theirs(world, OTHER) == {letter(OTHER, 200)} and not theirs(world)


def test_new_messages_stay_new_when_the_list_changes() -> None:
    """They are never counted, or whoever writes often would be the way through."""
    world = backlog(40)
    to_the_end(world)
    for number in range(20):
        world.source.put(letter(EX, 100 + number))
    assert hurried(world, blocked(0, LISTED_TOO)).problems == ()
    assert not theirs(world)


def test_a_folder_that_is_numbered_anew_in_the_middle_is_older_as_a_whole() -> None:
    world = backlog(40)
    for _ in range(3):
        hurried(world)
    world.source.renew("INBOX")
    to_the_end(world)
    assert not theirs(world) and world.ledger.found("memory") == []


def test_what_went_meanwhile_is_forgotten_and_what_was_moved_is_new_elsewhere() -> None:
    world = backlog(40)
    while not (found := world.ledger.found("memory")):
        hurried(world)
    gone = world.source._letter(found[0])
    assert gone
    world.source.vanish(found[0])
    world.source.put(gone.octets, "Junk")
    to_the_end(world)
    assert not theirs(world) and world.ledger.found("memory") == []
    assert gone.octets in world.sealed()


def test_one_that_cannot_be_fetched_holds_up_no_other_and_is_tried_again() -> None:
    world = backlog(40)
    bad = next(MessageRef("memory", *place[:2], str(place[2])) for place, each in world.source.everything().items()
               if EX.encode() in each.octets)  # fmt: skip
    world.source.cut.add(bad)
    reports = to_the_end(world)
    assert [type(problem) for problem in reports[-1].problems] == [SourceError]
    assert len(theirs(world)) == 1
    assert world.ledger.found("memory") == [bad]
    world.source.cut.clear()
    to_the_end(world)
    assert not theirs(world)


def test_a_folder_that_fails_holds_up_no_other() -> None:
    world = backlog(40)
    world.source.broken.add("Junk")
    reports = to_the_end(world)
    assert reports[-1].problems
    in_junk = {each.octets for place, each in world.source.everything().items() if place[0] == "Junk"}
    assert theirs(world) == {octets for octets in in_junk if EX.encode() in octets} != set()
    world.source.broken.clear()
    to_the_end(world)
    assert not theirs(world)


def test_a_folder_that_fails_when_its_messages_are_to_go_loses_none_of_them() -> None:
    world = backlog(40)
    envelopes, asked = world.source.envelopes, []

    def failing(refs: Sequence[MessageRef]) -> Iterator[Envelope]:
        asked.append(refs[0].folder)
        if refs[0].folder == "INBOX":
            raise SourceError("memory: a folder was not looked through: it is broken")
        return envelopes(refs)

    world.source.envelopes = failing  # type: ignore[method-assign]
    while not asked:
        hurried(world)
    asked.clear()
    for _ in range(2):  # each with time for one folder
        world.pass_(now=Hurried(2 * LONGEST))
    assert {"INBOX", "Junk"} <= set(asked)
    assert theirs(world) and world.ledger.found("memory")
    world.source.envelopes = envelopes  # type: ignore[method-assign]
    to_the_end(world)
    assert not theirs(world)


def test_a_full_archive_ends_the_pass_and_is_not_asked_again_at_once() -> None:
    world = backlog(40)
    world.sealer.fail = SealError("the archive is full; nothing was removed")
    reports = to_the_end(world)
    assert isinstance(reports[-1].problems[0], SealError) and reports[-1].more is None
    world.sealer.fail = None
    to_the_end(world)
    assert not theirs(world)


def test_a_source_that_goes_away_ends_the_pass_and_is_not_asked_again_at_once() -> None:
    world = backlog(40)
    older = world.source.older

    def away(*_words: object) -> Iterator[Stretch]:
        raise UnreachableError("memory: the server cannot be reached")

    world.source.older = away  # type: ignore[method-assign, assignment]
    report = hurried(world)
    assert [type(problem) for problem in report.problems] == [UnreachableError] and report.more is None
    world.source.older = older  # type: ignore[method-assign]
    to_the_end(world)
    assert not theirs(world)


def test_a_note_is_sealed_before_its_stretch_counts_as_looked_through() -> None:
    world = World()
    world.source.put(letter("Alex Example <new@else.example>"))
    note, world.sealer.note = world.sealer.note, _full  # type: ignore[method-assign]
    assert isinstance(world.pass_().problems[0], SealError)
    world.sealer.note = note  # type: ignore[method-assign]
    world.pass_()
    assert len(world.sealer.notes) == 1


def _full(*_words: object) -> None:
    raise SealError("the archive is full; nothing was removed")


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_dead_at_any_call_of_a_long_sweep_nothing_is_lost_and_it_goes_on(after: bool) -> None:
    """Passes follow one another until the fuse blows in one of them; then others, in a new process, finish."""
    at, blown = 0, True
    while blown:
        at += 1
        world = backlog(23)
        listed = theirs(world)
        others = {place: each for place, each in world.source.everything().items() if each.octets not in listed}
        fuse = Fuse(at, after=after)
        try:
            while world.pass_(fuse=fuse, now=Hurried()).more:
                pass
            blown = False
        except Died:
            pass
        assert world.standing() | set(world.sealed()) >= listed, f"lost at call {at}, {fuse.names[-1]}"
        to_the_end(world)
        assert set(world.sealed()) == listed, f"not finished after call {at}, {fuse.names[-1]}"
        assert world.source.everything() == others, f"touched or left at call {at}, {fuse.names[-1]}"
        assert world.ledger.open("memory") == [] and world.ledger.found("memory") == []
    assert at > 60


SENDERS = st.sampled_from([EX, OTHER, FRIEND, "Alex Example <new@else.example>"])
ACTS = st.one_of(
    st.tuples(st.just("put"), SENDERS, st.sampled_from(["INBOX", "Junk"])),
    st.tuples(st.just("pass"), st.booleans(), st.integers(0, 12)),
    st.tuples(st.just("vanish"), st.integers(0, 30), st.just("")),
    st.tuples(st.just("renew"), st.sampled_from(["INBOX", "Junk"]), st.just("")),
    st.tuples(st.just("die"), st.integers(1, 40), st.booleans()),
)


@settings(max_examples=60, deadline=None)
@given(before=st.lists(SENDERS, max_size=12), acts=st.lists(ACTS, max_size=15))
def test_whatever_happens_in_between_the_last_list_is_followed_and_nobody_else_is_touched(
    before: list[str], acts: list[tuple[str, object, object]]
) -> None:
    """Messages come, go and are renumbered, lists and limits change, and the process dies, all in the middle."""
    world = World(MemorySource(folders=("INBOX", "Junk")))
    world.source.stretch = 2
    vanished: set[bytes] = set()
    put: list[bytes] = []

    def deliver(sender: str, folder: str) -> None:
        put.append(letter(sender, len(put)))
        world.source.put(put[-1], folder)

    for number, sender in enumerate(before):
        deliver(sender, ("INBOX", "Junk")[number % 2])
    for act, one, other in acts:
        if act == "put":
            deliver(str(one), str(other))
        elif act == "pass":
            hurried(world, _rules(bool(one), int(str(other))))
        elif act == "renew":
            world.source.renew(str(one))
        elif act == "vanish" and (places := sorted(world.source.everything())):
            folder, uidvalidity, uid = places[int(str(one)) % len(places)]
            vanished.add(world.source.everything()[folder, uidvalidity, uid].octets)
            world.source.vanish(MessageRef("memory", folder, uidvalidity, str(uid)))
        elif act == "die":
            with suppress(Died):
                world.pass_(fuse=Fuse(int(str(one)), after=bool(other)), now=Hurried())
        assert set(put) - vanished <= world.standing() | set(world.sealed())
    to_the_end(world, _rules(True, 1000))
    assert not theirs(world, EX, OTHER)
    assert all(EX.encode() in octets or OTHER.encode() in octets for octets in world.sealed())


def _rules(both: bool, limit: int) -> Policy:
    return blocked(limit, LISTED_TOO) if both else blocked(limit)


ADDRESSES = [EX, "Ex@ABUSER.example", "еx@abuser.example", FRIEND, "x@sub.firm.example", "+44 7700 900123", "", "jo"]
AUTHORS = st.builds(
    Author,
    st.sampled_from(["From", "Sender", "Reply-To", "calendar"]),
    st.sampled_from(ADDRESSES),
    st.sampled_from(["", "Alex Example", "ex@abuser.example", "Nadia"]),
    st.sampled_from(list(Kind)),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(AUTHORS, max_size=4).map(tuple))
def test_who_is_of_no_concern_comes_to_a_pass_whatever_else_is_known(authors: tuple[Author, ...]) -> None:
    rules = blocked(
        10, Rule(Kind.DOMAIN, "@firm.example"), Rule(Kind.NUMBER, "+44 7700 900123"), Rule(Kind.HANDLE, "jo"),
        uncertain=Disposition.SEAL,
    )  # fmt: skip
    verdict = decide(Envelope(REF, Channel.MAIL, authors, THEN), rules)
    if not rules.concerns(authors):
        assert verdict.disposition is Disposition.PASS
    if verdict.disposition is not Disposition.PASS:
        assert rules.concerns(authors)

"""A disk that fails at any step of what is not sealing: it is told, and the old stands, or the new, and nothing else.

Sealing on such a disk is in test_archive_dying.py; here are the ceremony, changes of holders, anchors and closed days.
"""

import errno
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from nocontactd.archive.anchors import countersigned, keep
from nocontactd.archive.current import current
from nocontactd.archive.durable import Disk
from nocontactd.archive.holders import locked_again
from nocontactd.archive.replace import relock_owner, replace
from nocontactd.archive.unlock import identities
from nocontactd.archive.verify import verify
from nocontactd.errors import SealError
from tests import archive_fixture
from tests.archive_fixture import OWNER, Made, contents, identity, light, memory, noon
from tests.failing_disk import FailingDisk
from tests.test_archive_ceremony import hold, is_there
from tests.test_archive_replace import days, newcomer, read

__all__ = ["memory"]

SOME, ALL = 4, 1
FAULTS = pytest.mark.parametrize(
    ("code", "times", "every"),
    [
        *((errno.EIO, 1, SOME), (errno.ENOSPC, 3, SOME)),
        *(pytest.param(*fault, ALL, marks=pytest.mark.soak) for fault in ((errno.EIO, 1), (errno.ENOSPC, 3))),
    ],
    ids=["EIO", "ENOSPC", "EIO at every one", "ENOSPC at every one"],
)
Act = Callable[[Made, Disk], None]


def at_each_step(
    memory: Path, whole: Made, act: Act, code: int, times: int, every: int, judge: Callable[[Made], None]
) -> int:
    """Do it once for each call (or every fourth) of the disk, with a fault there; how often it was told, of 100."""
    counting = FailingDisk(0, 0, code)
    act(copied(whole, memory / "count"), counting)
    told = 0
    for at in range(1, counting.calls + 1, every):
        made = copied(whole, memory / str(at))
        try:
            act(made, FailingDisk(at, times, code))
        except SealError as problem:
            told += 1
            assert "nothing was" in problem.message
        judge(made)
        shutil.rmtree(memory / str(at))
    return 100 * told // len(range(1, counting.calls + 1, every))


def copied(made: Made, place: Path) -> Made:
    shutil.copytree(made.path.parent, place)
    return Made(place / "archive", place / "state" / "log.key")


@pytest.fixture
def whole(memory: Path) -> Made:
    (memory / "whole").mkdir()
    made = archive_fixture.copy(memory / "whole")
    days(made, 2)
    return made


@FAULTS
def test_a_ceremony_on_a_failing_disk_is_told_and_goes_on_when_it_is_sound(
    memory: Path, code: int, times: int, every: int
) -> None:
    counting = FailingDisk(0, 0, code)
    (memory / "count").mkdir()
    hold(memory / "count", counting)
    told = 0
    for at in range(1, counting.calls + 1, every):
        place = memory / str(at)
        place.mkdir()
        try:
            hold(place, FailingDisk(at, times, code))
        except SealError as problem:
            told += 1
            assert "nothing was" in problem.message
        if (place / "archive" / "ceremony").exists() or not is_there(place):
            hold(place)
        assert verify(place / "archive").ok, at
        assert not (place / "archive" / "ceremony").exists()
        shutil.rmtree(place)
    assert told * every > counting.calls * 3 // 4


@FAULTS
def test_a_holder_is_replaced_on_a_failing_disk_or_is_not(
    memory: Path, whole: Made, code: int, times: int, every: int
) -> None:
    new = newcomer()
    seen = set()

    def judge(made: Made) -> None:
        made.sealer().close()
        state = tuple(read(made, each) for each in (identity("therapist"), new.identity))
        assert state in ((2, 0), (0, 2))
        assert verify(made.path).ok
        seen.add(state)

    def act(made: Made, disk: Disk) -> None:
        replace(made.path, made.log_key, new.holder, identity("witness"), noon, disk)

    assert at_each_step(memory, whole, act, code, times, every, judge) > 20
    assert len(seen) == 2


@FAULTS
def test_the_owners_passphrase_on_a_failing_disk_is_one_of_the_two(
    memory: Path, whole: Made, code: int, times: int, every: int
) -> None:
    fresh = locked_again("owner", identity("owner"), "five other words", light)
    old = (whole.path / "holders" / "owner.age").read_bytes()

    def judge(made: Made) -> None:
        made.sealer().close()
        assert (made.path / "holders" / "owner.age").read_bytes() in (old, fresh)
        assert verify(made.path).ok

    def act(made: Made, disk: Disk) -> None:
        relock_owner(made.path, made.log_key, "owner", fresh, noon, disk)

    assert at_each_step(memory, whole, act, code, times, every, judge) > 10
    assert identities(whole.path, {"owner": OWNER})


@FAULTS
def test_an_anchor_on_a_failing_disk_is_whole_or_not_there(
    memory: Path, whole: Made, code: int, times: int, every: int
) -> None:
    note = current(whole.path).note

    def judge(made: Made) -> None:
        kept = [octets for name, octets in contents(made.path) if name.startswith("log/anchors/")]
        assert kept in ([], [note])
        assert verify(made.path).ok

    def act(made: Made, disk: Disk) -> None:
        keep(made.path, {countersigned(note): note}, noon(), disk)

    assert at_each_step(memory, whole, act, code, times, every, judge) > 40


@FAULTS
def test_a_day_is_closed_on_a_failing_disk_or_at_the_next_call(
    memory: Path, whole: Made, code: int, times: int, every: int
) -> None:
    later = archive_fixture.Clock()
    for _ in range(3):
        later.next_day()

    def judge(made: Made) -> None:
        sealer = made.sealer(later)
        sealer.close_days()
        sealer.close()
        assert {len(list(day.iterdir())) for day in (made.path / "mail").iterdir()} == {16}
        assert verify(made.path).ok

    def act(made: Made, disk: Disk) -> None:
        archive = made.archive(later, disk)
        with archive.lock():
            archive.recover()
            archive.close_days()
        archive.close()

    assert at_each_step(memory, whole, act, code, times, every, judge) > 20

"""What a closed day tells without a key: steps, and nothing of how many messages came."""

import errno
import os
import random
import re
import stat
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nocontactd.archive import closing, cover
from nocontactd.archive.durable import Disk
from nocontactd.archive.format import COVER, FLOOR, padme
from nocontactd.archive.keys import mint
from nocontactd.archive.seal import Archive
from nocontactd.archive.verify import verify
from nocontactd.errors import SealError
from nocontactd.review.rows import row
from tests import archive_fixture
from tests.archive_fixture import DAY, VERDICT, Clock, Made, made_archive, memory, noon, original, ref, seal
from tests.fuse import Died, Fuse
from tests.powercut import ForgetfulDisk

__all__ = ["made_archive", "memory"]

SEALED = FLOOR + 200
"""Octets of a text once it is sealed."""


def day_after(made: Made) -> list[Path]:
    """The files of the fixture's day."""
    return sorted((made.path / "mail" / DAY).iterdir())


def classes(sizes: list[int]) -> Counter[int]:
    """How many files there are of each class of sizes, as one who reads the disk would sort them."""
    return Counter(sum(size >= found.least for found in cover.LARGER) for size in sizes)


def started(made: Made, clock: Clock) -> None:
    """A daemon starts, closes the days that are over, and ends."""
    sealer = made.sealer(clock)
    sealer.close_days()
    sealer.close()


def week(made: Made, texts: Callable[[int], int]) -> None:
    """Seven days of a daemon with one source: a coverage record an hour, and so many texts on each day."""
    clock = Clock()
    sealer = made.sealer(clock)
    for day in range(7):
        for hour in range(24):
            clock.moment = noon().replace(hour=hour, minute=1) + timedelta(days=day)
            sealer.close_days()
            sealer.enter("coverage", (("done", "60"),))
            for uid in range(texts(day) // 24 + (hour < texts(day) % 24)):
                seal(sealer, [b"text of a storm " * random.Random(uid).randrange(200)], uid)
    clock.next_day()
    sealer.close_days()
    sealer.close()


def listing(made: Made) -> list[tuple[str, str, int, int]]:
    """All that `ls` tells of the records: name, mode, time of change, and size as far as it is not by chance."""
    found = []
    for path in sorted((made.path / "mail").rglob("*")):
        there = path.lstat()
        size = FLOOR if path.is_file() and there.st_size == SEALED else 0
        found.append((path.relative_to(made.path).as_posix(), stat.filemode(there.st_mode), int(there.st_mtime), size))
    return found


def test_a_storm_of_texts_and_a_silent_week_look_the_same(memory: Path) -> None:
    """Up to the next step: names, modes, times, sizes, and the shape of the log."""
    places = {}
    for name, texts in (("silent", lambda _day: 0), ("storm", lambda day: 36 if day % 2 else 17)):
        (memory / name).mkdir()
        places[name] = archive_fixture.copy(memory / name)
        week(places[name], texts)
    silent, storm = places.values()
    names = [{(name, *rest) for name, *rest, _size in listing(made)} for made in (silent, storm)]
    assert names[0] == names[1]
    assert len(names[0]) == 7 * 65
    for day in (silent.path / "mail").iterdir():
        of_both = [classes(closing.sizes(made.path / "mail" / day.name)) for made in (silent, storm)]
        assert of_both[0] == of_both[1] == {0: 60, 1: 2, 2: 1, 3: 1}
    for made in (silent, storm):
        texts = [size for *_, size in listing(made) if size]
        assert len(texts) == 7 * 60
    shapes = [[re.sub(r"[0-9a-f]{64}", "hash", leaf) for leaf in made.leaves()] for made in (silent, storm)]
    assert shapes[0] == shapes[1]
    assert len(silent.opened()) == 7 * 24 < len(storm.opened())
    assert verify(silent.path).ok
    assert verify(storm.path).ok


def test_where_a_larger_cover_stands_is_by_chance(memory: Path) -> None:
    made = archive_fixture.copy(memory)
    clock = Clock()
    places = set()
    sealer = made.sealer(clock)
    for _ in range(8):
        sealer.enter("coverage", ())
        clock.next_day()
    sealer.close_days()
    for day in (made.path / "mail").iterdir():
        sizes = [path.stat().st_size for path in sorted(day.iterdir())]
        places.add(tuple(n for n, size in enumerate(sizes) if size > SEALED))
    assert len(places) > 4


def test_now_and_then_a_larger_cover_is_sealed_while_the_day_is_under_way(made_archive: Made) -> None:
    """A larger message is not given away by not being among the last of its day."""
    clock = Clock(noon().replace(hour=0))
    entropy = random.Random(5).randbytes
    archive = Archive(
        made_archive.path, made_archive.log_key, clock, None, entropy, lambda law: mint(law.owner, law.others)
    )
    with archive.lock():
        archive.recover()
        for _ in range(24 * 60 - 1):
            clock.moment += timedelta(minutes=1)
            archive.decoy()
        decoys = closing.sizes(made_archive.path / "mail" / DAY)
        clock.next_day()
        archive.close_days()
        archive.close()
    assert 1 <= len(decoys) <= 12
    assert classes(decoys)[0] == 0
    assert len(day_after(made_archive)) == 16
    assert made_archive.opened() == []
    assert verify(made_archive.path).ok


def test_covers_are_known_as_such_only_inside_and_never_shown(made_archive: Made) -> None:
    clock = Clock()
    sealer = made_archive.sealer(clock)
    seal(sealer, [b"one"])
    clock.next_day()
    sealer.close_days()
    sealer.close()
    opened = made_archive.all_opened()
    assert Counter(item.kind for item in opened) == {"message": 1, COVER: 15}
    assert all(item.meta.record == item.record and item.logged for item in opened)
    assert [row(item) for item in opened if item.kind == COVER] == [None] * 15
    assert {path.stat().st_mode for path in day_after(made_archive)} == {stat.S_IFREG | 0o600}
    assert verify(made_archive.path).ok


@pytest.mark.parametrize(
    ("count", "files"), [(1, 16), (12, 16), (13, 64), (16, 64), (60, 64), (61, 256), (252, 256), (253, 1024)]
)
def test_texts_are_filled_up_to_steps(count: int, files: int) -> None:
    lacking = cover.lacking([SEALED] * count, random.Random(1).randbytes)
    assert count + len(lacking) == files
    assert len([filler for filler in lacking if filler]) == 4


@pytest.mark.parametrize(
    ("mails", "files"),
    [
        ([14_000], {0: 12, 1: 2, 2: 1, 3: 1}),
        ([14_000] * 3, {0: 6, 1: 8, 2: 1, 3: 1}),
        ([60_000] * 2, {0: 9, 1: 2, 2: 4, 3: 1}),
        ([300_000, 9_000_000], {0: 9, 1: 2, 2: 1, 3: 4}),
    ],
    ids=["one", "three", "two larger", "two very large"],
)
def test_each_class_of_sizes_is_filled_up_to_a_step_of_its_own(mails: list[int], files: dict[int, int]) -> None:
    lacking = cover.lacking(mails, random.Random(1).randbytes)
    sizes = mails + [sealed(filler) for filler in lacking]
    assert classes(sizes) == files


def sealed(filler: int) -> int:
    """About what a cover with such a filler is on the disk."""
    return padme(filler + 4096) + 400


@given(st.lists(st.integers(min_value=10_500, max_value=900_000), max_size=80), st.integers(), st.integers(0, 60))
def test_a_filling_that_was_broken_off_is_gone_on_with_to_the_same_end(mails: list[int], seed: int, done: int) -> None:
    entropy = random.Random(seed).randbytes
    whole = mails + [sealed(filler) for filler in cover.lacking(mails, entropy)]
    begun = mails + [sealed(filler) for filler in cover.lacking(mails, entropy)[:done]]
    ended = begun + [sealed(filler) for filler in cover.lacking(begun, entropy)]
    assert classes(ended) == classes(whole)
    assert cover.lacking(whole, entropy) == ()


def test_what_is_closed_stays_as_it_is(made_archive: Made) -> None:
    clock = Clock()
    sealer = made_archive.sealer(clock)
    seal(sealer, [b"one"])
    clock.next_day()
    sealer.close_days()
    sealer.close()
    leaves = made_archive.leaves()
    for _ in range(2):
        sealer = made_archive.sealer(clock)
        sealer.close_days()
        sealer.close()
    assert made_archive.leaves() == leaves
    assert len(day_after(made_archive)) == 16


def test_a_day_is_not_closed_before_it_is_over(made_archive: Made) -> None:
    sealer = made_archive.sealer()
    seal(sealer, [b"one"])
    sealer.close_days()
    sealer.close()
    assert len(day_after(made_archive)) == 1


def test_a_daemon_that_was_off_for_a_week_closes_what_was_open_and_makes_no_day_up(made_archive: Made) -> None:
    sealer = made_archive.sealer()
    seal(sealer, [b"one"])
    sealer.close()
    clock = Clock(noon() + timedelta(days=7))
    started(made_archive, clock)
    assert len(day_after(made_archive)) == 16
    assert [day.name for day in (made_archive.path / "mail").iterdir()] == [DAY]


def test_the_first_record_of_a_day_waits_for_the_covers_of_the_last(made_archive: Made) -> None:
    """Else a leaf of the old day behind the new day's key would be known for a cover's."""
    clock = Clock()
    sealer = made_archive.sealer(clock)
    seal(sealer, [b"one"])
    clock.next_day()
    seal(sealer, [b"two"], 2)
    days = [leaf[:10] for leaf in made_archive.leaves() if leaf[0].isdigit()]
    assert days == [DAY] * 16 + ["2026-11-23"]
    assert made_archive.leaves()[-2].startswith("key/2026-11-23 ")


def test_a_group_over_midnight_is_waited_for(made_archive: Made) -> None:
    clock = Clock()
    sealer = made_archive.sealer(clock)
    seal(sealer, [b"one"], 9)
    with sealer.batch([ref(1)]) as batch:
        clock.next_day()
        sealer.close_days()
        seal(sealer, [b"tomorrow's"], 2)
        batch.add(batch.records[0], original(), VERDICT)
        batch.commit()
    assert len(day_after(made_archive)) == 2
    sealer.close_days()
    assert len(day_after(made_archive)) == 16
    messages = [f"{DAY}/000001", f"{DAY}/000002", "2026-11-23/000001"]
    assert [item.record for item in made_archive.opened()] == messages


def test_the_review_room_beside_a_daemon_closes_nothing(made_archive: Made) -> None:
    """The daemon may have a group under way."""
    clock = Clock()
    seal(made_archive.sealer(clock), [b"one"])
    clock.next_day()
    room = made_archive.archive(clock)
    room.enter("opening", ())
    room.close()
    assert len(day_after(made_archive)) == 1


def test_change_times_do_not_tell_what_was_there_before(made_archive: Made) -> None:
    clock = Clock()
    sealer = made_archive.sealer(clock)
    seal(sealer, [b"one"])
    clock.next_day()
    time.sleep(0.02)
    closed_from = time.time()
    sealer.close_days()
    changed = [path.stat().st_ctime for path in day_after(made_archive)]
    assert changed == sorted(changed)
    assert min(changed) > closed_from - 0.015  # the kernel's clock ticks


def test_a_lost_public_half_of_a_day_that_is_over_is_made_again(made_archive: Made) -> None:
    clock = Clock()
    sealer = made_archive.sealer(clock)
    seal(sealer, [b"one"])
    sealer.close()
    for folder in ("keys", "keys/copy"):
        (made_archive.path / folder / f"{DAY}.pub").unlink()
    clock.next_day()
    started(made_archive, clock)
    assert len(made_archive.all_opened()) == 16


def test_covers_leave_room_for_messages(made_archive: Made) -> None:
    closing.make_sure_of_room(made_archive.path, FLOOR)
    with pytest.raises(SealError, match="not filled up with cover records"):
        closing.make_sure_of_room(made_archive.path, 1 << 60)


def test_a_day_that_cannot_be_closed_keeps_no_message_from_being_sealed(made_archive: Made) -> None:
    class Full(Disk):
        full = False

        def create(self, path: Path) -> int:
            if self.full and DAY in path.name:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return super().create(path)

    clock, disk = Clock(), Full()
    sealer = made_archive.sealer(clock, disk)
    seal(sealer, [b"one"])
    clock.next_day()
    disk.full = True
    assert seal(sealer, [b"two"], 2)
    with pytest.raises(SealError, match="No space left"):
        sealer.close_days()
    disk.full = False
    sealer.close_days()
    sealer.close()
    assert len(day_after(made_archive)) == 16
    assert verify(made_archive.path).ok


def closed_by(made: Made, disk: Disk, clock: Clock) -> None:
    """A life that seals, closes the day and seals once more; it may die on the way."""
    archive = made.archive(clock, disk)
    with suppress(Died), archive.lock():
        archive.recover()
        seal(archive, [b"one", b"x" * 20_000])
        clock.next_day()
        archive.close_days()
        seal(archive, [b"two"], 3)
        archive.close()


def put_in_order(made: Made) -> list[Path]:
    """The next start, on the next day; the files of the day before."""
    started(made, Clock(noon() + timedelta(days=1)))
    found = verify(made.path)
    assert found.ok, found
    return day_after(made) if (made.path / "mail" / DAY).is_dir() else []


EVERY = [pytest.param(9, id="some"), pytest.param(1, id="all", marks=pytest.mark.soak)]
"""Of so many steps one is tried."""


@pytest.mark.parametrize("every", EVERY)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_death_at_any_step_of_closing_leaves_a_day_that_the_next_start_closes(
    memory: Path, after: bool, every: int
) -> None:
    fuse = Fuse()
    closed_by(_place(memory, "whole"), fuse.wrap(Disk(), "disk"), Clock())
    for at in range(1 + after, fuse.calls + 1, every):
        made = _place(memory, str(at))
        closed_by(made, Fuse(at, after=after).wrap(Disk(), "disk"), Clock())
        files = put_in_order(made)
        assert len(files) in (0, 16), at
        if files:
            assert classes([path.stat().st_size for path in files]) == {0: 12, 1: 2, 2: 1, 3: 1}


@pytest.mark.parametrize("every", EVERY)
def test_a_power_cut_at_any_step_of_closing_leaves_a_day_that_the_next_start_closes(memory: Path, every: int) -> None:
    chance = random.Random(7)
    made = _place(memory, "whole")
    counting = ForgetfulDisk(made.path.parent)
    closed_by(made, counting, Clock())
    for at in range(2, counting.calls + 1, every):
        made = _place(memory, str(at))
        disk = ForgetfulDisk(made.path.parent, at)
        closed_by(made, disk, Clock())
        disk.survive(memory / f"{at}-found", chance)
        assert len(put_in_order(_made(memory / f"{at}-found"))) in (0, 16), at


def _place(memory: Path, name: str) -> Made:
    (memory / name).mkdir()
    return archive_fixture.copy(memory / name)


def _made(place: Path) -> Made:
    return Made(place / "archive", place / "state" / "log.key")

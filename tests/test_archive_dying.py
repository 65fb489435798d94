"""Whatever kills a process that seals: what was acknowledged is there, and the next start puts the rest in order."""

import errno
import itertools
import os
import random
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from nocontactd.archive.durable import Disk
from nocontactd.archive.group import OPEN
from nocontactd.archive.verify import verify
from nocontactd.errors import DamagedError, NocontactError, SealError
from nocontactd.model import MessageRef, Receipt
from tests import archive_fixture
from tests.archive_fixture import VERDICT, Clock, Made, RecordingDisk, made_archive, memory, noon, original, ref, seal
from tests.failing_disk import FailingDisk
from tests.fuse import Died, Fuse
from tests.peers import missing
from tests.powercut import ForgetfulDisk

__all__ = ["made_archive", "memory"]


@dataclass
class Life:
    """What one process knows when it dies: what its ledger reserved, and what was acknowledged to it."""

    reserved: list[tuple[str, MessageRef, bytes]] = field(default_factory=list)
    receipts: list[Receipt] = field(default_factory=list)

    def live(self, made: Made, disk: Disk, groups: tuple[int, ...], clock: Clock) -> bool:
        """Recover and seal groups of these sizes; False when it died on the way."""
        archive = made.archive(clock, disk)
        with suppress(Died), archive.lock():
            archive.recover()
            for size in groups:
                self._seal(archive, size)
            archive.close()
            return True
        return False

    def _seal(self, archive: archive_fixture.Archive, size: int) -> None:
        uids = range(len(self.reserved) + 1, len(self.reserved) + size + 1)
        with archive.batch([ref(uid) for uid in uids]) as batch:
            self.reserved += [(r, ref(uid), body(uid)) for r, uid in zip(batch.records, uids, strict=True)]
            for record, uid in zip(batch.records, uids, strict=True):
                batch.add(record, original(body(uid), uid), VERDICT)
            self.receipts += batch.commit()


def body(uid: int) -> bytes:
    return f"Message-ID: <{uid}@abuser.example>\r\n\r\n{'x' * 37 * uid}\r\n".encode()


def put_in_order(made: Made, life: Life, clock: Clock) -> None:
    """The next start: everything acknowledged is there; the rest is sealed again; nothing is amiss."""
    archive = made.sealer(clock)
    assert archive.added == "", "a crash is not somebody's doing"
    acknowledged = {receipt.record for receipt in life.receipts}
    recalled = {record for record, where, _body in life.reserved if archive.recall(record, where)}
    assert acknowledged <= recalled
    again = [(where, text) for record, where, text in life.reserved if record not in recalled]
    for where, text in again:
        seal(archive, [text], int(where.uid))
    archive.close()
    found = made.opened()
    by_record = {item.record: item for item in found}
    for record, _where, text in life.reserved:
        if record in recalled:
            assert by_record[record].logged
            assert by_record[record].original == text
    assert {text for _record, _where, text in life.reserved} <= {item.original for item in found if item.logged}
    result = verify(made.path)
    assert result.ok, result
    assert result.in_progress == ()
    assert list((made.path / "incoming").iterdir()) == []


def calls(made: Made, groups: tuple[int, ...]) -> int:
    fuse = Fuse()
    assert Life().live(made, fuse.wrap(Disk(), "disk"), groups, Clock())
    return fuse.calls


@pytest.mark.parametrize("groups", [(1,), (3, 1)])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_death_at_any_step_loses_nothing_that_was_acknowledged(
    memory: Path, groups: tuple[int, ...], after: bool
) -> None:
    (memory / "whole").mkdir()
    steps = calls(archive_fixture.copy(memory / "whole"), groups)
    assert steps > 40
    for at in range(1, steps + 1, 4 if after else 1):  # behind one step is before the next
        place = memory / str(at)
        place.mkdir()
        made = archive_fixture.copy(place)
        life = Life()
        assert not life.live(made, Fuse(at, after=after).wrap(Disk(), "disk"), groups, Clock())
        put_in_order(made, life, Clock())


def test_a_death_while_the_next_start_puts_things_in_order_changes_nothing(memory: Path) -> None:
    """Every step of a recovery that has everything to do: torn leaf, orphan, lost copies, lost log key."""
    (memory / "whole").mkdir()
    whole = archive_fixture.copy(memory / "whole")
    life = Life()
    assert life.live(whole, Disk(), (2,), Clock())
    _spoil(whole)
    fuse = Fuse()
    assert Life().live(_copied(whole, memory / "count"), fuse.wrap(Disk(), "disk"), (), Clock())
    for at in range(1, fuse.calls + 1):
        made = _copied(whole, memory / str(at))
        assert not Life().live(made, Fuse(at).wrap(Disk(), "disk"), (), Clock())
        put_in_order(made, life, Clock())


def _spoil(made: Made) -> None:
    shutil.copytree(made.path / "log", made.path.parent / "log")
    sealer = made.sealer()
    seal(sealer, [b"never acknowledged"], 9)
    sealer.close()
    shutil.rmtree(made.path / "log")
    (made.path.parent / "log").rename(made.path / "log")
    (made.path / "incoming" / "2026-11-22-000010.age").write_bytes(b"half")
    with (made.path / "log" / "leaves").open("ab") as log:
        log.write(b"2026-11-22/000011 0123")
    (made.path / "log" / "copy" / "leaves").unlink()
    (made.path / "keys" / "2026-11-22.pub").unlink()
    (made.path / "keys" / "copy" / "2026-11-22.key.age").write_bytes(b"rotten")
    (made.path / "keys" / "2026-11-23.key.age").write_bytes(b"never used")
    (made.path / "holders" / "owner.age").unlink()
    made.log_key.unlink()


def _copied(made: Made, place: Path) -> Made:
    shutil.copytree(made.path.parent, place)
    return Made(place / "archive", place / "state" / "log.key")


NO_LOG_KEY = 2
"""The seed with which archive.json changes on the way: the log needs another key."""


@pytest.mark.parametrize("seed", range(3))
def test_a_power_cut_at_any_step_loses_nothing_that_was_acknowledged(memory: Path, seed: int) -> None:
    assert list(_cuts(memory, seed, lambda _path: False)) == []


def test_a_power_cut_while_some_of_a_group_are_flushed_and_others_written_loses_nothing(memory: Path) -> None:
    assert list(_cuts(memory, 3, lambda _path: False, groups=(1, OPEN + 3), every=29)) == []


@pytest.mark.soak
def test_3000_states_after_a_power_cut_lose_nothing_that_was_acknowledged(memory: Path) -> None:
    states: list[str] = []
    for seed in itertools.count(3):
        place = _below(memory, f"seed-{seed}")
        assert list(_cuts(place, seed, lambda _path: False, states)) == []
        shutil.rmtree(place)
        if len(states) >= 3000:
            break


@pytest.mark.parametrize(
    ("forgotten", "which"),
    [
        ("the record itself", lambda path: re.fullmatch(r"[\d-]{17}\.age", path.name) is not None),
        ("the folder of its day", lambda path: path.parent.name == "mail"),
        ("the log", lambda path: path.name == "leaves"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_of_the_three_flushes_is_needed(memory: Path, forgotten: str, which: Callable[[Path], bool]) -> None:
    """Leave one out, and some power cut loses a message that was acknowledged."""
    assert any(problem for seed in range(3) for problem in _cuts(memory, seed, which)), forgotten


def _cuts(
    memory: Path,
    seed: int,
    leave_out: Callable[[Path], bool],
    states: list[str] | None = None,
    *,
    groups: tuple[int, ...] = (1, 2, 1),
    every: int = 1,
) -> Iterator[str]:
    """Cut the power at every step of sealing a few messages; what went wrong at each. `states`: what was tried."""
    chance = random.Random(seed)
    whole, counting = _forgetful(_below(memory, f"whole-{seed}"), seed)
    Life().live(whole, counting, groups, Clock())
    for at in range(2, counting.calls + 1, every):
        found = memory / f"{seed}-{at}-found"
        made, disk = _forgetful(_below(memory, f"{seed}-{at}"), seed, at, leave_out)
        life = Life()
        life.live(made, disk, groups, Clock())
        disk.survive(found, chance)
        if states is not None:
            states.append(found.name)
        try:
            put_in_order(Made(found / "archive", found / "state" / "log.key"), life, Clock())
        except (AssertionError, NocontactError) as problem:
            yield f"cut at {at}: {problem!r}"


def _forgetful(
    place: Path, seed: int, at: int = 0, leave_out: Callable[[Path], bool] = lambda _path: False
) -> tuple[Made, ForgetfulDisk]:
    made = archive_fixture.copy(place)
    if seed == NO_LOG_KEY:
        made.log_key.unlink()
    return made, ForgetfulDisk(place, at, leave_out)


@pytest.mark.parametrize(("code", "times"), [(errno.EIO, 1), (errno.ENOSPC, 2), (errno.EIO, 4)])
def test_a_disk_that_fails_at_any_step_is_told_and_the_same_process_goes_on(
    memory: Path, code: int, times: int
) -> None:
    """Nothing acknowledged is lost, nothing half-written is counted, and nothing is flushed twice and believed."""
    whole = archive_fixture.copy(_below(memory, "whole"))
    counting = FailingDisk(0, 0, code)
    assert Life().live(whole, counting, (1, 2), Clock())
    told = 0
    for at in range(1, counting.calls + 1):
        made = archive_fixture.copy(_below(memory, str(at)))
        life, disk = Life(), FailingDisk(at, times, code)
        archive = made.archive(disk=disk)
        with archive.lock():
            for _ in range(4):
                try:
                    archive.recover()
                    break
                except SealError as problem:
                    told += 1
                    assert "nothing was removed" in problem.message
            for size in (1, 2, 1):
                with suppress(SealError):
                    life._seal(archive, size)
                    continue
                told += 1
            archive.close()
        put_in_order(made, life, Clock())
    assert told > counting.calls // 3


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_message_of_several_pieces_is_whole_or_refused_whichever_write_fails(memory: Path, code: int) -> None:
    octets = random.Random(4).randbytes(200_000)
    counting = FailingDisk(0, 0, code)
    seal(archive_fixture.copy(_below(memory, "whole")).archive(disk=counting), [octets])
    refused = 0
    for at in range(1, counting.calls + 1):
        made = archive_fixture.copy(_below(memory, str(at)))
        archive = made.archive(disk=FailingDisk(at, 1, code))
        receipts: tuple[Receipt, ...] = ()
        try:
            receipts = seal(archive, [octets])
        except SealError:
            refused += 1
        archive.close()
        made.sealer().close()
        kept = [item.record for item in made.opened() if item.logged and item.original == octets]
        assert kept == [receipt.record for receipt in receipts], at
        assert verify(made.path).ok, at
    assert refused > counting.calls // 2


def test_what_a_dead_process_wrote_and_did_not_flush_is_flushed_before_it_is_recalled(memory: Path) -> None:
    """Else a receipt would rest on a leaf that the next power cut takes away."""
    fuse = Fuse()
    Life().live(archive_fixture.copy(_below(memory, "whole")), fuse.wrap(Disk(), "disk"), (1,), Clock())
    for at in range(fuse.calls, 1, -1):
        life, made = Life(), archive_fixture.copy(_below(memory, str(at)))
        life.live(made, Fuse(at).wrap(Disk(), "disk"), (1,), Clock())
        if not life.receipts and made.leaves()[-1].startswith("2026-11-22/"):
            break
    disk = RecordingDisk(made.path)
    archive = made.archive(disk=disk)
    with archive.lock():
        archive.recover()
        assert "flush log/leaves" in disk.done
        assert archive.recall(*life.reserved[0][:2])


def _below(place: Path, name: str) -> Path:
    (place / name).mkdir()
    return place / name


def test_a_full_disk_is_told_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """On a real file system of a megabyte, and with room again sealing goes on."""
    if (
        os.geteuid() != 0
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "nocontact-test", tmp_path],
            check=False,
            capture_output=True,
        ).returncode
    ):
        missing("a small file system can only be mounted by root")
    try:
        made = archive_fixture.copy(tmp_path)
        sealer = made.sealer()
        first = seal(sealer, [b"before"])
        ballast = tmp_path / "ballast"
        ballast.write_bytes(bytes(300_000))
        for uid in range(2, 100):
            try:
                seal(sealer, [bytes(100_000)], uid)
            except SealError as problem:
                told = problem
                break
        assert str(made.path) in told.message
        assert "No space left" in told.message
        assert "nothing was removed" in told.message
        assert list((made.path / "incoming").iterdir()) == []
        with pytest.raises(SealError):
            seal(sealer, [bytes(100_000)] * 3, 200)
        ballast.unlink()
        last = seal(sealer, [b"after"], 300)
        sealer.close()
        kept = {item.record for item in made.opened() if item.logged}
        assert {first[0].record, last[0].record} <= kept
        assert verify(made.path).ok
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def dead_sector(path: Path, chance: random.Random) -> None:
    """512 octets somewhere in a file are zeros."""
    data = bytearray(path.read_bytes())
    start = chance.randrange(0, len(data), 512)
    data[start : start + 512] = bytes(len(data[start : start + 512]))
    path.write_bytes(data)


@pytest.fixture
def two_days(tmp_path: Path) -> Made:
    made, clock = archive_fixture.copy(tmp_path), Clock()
    sealer = made.sealer(clock)
    seal(sealer, [body(uid) for uid in range(1, 8)])
    clock.next_day()
    seal(sealer, [body(uid) for uid in range(8, 12)], 8)
    sealer.close()
    return made


def test_a_dead_sector_under_a_record_costs_that_record_alone(two_days: Made) -> None:
    chance = random.Random(1)
    records = sorted((two_days.path / "mail").rglob("*.age"))
    for path in (records[0], records[4], records[15], records[-1]):
        whole = path.read_bytes()
        dead_sector(path, chance)
        opener = two_days.opener()
        found = list(opener.messages(opener.days()))
        assert len(found) == len(records)
        lost = [item for item in found if isinstance(item, DamagedError)]
        assert [item.message.split(":")[0] for item in lost] == [f"{path.parent.name}/{path.stem}"]
        assert verify(two_days.path).damaged == (path.relative_to(two_days.path).as_posix(),)
        path.write_bytes(whole)


def test_a_dead_sector_under_a_key_or_the_log_costs_no_record_and_is_mended_by_the_next_start(two_days: Made) -> None:
    chance = random.Random(2)
    files = [path for top in ("keys", "log") for path in sorted((two_days.path / top).rglob("*")) if path.is_file()]
    assert len(files) > 12
    for sealed, path in enumerate(files, 11):
        dead_sector(path, chance)
        assert len(two_days.opened()) == sealed, path
        assert verify(two_days.path).damaged, path
        sealer = two_days.sealer(Clock(noon() + timedelta(days=1)))
        seal(sealer, [b"and on it goes"], 99)
        sealer.close()
        assert verify(two_days.path).ok, path
    assert len(two_days.opened()) == 11 + len(files)


def test_an_archive_that_cannot_be_written_is_told(made_archive: Made) -> None:
    class ReadOnly(Disk):
        def create(self, path: Path) -> int:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with pytest.raises(SealError, match="nothing was removed") as told:
        seal(made_archive.archive(disk=ReadOnly()), [b"one"])
    assert "read-only" in told.value.hint
    assert told.value.__cause__ is None
    assert told.value.__suppress_context__


PROGRAM = """
import sys
from pathlib import Path
from tests.archive_fixture import Made, noon, seal
made = Made(Path(sys.argv[1]), Path(sys.argv[2]))
sealer = made.sealer()
first = int(sys.argv[3])
for uid in range(first, first + 100_000):
    for receipt in seal(sealer, [b"%d" % n for n in range(uid, uid + uid % 3 + 1)], uid):
        print(receipt.record, receipt.ref.uid, flush=True)
"""


@pytest.mark.parametrize("lives", [8, pytest.param(300, marks=pytest.mark.soak)])
def test_kill_9_at_random_moments_loses_nothing_that_was_acknowledged(memory: Path, lives: int) -> None:
    chance = random.Random(9)
    made = archive_fixture.copy(memory)
    acknowledged: dict[str, str] = {}
    for life in range(lives):
        child = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, made.path, made.log_key, str(life * 1_000_000)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[1],
        )
        assert child.stdout
        lines = [child.stdout.readline()]
        timer = threading.Timer(chance.uniform(0, 0.15), child.kill)
        timer.start()
        lines += child.stdout.readlines()
        timer.join()
        child.wait()
        child.stdout.close()
        acknowledged |= dict(line.split() for line in lines if line.endswith("\n"))
    made.sealer().close()
    result = verify(made.path)
    assert result.ok, result
    found = {item.record: item.original.decode() for item in made.opened() if item.logged}
    assert len(acknowledged) > lives
    assert {record: found.get(record) for record in acknowledged} == acknowledged

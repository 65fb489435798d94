"""Sealing: what a receipt costs and promises, group by group and thread by thread."""

import fcntl
import io
import os
import shutil
import stat
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nocontactd.archive.durable import Disk
from nocontactd.archive.group import OPEN
from nocontactd.archive.replace import relock_owner
from nocontactd.archive.seal import Archive
from nocontactd.archive.verify import verify
from nocontactd.errors import BusyError, DamagedError, NoKeysError, SealError, SourceError
from nocontactd.model import Disposition, Original, Part, Verdict
from tests.archive_fixture import (
    DAY,
    VERDICT,
    Clock,
    Made,
    RecordingDisk,
    contents,
    envelope,
    made_archive,
    memory,
    noon,
    original,
    ref,
    seal,
)

__all__ = ["made_archive", "memory"]


def test_a_receipt_names_the_record_and_the_message(made_archive: Made) -> None:
    sealer = made_archive.sealer()
    receipts = seal(sealer, [b"one", b"two"], 5)
    assert [receipt.record for receipt in receipts] == [f"{DAY}/000001", f"{DAY}/000002"]
    assert [receipt.ref for receipt in receipts] == [ref(5), ref(6)]


def test_the_steps_before_a_receipt_stand_in_the_order_of_the_promise(made_archive: Made) -> None:
    """Leave any flush out, or give the receipt before the leaf, and this list is another."""
    disk = RecordingDisk(made_archive.path)
    sealer = made_archive.sealer(disk=disk)
    seal(sealer, [b"the day's first makes its key"])
    disk.done.clear()
    with sealer.batch([ref()]) as batch:
        batch.add(batch.records[0], original(), VERDICT)
        assert sealer.recall(batch.records[0], ref()) is None
        batch.commit()
        assert disk.done == [
            f"write incoming/{DAY}-000002.age",
            f"flush incoming/{DAY}-000002.age",
            f"rename to mail/{DAY}/000002.age",
            f"flush mail/{DAY}",
            "write log/leaves",
            "flush log/leaves",
        ]


@pytest.mark.parametrize("count", [1, 2, 100])
def test_a_group_of_n_costs_n_and_two_flushes_before_its_receipts(made_archive: Made, count: int) -> None:
    disk = RecordingDisk(made_archive.path)
    sealer = made_archive.sealer(disk=disk)
    seal(sealer, [b"the day's first makes its key"])
    disk.done.clear()
    with sealer.batch([ref(uid) for uid in range(count)]) as batch:
        for uid, record in enumerate(batch.records):
            batch.add(record, original(uid=uid), VERDICT)
        assert len(batch.commit()) == count
        assert len(disk.flushes()) == count + 2
    assert len(made_archive.opened()) == count + 1


def test_a_day_key_is_durable_and_logged_before_its_first_record(made_archive: Made) -> None:
    disk = RecordingDisk(made_archive.path)
    sealer = made_archive.sealer(disk=disk)
    disk.done.clear()
    seal(sealer, [b"first"])
    steps = disk.done[: disk.done.index(f"write incoming/{DAY}-000001.age")]
    halves = [f"{folder}/{DAY}{suffix}" for folder in ("keys", "keys/copy") for suffix in (".key.age", ".pub")]
    for half in halves:
        assert steps.index(f"flush incoming/{half.rsplit('/', 1)[1]}") < steps.index(f"rename to {half}")
    assert max(steps.index(f"rename to {half}") for half in halves) < steps.index("flush keys/copy")
    assert steps.index("flush keys/copy") < steps.index("write log/leaves") < steps.index("flush log/leaves")
    assert steps[-1] == "flush mail"


def test_a_record_that_reads_back_otherwise_is_refused(made_archive: Made) -> None:
    class Corrupting(Disk):
        def write(self, fd: int, data: bytes, offset: int | None = None) -> None:
            if offset is None:
                data = data[:-1] + bytes([data[-1] ^ 1])
            super().write(fd, data, offset)

    seal(made_archive.archive(), [b"makes the day's key"])
    with pytest.raises(SealError, match="read back"):
        seal(made_archive.archive(disk=Corrupting()), [b"one"])
    assert len(list((made_archive.path / "mail" / DAY).iterdir())) == 1
    assert list((made_archive.path / "incoming").iterdir()) == []


def test_a_message_whose_source_fails_is_dropped_alone(made_archive: Made) -> None:
    def cut_off() -> Iterator[bytes]:
        yield b"hello"
        raise SourceError("home: cut off")

    sealer = made_archive.sealer()
    with sealer.batch([ref(1), ref(2), ref(3)]) as batch:
        batch.add(batch.records[0], original(b"one", 1), VERDICT)
        with pytest.raises(SourceError, match=r"^home: cut off$") as told:
            batch.add(batch.records[1], Original(envelope(2), iter([Part("message.eml", 99, cut_off())])), VERDICT)
        assert told.value.__context__ is None
        batch.add(batch.records[2], original(b"three", 3), VERDICT)
        receipts = batch.commit()
    assert [receipt.ref for receipt in receipts] == [ref(1), ref(3)]
    assert [item.original for item in made_archive.opened()] == [b"one", b"three"]
    assert list((made_archive.path / "incoming").iterdir()) == []


@pytest.mark.parametrize(
    "parts",
    [
        [Part("message.eml", 5, [b"four"])],
        [Part("message.eml", 5, [b"one", b"more"])],
        [Part("../message.eml", 1, [b"x"])],
        [Part("meta.json", 1, [b"x"])],
        [Part("final.json", 1, [b"x"])],
        [Part("message.eml", 1, [b"x"]), Part("message.eml", 1, [b"y"])],
    ],
    ids=["shorter", "longer", "outside", "meta", "final", "twice"],
)
def test_a_message_that_is_not_as_announced_is_not_sealed(made_archive: Made, parts: list[Part]) -> None:
    sealer = made_archive.sealer()
    with sealer.batch([ref()]) as batch:
        with pytest.raises(SourceError, match=r"home: .*neither sealed nor removed"):
            batch.add(batch.records[0], Original(envelope(), iter(parts)), VERDICT)
        assert batch.commit() == ()
    assert list((made_archive.path / "mail" / DAY).iterdir()) == []


def test_an_endless_message_is_given_up_once_it_is_too_long(made_archive: Made) -> None:
    given: list[bytes] = []

    def endless() -> Iterator[bytes]:
        while len(given) < 1000:
            given.append(b"x" * 100)
            yield given[-1]

    with made_archive.sealer().batch([ref()]) as batch, pytest.raises(SourceError):
        batch.add(batch.records[0], Original(envelope(), iter([Part("message.eml", 250, endless())])), VERDICT)
    assert len(given) == 3


def test_the_second_checkpoint_signs_only_for_what_is_durable_in_both_copies(made_archive: Made) -> None:
    disk = RecordingDisk(made_archive.path)
    sealer = made_archive.sealer(disk=disk)
    disk.done.clear()
    seal(sealer, [b"one"])
    assert "rename to log/checkpoint" in disk.done
    assert "rename to log/copy/checkpoint" not in disk.done
    sealer.close()
    steps = [disk.done.index(f"{step}") for step in ("flush log/leaves", "flush log/copy/leaves")]
    assert max(steps) < disk.done.index("rename to log/copy/checkpoint") < disk.done.index("flush log/copy")


def test_a_group_that_is_left_without_commit_leaves_nothing(made_archive: Made) -> None:
    sealer = made_archive.sealer()
    with pytest.raises(KeyError), sealer.batch([ref()]) as batch:
        batch.add(batch.records[0], original(), VERDICT)
        raise KeyError
    assert list((made_archive.path / "incoming").iterdir()) == []
    assert made_archive.opened() == []
    assert sealer.recall(batch.records[0], ref()) is None


def test_a_name_is_never_given_out_twice_not_even_by_a_later_process(made_archive: Made) -> None:
    """Else a message whose reservation outlived its process would be taken for another's record, and removed."""
    given: list[str] = []
    for _life in range(3):
        sealer = made_archive.sealer()
        with sealer.batch([ref(1), ref(2)]) as batch:
            given += batch.records
        sealer.close()
    given += [receipt.record for receipt in seal(made_archive.sealer(), [b"another"], 9)]
    assert len(set(given)) == 7
    assert made_archive.archive().recall(given[0], ref(1)) is None


def test_two_state_directories_on_one_archive_never_share_a_name(made_archive: Made, tmp_path: Path) -> None:
    """As when the owner's review room runs with a state of its own."""
    sealer = made_archive.sealer()
    seal(sealer, [b"one"])
    (tmp_path / "another").mkdir()
    room = Made(made_archive.path, tmp_path / "another" / "log.key").archive()
    room.enter("opening", ())
    seal(sealer, [b"two", b"three"], 2)
    room.enter("opening", ())
    room.close()
    sealer.close()
    assert [item.record[-1] for item in made_archive.opened()] == list("12345")
    assert verify(made_archive.path).ok


def test_losing_the_state_directory_never_stops_sealing(made_archive: Made) -> None:
    """Names go on behind what is there, the log has another key, and says so itself."""
    sealer = made_archive.sealer()
    seal(sealer, [b"one"])
    sealer.close()
    for file in made_archive.log_key.parent.iterdir():
        file.unlink()
    sealer = made_archive.sealer()
    assert seal(sealer, [b"two"])[0].record == f"{DAY}/000002"
    sealer.close()
    assert [leaf.split()[2] for leaf in made_archive.leaves() if leaf.startswith("archive.json")][1:] == ["log-key:new"]
    assert stat.S_IMODE(made_archive.log_key.stat().st_mode) == 0o600
    assert verify(made_archive.path).ok


def test_a_state_directory_that_cannot_be_written_is_told_as_such(made_archive: Made) -> None:
    class ReadOnlyState(Disk):
        def flush(self, fd: int, path: Path, *, data_only: bool = False) -> None:
            if path.parent.name == "state":
                raise OSError(30, "Read-only file system")
            super().flush(fd, path, data_only=data_only)

    with pytest.raises(SealError, match=f"^state {made_archive.log_key.parent}: cannot be written: Read-only"):
        seal(made_archive.archive(disk=ReadOnlyState()), [b"one"])


def test_another_archives_log_key_is_set_aside_and_not_destroyed(made_archive: Made) -> None:
    theirs = made_archive.log_key.read_text().replace("nocontactd.invalid/", "nocontactd.invalid/other")
    made_archive.log_key.write_text(theirs)
    seal(made_archive.sealer(), [b"one"])
    aside = list(made_archive.log_key.parent.glob("log.key.*"))
    assert [path.read_text() for path in aside] == [theirs]


def test_a_receipt_is_recalled_by_the_log_and_only_while_the_file_stands(made_archive: Made) -> None:
    receipt = seal(made_archive.sealer(), [b"one"])[0]
    again = made_archive.archive()
    assert again.recall(receipt.record, receipt.ref) == receipt
    assert again.recall(f"{DAY}/000002", ref(2)) is None
    assert again.recall("2020-01-01/000001", ref(2)) is None
    (made_archive.path / "mail" / f"{receipt.record}.age").unlink()
    assert again.recall(receipt.record, receipt.ref) is None


def test_an_orphan_is_not_recalled_for_its_message_is_sealed_again(made_archive: Made) -> None:
    day = made_archive.path / "mail" / DAY
    day.mkdir()
    (day / "000001.age").write_bytes(b"a record without a leaf")
    disk = RecordingDisk(made_archive.path)
    sealer = made_archive.sealer(disk=disk)
    assert disk.done.index(f"flush mail/{DAY}") < disk.done.index("write log/leaves")
    assert made_archive.leaves()[-1].split()[::2] == [f"{DAY}/000001", "-"]
    assert sealer.recall(f"{DAY}/000001", ref()) is None
    assert seal(sealer, [b"again"])[0].record == f"{DAY}/000002"


def test_threads_seal_at_the_same_time(memory: Path) -> None:
    from tests import archive_fixture

    made = archive_fixture.copy(memory)
    sealer = made.sealer()
    failures: list[Exception] = []

    def work(source: str) -> None:
        try:
            for uid in range(1, 31, 3):
                bodies = [f"{source} {uid + n}".encode() for n in range(3)]
                assert len(seal(sealer, bodies, uid, source)) == 3
                sealer.enter("coverage", (("source", source),))
        except (AssertionError, SealError) as problem:
            failures.append(problem)

    threads = [threading.Thread(target=work, args=(f"source{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sealer.close()
    assert failures == []
    found = made.opened()
    assert {item.original.decode() for item in found if item.members} == {
        f"source{n} {uid}" for n in range(4) for uid in range(1, 31)
    }
    assert len(found) == 160
    assert verify(made.path).ok


def test_a_slow_message_holds_up_no_other_source(made_archive: Made) -> None:
    sealer = made_archive.sealer()
    started, go_on = threading.Event(), threading.Event()

    def slow() -> Iterator[bytes]:
        yield b"he"
        started.set()
        assert go_on.wait(20)
        yield b"llo"

    def work() -> None:
        with sealer.batch([ref(1)]) as batch:
            batch.add(batch.records[0], Original(envelope(1), iter([Part("message.eml", 5, slow())])), VERDICT)
            batch.commit()

    thread = threading.Thread(target=work)
    thread.start()
    assert started.wait(20)
    assert seal(sealer, [b"quick"], 2, "other")
    go_on.set()
    thread.join()
    assert {item.original for item in made_archive.opened()} == {b"hello", b"quick"}


def test_a_second_daemon_is_refused_and_the_review_room_is_not(made_archive: Made) -> None:
    daemon = made_archive.sealer()
    with pytest.raises(BusyError, match="nothing was done"):
        made_archive.archive().lock()
    seal(daemon, [b"one"])
    room = made_archive.archive()
    room.enter("opening", (("by", "the owner and the therapist"),))
    room.close()
    seal(daemon, [b"two"], 2)
    daemon.close()
    with made_archive.archive().lock():
        pass
    assert [item.kind for item in made_archive.opened()] == ["message", "opening", "message"]
    assert verify(made_archive.path).ok


def test_locks_are_no_files_and_die_with_their_process(made_archive: Made) -> None:
    before = {name for name, _data in contents(made_archive.path)}
    program = (
        "import os, sys; from pathlib import Path; from tests.archive_fixture import Made\n"
        "made = Made(Path(sys.argv[1]), Path(sys.argv[2])); made.archive().lock(); os._exit(9)"
    )
    child = subprocess.run(
        [sys.executable, "-c", program, made_archive.path, made_archive.log_key],
        check=False,
        cwd=Path(__file__).parents[1],
    )
    assert child.returncode == 9
    assert {name for name, _data in contents(made_archive.path)} == before
    with made_archive.archive().lock():
        pass


def test_a_log_that_another_process_holds_is_waited_for_and_then_told(made_archive: Made) -> None:
    sealer = made_archive.sealer()
    sealer._leaves._turn._patience = 0.05
    fd = os.open(made_archive.path / "log", os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    with pytest.raises(SealError, match="nothing was sealed or removed"):
        seal(sealer, [b"one"])
    os.close(fd)
    assert seal(sealer, [b"one"])


def test_a_torn_leaf_of_a_dead_process_is_cut_before_the_next(made_archive: Made) -> None:
    sealer = made_archive.sealer()
    seal(sealer, [b"one"])
    with (made_archive.path / "log" / "leaves").open("ab") as log:
        log.write(f"{DAY}/000002 0123".encode())
    seal(sealer, [b"two"], 2)
    sealer.close()
    assert [leaf.split()[0] for leaf in made_archive.leaves()[-2:]] == [f"{DAY}/000001", f"{DAY}/000002"]
    assert verify(made_archive.path).ok


def test_a_leaf_whose_flush_failed_never_counts_even_if_it_could_not_be_cut_at_once(made_archive: Made) -> None:
    """The kernel may have thrown it away and say nothing at the next flush."""

    class Failing(Disk):
        failing = False

        def flush(self, fd: int, path: Path, *, data_only: bool = False) -> None:
            if self.failing and path.name == "leaves":
                raise OSError(5, "Input/output error")
            super().flush(fd, path, data_only=data_only)

        def cut(self, fd: int, size: int) -> None:
            if self.failing:
                raise OSError(5, "Input/output error")
            super().cut(fd, size)

    disk = Failing()
    sealer = made_archive.sealer(disk=disk)
    seal(sealer, [b"one"])
    disk.failing = True
    for uid in (2, 3):
        with pytest.raises(SealError):
            seal(sealer, [b"two"], uid)
    assert verify(made_archive.path).missing == ()  # while its line stands, so does its file
    disk.failing = False
    assert seal(sealer, [b"three"], 4)
    sealer.close()
    assert f"{DAY}/000002" not in {leaf.split()[0] for leaf in made_archive.leaves()}
    made_archive.sealer().close()
    assert {item.original for item in made_archive.opened() if item.logged} == {b"one", b"three"}
    assert verify(made_archive.path).ok


def test_a_group_that_could_not_be_committed_leaves_nothing(made_archive: Made) -> None:
    class Failing(Disk):
        failing = False

        def flush(self, fd: int, path: Path, *, data_only: bool = False) -> None:
            if self.failing and path.name == "leaves":
                raise OSError(5, "Input/output error")
            super().flush(fd, path, data_only=data_only)

    disk = Failing()
    sealer = made_archive.sealer(disk=disk)
    seal(sealer, [b"one"])
    disk.failing = True
    with pytest.raises(SealError):
        seal(sealer, [b"two", b"three"], 2)
    assert [path.name for path in (made_archive.path / "mail" / DAY).iterdir()] == ["000001.age"]
    assert list((made_archive.path / "incoming").iterdir()) == []
    assert verify(made_archive.path).ok


@pytest.mark.parametrize("failing", [1, OPEN + 1, 2 * OPEN + 1], ids=["first", "second", "last"])
def test_of_a_group_that_is_flushed_while_it_is_written_one_flush_that_failed_drops_all(
    made_archive: Made, failing: int
) -> None:
    class Failing(Disk):
        def flush(self, fd: int, path: Path, *, data_only: bool = False) -> None:
            if path.name == f"{DAY}-{failing:06d}.age":
                raise OSError(5, "Input/output error")
            super().flush(fd, path, data_only=data_only)

    sealer = made_archive.sealer(disk=Failing())
    with pytest.raises(SealError):
        seal(sealer, [b"x"] * (2 * OPEN + 1))
    assert list((made_archive.path / "incoming").iterdir()) == []
    assert list((made_archive.path / "mail" / DAY).iterdir()) == []
    assert f"{DAY}/000001" not in {leaf.split()[0] for leaf in made_archive.leaves()}


def test_no_file_is_closed_while_it_is_flushed(made_archive: Made) -> None:
    """Its number may be another file's the next moment, whose flush would then be believed."""

    class Slow(Disk):
        def __init__(self) -> None:
            self.open_still: list[bool] = []

        def flush(self, fd: int, path: Path, *, data_only: bool = False) -> None:
            if path.parent.name == "incoming":
                time.sleep(0.02)
                self.open_still.append(Path(f"/proc/self/fd/{fd}").exists())
            super().flush(fd, path, data_only=data_only)

    disk = Slow()
    sealer = made_archive.sealer(disk=disk)
    seal(sealer, [b"the day's first makes its key"])
    disk.open_still.clear()
    with sealer.batch([ref(uid) for uid in range(OPEN)]) as batch:
        for uid, record in enumerate(batch.records):
            batch.add(record, original(uid=uid), VERDICT)
    assert disk.open_still == [True] * OPEN, "left without commit"


def test_a_file_that_stands_where_a_record_was_to_go_is_never_replaced(made_archive: Made) -> None:
    sealer = made_archive.sealer()
    with pytest.raises(SealError, match="nothing was removed"), sealer.batch([ref(1), ref(2)]) as batch:
        for uid, record in enumerate(batch.records, 1):
            batch.add(record, original(uid=uid), VERDICT)
        (made_archive.path / "mail" / f"{batch.records[1]}.age").write_bytes(b"another's")
        batch.commit()
    (left,) = (made_archive.path / "mail" / DAY).iterdir()
    assert left.read_bytes() == b"another's"


def test_a_log_that_was_exchanged_under_a_running_daemon_stops_it(made_archive: Made) -> None:
    sealer = made_archive.sealer()
    seal(sealer, [b"one"])
    leaves = made_archive.path / "log" / "leaves"
    leaves.rename(leaves.with_name("old"))
    leaves.write_bytes(leaves.with_name("old").read_bytes())
    leaves.with_name("old").unlink()
    with pytest.raises(SealError, match="nothing was sealed or removed"):
        seal(sealer, [b"two"], 2)


def test_a_new_day_has_a_new_key_and_new_numbers(made_archive: Made) -> None:
    clock = Clock()
    sealer = made_archive.sealer(clock)
    seal(sealer, [b"one"])
    clock.next_day()
    assert seal(sealer, [b"two"], 2)[0].record == "2026-11-23/000001"
    keys = sorted(path.name for path in (made_archive.path / "keys").glob("*.pub"))
    assert keys == ["2026-11-22.pub", "2026-11-23.pub"]
    assert [item.original for item in made_archive.opened()] == [b"one", b"two"]


def test_a_clock_that_was_set_back_finds_its_numbers_again(made_archive: Made) -> None:
    clock = Clock()
    sealer = made_archive.sealer(clock)
    seal(sealer, [b"one"])
    clock.next_day()
    seal(sealer, [b"two"], 2)
    clock.moment = noon()
    assert seal(sealer, [b"three"], 3)[0].record == f"{DAY}/000017"  # the day had been closed meanwhile
    clock.next_day()
    assert seal(made_archive.archive(clock), [b"four"], 4)[0].record == "2026-11-23/000002"


def test_a_lost_public_half_makes_a_second_key_and_the_first_still_opens(made_archive: Made) -> None:
    sealer = made_archive.sealer()
    seal(sealer, [b"one"])
    sealer.close()
    for folder in ("keys", "keys/copy"):
        (made_archive.path / folder / f"{DAY}.pub").unlink()
    sealer = made_archive.sealer()
    seal(sealer, [b"two"], 2)
    sealer.close()
    assert (made_archive.path / "keys" / f"{DAY}.2.key.age").exists()
    assert [item.original for item in made_archive.opened()] == [b"one", b"two"]
    assert verify(made_archive.path).ok


def test_an_altered_public_half_is_never_sealed_to(made_archive: Made) -> None:
    """It might be a stranger's: at each start it is held against its leaf."""
    sealer = made_archive.sealer()
    seal(sealer, [b"one"])
    sealer.close()
    theirs = (made_archive.path / "archive.json").read_text().split('"owner": "')[1][:62]
    for folder in ("keys", "keys/copy"):
        (made_archive.path / folder / f"{DAY}.pub").write_text(theirs + "\n")
    seal(made_archive.sealer(), [b"two"], 2)
    assert [item.original for item in made_archive.opened()] == [b"one", b"two"]
    assert f"keys/{DAY}.pub" in verify(made_archive.path).damaged


def test_altered_recipients_are_never_sealed_to(made_archive: Made) -> None:
    for place in ("archive.json", "keys/copy/archive.json"):
        path = made_archive.path / place
        owner = path.read_text().split('"owner": "')[1][:62]
        therapist = path.read_text().split('"therapist": "')[1][:62]
        path.write_text(path.read_text().replace(therapist, owner))
    with pytest.raises(DamagedError, match="nothing was sealed or removed"):
        made_archive.sealer()
    with pytest.raises(SealError, match="nothing was sealed or removed"):
        seal(made_archive.archive(), [b"one"])


def test_an_altered_log_is_never_signed_for(made_archive: Made) -> None:
    sealer = made_archive.sealer()
    seal(sealer, [b"one", b"two"])
    sealer.close()
    for place in ("log", "log/copy"):
        path = made_archive.path / place / "leaves"
        path.write_bytes(path.read_bytes().replace(b"/000002 ", b"/000003 "))
    with pytest.raises(DamagedError, match="not the one that was signed for"):
        made_archive.sealer()


def _swapped(leaves: bytes) -> bytes:
    *first, last, end = leaves.splitlines(keepends=True)
    return b"".join([*first, end, last])


ALTERED: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "another name": ("leaves", lambda log: log.replace(b"/000002 ", b"/000003 ")),
    "reordered": ("leaves", _swapped),
    "the last one dropped": ("leaves", lambda log: b"".join(log.splitlines(keepends=True)[:-1])),
    "the last one cut": ("leaves", lambda log: log[:-9]),
    "emptied": ("leaves", lambda _log: b""),
    "no line any more": ("leaves", lambda log: log.replace(b" ", b"", 1)),
    "no signature": ("checkpoint", lambda _note: b"garbage\n"),
}


@pytest.mark.parametrize(("file", "alter"), ALTERED.values(), ids=ALTERED.keys())
def test_who_opens_or_changes_holders_signs_for_no_alteration_either(
    made_archive: Made, file: str, alter: Callable[[bytes], bytes]
) -> None:
    """The review room writes to the log beside the daemon and without recovery: to append is to sign for all before."""
    sealer = made_archive.sealer()
    seal(sealer, [b"one", b"two"])
    sealer.close()
    for place in ("log", "log/copy"):
        path = made_archive.path / place / file
        path.write_bytes(alter(path.read_bytes()))
    before, found = dict(contents(made_archive.path)), verify(made_archive.path)
    assert not found.ok
    with pytest.raises(SealError, match="nothing was sealed or removed"):
        made_archive.archive().enter("opening", (("by", "the owner and the therapist"),))
    with pytest.raises(SealError, match="nothing was sealed or removed"):
        relock_owner(made_archive.path, made_archive.log_key, "owner", b"locked anew", noon)
    assert dict(contents(made_archive.path)) == before
    assert verify(made_archive.path) == found


def test_who_opens_beside_a_daemon_that_has_just_appended_goes_on_from_there(made_archive: Made) -> None:
    sealer = made_archive.sealer()
    room = made_archive.archive()
    for uid in (1, 2, 3):
        seal(sealer, [b"x%d" % uid], uid)
        room.enter("opening", (("by", "the owner and the therapist"),))
    sealer.close()
    assert verify(made_archive.path).ok
    assert len(made_archive.opened()) == 6


@pytest.mark.parametrize("damage", [b"", b"garbage\n", None], ids=["emptied", "garbage", "gone"])
@pytest.mark.parametrize("name", ["log/leaves", "log/copy/leaves", "log/checkpoint", "log/copy/checkpoint"])
def test_one_damaged_copy_of_the_log_costs_nothing(made_archive: Made, name: str, damage: bytes | None) -> None:
    sealer = made_archive.sealer()
    seal(sealer, [b"one", b"two"])
    sealer.close()
    if damage is None:
        (made_archive.path / name).unlink()
    else:
        (made_archive.path / name).write_bytes(damage)
    assert not verify(made_archive.path).ok
    sealer = made_archive.sealer()
    seal(sealer, [b"three"], 3)
    sealer.close()
    assert len(made_archive.opened()) == 3
    assert verify(made_archive.path).ok


@pytest.mark.parametrize("left", [(), ("copy",), ("copy", "anchors")])
def test_an_archive_without_its_log_is_damaged_and_nothing_of_it_is_changed(
    made_archive: Made, left: tuple[str, ...]
) -> None:
    shutil.rmtree(made_archive.path / "log")
    for folder in left:
        (made_archive.path / "log" / folder).mkdir(parents=True)
    before = sorted(made_archive.path.rglob("*"))
    with pytest.raises(DamagedError, match="neither copy of its log's checkpoint can be believed; nothing was sealed"):
        made_archive.sealer()
    with pytest.raises(SealError, match="can be believed; nothing was sealed or removed"):
        seal(made_archive.archive(), [b"one"])
    assert sorted(made_archive.path.rglob("*")) == before


def test_what_is_no_file_is_no_orphan(made_archive: Made) -> None:
    sealer = made_archive.sealer()
    seal(sealer, [b"one"])
    sealer.close()
    day = made_archive.path / "mail" / DAY
    os.mkfifo(day / "000098.age")
    (day / "000099.age").symlink_to(day / "000001.age")
    before = made_archive.leaves()
    made_archive.sealer().close()
    assert made_archive.leaves() == before
    assert verify(made_archive.path).extra == (f"mail/{DAY}/000098.age", f"mail/{DAY}/000099.age")


@pytest.mark.parametrize("folder", ["holders", "incoming", "keys/copy", "log/copy", "mail"])
def test_a_folder_that_is_gone_is_made_again_and_filled_from_the_second_copies(made_archive: Made, folder: str) -> None:
    shutil.rmtree(made_archive.path / folder)
    sealer = made_archive.sealer()
    seal(sealer, [b"one"])
    sealer.close()
    assert verify(made_archive.path).ok
    assert [item.original for item in made_archive.opened()] == [b"one"]


def test_without_keys_nothing_can_be_sealed_and_that_is_said(tmp_path: Path) -> None:
    with pytest.raises(NoKeysError) as told:
        Archive(tmp_path / "none", tmp_path / "log.key", noon)
    assert told.value.exit_code == 78
    (tmp_path / "mail" / DAY).mkdir(parents=True)
    with pytest.raises(DamagedError, match=r"archive\.json is gone"):
        Archive(tmp_path, tmp_path / "log.key", noon)


def test_a_note_holds_who_when_and_why_and_no_body(made_archive: Made) -> None:
    sealer = made_archive.sealer()
    held = Verdict(Disposition.HOLD, "name", "Alex Example", "From name")
    sealer.note(envelope(), held)
    note = made_archive.opened()[0]
    assert (note.kind, note.members, note.original) == ("note", (), b"")
    assert note.meta.envelope == envelope()
    assert note.meta.verdict == held


def test_the_record_itself_says_where_it_belongs_and_what_was_known(made_archive: Made) -> None:
    seal(made_archive.sealer(), [b"one"])
    meta = made_archive.opened()[0].meta
    assert (meta.record, meta.kind, meta.sealed) == (f"{DAY}/000001", "message", noon())
    assert (meta.envelope, meta.verdict) == (envelope(), VERDICT)
    assert meta.facts == (("greeting", "* OK"),)


def test_nobody_else_can_read_and_times_tell_only_the_day(made_archive: Made) -> None:
    sealer = made_archive.sealer()
    seal(sealer, [b"one", b"two"])
    sealer.close()
    written = [path for path in made_archive.path.rglob("*") if DAY in path.as_posix()[len(str(made_archive.path)) :]]
    assert len(written) > 6
    for path in [*written, made_archive.path / "log" / "leaves", made_archive.path / "log" / "checkpoint"]:
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), path
        assert path.stat().st_mtime % 86400 == 0, path


def test_every_text_is_a_file_of_the_same_length(made_archive: Made) -> None:
    seal(made_archive.sealer(), [b"", b"x" * 3000])
    assert {path.stat().st_size for path in (made_archive.path / "mail" / DAY).iterdir()} == {10_240 + 200}


def test_no_error_tells_a_record_number(made_archive: Made) -> None:
    """Numbers count messages, and errors go to the journal."""

    class Full(Disk):
        def flush(self, fd: int, path: Path, *, data_only: bool = False) -> None:
            if "000002" in path.name:
                raise OSError(28, "No space left", str(path))
            super().flush(fd, path, data_only=data_only)

    sealer = made_archive.sealer(disk=Full())
    seal(sealer, [b"one"])
    with pytest.raises(SealError) as told:
        seal(sealer, [b"two"], 2)
    assert "000002" not in f"{told.value.message}{told.value.hint}"
    assert told.value.__suppress_context__


def test_a_large_message_passes_through_in_pieces(memory: Path) -> None:
    """Of one of 50 MB at most 16 MB more are resident than of a text. In a process that never held more before."""
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from nocontactd.model import Original, Part\n"
        "from tests.archive_fixture import VERDICT, copy, envelope, most_resident, ref, seal\n"
        "made = copy(Path(sys.argv[1]))\n"
        "sealer = made.sealer()\n"
        "seal(sealer, [b'a text'])\n"
        "before = most_resident()\n"
        "pieces = (bytes([number]) * 1_000_000 for number in range(50))\n"
        "with sealer.batch([ref(2)]) as batch:\n"
        "    large = Part('message.eml', 50_000_000, pieces)\n"
        "    batch.add(batch.records[0], Original(envelope(2), iter([large])), VERDICT)\n"
        "    batch.commit()\n"
        "print(most_resident() - before)\n"
    )
    said = subprocess.run([sys.executable, "-c", code, memory], check=True, capture_output=True, text=True)
    assert 0 < int(said.stdout) < 16 * 1024, f"{said.stdout} KB"
    assert Made(memory / "archive", memory / "state" / "log.key").opened()[1].members[0].size == 50_000_000


def test_a_daemon_makes_its_day_keys_in_another_process(made_archive: Made) -> None:
    """With the real child; the record opens, so the halves belong together."""
    archive = Archive(made_archive.path, made_archive.log_key, noon)
    archive.enter("keys", (("rehearsal", "a test record"),))
    archive.close()
    assert made_archive.opened()[0].meta.facts == (("rehearsal", "a test record"),)


def test_a_child_that_cannot_make_a_key_is_told(made_archive: Made) -> None:
    from nocontactd.archive.charter import parse
    from nocontactd.archive.minted import minted

    law = parse((made_archive.path / "archive.json").read_bytes())
    with pytest.raises(SealError, match="no key could be made for the day; nothing was sealed"):
        minted(made_archive.path, type(law)(law.origin, law.created, "age1nobody", law.therapist, None, ()))


def test_the_plaintext_is_a_tar_that_ends_in_zeros(made_archive: Made) -> None:
    from nocontactd.archive.format import Meta, Plaintext

    meta = Meta(f"{DAY}/000001", "message", noon(), "0", "00" * 32, envelope(), VERDICT, ())
    plain = b"".join(Plaintext(meta, [Part("message.eml", 3, [b"abc"])]))
    assert len(plain) == 10_240
    with tarfile.open(fileobj=io.BytesIO(plain)) as tar:
        assert tar.getnames() == ["meta.json", "message.eml", "auth.json", "final.json"]

"""Verification without keys: whatever is damaged, missing or extra is named, and the rest is checked all the same."""

import fcntl
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from nocontactd.archive import advice as advised
from nocontactd.archive import keys
from nocontactd.archive.durable import Disk
from nocontactd.archive.findings import Verification
from nocontactd.archive.regular import octets
from nocontactd.archive.verify import verify
from nocontactd.errors import DamagedError, NocontactError, SealError
from tests.another_user import closed
from tests.archive_fixture import DAY, Clock, Made, contents, copy, light, made_archive, memory, noon, seal

__all__ = ["made_archive", "memory"]


@pytest.fixture
def filled(tmp_path: Path) -> Made:
    """With one record of each kind, two days, an orphan and a lost public half."""
    return copy(tmp_path, "filled")


def named(result: Verification) -> set[str]:
    return {*result.damaged, *result.missing, *result.extra}


def test_a_sound_archive_is_whole(filled: Made) -> None:
    assert verify(filled.path) == Verification(True, (), (), (), ())


def test_no_key_is_read_and_nothing_is_written(filled: Made) -> None:
    before = list(contents(filled.path.parent))
    verify(filled.path)
    assert list(contents(filled.path.parent)) == before
    program = (
        "import sys; from pathlib import Path; from nocontactd.archive.verify import verify\n"
        "assert verify(Path(sys.argv[1])).ok; sys.exit('pyrage' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program, filled.path], check=False).returncode == 0


def test_one_flipped_octet_anywhere_is_named(filled: Made) -> None:
    """In each file at its beginning, middle and end; the file itself is named, and no other."""
    for name, data in list(contents(filled.path)):
        for at in {0, len(data) // 3, len(data) // 2, len(data) - 1}:
            octets = bytearray(data)
            octets[at] ^= 1
            (filled.path / name).write_bytes(octets)
            result = verify(filled.path)
            assert not result.ok, (name, at)
            assert named(result) == {name}, (name, at, result)
        (filled.path / name).write_bytes(data)
    assert verify(filled.path).ok


def test_every_missing_file_is_named(filled: Made) -> None:
    for name, data in list(contents(filled.path)):
        (filled.path / name).unlink()
        result = verify(filled.path)
        assert (result.missing, result.damaged, result.extra) == ((name,), (), ()), name
        (filled.path / name).write_bytes(data)


def test_it_goes_on_over_damage_and_names_all_of_it(filled: Made) -> None:
    (filled.path / "mail" / "2026-11-20" / "000001.age").write_bytes(b"rotten")
    (filled.path / "mail" / "2026-11-20" / "000002.age").unlink()
    (filled.path / "mail" / "2026-11-20" / "000009.age").write_bytes(b"foreign")
    (filled.path / "keys" / "2026-11-20.pub").write_bytes(b"")
    result = verify(filled.path)
    assert result.damaged == ("keys/2026-11-20.pub", "mail/2026-11-20/000001.age")
    assert result.missing == ("mail/2026-11-20/000002.age",)
    assert result.extra == ("mail/2026-11-20/000009.age",)


def swap(path: Path) -> None:
    first, second = path / "mail/2026-11-20/000001.age", path / "mail/2026-11-20/000002.age"
    data = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(data)


def move(path: Path) -> None:
    (path / "mail/2026-11-20/000001.age").rename(path / "mail/2026-11-21/000009.age")


def reorder(path: Path) -> None:
    for log in (path / "log" / "leaves", path / "log" / "copy" / "leaves"):
        lines = log.read_text().splitlines(keepends=True)
        lines[-1], lines[-2] = lines[-2], lines[-1]
        log.write_text("".join(lines))


def drop(path: Path) -> None:
    """The record, and its line in both copies of the log."""
    (path / "mail/2026-11-20/000001.age").unlink()
    for log in (path / "log" / "leaves", path / "log" / "copy" / "leaves"):
        lines = [line for line in log.read_text().splitlines(keepends=True) if "2026-11-20/000001" not in line]
        log.write_text("".join(lines))


def relog(path: Path) -> None:
    """Another record in its place, and a line behind the log's end that says so."""
    record = path / "mail/2026-11-20/000001.age"
    record.write_bytes((path / "mail/2026-11-20/000002.age").read_bytes())
    lines = (path / "log" / "leaves").read_text().splitlines()
    second = next(line for line in lines if line.startswith("2026-11-20/000002"))
    for log in (path / "log" / "leaves", path / "log" / "copy" / "leaves"):
        with log.open("a") as file:
            file.write(second.replace("/000002", "/000001") + "\n")


def cut_off(path: Path) -> None:
    """The last ten leaves, in both copies."""
    for log in (path / "log" / "leaves", path / "log" / "copy" / "leaves"):
        log.write_text("".join(log.read_text().splitlines(keepends=True)[:-10]))


@pytest.mark.parametrize("tamper", [swap, move, reorder, drop, relog, cut_off])
def test_a_record_that_was_altered_in_any_way_is_noticed(filled: Made, tamper: Callable[[Path], None]) -> None:
    tamper(filled.path)
    assert not verify(filled.path).ok


@pytest.mark.parametrize("copy_of", ["log", "log/copy", "keys", "keys/copy"])
def test_either_copy_alone_is_checked(filled: Made, copy_of: str) -> None:
    """Damage to one copy costs nothing yet, and is told before the other goes too."""
    for path in (filled.path / copy_of).iterdir():
        if path.is_file():
            data = path.read_bytes()
            path.write_bytes(data[:-1])
            result = verify(filled.path)
            assert result.damaged == (f"{copy_of}/{path.name}",)
            assert result.missing == result.extra == ()
            path.write_bytes(data)


def test_both_copies_of_one_file_are_both_named(filled: Made) -> None:
    for folder in ("keys", "keys/copy"):
        (filled.path / folder / "2026-11-20.key.age").write_bytes(b"rotten")
    assert verify(filled.path).damaged == ("keys/2026-11-20.key.age", "keys/copy/2026-11-20.key.age")


K = "keys/2026-11-20.key.age"
MEANS: list[tuple[tuple[str, ...], list[str]]] = [
    ((), []),
    (("mail/2026-11-20/000001.age",), [advised.RECORD]),
    ((K,), [advised.TWIN]),
    (("keys/copy/owner.age",), [advised.TWIN]),
    (("archive.json",), [advised.TWIN]),
    (("log/copy/checkpoint",), [advised.TWIN]),
    ((K, K.replace("/", "/copy/")), [advised.KEY]),
    (("holders/owner.age", "keys/copy/owner.age"), [advised.HOLDER]),
    (("archive.json", "keys/copy/archive.json"), [advised.SIGNATURE]),
    (("log/checkpoint", "log/copy/checkpoint"), [advised.SIGNATURE]),
    (("log/leaves", "log/copy/leaves", "log/checkpoint", "log/copy/checkpoint"), [advised.LOG]),
    (("log/leaves", "mail/2026-11-20/000001.age"), [advised.RECORD, advised.TWIN]),
]


@pytest.mark.parametrize("take_away", [True, False], ids=["missing", "damaged"])
@pytest.mark.parametrize(("names", "means"), MEANS)
def test_what_was_found_is_explained_and_what_to_do(
    filled: Made, names: tuple[str, ...], means: list[str], take_away: bool
) -> None:
    for name in names:
        (filled.path / name).unlink() if take_away else (filled.path / name).write_bytes(b"garbage\n")
    found = verify(filled.path)
    assert list(advised.advice(found)) == [*means, *([advised.UNCHANGED] if names else [])]


def test_without_any_signature_nothing_is_called_newer_than_it(filled: Made) -> None:
    for name in ("log/checkpoint", "log/copy/checkpoint"):
        (filled.path / name).write_bytes(b"garbage\n")
    assert verify(filled.path).in_progress == ()


def test_an_empty_log_is_said_plainly(filled: Made) -> None:
    shutil.rmtree(filled.path / "log")
    (filled.path / "log").mkdir()
    result = verify(filled.path)
    assert result.missing == ("log/checkpoint", "log/copy/checkpoint", "log/copy/leaves", "log/leaves")
    assert result.damaged == result.extra == ()


def test_a_lost_archive_json_is_missing_and_its_second_copy_still_vouches(filled: Made) -> None:
    (filled.path / "archive.json").unlink()
    assert verify(filled.path).missing == ("archive.json",)
    (filled.path / "keys" / "copy" / "archive.json").write_bytes(b"{}")
    result = verify(filled.path)
    assert "archive.json" in result.missing
    assert {"keys/copy/archive.json", "log/checkpoint"} <= set(result.damaged)


def test_a_folder_without_an_archive_is_said(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "none"):
        with pytest.raises(DamagedError, match="no archive here") as told:
            verify(place)
        assert told.value.exit_code == 65
    (tmp_path / "photo.jpg").write_bytes(b"x")
    assert not verify(tmp_path).ok


def test_foreign_things_of_every_kind_are_extra_and_never_followed(filled: Made) -> None:
    outside = filled.path.parent / "outside"
    outside.mkdir()
    (outside / "000001.age").write_bytes(b"x")
    (filled.path / "mail" / "2026-11-19").symlink_to(outside)
    (filled.path / "mail" / "2026-11-20" / "000077.age").symlink_to("000001.age")
    os.mkfifo(filled.path / "mail" / "2026-11-20" / "000078.age")
    (filled.path / "mail" / "2026-11-20" / "000079.age").mkdir()
    (filled.path / "notes.txt").write_text("mine")
    (filled.path / "keys" / "2026-12-01.key.age").write_text("planted")
    assert verify(filled.path).extra == (
        "keys/2026-12-01.key.age",
        "mail/2026-11-19",
        "mail/2026-11-20/000077.age",
        "mail/2026-11-20/000078.age",
        "mail/2026-11-20/000079.age",
        "notes.txt",
    )


def test_a_record_that_became_something_else_is_damaged_and_does_not_hang(filled: Made) -> None:
    record = filled.path / "mail" / "2026-11-20" / "000001.age"
    aside = filled.path.parent / "aside.age"
    record.rename(aside)
    record.symlink_to(aside)
    assert "mail/2026-11-20/000001.age" in named(verify(filled.path))
    record.unlink()
    os.mkfifo(record)
    assert "mail/2026-11-20/000001.age" in named(verify(filled.path))


def test_only_a_small_regular_file_is_read_as_one(tmp_path: Path) -> None:
    small, long, pipe, link = (tmp_path / name for name in ("small", "long", "pipe", "link"))
    small.write_bytes(b"x" * 9)
    long.write_bytes(b"x" * 10)
    os.mkfifo(pipe)
    link.symlink_to(small)
    assert octets(small, most=9) == b"x" * 9
    for other in (long, pipe, link, tmp_path, tmp_path / "none"):
        with pytest.raises(OSError, match=r"too large|Invalid|symbolic|directory|No such"):
            octets(other, most=9)


SMALL = [
    *("archive.json", "keys/copy/archive.json", "log/checkpoint", "log/copy/checkpoint", "log/leaves"),
    *("log/copy/leaves", "holders/owner.age", "keys/2026-11-20.key.age", "keys/2026-11-20.pub", "log/anchors/x.note"),
]


OTHERS = [
    (name, kind) for name in ("archive.json", "log/leaves", "log/copy/leaves") for kind in ("link", "huge", "folder")
]


@pytest.mark.parametrize(("name", "kind"), [*((name, "pipe") for name in SMALL), *OTHERS])
def test_what_took_the_place_of_a_small_file_is_named_and_nobody_waits_for_it(
    filled: Made, name: str, kind: str
) -> None:
    """Neither who verifies nor who opens nor the daemon that starts: it goes on from the second copy."""
    file = filled.path / name
    aside = filled.path.parent / "aside"
    file.rename(aside) if file.exists() else aside.write_bytes(b"x")
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "link":
        file.symlink_to(aside)
    elif kind == "folder":
        file.mkdir()
    else:
        file.write_bytes(b"")
        os.truncate(file, 1 << 23)
    assert name in named(verify(filled.path))
    assert len(filled.opened()) > 2
    with suppress(SealError, DamagedError):
        filled.sealer(Clock()).close()
    assert len(filled.opened()) > 2


@pytest.mark.parametrize(
    "name",
    [
        "",
        "archive.json",
        "holders",
        "incoming",
        "keys/copy",
        "log",
        "log/checkpoint",
        "log/copy/checkpoint",
        "log/copy/leaves",
        "log/leaves",
        "mail",
        "mail/2026-11-20",
        "mail/2026-11-20/000001.age",
    ],
)
def test_what_this_user_may_not_read_is_never_called_damaged(filled: Made, name: str) -> None:
    with closed(filled.path, name), pytest.raises(NocontactError, match="cannot be read by this user") as told:
        verify(filled.path)
    assert type(told.value) is NocontactError
    assert "sudo -u" in told.value.hint
    assert verify(filled.path).ok


def start(made: Made) -> None:
    """As a daemon does, and let go."""
    archive = made.archive()
    with archive.lock():
        archive.recover()
    archive.close()


@pytest.mark.parametrize("name", ["log/leaves", "log/copy/leaves"])
def test_a_log_that_a_daemon_may_not_read_stops_it_without_a_word_of_damage(filled: Made, name: str) -> None:
    """Nor is another copy put in its place: it might lack what was acknowledged last."""
    if name == "log/copy/leaves":
        (filled.path / "log" / "leaves").write_bytes(b"")
    before = (filled.path / "log" / "leaves").read_bytes()
    with closed(filled.path.parent, f"archive/{name}"), pytest.raises(SealError) as told:
        start(filled)
    assert "cannot be read by this user" in told.value.message
    assert (filled.path / "log" / "leaves").read_bytes() == before


def test_checkpoints_that_a_daemon_may_not_read_stop_it_and_one_of_them_does_not(filled: Made) -> None:
    (filled.path / "log" / "copy" / "checkpoint").unlink()
    with closed(filled.path.parent, "archive/log/checkpoint"), pytest.raises(SealError, match="be read by this user"):
        start(filled)
    start(filled)
    with closed(filled.path.parent, "archive/log/checkpoint"):
        start(filled)
    assert verify(filled.path).ok


def test_the_cache_may_be_there_and_nothing_else_beside_it(filled: Made) -> None:
    (filled.path / "index" / "2026-11-20.a.age").write_bytes(b"x")
    assert verify(filled.path).ok
    (filled.path / "index" / "thoughts.txt").write_bytes(b"x")
    assert verify(filled.path).extra == ("index/thoughts.txt",)


def test_what_is_newer_than_the_checkpoint_is_in_progress_and_no_fault(made_archive: Made) -> None:
    sealer = made_archive.sealer()
    seal(sealer, [b"one"])
    checkpoint = (made_archive.path / "log" / "checkpoint").read_bytes()
    seal(sealer, [b"two"], 2)
    (made_archive.path / "log" / "checkpoint").write_bytes(checkpoint)
    (made_archive.path / "incoming" / f"{DAY}-000003.age").write_bytes(b"half")
    result = verify(made_archive.path)
    assert result.ok
    assert result.in_progress == (f"incoming/{DAY}-000003.age", f"mail/{DAY}/000002.age")
    (made_archive.path / "mail" / DAY / "000002.age").write_bytes(b"rotten")
    assert verify(made_archive.path).damaged == (f"mail/{DAY}/000002.age",)


DRAFTS = (
    "2026-11-22-000001.age",
    "2026-11-22-1000000.age",
    "2026-11-22.note.new",
    "2026-11-22.tsr.new",
    "0123456789abcdef.note.new",
    "2026-11-22.key.age",
    "2026-11-22.2.pub",
    "2026-11-22.pub.new",
    "README.txt.new",
    "archive.json",
    "archive.json.new",
    "checkpoint",
    "checkpoint.new",
    "leaves",
    "leaves.new",
    "owner.age.new",
)


def test_a_draft_of_the_program_is_in_progress_and_anything_else_beside_it_is_extra(filled: Made) -> None:
    incoming = filled.path / "incoming"
    for name in DRAFTS:
        (incoming / name).write_bytes(b"half")
    result = verify(filled.path)
    assert result.ok
    assert result.in_progress == tuple(sorted(f"incoming/{name}" for name in DRAFTS))
    for name in ("foo", "2026-11-22-1.age", "2026-11-22-000001.age~", "checkpoint.old", "foo.age"):
        (incoming / name).write_bytes(b"foreign")
        assert verify(filled.path).extra == (f"incoming/{name}",)
        (incoming / name).unlink()
    (incoming / "leaves").unlink()
    (incoming / "leaves").symlink_to("../log/leaves")
    (incoming / "folder").mkdir()
    assert verify(filled.path).extra == ("incoming/folder", "incoming/leaves")


def test_every_name_that_is_written_to_incoming_is_known_as_a_draft(tmp_path: Path) -> None:
    """From the first octet of an archive through a day, a lost log key and the mending of every copy."""
    seen: set[str] = set()

    class Watched(Disk):
        def create(self, path: Path) -> int:
            seen.add(path.name if path.parent.name == "incoming" else "")
            return super().create(path)

    made = Made(tmp_path / "archive", tmp_path / "state" / "log.key")
    made.log_key.parent.mkdir()
    keys.make(made.path, made.log_key, "o", "t", "w", unattended=True, now=noon, lock=light, disk=Watched())
    sealer = made.sealer(disk=Watched())
    seal(sealer, [b"one"])
    sealer.close()
    made.log_key.unlink()
    for file in (*(made.path / "keys" / "copy").iterdir(), made.path / "log" / "copy" / "leaves"):
        file.write_bytes(b"rotten")
    made.sealer(disk=Watched()).close()
    for name in seen - {""}:
        (made.path / "incoming" / name).write_bytes(b"half")
    assert len(seen) > 10
    assert verify(made.path).extra == ()
    assert set(verify(made.path).in_progress) == {f"incoming/{name}" for name in seen - {""}}


def test_a_second_copy_of_the_log_may_lag_but_not_behind_its_own_checkpoint(made_archive: Made) -> None:
    sealer = made_archive.sealer()
    seal(sealer, [b"one", b"two"])
    second = made_archive.path / "log" / "copy" / "leaves"
    whole = second.read_bytes()
    second.write_bytes(whole[: whole.rindex(b"\n", 0, -1) + 1])
    result = verify(made_archive.path)
    assert result.ok
    assert result.in_progress == ("log/copy/leaves",)
    sealer.close()
    second.write_bytes(whole[: whole.rindex(b"\n", 0, -1) + 1])
    assert verify(made_archive.path).damaged == ("log/copy/leaves",)


def test_a_record_between_its_file_and_its_leaf_is_not_called_extra(made_archive: Made) -> None:
    """Whoever holds the short lock is waited for."""
    sealer = made_archive.sealer()
    seal(sealer, [b"one"])
    leaves = made_archive.path / "log" / "leaves"
    file = made_archive.path / "mail" / DAY / "000002.age"
    file.write_bytes(b"two")
    fd = os.open(made_archive.path / "log", os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)

    def finish() -> None:
        with leaves.open("a") as log:
            log.write(f"{DAY}/000002 {'0' * 64} {'0' * 64}\n")
        os.close(fd)

    timer = threading.Timer(0.3, finish)
    timer.start()
    result = verify(made_archive.path)
    timer.join()
    assert (result.extra, result.in_progress) == ((), (f"mail/{DAY}/000002.age",))


def test_verifying_beside_a_busy_daemon_finds_no_fault(memory: Path) -> None:
    made = copy(memory)
    sealer = made.sealer()
    stop = threading.Event()

    def work() -> None:
        uid = 1
        while not stop.is_set():
            seal(sealer, [b"x", b"y"], uid)
            uid += 2

    thread = threading.Thread(target=work)
    thread.start()
    try:
        results = [verify(made.path) for _ in range(15)]
    finally:
        stop.set()
        thread.join()
    sealer.close()
    assert [result for result in results if not result.ok] == []
    assert verify(made.path).in_progress == ()


def test_progress_counts_the_files(filled: Made) -> None:
    seen: list[tuple[int, int]] = []
    verify(filled.path, lambda done, all_: seen.append((done, all_)))
    assert [done for done, _all in seen] == list(range(1, len(seen) + 1))
    assert {all_ for _done, all_ in seen} == {len(seen)}

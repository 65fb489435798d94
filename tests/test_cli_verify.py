"""`nocontact verify` and `nocontact keys countersign`, as their users meet them: nothing ends in a traceback."""

import hashlib
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable
from itertools import cycle
from pathlib import Path

import pytest

from tests.archive_fixture import DAY, OWNER, THERAPIST, Made, contents, copy, memory, seal
from tests.peers import missing
from tests.test_archive_rewritten import sign_anew
from tests.test_cli_archive import BOTH, CONFIG
from tests.transcripts import Outcome, run

__all__ = ["memory"]

KEY = "2026-11-20"
RECORD = "mail/2026-11-20/000001.age"


@pytest.fixture
def home(memory: Path) -> Path:
    """An archive with its configuration and the two passphrases beside it."""
    copy(memory, "filled")
    for name, text in (("c.yaml", CONFIG), ("owner", OWNER), ("therapist", THERAPIST), ("pw", "p")):
        (memory / name).write_text(text)
        (memory / name).chmod(0o600)
    return memory


def made(home: Path) -> Made:
    return Made(home / "archive", home / "state" / "log.key")


def verify(home: Path, options: str = "") -> Outcome:
    return run(f"nocontact --config c.yaml verify {options}", home)


def found(home: Path, options: str = "") -> dict[str, list[str]]:
    said: dict[str, list[str]] = json.loads(verify(home, f"--json {options}").out)
    return said


# What is wrong is named, and the rest is checked.


def alter(archive: Path) -> set[str]:
    file = archive / RECORD
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    return {f"damaged: {RECORD}"}


def swap(archive: Path) -> set[str]:
    first, second = archive / RECORD, archive / "mail/2026-11-20/000002.age"
    aside = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(aside)
    return {f"damaged: {RECORD}", "damaged: mail/2026-11-20/000002.age"}


def drop(archive: Path) -> set[str]:
    (archive / RECORD).unlink()
    return {f"missing: {RECORD}"}


def add(archive: Path) -> set[str]:
    shutil.copy(archive / RECORD, archive / "mail/2026-11-20/000099.age")
    return {"extra: mail/2026-11-20/000099.age"}


def move(archive: Path) -> set[str]:
    (archive / RECORD).rename(archive / "mail/2026-11-21/000077.age")
    return {f"missing: {RECORD}", "extra: mail/2026-11-21/000077.age"}


def reorder(archive: Path) -> set[str]:
    for log in (archive / "log/leaves", archive / "log/copy/leaves"):
        lines = log.read_text().splitlines(keepends=True)
        lines[-1], lines[-2] = lines[-2], lines[-1]
        log.write_text("".join(lines))
    return {"damaged: log/leaves", "damaged: log/copy/leaves"}


def cut_a_leaf(archive: Path) -> set[str]:
    log = archive / "log/leaves"
    octets = log.read_bytes()
    log.write_bytes(octets[: len(octets) // 2 - 7])
    return {"damaged: log/leaves"}


def cut_within(archive: Path) -> set[str]:
    """Some octets of a leaf in the middle, and all that follow are there."""
    log = archive / "log/leaves"
    octets = log.read_bytes()
    half = len(octets) // 2
    log.write_bytes(octets[:half] + octets[half + 5 :])
    return {"damaged: log/leaves"}


def both_copies(archive: Path) -> set[str]:
    for folder in ("keys", "keys/copy"):
        (archive / folder / f"{KEY}.key.age").write_bytes(b"rotten")
    return {f"damaged: keys/{KEY}.key.age", f"damaged: keys/copy/{KEY}.key.age"}


def both_logs(archive: Path) -> set[str]:
    for folder in ("log", "log/copy"):
        (archive / folder / "leaves").write_bytes(b"\0" * 5000)
    return {"damaged: log/leaves", "damaged: log/copy/leaves"}


def empty_log(archive: Path) -> set[str]:
    shutil.rmtree(archive / "log")
    (archive / "log").mkdir()
    names = ("log/leaves", "log/checkpoint", "log/copy/leaves", "log/copy/checkpoint")
    return {f"missing: {name}" for name in names}


def no_log(archive: Path) -> set[str]:
    wanted = empty_log(archive)
    (archive / "log").rmdir()
    return wanted


def foreign(archive: Path) -> set[str]:
    (archive / "mail/2026-11-20/holiday.jpg").write_bytes(b"x")
    (archive / "mail/notes").mkdir()
    return {"extra: mail/2026-11-20/holiday.jpg", "extra: mail/notes"}


TAMPERED = (
    *(
        alter,
        swap,
        drop,
        add,
        move,
        reorder,
        cut_a_leaf,
        cut_within,
        both_copies,
        both_logs,
        empty_log,
        no_log,
        foreign,
    ),
)


@pytest.mark.parametrize("tamper", TAMPERED)
def test_whatever_was_done_is_named_and_nothing_else_is(home: Path, tamper: Callable[[Path], set[str]]) -> None:
    wanted = tamper(home / "archive")
    done = verify(home)
    assert (done.code, done.err) == (65, "")
    assert {line for line in done.out.splitlines() if not line.startswith("remark: ")} == wanted


def test_a_record_that_somebody_added_with_its_line_is_extra_and_not_in_progress(home: Path) -> None:
    """As is any that this machine seals: that one is in progress until the checkpoint follows."""
    sealer = made(home).sealer()
    seal(sealer, [b"one"])
    sealer.close()
    mine = max((home / "archive" / "mail" / DAY).glob("*.age"))
    forged = mine.with_name("000500.age")
    forged.write_bytes(b"sealed by somebody")
    line = f"{DAY}/000500 {hashlib.sha256(forged.read_bytes()).hexdigest()} {64 * '0'}\n"
    for copy_of in ("log", "log/copy"):
        with (home / "archive" / copy_of / "leaves").open("a") as log:
            log.write(line)
    said = found(home, "--json")
    assert (said["ok"], said["extra"], said["in_progress"]) == (False, [f"mail/{DAY}/000500.age"], [])
    mark = home / "state" / "names"
    mark.write_text(mark.read_text().replace(f"{DAY} 0000", f"{DAY} 0009", 1))
    assert found(home, "--json")["in_progress"] == [f"mail/{DAY}/000500.age"]


@pytest.mark.parametrize("tamper", TAMPERED)
def test_a_repair_never_takes_away_what_is_good(home: Path, tamper: Callable[[Path], set[str]]) -> None:
    """What was sound before is there afterwards, octet for octet, and nothing new is wrong."""
    before = dict(contents(home / "archive"))
    wanted = tamper(home / "archive")
    touched = {line.split(" ", 1)[1] for line in wanted}
    done = verify(home, "--repair")
    after = dict(contents(home / "archive"))
    for name, octets in before.items():
        if name not in touched and not name.startswith("log/"):
            assert after[name] == octets
    assert {line for line in done.out.splitlines() if ": " in line and not line.startswith("remark: ")} <= wanted
    if done.code == 0:
        assert not done.err


# Twins.


def twins(archive: Path) -> list[tuple[str, str]]:
    """Everything of which there are two copies."""
    pairs = [(f"keys/{path.name}", f"keys/copy/{path.name}") for path in (archive / "keys").iterdir() if path.is_file()]
    pairs += [(f"log/{name}", f"log/copy/{name}") for name in ("leaves", "checkpoint")]
    named = ("archive.json", "README.txt", "holders/owner.age", "holders/therapist.age", "holders/witness.age")
    return pairs + [(name, f"keys/copy/{Path(name).name}") for name in named]


def test_of_two_copies_the_good_one_mends_the_other_whichever_it_is(home: Path) -> None:
    archive = home / "archive"
    ways = cycle((b"rotten", None, b"", b"\0" * 4096, b"#\n"))
    for pair in twins(archive):
        for bad, good in (pair, pair[::-1]):
            right, wrong = (archive / good).read_bytes(), next(ways)
            (archive / bad).unlink() if wrong is None else (archive / bad).write_bytes(wrong)
            done = verify(home, "--repair")
            assert (done.code, done.out) == (0, "the archive is whole and unaltered\n"), (bad, wrong, done)
            if not bad.startswith("log/"):  # that one may have grown
                assert (archive / bad).read_bytes() == (archive / good).read_bytes() == right


def test_where_both_copies_are_bad_neither_is_touched_and_both_are_named(home: Path) -> None:
    archive = home / "archive"
    for folder, octets in (("keys", b"rotten"), ("keys/copy", b"spoilt")):
        (archive / folder / f"{KEY}.key.age").write_bytes(octets)
    done = verify(home, "--repair")
    assert done.code == 65
    assert (archive / f"keys/{KEY}.key.age").read_bytes() == b"rotten"
    assert (archive / f"keys/copy/{KEY}.key.age").read_bytes() == b"spoilt"


def test_a_repair_beside_a_running_daemon_is_refused(home: Path) -> None:
    archive = made(home).archive()
    with archive.lock():
        done = verify(home, "--repair")
    assert done.code == 75
    assert "another daemon" in done.err
    assert verify(home).code == 0


# From outside.


def test_a_printed_checkpoint_is_compared_and_tells_an_archive_that_was_put_back(home: Path) -> None:
    shutil.copytree(home / "archive", home / "backup")
    sealer = made(home).sealer()
    seal(sealer, [b"one"])
    sealer.close()
    sheet = verify(home, "--print-checkpoint")
    assert sheet.code == 0
    (home / "sheet.txt").write_text(f"Session of today\n\n{sheet.out}")
    assert verify(home, "--checkpoint sheet.txt").code == 0
    done = run("nocontact verify --archive backup --checkpoint sheet.txt", home)
    assert done.code == 65
    assert "damaged: log/leaves\n" in done.out
    assert "remark: sheet.txt: the archive is older" in done.out
    assert run("nocontact verify --archive backup", home).code == 0


def test_nothing_is_printed_for_paper_of_an_archive_that_is_not_sound(home: Path) -> None:
    alter(home / "archive")
    assert "root " not in verify(home, "--print-checkpoint").out


def test_a_mistyped_checkpoint_is_told_from_an_altered_archive(home: Path) -> None:
    sheet = verify(home, "--print-checkpoint").out
    digit = sheet.index("root") + 9
    wrong = "1" if sheet[digit] != "1" else "2"
    (home / "sheet.txt").write_text(sheet[:digit] + wrong + sheet[digit + 1 :])
    done = verify(home, "--checkpoint sheet.txt")
    assert done.code == 1
    assert "read or typed" in done.err
    (home / "photo.png").write_bytes(os.urandom(100_000))
    assert verify(home, "--checkpoint photo.png").code == 1


def test_an_older_copy_at_the_archives_place_is_noticed_without_any_paper(home: Path) -> None:
    """By what the state remembers; with --json the reason goes where it does not disturb."""
    shutil.copytree(home / "archive", home / "backup")
    sealer = made(home).sealer()
    seal(sealer, [b"one"])
    seal(sealer, [b"two"], 2)
    sealer.close()
    assert verify(home).code == 0
    shutil.rmtree(home / "archive")
    shutil.copytree(home / "backup", home / "archive")
    done = verify(home, "--json")
    assert done.code == 65
    assert json.loads(done.out)["damaged"] == ["log/copy/leaves", "log/leaves"]
    assert "what this machine sealed to last: the archive is older" in done.err


def step(home: Path, words: str) -> Outcome:
    return run(f"nocontact --config c.yaml keys countersign {words} --memory device", home)


def session(home: Path) -> Outcome:
    """All three steps."""
    asked = step(home, "ask request")
    if asked.code:
        return asked
    signed = step(home, "sign request answer")
    return signed if signed.code else step(home, "keep answer")


def test_the_therapists_device_signs_at_each_session_and_keeps_104_octets(home: Path) -> None:
    assert session(home).code == 0
    assert (home / "device").stat().st_size == 104
    assert (home / "device").stat().st_mode & 0o777 == 0o600
    sealer = made(home).sealer()
    seal(sealer, [b"one"])
    sealer.close()
    assert session(home).code == 0
    assert verify(home, "--checkpoint answer").code == 0
    assert len(list((home / "archive/log/anchors").iterdir())) == 2
    assert (home / "device").stat().st_size == 104


def test_the_device_refuses_an_archive_that_was_put_back(home: Path) -> None:
    shutil.copytree(home / "archive", home / "backup")
    sealer = made(home).sealer()
    seal(sealer, [b"one"])
    sealer.close()
    assert session(home).code == 0
    shutil.rmtree(home / "archive")
    shutil.copytree(home / "backup", home / "archive")
    before = (home / "device").read_bytes()
    done = session(home)
    assert done.code == 65
    assert "older than what this device has seen" in done.err
    assert (home / "device").read_bytes() == before
    assert verify(home, "--checkpoint answer").code == 65


def test_a_log_with_another_key_is_signed_for_only_when_the_therapist_says_so(home: Path) -> None:
    assert session(home).code == 0
    (home / "state" / "log.key").unlink()
    made(home).sealer().close()
    done = session(home)
    assert done.code == 65
    assert "--new-log-key" in done.err
    assert step(home, "sign request answer --new-log-key").code == 0
    assert step(home, "keep answer").code == 0
    assert session(home).code == 0


def test_a_device_that_knows_another_beginning_says_which(home: Path) -> None:
    assert session(home).code == 0
    for note in (home / "archive/log/anchors").iterdir():
        note.unlink()
    sealer = made(home).sealer()
    seal(sealer, [b"one"])
    sealer.close()
    done = session(home)
    assert done.code == 1
    size = done.err.split("--since ")[1].split()[0]
    assert step(home, f"ask --since {size} request").code == 0
    assert step(home, "sign request answer").code == 0


def test_the_device_remembers_before_it_answers_and_answers_the_same_request_again(home: Path) -> None:
    """An answer that cannot be written, or was lost on the way, is no reason to begin anew."""
    assert step(home, "ask request").code == 0
    (home / "taken").mkdir()
    assert step(home, "sign request taken").code == 1
    assert (home / "device").stat().st_size == 104
    assert step(home, "sign request answer").code == 0
    assert step(home, "keep answer").code == 0


@pytest.mark.parametrize("octets", [b"", b"junk\n", os.urandom(200), b"nocontactd-countersign/1\n\n\n"])
def test_what_is_no_request_or_answer_is_said_plainly(home: Path, octets: bytes) -> None:
    (home / "request").write_bytes(octets)
    done = step(home, "sign request answer")
    assert (done.code, (home / "answer").exists(), (home / "device").exists()) == (1, False, False)
    assert "no request" in done.err
    done = step(home, "keep request")
    assert done.code == 1
    assert "no countersigned checkpoint" in done.err


def test_a_spoilt_memory_of_the_device_is_said_plainly_and_left_alone(home: Path) -> None:
    assert session(home).code == 0
    (home / "device").write_bytes(b"short")
    done = session(home)
    assert done.code == 65
    assert (home / "device").read_bytes() == b"short"


# With both passphrases.


def test_deep_opens_every_record_and_finds_a_sound_archive_sound(home: Path) -> None:
    done = verify(home, f"--deep {BOTH}")
    assert (done.code, done.out) == (0, "the archive is whole and unaltered\n")
    done = verify(home, f"--deep --json {BOTH}")
    assert json.loads(done.out)["ok"] is True


def test_deep_names_a_record_whose_content_is_not_what_was_logged(home: Path) -> None:
    """Its file is what the log says, and its content is not."""

    def other_content(lines: list[str]) -> None:
        at = next(n for n, line in enumerate(lines) if line.startswith("2026-11-20/000001 "))
        lines[at] = lines[at][:-64] + "0" * 64

    sign_anew(made(home), other_content)
    assert verify(home).code == 0
    done = verify(home, f"--deep {BOTH}")
    assert done.code == 65
    assert [line for line in done.out.splitlines() if not line.startswith("remark: ")] == [f"damaged: {RECORD}"]


def test_deep_names_the_records_of_a_day_whose_key_does_not_open(home: Path) -> None:
    both_copies(home / "archive")
    said = found(home, f"--deep {BOTH}")
    assert RECORD in said["damaged"]
    assert "mail/2026-11-21/000001.age" not in said["damaged"]


def test_deep_is_refused_to_one_alone_and_to_a_copy_elsewhere(home: Path) -> None:
    assert verify(home, "--deep --owner-passphrase-file owner").code == 77
    assert run(f"nocontact verify --archive archive --deep {BOTH}", home).code == 2
    assert run("nocontact verify --archive archive --repair", home).code == 2


# Backup and move (docs/BACKUP.md).


def rsync(*arguments: str | Path) -> None:
    if shutil.which("rsync") is None:
        missing("rsync is not installed")
    done = subprocess.run(["rsync", *map(str, arguments)], check=False, capture_output=True)
    assert done.returncode in (0, 24), done.stderr


def test_a_backup_by_rsync_is_whole_and_the_next_one_carries_little(home: Path) -> None:
    target = home / "backup"
    rsync("-a", "--delete", f"{home}/archive/", f"{target}/")
    assert run("nocontact verify --archive backup", home).code == 0
    sealer = made(home).sealer()
    seal(sealer, [b"one"])
    sealer.close()
    rsync("-a", "--delete", f"{home}/archive/", f"{target}/")
    assert dict(contents(target)) == dict(contents(home / "archive"))
    assert run("nocontact verify --archive backup", home).code == 0


def test_a_backup_made_beside_a_busy_daemon_is_whole_after_a_second_pass(home: Path) -> None:
    """As docs/BACKUP.md says: without incoming/, and what vanished meanwhile (exit code 24) is no failure."""
    sealer = made(home).sealer()
    stop = threading.Event()

    def work() -> None:
        uid = 1
        while not stop.is_set():
            seal(sealer, [b"x"], uid)
            uid += 1

    thread = threading.Thread(target=work)
    thread.start()
    try:
        for _pass in range(3):
            rsync("-a", "--delete", "--exclude=/incoming/*", f"{home}/archive/", f"{home}/backup/")
    finally:
        stop.set()
        thread.join()
    assert not run("nocontact verify --json --archive backup", home).err.count("Traceback")
    sealer.close()
    rsync("-a", "--delete", f"{home}/archive/", f"{home}/backup/")
    assert run("nocontact verify --archive backup", home).code == 0


def test_an_archive_that_was_moved_with_its_state_goes_on(home: Path) -> None:
    """To another machine: the archive, the state and the configuration, and nothing else."""
    there = home / "there"
    there.mkdir()
    for name in ("archive", "state", "c.yaml", "pw"):
        rsync("-a", home / name, there)
    sealer = made(there).sealer()
    assert sealer.put_back == ""
    seal(sealer, [b"one"])
    sealer.close()
    assert verify(there).code == 0


def test_an_archive_that_was_moved_without_its_state_gets_another_log_key_and_goes_on(home: Path) -> None:
    shutil.rmtree(home / "state")
    (home / "state").mkdir(mode=0o700)
    sealer = made(home).sealer()
    seal(sealer, [b"one"])
    sealer.close()
    assert verify(home).code == 0
    assert any(line.endswith("log-key:new") for line in made(home).leaves())

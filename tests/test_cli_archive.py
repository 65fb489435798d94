"""The commands that make, check and open an archive, on a real one with hostile messages in it."""

import json
import re
import shutil
import stat
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest

from nocontactd.archive.seal import Archive
from nocontactd.export.folder import original_name
from nocontactd.model import (
    Author,
    Channel,
    Disposition,
    Envelope,
    MessageRef,
    Original,
    Part,
    Verdict,
)
from tests.another_user import closed
from tests.transcripts import Outcome, run

CONFIG = """\
blocked:
  - person: A.
    mail: [ex@abuser.example]
mail:
  - {source: home, host: 127.0.0.1, port: 9, security: none, user: me, password_file: pw}
archive: {path: archive}
state: {path: state}
"""
BOTH = "--owner-passphrase-file owner --therapist-passphrase-file therapist"
HOSTILE = (
    b"From: =?utf-8?q?A=1B]52;c;ZXZpbA=3D=3D=07?= <ex@abuser.example>\r\n"
    b"Subject: =?utf-8?q?you=E2=80=AEeM=0D=0A__2026-11-22/000009_mail?=\r\n\r\n"
    b"first line\x1b[2J\r\n\xe2\x80\xaelast\r\n"
)
TEXT = b'{"sid": "SM1", "from": "+447700900123", "body": "hi\\u001b[31m"}'
WHY = Verdict(Disposition.SEAL, "listed-address", "ex@abuser.example", "From")
RAW = ("\x1b", "\x07", "\u202e", "\x9b")


def original(raw: bytes, uid: str, channel: Channel, *more: Part) -> Original:
    mail = channel is Channel.MAIL
    sender, name = ("ex@abuser.example", "message.eml") if mail else ("+447700900123", "message.json")
    ref = MessageRef("home" if mail else "number", "", 1, uid)
    arrived = datetime(2026, 11, 22, 7, 30, tzinfo=UTC)
    envelope = Envelope(ref, channel, (Author("From", sender),), arrived, len(raw))
    return Original(envelope, iter((Part(name, len(raw), (raw,)), *more)))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration, keys for three, and an archive with a mail twice, a text with a picture, and a note."""
    folder = tmp_path_factory.mktemp("home")
    files = {"owner": "o w n e r\n", "therapist": "t\n", "witness": "w\n", "pw": "p", "c.yaml": CONFIG}
    for name, text in files.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o600)
    made = run(f"nocontact --config c.yaml keys init {BOTH} --witness-passphrase-file witness", folder)
    assert (made.code, made.err) == (0, "")
    archive = Archive(folder / "archive", folder / "state" / "log.key", lambda: datetime.now(UTC))
    with archive.lock():
        archive.recover()
        picture = Part("media/ME1.jpg", 4, (b"\xff\xd8\xff\xe0",))
        originals = [
            original(HOSTILE, "1", Channel.MAIL),
            original(HOSTILE, "2", Channel.MAIL),
            original(TEXT, "SM1", Channel.MMS, picture),
        ]
        with archive.batch([each.envelope.ref for each in originals]) as batch:
            for record, each in zip(batch.records, originals, strict=True):
                batch.add(record, each, WHY)
            batch.commit()
        held = original(b"", "9", Channel.MAIL).envelope
        archive.note(held, Verdict(Disposition.HOLD, "listed-name", "Alex Example", "From name"))
    archive.close()
    return folder


@pytest.fixture
def copy(home: Path, tmp_path: Path) -> Path:
    """The same, to be damaged."""
    return Path(shutil.copytree(home, tmp_path / "home"))


@pytest.fixture(scope="module")
def written(home: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Outcome, Path]:
    """What `review --json --originals` made of it. Opening costs two seconds, by design."""
    folder = tmp_path_factory.mktemp("written") / "out"
    return review(home, f"--json --originals {folder}"), folder


@pytest.fixture(scope="module")
def shown(home: Path) -> Outcome:
    """What `review` printed."""
    return review(home)


def review(folder: Path, options: str = "") -> Outcome:
    return run(f"nocontact --config c.yaml review --text {BOTH} {options}", folder)


def lines(outcome: Outcome) -> list[dict[str, object]]:
    return [json.loads(line) for line in outcome.out.splitlines()]


def test_json_has_one_line_a_message_and_the_originals_are_the_exact_octets(written: tuple[Outcome, Path]) -> None:
    done, folder = written
    mail, text = lines(done)
    assert done.code == 0
    assert (mail["channel"], text["channel"]) == ("mail", "mms")
    assert mail["sha256"] == sha256(HOSTILE).hexdigest()
    assert text["sha256"] == sha256(TEXT).hexdigest()
    assert mail["received"] == "2026-11-22T07:30:00Z"
    assert (mail["reason"], mail["rule"], mail["authenticated"]) == ("listed-address", "ex@abuser.example", None)
    assert (text["sender"], text["subject"]) == ("+447700900123", "")
    names = [str(row["record"]).replace("/", "-") for row in (mail, text)]
    assert (folder / f"{names[0]}.eml").read_bytes() == HOSTILE
    assert (folder / f"{names[1]}.json").read_bytes() == TEXT
    assert (folder / names[1] / "ME1.jpg").read_bytes() == b"\xff\xd8\xff\xe0"
    found = sorted(folder.rglob("*"))
    assert len(found) == 4
    assert {stat.S_IMODE(path.stat().st_mode) for path in found if path.is_file()} == {0o600}
    assert {stat.S_IMODE(path.stat().st_mode) for path in (folder, *found) if path.is_dir()} == {0o700}


def test_the_opening_says_what_it_does_before_and_stands_in_the_log_after(copy: Path) -> None:
    before = (copy / "archive" / "log" / "leaves").read_text().count("\n")
    done = review(copy)
    assert "opening the archive" in done.err
    assert "no message in it is changed; the opening is entered in its log" in done.err
    assert "warning" not in done.err
    assert (copy / "archive" / "log" / "leaves").read_text().count("\n") > before


def test_plain_text_never_lets_through_what_acts_on_the_screen(shown: Outcome) -> None:
    assert shown.code == 0
    assert not [character for character in RAW if character in shown.out + shown.err]
    assert r"A\x1b]52;c;ZXZpbA==\x07" in shown.out
    assert r"  | first line\x1b[2J" in shown.out
    assert not any(line.startswith("2026-11-22/000009") for line in shown.out.splitlines())


def test_what_was_let_pass_is_listed_after_the_messages_and_not_in_json(
    shown: Outcome, written: tuple[Outcome, Path]
) -> None:
    assert "perhaps a listed person in disguise" in shown.out
    assert shown.out.index("listed-name") > shown.out.rindex("sha256")
    assert "listed-name" not in written[0].out


def test_other_days_hold_nothing(home: Path) -> None:
    done = review(home, "--json --days 2020-01-01..2020-12-31")
    assert (done.code, done.out) == (0, "")
    assert "nothing was sealed" in done.err


def test_originals_are_never_overwritten(home: Path, tmp_path: Path, written: tuple[Outcome, Path]) -> None:
    [name] = (file.name for file in written[1].glob("*.eml"))
    letter = tmp_path / name
    letter.write_bytes(b"mine")
    done = review(home, f"--json --originals {tmp_path}")
    assert done.code == 1
    assert "the original was not written" in done.err
    assert letter.read_bytes() == b"mine"


@pytest.mark.parametrize("option", ["--originals", "--marks"])
def test_where_nothing_can_be_written_the_archive_is_not_even_opened(home: Path, option: str) -> None:
    log = home / "archive" / "log" / "leaves"
    before = log.read_bytes()
    done = review(home, f"{option} pw/there")
    assert done.code not in (0, 65)
    assert "pw" in done.err
    assert "Traceback" not in done.err
    assert done.out == ""
    assert log.read_bytes() == before


def test_a_damaged_record_is_named_and_the_others_are_shown(copy: Path) -> None:
    [first, *_] = sorted((copy / "archive" / "mail").rglob("*.age"), key=lambda path: path.name)
    octets = bytearray(first.read_bytes())
    octets[len(octets) // 2] ^= 1
    first.write_bytes(octets)
    done = review(copy, "--json")
    assert done.code == 65
    assert f"{first.parent.name}/{first.stem}" in done.err
    assert [row["channel"] for row in lines(done)] == ["mail", "mms"]  # the second copy stands in


def test_a_missing_record_is_named_and_the_others_are_shown(copy: Path) -> None:
    [first, *_] = sorted((copy / "archive" / "mail").rglob("*.age"), key=lambda path: path.name)
    first.unlink()
    done = review(copy, "--json")
    assert done.code == 65
    assert f"nocontact: error: {first.parent.name}/{first.stem}: this record is missing\n" in done.err
    assert [row["channel"] for row in lines(done)] == ["mail", "mms"]  # the second copy stands in


def test_a_whole_day_that_is_gone_is_named_record_by_record(copy: Path) -> None:
    [*found] = sorted((copy / "archive" / "mail").rglob("*.age"))
    shutil.rmtree(copy / "archive" / "mail")
    done = review(copy, f"--json --days {found[0].parent.name}")
    assert (done.code, done.out) == (65, "")
    for record in found:
        assert f"{record.parent.name}/{record.stem}: this record is missing" in done.err


@pytest.mark.parametrize(
    "days",
    [
        "2026-01-01..",
        "..2026-01-01",
        "..",
        "",
        "2026-02-30",
        "2026-01-01..2026-02-30",
        "2026-01-02..2026-01-01",
        "2026-01-01...2026-01-02",
        "2026-01-01..2026-01-02..2026-01-03",
        "20260101",
        "2026-W01-1",
        "all..2026-01-01",
    ],
)
def test_days_that_are_none_are_a_usage_error(home: Path, days: str) -> None:
    done = review(home, f"--days '{days}'")
    assert (done.code, done.out) == (2, "")
    assert "opening" not in done.err


def test_one_day_is_opened_by_itself_or_as_a_range(home: Path) -> None:
    day = next((home / "archive" / "mail").iterdir()).name
    for days in (day, f"{day}..{day}"):
        assert len(lines(review(home, f"--json --days {days}"))) == 2


@pytest.mark.parametrize(("command", "name"), [("verify", "mail"), ("verify --json", "log/leaves")])
def test_what_this_user_may_not_read_is_not_called_damaged(copy: Path, command: str, name: str) -> None:
    with closed(copy, f"archive/{name}"):
        done = run(f"nocontact --config c.yaml {command}", copy)
    assert (done.code, done.out) == (1, "")
    assert "cannot be read by this user" in done.err
    assert "sudo -u" in done.err


def test_where_the_log_cannot_be_written_it_opens_with_a_warning(copy: Path) -> None:
    (copy / "state" / "log.key").unlink()
    (copy / "state" / "log.key").mkdir()
    done = review(copy, "--json")
    assert done.code == 0
    assert len(lines(done)) == 2
    assert "could not be entered in the log" in done.err


def test_where_the_log_is_damaged_it_opens_and_the_exit_code_says_so(copy: Path) -> None:
    shutil.rmtree(copy / "archive" / "log")
    done = review(copy, "--json")
    assert done.code == 65
    assert len(lines(done)) == 2
    assert "could not be entered in the log" in done.err


def test_a_rehearsal_on_a_damaged_log_is_about_damage_not_about_writing(copy: Path) -> None:
    shutil.rmtree(copy / "archive" / "log")
    done = run(f"nocontact --config c.yaml keys rehearse {BOTH}", copy)
    assert done.code == 65
    assert "back from a backup" in done.err


def test_the_witness_stands_in_for_the_therapist(home: Path) -> None:
    done = run(
        "nocontact --config c.yaml review --text --json "
        "--owner-passphrase-file owner --witness-passphrase-file witness",
        home,
    )
    assert (done.code, len(lines(done))) == (0, 2)


@pytest.mark.parametrize(
    "files",
    [
        "--owner-passphrase-file owner",
        "--therapist-passphrase-file therapist",
        "--therapist-passphrase-file therapist --witness-passphrase-file witness",
        "--owner-passphrase-file owner --therapist-passphrase-file owner",
        "--owner-passphrase-file absent --therapist-passphrase-file therapist",
        "--owner-passphrase-file . --therapist-passphrase-file therapist",
        "--owner-passphrase-file /dev/null --therapist-passphrase-file therapist",
    ],
)
def test_any_other_pair_is_refused_and_nothing_is_asked(home: Path, files: str) -> None:
    done = run(f"nocontact --config c.yaml review --text {files}", home)
    assert (done.code, done.out) == (77, "")
    assert "nocontact: error: " in done.err


def test_with_one_holder_alone_the_archive_is_not_even_tried(home: Path) -> None:
    done = run("nocontact --config c.yaml review --text --owner-passphrase-file owner", home)
    assert "opening the archive" not in done.err
    assert "nothing was opened" in done.err


def test_keys_are_never_made_twice(home: Path) -> None:
    before = sorted(path.name for path in (home / "archive").rglob("*"))
    done = run(f"nocontact --config c.yaml keys init {BOTH}", home)
    assert done.code == 73
    assert "nothing was changed" in done.err
    assert sorted(path.name for path in (home / "archive").rglob("*")) == before


@pytest.mark.parametrize("files", ["--owner-passphrase-file owner", "--therapist-passphrase-file therapist"])
def test_keys_for_one_alone_are_never_made(home: Path, tmp_path: Path, files: str) -> None:
    for name in ("owner", "therapist", "c.yaml"):
        shutil.copy2(home / name, tmp_path / name)
    done = run(f"nocontact --config c.yaml keys init {files}", tmp_path)
    assert done.code == 77
    assert not (tmp_path / "archive").exists()


@pytest.mark.parametrize("octets", [b"", b"\n", b"\r\n", b"\xff\xfeo\0", b"x" * 70_000, None])
def test_a_file_that_holds_no_passphrase_is_refused_with_a_hint(
    home: Path, tmp_path: Path, octets: bytes | None
) -> None:
    shutil.copy2(home / "c.yaml", tmp_path / "c.yaml")
    if octets is not None:
        (tmp_path / "owner").write_bytes(octets)
    (tmp_path / "therapist").write_text("t")
    done = run(f"nocontact --config c.yaml keys init {BOTH}", tmp_path)
    assert done.code == (2 if len(octets or b"") > 9 else 77)
    assert "nothing was" in done.err
    assert "nocontact: hint: the file holds the passphrase as one line" in done.err
    assert not (tmp_path / "archive").exists()


def test_a_whole_archive_is_said_to_be_whole(home: Path) -> None:
    done = run("nocontact --config c.yaml verify", home)
    assert (done.code, done.out, done.err) == (0, "the archive is whole and unaltered\n", "")
    said = json.loads(run("nocontact --config c.yaml verify --json", home).out)
    assert sorted(said) == ["damaged", "extra", "in_progress", "missing", "ok"]
    assert said["ok"] is True


def test_an_altered_a_lost_and_a_foreign_file_are_named(copy: Path) -> None:
    altered, lost, *_ = sorted((copy / "archive" / "mail").rglob("*.age"))
    altered.write_bytes(altered.read_bytes()[:-1])
    lost.unlink()
    (altered.parent / "foreign\x1b[2J").write_text("x")
    done = run("nocontact --config c.yaml verify", copy)
    assert done.code == 65
    assert f"damaged: mail/{altered.parent.name}/{altered.name}\n" in done.out
    assert f"missing: mail/{lost.parent.name}/{lost.name}\n" in done.out
    assert r"foreign\x1b[2J" in done.out
    said = json.loads(run("nocontact --config c.yaml verify --json", copy).out)
    assert (said["ok"], len(said["damaged"]), len(said["missing"]), len(said["extra"])) == (False, 1, 1, 1)


@pytest.mark.parametrize("command", ["verify", "verify --json", f"review --text {BOTH}"])
def test_no_archive_where_one_should_be_is_65(home: Path, tmp_path: Path, command: str) -> None:
    for name in ("owner", "therapist", "c.yaml"):
        shutil.copy2(home / name, tmp_path / name)
    done = run(f"nocontact --config c.yaml {command}", tmp_path)
    assert done.code == 65
    assert "there is no archive here" in done.err
    nothing = {"ok": False, "damaged": [], "missing": ["archive.json"], "extra": [], "in_progress": []}
    assert not done.out if "json" not in command else json.loads(done.out) == nothing


@pytest.mark.parametrize("member", ["../../evil", "/etc/evil", "..", ".hidden", "a\x1b[2J", "media/../../evil", ""])
def test_no_name_inside_a_record_leads_out_of_the_folder(member: str) -> None:
    name = original_name("2026-11-22/000001", member)
    assert re.fullmatch(r"2026-11-22-000001/[A-Za-z0-9_-][A-Za-z0-9._-]*", name)

"""`nocontact export` and what `review` lists, as their users run them; the commands of docs/EVIDENCE.md among them."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyrage
import pytest

from nocontactd.archive.format import OPENING, Plaintext
from nocontactd.archive.unseal import Opened
from nocontactd.model import Part
from tests.archive_fixture import DAY, OWNER, THERAPIST, WITNESS, Made, copy
from tests.evidence_fixture import MAIL, evidence_once, files, fill, record_file
from tests.peers.terminal import Terminal
from tests.peers.timestamper import Timestamper
from tests.test_export_check import authority, stamp
from tests.test_listing import alter
from tests.transcripts import Outcome, run

__all__ = ["authority", "evidence_once"]

CONFIG = """\
blocked:
  - person: A.
    mail: [ex@abuser.example]
    phone: ["+447700900123"]
  - person: Family
    mail: ["@abuser-family.example"]
mail:
  - {source: home, host: 127.0.0.1, port: 9, security: none, user: me, password_file: pw}
archive: {path: archive}
state: {path: state}
"""
BOTH = "--owner-passphrase-file owner --therapist-passphrase-file therapist"
DOCUMENT = (Path(__file__).parents[1] / "docs" / "EVIDENCE.md").read_text()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A configuration, and the archive of evidence_fixture.py beside it."""
    fill(copy(tmp_path))
    texts = {"owner": OWNER, "therapist": THERAPIST, "witness": WITNESS, "pw": "p", "c.yaml": CONFIG}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o600)
    return tmp_path


def made(home: Path) -> Made:
    return Made(home / "archive", home / "state" / "log.key")


def export(home: Path, options: str = "", to: str = "out") -> Outcome:
    return run(f"nocontact --config c.yaml export --to {to} {BOTH} {options}", home)


def review(home: Path, options: str = "") -> Outcome:
    return run(f"nocontact --config c.yaml review --text --json {BOTH} {options}", home)


def exported(home: Path, to: str = "out") -> list[str]:
    """The numbers of the records in a bundle."""
    manifest = json.loads((home / to / "manifest.json").read_text())
    return sorted(message["record"][11:].lstrip("0") for message in manifest["messages"])


def test_it_says_what_it_does_before_and_what_to_do_after(home: Path) -> None:
    done = export(home)
    assert (done.code, done.out) == (0, "")
    said = [line.removeprefix("nocontact: ") for line in done.err.splitlines()]
    assert said[0].startswith(f"opening the archive {home / 'archive'} for the owner and the therapist; ")
    assert said[1] == "this opening is being entered in the archive's log"
    assert said[2].startswith("the evidence is being written to out, readable for whoever")
    assert said[3] == "out: the evidence is there; check it: python3 -I out/check.py"
    assert (home / "out" / f"originals/{DAY}-000001.eml").read_bytes() == MAIL
    assert exported(home) == ["1", "3", "4", "5"]


def test_the_opening_and_what_was_exported_stand_sealed_in_the_log(home: Path) -> None:
    export(home, "--records 2026-11-22/000001")
    archive = made(home)
    found = [
        dict(item.meta.facts)
        for item in archive.opener().messages(archive.opener().days())
        if isinstance(item, Opened) and item.kind == OPENING
    ][-2:]
    assert [facts["for"] for facts in found] == ["export", "export"]
    assert found[0]["days"] == f"{DAY}..{DAY}"
    assert found[1]["records"] == f"{DAY}/000001"
    sums = subprocess.run(["sha256sum", "out/SHA256SUMS"], cwd=home, capture_output=True, text=True, check=True).stdout
    assert found[1]["sums"] == sums[:64]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("--person A.", ["1", "3", "5"]),
        ("--person family", ["4"]),
        ("--person EX@abuser.example", ["1", "5"]),
        ("--person A. --person Family --channel mail", ["1", "4", "5"]),
        ("--channel mms,sms", ["3"]),
        ("--received 2026-10-01..2026-10-31", ["4"]),
        ("--received 2026-11-22 --channel mail", ["1", "5"]),
        ("--days 2026-11-22 --records 2026-11-22/000003,2026-11-22/000005", ["3", "5"]),
        ("--records 2026-11-22/000002", ["2"]),
        ("--records @list", ["1", "4"]),
    ],
)
def test_what_is_chosen_is_written_and_nothing_else(home: Path, options: str, expected: list[str]) -> None:
    (home / "list").write_text("2026-11-22/000001\n\n2026-11-22/000004\n")
    assert export(home, options).code == 0
    assert exported(home) == expected


@pytest.mark.parametrize(
    "options", ["--person Nobody", "--channel whatsapp", "--received 2020-01-01", "--days 2020-01-01"]
)
def test_where_nothing_matches_that_is_said_and_no_folder_is_made(home: Path, options: str) -> None:
    done = export(home, options)
    assert done.code == 1
    assert "no message was found that was asked for; nothing was written" in done.err
    assert not (home / "out").exists()


@pytest.mark.parametrize("number", ["000006", "000007", "000099"])
def test_a_record_that_is_no_message_is_named_and_the_others_are_written(home: Path, number: str) -> None:
    done = export(home, f"--records {DAY}/{number},{DAY}/000001")
    assert done.code == 1
    assert f"{DAY}/{number}: no such message was found; it is not in the bundle" in done.err
    assert exported(home) == ["1"]


def test_a_damaged_record_is_named_and_the_others_are_written(home: Path) -> None:
    alter(record_file(made(home), 3))
    done = export(home)
    assert done.code == 65
    assert f"nocontact: error: {DAY}/000003: this record is damaged or altered" in done.err
    assert exported(home) == ["1", "4", "5"]


@pytest.mark.parametrize(
    "options",
    [
        "--channel pigeon",
        "--records 1",
        "--records ,",
        "--records @absent",
        "--received yesterday",
        "--days 2026",
        "extra",
    ],
)
def test_what_cannot_be_meant_is_a_usage_error_before_anything_is_opened(home: Path, options: str) -> None:
    done = export(home, options)
    assert (done.code, done.out) == (2, "")
    assert "opening" not in done.err
    assert not (home / "out").exists()


def test_without_a_folder_it_is_a_usage_error(home: Path) -> None:
    assert run(f"nocontact --config c.yaml export {BOTH}", home).code == 2


@pytest.mark.parametrize(
    "files",
    ["--owner-passphrase-file owner", "--owner-passphrase-file owner --therapist-passphrase-file witness",
     "--therapist-passphrase-file therapist --witness-passphrase-file witness"],
)  # fmt: skip
def test_any_other_pair_is_refused_and_nothing_is_written(home: Path, files: str) -> None:
    done = run(f"nocontact --config c.yaml export --to out {files}", home)
    assert (done.code, done.out) == (77, "")
    assert not (home / "out").exists()


def test_a_folder_that_is_not_empty_is_refused_before_anything_is_written(home: Path) -> None:
    (home / "out").mkdir()
    (home / "out" / "mine").write_text("mine")
    for to in ("out", "out/mine"):
        done = export(home, to=to)
        assert done.code == 1
        assert "is not an empty folder; nothing was written" in done.err
        assert "opening" not in done.err
    assert files(home / "out") == {"mine": b"mine"}


def test_a_disk_that_is_full_leaves_a_bundle_that_says_it_is_not_finished(home: Path) -> None:
    """A limit on the size of a file stands in for it: the first original does not fit."""
    words = shlex.split(f"export --to out {BOTH}")
    program = (
        "import resource, signal, sys\n"
        "from nocontactd.cli import main\n"
        "import nocontactd.cli.export as command\n"
        "write = command.Bundle.write\n"
        "def limited(*args):\n"
        "    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "    return write(*args)\n"
        "command.Bundle.write = limited\n"
        f"sys.exit(main(['--config', 'c.yaml', *{words!r}]))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=home, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert "out is not finished: do not use it" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (home / "out" / "SHA256SUMS").exists()
    assert not (home / "out" / f"originals/{DAY}-000001.eml").exists()


def test_a_damaged_record_does_not_end_a_review_that_lists_from_the_index(home: Path) -> None:
    before = review(home)
    assert before.code == 0
    alter(record_file(made(home), 3))
    done = review(home)
    assert done.code == 65
    assert f"{DAY}/000003: this record is damaged or altered" in done.err
    assert done.out.splitlines() == [
        line for line in before.out.splitlines() if "MM1" not in line and "mms" not in line
    ]


def test_the_second_review_prints_what_the_first_did(home: Path) -> None:
    assert (home / "archive" / "index" / f"{DAY}.a.age").exists() is False
    first = review(home)
    assert (home / "archive" / "index" / f"{DAY}.a.age").exists()
    assert review(home).out == first.out
    assert len(first.out.splitlines()) == 4
    texts = [run(f"nocontact --config c.yaml review --text {BOTH}", home).out for _ in range(2)]
    assert texts[0] == texts[1]
    assert "  | Answer me." in texts[0]


def test_a_message_that_the_log_does_not_vouch_for_is_shown_with_a_caution_and_exported_without_a_proof(
    home: Path,
) -> None:
    """Anybody who can write to the disk can seal to the day's public key."""
    [meta] = [item.meta for item in made(home).opened(DAY) if item.record.endswith("000001")]
    forged = replace(meta, record=f"{DAY}/000050")
    octets = b"".join(Plaintext(forged, [Part("message.eml", 9, [b"I did it."])]))
    recipient = pyrage.x25519.Recipient.from_str((home / "archive" / "keys" / f"{DAY}.pub").read_text().split()[-1])
    record_file(made(home), 50).write_bytes(pyrage.encrypt(octets, [recipient]))
    shown = run(f"nocontact --config c.yaml review --text {BOTH}", home).out
    assert shown.count("the log does not vouch for it") == 1
    assert shown.index("the log does not vouch for it") > shown.index(f"{DAY}/000050")
    done = export(home, f"--records {DAY}/000050")
    assert done.code == 1
    assert f"{DAY}/000050: is in the bundle without a proof" in done.err


def test_an_index_that_cannot_be_written_is_said_once_and_changes_nothing(home: Path) -> None:
    shutil.rmtree(home / "archive" / "index")
    (home / "archive" / "index").write_text("in the way")
    done = review(home)
    assert done.code == 0
    assert len(done.out.splitlines()) == 4
    assert done.err.count("warning: the index could not be written") == 1


def terminal(home: Path, *words: str) -> Terminal:
    """The command on a terminal, where owner and therapist have typed their secrets."""
    screen = Terminal(home, {"HOME": str(home)}, "--config", "c.yaml", *words)
    screen.expect("passphrase of the owner: ")
    screen.type(OWNER)
    screen.expect("therapist's card")
    screen.type(THERAPIST)
    return screen


def test_what_two_people_mark_on_the_screen_is_what_they_export(home: Path) -> None:
    screen = terminal(home, "review", "--text", "--days", DAY, "--marks", "marked")
    screen.expect("m: mark")
    screen.type("")
    screen.expect("m: mark")
    screen.type("m")
    screen.expect("marked in marked")
    screen.type("q")
    assert screen.end() == 0
    assert (home / "marked").read_text() == f"{DAY}/000003\n"
    assert (home / "marked").stat().st_mode & 0o777 == 0o600
    screen = terminal(home, "export", "--to", "out", "--records", "@marked")
    screen.expect("the evidence is there")
    assert screen.end() == 0
    assert exported(home) == ["3"]


def commands(start: str) -> list[str]:
    """The command lines of the document that begin so."""
    blocks = re.findall(r"^```\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.startswith(start)]


def test_every_command_of_the_document_is_run_by_one_of_these_tests() -> None:
    every = commands("")
    assert {line.split()[0] for line in every} == {"nocontact", "sha256sum", "python3", "openssl", "printf"}
    assert len(every) == len(commands("nocontact")) + len(checks())


def checks() -> list[str]:
    return [line for line in commands("") if not line.startswith("nocontact")]


@pytest.mark.parametrize("line", commands("nocontact"))
def test_the_documents_ways_of_exporting_work(home: Path, line: str) -> None:
    (home / "marked").write_text(f"{DAY}/000001\n")
    line = line.replace("2026-01-01..2026-03-31", "2026-11-01..2026-11-30")
    assert run(f"{line.replace('nocontact', 'nocontact --config c.yaml', 1)} {BOTH}", home).code == 0
    assert "1" in exported(home, "evidence") or "3" in exported(home, "evidence")


def test_the_documents_ways_of_checking_work(home: Path, authority: Timestamper) -> None:
    """Line by line, in the bundle, with the certificate of an authority that stamped the log's checkpoint."""
    notes = home / "archive" / "log" / "anchors"
    shutil.copy(home / "archive" / "log" / "checkpoint", notes / "NAME.note")
    stamp(authority, notes / "NAME.note")
    assert export(home).code == 0
    shutil.copy(authority.root, home / "authority.pem")
    proof = json.loads((home / "out" / f"proofs/{DAY}-000001.json").read_text())
    environ = {"PATH": os.environ["PATH"], "LOG_KEY": proof["key"], "SALT": proof["salt"]}
    lines = checks()
    assert len(lines) == 8
    for line in lines:
        command = line.replace("authority.pem", "../authority.pem")
        done = subprocess.run(
            command, shell=True, cwd=home / "out", env=environ, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, (line, done.stdout, done.stderr)
        if line.endswith("| sha256sum"):
            environ["CONTENT"] = done.stdout[:64]
        if line.startswith("printf"):
            assert done.stdout.split()[-1] == proof["leaf"].split()[2]

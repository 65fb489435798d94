"""The bundle: exactly what was chosen, octet for octet, with what proves it, and nothing of anybody else."""

import hashlib
import json
import shutil
import subprocess
import sys
import zlib
from datetime import timedelta
from pathlib import Path

import pytest

from nocontactd.archive import proof
from nocontactd.archive.contents import Contents
from nocontactd.archive.format import Member
from nocontactd.archive.log import Checkpoint, Signer
from nocontactd.errors import DamagedError, NocontactError
from nocontactd.export.bundle import Bundle
from nocontactd.export.folder import Folder, original_name, write_originals
from nocontactd.export.proofs import Proofs
from tests.archive_fixture import DAY, Made, made_archive, noon
from tests.evidence_fixture import (
    EX,
    HOSTILE,
    MAIL,
    PICTURES,
    TEXT,
    chosen,
    evidence_once,
    export,
    files,
    mail,
    record_file,
    rows,
    sealed,
)
from tests.test_listing import alter, made

__all__ = ["evidence_once", "made", "made_archive"]

MOST = 4096
"""Octets that a proof may add to its message."""


@pytest.fixture(scope="module")
def whole(evidence_once: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of everything."""
    folder = tmp_path_factory.mktemp("bundle") / "evidence"
    assert export(evidence_once, folder) == ()
    return folder


def test_the_originals_are_the_exact_octets(whole: Path) -> None:
    assert (whole / f"originals/{DAY}-000001.eml").read_bytes() == MAIL
    assert (whole / f"originals/{DAY}-000003.json").read_bytes() == TEXT
    assert (whole / f"originals/{DAY}-000003/ME1.jpg").read_bytes() == PICTURES[0]
    assert (whole / f"originals/{DAY}-000003/ME2.jpg").read_bytes() == PICTURES[1]
    assert (whole / f"originals/{DAY}-000005.eml").read_bytes() == HOSTILE


def test_second_copies_notes_covers_and_openings_are_not_in_it(whole: Path) -> None:
    manifest = json.loads((whole / "manifest.json").read_text())
    assert [message["record"][11:] for message in manifest["messages"]] == ["000004", "000001", "000005", "000003"]
    for name, octets in files(whole).items():
        for number in ("000002", "000006", "000007", "000008"):
            assert number not in name
            assert f"{DAY}/{number}".encode() not in octets


def test_every_file_is_in_sha256sums_as_sha256sum_reads_it(whole: Path) -> None:
    done = subprocess.run(["sha256sum", "-c", "--strict", "SHA256SUMS"], cwd=whole, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout
    listed = {line.partition("  ")[2] for line in (whole / "SHA256SUMS").read_text().splitlines()}
    assert listed == files(whole).keys() - {"SHA256SUMS"}


def test_all_of_it_is_for_its_owner_alone(whole: Path) -> None:
    for path in (whole, *whole.rglob("*")):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600)


def test_nothing_of_any_other_message_is_in_it(evidence_once: Made, tmp_path: Path) -> None:
    assert export(evidence_once, tmp_path / "out", "1", "3") == ()
    for name, octets in files(tmp_path / "out").items():
        if name == "incidents.pdf":
            octets += b"".join(_streams(octets))
        found = [word for word in (b"canary", b"family", b"HYPERLINK", b"000004", b"000005") if word in octets]
        assert found == [], name


def _streams(document: bytes) -> list[bytes]:
    """The compressed contents of a PDF's pages."""
    parts = [part.split(b"endstream")[0].strip(b"\r\n") for part in document.split(b"stream\n")[1:]]
    found = []
    for part in parts:
        try:
            found.append(zlib.decompress(part))
        except zlib.error:
            continue
    return found


def test_the_pdf_has_the_words_that_its_font_knows_and_names_the_others(whole: Path) -> None:
    document = (whole / "incidents.pdf").read_bytes()
    words = b" ".join(_streams(document))
    assert document.startswith(b"%PDF-")
    assert b"ex@abuser.example" in words
    assert b"[U+0645]" in words.replace(b") Tj", b"").replace(b"\\", b"")
    assert b"2026-11-22/000005" in words


def test_without_the_library_of_the_pdf_everything_else_is_there(evidence_once: Made, tmp_path: Path) -> None:
    """As where the extra `evidence` was not installed."""
    program = (
        "import sys; sys.modules['fpdf'] = None\n"
        "from pathlib import Path\n"
        "from tests.archive_fixture import Made\n"
        "from tests.evidence_fixture import export\n"
        f"found = export(Made(Path({str(evidence_once.path)!r}), Path()), Path({str(tmp_path / 'out')!r}))\n"
        "print([problem.message for problem in found])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout == "['a PDF needs fpdf2, which is not installed; none was written']\n", done.stderr
    assert not (tmp_path / "out" / "incidents.pdf").exists()
    assert (tmp_path / "out" / "SHA256SUMS").exists()


def test_no_paper_holds_anything_that_acts_on_a_screen(whole: Path) -> None:
    for name in ("incidents.csv", "custody.txt", "certificate.txt", "README.txt", "manifest.json"):
        text = (whole / name).read_bytes().decode("utf-8-sig")
        acting = [letter for letter in text if not letter.isprintable() and letter not in "\r\n"]
        assert acting == [], name


def test_the_papers_say_when_where_and_by_what(whole: Path) -> None:
    custody = (whole / "custody.txt").read_text()
    assert "stood at          home: folder INBOX, UIDVALIDITY 1700000000, UID 1\n" in custody
    assert "stood at          number: SID MM1\n" in custody
    assert "sealed            2026-11-22T12:00:00Z  by nocontactd " in custody
    assert "greeting        * OK ready" in custody
    certificate = (whole / "certificate.txt").read_text()
    assert "902(13)" in certificate and "902(14)" in certificate
    assert hashlib.sha256(MAIL).hexdigest() in certificate
    assert "[name]" in certificate


def test_the_same_messages_give_the_same_octets(whole: Path, evidence_once: Made, tmp_path: Path) -> None:
    export(evidence_once, tmp_path / "again")
    assert files(tmp_path / "again") == files(whole)


def test_at_another_time_only_what_states_the_time_differs(whole: Path, evidence_once: Made, tmp_path: Path) -> None:
    export(evidence_once, tmp_path / "later", at=noon() + timedelta(hours=5))
    before, after = files(whole), files(tmp_path / "later")
    assert before.keys() == after.keys()
    differ = {name for name in before if before[name] != after[name]}
    assert differ == {"README.txt", "SHA256SUMS", "certificate.txt", "custody.txt", "incidents.pdf", "manifest.json"}
    for name in ("README.txt", "certificate.txt", "custody.txt", "manifest.json"):
        assert after[name].replace(b"2026-11-22T17:00:00Z", b"2026-11-22T12:00:00Z") == before[name]


def test_a_damaged_record_is_named_the_others_are_there_and_no_half_is_left(made: Made, tmp_path: Path) -> None:
    found = chosen(made)
    alter(record_file(made, 1))
    bundle = Bundle(made.opener(), made.path, tmp_path / "out", noon(), "two")
    [problem] = bundle.write(found, lambda _done, _all: None)
    assert (type(problem), problem.message) == (DamagedError, f"{DAY}/000001: this record is damaged or altered")
    there = files(tmp_path / "out")
    assert not any("000001" in name for name in there)
    assert there[f"originals/{DAY}-000005.eml"] == HOSTILE


def test_what_was_written_before_the_damage_was_met_is_taken_away(made_archive: Made, tmp_path: Path) -> None:
    """age vouches for 64 KiB at a time, so that a long message is written while it is read."""
    sealer = made_archive.archive()
    sealed(sealer, (mail(MAIL * 12, 1), EX), (mail(MAIL, 2), EX))
    found = chosen(made_archive)
    path = record_file(made_archive, 1)
    octets = bytearray(path.read_bytes())
    octets[200_000] ^= 1
    path.write_bytes(octets)
    bundle = Bundle(made_archive.opener(), made_archive.path, tmp_path / "out", noon(), "two")
    [problem] = bundle.write(found, lambda _done, _all: None)
    assert problem.message == f"{DAY}/000001: this record is damaged or altered"
    assert not any("000001" in name for name in files(tmp_path / "out"))
    assert (tmp_path / "out" / f"originals/{DAY}-000002.eml").read_bytes() == MAIL


def test_a_folder_that_holds_anything_is_left_alone(evidence_once: Made, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(NocontactError, match="is not an empty folder; nothing was written"):
        export(evidence_once, tmp_path)
    assert files(tmp_path) == {"mine": b"mine"}


@pytest.mark.parametrize("name", ["log/leaves", "log/copy/leaves"])
def test_one_sound_copy_of_the_log_proves_everything(made: Made, tmp_path: Path, name: str) -> None:
    (made.path / name).write_bytes(b"rotten\n" * 20)
    found = chosen(made, "1")
    if name == "log/leaves":  # the listing reads it, too, and takes what it lacks from the copy
        assert found
    bundle = Bundle(made.opener(), made.path, tmp_path / "out", noon(), "two")
    assert bundle.write(found, lambda _done, _all: None) == ()


@pytest.mark.parametrize("damage", ["leaves", "checkpoints"])
def test_without_a_log_that_was_signed_nothing_is_written(made: Made, tmp_path: Path, damage: str) -> None:
    found = chosen(made)
    for folder in ("log", "log/copy"):
        path = made.path / folder / ("leaves" if damage == "leaves" else "checkpoint")
        path.write_bytes(b"x" + path.read_bytes())
    bundle = Bundle(made.opener(), made.path, tmp_path / "out", noon(), "two")
    with pytest.raises(DamagedError, match="nothing can be proven"):
        bundle.write(found, lambda _done, _all: None)
    assert not (tmp_path / "out").exists()


def test_a_record_that_was_never_acknowledged_comes_without_a_proof_and_that_is_said(
    made_archive: Made, tmp_path: Path
) -> None:
    sealer = made_archive.sealer()
    sealed(sealer, (mail(MAIL, 1), EX))
    shutil.copy(record_file(made_archive, 1), tmp_path / "kept")
    sealer.close()
    fresh = _without_the_leaf(made_archive)
    [problem] = export(fresh, tmp_path / "out")
    assert problem.message == f"{DAY}/000001: is in the bundle without a proof: it was never acknowledged"
    [message] = json.loads((tmp_path / "out" / "manifest.json").read_text())["messages"]
    assert message["proof"] is None
    assert (tmp_path / "out" / message["files"]["message.eml"]).read_bytes() == MAIL


def _without_the_leaf(made: Made) -> Made:
    """As after a death before the leaf: recovery finds the file and logs an orphan."""
    for folder in ("log", "log/copy"):
        path = made.path / folder / "leaves"
        lines = [line for line in path.read_text().splitlines(keepends=True) if not line.startswith(DAY)]
        path.write_text("".join(lines))
        signer = Signer(made.log_key.read_text())
        tree = proof.Subtrees(line.strip().encode() for line in lines)
        note = signer.sign(Checkpoint(signer.name, tree.size, tree.root()).text())
        (made.path / folder / "checkpoint").write_text(note)
    sealer = made.sealer()
    sealer.close()
    return made


def test_a_proof_takes_at_most_4_kilobytes_in_a_log_of_a_million_and_with_ten_pictures(
    made: Made, tmp_path: Path
) -> None:
    """The path grows by 44 octets each time the log doubles: 17 steps are computed, 3 more are counted."""
    leaves = [line.encode() for line in (made.path / "log/leaves").read_text().splitlines()]
    leaves += [b"2026-11-23/%06d %s %s" % (n, b"a" * 64, b"b" * 64) for n in range(1, 100_001)]
    signer = Signer(made.log_key.read_text())
    tree = proof.Subtrees(leaves)
    (made.path / "log/leaves").write_bytes(b"\n".join(leaves) + b"\n")
    (made.path / "log/checkpoint").write_text(signer.sign(Checkpoint(signer.name, tree.size, tree.root()).text()))
    names = ["meta.json", "message.json", *(f"media/ME{'0' * 31}{n:x}.jpeg" for n in range(10)), "auth.json"]
    members = tuple(Member(name, 1, "c" * 64) for name in (*names, "dns/selector._domainkey.example.org.txt"))
    [meta] = [item.meta for item in made.opened(DAY) if item.record.endswith("1")]
    written = Proofs(made.path, [f"{DAY}/000001"]).of(f"{DAY}/000001", Contents(meta, members, "", "", None))
    assert written
    assert len(json.loads(written)["path"]) == 17
    assert len(written) + 3 * 50 <= MOST


def test_no_proof_of_these_messages_is_larger(whole: Path) -> None:
    found = [file.stat().st_size for file in (whole / "proofs").glob("*.json")]
    assert len(found) == 4
    assert max(found) <= MOST


def test_a_large_message_needs_no_more_memory_than_a_small_one(
    made_archive: Made, evidence_once: Made, tmp_path: Path
) -> None:
    """50 MB: listed, exported, and written as an original, against the same with small ones."""
    sealer = made_archive.archive()
    sealed(sealer, (mail(MAIL + b"x" * (50 << 20), 1), EX))
    sealer.close()
    program = (
        "from pathlib import Path\n"
        "from tests.archive_fixture import Made, most_resident\n"
        "from tests.evidence_fixture import export\n"
        "from nocontactd.export.folder import Folder, write_originals\n"
        f"small, large = (Made(Path(path), Path()) for path in {[str(evidence_once.path), str(made_archive.path)]!r})\n"
        f"out = Path({str(tmp_path)!r})\n"
        "export(small, out / 'small'); before = most_resident()\n"
        "assert export(large, out / 'large') == ()\n"
        f"write_originals(large.opener(), Folder(out / 'again'), '{DAY}/000001')\n"
        "print(most_resident() - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert 0 < int(done.stdout) < 16 * 1024, f"{done.stdout} KB"
    assert (tmp_path / f"large/originals/{DAY}-000001.eml").stat().st_size == len(MAIL) + (50 << 20)


def test_what_the_disk_refuses_leaves_no_half_of_an_original(evidence_once: Made, tmp_path: Path) -> None:
    (tmp_path / f"{DAY}-000003").write_text("in the way of the pictures")
    with pytest.raises(FileExistsError):
        write_originals(evidence_once.opener(), Folder(tmp_path), f"{DAY}/000003")
    assert files(tmp_path) == {f"{DAY}-000003": b"in the way of the pictures"}


def test_originals_have_names_of_their_own() -> None:
    names = [original_name(f"{DAY}/000001", member) for member in ("message.eml", "message.json", "media/ME1.jpg")]
    assert names == [f"{DAY}-000001.eml", f"{DAY}-000001.json", f"{DAY}-000001/ME1.jpg"]


def test_rows_of_unreadable_days_do_not_end_an_export(made: Made) -> None:
    alter(record_file(made, 5))
    assert [isinstance(item, DamagedError) for item in rows(made.opener(), made)].count(True) == 1
    assert [row.record[11:] for row in chosen(made)] == ["000001", "000003", "000004"]

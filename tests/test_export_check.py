"""check.py as a stranger runs it: no key, no library, nothing around it; and everything that it must refuse."""

import ast
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nocontactd.archive import keys, proof, witness
from nocontactd.archive.log import Checkpoint, Signer
from nocontactd.export import check
from tests.archive_fixture import DAY, Made, light, noon
from tests.evidence_fixture import EX, MAIL, evidence_once, export, mail, sealed
from tests.peers import missing, timestamper
from tests.peers.timestamper import Timestamper
from tests.test_export import whole
from tests.test_listing import made

__all__ = ["evidence_once", "made", "whole"]

PROOF = f"proofs/{DAY}-000001.json"
ORIGINAL = f"originals/{DAY}-000001.eml"
FILE = Path(check.__file__)

if not shutil.which("openssl"):
    missing("openssl")


def run(folder: Path, *words: str, path: str = os.environ["PATH"]) -> "subprocess.CompletedProcess[str]":
    """In an empty environment and from elsewhere."""
    command = [sys.executable, "-I", str(folder / "check.py"), *words]
    return subprocess.run(
        command, env={"PATH": path}, cwd="/", capture_output=True, text=True, encoding="utf-8", timeout=60, check=False
    )


@pytest.fixture
def bundle(whole: Path, tmp_path: Path) -> Path:
    """A copy, to be tampered with."""
    return Path(shutil.copytree(whole, tmp_path / "bundle"))


def resum(folder: Path) -> None:
    """Whoever tampers writes SHA256SUMS anew."""
    lines = []
    for file in sorted(folder.rglob("*")):
        if file.is_file() and file.name != "SHA256SUMS":
            lines.append(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.relative_to(folder).as_posix()}\n")
    (folder / "SHA256SUMS").write_text("".join(lines))


def rewrite(file: Path, change: Callable[[Any], None]) -> None:
    said = json.loads(file.read_text())
    change(said)
    file.write_text(json.dumps(said))


def key(folder: Path) -> str:
    return str(json.loads((folder / "manifest.json").read_text())["log_key"])


def test_a_whole_bundle_is_proven_and_every_file_of_every_message_is_named(whole: Path) -> None:
    done = run(whole)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("everything above is proven\n")
    for name in (f"{DAY}-000001.eml", f"{DAY}-000003.json", f"{DAY}-000003/ME2.jpg", f"{DAY}-000005.eml"):
        assert f"originals/{name} is " in done.stdout
    assert f"{DAY}/000001: says of itself: arrived 2026-11-22T11:51:00Z, sealed 2026-11-22T12:00:00Z" in done.stdout
    assert not list(whole.rglob("__pycache__"))


def test_it_wants_the_standard_library_of_an_old_python_and_nothing_else() -> None:
    tree = ast.parse(FILE.read_text(), feature_version=(3, 9))
    names = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    names |= {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    assert {str(name).split(".")[0] for name in names} <= sys.stdlib_module_names


def test_without_openssl_nothing_is_called_proven(whole: Path, tmp_path: Path) -> None:
    done = run(whole, path=str(tmp_path))
    assert done.returncode == 1
    assert "NOT CHECKED" in done.stdout
    assert "proven" not in done.stdout


ALTERED: dict[str, tuple[Callable[[Path], Any], str]] = {
    "an original": (lambda b: (b / ORIGINAL).write_bytes(MAIL[:-1] + b"!"), "is not a file that was sealed"),
    "a picture": (lambda b: (b / f"originals/{DAY}-000003/ME1.jpg").write_bytes(b"x"), "is not a file that was sealed"),
    "what was recorded of it": (
        lambda b: rewrite(b / f"proofs/{DAY}-000001/meta.json", lambda m: m.update(arrived="2020-01-01T00:00:00Z")),
        "is not a file that was sealed",
    ),
    "two originals swapped": (
        lambda b: shutil.copy(b / f"originals/{DAY}-000005.eml", b / ORIGINAL),
        "is not a file that was sealed",
    ),
    "its place": (
        lambda b: rewrite(b / PROOF, lambda p: p.update(index=p["index"] + 1)),
        "does not stand at that place",
    ),
    "a place before it": (lambda b: rewrite(b / PROOF, lambda p: p.update(index=p["index"] ^ 1)), "at that place"),
    "a place that is none": (lambda b: rewrite(b / PROOF, lambda p: p.update(index=-1)), "its place is not in the log"),
    "a place that is a word": (lambda b: rewrite(b / PROOF, lambda p: p.update(index=True)), "place is not in the log"),
    "the path": (lambda b: rewrite(b / PROOF, lambda p: p["path"].reverse()), "does not stand at that place"),
    "a path too short": (lambda b: rewrite(b / PROOF, lambda p: p["path"].pop()), "its path is too short"),
    "a path too long": (lambda b: rewrite(b / PROOF, lambda p: p["path"].append(p["path"][0])), "its path is too long"),
    "the salt": (lambda b: rewrite(b / PROOF, lambda p: p.update(salt="00" * 32)), "not the parts that its entry"),
    "a hash of a part": (
        lambda b: rewrite(b / PROOF, lambda p: p["members"].__setitem__(1, f"{'0' * 64}  message.eml")),
        "not the parts that its entry",
    ),
    "the commitment": (
        lambda b: rewrite(b / PROOF, lambda p: p.update(leaf=p["leaf"][:-1] + "10"[p["leaf"][-1] == "1"])),
        "not the parts that its entry",
    ),
    "the hash of the sealed file": (
        lambda b: rewrite(b / PROOF, lambda p: p.update(leaf=p["leaf"].replace(p["leaf"][18:82], "0" * 64))),
        "does not stand at that place",
    ),
    "its name": (
        lambda b: rewrite(b / PROOF, lambda p: p.update(record=f"{DAY}/000009", leaf=f"{DAY}/000009" + p["leaf"][17:])),
        "does not stand at that place",
    ),
    "the leaf of another": (
        lambda b: rewrite(b / PROOF, lambda p: p.update(record=f"{DAY}/000009")),
        "its entry in the log is of another record",
    ),
    "the root": (
        lambda b: rewrite(b / PROOF, lambda p: p.update(checkpoint=p["checkpoint"].replace("\n1", "\n2", 1))),
        "the checkpoint is not signed with that key",
    ),
    "the signature": (
        lambda b: rewrite(b / PROOF, lambda p: p.update(checkpoint=p["checkpoint"][:-9] + "AAAAAAA=\n")),
        "the checkpoint is not signed with that key",
    ),
    "the proof of another message": (
        lambda b: shutil.copy(b / f"proofs/{DAY}-000005.json", b / PROOF),
        "the proof is of",
    ),
    "half a proof": (lambda b: (b / PROOF).write_bytes((b / PROOF).read_bytes()[:300]), "cannot be read"),
    "a proof that is a list": (lambda b: (b / PROOF).write_text("[]"), "is damaged"),
    "a proof without anything": (lambda b: (b / PROOF).write_text("{}"), "the proof is damaged"),
    "a proof of numbers": (lambda b: rewrite(b / PROOF, lambda p: p.update(path=[1])), "the proof is damaged"),
    "the hash in the manifest": (
        lambda b: rewrite(b / "manifest.json", lambda m: m["messages"][1].update(sha256="0" * 64)),
        "the proof is of",
    ),
    "a message without its file": (
        lambda b: rewrite(b / "manifest.json", lambda m: m["messages"][1]["files"].pop("message.eml")),
        "the message itself is not among the files",
    ),
    "a manifest that is none": (lambda b: (b / "manifest.json").write_text('{"messages": 5}'), "manifest.json: "),
}


@pytest.mark.parametrize("what", ALTERED)
def test_what_was_altered_is_refused_for_that_reason_though_all_sums_were_made_anew(bundle: Path, what: str) -> None:
    alter, reason = ALTERED[what]
    alter(bundle)
    resum(bundle)
    done = run(bundle)
    assert (done.returncode, done.stderr) == (1, "")
    [refused] = [line for line in done.stdout.splitlines() if line.startswith("REFUSED")]
    assert reason in refused
    assert done.stdout.endswith("NOT EVERYTHING IS PROVEN: see REFUSED above\n")


@pytest.mark.parametrize(
    ("alter", "said"),
    [
        (lambda b: (b / "custody.txt").write_text("x"), "custody.txt: is not the file that was exported"),
        (lambda b: (b / "incidents.csv").unlink(), "incidents.csv: is missing"),
        (
            lambda b: (b / "originals" / "more.eml").write_text("x"),
            "originals/more.eml: was not exported with the others",
        ),
    ],
    ids=["altered", "missing", "added"],
)
def test_a_file_that_is_not_as_it_was_exported_is_named(bundle: Path, alter: Callable[[Path], Any], said: str) -> None:
    alter(bundle)
    done = run(bundle)
    assert done.returncode == 1
    assert f"REFUSED  {said}\n" in done.stdout


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of an archive of somebody else's, who sealed the same words."""
    folder = tmp_path_factory.mktemp("foreign")
    holders = {"owner": "o", "therapist": "t", "witness": None}
    keys.make(folder / "archive", folder / "log.key", **holders, unattended=True, now=noon, lock=light)  # type: ignore[arg-type]
    archive = Made(folder / "archive", folder / "log.key")
    sealer = archive.archive()
    sealed(sealer, (mail(MAIL, 1), EX))
    sealer.close()
    opener = _opener(folder / "archive")
    from nocontactd.export.bundle import Bundle
    from tests.evidence_fixture import rows

    found = [row for row in rows(opener, archive) if not isinstance(row, Exception)]
    assert Bundle(opener, archive.path, folder / "out", noon(), "two").write(found, lambda _done, _all: None) == ()
    return folder / "out"


def _opener(path: Path) -> Any:
    from nocontactd.archive.unseal import unlock

    return unlock(path, owner="o", therapist="t", witness=None)


def test_a_proof_of_another_archive_is_refused_though_it_is_sound_by_itself(bundle: Path, foreign: Path) -> None:
    shutil.copy(foreign / PROOF, bundle / PROOF)
    shutil.copy(foreign / f"proofs/{DAY}-000001/meta.json", bundle / f"proofs/{DAY}-000001/meta.json")
    resum(bundle)
    done = run(bundle)
    assert done.returncode == 1
    assert f"REFUSED  {DAY}/000001: it is signed with the key of another archive" in done.stdout


def test_a_whole_foreign_bundle_is_refused_by_whoever_knows_the_key(bundle: Path, foreign: Path) -> None:
    assert run(foreign).returncode == 0
    assert run(foreign, "--key", key(foreign)).returncode == 0
    done = run(foreign, "--key", key(bundle))
    assert done.returncode == 1
    assert "it is signed with the key of another archive" in done.stdout


def test_a_key_whose_name_is_ours_and_whose_octets_are_not_is_refused(bundle: Path, foreign: Path) -> None:
    """Signed by a thief's key under our log's name: only the octets tell."""
    name, _, _ = key(bundle).split("+", 2)
    stolen = f"{name}+{key(foreign).split('+', 1)[1]}"
    rewrite(bundle / PROOF, lambda p: p.update(key=stolen))
    rewrite(bundle / "manifest.json", lambda m: m.update(log_key=stolen))
    resum(bundle)
    done = run(bundle)
    assert done.returncode == 1
    assert "the key is none" in done.stdout


class TestOneMessage:
    """A proof and a file, and nothing else."""

    @pytest.fixture
    def alone(self, whole: Path, tmp_path: Path) -> Path:
        for name in ("check.py", PROOF, ORIGINAL):
            shutil.copy(whole / name, tmp_path)
        return tmp_path

    def test_it_is_proven_alone(self, alone: Path, whole: Path) -> None:
        words = (str(alone / f"{DAY}-000001.json"), str(alone / f"{DAY}-000001.eml"))
        done = run(alone, *words)
        assert (done.returncode, done.stderr) == (0, "")
        assert "compare that key" in done.stdout
        assert "octet for octet as it was sealed" in done.stdout
        assert run(alone, *words, "--key", key(whole)).returncode == 0

    def test_it_is_not_proven_without_its_message(self, alone: Path, whole: Path) -> None:
        meta = str(whole / f"proofs/{DAY}-000001/meta.json")
        for words in ((), (meta,)):
            done = run(alone, str(alone / f"{DAY}-000001.json"), *words)
            assert done.returncode == 1
            assert "the message itself is not among the files" in done.stdout

    def test_another_file_is_refused(self, alone: Path, whole: Path) -> None:
        words = (str(alone / f"{DAY}-000001.json"), str(alone / f"{DAY}-000001.eml"))
        done = run(alone, *words, str(whole / f"originals/{DAY}-000005.eml"))
        assert done.returncode == 1
        assert "is not a file that was sealed in this record" in done.stdout

    def test_a_proof_that_is_not_there_is_said_so(self, alone: Path) -> None:
        done = run(alone, str(alone / "absent.json"), str(alone / f"{DAY}-000001.eml"))
        assert (done.returncode, done.stderr) == (1, "")
        assert "absent.json cannot be read" in done.stdout

    def test_a_hostile_name_never_acts_on_the_screen(self, alone: Path) -> None:
        rewrite(alone / f"{DAY}-000001.json", lambda p: p.update(key="\x1b[2J"))
        done = run(alone, str(alone / f"{DAY}-000001.json"), str(alone / f"{DAY}-000001.eml"), "--key", "\u202e")
        assert done.returncode == 1
        assert "\x1b" not in done.stdout


@pytest.mark.parametrize("size", range(1, 20))
def test_its_own_reading_of_rfc_6962_is_that_of_the_archive(size: int) -> None:
    leaves = [b"leaf %d" % n for n in range(size)]
    tree = proof.Subtrees(leaves)
    for index in range(size):
        path = list(proof.inclusion(tree, index))
        assert check.included(leaves[index], index, size, path) == tree.root()
    for first in range(1, size + 1):
        path = list(proof.consistency(tree, first))
        assert check.extended(first, size, path, tree.root(0, first), tree.root())
        assert not check.extended(first, size, path, hashlib.sha256().digest(), tree.root())


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Timestamper:
    """A time-stamping authority."""
    return timestamper.make(tmp_path_factory.mktemp("authority"))


class TestAnchors:
    """Earlier checkpoints that somebody outside has stamped."""

    @pytest.fixture
    def anchored(self, made: Made, authority: Timestamper) -> tuple[Made, Path]:
        """One note over less than the messages, one stamped over all but the last, one later than needed."""
        lines = (made.path / "log/leaves").read_text().splitlines()
        place = next(n for n, line in enumerate(lines) if line.startswith(f"{DAY}/000005"))
        signer = Signer(made.log_key.read_text())
        for name, size in (("early", 2), ("middle", place), ("late", len(lines) - 1), ("latest", len(lines))):
            tree = proof.Subtrees(line.encode() for line in lines[:size])
            note = signer.sign(Checkpoint(signer.name, size, tree.root()).text())
            (made.path / "log/anchors" / f"{name}.note").write_text(note)
        stamp(authority, made.path / "log/anchors/middle.note")
        late = made.path / "log/anchors/late.note"
        device = witness.introduced(b"d" * 32, signer.verifier)
        tree = proof.Subtrees(line.encode() for line in lines)
        _, note = witness.countersign(device, witness.ask(tree, 0, signer.verifier, late.read_bytes()), noon())
        late.write_bytes(note)
        (made.path / "log/anchors/foreign.note").write_text("not a note")
        shutil.copy(made.path / "log/anchors/middle.note", made.path / "log/anchors/\n..\x1b.note")
        return made, authority.root

    def test_of_each_message_the_earliest_that_covers_it_travels_along(
        self, anchored: tuple[Made, Path], tmp_path: Path
    ) -> None:
        assert export(anchored[0], tmp_path / "out") == ()
        there = sorted(file.name for file in (tmp_path / "out/log/anchors").iterdir())
        assert there == ["late.json", "late.note", "middle.json", "middle.note", "middle.tsr"]

    def test_a_witness_is_believed_by_its_own_key_and_no_other(
        self, anchored: tuple[Made, Path], tmp_path: Path
    ) -> None:
        export(anchored[0], tmp_path / "out")
        [said] = [line for line in run(tmp_path / "out").stdout.splitlines() if "late.note: older than it" in line]
        assert f"{DAY}/000005; countersigned 2026-11-22T12:00:00+00:00 by the device " in said
        note = tmp_path / "out/log/anchors/late.note"
        line = note.read_text().splitlines()[-1]
        device = line.split()[1].rpartition("/")[2]
        assert device in said
        for false in (line[:-10] + "AAAAAAAA==", line.replace(device, "00" * 32)):
            sound = note.read_text()
            note.write_text(sound.replace(line, false))
            resum(tmp_path / "out")
            done = run(tmp_path / "out")
            note.write_text(sound)
            assert done.returncode == 1
            assert "REFUSED  log/anchors/late.note: a witness's signature is false" in done.stdout

    def test_a_time_stamp_is_checked_with_openssl_and_says_what_is_older(
        self, anchored: tuple[Made, Path], tmp_path: Path
    ) -> None:
        export(anchored[0], tmp_path / "out")
        done = run(tmp_path / "out", "--tsa-ca", str(anchored[1]))
        assert (done.returncode, done.stderr) == (0, ""), done.stdout
        [said] = [line for line in done.stdout.splitlines() if "middle.note: older than it" in line]
        assert f"{DAY}/000001, {DAY}/000003, {DAY}/000004; stamped " in said
        assert f"{DAY}/000005" not in said
        done = run(tmp_path / "out")
        assert "not checked: give --tsa-ca" in done.stdout

    @pytest.mark.parametrize(
        ("alter", "reason"),
        [
            (lambda a: shutil.copy(a / "late.note", a / "middle.note"), "the log is not a continuation of it"),
            (lambda a: shutil.copy(a / "middle.tsr", a / "late.tsr"), "its time-stamp is not of this checkpoint"),
            (lambda a: (a / "middle.tsr").write_bytes(b"x"), "its time-stamp is damaged"),
            (lambda a: (a / "middle.json").write_text("{}"), "format"),
            (lambda a: (a / "middle.note").write_text("x"), "middle.note"),
        ],
        ids=["another note", "another stamp", "no stamp", "no link", "no note"],
    )
    def test_one_that_does_not_hold_is_refused(
        self, anchored: tuple[Made, Path], tmp_path: Path, alter: Callable[[Path], Any], reason: str
    ) -> None:
        export(anchored[0], tmp_path / "out")
        alter(tmp_path / "out/log/anchors")
        resum(tmp_path / "out")
        done = run(tmp_path / "out", "--tsa-ca", str(anchored[1]))
        assert (done.returncode, done.stderr) == (1, "")
        [refused] = [line for line in done.stdout.splitlines() if line.startswith("REFUSED")]
        assert reason in refused

    def test_one_of_another_history_is_named_at_the_export(self, made: Made, tmp_path: Path) -> None:
        signer = Signer(made.log_key.read_text())
        size = len((made.path / "log/leaves").read_text().splitlines())
        note = signer.sign(Checkpoint(signer.name, size, b"\0" * 32).text())
        (made.path / "log/anchors/told.note").write_text(note)
        [problem] = export(made, tmp_path / "out")
        assert problem.exit_code == 65
        assert "told.note: the log is not a continuation of what was anchored" in problem.message


def stamp(authority: Timestamper, note: Path) -> None:
    """`NAME.tsr` beside a note, as the daemon keeps it."""
    words = ["openssl", "ts", "-query", "-data", str(note), "-sha256", "-cert"]
    query = subprocess.run(words, capture_output=True, check=True).stdout
    note.with_suffix(".tsr").write_bytes(authority.reply(query))

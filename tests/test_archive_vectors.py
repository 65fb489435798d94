"""The published archive opens as it says it does, with this program and with the stock ones alone."""

import base64
import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from nocontactd.archive.readme import README
from nocontactd.archive.unseal import Opener
from nocontactd.errors import DamagedError
from tests.archive_fixture import VECTORS, Made, copy, identity
from tests.peers import missing

EXPECTED = json.loads((VECTORS / "expected.json").read_text())


@pytest.fixture
def filled(tmp_path: Path) -> Made:
    return copy(tmp_path, "filled")


@pytest.mark.parametrize("second", ["therapist", "witness"])
def test_the_published_archive_holds_what_is_published_of_it(filled: Made, second: str) -> None:
    opener = Opener(filled.path, identity("owner"), identity(second))
    found = {}
    for item in opener.messages(opener.days()):
        assert not isinstance(item, DamagedError)
        members = [{"name": m.name, "size": m.size, "sha256": m.sha256} for m in item.members]
        found[item.record] = {"kind": item.kind, "salt": item.meta.salt, "members": members, "logged": item.logged}
    assert found == EXPECTED


def run(command: str, place: Path) -> str:
    return subprocess.run(["bash", "-c", command], cwd=place, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("record", EXPECTED)
def test_the_stock_programs_open_and_check_every_record(filled: Made, record: str) -> None:
    """Word for word as README.txt in the archive says; only the passphrases age wants typed are left out."""
    for program in ("age", "tar", "sha256sum", "openssl"):
        if not shutil.which(program):
            missing(f"the program {program}")
    place = filled.path
    day = record[:10]
    for role in ("owner", "therapist", "witness"):
        shutil.copy(VECTORS / f"{role}.key", place / f"{role}.key")
    for key in sorted(path.name for path in (place / "keys").glob(f"{day}*.key.age")):
        run(f"age -d -i therapist.key keys/{key} | age -d -i owner.key >> day.key", place)
        run(f"age -d -i witness.key keys/{key} | age -d -i owner.key > other.key", place)
        assert (place / "other.key").read_text() in (place / "day.key").read_text()
    run(f"age -d -i day.key -o message.tar mail/{record}.age && tar -xf message.tar", place)
    leaf = run(f"grep '^{record} ' log/leaves", place).split()
    assert run(f"sha256sum mail/{record}.age", place).split()[0] == leaf[1]
    final = json.loads((place / "final.json").read_text())
    listed = " ".join(member["name"] for member in final["members"])
    content = run(f"sha256sum {listed} | sha256sum", place).split()[0]
    assert content == final["content"]
    salt = json.loads((place / "meta.json").read_text())["salt"]
    said = run(f"printf %s {content} | openssl dgst -sha256 -mac HMAC -macopt hexkey:{salt}", place)
    assert leaf[2] in (said.split("= ")[1].strip(), "-")
    for member in EXPECTED[record]["members"]:
        assert hashlib.sha256((place / member["name"]).read_bytes()).hexdigest() == member["sha256"]


def test_the_stock_programs_refuse_the_owner_alone(filled: Made) -> None:
    if not shutil.which("age"):
        missing("the program age")
    command = ["age", "-d", "-i", VECTORS / "owner.key", filled.path / "keys" / "2026-11-20.key.age"]
    assert subprocess.run(command, check=False, capture_output=True).returncode != 0


def test_an_independent_reader_agrees_about_the_log(filled: Made) -> None:
    """RFC 6962's recursive definition and a reading of the signed note that share no line with the program."""

    def root(leaves: list[bytes]) -> bytes:
        if len(leaves) == 1:
            return hashlib.sha256(b"\0" + leaves[0]).digest()
        split = 1 << (len(leaves) - 1).bit_length() - 1
        return hashlib.sha256(b"\1" + root(leaves[:split]) + root(leaves[split:])).digest()

    origin, size, said, empty, signature = (filled.path / "log" / "checkpoint").read_text().split("\n")[:5]
    lines = (filled.path / "log" / "leaves").read_bytes().split(b"\n")[:-1]
    assert (int(size), empty) == (len(lines), "")
    assert base64.b64decode(said) == root(lines)
    law = json.loads((filled.path / "archive.json").read_text())
    name, key_id, key = law["log_keys"][-1].split("+", 2)
    raw = base64.b64decode(signature.split(" ")[2])
    assert (origin, raw[:4].hex()) == (name, key_id)
    public = base64.b64decode(key)
    assert hashlib.sha256(name.encode() + b"\n" + public).digest()[:4] == raw[:4]
    place = filled.path
    (place / "text").write_text(f"{origin}\n{size}\n{said}\n")
    (place / "signature").write_bytes(raw[4:])
    (place / "key.der").write_bytes(bytes.fromhex("302a300506032b6570032100") + public[1:])
    run("openssl pkeyutl -verify -pubin -inkey key.der -keyform DER -rawin -in text -sigfile signature", place)


def test_records_from_before_auth_json_say_nothing_of_the_sender(filled: Made) -> None:
    assert {item.authenticated for item in filled.opened()} == {None}


def test_every_archive_carries_its_own_instructions(filled: Made) -> None:
    assert (filled.path / "README.txt").read_text() == README
    for word in ("age -d", "tar -xf", "sha256sum", "openssl dgst"):
        assert word in README

"""The index: nobody without the day's key can make one, nothing but the step of a day shows from outside."""

import hmac
import os
import re
import shutil
import subprocess
from hashlib import sha256
from pathlib import Path

import pyrage
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nocontactd.archive import index
from nocontactd.archive.index import WIDTH, Entry
from nocontactd.archive.log import Leaf
from nocontactd.archive.verify import verify
from tests.archive_fixture import DAY, Made, made_archive, noon, seal
from tests.evidence_fixture import rows
from tests.peers import missing

__all__ = ["made_archive"]

KEYS = [str(pyrage.x25519.Identity.generate()) for _ in range(3)]
ENTRY = Entry("0" * 32, 10_444, 1_700_000_000_000_000_000, '["facts"]', '["grüße \\u001b"]')
ENTRIES = {f"{DAY}/{number:06}": ENTRY for number in (1, 2, 1_000_000)}


def written(archive: Path, entries: dict[str, Entry] = ENTRIES, files: int = 3, key: str = KEYS[0]) -> None:
    index.write(archive, DAY, [key], entries, files, noon())


def plaintext(archive: Path, letter: str = "a", key: str = KEYS[0]) -> bytes:
    identity = pyrage.x25519.Identity.from_str(key)
    sealed = (archive / "index" / f"{DAY}.{letter}.age").read_bytes()
    opened: bytes = pyrage.decrypt(sealed, [identity])
    return opened


def resealed(archive: Path, letter: str, octets: bytes, key: str = KEYS[0]) -> None:
    """As somebody does who knows the public key and the format."""
    public = pyrage.x25519.Identity.from_str(key).to_public()
    (archive / "index" / f"{DAY}.{letter}.age").write_bytes(pyrage.encrypt(octets, [public]))


def test_what_was_written_is_read(tmp_path: Path) -> None:
    written(tmp_path)
    assert index.read(tmp_path, DAY, KEYS[:1]) == ENTRIES


@given(st.text(max_size=60), st.text(st.characters(categories=["Cs", "Lo"]), max_size=60))
def test_any_line_of_text_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, one: str, two: str
) -> None:
    entry = Entry("f" * 32, 1, 2, f'["{one}"]'.replace("\n", ""), f'["{two}"]'.replace("\n", ""))
    folder = tmp_path_factory.mktemp("index")
    written(folder, {f"{DAY}/000001": entry})
    assert index.read(folder, DAY, KEYS[:1]) == {f"{DAY}/000001": entry}


def test_without_an_index_there_are_no_entries(tmp_path: Path) -> None:
    assert index.read(tmp_path, DAY, KEYS[:1]) == {}


@pytest.mark.parametrize("letter", "ab")
@pytest.mark.parametrize("damage", ["gone", "empty", "cut", "flipped", "a folder"])
def test_one_damaged_file_is_no_index(tmp_path: Path, letter: str, damage: str) -> None:
    written(tmp_path)
    file = tmp_path / "index" / f"{DAY}.{letter}.age"
    octets = bytearray(file.read_bytes())
    octets[-9] ^= 1
    file.unlink()
    if damage == "a folder":
        file.mkdir()
    elif damage != "gone":
        file.write_bytes({"empty": b"", "cut": bytes(octets[:4000]), "flipped": bytes(octets)}[damage])
    assert index.read(tmp_path, DAY, KEYS[:1]) == {}


@pytest.mark.parametrize("letter", "ab")
def test_what_somebody_sealed_to_the_public_key_is_not_believed(tmp_path: Path, letter: str) -> None:
    written(tmp_path)
    resealed(tmp_path, letter, plaintext(tmp_path, letter).replace(b"facts", b"false").replace(b"gr", b"GR"))
    assert index.read(tmp_path, DAY, KEYS[:1]) == {}


def test_the_index_of_another_day_is_not_believed(tmp_path: Path) -> None:
    written(tmp_path)
    for letter in "ab":
        shutil.copy(tmp_path / "index" / f"{DAY}.{letter}.age", tmp_path / "index" / f"2026-11-23.{letter}.age")
    assert index.read(tmp_path, "2026-11-23", KEYS[:1]) == {}


def test_one_half_is_not_believed_in_the_place_of_the_other(tmp_path: Path) -> None:
    written(tmp_path)
    half = plaintext(tmp_path)
    for taken in (half, half.replace(b" a ", b" b ", 1)):
        resealed(tmp_path, "b", taken)
        assert index.read(tmp_path, DAY, KEYS[:1]) == {}


def test_halves_of_two_writings_are_believed_only_where_they_agree(tmp_path: Path) -> None:
    """A session died between the two renames."""
    written(tmp_path)
    half = (tmp_path / "index" / f"{DAY}.a.age").read_bytes()
    fewer = dict.fromkeys(list(ENTRIES)[1:], ENTRY)
    written(tmp_path, fewer)
    (tmp_path / "index" / f"{DAY}.a.age").write_bytes(half)
    found = index.read(tmp_path, DAY, KEYS[:1])
    assert all(ENTRIES[name] == entry for name, entry in found.items())
    assert f"{DAY}/000001" not in found


def test_a_key_that_the_day_got_since_makes_the_index_stale(tmp_path: Path) -> None:
    written(tmp_path)
    assert index.read(tmp_path, DAY, KEYS[:2]) == {}


@pytest.mark.parametrize(("files", "lines"), [(0, 16), (1, 16), (16, 16), (17, 64), (64, 64), (65, 256), (1025, 4096)])
def test_its_length_is_the_step_of_the_day_whatever_it_holds(tmp_path: Path, files: int, lines: int) -> None:
    for entries in ({}, dict(list(ENTRIES.items())[: min(files, 3)])):
        written(tmp_path, entries, files)
        for letter in "ab":
            assert len(plaintext(tmp_path, letter)) == (1 + lines) * WIDTH


def test_what_fits_in_a_line_fits_under_the_longest_name(tmp_path: Path) -> None:
    room = next(size for size in range(WIDTH) if not index.fits(Entry("0" * 32, 1, 1, "-", "x" * size))) - 1
    entries = {f"{DAY}/{10**11}": Entry("0" * 32, 1, 1, "-", "x" * room)}
    written(tmp_path, entries)
    assert index.read(tmp_path, DAY, KEYS[:1]) == entries
    assert len(plaintext(tmp_path, "b")) == 17 * WIDTH


def test_files_are_for_their_owner_alone_and_tell_no_hour(tmp_path: Path) -> None:
    written(tmp_path)
    found = [tmp_path / "index", *(tmp_path / "index").iterdir()]
    assert [file.name for file in sorted(found[1:])] == [f"{DAY}.a.age", f"{DAY}.b.age"]
    assert [file.stat().st_mode & 0o777 for file in found] == [0o700, 0o600, 0o600]
    assert {file.stat().st_mtime % 86400 for file in found} == {0}


def test_verify_neither_needs_an_index_nor_minds_one(made_archive: Made) -> None:
    sealer = made_archive.sealer()
    seal(sealer, [b"one"])
    sealer.close()
    assert verify(made_archive.path).ok
    written(made_archive.path)
    (made_archive.path / "index" / f"{DAY}.new.a.age").write_bytes(b"a session died here")
    assert verify(made_archive.path).ok
    (made_archive.path / "index" / f"{DAY}.a.age").write_bytes(b"rotten")
    assert verify(made_archive.path).ok
    shutil.rmtree(made_archive.path / "index")
    assert verify(made_archive.path).ok


def test_it_is_what_the_specification_says(made_archive: Made, tmp_path: Path) -> None:
    """Read by docs/ARCHIVE-FORMAT.md, section 13, and the stock age program alone."""
    if not shutil.which("age"):
        missing("age")
    sealer = made_archive.sealer()
    seal(sealer, [b"From: Alex <ex@abuser.example>\r\nSubject: caf\xc3\xa9\r\n\r\nhello there\r\n"])
    opener = made_archive.opener()
    rows(opener, made_archive)
    identities = sorted(opener.day_keys(DAY))
    (tmp_path / "day.key").write_text("\n".join(identities) + "\n")
    leaf = next(line for line in made_archive.leaves() if line.startswith(f"{DAY}/000001 "))
    file = (made_archive.path / "mail" / DAY / "000001.age").stat()
    expected = {
        "a": f"000001 {sha256(leaf.encode()).hexdigest()[:32]} {file.st_size} {file.st_ctime_ns} "
        '[false,true,"2026-11-22T11:55:00+00:00","mail","home","1","ex@abuser.example",63,"SHA","listed",'
        '"ex@abuser.example","From",null]',
        "b": '000001 ["Alex <ex@abuser.example>","café","hello there"]',
    }
    for letter, line in expected.items():
        sealed = made_archive.path / "index" / f"{DAY}.{letter}.age"
        command = ["age", "-d", "-i", str(tmp_path / "day.key"), str(sealed)]
        octets = subprocess.run(command, capture_output=True, check=True).stdout
        assert {len(each) for each in octets.splitlines()} == {511}
        assert octets.count(b"\n") == 17
        head, only, *blank = (each.rstrip(b" ") for each in octets.splitlines())
        assert set(blank) == {b""}
        said = re.sub(r'"[0-9a-f]{64}"', '"SHA"', only.decode())
        assert said == line
        mac = hmac.new("\n".join(identities).encode(), f"nocontactd-index/1 {DAY} {letter}\n".encode(), "sha256")
        mac.update(only + b"\n")
        assert head.decode() == f"nocontactd-index/1 {DAY} {letter} {mac.hexdigest()}"


class TestStill:
    """An entry counts only for the record that it was made of."""

    def entry(self, made: Made) -> tuple[Entry, Leaf, Path]:
        sealer = made.sealer()
        seal(sealer, [b"one"])
        leaf = made.opener().leaves(DAY)[f"{DAY}/000001"]
        path = made.path / "mail" / DAY / "000001.age"
        return index.made(leaf, path.lstat(), "facts", "words"), leaf, path

    def test_it_counts_while_nothing_changed(self, made_archive: Made) -> None:
        entry, leaf, path = self.entry(made_archive)
        assert index.still(entry, leaf, path.lstat(), made_archive.path) == entry

    def test_it_does_not_under_another_leaf(self, made_archive: Made) -> None:
        entry, leaf, path = self.entry(made_archive)
        for other in (Leaf(leaf.subject, leaf.first, "0" * 64), Leaf(leaf.subject, "0" * 64, leaf.second)):
            assert index.still(entry, other, path.lstat(), made_archive.path) is None

    def test_it_does_of_a_file_that_was_touched_and_is_the_same(self, made_archive: Made) -> None:
        entry, leaf, path = self.entry(made_archive)
        os.utime(path)
        found = index.still(entry, leaf, path.lstat(), made_archive.path)
        assert found
        assert (found.facts, found.changed) == ("facts", path.lstat().st_ctime_ns)

    @pytest.mark.parametrize("octet", [0, 5000, -1])
    def test_it_does_not_of_a_file_that_was_altered_though_its_size_and_mtime_are_the_same(
        self, made_archive: Made, octet: int
    ) -> None:
        entry, leaf, path = self.entry(made_archive)
        before = path.stat()
        octets = bytearray(path.read_bytes())
        octets[octet] ^= 1
        path.write_bytes(octets)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert index.still(entry, leaf, path.lstat(), made_archive.path) is None

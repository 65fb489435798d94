"""What verification alone cannot tell, and what lies outside does: an archive rolled back, or rewritten and signed."""

import hashlib
import shutil
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyrage  # type: ignore[import-untyped]  # published without types
import pytest

from nocontactd.archive import anchors, charter, trusted
from nocontactd.archive.anchors import Anchors
from nocontactd.archive.current import current, leaves_under
from nocontactd.archive.durable import Disk
from nocontactd.archive.log import Checkpoint, Leaf, Signer, Tree
from nocontactd.archive.names import known
from nocontactd.archive.outside import Kept, kept, printed
from nocontactd.archive.verify import verify
from nocontactd.archive.witness import ask, countersign, introduced
from nocontactd.errors import DamagedError, SealError
from tests.archive_fixture import DAY, Clock, Made, copy, identity, made_archive, noon, seal
from tests.peers import timestamper
from tests.peers.timestamper import Timestamper, serving

__all__ = ["made_archive"]


@pytest.fixture
def filled(tmp_path: Path) -> Made:
    return copy(tmp_path, "filled")


def sign_anew(made: Made, change: Callable[[list[str]], None]) -> None:
    """What the thief of the log's key does: other leaves, both copies, both checkpoints, all of it sound."""
    lines = made.leaves()
    change(lines)
    tree = Tree()
    for line in lines:
        tree.add(line.encode())
    signer = Signer(made.log_key.read_text())
    note = signer.sign(Checkpoint(signer.name, tree.size, tree.root()).text())
    for folder in (made.path / "log", made.path / "log" / "copy"):
        (folder / "leaves").write_text("".join(f"{line}\n" for line in lines))
        (folder / "checkpoint").write_text(note)


def drop_a_record(made: Made) -> None:
    """A message that never was."""
    (made.path / "mail/2026-11-20/000001.age").unlink()

    def gone(lines: list[str]) -> None:
        lines[:] = [line for line in lines if not line.startswith("2026-11-20/000001 ")]

    sign_anew(made, gone)


def outside(made: Made) -> dict[str, Kept]:
    """On paper, before anything happened."""
    return {"sheet": kept(printed(current(made.path).checkpoint).encode())}


def test_a_history_signed_anew_with_the_stolen_key_is_sound_by_itself_and_not_by_the_paper(filled: Made) -> None:
    paper = outside(filled)
    assert verify(filled.path, kept=paper).ok
    drop_a_record(filled)
    assert verify(filled.path).ok
    found = verify(filled.path, kept=paper)
    assert found.damaged == ("log/copy/leaves", "log/leaves")
    assert found.remarks[0].startswith("sheet: the archive is older") or "rewritten" in found.remarks[0]


def test_a_rolled_back_archive_is_sound_by_itself_and_older_than_the_paper(made_archive: Made, tmp_path: Path) -> None:
    sealer = made_archive.sealer()
    seal(sealer, [b"one"])
    shutil.copytree(made_archive.path, tmp_path / "older")
    seal(sealer, [b"two"], 2)
    sealer.close()
    paper = outside(made_archive)
    assert verify(made_archive.path, kept=paper).ok
    assert verify(tmp_path / "older").ok
    found = verify(tmp_path / "older", kept=paper)
    assert not found.ok
    assert "older" in found.remarks[0]


def test_a_history_of_the_same_length_is_told_as_rewritten(filled: Made) -> None:
    paper = outside(filled)

    def swap(lines: list[str]) -> None:
        lines[-1], lines[-2] = lines[-2], lines[-1]

    sign_anew(filled, swap)
    assert verify(filled.path).ok
    assert "rewritten" in verify(filled.path, kept=paper).remarks[0]


def test_the_paper_of_another_archive_is_not_taken_for_this_ones(filled: Made) -> None:
    stranger = Checkpoint("nocontactd.invalid/0000000000000000", 3, bytes(32))
    found = verify(filled.path, kept={"sheet": Kept(stranger, None)})
    assert found.damaged == ("archive.json",)
    assert found.remarks == ("sheet: it is not of the archive that stands here now, or not signed by it",)


def countersigned(made: Made) -> bytes:
    now = current(made.path)
    request = ask(leaves_under(made.path, now.checkpoint), 0, now.log_key, now.note)
    _memory, answer = countersign(introduced(b"w" * 32, now.log_key), request, noon())
    return answer


def test_a_note_that_a_witness_signed_is_kept_and_everything_later_is_held_against_it(filled: Made) -> None:
    answer = countersigned(filled)
    anchors.keep(filled.path, {anchors.countersigned(answer): answer}, noon())
    assert verify(filled.path).ok
    assert anchors.seen(filled.path) == current(filled.path).checkpoint.size
    drop_a_record(filled)
    found = verify(filled.path)
    assert found.damaged == ("log/copy/leaves", "log/leaves")
    assert found.remarks[0].startswith("log/anchors/")


def test_an_altered_note_is_named(filled: Made) -> None:
    answer = countersigned(filled)
    name = anchors.countersigned(answer)
    for altered in (answer[:-3] + b"A=\n", answer.replace(b"\n", b"\n ", 1), b"", answer[:20]):
        anchors.keep(filled.path, {name: altered}, noon())
        assert verify(filled.path).damaged == (f"log/anchors/{name}",)


# Time-stamps.


@pytest.fixture(scope="module")
def made_authority(tmp_path_factory: pytest.TempPathFactory) -> Timestamper:
    return timestamper.make(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def authority(made_authority: Timestamper) -> Iterator[Timestamper]:
    made_authority.answer, made_authority.status = None, 200
    with serving(made_authority):
        yield made_authority


def test_each_day_has_one_stamp_that_openssl_verifies(filled: Made, authority: Timestamper) -> None:
    clock = Clock()
    asked = Anchors(filled.path, authority.url, authority.root)
    before = len(authority.asked)
    assert (asked.anchor(clock), asked.anchor(clock)) == ((), ())
    assert len(authority.asked) == before + 1
    clock.next_day()
    assert asked.anchor(clock) == ()
    folder = filled.path / "log" / "anchors"
    assert sorted(path.name for path in folder.iterdir()) == [
        "2026-11-22.note", "2026-11-22.tsr", "2026-11-23.note", "2026-11-23.tsr"
    ]  # fmt: skip
    command = f"openssl ts -verify -data {DAY}.note -in {DAY}.tsr -CAfile {authority.root}"
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    assert (folder / f"{DAY}.note").read_bytes() == (filled.path / "log" / "checkpoint").read_bytes()
    assert verify(filled.path, ca_file=authority.root).ok
    assert {path.stat().st_mtime % 86400 for path in folder.iterdir()} == {0.0}


def test_a_stamp_that_is_altered_lost_or_not_believed_is_named(filled: Made, authority: Timestamper) -> None:
    Anchors(filled.path, authority.url, authority.root).anchor(noon)
    note, stamp = (filled.path / "log" / "anchors" / f"{DAY}.{kind}" for kind in ("note", "tsr"))
    octets = stamp.read_bytes()
    stamp.write_bytes(octets[:-1] + bytes([octets[-1] ^ 1]))
    assert verify(filled.path, ca_file=authority.root).damaged == (f"log/anchors/{DAY}.tsr",)
    stamp.write_bytes(octets)
    assert verify(filled.path).damaged == (f"log/anchors/{DAY}.tsr",)  # by an authority that this system does not know
    note.unlink()
    assert verify(filled.path, ca_file=authority.root).missing == (f"log/anchors/{DAY}.note",)


def test_a_rewritten_history_is_told_by_an_earlier_stamp(filled: Made, authority: Timestamper) -> None:
    Anchors(filled.path, authority.url, authority.root).anchor(noon)
    drop_a_record(filled)
    assert "log/leaves" in verify(filled.path, ca_file=authority.root).damaged


def test_without_the_certificates_to_believe_it_is_said_that_stamps_were_not_checked(
    filled: Made, authority: Timestamper, tmp_path: Path
) -> None:
    Anchors(filled.path, authority.url, authority.root).anchor(noon)
    found = verify(filled.path, ca_file=tmp_path / "gone.pem")
    assert found.ok
    assert "were not checked" in found.remarks[0]


def test_an_authority_that_is_away_is_nobodys_concern_for_three_days(filled: Made, authority: Timestamper) -> None:
    """But one that never gave a stamp is told at once: it was configured a moment ago."""
    clock = Clock()
    asked = Anchors(filled.path, authority.url, authority.root)
    authority.status = 503
    assert "status 503" in asked.anchor(clock)[0].message
    authority.status = 200
    assert asked.anchor(clock) == ()
    authority.status = 503
    for _day in range(3):
        clock.next_day()
        assert asked.anchor(clock) == ()
    clock.next_day()
    assert len(asked.anchor(clock)) == 1
    authority.status = 200
    assert asked.anchor(clock) == ()
    assert verify(filled.path, ca_file=authority.root).ok


def test_an_archive_on_a_full_disk_is_told_and_left_whole(filled: Made, authority: Timestamper) -> None:
    class Full(Disk):
        def create(self, path: Path) -> int:
            raise OSError(28, "No space left on device")

    with pytest.raises(SealError, match="No space left"):
        Anchors(filled.path, authority.url, authority.root, Full()).anchor(noon)
    assert verify(filled.path).ok


# What the state directory remembers.


def test_the_daemon_says_so_when_it_finds_an_older_copy_of_its_archive(made_archive: Made, tmp_path: Path) -> None:
    """And goes on saying so, for the newer copy may still be found."""
    clock = Clock()
    sealer = made_archive.sealer(clock)
    seal(sealer, [b"one"])
    assert sealer.put_back == ""
    sealer.close()
    shutil.copytree(made_archive.path, tmp_path / "backup")
    sealer = made_archive.sealer(clock)
    assert sealer.put_back == ""
    seal(sealer, [b"two"], 2)
    seal(sealer, [b"three"], 3)
    sealer.close()
    shutil.rmtree(made_archive.path)
    shutil.copytree(tmp_path / "backup", made_archive.path)
    said = known(made_archive.log_key.with_name("names"), current(made_archive.path).checkpoint.origin)
    assert said is not None
    assert not verify(made_archive.path, kept={"memory": Kept(said, None)}).ok
    clock.next_day()
    sealer = made_archive.sealer(clock)
    assert sealer.put_back == "2026-11-23"
    assert seal(sealer, [b"four"], 4)[0].record == "2026-11-23/000001"
    sealer.close()
    clock.moment += timedelta(days=5)
    assert made_archive.sealer(clock).put_back == "2026-11-23"


def test_that_it_was_put_back_is_not_forgotten_over_an_opening(made_archive: Made, tmp_path: Path) -> None:
    """Neither where the review room is the first to come, nor where it comes in between."""
    sealer = made_archive.sealer()
    seal(sealer, [b"one"])
    sealer.close()
    shutil.copytree(made_archive.path, tmp_path / "backup")
    sealer = made_archive.sealer()
    seal(sealer, [b"two"], 2)
    seal(sealer, [b"three"], 3)
    sealer.close()
    shutil.rmtree(made_archive.path)
    shutil.copytree(tmp_path / "backup", made_archive.path)
    for _ in range(2):
        made_archive.archive().enter("opening", (("by", "the owner and the therapist"),))
        sealer = made_archive.sealer()
        assert sealer.put_back == "2026-11-22"
        sealer.close()


@pytest.mark.parametrize("day", ["2026-11-22", "2026-11-21", "2026-11-23"])
@pytest.mark.parametrize("leaf", [True, False], ids=["with a leaf", "without"])
def test_a_record_that_somebody_added_while_the_daemon_was_off_is_remarked_on(
    made_archive: Made, day: str, leaf: bool
) -> None:
    """Anybody can seal to a public key, and append a line; the state did not give that name out."""
    clock = Clock()
    sealer = made_archive.sealer(clock)
    seal(sealer, [b"one", b"two"])
    assert sealer.added == ""
    sealer.close()
    forged = made_archive.path / "mail" / day / "000099.age"
    forged.parent.mkdir(exist_ok=True)
    forged.write_bytes(b"sealed by somebody")
    for folder in ("log", "log/copy") if leaf else ():
        with (made_archive.path / folder / "leaves").open("a") as log:
            log.write(f"{Leaf(f'{day}/000099', hashlib.sha256(forged.read_bytes()).hexdigest(), 64 * '0')}\n")
    clock.next_day()
    for _ in range(2):
        sealer = made_archive.sealer(clock)
        assert (sealer.added, sealer.put_back) == ("2026-11-23", "")
        seal(sealer, [b"three"], 3)
        sealer.close()
        clock.next_day()


def test_what_was_sealed_here_is_never_taken_for_added(made_archive: Made) -> None:
    """Not over days that are closed, nor by the review room beside, nor after a clock was set back and forth."""
    clock = Clock()
    for days in (0, 1, 9, -4, 12, 1):
        clock.moment += timedelta(days=days)
        sealer = made_archive.sealer(clock)
        room = made_archive.archive(clock)
        seal(sealer, [b"x"], 1)
        room.enter("opening", ())
        sealer.close_days()
        assert (sealer.added, sealer.put_back) == ("", "")
        sealer.close()


def test_a_crash_anywhere_is_not_taken_for_an_older_copy(made_archive: Made) -> None:
    """Nothing is remembered that is not durable in the log by then."""
    sealer = made_archive.sealer()
    for uid in range(1, 6):
        seal(sealer, [b"x"], uid)
        said = known(made_archive.log_key.with_name("names"), current(made_archive.path).checkpoint.origin)
        assert said
        assert said.size < len(made_archive.leaves())
        assert leaves_under(made_archive.path, said).root() == said.root


def planted(made: Made, why: str) -> None:
    """Somebody who can write to the archive's disk, and has no key, names another therapist behind the log's end."""
    law = charter.parse((made.path / "archive.json").read_bytes())
    data = law.held_by("therapist", law.owner).dump()
    for place in (made.path / "archive.json", made.path / "keys" / "copy" / "archive.json"):
        place.write_bytes(data)
    leaf = Leaf("archive.json", hashlib.sha256(data).hexdigest(), why)
    for folder in ("log", "log/copy"):
        with (made.path / folder / "leaves").open("a") as log:
            log.write(f"{leaf}\n")


@pytest.mark.parametrize("why", ["log-key:new", "holders:replaced", "ceremony:attended"])
def test_an_unsigned_leaf_that_names_other_holders_is_never_sealed_by(made_archive: Made, why: str) -> None:
    """Neither at a start nor under a running daemon."""
    sealer = made_archive.sealer()
    seal(sealer, [b"one"])
    planted(made_archive, why)
    with pytest.raises(SealError, match="names other key holders"):
        seal(sealer, [b"two"], 2)
    sealer.close()
    with pytest.raises(DamagedError, match="names other key holders") as told:
        made_archive.sealer()
    assert str(made_archive.log_key.with_name(trusted.HOLDERS)) in told.value.hint


def test_holders_that_were_replaced_here_are_trusted_and_those_before_them_too(made_archive: Made) -> None:
    law = charter.parse((made_archive.path / "archive.json").read_bytes())
    moment = datetime(2026, 11, 22, tzinfo=UTC)
    trusted.check(made_archive.log_key, law, Disk(), moment)
    other = law.held_by("therapist", law.owner)
    trusted.trust(made_archive.log_key, other, Disk(), moment)
    trusted.check(made_archive.log_key, other, Disk(), moment)
    trusted.check(made_archive.log_key, law, Disk(), moment)
    assert identity("therapist") not in made_archive.log_key.with_name(trusted.HOLDERS).read_text()


def plant_a_key(made: Made, day: str) -> str:
    """Somebody who can write to the archive's disk alone puts a key of their own there, in the log or not yet."""
    recipient = str(pyrage.x25519.Identity.generate().to_public())
    halves = {".key.age": b"age-encryption.org/v1\n", ".pub": f"{recipient}\n".encode()}
    for folder in ("keys", "keys/copy"):
        for suffix, half in halves.items():
            (made.path / folder / f"{day}{suffix}").write_bytes(half)
    return f"key/{day} {' '.join(hashlib.sha256(half).hexdigest() for half in halves.values())}\n"


@pytest.mark.parametrize("logged", [True, False])
def test_a_day_key_that_somebody_put_there_is_never_sealed_to(made_archive: Made, logged: bool) -> None:
    """For tomorrow, under a running daemon, and for the day after, before a start; every record opens for the two."""
    clock = Clock()
    sealer = made_archive.sealer(clock)
    seal(sealer, [b"one"])
    for day in ("2026-11-23", "2026-11-24"):
        line = plant_a_key(made_archive, day)
        for folder in ("log", "log/copy") if logged else ():
            with (made_archive.path / folder / "leaves").open("a") as log:
                log.write(line)
        clock.next_day()
        if day == "2026-11-24":
            sealer.close()
            sealer = made_archive.sealer(clock)
        seal(sealer, [b"more"], int(day[-2:]))
        assert (made_archive.path / "keys" / f"{day}.2.pub").exists()
    sealer.close()
    assert len([item for item in made_archive.opened() if item.kind == "message"]) == 3


def test_todays_key_is_gone_on_with_after_a_start(made_archive: Made) -> None:
    for uid in (1, 2, 3):
        sealer = made_archive.sealer()
        seal(sealer, [b"x"], uid)
        sealer.close()
    assert not (made_archive.path / "keys" / f"{DAY}.2.pub").exists()

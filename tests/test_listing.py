"""A listing: from the index what was opened before, from the records what was not, and never less than there is."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from nocontactd.archive import index
from nocontactd.archive.unseal import Opened
from nocontactd.errors import DamagedError, NocontactError
from nocontactd.review.listing import Listing
from nocontactd.review.rows import Row, folded
from tests.another_user import closed
from tests.archive_fixture import DAY, Clock, Made, made_archive, noon, seal
from tests.evidence_fixture import (
    EX,
    HOSTILE,
    MAIL,
    Counting,
    chosen,
    evidence_once,
    mail,
    record_file,
    rows,
    sealed,
    unaltered,
)

__all__ = ["evidence_once", "made_archive"]


@pytest.fixture
def made(evidence_once: Made, tmp_path: Path) -> Made:
    """The archive of evidence_fixture.py, which nobody has listed yet."""
    shutil.copytree(evidence_once.path.parent, tmp_path / "made", copy_function=shutil.copy2)
    return Made(tmp_path / "made" / "archive", tmp_path / "made" / "state" / "log.key")


def alter(path: Path) -> None:
    """One octet, and the time as it was."""
    before = path.stat()
    octets = bytearray(path.read_bytes())
    octets[len(octets) // 2] ^= 1
    path.write_bytes(octets)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def again(made: Made) -> tuple[list[Row | DamagedError], list[str]]:
    """One more listing, in a session of its own, and the records that it opened."""
    opener = Counting(made)
    return rows(opener, made), opener.opened


def test_the_first_listing_opens_each_record_once_and_the_second_none(made: Made) -> None:
    first, opened = again(made)
    assert opened == [f"{DAY}/{n:06}" for n in range(1, 9)]
    second, opened = again(made)
    assert opened == []
    assert second == first


def test_what_is_listed_are_messages_and_notes_and_nothing_that_fills_or_tells(made: Made) -> None:
    for _ in range(2):
        found = rows(made.opener(), made)
        assert [(item.record[11:], item.note) for item in found if isinstance(item, Row)] == [
            *((f"{n:06}", False) for n in range(1, 6)),
            ("000006", True),
        ]


def test_copies_are_folded_from_the_index_as_from_the_records(made: Made) -> None:
    for _ in range(2):
        assert [row.record[11:] for row in chosen(made)] == ["000001", "000003", "000004", "000005"]


def test_what_came_since_is_opened_alone(made: Made) -> None:
    again(made)
    archive = made.archive()
    sealed(archive, (mail(b"From: ex@abuser.example\r\n\r\nnew\r\n", 20), EX))
    archive.close()
    found, opened = again(made)
    assert opened == [f"{DAY}/000009"]
    assert isinstance(found[-1], Row)
    assert found[-1].record == f"{DAY}/000009"
    assert again(made)[1] == []


def test_a_day_that_was_not_asked_for_is_neither_opened_nor_indexed(made_archive: Made) -> None:
    clock = Clock()
    sealer = made_archive.archive(clock)
    seal(sealer, [b"one"])
    clock.next_day()
    seal(sealer, [b"two"], 2)
    opener = Counting(made_archive)
    rows(opener, made_archive, ["2026-11-23"])
    assert {record[:10] for record in opener.opened} == {"2026-11-23"}
    assert sorted(file.name for file in (made_archive.path / "index").iterdir()) == [
        "2026-11-23.a.age",
        "2026-11-23.b.age",
    ]


def test_a_record_that_was_damaged_since_is_named_and_the_others_come_from_the_index(made: Made) -> None:
    before, _ = again(made)
    alter(record_file(made, 3))
    for _ in range(2):
        found, opened = again(made)
        assert opened == [f"{DAY}/000003"]
        assert str(found[2]) == f"{DAY}/000003: this record is damaged or altered"
        assert found[:2] + found[3:] == before[:2] + before[3:]


def test_a_record_that_is_gone_since_is_named(made: Made) -> None:
    before, _ = again(made)
    record_file(made, 3).unlink()
    found, _ = again(made)
    assert str(found[2]) == f"{DAY}/000003: this record is missing"
    assert found[:2] + found[3:] == before[:2] + before[3:]


def test_two_records_that_changed_places_are_both_named(made: Made) -> None:
    again(made)
    one, two = record_file(made, 1), record_file(made, 2)
    kept = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(kept)
    found, _ = again(made)
    assert [isinstance(item, DamagedError) for item in found[:3]] == [True, True, False]


def test_a_record_that_was_mended_is_listed_again(made: Made) -> None:
    before, _ = again(made)
    kept = record_file(made, 3).read_bytes()
    alter(record_file(made, 3))
    again(made)
    record_file(made, 3).write_bytes(kept)
    assert again(made)[0] == before
    assert again(made)[1] == []


@pytest.mark.parametrize("damage", ["rotten", "gone", "half of it gone"])
def test_an_index_that_cannot_be_read_is_made_anew(made: Made, damage: str) -> None:
    before, _ = again(made)
    for letter in "a" if damage == "half of it gone" else "ab":
        file = made.path / "index" / f"{DAY}.{letter}.age"
        if damage == "rotten":
            alter(file)
        else:
            file.unlink()
    found, opened = again(made)
    assert found == before
    assert len(opened) == 8
    assert again(made) == (before, [])


def test_an_archive_that_was_moved_is_not_opened_again(made: Made, tmp_path: Path) -> None:
    before, _ = again(made)
    moved = Made(shutil.copytree(made.path, tmp_path / "elsewhere"), made.log_key)
    assert again(moved) == (before, [])
    [day] = moved.opener().days()
    found = index.read(moved.path, day, moved.opener().day_keys(day))
    assert found[f"{DAY}/000001"].changed == record_file(moved, 1).lstat().st_ctime_ns


def test_an_entry_under_a_leaf_that_changed_is_not_believed(made: Made) -> None:
    """Somebody rewrote the log for a record of theirs."""
    again(made)
    for name in ("log/leaves", "log/copy/leaves"):
        lines = (made.path / name).read_text().splitlines()
        lines = [line[:-64] + "0" * 64 if line.startswith(f"{DAY}/000004 ") else line for line in lines]
        (made.path / name).write_text("\n".join(lines) + "\n")
    found, opened = again(made)
    assert opened == [f"{DAY}/000004"]
    assert str(found[3]) == f"{DAY}/000004: this record is not the one that was logged"


def test_a_subject_too_long_for_the_index_is_shown_in_full_each_time(made_archive: Made) -> None:
    subject = "why " * 200
    sealer = made_archive.archive()
    sealed(sealer, (mail(f"From: {EX}\r\nSubject: {subject}\r\n\r\n\r\n".encode(), 1), EX), (mail(MAIL, 2), EX))
    for expected in ([f"{DAY}/000001", f"{DAY}/000002"], [f"{DAY}/000001"]):
        found, opened = again(made_archive)
        assert opened == expected
        assert isinstance(found[0], Row)
        assert found[0].subject == subject.strip()
    with unaltered(made_archive.path):
        again(made_archive)


def test_a_day_without_a_key_is_named_record_by_record(made: Made) -> None:
    again(made)
    for folder in ("keys", "keys/copy"):
        (made.path / folder / f"{DAY}.key.age").unlink()
    found, _ = again(made)
    assert len(found) == 8
    assert {str(item) for item in found} == {f"{DAY}: the key of this day cannot be opened"}


def test_where_the_index_cannot_be_written_the_listing_is_the_same_and_one_warning_is_given(made: Made) -> None:
    before, _ = again(made)
    shutil.rmtree(made.path / "index")
    (made.path / "index").write_text("in the way")
    warnings: list[OSError] = []
    listing = Listing(made.opener(), made.path, noon, warnings.append)
    for _ in range(2):
        assert list(listing.rows([DAY], lambda _done, _all: None)) == before
    assert len(warnings) == 1


@pytest.mark.parametrize("name", [f"mail/{DAY}/000001.age", "log/leaves", f"mail/{DAY}"])
def test_what_this_user_may_not_read_ends_the_listing(made: Made, name: str) -> None:
    with closed(made.path, name), pytest.raises(NocontactError, match="cannot be read by this user"):
        again(made)


def test_an_index_that_this_user_may_not_read_is_done_without(made: Made) -> None:
    before, _ = again(made)
    with closed(made.path, f"index/{DAY}.a.age"):
        assert again(made)[0] == before


def test_a_pipe_in_the_place_of_a_record_is_not_waited_for(made: Made) -> None:
    record_file(made, 4).unlink()
    os.mkfifo(record_file(made, 4))
    found, _ = again(made)
    assert isinstance(found[3], DamagedError)
    assert len(found) == 6


def test_progress_counts_every_record_and_ends_whole(made: Made) -> None:
    told: list[tuple[int, int]] = []
    for _ in range(2):
        listing = Listing(made.opener(), made.path, noon, pytest.fail)
        list(listing.rows([DAY], lambda done, whole: told.append((done, whole))))
    assert told == [(n, 8) for n in range(1, 9)] * 2


def test_nothing_of_a_message_stands_in_the_index_in_the_clear(made: Made) -> None:
    again(made)
    for file in (made.path / "index").iterdir():
        octets = file.read_bytes()
        assert [word for word in (b"abuser", b"why", b"listed", b"home") if word in octets] == []


def test_an_orphan_gives_way_to_its_copy_from_the_index_too(made_archive: Made) -> None:
    sealer = made_archive.sealer()
    sealed(sealer, (mail(HOSTILE, 1), EX), (mail(HOSTILE, 2), EX))
    sealer.close()
    for name in ("log/leaves", "log/copy/leaves"):
        lines = (made_archive.path / name).read_text().splitlines()
        lines = [line[:-64] + "-" if line.startswith(f"{DAY}/000001 ") else line for line in lines]
        (made_archive.path / name).write_text("\n".join(lines) + "\n")
    for opens in (2, 0):
        found, opened = again(made_archive)
        assert [row.record for row in folded(iter(found)) if isinstance(row, Row)] == [f"{DAY}/000002"]
        assert len(opened) == opens


def test_a_record_that_was_crafted_to_break_the_reader_is_named(made_archive: Made) -> None:
    """Anybody can seal to the day's public key."""
    import pyrage

    from nocontactd.archive import ustar
    from nocontactd.archive.format import Plaintext

    sealer = made_archive.sealer()
    seal(sealer, [b"From: ex@abuser.example\r\n\r\none"])
    [good] = made_archive.opened()
    recipient = pyrage.x25519.Recipient.from_str((made_archive.path / "keys" / f"{DAY}.pub").read_text().split()[-1])
    deep = b"[" * 200_000
    nested = ustar.header("meta.json", len(deep), 0) + deep + ustar.padding(len(deep)) + ustar.END
    unsalted = b"".join(Plaintext(replace(good.meta, record=f"{DAY}/000003", salt="no salt"), ()))
    for number, octets in ((2, nested), (3, unsalted)):
        record_file(made_archive, number).write_bytes(pyrage.encrypt(octets, [recipient]))
    found, _ = again(made_archive)
    assert [isinstance(item, DamagedError) for item in found] == [False, True, True]


def test_rows_of_the_index_are_rows_of_json(made: Made) -> None:
    """The index holds no more of a message than a line of facts and a line of words."""
    again(made)
    opener = made.opener()
    entry = index.read(made.path, DAY, opener.day_keys(DAY))[f"{DAY}/000005"]
    sender, _subject, preview = json.loads(entry.words)
    assert "\u202e" in sender
    assert preview.startswith("=HYPERLINK(1)")
    assert not any(word in entry.facts for word in ("elpmaxE", "HYPERLINK"))


def test_the_archive_of_these_tests_holds_what_is_said_of_it(evidence_once: Made) -> None:
    kinds = [item.kind for item in evidence_once.opener().messages([DAY]) if isinstance(item, Opened)]
    assert kinds == ["message"] * 5 + ["note", "cover", "opening"]

"""Opening: for two, and for nobody else; one damaged record never holds up the next."""

import io
import shutil
import unicodedata
from pathlib import Path
from typing import BinaryIO, Literal

import pyrage
import pytest

from nocontactd.archive import keys
from nocontactd.archive.format import Meta, Plaintext
from nocontactd.archive.unseal import Opened, unlock
from nocontactd.errors import CredentialError, DamagedError, NocontactError
from nocontactd.model import Original, Part
from tests.another_user import closed
from tests.archive_fixture import (
    DAY,
    OWNER,
    THERAPIST,
    VERDICT,
    WITNESS,
    Clock,
    Made,
    envelope,
    light,
    made_archive,
    noon,
    ref,
    seal,
)

__all__ = ["made_archive"]

Form = Literal["NFC", "NFD"]


@pytest.mark.parametrize(("therapist", "witness"), [(THERAPIST, None), (None, WITNESS)], ids=["therapist", "witness"])
def test_it_opens_for_the_owner_and_another(made_archive: Made, therapist: str | None, witness: str | None) -> None:
    seal(made_archive.sealer(), [b"one"])
    opener = unlock(made_archive.path, owner=OWNER, therapist=therapist, witness=witness)
    assert [item.original for item in opener.messages(opener.days())] == [b"one"]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("owner", "therapist", "witness"),
    [
        (OWNER, None, None),
        (None, THERAPIST, None),
        (None, None, WITNESS),
        (None, THERAPIST, WITNESS),
        (OWNER, "", None),
        ("", THERAPIST, WITNESS),
    ],
)
def test_it_opens_for_nobody_alone_and_not_without_the_owner(
    made_archive: Made, owner: str | None, therapist: str | None, witness: str | None
) -> None:
    with pytest.raises(CredentialError, match="opens only for two") as told:
        unlock(made_archive.path, owner=owner, therapist=therapist, witness=witness)
    assert told.value.exit_code == 77
    assert told.value.hint


@pytest.mark.parametrize(
    ("owner", "therapist", "witness"),
    [
        (OWNER, OWNER, None),
        (THERAPIST, THERAPIST, None),
        (THERAPIST, None, WITNESS),
        (OWNER, " ".join(reversed(THERAPIST.split())), None),
        (OWNER, WITNESS, None),
    ],
    ids=["owner twice", "therapist twice", "therapist for owner", "words swapped", "witness for therapist"],
)
def test_wrong_passphrases_are_refused_in_the_same_words(
    made_archive: Made, owner: str, therapist: str | None, witness: str | None
) -> None:
    """Which of the two was wrong is not told."""
    role = "therapist" if therapist else "witness"
    with pytest.raises(CredentialError) as told:
        unlock(made_archive.path, owner=owner, therapist=therapist, witness=witness)
    expected = f"the passphrases of the owner and the {role} do not open the archive together; nothing was opened"
    assert told.value.message == expected
    assert told.value.exit_code == 77
    assert told.value.__cause__ is None


def test_the_therapist_and_the_witness_together_open_no_record(made_archive: Made) -> None:
    """With both identities in hand, past every question: the day key's inner layer is the owner's."""
    from nocontactd.archive.unseal import Opener
    from tests.archive_fixture import identity

    seal(made_archive.sealer(), [b"one"])
    for first in ("therapist", "witness", "owner"):
        for second in ("therapist", "witness", "owner"):
            found = list(Opener(made_archive.path, identity(first), identity(second)).messages([DAY]))
            opened = [item for item in found if isinstance(item, Opened)]
            assert bool(opened) == (first == "owner" and second != "owner")


def test_a_holder_whose_key_is_not_there_is_named(made_archive: Made) -> None:
    for place in ("holders", "keys/copy"):
        (made_archive.path / place / "witness.age").unlink()
    with pytest.raises(CredentialError, match="the key of the witness is not in it; nothing was opened"):
        unlock(made_archive.path, owner=OWNER, therapist=None, witness=WITNESS)


def test_without_an_archive_that_is_said(tmp_path: Path) -> None:
    with pytest.raises(DamagedError, match="no archive here"):
        unlock(tmp_path, owner="o", therapist="t", witness=None)


def test_a_lost_locked_identity_is_found_in_its_second_copy(made_archive: Made) -> None:
    (made_archive.path / "holders" / "owner.age").unlink()
    (made_archive.path / "holders" / "therapist.age").write_bytes(b"rotten")
    assert unlock(made_archive.path, owner=OWNER, therapist=THERAPIST, witness=None).days() == ()


def test_only_the_days_that_are_asked_for_are_opened(made_archive: Made) -> None:
    clock = Clock()
    sealer = made_archive.sealer(clock)
    seal(sealer, [b"one"])
    clock.next_day()
    seal(sealer, [b"two"], 2)
    opener = made_archive.opener()
    assert opener.days() == (DAY, "2026-11-23")
    assert [item.original for item in opener.messages(["2026-11-23"])] == [b"two"]  # type: ignore[union-attr]
    assert list(opener.messages(["2020-01-01"])) == []


def test_a_damaged_record_comes_as_its_error_and_the_others_open(made_archive: Made) -> None:
    seal(made_archive.sealer(), [b"one", b"two", b"three", b"four", b"five"])
    day = made_archive.path / "mail" / DAY
    octets = bytearray((day / "000002.age").read_bytes())
    octets[-1] ^= 1
    (day / "000002.age").write_bytes(octets)
    (day / "000003.age").write_bytes((day / "000003.age").read_bytes()[:-1])
    (day / "000004.age").write_bytes(b"")
    found = list(made_archive.opener().messages([DAY]))
    assert [item.original if isinstance(item, Opened) else None for item in found] == [
        b"one",
        None,
        None,
        None,
        b"five",
    ]
    problems = [item for item in found if isinstance(item, DamagedError)]
    assert [problem.message[:17] for problem in problems] == [f"{DAY}/00000{n}" for n in (2, 3, 4)]
    assert {problem.exit_code for problem in problems} == {65}


def test_a_record_that_is_gone_comes_as_an_error_in_its_place(made_archive: Made) -> None:
    seal(made_archive.sealer(), [b"one", b"two", b"three"])
    (made_archive.path / "mail" / DAY / "000002.age").unlink()
    one, gone, three = made_archive.opener().messages([DAY])
    assert isinstance(gone, DamagedError)
    assert gone.message == f"{DAY}/000002: this record is missing"
    assert isinstance(one, Opened)
    assert isinstance(three, Opened)


def test_a_day_whose_folder_is_gone_is_still_a_day_by_either_copy_of_the_log(made_archive: Made) -> None:
    clock = Clock()
    sealer = made_archive.sealer(clock)
    seal(sealer, [b"one", b"two"])
    clock.next_day()
    seal(sealer, [b"three"], 3)
    sealer.close()
    shutil.rmtree(made_archive.path / "mail" / DAY)
    (made_archive.path / "log" / "leaves").unlink()
    opener = made_archive.opener()
    assert opener.days() == (DAY, "2026-11-23")
    *gone, third = opener.messages(opener.days())  # with the covers of a day that is over
    assert [str(item) for item in gone] == [f"{DAY}/{n:06}: this record is missing" for n in range(1, len(gone) + 1)]
    assert len(gone) > 1
    assert isinstance(third, Opened)


def test_a_record_that_was_never_acknowledged_is_not_missed(made_archive: Made) -> None:
    seal(made_archive.sealer(), [b"one"])
    with (made_archive.path / "log" / "leaves").open("a") as log:
        log.write(f"{DAY}/000002 {'0' * 64} -\n2026-11-25/000001 {'0' * 64} -\n")
    opener = made_archive.opener()
    assert opener.days() == (DAY,)
    assert [item.record for item in made_archive.opened(DAY, "2026-11-25")] == [f"{DAY}/000001"]


@pytest.mark.parametrize("name", ["", "holders", "holders/owner.age", "keys"])
def test_what_this_user_may_not_read_is_said_so_at_the_opening(made_archive: Made, name: str) -> None:
    with closed(made_archive.path, name), pytest.raises(NocontactError, match="cannot be read by this user") as told:
        unlock(made_archive.path, owner=OWNER, therapist=THERAPIST, witness=None)
    assert type(told.value) is NocontactError
    assert "sudo -u" in told.value.hint


@pytest.mark.parametrize(
    "name", ["log/leaves", "mail", f"mail/{DAY}", f"mail/{DAY}/000001.age", "keys", f"keys/copy/{DAY}.key.age"]
)
def test_what_this_user_may_not_read_is_neither_damaged_nor_missing(made_archive: Made, name: str) -> None:
    seal(made_archive.sealer(), [b"one"])
    opener = made_archive.opener()
    with closed(made_archive.path, name):
        with pytest.raises(NocontactError, match="cannot be read by this user") as told:
            list(opener.messages([DAY]))
        assert type(told.value) is NocontactError
    assert [item.original for item in made_archive.opened()] == [b"one"]


@pytest.mark.parametrize(("made", "typed"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_a_passphrase_is_the_same_however_a_system_writes_its_accents(tmp_path: Path, made: Form, typed: Form) -> None:
    phrases = {"owner": "Gr\u00fc\u00dfe aus K\u00f6ln", "therapist": "\u00e9t\u00e9 \ufb01n"}
    ours = {role: unicodedata.normalize(made, phrase) for role, phrase in phrases.items()}
    theirs = {role: unicodedata.normalize(typed, phrase) for role, phrase in phrases.items()}
    assert ours != theirs
    place = tmp_path / "archive"
    keys.make(place, tmp_path / "log.key", **ours, witness=None, unattended=True, now=noon, lock=light)
    unlock(place, **theirs, witness=None)
    stock = pyrage.passphrase.decrypt((place / "holders" / "owner.age").read_bytes(), phrases["owner"])
    assert b"AGE-SECRET-KEY-1" in stock


@pytest.mark.parametrize("other", ["gr\u00fc\u00dfe", "Gr\u00fc\u00dfe ", "Grusse", "GR\u00dc\u00dfE", "Gr\u00fcsse"])
def test_a_passphrase_is_otherwise_as_it_was_typed(tmp_path: Path, other: str) -> None:
    place = tmp_path / "archive"
    keys.make(place, tmp_path / "log.key", "Gr\u00fc\u00dfe", "\ufb01n", None, unattended=True, now=noon, lock=light)
    unlock(place, owner="Gr\u00fc\u00dfe", therapist="\ufb01n", witness=None)
    for owner, therapist in ((other, "\ufb01n"), ("Gr\u00fc\u00dfe", "fin")):
        with pytest.raises(CredentialError):
            unlock(place, owner=owner, therapist=therapist, witness=None)


def test_a_record_that_took_anothers_place_is_told(made_archive: Made) -> None:
    seal(made_archive.sealer(), [b"one", b"two"])
    day = made_archive.path / "mail" / DAY
    (day / "000002.age").write_bytes((day / "000001.age").read_bytes())
    (day / "000003.age").write_bytes((day / "000001.age").read_bytes())
    found = list(made_archive.opener().messages([DAY]))
    assert [isinstance(item, DamagedError) for item in found] == [False, True, True]


def test_a_forged_record_that_opens_is_not_the_one_that_was_logged(made_archive: Made) -> None:
    """Anybody can seal to a day's public half; the log has the hash of what the daemon sealed."""
    seal(made_archive.sealer(), [b"one"])
    day_key = pyrage.x25519.Recipient.from_str((made_archive.path / "keys" / f"{DAY}.pub").read_text().strip())
    meta = Meta(f"{DAY}/000001", "message", noon(), "0", "00" * 32, envelope(), VERDICT, ())
    forged = pyrage.encrypt(b"".join(Plaintext(meta, [Part("message.eml", 6, [b"forged"])])), [day_key])
    (made_archive.path / "mail" / DAY / "000001.age").write_bytes(forged)
    (problem,) = made_archive.opener().messages([DAY])
    assert isinstance(problem, DamagedError)
    assert "not the one that was logged" in problem.message
    (made_archive.path / "log" / "leaves").write_text("")
    (made_archive.path / "log" / "copy" / "leaves").write_text("")
    (opened,) = made_archive.opener().messages([DAY])
    assert isinstance(opened, Opened)
    assert not opened.logged


def test_a_lost_day_key_costs_its_day_alone_and_one_copy_of_it_nothing(made_archive: Made) -> None:
    clock = Clock()
    sealer = made_archive.sealer(clock)
    seal(sealer, [b"one"])
    clock.next_day()
    seal(sealer, [b"two"], 2)
    (made_archive.path / "keys" / f"{DAY}.key.age").write_bytes(b"rotten")
    assert [item.original for item in made_archive.opened()] == [b"one", b"two"]
    (made_archive.path / "keys" / "copy" / f"{DAY}.key.age").unlink()
    found = list(made_archive.opener().messages([DAY, "2026-11-23"]))
    assert {type(item) for item in found[:-1]} == {DamagedError}
    assert isinstance(found[-1], Opened)


def test_a_long_message_is_kept_only_to_its_beginning(made_archive: Made) -> None:
    seal(made_archive.sealer(), [b"0123456789" * 10_000])
    (found,) = made_archive.opener().messages([DAY], keep=15)
    assert isinstance(found, Opened)
    assert found.original == b"012345678901234"
    assert found.members[0].size == 100_000


def sealed_with_media(made: Made) -> bytes:
    picture = bytes(range(256)) * 1000
    parts = [Part("message.json", 2, [b"{}"]), Part("media-1.jpg", len(picture), [picture]), Part("empty.txt", 0, [])]
    sealer = made.sealer()
    with sealer.batch([ref()]) as batch:
        batch.add(batch.records[0], Original(envelope(), iter(parts)), VERDICT)
        batch.commit()
    return picture


class Kept(io.BytesIO):
    """A file whose octets outlive its closing."""

    final = b""

    def close(self) -> None:
        if not self.closed:
            self.final = self.getvalue()
        super().close()


def test_the_originals_come_out_octet_by_octet(made_archive: Made) -> None:
    picture = sealed_with_media(made_archive)
    files: dict[str, Kept] = {}

    def into(name: str) -> BinaryIO:
        files[name] = Kept()
        return files[name]

    members = made_archive.opener().originals(f"{DAY}/000001", into)
    assert [member.name for member in members] == ["message.json", "media-1.jpg", "empty.txt"]
    assert {name: file.final for name, file in files.items()} == {
        "message.json": b"{}",
        "media-1.jpg": picture,
        "empty.txt": b"",
    }
    assert all(file.closed for file in files.values())
    assert made_archive.opened()[0].original == b"{}"


def test_what_the_callers_file_raises_goes_through(made_archive: Made) -> None:
    sealed_with_media(made_archive)

    class Full(io.BytesIO):
        def write(self, data: object) -> int:
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        made_archive.opener().originals(f"{DAY}/000001", lambda _name: Full())


def test_originals_of_a_damaged_record_are_refused_at_the_end(made_archive: Made) -> None:
    sealed_with_media(made_archive)
    path = made_archive.path / "mail" / DAY / "000001.age"
    octets = bytearray(path.read_bytes())
    octets[-10] ^= 1
    path.write_bytes(octets)
    with pytest.raises(DamagedError):
        made_archive.opener().originals(f"{DAY}/000001", lambda _name: Kept())
    with pytest.raises(DamagedError):
        made_archive.opener().originals("../../etc/passwd", lambda _name: Kept())


def test_opening_writes_nothing_into_the_archive(made_archive: Made) -> None:
    from tests.archive_fixture import contents

    seal(made_archive.sealer(), [b"one"])
    before = list(contents(made_archive.path.parent))
    made_archive.opened()
    assert list(contents(made_archive.path.parent)) == before


def test_an_archive_that_was_copied_elsewhere_opens_there(made_archive: Made, tmp_path: Path) -> None:
    seal(made_archive.sealer(), [b"one"])
    shutil.copytree(made_archive.path, tmp_path / "usb stick")
    moved = Made(tmp_path / "usb stick", made_archive.log_key)
    assert [item.original for item in moved.opened()] == [b"one"]

"""The ceremony's writing half: for whom it is sealed, what it refuses to overwrite, and what a card is worth."""

import secrets
import shutil
from pathlib import Path

import pyrage
import pytest

from nocontactd.archive import cards, keys
from nocontactd.archive.charter import Charter, parse
from nocontactd.archive.durable import Disk
from nocontactd.archive.history import ceremony
from nocontactd.archive.unseal import unlock
from nocontactd.archive.verify import verify
from nocontactd.archive.wordlist import WORDS
from nocontactd.errors import CredentialError, SealError
from tests.archive_fixture import Made, contents, copy, identity, light, made_archive, noon, seal
from tests.fuse import Died, Fuse

__all__ = ["made_archive"]


def test_what_the_ceremony_makes_opens_for_the_two_and_is_whole(tmp_path: Path) -> None:
    """Once with real passphrases, and without a witness."""
    made = Made(tmp_path / "some" / "archive", tmp_path / "log.key")
    keys.make(made.path, made.log_key, "o", "t", None, unattended=False, now=noon)
    seal(made.sealer(), [b"one"])
    opener = unlock(made.path, owner="o", therapist="t", witness=None)
    assert [item.original for item in opener.messages(opener.days())] == [b"one"]  # type: ignore[union-attr]
    assert parse((made.path / "archive.json").read_bytes()).policy == "owner AND therapist"
    assert made.leaves()[0].split()[0::2] == ["archive.json", "ceremony:attended"]
    assert ceremony(made.path) == "attended"
    assert verify(made.path).ok
    assert {path.stat().st_mode & 0o077 for path in [made.path, *made.path.rglob("*"), made.log_key]} == {0}
    with pytest.raises(SealError, match="there is one already; nothing was changed"):
        keys.make(made.path, made.log_key, "o", "t", None, unattended=False, now=noon)


def test_an_unattended_ceremony_is_said_in_the_first_leaf(made_archive: Made) -> None:
    assert made_archive.leaves()[0].endswith(" ceremony:unattended")
    assert ceremony(made_archive.path) == "unattended"


@pytest.mark.parametrize(
    ("owner", "therapist", "witness"),
    [
        ("", "t", None),
        ("o", "", None),
        ("o", "t", ""),
        ("o", "o", None),
        ("o", "t", "t"),
        ("o", "t", "o"),
        ("\u00e9", "e\u0301", None),
    ],
)
def test_each_holder_needs_a_passphrase_of_their_own(
    tmp_path: Path, owner: str, therapist: str, witness: str | None
) -> None:
    with pytest.raises(CredentialError, match="no archive was made"):
        keys.make(
            tmp_path / "a", tmp_path / "log.key", owner, therapist, witness, unattended=True, now=noon, lock=light
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "there", ["photo.jpg", "mail/2026-11-22", "keys/2026-11-22.pub", "keys/copy/2026-11-22.key.age"]
)
def test_no_archive_is_made_over_anything_else(tmp_path: Path, there: str) -> None:
    (tmp_path / "a" / there).mkdir(parents=True)
    before = list(contents(tmp_path))
    with pytest.raises(SealError, match="not empty; nothing was changed"):
        keys.make(tmp_path / "a", tmp_path / "log.key", "o", "t", None, unattended=True, now=noon, lock=light)
    assert list(contents(tmp_path)) == before


def test_a_ceremony_that_was_broken_off_can_begin_anew(tmp_path: Path) -> None:
    """Until archive.json stands there is no archive; a later one leaves nothing of the first."""
    disk = Fuse(at=45).wrap(Disk(), "disk")
    with pytest.raises(Died):
        keys.make(
            tmp_path / "a", tmp_path / "log.key", "o", "t", None, unattended=True, now=noon, disk=disk, lock=light
        )
    assert not (tmp_path / "a" / "archive.json").exists()
    assert (tmp_path / "a" / "holders" / "owner.age").exists()
    keys.make(tmp_path / "a", tmp_path / "log.key", "o2", "t2", None, unattended=True, now=noon, lock=light)
    assert verify(tmp_path / "a").ok
    assert unlock(tmp_path / "a", owner="o2", therapist="t2", witness=None).days() == ()


def test_a_ceremony_that_was_broken_off_among_keys_made_ahead_can_begin_anew(tmp_path: Path) -> None:
    place, log_key = tmp_path / "a", tmp_path / "log.key"
    keys.make(place, log_key, "o", "t", None, unattended=True, now=noon, lock=light, days_ahead=3)
    for copy_of_it in (place / "archive.json", place / "keys" / "copy" / "archive.json"):
        copy_of_it.unlink()
    keys.make(place, log_key, "o2", "t2", None, unattended=True, now=noon, lock=light, days_ahead=2)
    assert len(list((place / "keys").glob("*.pub"))) == 2
    assert verify(place).ok


def test_an_archive_that_lost_its_charter_is_never_made_over(tmp_path: Path) -> None:
    """Its log says that something was sealed, even where that is gone, too."""
    place, log_key = tmp_path / "a", tmp_path / "log.key"
    keys.make(place, log_key, "o", "t", None, unattended=True, now=noon, lock=light)
    seal(Made(place, log_key).sealer(), [b"one"])
    for copy_of_it in (place / "archive.json", place / "keys" / "copy" / "archive.json"):
        copy_of_it.unlink()
    shutil.rmtree(place / "mail")
    with pytest.raises(SealError, match="not empty; nothing was changed"):
        keys.make(place, log_key, "o", "t", None, unattended=True, now=noon, lock=light)


def test_a_day_key_takes_the_owner_and_one_of_the_others(made_archive: Made) -> None:
    """By the cryptography itself: whoever writes another reader gets no further."""
    law = parse((made_archive.path / "archive.json").read_bytes())
    recipient, locked = keys.mint(law.owner, law.others)
    holders = {role: pyrage.x25519.Identity.from_str(identity(role)) for role in ("owner", "therapist", "witness")}
    for second in ("therapist", "witness"):
        inner = pyrage.decrypt(locked, [holders[second]])
        assert recipient in pyrage.decrypt(inner, [holders["owner"]]).decode()
        with pytest.raises(pyrage.DecryptError):  # therapist and witness together stop here
            pyrage.decrypt(inner, [holders["therapist"], holders["witness"]])
    with pytest.raises(pyrage.DecryptError):
        pyrage.decrypt(locked, [holders["owner"]])


def test_a_strangers_public_half_is_told_by_its_leaf_alone(made_archive: Made) -> None:
    """Whoever lost the state has lost what it remembers of the day's key, too."""
    sealer = made_archive.sealer()
    seal(sealer, [b"one"])
    sealer.close()
    made_archive.log_key.with_name("names").unlink()
    stranger = pyrage.x25519.Identity.generate().to_public()
    for folder in ("keys", "keys/copy"):
        (made_archive.path / folder / "2026-11-22.pub").write_text(f"{stranger}\n")
    sealer = made_archive.sealer()
    seal(sealer, [b"two"], 2)
    sealer.close()
    assert [item.original for item in made_archive.opened()] == [b"one", b"two"]


def test_the_ceremonys_holders_are_those_of_archive_json(made_archive: Made) -> None:
    law = parse((made_archive.path / "archive.json").read_bytes())
    for role, recipient in (("owner", law.owner), ("therapist", law.therapist), ("witness", law.witness)):
        assert str(pyrage.x25519.Identity.from_str(identity(role)).to_public()) == recipient


def test_archive_json_comes_back_as_it_was() -> None:
    law = Charter("nocontactd.invalid/00", "2026-11-22", "age1o", "age1t", None, ("a+b+c",))
    assert parse(law.dump()) == law
    assert parse(law.signed_by("d+e+f").dump()).log_keys == ("a+b+c", "d+e+f")
    for damage in (b"", b"{}", b"[]", b"null", law.dump().replace(b"archive/1", b"archive/2"), b"\xff"):
        with pytest.raises(ValueError, match="not as the format says"):
            parse(damage)


def test_a_card_has_seven_words_of_eleven_bits() -> None:
    assert len(set(WORDS)) == 2048 == len(WORDS)
    card = cards.words(secrets.randbelow).split(" ")
    assert len(card) == 7
    assert set(card) <= set(WORDS)
    asked: list[int] = []
    cards.words(lambda n: asked.append(n) or 0)  # type: ignore[func-returns-value]
    assert asked == [2048] * 7


def test_no_slip_of_the_pen_turns_one_word_into_another() -> None:
    """One letter wrong, one too many, one missing, or two swapped."""
    known = set(WORDS)
    for word in WORDS:
        assert word.isascii()
        assert word.islower()
        assert 4 <= len(word) <= 9
        halves = [(word[:i], word[i:]) for i in range(len(word) + 1)]
        near = {a + b[1:] for a, b in halves if b} | {a + b[1] + b[0] + b[2:] for a, b in halves if len(b) > 1}
        near |= {a + c + b[1:] for a, b in halves if b for c in "abcdefghijklmnopqrstuvwxyz"}
        assert near & known == {word} or near & known == set()
    assert not [word for word in WORDS if word + "s" in known]


def test_the_published_archive_is_the_one_that_tests_start_from(tmp_path: Path) -> None:
    assert verify(copy(tmp_path).path).ok

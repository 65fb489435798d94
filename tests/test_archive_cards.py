"""What stands on a card, how it may be typed, what an owner is told of a passphrase, and what is reminded of."""

import sys
from datetime import timedelta
from pathlib import Path

import pyrage
import pytest

from nocontactd.archive import keys
from nocontactd.archive.cards import Card, as_typed, fingerprint
from nocontactd.archive.change import changing
from nocontactd.archive.durable import Disk
from nocontactd.archive.holders import create
from nocontactd.archive.keys import add_ahead
from nocontactd.archive.reminders import reminders
from nocontactd.archive.seal import Archive
from nocontactd.archive.strength import ENOUGH, advice, bits
from nocontactd.archive.unseal import Opened, unlock
from nocontactd.archive.verify import verify
from nocontactd.archive.wordlist import WORDS
from nocontactd.cli.cards import _written
from tests.archive_fixture import THERAPIST, Clock, Made, light, made_archive, noon, seal

__all__ = ["made_archive"]

RECIPIENT = "age1x6q9r0p6e0l0c7l6ykq4vcewqezk0dzmc7ftksyyn6e3r0vlnf4s0wc9lv"


@pytest.mark.parametrize(
    "typed",
    [
        THERAPIST.upper(),
        f"  {THERAPIST}  ",
        THERAPIST.replace(" ", "\t"),
        THERAPIST.replace(" ", "-"),
        THERAPIST.title(),
    ],
)
def test_a_card_may_be_typed_as_people_type(typed: str) -> None:
    assert as_typed(typed) == THERAPIST


@pytest.mark.parametrize("phrase", ["My Own  Sentence", "t", "Walnut", " walnut", "walnut qwertz", "\u00c9t\u00e9"])
def test_what_is_no_card_stays_as_it_was_typed(phrase: str) -> None:
    assert as_typed(phrase) == phrase


def test_a_fingerprint_is_six_words_and_another_ones_is_another() -> None:
    words = fingerprint(RECIPIENT).split()
    assert len(words) == 6
    assert set(words) <= set(WORDS)
    others = {fingerprint(str(pyrage.x25519.Identity.generate().to_public())) for _ in range(50)}
    assert len(others) == 50
    assert fingerprint(RECIPIENT) == fingerprint(RECIPIENT)


@pytest.mark.parametrize("role", ["therapist", "witness", "owner-recovery"])
def test_a_card_says_whose_it_is_its_words_and_what_it_is_worth(role: str) -> None:
    text = Card(role, THERAPIST, RECIPIENT, "2026-11-22").text()
    for word in (*THERAPIST.split(), fingerprint(RECIPIENT), "2026-11-22", "photograph"):
        assert word in text
    assert ("must not have it" in text) == (role == "owner-recovery")
    assert max(map(len, text.splitlines())) < 120


@pytest.mark.parametrize(
    "phrase",
    [
        *("x", "password", "12.03.1987 Anna", "qwertyuiop asdfgh", "Iloveyou123!", "aaaa bbbb cccc dddd"),
        *("walnut walnut walnut walnut walnut walnut", "1987 1988 1989", "abcdefghijkl", "Max Maria"),
    ],
)
def test_what_could_be_guessed_is_advised_against(phrase: str) -> None:
    assert bits(phrase) < ENOUGH
    assert "could be guessed" in (advice(phrase) or "")


@pytest.mark.parametrize(
    "phrase",
    [
        *("correct horse battery staple piano", THERAPIST, "the tea in Vienna was colder than a cat's nose"),
        *("Regenschirm Brille Kuchen Ofen Wolke", "xK9#pL2qv!Zt7-mW", "窓の外には白い猫が二匹いて眠っている"),
    ],
)
def test_five_words_or_as_much_of_anything_else_are_good(phrase: str) -> None:
    assert advice(phrase) is None


def test_a_card_is_worth_what_it_says() -> None:
    """Seven words of 2048 are 77 bits, and the advice counts them so."""
    assert bits(THERAPIST) == 77


def test_an_unattended_ceremony_is_said_until_people_rehearse_and_then_each_year(made_archive: Made) -> None:
    clock = Clock()
    assert [said.split(" (")[0] for said in reminders(made_archive.path, clock())] == ["ceremony: unattended"]
    clock.moment += timedelta(days=40)
    rehearsed(made_archive, clock)
    assert reminders(made_archive.path, clock()) == ()
    seal(made_archive.archive(clock), [b"one"])
    clock.moment += timedelta(days=364)
    seal(made_archive.archive(clock), [b"two"], 2)
    assert reminders(made_archive.path, clock()) == ()
    clock.moment += timedelta(days=1)
    assert "the yearly rehearsal is due" in reminders(made_archive.path, clock())[0]
    rehearsed(made_archive, clock)
    assert reminders(made_archive.path, clock()) == ()
    assert verify(made_archive.path).ok


def rehearsed(made: Made, clock: Clock) -> None:
    with changing(made.path, made.log_key, clock) as change:
        change.rehearsed()
    sealer = made.archive(clock)
    sealer.enter("keys", (("rehearsed", "by people"),))
    sealer.close()


def test_an_archive_that_cannot_be_read_is_reminded_of_nothing(made_archive: Made) -> None:
    (made_archive.path / "log" / "leaves").unlink()
    assert reminders(made_archive.path, noon()) == ()
    assert reminders(made_archive.path / "none", noon()) == ()


@pytest.fixture(scope="module")
def ahead(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """An archive with keys for three days."""
    folder = tmp_path_factory.mktemp("ahead")
    made = Made(folder / "archive", folder / "state" / "log.key")
    made.log_key.parent.mkdir()
    people = [create("owner", "o", light), create("therapist", "t", light)]
    keys.found(made.path, made.log_key, people, "attended", noon, days_ahead=3)
    return made


def nobody(_law: object) -> tuple[str, bytes]:
    raise AssertionError("the daemon made a day key")


def test_keys_made_ahead_are_all_that_is_ever_sealed_to(ahead: Made) -> None:
    """Three days on their own keys, the days after on the last of them; the daemon makes none, and all of it opens."""
    clock = Clock()
    assert len(list((ahead.path / "keys").glob("*.key.age"))) == 3
    for number in range(5):
        sealer = Archive(ahead.path, ahead.log_key, clock, mint=nobody)
        with sealer.lock():
            sealer.recover()
            seal(sealer, [b"day %d" % number], number + 1)
        sealer.close()
        clock.next_day()
    public = {path.name: path.read_text() for path in (ahead.path / "keys").glob("*.pub")}
    assert len(public) == 5
    assert len(set(public.values())) == 3
    assert public["2026-11-24.pub"] == public["2026-11-25.pub"] == public["2026-11-26.pub"]
    opener = unlock(ahead.path, owner="o", therapist="t", witness=None)
    found = [item for item in opener.messages(opener.days()) if isinstance(item, Opened) and item.kind == "message"]
    assert [item.original for item in found] == [b"day %d" % number for number in range(5)]
    assert verify(ahead.path).ok
    assert "have run out: all days since share the last one" in reminders(ahead.path, clock())[0]


def test_that_keys_made_ahead_end_is_said_two_months_before_and_a_rehearsal_makes_others(tmp_path: Path) -> None:
    made = Made(tmp_path / "archive", tmp_path / "log.key")
    people = [create("owner", "o", light), create("therapist", "t", light)]
    keys.found(made.path, made.log_key, people, "attended", noon, days_ahead=70)
    clock = Clock(noon() + timedelta(days=9))
    assert reminders(made.path, clock()) == ()
    clock.next_day()
    assert reminders(made.path, clock()) == (
        "day keys that were made ahead are there until 2027-01-30: make others, `nocontact keys rehearse`",
    )
    with changing(made.path, made.log_key, clock) as change:
        add_ahead(made.path, change.law, change.leaves, Disk(), change.moment)
    assert reminders(made.path, clock()) == ()
    assert len(list((made.path / "keys").glob("*.pub"))) == 80
    assert verify(made.path).ok


def test_without_the_library_for_it_there_is_no_pdf_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The card itself is written all the same, as text."""
    monkeypatch.setitem(sys.modules, "fpdf", None)
    written = _written(Card("therapist", THERAPIST, RECIPIENT, "2026-11-22"), tmp_path, noon())
    assert [path.name for path in written] == [path.name for path in tmp_path.iterdir()] == ["therapist-card.txt"]
    said = capsys.readouterr()
    assert "a PDF needs fpdf2, which is not installed; none was written" in said.err
    assert "nocontactd[evidence]" in said.err
    assert "shred -u" in said.out

"""Two people at a terminal: the ceremony, what is left of it, and a first reading of what was sealed."""

import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from nocontactd.archive.history import ceremony
from nocontactd.archive.seal import Archive
from nocontactd.archive.verify import verify
from nocontactd.archive.wordlist import WORDS
from nocontactd.model import Channel
from tests.archive_fixture import memory
from tests.peers.terminal import LIGHT, PROGRAM, Terminal
from tests.test_cli_archive import CONFIG, HOSTILE, WHY, original

__all__ = ["memory"]

OWNER = "a sentence of the owner's own"


@pytest.fixture
def home(memory: Path) -> Path:
    for name, text in {"pw": "p", "c.yaml": CONFIG}.items():
        (memory / name).write_text(text)
        (memory / name).chmod(0o600)
    return memory


def terminal(home: Path, *words: str, program: str = LIGHT) -> Terminal:
    environ = {"HOME": str(home), "XDG_STATE_HOME": str(home / "xdg"), "NOCONTACT_CONFIG": str(home / "c.yaml")}
    return Terminal(home, environ, *words, program=program)


def test_two_people_make_the_keys_and_read_together(home: Path) -> None:
    """Once with the real work of locking and unlocking."""
    card = _ceremony(home)
    assert ceremony(home / "archive") == "attended"
    _seal_one(home)
    _reading(home, card)


def _ceremony(home: Path) -> str:
    screen = terminal(home, "keys", "init", program=PROGRAM)
    screen.expect("Step 1 of 5")
    screen.expect("passphrase of the owner: ")
    screen.type("short")
    screen.expect("few words")
    screen.expect("Keep it all the same? [yes/no] ")
    screen.type("no")
    screen.expect("passphrase of the owner: ")
    screen.type(OWNER)
    screen.expect("once more: ")
    screen.type("something else")
    screen.expect("not the same")
    _choose(screen)
    card = _write_down(screen, "therapist", wrongly=True)
    screen.expect("Is there a backup witness? [yes/no] ")
    screen.type("no")
    screen.expect("closes the archive for ever")
    screen.expect("[yes/no] ")
    screen.type("yes")
    screen.expect("Make a recovery card? [yes/no] ")
    screen.type("no")
    screen.expect("opened by the owner and the therapist")
    screen.expect("refused to the owner alone")
    screen.expect("refused to the therapist alone")
    assert screen.end() == 0
    assert screen.screen.count(card) == 1
    assert OWNER not in screen.screen
    assert "Traceback" not in screen.screen
    return card


def _choose(screen: Terminal, prompt: str = "passphrase of the owner: ", phrase: str = OWNER) -> None:
    screen.expect(prompt)
    screen.type(phrase)
    screen.expect("once more: ")
    screen.type(phrase)


def _write_down(screen: Terminal, role: str, *, wrongly: bool = False, title: str = "") -> str:
    """A card is shown, wiped, and typed back: in capitals, as people do."""
    screen.expect(title or f"The {role}'s card")
    shown = screen.expect("press Enter")
    [card] = re.findall(r"^ {4}([a-z]+(?: [a-z]+){6})\r?$", shown, re.MULTILINE)
    assert isinstance(card, str)
    assert set(card.split()) <= set(WORDS)
    assert re.search(r"fingerprint \(no secret\): [a-z]+( [a-z]+){5}\r?$", shown, re.MULTILINE)
    screen.type("")
    screen.expect("\033[3J")  # wiped, with what was scrolled off
    screen.expect("type the words from the paper: ")
    if wrongly:
        swapped = card.split()
        screen.type(" ".join([swapped[1], swapped[0], *swapped[2:]]))
        screen.expect("not what the card says")
        screen.expect("type the words from the paper: ")
    screen.type(card.upper().replace(" ", "  "))
    return card


def _seal_one(home: Path) -> None:
    archive = Archive(home / "archive", home / "state" / "log.key", lambda: datetime.now(UTC))
    with archive.lock():
        archive.recover()
        letter = original(HOSTILE, "1", Channel.MAIL)
        with archive.batch([letter.envelope.ref]) as batch:
            batch.add(batch.records[0], letter, WHY)
            batch.commit()
    archive.close()


def _reading(home: Path, card: str) -> None:
    screen = terminal(home, "review")
    screen.expect("passphrase of the owner: ")
    screen.type(OWNER)
    screen.expect("therapist's card")
    screen.type(card.capitalize())
    screen.expect("subject")
    screen.expect("Enter: next")
    assert "first line" not in screen.screen, "the words are hidden until they are asked for"
    _only_in_memory(screen.pid, OWNER, card)
    screen.type("w")
    screen.expect(r"| first line\x1b[2J")
    screen.expect("Enter: next")
    screen.type("q")
    assert screen.end() == 0
    assert "\x1b]52" not in screen.screen
    assert OWNER not in screen.screen
    assert card not in screen.screen


def test_three_people_with_every_card_and_what_they_do_later(home: Path) -> None:
    """Cards on paper and as files, a recovery card, a lost passphrase, another therapist, the yearly rehearsal."""
    (home / "cards").mkdir()
    screen = terminal(home, "keys", "init", "--cards", str(home / "cards"))
    _choose(screen)
    screen.expect("shred -u")
    written = sorted((home / "cards").iterdir())
    assert [path.suffix for path in written] == [".pdf", ".txt"]
    assert {path.stat().st_mode & 0o777 for path in written} == {0o600}
    assert written[0].read_bytes().startswith(b"%PDF-")
    text = written[1].read_text()
    therapist = _write_down(screen, "therapist")
    assert all(word in text for word in therapist.split())
    screen.expect("Is there a backup witness? [yes/no] ")
    screen.type("yes")
    witness = _write_down(screen, "witness")
    screen.expect("Make a recovery card? [yes/no] ")
    screen.type("yes")
    _only_in_memory(screen.pid, OWNER, therapist, witness)
    recovery = _write_down(screen, "owner", title="The owner's recovery card")
    for outcome in (
        "opened by the owner and the therapist",
        "opened by the owner and the witness",
        "refused to the owner alone",
        "refused to the therapist and the witness",
    ):
        screen.expect(outcome)
    assert screen.end() == 0
    assert list((home / "cards").iterdir()) == []
    assert verify(home / "archive").ok
    fresh = _lost_passphrase(home, recovery)
    new = _another_therapist(home, witness)
    _yearly(home, fresh, new)
    _from_elsewhere(home, fresh, new)
    secrets = (OWNER, fresh, therapist, witness, recovery, new)
    assert [
        (path, secret) for path in home.rglob("*") if path.is_file() for secret in secrets if _in(secret, path)
    ] == []
    assert verify(home / "archive").ok


def _only_in_memory(pid: int, *secrets: str) -> None:
    """While it waits: no file is mapped that a secret could be written back to, none is in sight, no core is left."""
    proc = Path(f"/proc/{pid}")
    maps = [line.split(maxsplit=5) for line in (proc / "maps").read_text().splitlines()]
    assert maps
    assert [parts for parts in maps if parts[1][1] == "w" and parts[1][3] == "s" and parts[4] != "0"] == []
    assert re.search(r"^Max core file size +0 +0 ", (proc / "limits").read_text(), re.MULTILINE)
    seen = (proc / "cmdline").read_bytes() + (proc / "environ").read_bytes()
    assert not any(secret.encode() in seen for secret in secrets)


def _in(secret: str, path: Path) -> bool:
    return secret.encode() in path.read_bytes()


def _lost_passphrase(home: Path, recovery: str) -> str:
    screen = terminal(home, "keys", "owner-passphrase")
    screen.expect("still know the passphrase? [yes/no] ")
    screen.type("no")
    screen.expect("words of the recovery card: ")
    screen.type(recovery)
    fresh = "five entirely new words together"
    _choose(screen, "new passphrase of the owner: ", fresh)
    assert screen.end() == 0
    return fresh


def _another_therapist(home: Path, witness: str) -> str:
    screen = terminal(home, "keys", "replace", "therapist")
    screen.expect("has a card with the fingerprint: ")
    screen.expect("with the present card? [yes/no] ")
    screen.type("no")
    screen.expect("words of the witness's card: ")
    screen.type(witness)
    new = _write_down(screen, "therapist")
    screen.expect("fingerprint of the new card: ")
    assert screen.end() == 0
    return new


def _yearly(home: Path, owner: str, therapist: str) -> None:
    before = (home / "archive" / "log" / "leaves").read_text().count("ceremony:attended")
    screen = terminal(home, "keys", "rehearse")
    screen.expect("Is the therapist here? [yes/no] ")
    screen.type("yes")
    screen.expect("Is the witness here? [yes/no] ")
    screen.type("no")
    screen.expect("passphrase of the owner: ")
    screen.type(owner)
    screen.expect("words of the therapist's card: ")
    screen.type(therapist)
    screen.expect("Now the owner alone. One half of the lock is missing")
    screen.expect("people tried them")
    assert screen.end() == 0
    assert (home / "archive" / "log" / "leaves").read_text().count("ceremony:attended") == before + 1


def _from_elsewhere(home: Path, owner: str, therapist: str) -> None:
    assert _run(home, "keys", "request", "all", "--out", "request.json").returncode == 0
    screen = terminal(home, "keys", "release", "request.json", "--out", "refused.json")
    screen.expect("asked for: 20")
    screen.expect("Release these days? [yes/no] ")
    screen.type("no")
    screen.expect("nothing was released")
    assert screen.end() == 77
    assert not (home / "refused.json").exists()
    screen = terminal(home, "keys", "release", "request.json", "--out", "answer.json")
    screen.expect("Release these days? [yes/no] ")
    screen.type("yes")
    screen.expect("words of the therapist's card: ")
    screen.type(therapist)
    assert screen.end() == 0
    screen = terminal(home, "keys", "accept", "answer.json")
    screen.expect("passphrase of the owner: ")
    screen.type(owner)
    screen.expect("open until 20")
    assert screen.end() == 0


def test_a_ceremony_that_is_killed_at_any_step_goes_on_and_nothing_half_made_is_used(home: Path) -> None:
    screen = terminal(home, "keys", "init")
    _choose(screen)
    screen.expect("The therapist's card")
    screen.kill()
    _not_there(home)
    screen = terminal(home, "keys", "init")
    screen.expect("Does the owner still know it? [yes/no] ")
    screen.type("yes")
    lost = _write_down(screen, "therapist")
    screen.expect("Is there a backup witness? [yes/no] ")
    screen.kill()
    _not_there(home)
    screen = terminal(home, "keys", "init")
    screen.expect("Does the owner still know it? [yes/no] ")
    screen.type("yes")
    screen.expect("Does the therapist have it? [yes/no] ")
    screen.type("no")
    card = _write_down(screen, "therapist")
    assert card != lost
    screen.expect("Is there a backup witness? [yes/no] ")
    screen.type("no")
    screen.expect("[yes/no] ")
    screen.type("yes")
    screen.expect("Make a recovery card? [yes/no] ")
    screen.type("no")
    screen.expect("passphrase of the owner: ")
    screen.type("not this")
    screen.expect("That is not it")
    screen.expect("passphrase of the owner: ")
    screen.kill()
    _not_there(home)
    screen = terminal(home, "keys", "init")
    for answer in ("yes", "yes", "no", "yes", "no"):
        screen.expect("[yes/no] ")
        screen.type(answer)
    screen.expect("passphrase of the owner: ")
    screen.type(OWNER)
    screen.expect("words of the therapist's card: ")
    screen.type(card)
    screen.expect("is ready")
    assert screen.end() == 0
    assert verify(home / "archive").ok
    assert not (home / "archive" / "ceremony").exists()


def _not_there(home: Path) -> None:
    """The daemon says that there are no keys yet."""
    done = _run(home, "poll")
    assert done.returncode == 78
    assert "no key holders yet" in done.stderr


def _run(home: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    program = [sys.executable, "-c", "import sys; from nocontactd.cli import main; sys.exit(main())"]
    return subprocess.run(
        [*program, "--config", "c.yaml", *words],
        cwd=home,
        input="",
        capture_output=True,
        text=True,
        timeout=60,
        start_new_session=True,
        check=False,
    )


def test_without_a_terminal_and_without_files_nothing_is_asked(home: Path) -> None:
    """A pipe is no place for a passphrase; the test's own terminal, if there is one, is not asked either."""
    done = _run(home, "keys", "init")
    assert done.returncode == 77
    assert "there is no terminal" in done.stderr


def test_an_interrupted_ceremony_leaves_nothing(home: Path) -> None:
    screen = terminal(home, "keys", "init")
    screen.expect("passphrase of the owner: ")
    screen.type("\x03")
    assert screen.end() == 130
    assert "Traceback" not in screen.screen
    assert not (home / "archive").exists()

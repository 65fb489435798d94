"""Two people at a terminal: the ceremony, and a first reading of what was sealed."""

import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from nocontactd.archive.history import ceremony
from nocontactd.archive.seal import Archive
from nocontactd.archive.wordlist import WORDS
from nocontactd.model import Channel
from tests.peers.terminal import Terminal
from tests.test_cli_archive import CONFIG, HOSTILE, WHY, original

OWNER = "a sentence of the owner's own"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for name, text in {"pw": "p", "c.yaml": CONFIG}.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o600)
    return tmp_path


def terminal(home: Path, *words: str) -> Terminal:
    environ = {"HOME": str(home), "XDG_STATE_HOME": str(home / "xdg"), "NOCONTACT_CONFIG": str(home / "c.yaml")}
    return Terminal(home, environ, *words)


def test_two_people_make_the_keys_and_read_together(home: Path) -> None:
    card = _ceremony(home)
    assert ceremony(home / "archive") == "attended"
    _seal_one(home)
    _reading(home, card)


def _ceremony(home: Path) -> str:
    screen = terminal(home, "keys", "init")
    screen.expect("passphrase of the owner: ")
    screen.type("short")
    screen.expect("Keep it all the same? [yes/no] ")
    screen.type("no")
    screen.expect("passphrase of the owner: ")
    screen.type(OWNER)
    screen.expect("once more: ")
    screen.type("something else")
    screen.expect("not the same")
    screen.expect("passphrase of the owner: ")
    screen.type(OWNER)
    screen.expect("once more: ")
    screen.type(OWNER)
    screen.expect("The therapist's card")
    shown = screen.expect("press Enter")
    [card] = re.findall(r"^ {4}([a-z]+(?: [a-z]+){6})\r?$", shown, re.MULTILINE)
    assert set(card.split()) <= set(WORDS)
    screen.type("")
    screen.expect("\033[3J")  # wiped, with what was scrolled off
    screen.expect("type the words from the paper: ")
    screen.type("seven words that do not stand there")
    screen.expect("not what the card says")
    screen.expect("type the words from the paper: ")
    screen.type(card.upper())
    screen.expect("Is there a backup witness? [yes/no] ")
    screen.type("no")
    screen.expect("closes the archive for ever")
    screen.expect("[yes/no] ")
    screen.type("yes")
    screen.expect("opened by the owner and the therapist")
    screen.expect("refused to the owner alone")
    screen.expect("refused to the therapist alone")
    assert screen.end() == 0
    assert screen.screen.count(card) == 1
    assert OWNER not in screen.screen
    assert "Traceback" not in screen.screen
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
    screen.type(card)
    screen.expect("subject")
    screen.expect("Enter: next")
    assert "first line" not in screen.screen, "the words are hidden until they are asked for"
    screen.type("w")
    screen.expect(r"| first line\x1b[2J")
    screen.expect("Enter: next")
    screen.type("q")
    assert screen.end() == 0
    assert "\x1b]52" not in screen.screen
    assert OWNER not in screen.screen
    assert card not in screen.screen


def test_without_a_terminal_and_without_files_nothing_is_asked(home: Path) -> None:
    """A pipe is no place for a passphrase; the test's own terminal, if there is one, is not asked either."""
    program = [sys.executable, "-c", "import sys; from nocontactd.cli import main; sys.exit(main())"]
    done = subprocess.run(
        [*program, "--config", "c.yaml", "review"],
        cwd=home,
        input="",
        capture_output=True,
        text=True,
        timeout=60,
        start_new_session=True,
        check=False,
    )
    assert done.returncode == 77
    assert "there is no terminal" in done.stderr


def test_an_interrupted_ceremony_leaves_nothing(home: Path) -> None:
    screen = terminal(home, "keys", "init")
    screen.expect("passphrase of the owner: ")
    screen.type("\x03")
    assert screen.end() == 130
    assert "Traceback" not in screen.screen
    assert not (home / "archive").exists()

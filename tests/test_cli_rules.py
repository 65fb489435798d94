"""`nocontact rules`: the block list for a mail server, printed or installed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from nocontactd.server_rule import Activate, Put
from nocontactd.sources.managesieve import SieveServer, scripts
from tests.installation import Installation
from tests.peers.dovecot import Dovecot, dovecot
from tests.test_managesieve import deliver, letter, subjects


@pytest.fixture(scope="module")
def server() -> Iterator[Dovecot]:
    with dovecot(sieve=True) as running:
        yield running


@pytest.fixture
def owner(tmp_path: Path, server: Dovecot) -> Installation:
    """An owner whose server takes scripts."""
    owner = Installation(tmp_path, server)
    text = owner.config.read_text()
    at = text.index("    password_file:")
    port = f"    sieve: {{port: {server.sieve_port}}}\n"
    owner.put("config.yaml", text[:at] + port + text[at:])
    return owner


def test_the_printed_script_is_what_is_installed(owner: Installation, server: Dovecot) -> None:
    printed = owner.nocontact("rules", "sieve")
    assert printed.returncode == 0 and "ex@abuser.example" in printed.stdout and printed.stderr == ""
    pushed = owner.nocontact("rules", "sieve", "--push", "home")
    assert (pushed.returncode, pushed.stderr) == (0, "")
    (script,) = (server.folder / "home" / owner.user / "sieve").glob("nocontact.sieve")
    assert script.read_text().split() == printed.stdout.split()


@pytest.mark.parametrize("kind", ["sieve", "gmail"])
def test_what_is_printed_for_a_server_is_utf_8_whatever_the_terminal_takes(owner: Installation, kind: str) -> None:
    owner.put("config.yaml", owner.config.read_text().replace("ex@abuser.example", "müller@abuser.example"))
    owner.environ["PYTHONIOENCODING"] = "ascii:strict"
    printed = owner.nocontact("rules", kind)
    assert printed.returncode == 0 and "müller@abuser.example" in printed.stdout


def test_a_dry_run_says_what_would_be_done_and_does_nothing(owner: Installation, server: Dovecot) -> None:
    for words in ("--push", "--undo"):
        said = owner.nocontact("rules", "sieve", words, "home", "--dry-run")
        assert said.returncode == 0
        deliver(server, owner.user, letter(words, "From: ex@abuser.example"))
    assert subjects(server, owner.user, "INBOX") == ["--push", "--undo"]


def test_what_is_pushed_works_at_once_and_what_is_undone_does_not(owner: Installation, server: Dovecot) -> None:
    said = owner.nocontact("rules", "sieve", "--push", "home").stdout
    assert said == "home: store the script nocontact\nhome: run nocontact for each delivery\n"
    deliver(server, owner.user, letter("one", "From: ex@abuser.example"))
    assert subjects(server, owner.user, "nocontact") == ["one"]
    again = owner.nocontact("rules", "sieve", "--push", "home").stdout
    assert again == "home: everything stands as it should; nothing to do\n"
    undone = owner.nocontact("rules", "sieve", "--undo", "home")
    assert undone.returncode == 0 and "the daemon installs it again" in undone.stdout
    deliver(server, owner.user, letter("two", "From: ex@abuser.example"))
    assert subjects(server, owner.user, "INBOX") == ["two"]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("gmail", "--push", "home"), "gmail takes no script over the network"),
        (("sieve", "--dry-run"), "--dry-run goes with --push or --undo"),
        (("sieve", "--push", "elsewhere"), "there is no mail source of this name"),
        (("sieve", "--push", "home", "--undo", "home"), "not allowed with"),
        (("procmail",), "invalid choice"),
        (("sieve", "--folder", "two\nlines"), "--folder"),
        (("gmail", "--folder", " "), "--folder"),
        (("sieve", "--folder", "Inbox", "--push", "home"), "--folder"),
    ],
)
def test_what_cannot_be_meant_is_refused(owner: Installation, words: tuple[str, ...], complaint: str) -> None:
    said = owner.nocontact("rules", *words)
    assert said.returncode == 2 and complaint in said.stderr and said.stdout == ""


def test_a_server_that_takes_no_scripts_is_told_without_a_traceback(owner: Installation, server: Dovecot) -> None:
    owner.put("config.yaml", owner.config.read_text().replace(str(server.sieve_port), str(server.port)))
    said = owner.nocontact("rules", "sieve", "--push", "home")
    assert said.returncode == 75 and said.stderr.startswith("nocontact: error: home: the ManageSieve server")
    assert "Traceback" not in said.stderr


def test_nothing_is_said_to_be_stored_that_was_not(tmp_path: Path, owner: Installation) -> None:
    with dovecot(sieve=True, sieve_settings="sieve_max_script_size = 100") as narrow:
        text = owner.config.read_text()
        for port, other in ((owner.server.port, narrow.port), (owner.server.sieve_port, narrow.sieve_port)):
            text = text.replace(str(port), str(other))
        owner.put("config.yaml", text)
        said = owner.nocontact("rules", "sieve", "--push", "home")
    assert (said.returncode, said.stdout) == (75, "") and "no script was changed" in said.stderr


def test_a_wrong_password_ends_with_77(owner: Installation) -> None:
    owner.put("secret", "wrong")
    assert owner.nocontact("rules", "sieve", "--push", "home").returncode == 77


def test_check_says_whether_the_rule_is_in_force(owner: Installation) -> None:
    missing = "the rule does not stand on the server as it should"
    assert missing in owner.nocontact("check").stderr
    owner.nocontact("rules", "sieve", "--push", "home")
    said = owner.nocontact("check")
    assert missing not in said.stderr and "home: in order" in said.stdout
    assert "imap4flags" not in said.stdout


def test_check_remarks_that_a_server_cannot_mark(owner: Installation) -> None:
    with dovecot(sieve=True, sieve_capability="fileinto envelope mailbox include") as poor:
        text = owner.config.read_text()
        for port, other in ((owner.server.port, poor.port), (owner.server.sieve_port, poor.sieve_port)):
            text = text.replace(str(port), str(other))
        owner.put("config.yaml", text)
        owner.nocontact("rules", "sieve", "--push", "home")
        said = owner.nocontact("check").stdout
        assert "remark: home: the server cannot mark what the rule files" in said and "home: in order" in said


def test_what_a_rule_installed_by_hand_files_by_mistake_is_put_back_too(tmp_path: Path, server: Dovecot) -> None:
    owner = Installation(tmp_path, server).with_keys()
    text = owner.config.read_text().replace("[ex@abuser.example]", '["@biz.example"]')
    at = text.index("    password_file:")
    owner.put("config.yaml", text[:at] + "    authserv_id: mx.home.example\n    folders: [INBOX]\n" + text[at:])
    there = SieveServer("home", server.host, server.sieve_port, owner.user, "none", None, token=False)
    with scripts(there, lambda: server.password) as session:
        session.carry_out([Put("by-hand", owner.nocontact("rules", "sieve").stdout), Activate("by-hand")])
    genuine = "Authentication-Results: mx.home.example; dmarc=pass header.from=met.police.uk"
    police = letter("a statement", genuine, "From: p.c@met.police.uk", "Reply-To: case@biz.example")
    deliver(server, owner.user, police, letter("hello", "From: x@biz.example"))
    assert subjects(server, owner.user, "nocontact") == ["a statement", "hello"]
    assert "filed by mistake would go back to the inbox" in owner.nocontact("plan").stdout
    assert owner.nocontact("poll").returncode == 0
    assert subjects(server, owner.user, "nocontact") == []
    assert subjects(server, owner.user, "INBOX") == ["a statement"]

"""The rule that the daemon keeps on a server: put there, put back, and never in the way of a look."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from nocontactd import server_rule
from nocontactd.errors import CredentialError
from nocontactd.kept_rule import CHECK, RETRY, KeptRule
from nocontactd.rules import rule
from nocontactd.server_rule import Activate, Put
from nocontactd.sources.managesieve import SieveServer, scripts
from tests.installation import Installation
from tests.peers.dovecot import Dovecot, dovecot
from tests.test_managesieve import deliver, letter, standing, subjects

EX, SECOND = rule("ex@abuser.example"), rule("second@abuser.example")


@pytest.fixture(scope="module")
def server() -> Iterator[Dovecot]:
    with dovecot(sieve=True) as running:
        yield running


@pytest.fixture
def there(server: Dovecot, tmp_path: Path) -> SieveServer:
    user = f"{tmp_path.name}@home.example"
    return SieveServer("home", server.host, server.sieve_port, user, "none", None, token=False)


class Kept:
    """A rule kept by a clock that the test sets."""

    def __init__(self, there: SieveServer, password: Callable[[], str]) -> None:
        self.at = 0.0
        self.sessions = 0
        self._there, self._password = there, password
        self.rule = KeptRule("home", lambda: "nocontact", self._scripts, lambda: self.at)

    def _scripts(self) -> object:
        self.sessions += 1
        return scripts(self._there, self._password)


@pytest.fixture
def kept(there: SieveServer, server: Dovecot) -> Kept:
    return Kept(there, lambda: server.password)


def test_the_rule_is_put_there_once_and_again_when_the_list_changes(
    kept: Kept, there: SieveServer, server: Dovecot
) -> None:
    assert kept.rule.keep([EX]) == ()
    assert kept.rule.keep([EX]) == ()
    assert kept.sessions == 1, "each look would log in to the script server"
    assert kept.rule.keep([EX, SECOND]) == ()
    assert "second@abuser.example" in standing(server, there).scripts["nocontact"]


@pytest.mark.parametrize(
    "meddling",
    [
        lambda: (Put("nocontact", "keep;"),),
        lambda: (Activate(None),),
        lambda: (Put("other", "keep;"), Activate("other")),
    ],
)
def test_what_somebody_else_changed_is_put_back_and_told_until_it_stands(
    kept: Kept, there: SieveServer, server: Dovecot, meddling: Callable[[], tuple[server_rule.Step, ...]]
) -> None:
    kept.rule.keep([EX])
    with scripts(there, lambda: server.password) as session:
        session.carry_out(meddling())
    assert kept.rule.keep([EX]) == (), "asked before it is due"
    kept.at = CHECK
    (problem,) = kept.rule.keep([EX])
    assert "somebody else had changed the rule" in problem.message
    assert kept.rule.keep([EX]) == (problem,)
    assert server_rule.install([EX], "nocontact", standing(server, there)) == ()
    kept.at = 2 * CHECK
    assert kept.rule.keep([EX]) == ()


def test_what_somebody_else_changed_is_told_though_the_list_changed_with_it(
    kept: Kept, there: SieveServer, server: Dovecot
) -> None:
    kept.rule.keep([EX])
    with scripts(there, lambda: server.password) as session:
        session.carry_out((Put("nocontact", "keep;"),))
    (problem,) = kept.rule.keep([EX, SECOND])
    assert "somebody else had changed the rule" in problem.message


def test_what_somebody_else_changed_while_no_daemon_ran_is_told(there: SieveServer, server: Dovecot) -> None:
    Kept(there, lambda: server.password).rule.keep([EX])
    assert Kept(there, lambda: server.password).rule.keep([EX, SECOND]) == (), "a longer list is no meddling"
    with scripts(there, lambda: server.password) as session:
        session.carry_out((Put("webmail", "keep;"), Activate("webmail")))
    (problem,) = Kept(there, lambda: server.password).rule.keep([EX])
    assert "somebody else had changed the rule" in problem.message
    assert Kept(there, lambda: server.password).rule.keep([EX]) == ()


def test_a_refused_login_is_told_and_is_not_the_mailboxs(there: SieveServer) -> None:
    """Or the source itself would rest, and its mail stand in the inbox."""
    (problem,) = Kept(there, lambda: "wrong").rule.keep([EX])
    assert "refused the login" in problem.message
    assert not isinstance(problem, CredentialError)


def test_a_server_that_is_away_is_asked_again_when_it_is_due_and_not_before(there: SieveServer) -> None:
    kept = Kept(replace(there, port=1), lambda: "secret")
    (problem,) = kept.rule.keep([EX])
    assert "cannot be reached" in problem.message
    assert kept.rule.keep([EX]) == (problem,)
    assert kept.sessions == 1, "each look at the mailbox would wait for it"
    kept.at = RETRY
    kept.rule.keep([EX])
    assert kept.sessions == 2


def test_a_server_without_the_extensions_is_told_and_left_alone(there: SieveServer) -> None:
    with dovecot(sieve=True, sieve_capability="fileinto") as poor:
        kept = Kept(replace(there, port=poor.sieve_port), lambda: poor.password)
        (problem,) = kept.rule.keep([EX])
        assert "envelope, mailbox" in problem.hint
        assert standing(poor, replace(there, port=poor.sieve_port)).scripts == {}


def test_the_daemon_keeps_the_rule_and_drains_the_folder(tmp_path: Path, server: Dovecot) -> None:
    owner = Installation(tmp_path, server).with_keys()
    text = owner.config.read_text()
    at = text.index("    password_file:")
    owner.put("config.yaml", text[:at] + f"    sieve: {{port: {server.sieve_port}}}\n" + text[at:])
    daemon = owner.daemon(tmp_path / "log")
    try:
        _within(10, lambda: list((server.folder / "home" / owner.user).glob("sieve/nocontact.sieve")))
        deliver(server, owner.user, letter("one", "From: ex@abuser.example"), letter("two", "From: a@ok.example"))
        _within(10, lambda: len(owner.acknowledged()) == 1 and not subjects(server, owner.user, "nocontact"))
        assert subjects(server, owner.user, "INBOX") == ["two"]
    finally:
        daemon.terminate()
        daemon.wait(10)


def _within(seconds: float, happened: Callable[[], object]) -> None:
    until = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < until, "it has not happened"
        time.sleep(0.05)

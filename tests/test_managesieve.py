"""The rule on a real server: Dovecot with Pigeonhole, ManageSieve and delivery over LMTP."""

import imaplib
import smtplib
from collections.abc import Iterator
from dataclasses import replace
from itertools import count

import pytest

from nocontactd import server_rule
from nocontactd.errors import CredentialError, SourceError, UnreachableError
from nocontactd.rules import rule
from nocontactd.server_rule import Put, Standing
from nocontactd.sources.managesieve import SieveServer, scripts
from tests.peers.authority import Certificate, certify
from tests.peers.dovecot import Dovecot, dovecot

OWN = 'require ["fileinto"];\nif header :contains "subject" "offer" { fileinto "Junk"; stop; }\n'
_number = count(1)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certify(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def server(certificate: Certificate) -> Iterator[Dovecot]:
    with dovecot(sieve=True, certificate=(certificate.chain, certificate.key)) as running:
        yield running


@pytest.fixture
def there(server: Dovecot) -> SieveServer:
    """A mailbox that nobody has used before."""
    user = f"owner{next(_number)}@home.example"
    return SieveServer("home", server.host, server.sieve_port, user, "none", None, token=False)


def standing(server: Dovecot, there: SieveServer) -> Standing:
    with scripts(there, lambda: server.password) as session:
        return session.standing()


def install(server: Dovecot, there: SieveServer, *entries: str) -> None:
    with scripts(there, lambda: server.password) as session:
        session.carry_out(server_rule.install([rule(each) for each in entries], "nocontact", session.standing()))


def deliver(server: Dovecot, user: str, *letters: bytes) -> None:
    with smtplib.LMTP(server.host, server.lmtp_port) as lmtp:
        for octets in letters:
            lmtp.sendmail("bounce@relay.example", [user], octets)


def subjects(server: Dovecot, user: str, folder: str) -> list[str]:
    """What stands in a folder, in the order in which it came; nothing in a folder that is not there."""
    with imaplib.IMAP4(server.host, server.port) as client:
        client.authenticate("PLAIN", lambda _: f"\0{user}\0{server.password}".encode())
        answer, exists = client.select(folder, readonly=True)
        if answer != "OK" or exists == [b"0"]:
            return []
        _, data = client.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
        return [part[1].decode("latin-1").partition(":")[2].strip() for part in data if isinstance(part, tuple)]


def letter(subject: str, *fields: str) -> bytes:
    return "\r\n".join([*fields, f"Subject: {subject}", "", "Hello.", ""]).encode()


def test_a_listed_message_never_reaches_the_inbox_and_everybody_elses_does(server: Dovecot, there: SieveServer) -> None:
    install(server, there, "ex@abuser.example", "@biz.example")
    deliver(
        server,
        there.user,
        letter("one", "From: Ex <EX@abuser.example>"),
        letter("two", "From: list@list.example", "Reply-To: ex+tag@abuser.example"),
        letter("three", "From: ex@sub.biz.example"),
        letter("four", "From: list@list.example", "X-Original-From: Ex <ex@abuser.example>"),
        letter("five", "From: friend@ok.example", "To: ex@abuser.example", "Cc: x@biz.example"),
        letter("six", "From: ex@abuser.example.org"),
        letter("seven", "From: not-ex@abuser.example"),
        letter("eight", "From: ex@notbiz.example"),
    )
    assert subjects(server, there.user, "nocontact") == ["one", "two", "three", "four"]
    assert subjects(server, there.user, "INBOX") == ["five", "six", "seven", "eight"]


def test_the_owners_script_still_runs_after_ours_and_is_as_it_was_after_an_undo(
    server: Dovecot, there: SieveServer
) -> None:
    with scripts(there, lambda: server.password) as session:
        session.carry_out([Put("own", OWN), server_rule.Activate("own")])
    before = standing(server, there)
    install(server, there, "ex@abuser.example")
    deliver(server, there.user, letter("an offer", "From: shop@ok.example"), letter("hello", "From: ex@abuser.example"))
    assert subjects(server, there.user, "Junk") == ["an offer"]
    assert subjects(server, there.user, "nocontact") == ["hello"]
    with scripts(there, lambda: server.password) as session:
        session.carry_out(server_rule.remove(session.standing()))
    assert standing(server, there) == before


def test_without_include_our_block_stands_in_the_owners_script_and_goes_again(there: SieveServer) -> None:
    with dovecot(sieve=True, sieve_capability="fileinto envelope mailbox") as plain:
        there = replace(there, port=plain.sieve_port)
        with scripts(there, lambda: plain.password) as session:
            session.carry_out([Put("own", OWN), server_rule.Activate("own")])
        before = standing(plain, there)
        install(plain, there, "ex@abuser.example")
        deliver(plain, there.user, letter("offer", "From: shop@ok.example"), letter("hello", "From: ex@abuser.example"))
        assert subjects(plain, there.user, "Junk") == ["offer"]
        assert subjects(plain, there.user, "nocontact") == ["hello"]
        with scripts(there, lambda: plain.password) as session:
            session.carry_out(server_rule.remove(session.standing()))
        assert standing(plain, there) == before


def test_it_is_encrypted_and_the_certificate_is_verified(
    server: Dovecot, there: SieveServer, certificate: Certificate
) -> None:
    there = replace(there, security="starttls")
    with pytest.raises(UnreachableError, match="not to be trusted"), scripts(there, lambda: server.password):
        pass
    there = replace(there, ca_file=certificate.authority)
    assert standing(server, there).active is None


def test_a_server_without_tls_gets_no_password(there: SieveServer) -> None:
    with dovecot(sieve=True) as plain:
        there = replace(there, port=plain.sieve_port, security="starttls")
        with pytest.raises(UnreachableError, match="offers no TLS"), scripts(there, lambda: plain.password):
            pass
        named = [line.split("user=<")[1] for line in plain.log().splitlines() if "user=<" in line]
    assert named and all(rest.startswith(">") for rest in named), "somebody began to log in"


def test_a_wrong_password_is_the_owners_to_mend(there: SieveServer) -> None:
    with pytest.raises(CredentialError, match="refused the login"), scripts(there, lambda: "wrong"):
        pass


def test_a_script_that_the_server_refuses_is_told_without_quoting_it(server: Dovecot, there: SieveServer) -> None:
    with (
        pytest.raises(SourceError, match="refused a script") as refused,
        scripts(there, lambda: server.password) as session,
    ):
        session.carry_out([Put("nocontact", 'if header "canary@abuser.example')])
    assert "canary" not in str(refused.value)

"""Login on a mailbox: encrypted and verified, or not at all; and a refusal is told from a bad day."""

import hashlib
import shutil
import socket
import ssl
import time
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from nocontactd.errors import CredentialError, NocontactError, UnreachableError
from nocontactd.sources.imap import Mailbox
from nocontactd.sources.imap.trust import trust
from nocontactd.sources.imap.wire import Patience, is_this_machine
from tests.looking import look_at
from tests.peers.authority import Certificate, certify
from tests.peers.dovecot import Dovecot, dovecot
from tests.peers.onlooker import MailServer, looking
from tests.peers.plain_imap import HangUpError, plain_imap

HURRY = Patience(connect=2, read=2, command=2, farewell=0.2)
CANARIES = ("".join(("canary", "-user")), "".join(("canary", "-secret")))  # a traceback quotes lines of this file
LETTER = b"From: nadia@friends.example\r\n\r\ntea\r\n"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certify(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def secure(certificate: Certificate) -> Iterator[Dovecot]:
    with dovecot(certificate=(certificate.chain, certificate.key)) as server:
        with looking(server) as onlooker:
            onlooker.put(LETTER)
        yield server


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Dovecot, Path]]:
    """A server with a good certificate for another host."""
    certificate = certify(tmp_path_factory.mktemp("elsewhere"), "DNS:other.example")
    with dovecot(certificate=(certificate.chain, certificate.key)) as server:
        yield server, certificate.authority


def mailbox(server: MailServer, security: str = "none", password: str | None = None, **options: object) -> Mailbox:
    secret = server.password if password is None else password
    wishes = {"host": server.host, "port": server.port, "user": server.user, "patience": HURRY, **options}
    return Mailbox("home", security=security, password=lambda: secret, **wishes)  # type: ignore[arg-type]


def port(server: Dovecot, security: str) -> int:
    return server.tls_port if security == "tls" else server.port


@pytest.mark.parametrize("security", ["tls", "starttls"])
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_mailbox_is_reached_by_a_certificate_that_the_named_authority_vouches_for(
    secure: Dovecot, certificate: Certificate, security: str, host: str
) -> None:
    box = mailbox(secure, security, host=host, port=port(secure, security), ca_file=certificate.authority)
    [envelope, *_], _ = look_at(box, {})
    original = box.fetch(envelope.ref)
    assert original
    der = ssl.PEM_cert_to_DER_cert(certificate.chain.read_text())
    assert dict(original.facts)["tls_certificate_sha256"] == hashlib.sha256(der).hexdigest()
    assert "Dovecot" in dict(original.facts)["greeting"]
    box.close()


def test_authorities_are_read_once_and_again_when_their_file_changes(certificate: Certificate, tmp_path: Path) -> None:
    file = tmp_path / "authority.pem"
    shutil.copy(certificate.authority, file)
    first = trust(file)
    assert trust(file) is first
    other = certify(tmp_path / "other")
    shutil.copy(other.authority, file)
    assert trust(file) is not first
    file.unlink()
    with pytest.raises(OSError):
        trust(file)


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_an_unknown_authority_is_refused_before_anything_is_sent(secure: Dovecot, security: str) -> None:
    with pytest.raises(UnreachableError, match="not to be trusted") as refused:
        list(mailbox(secure, security, host="localhost", port=port(secure, security)).scan({}, "r"))
    assert "ca_file" in refused.value.hint


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_a_certificate_for_another_host_is_refused(elsewhere: tuple[Dovecot, Path], security: str) -> None:
    server, authority = elsewhere
    with pytest.raises(UnreachableError, match="not to be trusted") as refused:
        box = mailbox(server, security, host="localhost", port=port(server, security), ca_file=authority)
        list(box.scan({}, "r"))
    assert "another host" in refused.value.hint
    assert "Login: user" not in server.log()


def test_a_ca_file_that_cannot_be_read_is_said_to_be(secure: Dovecot, tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match="ca_file"):
        list(mailbox(secure, "tls", port=secure.tls_port, ca_file=tmp_path / "none").scan({}, "r"))


def test_a_server_that_speaks_no_tls_where_it_should_is_not_reached() -> None:
    with plain_imap() as server, pytest.raises(UnreachableError):
        list(mailbox(server, "tls").scan({}, "r"))


def test_stripped_starttls_is_refused_and_no_secret_is_sent() -> None:
    with plain_imap() as server, pytest.raises(UnreachableError, match="STARTTLS"):
        try:
            list(mailbox(server, "starttls").scan({}, "r"))
        finally:
            assert server.commands == ["CAPABILITY"]


def test_starttls_that_is_offered_and_refused_is_no_way_around_it() -> None:
    with plain_imap(["IMAP4rev1", "STARTTLS"]) as server, pytest.raises(UnreachableError):
        server.meddle = lambda line, answer: [answer.replace(b"OK go", b"NO not now")]
        try:
            list(mailbox(server, "starttls").scan({}, "r"))
        finally:
            assert server.commands == ["CAPABILITY", "STARTTLS"]


@pytest.mark.parametrize("where", ["before", "behind"])
def test_what_was_injected_in_plain_text_around_starttls_is_forgotten(certificate: Certificate, where: str) -> None:
    forged = b'* CAPABILITY IMAP4rev1 X-GM-EXT-1 MOVE\r\n* LIST () "/" forged\r\n'
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.chain, certificate.key)

    def inject(line: str, answer: bytes) -> list[bytes]:
        if line != "STARTTLS":
            return [answer]
        return [forged + answer] if where == "before" else [answer + forged]

    with plain_imap(["IMAP4rev1", "STARTTLS"], tls=context) as server:
        server.meddle = inject
        box = mailbox(server, "starttls", host="localhost", ca_file=certificate.authority)
        try:
            session = box._connected()
        except UnreachableError:
            return  # the octets broke the handshake: as good
        assert session.capabilities == {"IMAP4REV1", "STARTTLS"}
        assert "forged" not in str(session._client._imap.untagged_responses)
        assert "forged" not in str(list(box.scan({}, "r")))
        box.close()


def test_a_server_that_greets_with_preauth_is_refused() -> None:
    with plain_imap(greeting="PREAUTH") as server, pytest.raises(UnreachableError, match="PREAUTH"):
        try:
            list(mailbox(server).scan({}, "r"))
        finally:
            assert server.commands == ["CAPABILITY"]


@pytest.mark.parametrize(
    ("address", "here"),
    [
        ("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("0.0.0.0", False), ("10.0.0.1", False),
        ("192.168.1.1", False), ("::ffff:10.0.0.1", False), ("fe80::1%eth0", False), ("2001:db8::1", False),
    ],
)  # fmt: skip
def test_only_loopback_is_this_machine(address: str, here: bool) -> None:
    assert is_this_machine(address) is here


def test_plain_text_is_not_spoken_to_another_host() -> None:
    """An address of this machine that is not loopback stands in for the other host, where there is one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing: it asks by which address one would
            address = probe.getsockname()[0]
        except OSError:
            address = "127.0.0.1"
    if is_this_machine(address):
        pytest.skip("this machine has no address but loopback")
    with socket.create_server((address, 0)) as listener, pytest.raises(UnreachableError, match="this machine only"):
        list(Mailbox(
            "home", host=address, port=listener.getsockname()[1], user="me", security="none", password=lambda: "secret"
        ).scan({}, "r"))  # fmt: skip


def test_a_wrong_secret_is_a_credential_error_that_quotes_nothing() -> None:
    with plain_imap() as server, pytest.raises(CredentialError) as refused:
        server.user, secret = CANARIES
        list(mailbox(server, password=secret).scan({}, "r"))
    assert refused.value.hint
    told = "".join(traceback.format_exception(refused.value)) + refused.value.hint
    assert not [canary for canary in CANARIES if canary in told]


@pytest.mark.parametrize("code", ["UNAVAILABLE", "INUSE", "LIMIT"])
@pytest.mark.parametrize("capability", ["AUTH=PLAIN", "NONE"])
def test_a_refusal_for_now_is_not_blamed_on_the_secret(code: str, capability: str) -> None:
    with plain_imap(["IMAP4rev1", capability]) as server, pytest.raises(UnreachableError):
        server.meddle = lambda _line, answer: [answer.replace(b"OK in", f"NO [{code}] later".encode())]
        list(mailbox(server).scan({}, "r"))


@pytest.mark.parametrize("capability", ["AUTH=PLAIN", "NONE"])
def test_a_connection_lost_at_the_login_is_not_blamed_on_the_secret(capability: str) -> None:
    def hang_up(line: str, answer: bytes) -> list[bytes]:
        if line.startswith(("LOGIN", "AUTHENTICATE")):
            raise HangUpError
        return [answer]

    with plain_imap(["IMAP4rev1", capability]) as server, pytest.raises(UnreachableError):
        server.meddle = hang_up
        list(mailbox(server).scan({}, "r"))


@pytest.mark.parametrize("secret", ["one\r\nA2 DELETE INBOX", "one\n", "nul\0"])
def test_a_secret_with_a_line_break_is_never_sent(secret: str) -> None:
    with plain_imap() as server, pytest.raises(CredentialError):
        try:
            list(mailbox(server, password=secret).scan({}, "r"))
        finally:
            assert not any(line.startswith(("LOGIN", "AUTHENTICATE", "DELETE")) for line in server.commands)


@pytest.mark.parametrize(("capability", "secret"), [("LOGINDISABLED", "secret"), ("AUTH=XOAUTH2", "Straße")])
def test_a_password_that_the_server_would_not_take_is_not_sent_and_that_is_said(capability: str, secret: str) -> None:
    with plain_imap(["IMAP4rev1", capability]) as server:
        with pytest.raises(CredentialError, match=r"^home: the server takes .*nothing was sent") as refused:
            list(mailbox(server, password=secret).scan({}, "r"))
        assert set(server.commands) == {"CAPABILITY"}
        assert refused.value.hint and secret not in str(refused.value)


def test_a_password_of_any_letters_goes_by_plain() -> None:
    with plain_imap(["IMAP4rev1", "AUTH=PLAIN"]) as server:
        server.password = "Straße 日本"
        box = mailbox(server)
        assert list(box.scan({}, "r"))
        box.close()


def test_a_missing_secret_is_said_by_whoever_looks_for_it_and_nothing_is_connected() -> None:
    def none() -> str:
        raise CredentialError("home: no secret")

    with plain_imap() as server:
        box = Mailbox("home", host=server.host, port=server.port, user="me", security="none", password=none)
        with pytest.raises(CredentialError, match="no secret"):
            list(box.scan({}, "r"))
        assert server.connections == 0


@pytest.mark.parametrize("right", [True, False])
def test_an_oauth_token_is_accepted_and_a_refused_one_is_a_credential_error(right: bool) -> None:
    with plain_imap(["IMAP4rev1", "AUTH=XOAUTH2"]) as server:
        server.password = "a-token"
        box = mailbox(server, password="a-token" if right else "expired", token=True)
        if right:
            assert list(box.scan({}, "r"))
            box.close()
        else:
            with pytest.raises(CredentialError):
                list(box.scan({}, "r"))


def test_nobody_at_the_door_is_unreachable() -> None:
    with plain_imap() as server:
        pass
    with pytest.raises(UnreachableError, match=r"^home: "):
        list(mailbox(server).scan({}, "r"))


@pytest.mark.parametrize("greeting", ["silence", "endless", "drip", "not imap", "BYE", "hangs up"])
def test_a_server_that_never_greets_properly_is_unreachable_in_time(greeting: str) -> None:
    def greet(line: str, answer: bytes) -> Iterator[bytes]:
        if greeting == "silence":
            time.sleep(3)
        while greeting == "endless":
            yield b"* OK [ALERT] " + b"x" * 60_000 + b"\r\n"
        while greeting == "drip":
            yield b"x"
            time.sleep(0.05)
        yield {"not imap": b"SSH-2.0-x\r\n", "BYE": b"* BYE busy\r\n", "hangs up": b"* O"}.get(greeting, answer)
        raise HangUpError

    with plain_imap() as server:
        server.meddle = greet
        begin = time.monotonic()
        patience = replace(HURRY, command=0.6, read=0.5)
        with pytest.raises(UnreachableError):
            list(mailbox(server, patience=patience).scan({}, "r"))
        assert time.monotonic() - begin < 2.5


def test_errors_name_the_source_and_give_a_hint() -> None:
    with plain_imap() as server:
        pass
    try:
        list(mailbox(server).scan({}, "r"))
    except NocontactError as error:
        assert error.message.startswith("home: ")
        assert error.hint
        assert str(server.port) not in error.message


def test_leaving_takes_no_longer_than_a_farewell_is_worth() -> None:
    with plain_imap() as server:
        box = mailbox(server)
        list(box.scan({}, "r"))
        server.meddle = lambda _line, _answer: (time.sleep(2), b"")[1:]  # type: ignore[func-returns-value]
        begin = time.monotonic()
        box.close()
        assert time.monotonic() - begin < 1

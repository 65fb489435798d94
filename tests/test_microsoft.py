"""Login with Microsoft: a device code once, then a refresh token that changes with each use and is never lost or told.

The real msal, over HTTPS, against an identity provider of the tests.
"""

import json
import logging
import os
import sys
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from nocontactd import state
from nocontactd.assemble import account
from nocontactd.config import MailSource, Microsoft, Secret
from nocontactd.errors import CredentialError, NocontactError, SealError, UnreachableError
from nocontactd.sources.imap import Mailbox
from nocontactd.sources.microsoft import Account, Invitation, Registration
from nocontactd.tokens import Tokens
from tests.peers.authority import Certificate, certify
from tests.peers.dovecot import dovecot
from tests.peers.identity_provider import CLIENT, TENANT, IdentityProvider, identity_provider
from tests.peers.plain_imap import plain_imap

AGAIN = "nocontact login office"


class Kept:
    """A store in memory; `broken` makes it refuse to write, as a full disk does."""

    def __init__(self) -> None:
        self.text = ""
        self.broken = False
        self._lock = threading.Lock()

    def held(self) -> threading.Lock:
        return self._lock

    def read(self) -> str:
        return self.text

    def write(self, text: str) -> None:
        if self.broken:
            raise SealError("full")
        self.text = text


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certify(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def provider(certificate: Certificate) -> Iterator[IdentityProvider]:
    with identity_provider(certificate) as running:
        yield running


@pytest.fixture
def registration(provider: IdentityProvider, certificate: Certificate) -> Registration:
    return Registration("office", CLIENT, TENANT, provider.url, AGAIN, certificate.authority)


@pytest.fixture
def store() -> Kept:
    return Kept()


def logged_in(registration: Registration, store: Kept) -> Account:
    Account(registration, store).log_in(lambda _: None)
    return Account(registration, store)


def test_the_owner_is_shown_a_code_and_once_it_is_typed_there_are_tokens(
    registration: Registration, store: Kept, provider: IdentityProvider
) -> None:
    shown: list[Invitation] = []
    provider.answers = ["authorization_pending"]
    Account(registration, store).log_in(shown.append)
    assert shown == [Invitation("https://microsoft.com/devicelogin", "ABCD-1234", 15)]
    assert Account(registration, store).token() == provider.access
    assert len(provider.requests) == 2, "a token that still holds is not asked for anew"


@pytest.mark.parametrize("error", ["authorization_declined", "access_denied", "expired_token"])
def test_a_login_that_was_declined_or_took_too_long_keeps_nothing(
    registration: Registration, store: Kept, provider: IdentityProvider, error: str
) -> None:
    provider.answers = [error]
    with pytest.raises(CredentialError, match="declined") as refused:
        Account(registration, store).log_in(lambda _: None)
    assert refused.value.hint == AGAIN
    assert store.text == ""


def test_a_code_that_nobody_types_ends_by_itself(
    registration: Registration, store: Kept, provider: IdentityProvider
) -> None:
    provider.code_lifetime, provider.answers = -5, ["authorization_pending"] * 9
    with pytest.raises(CredentialError) as refused:
        Account(registration, store).log_in(lambda _: None)
    assert refused.value.hint == AGAIN


def test_an_unknown_registration_is_named_as_what_is_wrong(
    registration: Registration, store: Kept, provider: IdentityProvider, certificate: Certificate
) -> None:
    other = Registration("office", CLIENT.replace("1", "9"), TENANT, provider.url, AGAIN, certificate.authority)
    with pytest.raises(CredentialError, match="registration") as refused:
        Account(other, store).log_in(lambda _: pytest.fail("there is no code"))
    assert "client_id" in refused.value.hint


def test_an_unknown_tenant_is_told(
    registration: Registration, store: Kept, provider: IdentityProvider, certificate: Certificate
) -> None:
    other = Registration("office", CLIENT, "organizations", provider.url, AGAIN, certificate.authority)
    with pytest.raises(UnreachableError) as refused:
        Account(other, store).log_in(lambda _: None)
    assert "tenant" in refused.value.hint


def test_a_token_that_has_run_out_is_renewed_and_the_refresh_token_changes_each_time(
    registration: Registration, store: Kept, provider: IdentityProvider
) -> None:
    provider.lifetime = 1
    logged_in(registration, store)
    tokens = [Account(registration, store).token() for _ in range(3)]
    assert tokens == ["canary-access-2", "canary-access-3", "canary-access-4"]
    used = [asked["refresh_token"] for asked in provider.requests if "refresh_token" in asked]
    assert used == ["canary-refresh-1", "canary-refresh-2", "canary-refresh-3"]


def test_a_token_that_the_server_refused_is_renewed_though_it_should_still_hold(
    registration: Registration, store: Kept, provider: IdentityProvider
) -> None:
    login = logged_in(registration, store)
    assert login.token() == login.token() == "canary-access-1"
    assert login.renewed() == "canary-access-2"
    assert login.token() == "canary-access-2"


def test_a_new_refresh_token_is_written_down_before_the_access_token_is_used(
    registration: Registration, store: Kept, provider: IdentityProvider
) -> None:
    """The disk is full for a while: the only refresh token that still works is not lost meanwhile."""
    login = logged_in(registration, store)
    store.broken = True
    with pytest.raises(SealError):
        login.renewed()
    assert "canary-refresh-2" not in store.text
    store.broken = False
    assert login.renewed() == "canary-access-3"
    assert "canary-refresh-3" in store.text


@pytest.mark.parametrize("error", ["invalid_grant", "interaction_required", "consent_required"])
def test_a_login_that_was_withdrawn_has_to_be_made_anew(
    registration: Registration, store: Kept, provider: IdentityProvider, error: str
) -> None:
    login = logged_in(registration, store)
    provider.withdrawn = error
    with pytest.raises(CredentialError) as refused:
        login.renewed()
    assert (refused.value.exit_code, refused.value.hint) == (77, AGAIN)


def test_without_a_login_nothing_is_asked_of_anybody(
    registration: Registration, store: Kept, provider: IdentityProvider
) -> None:
    with pytest.raises(CredentialError, match="nobody has logged in") as refused:
        Account(registration, store).token()
    assert refused.value.hint == AGAIN
    assert provider.requests == []


def test_an_error_that_is_not_the_owners_is_tried_again_later(
    registration: Registration, store: Kept, provider: IdentityProvider
) -> None:
    login = logged_in(registration, store)
    provider.withdrawn = "temporarily_unavailable"
    with pytest.raises(UnreachableError):
        login.renewed()


@pytest.mark.parametrize("spoilt", [b"<html>canary", b"[]", b"", b"null"])
def test_an_answer_that_is_none_is_tried_again_later(
    registration: Registration, store: Kept, provider: IdentityProvider, spoilt: bytes
) -> None:
    login = logged_in(registration, store)
    provider.spoilt = spoilt
    with pytest.raises(UnreachableError):
        login.renewed()


@pytest.mark.parametrize("status", [500, 503])
def test_a_provider_out_of_order_is_tried_again_later(
    registration: Registration, store: Kept, provider: IdentityProvider, status: int
) -> None:
    login = logged_in(registration, store)
    provider.status = status
    with pytest.raises(UnreachableError):
        login.renewed()


def test_offline_a_token_that_holds_is_enough_and_nothing_else_is(
    registration: Registration, store: Kept, provider: IdentityProvider
) -> None:
    login = logged_in(registration, store)
    login.token()
    provider.close()
    assert login.token() == provider.access
    with pytest.raises(UnreachableError):
        login.renewed()
    with pytest.raises(UnreachableError):
        Account(registration, store).log_in(lambda _: None)


def test_a_provider_that_nobody_vouches_for_is_told_nothing(store: Kept, provider: IdentityProvider) -> None:
    stranger = Registration("office", CLIENT, TENANT, provider.url, AGAIN)
    with pytest.raises(UnreachableError):
        Account(stranger, store).log_in(lambda _: None)
    assert provider.requests == []


def test_nothing_that_msal_logs_or_raises_tells_an_account_or_a_token(
    registration: Registration, store: Kept, provider: IdentityProvider, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    login = logged_in(registration, store)
    told = ""
    for provider.withdrawn, provider.spoilt in (("invalid_grant", None), ("", b"<html>canary-page me@outlook.example")):
        with pytest.raises(NocontactError) as refused:
            login.renewed()
        told += "".join(traceback.format_exception(refused.value)) + refused.value.hint
    assert [word for word in ("canary", "me@outlook", "ABCD-1234") if word in told + caplog.text] == []


def test_without_the_library_the_owner_is_told_what_to_install(
    registration: Registration, store: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "msal.exceptions", None)
    with pytest.raises(CredentialError, match="msal") as missing:
        Account(registration, store).token()
    assert "nocontactd[microsoft]" in missing.value.hint


# --- at rest ---


def environment(tmp_path: Path, **more: str) -> dict[str, str]:
    fail = {"PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"}
    return {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **fail, **more}


@pytest.fixture
def tokens(tmp_path: Path) -> Tokens:
    return Tokens("office", tmp_path / "state", environment(tmp_path))


def test_what_is_kept_is_whole_private_and_sealed(tokens: Tokens, tmp_path: Path) -> None:
    with tokens.held():
        assert tokens.read() == ""
        tokens.write("canary-one")
        tokens.write("canary-two")
        assert tokens.read() == "canary-two"
    files = [path for path in (tmp_path / "state").rglob("*") if path.is_file()]
    assert sorted(path.name for path in files) == ["key", "sealed"]
    assert [path for path in files if b"canary" in path.read_bytes() or path.stat().st_mode & 0o077] == []


def test_with_a_credential_the_key_is_nowhere_in_the_state(tmp_path: Path) -> None:
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials" / "office").write_text("a key that systemd keeps")
    kept = Tokens(
        "office", tmp_path / "state", environment(tmp_path, CREDENTIALS_DIRECTORY=str(tmp_path / "credentials"))
    )
    kept.held().__enter__()
    kept.write("canary")
    assert kept.read() == "canary"
    assert [path.name for path in (tmp_path / "state").rglob("*") if path.is_file()] == ["sealed"]
    with pytest.raises(CredentialError, match="credential") as lost:
        Tokens("office", tmp_path / "state", environment(tmp_path)).read()
    assert lost.value.hint == AGAIN


def test_tokens_of_before_the_credential_are_still_read_and_move_under_it_when_they_change(
    tokens: Tokens, tmp_path: Path
) -> None:
    with tokens.held():
        tokens.write("canary")
    (tmp_path / "office").write_text("a key that systemd keeps")
    later = Tokens("office", tmp_path / "state", environment(tmp_path, CREDENTIALS_DIRECTORY=str(tmp_path)))
    assert later.read() == "canary"
    later.write("another")
    assert json.loads((tmp_path / "state/tokens/office/sealed").read_text())["key"] == "credential"
    assert later.read() == "another"


@pytest.mark.parametrize("harm", ["cut", "flipped", "no key", "not json", "another's"])
def test_tokens_that_cannot_be_opened_are_an_error_and_not_an_empty_file(
    tokens: Tokens, tmp_path: Path, harm: str
) -> None:
    with tokens.held():
        tokens.write("canary")
    file, key = (tmp_path / "state/tokens/office" / name for name in ("sealed", "key"))
    text = file.read_text()
    if harm == "no key":
        key.unlink()
    elif harm == "another's":
        key.write_text("another key")
    else:
        file.write_text({"cut": text[:40], "flipped": text.replace("gAAA", "gAAB"), "not json": "{}"}[harm])
    with pytest.raises(CredentialError) as lost:
        tokens.read()
    assert lost.value.hint == AGAIN
    tokens.write("after a new login")
    assert tokens.read() == "after a new login"


def test_two_are_never_at_the_tokens_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads of one daemon, and the owner's tool: whoever comes second waits, and gives up in the end."""
    monkeypatch.setattr("nocontactd.tokens.WAIT", 0.2)
    one, other = (Tokens("office", tmp_path / "state", environment(tmp_path)) for _ in range(2))
    with one.held(), pytest.raises(UnreachableError, match="another process"), other.held():
        pytest.fail("both are inside")
    with other.held():
        pass


def test_a_state_that_cannot_be_written_is_no_death_of_a_thread(tokens: Tokens, tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file stands where the folder should")
    with pytest.raises(UnreachableError), tokens.held():
        pytest.fail("there is no place")


# --- at the mailbox ---


def section(server: object, provider: IdentityProvider, certificate: Certificate, **more: object) -> MailSource:
    said = {"host": "localhost", "port": server.tls_port, "security": "tls", "ca_file": certificate.authority}  # type: ignore[attr-defined]
    secret = Secret(microsoft=Microsoft(CLIENT, TENANT, provider.url))
    rest = {"folders": None, "never_touch": (), "every": 60.0, "authserv_id": None, "secret": secret}
    return MailSource("office", user="me@home.example", **{**said, **rest, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize("mechanism", ["oauthbearer", "xoauth2"])
def test_from_the_device_code_to_a_folder_of_a_real_server(
    certificate: Certificate, provider: IdentityProvider, tmp_path: Path, mechanism: str
) -> None:
    pair = (certificate.chain, certificate.key)
    with dovecot(certificate=pair, password="canary-access-1", mechanisms=f"plain {mechanism}") as server:
        login = account(section(server, provider, certificate), Microsoft(CLIENT, TENANT, provider.url),
                        tmp_path / "state", environment(tmp_path))  # fmt: skip
        login.log_in(lambda _: None)
        there = Mailbox(
            "office", host="localhost", port=server.tls_port, user="me@home.example", security="tls",
            password=login.token, renewed=login.renewed, token=True, ca_file=certificate.authority,
        )  # fmt: skip
        assert there.check() == ()
        there.close()
        assert f"method={mechanism.upper()}" in server.log()


def test_an_expired_token_is_replaced_once_before_the_login_counts_as_refused(
    registration: Registration, store: Kept, provider: IdentityProvider
) -> None:
    login = logged_in(registration, store)
    with plain_imap(["IMAP4rev1", "AUTH=XOAUTH2"]) as server:
        there = Mailbox("office", host=server.host, port=server.port, user=server.user, security="none",
                        password=login.token, renewed=login.renewed, token=True)  # fmt: skip
        server.password = "canary-access-2"
        assert list(there.scan({}, "r"))
        server.password = "another account's"
        there.close()
        with pytest.raises(CredentialError) as refused:
            list(there.scan({}, "r"))
        assert AGAIN in refused.value.hint
        assert len([line for line in server.commands if line.startswith("AUTHENTICATE")]) == 4


def test_a_token_that_expires_in_mid_session_is_replaced_at_the_next_connection() -> None:
    printed = iter(["first", "second", "third"])
    with plain_imap(["IMAP4rev1", "AUTH=OAUTHBEARER"]) as server:
        server.user, server.password = "a=b,c", "first"
        there = Mailbox("office", host=server.host, port=server.port, user=server.user, security="none",
                        password=lambda: next(printed), token=True)  # fmt: skip
        assert list(there.scan({}, "r"))
        server.password = "second"
        there.close()
        assert list(there.scan({}, "r"))
        there.close()


def test_a_command_that_prints_the_refused_token_again_is_not_tried_twice() -> None:
    with plain_imap(["IMAP4rev1", "AUTH=XOAUTH2"]) as server:
        there = Mailbox("office", host=server.host, port=server.port, user=server.user, security="none",
                        password=lambda: "stale", token=True)  # fmt: skip
        with pytest.raises(CredentialError):
            list(there.scan({}, "r"))
        assert len([line for line in server.commands if line.startswith("AUTHENTICATE")]) == 1


def test_a_server_that_takes_no_tokens_is_sent_none() -> None:
    with plain_imap(["IMAP4rev1", "AUTH=PLAIN"]) as server:
        there = Mailbox("office", host=server.host, port=server.port, user=server.user, security="none",
                        password=lambda: "canary", token=True)  # fmt: skip
        with pytest.raises(CredentialError, match="takes no token"):
            list(there.scan({}, "r"))
        assert not [line for line in server.commands if line.startswith(("AUTHENTICATE", "LOGIN"))]


def test_tokens_lie_where_the_state_is(tmp_path: Path, provider: IdentityProvider, certificate: Certificate) -> None:
    with plain_imap() as server:
        server.tls_port = server.port  # type: ignore[attr-defined]
        said = section(server, provider, certificate)
        assert said.secret.microsoft
        account(said, said.secret.microsoft, tmp_path / "state", environment(tmp_path)).log_in(lambda _: None)
    assert state.read(tmp_path / "state/tokens/office/sealed")

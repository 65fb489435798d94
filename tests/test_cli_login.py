"""`nocontact login`, from the code on the screen to a mailbox that lets the owner's tool in, and out again."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.installation import NOCONTACT
from tests.peers.authority import Certificate, certify
from tests.peers.dovecot import Dovecot, dovecot
from tests.peers.identity_provider import CLIENT, TENANT, IdentityProvider, identity_provider
from tests.peers.terminal import Terminal

CONFIG = """\
blocked:
  - mail: [ex@abuser.example]
mail:
  - source: office
    host: localhost
    port: {port}
    ca_file: {authority}
    user: me@home.example
    microsoft: {{client_id: {client}, tenant: {tenant}, authority: "{url}"}}
state: {{path: state}}
archive: {{path: archive}}
"""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certify(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def server(certificate: Certificate) -> Iterator[Dovecot]:
    pair = (certificate.chain, certificate.key)
    with dovecot(certificate=pair, password="canary-access-2", mechanisms="plain oauthbearer xoauth2") as running:
        yield running


@pytest.fixture
def provider(certificate: Certificate) -> Iterator[IdentityProvider]:
    with identity_provider(certificate) as running:
        yield running


class Owner:
    """An owner with a mailbox at this provider."""

    def __init__(self, folder: Path, server: Dovecot, provider: IdentityProvider, certificate: Certificate) -> None:
        self.folder = folder
        facts = {"port": server.tls_port, "authority": certificate.authority, "url": provider.url}
        (folder / "c.yaml").write_text(CONFIG.format(client=CLIENT, tenant=TENANT, **facts))
        (folder / "c.yaml").chmod(0o600)
        fail = {"PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring", "NOCONTACT_LOG": "DEBUG"}
        self.environ = {"PATH": os.environ["PATH"], "HOME": str(folder), **fail}

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*NOCONTACT, "--config", "c.yaml", *words],
            env=self.environ, cwd=self.folder, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip


@pytest.fixture
def owner(tmp_path: Path, server: Dovecot, provider: IdentityProvider, certificate: Certificate) -> Owner:
    return Owner(tmp_path, server, provider, certificate)


def test_the_owner_logs_in_and_the_mailbox_opens_until_the_login_is_withdrawn(
    owner: Owner, provider: IdentityProvider, server: Dovecot
) -> None:
    before = owner.run("plan")
    assert before.returncode == 77
    assert "hint: nocontact login office" in before.stderr
    provider.answers, provider.lifetime = ["authorization_pending"], 1
    done = owner.run("login", "office")
    assert done.returncode == 0, done.stderr
    assert "https://microsoft.com/devicelogin\n" in done.stdout
    assert "ABCD-1234\n" in done.stdout
    assert owner.run("plan").returncode == 0
    assert "method=OAUTHBEARER" in server.log()
    provider.withdrawn = "invalid_grant"
    after = owner.run("plan")
    assert after.returncode == 77
    assert "hint: nocontact login office" in after.stderr
    told = before.stderr + done.stdout + done.stderr + after.stdout + after.stderr
    assert "canary" not in told
    files = [path for path in owner.folder.rglob("*") if path.is_file()]
    assert [path for path in files if b"canary" in path.read_bytes()] == []


def test_setup_at_a_terminal_goes_through_the_login_and_ends_with_a_mailbox_in_order(
    owner: Owner, provider: IdentityProvider, server: Dovecot, certificate: Certificate
) -> None:
    (owner.folder / "c.yaml").unlink()
    provider.lifetime = 1  # so the token that the mailbox wants is the second one
    for name in ("owner", "therapist"):
        (owner.folder / name).write_text(f"the {name}'s own sentence")
    there = ["--host", "localhost", "--port", str(server.tls_port), "--ca-file", str(certificate.authority)]
    login = ["--microsoft-client-id", CLIENT, "--tenant", TENANT, "--authority", provider.url, "--user", server.user]
    rest = [
        "--security",
        "tls",
        "--source",
        "office",
        "--person",
        "A.",
        "--block",
        "ex@abuser.example",
        "--delay",
        "7d",
    ]
    keys = ["--owner-passphrase-file", "owner", "--therapist-passphrase-file", "therapist"]
    words = ["setup", *there, *login, *rest, *keys, "--archive", "archive", "--no-unit"]
    screen = Terminal(owner.folder, owner.environ | {"TERM": "dumb"}, "--config", "c.yaml", *words)
    for question, answer in (
        ("Your mail address: ", "me@outlook.example"),
        ("mailbox?", "no"),
        ("person?", "no"),
        ("Twilio?", "no"),
    ):
        screen.expect(question)
        screen.type(answer)
    screen.expect("is ready; it opens for the owner and the therapist")
    screen.expect("ABCD-1234")
    screen.expect("office: logged in")
    screen.expect("office: in order")
    assert screen.end() == 0, screen.screen
    assert "canary" not in screen.screen


def test_a_declined_login_ends_with_77_and_keeps_nothing(owner: Owner, provider: IdentityProvider) -> None:
    provider.answers = ["authorization_declined"]
    done = owner.run("login", "office")
    assert done.returncode == 77
    assert "hint: nocontact login office" in done.stderr
    assert not (owner.folder / "state/tokens/office/sealed").exists()


def test_offline_it_says_so_and_that_it_can_be_tried_again(owner: Owner, provider: IdentityProvider) -> None:
    provider.close()
    done = owner.run("login", "office")
    assert done.returncode == 75
    assert "office: Microsoft's login cannot be reached" in done.stderr


def test_a_source_that_is_none_or_takes_a_password_is_a_usage_error(owner: Owner) -> None:
    file = owner.folder / "c.yaml"
    file.write_text(file.read_text().replace("state:", "  - {source: home, host: h.example, user: me}\nstate:"))
    assert (owner.run("login", "nobody").returncode, owner.run("login").returncode) == (2, 2)
    done = owner.run("login", "home")
    assert done.returncode == 2
    assert "no `microsoft:`" in done.stderr

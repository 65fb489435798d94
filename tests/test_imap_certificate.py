"""A certificate that is not to be trusted: refused before a word is said, and told by what the owner can compare."""

import hashlib
import re
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from nocontactd.errors import UnreachableError
from nocontactd.sources.imap.wire import Patience
from tests.installation import Installation
from tests.peers.authority import Certificate, certify, self_signed
from tests.peers.faulty import CLIENT, BadNetwork, bad_network
from tests.peers.plain_imap import PlainImap, plain_imap
from tests.test_imap_login import mailbox

CASES = {
    "self-signed": "no known authority",
    "by an authority that nobody knows": "no known authority",
    "for another host": "another host",
    "expired": "expired",
    "not yet valid": "not valid yet",
}


def made(folder: Path, case: str) -> tuple[Certificate, Path | None]:
    """A server's certificate, and what ca_file names."""
    if case == "self-signed":
        return self_signed(folder), None
    if case == "by an authority that nobody knows":
        return certify(folder), None
    names = "other.example" if case == "for another host" else "localhost"
    days = {"expired": (-9, -2), "not yet valid": (3, 9)}.get(case, (-1, 2))
    found = self_signed(folder, names, days)
    return found, found.chain


@contextmanager
def serving(certificate: Certificate, security: str) -> Iterator[tuple[PlainImap, BadNetwork]]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.chain, certificate.key)
    with (
        plain_imap(["IMAP4rev1", "STARTTLS"], tls=context, implicit=security == "tls") as server,
        bad_network(server.host, server.port) as network,
    ):
        yield server, network


@pytest.mark.parametrize("security", ["tls", "starttls"])
@pytest.mark.parametrize("case", CASES)
def test_a_certificate_that_is_not_to_be_trusted_is_refused_and_told_by_its_fingerprint(
    tmp_path: Path, case: str, security: str
) -> None:
    certificate, ca_file = made(tmp_path, case)
    with serving(certificate, security) as (server, network):
        box = mailbox(server, security, host="localhost", port=network.port, ca_file=ca_file)
        with pytest.raises(
            UnreachableError, match=r"^home: the server's certificate is not to be trusted; nothing was"
        ) as no:
            list(box.scan({}, "r"))
        assert CASES[case] in no.value.hint
        der = ssl.PEM_cert_to_DER_cert(certificate.chain.read_text())
        assert hashlib.sha256(der).hexdigest() in no.value.hint.replace(":", "").lower()
        assert {command.split()[0] for command in server.commands} <= {"CAPABILITY", "STARTTLS"}
        assert server.password.encode() not in network.said[CLIENT]
        assert network.connections == 2  # that one, and one that asks for the certificate


def test_the_fingerprint_is_spelled_as_openssl_spells_it_and_helps_to_set_ca_file_right(tmp_path: Path) -> None:
    certificate = self_signed(tmp_path)
    with serving(certificate, "tls") as (server, network):
        with pytest.raises(UnreachableError) as refused:
            list(mailbox(server, "tls", host="localhost", port=network.port).scan({}, "r"))
        asked = ["openssl", "x509", "-noout", "-fingerprint", "-sha256", "-in", str(certificate.chain)]
        said = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip().partition("=")[2]
        assert said in refused.value.hint
        box = mailbox(server, "tls", host="localhost", port=network.port, ca_file=certificate.chain)
        assert list(box.scan({}, "r"))
        box.close()


def test_a_server_that_shows_its_certificate_once_only_is_refused_all_the_same(tmp_path: Path) -> None:
    with serving(self_signed(tmp_path), "tls") as (server, network):
        box = mailbox(server, "tls", host="localhost", port=network.port)

        def let_nobody_else_in(octets: bytes) -> bytes:
            server.lock_the_door()
            return octets

        network.rewrite = let_nobody_else_in
        with pytest.raises(UnreachableError, match="not to be trusted") as refused:
            list(box.scan({}, "r"))
        assert not re.search("SHA-256", refused.value.hint)


def test_a_server_that_falls_silent_when_asked_for_its_certificate_holds_nothing_up(tmp_path: Path) -> None:
    with serving(self_signed(tmp_path), "tls") as (server, network):
        patience = Patience(connect=0.3, read=60, command=300)
        box = mailbox(server, "tls", host="localhost", port=network.port, patience=patience)
        network.rewrite = lambda octets: octets if network.connections == 1 else b""
        begin = time.monotonic()
        with pytest.raises(UnreachableError, match="not to be trusted"):
            list(box.scan({}, "r"))
        assert time.monotonic() - begin < 3


def test_check_tells_the_owner_the_fingerprint(tmp_path: Path) -> None:
    certificate = self_signed(tmp_path / "certificate")
    with serving(certificate, "tls") as (server, network):
        place = Installation(tmp_path / "place", cast(Any, server), user=server.user)
        text = place.config.read_text().replace(f"host: {server.host}", "host: localhost")
        place.config.write_text(
            text.replace("security: none", "security: tls").replace(str(server.port), str(network.port))
        )
        done = place.nocontact("check")
    said = " ".join(done.stderr.split())
    assert done.returncode and "Traceback" not in said
    assert "nocontact: error: home: the server's certificate is not to be trusted; nothing was sent" in said
    fingerprint = hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate.chain.read_text())).hexdigest().upper()
    assert (
        "hint: no known authority vouches for it" in said
        and f"SHA-256 {':'.join(re.findall('..', fingerprint))}" in said
    )

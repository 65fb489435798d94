"""A server's Sieve scripts over ManageSieve (RFC 5804): encrypted and verified, or not at all.

sievelib speaks the protocol; here are the certificate check, the limits and the translation of
what goes wrong. No answer of the server is repeated: it may quote a script.
"""

import re
import socket
import ssl
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from sievelib.managesieve import Client, Error

from nocontactd.errors import CredentialError, SourceError, UnreachableError
from nocontactd.server_rule import Activate, Delete, Put, Standing, Step

PORT = 4190
PATIENCE = 30.0
"""Seconds for one answer."""


@dataclass(frozen=True, slots=True)
class SieveServer:
    """Where a mailbox's scripts are, and how they are reached."""

    source: str
    """The label of the source, for messages."""
    host: str
    port: int
    user: str
    security: str
    """tls, starttls, or none (to loopback only)."""
    ca_file: Path | None
    token: bool
    """The secret is an OAuth access token."""


class Scripts:
    """The scripts of one mailbox, over one session."""

    def __init__(self, client: "_Client", source: str) -> None:
        self._client = client
        self._source = source

    def standing(self) -> Standing:
        """Everything that is there."""
        with _answering(self._source):
            active, others = _listed(self._client.listscripts())
            names = [*others, *([active] if active else [])]
            scripts = {name: text for name in names if (text := self._client.getscript(name)) is not None}
            return Standing(active, scripts, frozenset(self._client.get_sieve_capabilities()))

    def carry_out(self, steps: Iterable[Step]) -> None:
        """One step after the other; SourceError at the first that the server refuses."""
        for step in steps:
            with _answering(self._source):
                done = self._one(step)
            if not done:
                raise SourceError(
                    f"{self._source}: the server refused a script; what was done before it stands",
                    "`nocontact rules sieve --undo` takes it away again",
                )

    def _one(self, step: Step) -> bool:
        if isinstance(step, Put):
            return bool(self._client.putscript(step.name, step.text))
        if isinstance(step, Activate):
            return bool(self._client.setactive(step.name or ""))
        if isinstance(step, Delete):
            return bool(self._client.deletescript(step.name))
        raise TypeError(step)


@contextmanager
def scripts(server: SieveServer, secret: Callable[[], str]) -> Iterator[Scripts]:
    """Connect, encrypt, log in. UnreachableError; CredentialError: refused, or no secret to be had."""
    password = secret()
    if re.search(r"[\r\n\0]", password):
        raise CredentialError(f"{server.source}: its secret has a line break or a NUL in it; it was not sent")
    client = _Client(server)
    try:
        with _reaching(server.source):
            let_in = client.log_in(password)
        if not let_in:
            raise CredentialError(f"{server.source}: the ManageSieve server refused the login; no script was changed")
        yield Scripts(client, server.source)
    finally:
        client.end()


class _Client(Client):  # type: ignore[misc]  # published without types
    """sievelib's, over a connection that is verified as IMAP's is, and bounded."""

    read_timeout = PATIENCE

    def __init__(self, server: SieveServer) -> None:
        self.sock: socket.socket | None
        super().__init__(server.host, server.port)
        self._server = server
        self._context = None if server.security == "none" else ssl.create_default_context(cafile=server.ca_file)

    def log_in(self, password: str) -> bool:
        socket.create_connection((self._server.host, self._server.port), PATIENCE).close()  # sievelib's has no limit
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of plain text, which is for loopback alone
            return bool(
                self.connect(
                    self._server.user,
                    password,
                    starttls=self._server.security == "starttls",
                    ssl=self._server.security == "tls",
                    authmech="OAUTHBEARER" if self._server.token else "PLAIN",
                )
            )

    def end(self) -> None:
        with suppress(Error, OSError):
            if self.authenticated:
                self.logout()
        with suppress(OSError):
            if self.sock is not None:
                self.sock.close()
        self.sock = None

    def _Client__enable_ssl(self, keyfile: str | None = None, certfile: str | None = None) -> None:  # noqa: N802
        """sievelib's knows the system's authorities only, and keeps what came before TLS (RFC 5804, 2.2)."""
        self._Client__read_buffer = b""
        assert self._context and self.sock
        self.sock = self._context.wrap_socket(self.sock, server_hostname=self._server.host)


def _listed(answer: object) -> tuple[str | None, list[str]]:
    if not isinstance(answer, tuple):
        raise Error("no list")
    active, others = answer
    return active, others


@contextmanager
def _reaching(source: str) -> Iterator[None]:
    try:
        yield
    except ssl.SSLCertVerificationError:
        raise UnreachableError(
            f"{source}: the ManageSieve server's certificate is not to be trusted; no password was sent",
            "if it is your own server's, name its authority in ca_file",
        ) from None
    except (Error, OSError, ValueError, LookupError):
        raise UnreachableError(
            f"{source}: the ManageSieve server cannot be reached, or offers no TLS; nothing was changed",
            "are its host, port (4190) and security right? many providers have no ManageSieve",
        ) from None


@contextmanager
def _answering(source: str) -> Iterator[None]:
    try:
        yield
    except (Error, OSError, ValueError, LookupError, AttributeError, TypeError):
        raise UnreachableError(f"{source}: the ManageSieve server broke off or answered what cannot be read") from None

"""A server's Sieve scripts over ManageSieve (RFC 5804): encrypted and verified, or not at all.

sievelib speaks the protocol; here are the certificate check, the limits and the translation of
what goes wrong. No answer of the server is repeated: it may quote a script. What is not as it was
when the steps were planned is not written over.
"""

import re
import socket
import ssl
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Timer

from sievelib.managesieve import Client, Error

from nocontactd.errors import CredentialError, SourceError, UnreachableError
from nocontactd.server_rule import FIRST, OURS, Activate, Delete, Put, Standing, Step

PORT = 4190
PATIENCE = 30.0
"""Seconds until a server is reached."""
DEADLINE = 120.0
"""Seconds for a whole session: a server that never ends its answer must not hold up the mailbox."""
MOST = 16 * 1024 * 1024
"""Octets of a whole session, both ways."""


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
        self._shown: Standing | None = None
        """What steps are planned by."""

    def standing(self) -> Standing:
        """Everything that is there."""
        with _answering(self._source):
            active, names = self._client.listed()
            texts = {name: text for name in names if (text := self._client.getscript(name)) is not None}
            if active is not None and active not in texts:
                raise Error("the script that runs cannot be read")
            self._shown = Standing(active, texts, frozenset(self._client.get_sieve_capabilities()))
            return self._shown

    def carry_out(self, steps: Iterable[Step]) -> None:
        """One step after the other; SourceError at the first that the server refuses, or that has no room."""
        steps = tuple(steps)
        with _answering(self._source):
            room = all(self._room(step) for step in steps)
        if not room:
            raise SourceError(
                f"{self._source}: the server has no room for the rule; no script was changed",
                "delete scripts that are not needed, or ask the provider for more room",
            )
        for step in steps:
            with _answering(self._source):
                stands, done = self._as_shown(step), False
                done = stands and self._one(step)
            if not stands:
                raise SourceError(
                    f"{self._source}: somebody changed a script just now; it was not written over",
                    "what was done before that stands; try again",
                )
            if not done:
                raise SourceError(
                    f"{self._source}: the server refused a script; what was done before it stands",
                    "`nocontact rules sieve --undo` takes it away again",
                )

    def _room(self, step: Step) -> bool:
        """Whether the server would take it (RFC 5804, 2.5), asked before anything is done."""
        return not isinstance(step, Put) or self._client.does(
            "HAVESPACE", step.name.encode(), max(1, len(_crlf(step.text)))
        )

    def _as_shown(self, step: Step) -> bool:
        """Whether what this step takes the place of is still what it was planned by."""
        if self._shown is None or isinstance(step, Delete):
            return True
        if isinstance(step, Activate):
            return self._client.listed()[0] == self._shown.active
        if step.name in {OURS, FIRST}:
            return True
        _, names = self._client.listed()
        return (self._client.getscript(step.name) if step.name in names else None) == self._shown.scripts.get(step.name)

    def _one(self, step: Step) -> bool:
        if isinstance(step, Put):
            return self._client.does("PUTSCRIPT", step.name.encode(), _literal(step.text))
        if isinstance(step, Activate):
            return self._client.does("SETACTIVE", (step.name or "").encode())
        if isinstance(step, Delete):
            return self._client.does("DELETESCRIPT", step.name.encode())
        raise TypeError(step)


@contextmanager
def scripts(server: SieveServer, secret: Callable[[], str], deadline: float = DEADLINE) -> Iterator[Scripts]:
    """Connect, encrypt, log in. UnreachableError; CredentialError: refused, or no secret to be had."""
    password = secret()
    if re.search(r"[\r\n\0]", password):
        raise CredentialError(f"{server.source}: its secret has a line break or a NUL in it; it was not sent")
    client = _Client(server)
    watchdog = Timer(deadline, client.hang_up)
    watchdog.daemon = True
    watchdog.start()
    try:
        with _reaching(server.source):
            let_in = client.log_in(password)
        if not let_in:
            raise CredentialError(f"{server.source}: the ManageSieve server refused the login; no script was changed")
        yield Scripts(client, server.source)
    finally:
        watchdog.cancel()
        client.end()


class _Client(Client):  # type: ignore[misc]  # published without types
    """sievelib's, over a connection that is verified as IMAP's is, and bounded."""

    read_timeout = PATIENCE

    def __init__(self, server: SieveServer) -> None:
        self.sock: socket.socket | None
        super().__init__(server.host, server.port)
        self._server = server
        self._exchanged = 0
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

    def does(self, command: str, *arguments: bytes | int) -> bool:
        """Whether the server did it. Warnings about a script come with an OK, and sievelib leaves them unread."""
        code, said = self._Client__send_command(command, list(arguments))
        if code == "OK" and (more := re.search(r"\{(\d+)\+?\}\Z", said or "")):
            self._Client__read_block(int(more[1]) + 2)
        return bool(code == "OK")

    def listed(self) -> tuple[str | None, list[str]]:
        """The name of the script that runs, and all names. sievelib's reading loses those with a quotation mark."""
        code, _, said = self._Client__send_command("LISTSCRIPTS", withcontent=True)
        found = [_LISTED.fullmatch(line) for line in said.decode().split("\r\n") if line]
        if code != "OK" or not all(found):
            raise Error("no list")
        names = [(re.sub(r"\\(.)", r"\1", match[1]), bool(match[2])) for match in found if match]
        return next((name for name, active in names if active), None), [name for name, _ in names]

    def getscript(self, name: str) -> str | None:
        """Its text, with LF for each line end and the last one as it is; sievelib's takes that away."""
        code, _, said = self._Client__send_command("GETSCRIPT", [name.encode()], withcontent=True)
        if code != "OK":
            return None
        text = said.decode().replace("\r\n", "\n")
        return re.sub(r"\\(.)", r"\1", text[1:-2]) if text.startswith('"') else text  # a Sieve script never does

    def hang_up(self) -> None:
        """End the connection under whoever reads from it, in another thread."""
        with suppress(OSError):
            if self.sock is not None:
                socket.socket.shutdown(self.sock, socket.SHUT_RDWR)  # a TLS socket's own would go on in plain text

    def end(self) -> None:
        with suppress(Error, OSError):
            if self.authenticated:
                self.logout()
        with suppress(OSError):
            if self.sock is not None:
                self.sock.close()
        self.sock = None

    def _Client__dprint(self, octets: bytes) -> None:  # noqa: N802
        """Whatever sievelib sends or receives passes here, for its own debugging."""
        self._exchanged += len(octets)
        if self._exchanged > MOST:
            raise Error("more than any scripts hold")

    def _Client__enable_ssl(self, keyfile: str | None = None, certfile: str | None = None) -> None:  # noqa: N802
        """sievelib's knows the system's authorities only, and keeps what came before TLS (RFC 5804, 2.2)."""
        self._Client__read_buffer = b""
        assert self._context and self.sock
        self.sock = self._context.wrap_socket(self.sock, server_hostname=self._server.host)


_LISTED = re.compile(r'"((?:[^"\\]|\\.)*)"( ACTIVE)? *', re.IGNORECASE)
"""One line of LISTSCRIPTS (RFC 5804, 2.7); a name that comes as a literal is not read, and then nothing is done."""


def _crlf(text: str) -> bytes:
    """As it goes out (RFC 5228, 2.1)."""
    return re.sub("\r?\n", "\r\n", text).encode()


def _literal(text: str) -> bytes:
    octets = _crlf(text)
    return b"{%d+}\r\n" % len(octets) + octets


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

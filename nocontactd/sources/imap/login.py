"""From nothing to a logged-in session: encrypted and verified, or not at all.

No octet of a login is sent before TLS stands, except to this machine itself; what can be stripped,
forged or injected before it is refused or forgotten.
"""

import logging
import re
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import imapclient
from imapclient.exceptions import CapabilityError, IMAPClientAbortError, IMAPClientError

from nocontactd.errors import CredentialError, UnreachableError
from nocontactd.sources.imap.session import LostError, RefusedError, Session
from nocontactd.sources.imap.wire import Patience, PlainTextError, Wire


@dataclass(frozen=True, slots=True)
class Server:
    """Where a mailbox is, and how it is reached."""

    source: str
    """The label of the source, for messages."""
    host: str
    port: int
    user: str
    security: str
    """tls, starttls, or none (to loopback only)."""
    ca_file: Path | None
    token: bool
    """The secret is an OAuth access token (XOAUTH2)."""
    patience: Patience = field(default_factory=Patience)


class _Client(imapclient.IMAPClient):  # type: ignore[misc]  # no annotations, so its class is Any
    """imapclient over our own wire, and without the strings that it makes for nobody's debugging."""

    def __init__(self, server: Server, context: ssl.SSLContext | None) -> None:
        direct = server.security == "tls"
        self._make: Callable[[], Wire] = lambda: Wire(
            server.host, server.port, server.patience, context if direct else None, local_only=server.security == "none"
        )
        timeout = imapclient.SocketTimeout(connect=server.patience.connect, read=server.patience.read)
        super().__init__(server.host, server.port, ssl=direct, timeout=timeout)
        self._imap.debug = 0
        self.folder_encode = False  # names go back as they came: not every server's UTF-7 is the canonical one

    def _create_IMAP4(self) -> Wire:  # noqa: N802  # imapclient's name
        return self._make()


def connect(server: Server, password: Callable[[], str]) -> Session:
    """Connect, encrypt, log in. UnreachableError; CredentialError: refused, or no secret to be had."""
    _silence()
    secret = password()
    context = _context(server)
    with ExitStack() as undo:
        with _reaching(server):
            client = _Client(server, context)
            undo.callback(client._imap.shutdown)
            if client._imap.state == "AUTH":  # whoever is in the middle could have logged us in anywhere
                raise UnreachableError(f"{server.source}: the server greets with PREAUTH; nothing was asked of it")
            if server.security == "starttls":
                client.starttls(context)
        try:
            _log_in(client, server, secret)
            session = Session(client, server.patience.fresh)
        except (LostError, RefusedError):
            raise UnreachableError(f"{server.source}: the connection was lost at the login") from None
        undo.pop_all()
        return session


@contextmanager
def _reaching(server: Server) -> Iterator[None]:
    """What can go wrong before the login, by what the owner can do about it."""
    source = server.source
    try:
        yield
    except PlainTextError:
        raise UnreachableError(
            f"{source}: plain text is for this machine only; nothing was asked of the server", "use security: tls"
        ) from None
    except ssl.SSLCertVerificationError as error:
        raise UnreachableError(
            f"{source}: the server's certificate is not to be trusted; nothing was sent", _advice(error)
        ) from None
    except CapabilityError:
        raise UnreachableError(
            f"{source}: the server offers no STARTTLS; nothing was sent",
            "somebody in between may be stripping it; security: tls cannot be stripped",
        ) from None
    except (OSError, IMAPClientError, ValueError, TypeError, LookupError):
        raise UnreachableError(
            f"{source}: the server cannot be reached", "are host, port and security right, and is the network up?"
        ) from None


def _context(server: Server) -> ssl.SSLContext | None:
    if server.security == "none":
        return None
    try:
        return ssl.create_default_context(cafile=server.ca_file)
    except OSError:
        raise UnreachableError(f"{server.source}: its ca_file cannot be read; no connection was made") from None


def _advice(error: ssl.SSLCertVerificationError) -> str:
    if error.verify_code == 62:  # X509_V_ERR_HOSTNAME_MISMATCH
        return "it is for another host: is host right?"
    if error.verify_code == 10:  # X509_V_ERR_CERT_HAS_EXPIRED
        return "it has expired; the provider must renew it"
    return "no known authority vouches for it; if it is your own server's, name its authority in ca_file"


_PASSING = ("UNAVAILABLE", "INUSE", "LIMIT", "SERVERBUG")
"""Response codes (RFC 5530) of a refusal that is not about the secret."""


def _log_in(client: _Client, server: Server, secret: str) -> None:
    if re.search(r"[\r\n\0]", secret):
        raise CredentialError(f"{server.source}: its secret has a line break or a NUL in it; it was not sent")
    try:
        _authenticate(client, server, secret)
    except (IMAPClientAbortError, OSError):
        raise LostError("the connection was lost") from None
    except (IMAPClientError, ValueError) as error:
        if isinstance(error.__context__, IMAPClientAbortError):  # imapclient makes a LoginError of that, too
            raise LostError("the connection was lost") from None
        if any(f"[{code}]" in str(error).upper() for code in _PASSING):
            raise UnreachableError(f"{server.source}: the server cannot let us in just now") from None
        raise CredentialError(
            f"{server.source}: the server refused the login; nothing was looked at",
            "check user and secret; many providers want an app password",
        ) from None


def _authenticate(client: _Client, server: Server, secret: str) -> None:
    offered = frozenset(client.capabilities())
    if server.token:
        # Not oauth2_login: a refusal comes as a challenge, which must be answered with nothing to be heard.
        first = f"user={server.user}\1auth=Bearer {secret}\1\1"
        client.sasl_login("XOAUTH2", lambda challenge: b"" if challenge else first)
    elif b"AUTH=PLAIN" in offered:
        client.plain_login(server.user, secret)  # takes any character; LOGIN is ASCII
    else:
        client.login(f'"{_escaped(server.user)}"', secret)  # imaplib quotes the secret, not the user


def _escaped(text: str) -> str:
    if re.search(r"[\r\n\0]", text):
        raise ValueError("a line break in a user name")
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _silence() -> None:
    """imapclient logs user names, folder names and, at DEBUG, bodies: nothing of that, at any level."""
    for name in ("imapclient", "imapclient.imapclient", "imapclient.imaplib", "imapclient.util"):
        logging.getLogger(name).addFilter(_nothing)


def _nothing(_record: logging.LogRecord) -> bool:
    return False

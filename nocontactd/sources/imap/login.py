"""From nothing to a logged-in session: encrypted and verified, or not at all.

No octet of a login is sent before TLS stands, except to this machine itself; what can be stripped,
forged or injected before it is refused or forgotten.
"""

import logging
import re
import shlex
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from imapclient.exceptions import CapabilityError, IMAPClientAbortError, IMAPClientError

from nocontactd.errors import CredentialError, UnreachableError
from nocontactd.sources.imap.certificate import advice
from nocontactd.sources.imap.client import Client, Server
from nocontactd.sources.imap.session import LostError, RefusedError, Session
from nocontactd.sources.imap.trust import trust
from nocontactd.sources.imap.wire import PlainTextError

__all__ = ["Server", "connect"]


class _TokenRefusedError(Exception):
    """A token may just have expired: another one is worth a try, over another connection."""


def connect(server: Server, password: Callable[[], str], renewed: Callable[[], str] | None = None) -> Session:
    """Connect, encrypt, log in. UnreachableError; CredentialError: refused, or no secret to be had.

    `renewed`: a token in place of one that was refused; by default `password` is asked again.
    """
    _silence()
    secret = password()
    try:
        return _connect(server, secret)
    except _TokenRefusedError:
        another = (renewed or password)()
    try:
        if another != secret:
            return _connect(server, another)
    except _TokenRefusedError:
        pass
    raise CredentialError(
        f"{server.source}: the server refused the token, and a new one; nothing was looked at",
        f"check user and token_command; with Microsoft: nocontact login {shlex.quote(server.source)}",
    )


def _connect(server: Server, secret: str) -> Session:
    context = _context(server)
    with ExitStack() as undo:
        with _reaching(server):
            client = Client(server, context)
            undo.callback(client._imap.shutdown)
            if client._imap.state == "AUTH":  # whoever is in the middle could have logged us in anywhere
                raise UnreachableError(f"{server.source}: the server greets with PREAUTH; nothing was asked of it")
            if server.security == "starttls":
                client.starttls(context)
        try:
            _log_in(client, server, secret)
            client.speak_utf8()
            session = Session(client, server.patience.fresh)
        except (LostError, RefusedError, IMAPClientError, OSError, ValueError, TypeError, LookupError):
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
            f"{source}: the server's certificate is not to be trusted; nothing was sent",
            advice(server, error),
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
        return trust(server.ca_file)
    except OSError:
        raise UnreachableError(f"{server.source}: its ca_file cannot be read; no connection was made") from None


_PASSING = ("UNAVAILABLE", "INUSE", "LIMIT", "SERVERBUG")
"""Response codes (RFC 5530) of a refusal that is not about the secret."""


def _log_in(client: Client, server: Server, secret: str) -> None:
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
        if server.token:
            raise _TokenRefusedError from None
        raise CredentialError(
            f"{server.source}: the server refused the login; nothing was looked at",
            "check user and secret; many providers want an app password",
        ) from None


def _authenticate(client: Client, server: Server, secret: str) -> None:
    offered = frozenset(client.capabilities())
    if server.token:
        mechanism, first, answer = _bearer(server, secret, offered)
        # Not oauth2_login: a refusal comes as a challenge, and has to be answered before it is one.
        client.sasl_login(mechanism, lambda challenge: answer if challenge else first)
    elif b"AUTH=PLAIN" in offered:
        client.plain_login(server.user, secret)  # takes any character; LOGIN is ASCII
    elif b"LOGINDISABLED" in offered:  # RFC 9051, 6.2.3: then LOGIN must not be tried
        raise CredentialError(
            f"{server.source}: the server takes no password; nothing was sent",
            "it may take a token: `token_command`, or `microsoft:` for a mailbox there",
        )
    elif not (server.user + secret).isascii():
        raise CredentialError(
            f"{server.source}: the server takes plain letters (ASCII) only, and user or secret has others;"
            " nothing was sent",
            "many providers make an app password of plain letters",
        )
    else:
        client.login(f'"{_escaped(server.user)}"', secret)  # imaplib quotes the secret, not the user


def _bearer(server: Server, token: str, offered: frozenset[bytes]) -> tuple[str, str, bytes]:
    """By what mechanism a token is given, how, and what a refusal is answered with. CredentialError: by none."""
    if b"AUTH=OAUTHBEARER" in offered:
        user = server.user.replace("=", "=3D").replace(",", "=2C")  # RFC 5801, 4: saslname
        where = f"host={server.host}\1port={server.port}"
        return "OAUTHBEARER", f"n,a={user},\1{where}\1auth=Bearer {token}\1\1", b"\1"  # RFC 7628, 3.1 and 3.2.3
    if b"AUTH=XOAUTH2" in offered:
        return "XOAUTH2", f"user={server.user}\1auth=Bearer {token}\1\1", b""
    raise CredentialError(
        f"{server.source}: the server takes no token (neither OAUTHBEARER nor XOAUTH2); nothing was sent",
        "use a password there: password_file or password_command",
    )


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

"""imapclient over our own wire. Above this file every server speaks IMAP4rev1, and spells names in modified UTF-7.

A server that has IMAP4rev2 alone (RFC 9051) is a little different: it may leave out of its CAPABILITY what
is part of it, and names are UTF-8. UTF8=ACCEPT (RFC 9755) is switched on where there is one: without it a server
may put another address in place of a sender's in UTF-8 (RFC 6858), or keep the message back, and both would pass.
"""

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import imapclient
from imapclient.exceptions import IMAPClientError
from imapclient.imap_utf7 import decode

from nocontactd.sources.imap.wire import Patience, Wire

_PART_OF_REV2 = b"ENABLE ESEARCH IDLE LIST-EXTENDED LIST-STATUS MOVE NAMESPACE SPECIAL-USE UIDPLUS UNSELECT".split()
"""What IMAP4rev2 has without saying so, of what is ever asked here (RFC 9051, appendix E)."""


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
    """The secret is an OAuth access token (RFC 7628)."""
    patience: Patience = field(default_factory=Patience)


class Client(imapclient.IMAPClient):  # type: ignore[misc]  # no annotations, so its class is Any
    """imapclient, without the strings that it makes for nobody's debugging."""

    def __init__(self, server: Server, context: ssl.SSLContext | None) -> None:
        direct = server.security == "tls"
        self._make: Callable[[], Wire] = lambda: Wire(
            server.host, server.port, server.patience, context if direct else None, local_only=server.security == "none"
        )
        timeout = imapclient.SocketTimeout(connect=server.patience.connect, read=server.patience.read)
        super().__init__(server.host, server.port, ssl=direct, timeout=timeout)
        self._imap.debug = 0
        self.folder_encode = False  # names go back as they came: not every server's UTF-7 is the canonical one

    def capabilities(self) -> tuple[bytes, ...]:
        """What the server can do, whether it says so or it is part of what it says."""
        said = tuple(super().capabilities())
        return said if b"IMAP4REV1" in said or b"IMAP4REV2" not in said else (*said, *_PART_OF_REV2)

    def speak_utf8(self) -> None:
        """Have names and headers as they are, where the server can do that; to be called once, after the login.

        IMAPClientError, OSError: the connection was lost.
        """
        said = frozenset(self.capabilities())
        in_utf8 = b"IMAP4REV1" not in said and b"IMAP4REV2" in said
        if b"ENABLE" in said and said & {b"UTF8=ACCEPT", b"UTF8=ONLY"}:
            try:
                in_utf8 |= b"UTF8=ACCEPT" in [each.upper() for each in self.enable("UTF8=ACCEPT")]
            except IMAPClientError as refusal:
                if type(refusal) is not IMAPClientError:  # a tagged NO or BAD, and no child of it, changes nothing
                    raise
        if in_utf8:
            self._imap._mode_utf8()

    def _create_IMAP4(self) -> Wire:  # noqa: N802  # imapclient's name
        return self._make()

    def _normalise_folder(self, folder_name: Any) -> Any:
        if self._imap.utf8_enabled and isinstance(folder_name, bytes):
            folder_name = decode(folder_name)
        return super()._normalise_folder(folder_name)

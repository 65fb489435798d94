"""One exchange with a server after another. Whatever goes wrong on a connection ends it, unless the server said no.

The one place where the errors of imapclient and imaplib end, once logged in: they quote what was
sent and received, so none of them is ever passed on or chained.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from imapclient.exceptions import IMAPClientError, IMAPClientReadOnlyError

from nocontactd.errors import SourceError

_CODES = ("UNAVAILABLE", "INUSE", "LIMIT", "SERVERBUG", "NONEXISTENT", "NOPERM", "CANNOT", "OVERQUOTA", "CORRUPTION")
"""Response codes (RFC 5530) that may be passed on; the rest of an answer may quote anything."""


class LostError(SourceError):
    """The connection ended in the middle of something."""


class RefusedError(SourceError):
    """The server said no, and the connection is as good as before."""


class Exchange:
    """The errors and the end of one connection. LostError ends it: `alive` is false then. RefusedError does not."""

    def __init__(self, client: Any, fresh: float) -> None:
        """`fresh`: seconds unused after which it is tried before it is trusted."""
        self._client = client
        self._fresh = fresh
        self._used = time.monotonic()
        self.flies = True
        """Commands may be sent before the answer to the one before has come; else one by one."""
        self.lost_in_flight = False
        """The connection ended in the middle of several commands: some servers may not know what to do with them."""
        self.alive = True

    def try_it(self) -> None:
        """Ask whether the other end is still there, if nothing was asked of it lately."""
        if time.monotonic() - self._used > self._fresh:
            with suppress(SourceError), self._asking():
                self._client._imap.noop()

    def drop(self) -> None:
        """End the connection at once."""
        self.alive = False
        self._client._imap.shutdown()

    def cut(self) -> None:
        """End the connection from another thread than the one that owns it. Never raises."""
        self._client._imap.cut()

    def close(self) -> None:
        """Take leave, briefly. Never raises."""
        if self.alive:
            self._client._imap.hurry()
            with suppress(SourceError), self._asking():
                self._client.logout()
            self.drop()

    def _flight(self, *commands: bytes) -> list[tuple[str, Sequence[Any]]]:
        """Send these without waiting in between, and hear what became of each: one round trip.

        Whoever depends on one of them having worked must not send the next one in the same flight.
        """
        if not self.flies and len(commands) > 1:
            return [outcome for command in commands for outcome in self._flight(command)]
        wire = self._client._imap
        self.lost_in_flight = len(commands) > 1
        tags = [wire._new_tag() for _ in commands]
        wire.send(b"".join(b"%b %b\r\n" % pair for pair in zip(tags, commands, strict=True)))
        outcomes = [wire._get_tagged_response(tag) for tag in tags]
        self.lost_in_flight = False
        return outcomes

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """One exchange: here the vendors' errors end."""
        if not self.alive:
            raise LostError("the connection was lost")
        self._catch_up()
        self._used = time.monotonic()
        try:
            yield
        except IMAPClientReadOnlyError:
            self.drop()
            raise LostError("the folder can only be read") from None
        except IMAPClientError as error:
            if type(error) is IMAPClientError:  # a tagged NO or BAD, and no child of it: the exchange is whole
                raise RefusedError("the server refused" + _code(error)) from None
            self.drop()
            raise LostError("the connection was lost") from None
        except OSError:
            self.drop()
            raise LostError("the connection was lost") from None
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
            # imapclient's parsers meet a malformed answer with any of these
            self.drop()
            raise LostError("the server's answer cannot be read") from None

    def _catch_up(self) -> None:
        """Hear what is still to be said to an earlier command, before anything else is asked."""


def _code(error: Exception) -> str:
    """The response code of a refusal (RFC 5530), if it has a known one: the rest may quote anything."""
    code = next((code for code in _CODES if f"[{code}]" in str(error).upper()), None)
    return f" ({code})" if code else ""

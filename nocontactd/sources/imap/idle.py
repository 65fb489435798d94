"""Waits in IDLE (RFC 2177) for a sign that something came. The sign is a hint, never the truth.

Whoever is rung looks for himself, and looks on a timer regardless. So a sign too many costs a look,
and a sign that is lost costs an interval; what must not happen is silence that looks like peace.
Each way of going deaf ends in a new connection and a ring.
"""

import re
import time
from collections.abc import Callable
from threading import Event

from nocontactd.errors import CredentialError, SourceError
from nocontactd.sources.imap.session import LostError, Session

RENEW = 240.0
"""Seconds in one IDLE: servers and routers forget a silent connection, some after five minutes."""
ANSWER = 20.0
"""Seconds for the server to begin or to end an IDLE."""
FIRST_REST = 1.0
LONGEST_REST = 300.0
"""Seconds until a lost connection is made anew: doubled each time, up to this."""
REFUSED_REST = 900.0
"""Seconds after a refused login: the look itself tells the owner of it."""

_CAME = re.compile(rb"\* (?:\d+ EXISTS|STATUS\b.*\bUIDNEXT)\b", re.IGNORECASE)
"""Something came to the inbox, or (NOTIFY) to another folder."""
_OVERFLOW = re.compile(rb"\* OK \[NOTIFICATIONOVERFLOW\b", re.IGNORECASE)
_BYE = re.compile(rb"\* BYE\b", re.IGNORECASE)


class Listener:
    """Listens at one mailbox's INBOX, and at its other folders where the server has NOTIFY, in a thread of its own.

    The connection is its own, too.
    """

    def __init__(
        self,
        connect: Callable[[], Session],
        ring: Callable[[], None],
        jitter: Callable[[], float],
        renew: float = RENEW,
        answer: float = ANSWER,
    ) -> None:
        """`jitter`: a number from 0 to 1, so that the clients of a server that went away do not all come at once."""
        self._connect, self._ring, self._jitter = connect, ring, jitter
        self._renew, self._answer = renew, answer
        self.deaf = False
        """The server has no IDLE: there is nothing to listen to."""
        self._ended = Event()
        self._session: Session | None = None

    def run(self) -> None:
        """Listen until `stop`, whatever happens; or until it is clear that this server has no IDLE."""
        losses = 0
        while not (self._ended.is_set() or self.deaf):
            began = time.monotonic()
            try:
                self._listen()
            except CredentialError:
                self._ended.wait(REFUSED_REST)
                continue
            except SourceError:
                pass
            losses = 0 if time.monotonic() - began > LONGEST_REST else losses + 1
            rest = min(LONGEST_REST, FIRST_REST * 2 ** min(losses - 1, 20)) if losses else 0.0
            self._ended.wait(rest * (0.5 + self._jitter() / 2))

    def stop(self) -> None:
        """End `run`, from any thread."""
        self._ended.set()
        if session := self._session:
            session.cut()

    def _listen(self) -> None:
        """One connection, until it is lost (SourceError) or known to be of no use."""
        session = self._session = self._connect()
        try:
            if "IDLE" not in session.capabilities:
                self.deaf = True
                return
            session.examine("INBOX")
            session.notify()
            while not self._ended.is_set():
                self._idle(session)
        finally:
            self._session = None
            session.close()

    def _idle(self, session: Session) -> None:
        """One IDLE. Something may have come before it stood, even in the segment that says so: look at once."""
        with session.idle(self._answer) as said:
            self._ring()
            until = time.monotonic() + self._renew
            while not self._ended.is_set() and (left := until - time.monotonic()) > 0:
                signs = [_is_sign(line) for line in said(left)]
                if any(signs):
                    self._ring()


def _is_sign(line: bytes) -> bool:
    if _BYE.match(line):
        raise LostError("the server took leave")
    if _OVERFLOW.match(line):  # from now on it tells nothing any more (RFC 5465, 5.8)
        raise LostError("the server no longer tells of what comes")
    return bool(_CAME.match(line))

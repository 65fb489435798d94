"""Waits in IDLE (RFC 2177) for a sign that something came. The sign is a hint, never the truth.

Whoever is rung looks for himself, and looks on a timer regardless. So a sign too many costs a look,
and a sign that is lost costs an interval; what must not happen is silence that looks like peace.
Each way of going deaf ends in a new connection and a ring. What came to the inbox is asked for here,
on the listener's own connection, and handed over before the ring (arrival.py); whatever is odd about
it, the ring alone is what is left.

Some servers hold back what they tell in an IDLE, but look at the folder when one begins. Who has written
once often writes again within seconds: so after a listed message IDLEs are short for a while.
"""

import math
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Event
from typing import Self

from nocontactd.errors import CredentialError, SourceError
from nocontactd.model import Envelope, Look
from nocontactd.sources.imap.arrival import Arrival, Whole
from nocontactd.sources.imap.idling import Idling
from nocontactd.sources.imap.look import headers_from
from nocontactd.sources.imap.session import LostError, Selected, Session

RENEW = 240.0
"""Seconds in one IDLE: servers and routers forget a silent connection, some after five minutes."""
ANSWER = 20.0
"""Seconds for the server to begin or to end an IDLE."""
FIRST_REST = 1.0
LONGEST_REST = 300.0
"""Seconds until a lost connection is made anew: doubled each time, up to this."""
REFUSED_REST = 900.0
"""Seconds after a refused login: the look itself tells the owner of it."""
PLAIN = 3600.0
"""Seconds in which nothing is asked for with a sign, after a server refused that or the connection was lost over it."""
AWAKE = 10.0
"""Seconds of short IDLEs after a listed message came."""
REMOVING = 0.5
"""Seconds of them in which the message is being removed, and the server has enough to do."""
SHORTEST = 0.1
"""Seconds in one of them, at least."""

Bring = Callable[[Session, Selected, Sequence[int]], tuple[tuple[Envelope, ...], tuple[Whole, ...]] | None]
_CAME = re.compile(rb"\* (?:\d+ EXISTS|STATUS\b.*\bUIDNEXT)\b", re.IGNORECASE)
"""Something came to the inbox, or (NOTIFY) to another folder."""
_NUMBER = re.compile(rb"\* (\d{1,18}) (EXISTS|EXPUNGE)\b", re.IGNORECASE)
_OVERFLOW = re.compile(rb"\* OK \[NOTIFICATIONOVERFLOW\b", re.IGNORECASE)
_BYE = re.compile(rb"\* BYE\b", re.IGNORECASE)


@dataclass(slots=True)
class _Standing:
    """The open inbox, by what was asked of it and by what the server says unasked."""

    where: Selected
    next_uid: int
    """What has this UID or a higher one was not asked for yet; 0: nobody knows it."""
    asked: int
    """Messages below that."""
    exists: int
    """Messages by what was said last."""
    listed: float = -math.inf
    """When a listed message was last handed over."""

    @classmethod
    def of(cls, where: Selected) -> Self:
        return cls(where, where.uidnext or 0, where.exists, where.exists)

    def open(self, where: Selected) -> None:
        """It was opened anew."""
        self.where, self.next_uid, self.asked, self.exists = where, where.uidnext or 0, where.exists, where.exists

    def hear(self, lines: list[bytes]) -> list[bytes]:
        """These were said. What was expunged counts as asked for; if it was not, the numbers disagree."""
        for line in lines:
            if said := _NUMBER.match(line):
                expunged = said[2].upper() == b"EXPUNGE"
                self.exists = self.exists - 1 if expunged else int(said[1])
                self.asked -= expunged
        return lines

    @property
    def came(self) -> int:
        return self.exists - self.asked


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
        awake: float = AWAKE,
        bring: Bring | None = None,
        put: Callable[[Arrival], None] = lambda _arrival: None,
    ) -> None:
        """`jitter`: a number from 0 to 1, so that the clients of a server that went away do not all come at once.

        `bring`: asks for what came, to be `put` before the ring.
        """
        self._connect, self._ring, self._jitter = connect, ring, jitter
        self._renew, self._answer, self._awake = renew, answer, awake
        self._bring, self._put = bring, put
        self._plain_until = 0.0
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
            inbox = _Standing.of(session.examine("INBOX"))
            session.notify()
            told = False
            while not self._ended.is_set():
                told = self._idle(session, inbox, told=told)
        finally:
            self._session = None
            session.close()

    def _idle(self, session: Session, inbox: _Standing, *, told: bool) -> bool:
        """One IDLE; whether everything that was said until its end was rung for, or is handed over in the next round.

        Unless that was so of the one before, something may have come before it stood, even in the
        segment that says so: look at once.
        """
        with session.idle(self._answer) as idling:
            if not told:
                self._ring()
            since = time.monotonic() - inbox.listed
            awake = since < self._awake
            until = time.monotonic() + (short(since) if awake else self._renew)
            while not self._ended.is_set() and (left := until - time.monotonic()) > 0:
                if inbox.came and self._asks(inbox):
                    return self._hand_over(session, idling, inbox)
                self._hear(inbox, idling.lines(left))
            self._hear(inbox, idling.end())
        return awake

    def _hear(self, inbox: _Standing, lines: list[bytes]) -> None:
        """Ring for what came, unless it is to be asked for here."""
        signs = [_is_sign(line) for line in inbox.hear(lines)]
        if any(signs) and not (inbox.came and self._asks(inbox)):
            self._ring()

    def _asks(self, inbox: _Standing) -> bool:
        """Whether what came is asked for here."""
        return self._bring is not None and inbox.next_uid > 0 and time.monotonic() >= self._plain_until

    def _hand_over(self, session: Session, idling: Idling, inbox: _Standing) -> bool:
        """Ask for what came, in the flight that ends an IDLE, and ring whatever becomes of it; whether it went well."""
        arrival = None
        try:
            arrival = self._arrival(session, idling, inbox)
            if arrival:
                self._put(arrival)
            if arrival and arrival.wholes:
                inbox.listed = time.monotonic()
        except LostError:
            self._plain_until = time.monotonic() + PLAIN
            raise
        except SourceError:
            self._plain_until = time.monotonic() + PLAIN
        finally:
            self._ring()
        if arrival is None:
            inbox.open(session.examine("INBOX"))
        return arrival is not None

    def _arrival(self, session: Session, idling: Idling, inbox: _Standing) -> Arrival | None:
        """What came; None: it is odd, too large or too much. SourceErrors of the session."""
        said, uids = session.ask_after(idling, headers_from(inbox.next_uid))
        for line in inbox.hear(said):
            _is_sign(line)
        brought = self._bring(session, inbox.where, uids) if self._bring and uids else None
        exists, expunged = session.news()
        known, most = inbox.asked + len(uids), inbox.exists if exists is None else exists
        if brought is None or expunged or not inbox.exists <= known <= most:
            return None
        first, inbox.next_uid = inbox.next_uid, uids[-1] + 1
        inbox.asked, inbox.exists = known, most  # what has come meanwhile is asked for in the next round
        look = Look(inbox.where.folder, inbox.where.uidvalidity, inbox.next_uid, known)
        return Arrival(first, look, *brought)


def short(since: float) -> float:
    """Seconds in an IDLE that begins so many after a listed message: 31 of them fill `AWAKE`."""
    return max(SHORTEST, REMOVING - since, since / 10)


def _is_sign(line: bytes) -> bool:
    if _BYE.match(line):
        raise LostError("the server took leave")
    if _OVERFLOW.match(line):  # from now on it tells nothing any more (RFC 5465, 5.8)
        raise LostError("the server no longer tells of what comes")
    return bool(_CAME.match(line))

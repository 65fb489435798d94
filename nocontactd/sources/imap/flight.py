"""FETCH commands on their way: the server is at one of them while what it said to another is looked at.

Whose answer one is, is told by its UID: a server may carry out several commands at once (RFC 9051, 5.5).
Whoever asks for anything else on this connection hears all that is still to be said first.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from typing import Any

from nocontactd.sources.imap.replies import Replies, Reply


@dataclass(frozen=True, slots=True)
class Heard:
    """What came of one command."""

    reply: Reply
    wanted: Set[int]
    """The UIDs that were asked for by it and by those under way with it."""


class Flight:
    """Commands for the same items of many messages."""

    def __init__(self, wire: Any, replies: Replies, parts: Iterable[Sequence[int]], items: str, ahead: int) -> None:
        self._wire = wire
        self._replies = replies
        self._parts: Iterator[Sequence[int]] = iter(parts)
        self._items = items
        self._ahead = ahead
        self.heard: deque[Heard] = deque()
        """What is kept till it is looked at."""
        self.asked: deque[tuple[bytes, Sequence[int]]] = deque()
        """Tag and UIDs of what is under way."""

    def ask(self) -> None:
        """Have as many commands under way as may be; what is kept counts, for the memory. OSError."""
        while len(self.asked) + len(self.heard) < self._ahead and (part := next(self._parts, None)):
            tag = self._wire._new_tag()
            self.asked.append((tag, part))
            uids = ",".join(map(str, part))
            self._wire.send(b"%b UID FETCH %b %b\r\n" % (tag, uids.encode("ascii"), self._items.encode("ascii")))

    def hear(self) -> None:
        """What is said to the first of them is kept. OSError and imaplib's own errors."""
        wanted = frozenset(uid for _, part in self.asked for uid in part)
        self._wire.go_on()
        self.heard.append(Heard(self._replies.fetched(self.asked[0][0]), wanted))
        tag, _ = self.asked.popleft()
        del self._wire.tagged_commands[tag]

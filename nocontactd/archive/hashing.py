"""SHA-256 that does not hold up its caller: what is long is hashed in a thread, while the next piece is made.

A message of 25 MB is hashed twice on its way to the disk, each time in a thread of its own.
"""

import hashlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import cycle

WORTH = 1 << 18
"""Octets that are handed over together: for fewer, handing over would cost as much as hashing."""
_BEHIND = 2
"""How many such heaps may wait: they are held in memory."""


def lanes(count: int = 2) -> Iterator[ThreadPoolExecutor]:
    """One of so many threads in turn, each started once there is something for it: heaps of one hash keep their order.

    Two are what sealing feeds at a time: the message, and the file that it becomes.
    """
    return cycle([ThreadPoolExecutor(1, "hashing") for _ in range(count)])


class Sha256:
    """As hashlib's. One thread feeds it."""

    def __init__(self, lanes: Iterator[ThreadPoolExecutor]) -> None:
        """`lanes` gives the one to hash in, once there is something for it: see `lanes`."""
        self._lanes = lanes
        self._lane: ThreadPoolExecutor | None = None
        self._digest = hashlib.sha256()
        self._heap: list[bytes] = []
        self._length = 0
        self._behind: deque[Future[None]] = deque()

    def update(self, data: bytes, /) -> None:
        """Go on with these octets."""
        self._heap.append(data)
        self._length += len(data)
        if self._length >= WORTH:
            self._wait(_BEHIND - 1)
            self._lane = self._lane or next(self._lanes)
            self._behind.append(self._lane.submit(self._take, self._heap))
            self._heap, self._length = [], 0

    def hexdigest(self) -> str:
        """Of everything so far."""
        self._wait(0)
        self._take(self._heap)
        self._heap, self._length = [], 0
        return self._digest.hexdigest()

    def _take(self, heap: list[bytes]) -> None:
        for data in heap:
            self._digest.update(data)

    def _wait(self, most: int) -> None:
        while len(self._behind) > most:
            self._behind.popleft().result()

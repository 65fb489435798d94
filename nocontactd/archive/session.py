"""What was unlocked does not stay open: a session ends by itself, whoever forgot to end it.

Its clock goes on while the machine sleeps (CLOCK_BOOTTIME), and nobody sets it back.
"""

import time
from collections.abc import Callable

from nocontactd.errors import CredentialError

LASTS = 2 * 60 * 60.0
"""Seconds: an hour with a therapist, and half as much before and behind it."""


def awake_or_not() -> float:
    """Seconds since the machine was started."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Session:
    """The time that two people have together."""

    def __init__(self, seconds: float = LASTS, clock: Callable[[], float] = awake_or_not) -> None:
        self._clock = clock
        self._ends = clock() + seconds

    def left(self) -> float:
        """Seconds until it ends, never below 0."""
        return max(0.0, self._ends - self._clock())

    def end(self) -> None:
        """End it now, for good."""
        self._ends = float("-inf")

    def check(self) -> None:
        """CredentialError: it has ended."""
        if not self.left():
            self.end()
            raise CredentialError(
                "this session has ended; nothing more was opened",
                "both holders unlock the archive once more for another one",
            )

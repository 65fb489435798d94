"""One source under the schedule: its looks follow one another, and one that is asked for meanwhile comes after.

A source that refuses the login is asked ever more seldom, or the account would be locked, and so is one that
cannot be reached; whoever asks for a look gets one all the same.
"""

import random
from collections.abc import Callable
from threading import Lock

from nocontactd.assemble import Job
from nocontactd.ports import Listener

FIRST_REST = 15.0
LONGEST_REST = 900.0
"""Seconds without a look after refused logins: doubled each time, up to this."""
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
"""The same for a server that cannot be reached, where looks are closer than that; up to half of it is left to chance,
so that the clients of a server that went away do not all come at once."""


class Watch:
    """What is known of one source between its looks; the schedule's thread and the main one share it."""

    def __init__(self, job: Job, jitter: Callable[[], float] = random.random) -> None:
        """`jitter`: a number from 0 to 1."""
        self.job = job
        self._jitter = jitter
        self.begun = 0
        """Looks so far."""
        self.ended = 0
        self._lock = Lock()
        self._listener: Listener | None = None
        self._asked = True
        self._retired = False
        self._refusals = self._losses = 0
        self._begun_at = 0.0
        self._rest_until = 0.0

    @property
    def busy(self) -> bool:
        """Whether a look is under way."""
        return self.begun > self.ended

    def ask(self) -> int:
        """Have a look begin from now on, whatever the time; once more than this number have ended, it was made."""
        with self._lock:
            self._asked = True
            return self.begun

    def begin(self, at: float) -> Job | None:
        """What to look at now, None if it is not yet time (monotonic seconds)."""
        with self._lock:
            if self.busy or self._retired or (at < self._rest_until and not self._asked):
                return None
            self._asked = False
            self._begun_at = at
            self.begun += 1
            return self.job

    def rest(self, at: float, *, refused: bool, unreachable: bool = False) -> float:
        """Seconds until the next look, told before this one ends; `refused`: the login was."""
        with self._lock:
            self._refusals = self._refusals + 1 if refused else 0
            self._losses = self._losses + 1 if unreachable and not refused else 0
            rest = _doubled(FIRST_REST, self._refusals, LONGEST_REST)
            pause = _doubled(FIRST_PAUSE, self._losses, LONGEST_PAUSE) * (1 - self._jitter() / 2)
            rest += pause if pause > self.job.every else 0.0
            # A look that was hurried along may be followed by one that had been due: that one is not made.
            self._rest_until = max(at + rest, self._begun_at + self.job.every / 2)
            return max(rest, self.job.every)

    def end(self, job: Job) -> None:
        """The look is over."""
        with self._lock:
            self.ended += 1
            over = self._retired or job.source is not self.job.source
        if over:
            job.source.close()

    @property
    def asked(self) -> bool:
        """Whether another look was asked for since the last one began."""
        return self._asked and not self._retired

    def hear(self, listener: Listener | None) -> None:
        """From now on this one listens at the source; the one before it is stopped."""
        with self._lock:
            before, self._listener = self._listener, None if self._retired else listener
        if before:
            before.stop()
        if listener and self._retired:
            listener.stop()

    def replace(self, job: Job) -> None:
        """Look at this from now on; what was looked at before is closed as soon as nobody looks at it."""
        with self._lock:
            before, self.job = self.job, job
            self._asked = True
            over = before.source is not job.source and not self.busy
        if over:
            before.source.close()

    def retire(self) -> None:
        """Look no more."""
        with self._lock:
            self._retired = True
            over = not self.busy
            listener, self._listener = self._listener, None
        if listener:
            listener.stop()
        if over:
            self.job.source.close()


def _doubled(first: float, times: int, most: float) -> float:
    return min(most, first * 2.0 ** min(times - 1, 20)) if times else 0.0

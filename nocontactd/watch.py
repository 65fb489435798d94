"""One source under the schedule: its looks follow one another, and one that is asked for meanwhile comes after.

Its thread waits here for the timer, for a sign and for whoever asks, and nothing stands in between.
A source that refuses the login is asked ever more seldom, or the account would be locked, and so is one that
cannot be reached; whoever asks for a look gets one all the same.
"""

import random
from collections.abc import Callable
from threading import Condition

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
    """What is known of one source between its looks; several threads share it."""

    def __init__(self, job: Job, jitter: Callable[[], float] = random.random) -> None:
        """`jitter`: a number from 0 to 1."""
        self.job = job
        self._jitter = jitter
        self.begun = 0
        """Looks so far."""
        self.ended = 0
        self.signed = False
        """The look that was begun last was brought by a sign that something came."""
        self._lock = Condition()
        self._listener: Listener | None = None
        self._asked = True
        self._due = False
        self._sign = False
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
            self._lock.notify_all()
            return self.begun

    def ring(self) -> None:
        """Something may have come: as `ask`."""
        with self._lock:
            self._sign = True
        self.ask()

    def fall_due(self) -> None:
        """Have a look begin unless one was made just now, or the source rests."""
        with self._lock:
            self._due = True
            self._lock.notify_all()

    def wait(self) -> bool:
        """Until a look may be due; False: there will be none any more."""
        with self._lock:
            self._lock.wait_for(lambda: self._asked or self._due or self._retired)
            self._due = False
            return not self._retired

    def begin(self, at: float) -> Job | None:
        """What to look at now, None if it is not yet time (monotonic seconds)."""
        with self._lock:
            if self.busy or self._retired or (at < self._rest_until and not self._asked):
                return None
            self.signed, self._sign = self._sign, False
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
            self._lock.notify_all()
        if over:
            before.source.close()

    def retire(self) -> None:
        """Look no more."""
        with self._lock:
            self._retired = True
            over = not self.busy
            self._lock.notify_all()
            listener, self._listener = self._listener, None
        if listener:
            listener.stop()
        if over:
            self.job.source.close()


def _doubled(first: float, times: int, most: float) -> float:
    return min(most, first * 2.0 ** min(times - 1, 20)) if times else 0.0

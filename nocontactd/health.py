"""How each source is: what its last look came to, and whether the next one is overdue. No names of senders, no counts.

A source that was not looked at yet is not well, and neither is one whose look does not come to an
end: silence is no sign of health.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from threading import Lock

from nocontactd.errors import CredentialError, NocontactError
from nocontactd.status import SourceStatus, Status

SLACK = 120.0
"""Seconds that a look may take before it is said that it takes long."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the last look over one source came to."""

    due: float
    """By when the next one is to begin, on the monotonic clock."""
    problems: tuple[NocontactError, ...] | None
    """None: there has been no look yet."""


class Health:
    """The outcomes of all sources; threads report to it."""

    def __init__(self, now: Callable[[], datetime], monotonic: Callable[[], float]) -> None:
        self._now = now
        self._monotonic = monotonic
        self._lock = Lock()
        self._outcomes: dict[str, Outcome] = {}
        self._state: tuple[bool, datetime] | None = None

    def expect(self, sources: Mapping[str, float]) -> None:
        """These sources, and no others, are to be looked at, each after so many seconds at the latest."""
        with self._lock:
            start = self._monotonic()
            self._outcomes = {
                name: self._outcomes.get(name) or Outcome(start + every, None) for name, every in sources.items()
            }

    def finished(self, source: str, problems: tuple[NocontactError, ...], wait: float) -> None:
        """A look came to an end, well or with known errors; the next is to begin within `wait` seconds."""
        with self._lock:
            if source in self._outcomes:
                self._outcomes[source] = Outcome(self._monotonic() + wait, problems)

    def problems(self, source: str) -> tuple[NocontactError, ...] | None:
        """What was wrong in the last look; None: there has been none."""
        outcome = self._outcomes.get(source)
        return outcome.problems if outcome else None

    def refused(self) -> frozenset[str]:
        """The sources whose login is refused, or whose secret is missing."""
        return frozenset(
            name
            for name, outcome in self._outcomes.items()
            if any(isinstance(problem, CredentialError) for problem in outcome.problems or ())
        )

    def on_time(self, slack: float) -> bool:
        """Whether every source has finished a look, and none is more than `slack` seconds overdue."""
        latest = self._monotonic() - slack
        return all(o.problems is not None and o.due >= latest for o in self._outcomes.values())

    def status(self, problems: tuple[str, ...], remarks: tuple[str, ...]) -> Status:
        """The state of everything, and since when it has been well or not."""
        sources = tuple(self._source(name, outcome) for name, outcome in self._outcomes.items())
        healthy = not problems and all(source.healthy for source in sources)
        if self._state is None or self._state[0] != healthy:
            self._state = (healthy, self._now())
        return Status(healthy, self._state[1], sources, problems, remarks)

    def _source(self, name: str, outcome: Outcome) -> SourceStatus:
        late = self._monotonic() > outcome.due + SLACK
        said = [problem.message.removeprefix(f"{name}: ") for problem in outcome.problems or ()]
        if outcome.problems is None:
            said.append("the first look has not finished yet")
        elif late:
            said.append("the look that is under way has not finished yet")
        hints = [problem.hint for problem in outcome.problems or () if problem.hint]
        return SourceStatus(name, not said, _joined(said), _joined(hints))


def _joined(sentences: list[str]) -> str | None:
    return "; ".join(dict.fromkeys(sentences)) or None

"""Coverage: sealed proof of which looks happened when, so that silence and gaps can be shown and not only messages.

One record a source and hour, and one at any change or failure. Messages make none: how many
records there are tells nothing of how many came. What is not sealed yet is lost with the
process, and shows as a gap in the numbers of the looks.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from threading import Lock

from nocontactd.model import Look

KIND = "coverage"
HOUR = timedelta(hours=1)
PAUSE = timedelta(minutes=5)
"""A source that is well and ill by turns makes no more records than one each so often."""

Facts = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Looked:
    """One look over one source, finished or failed."""

    source: str
    number: int
    """Of this source's looks, one after another over the years."""
    at: datetime
    rules: str
    """Digest of the rules by which it was made."""
    looks: tuple[Look, ...]
    matches: int
    problem: str = ""
    """Why it failed, without any value."""

    @property
    def shape(self) -> tuple[object, ...]:
        """What tells one state of a source from another."""
        return self.rules, self.problem, tuple((look.folder, look.uidvalidity, look.problem) for look in self.looks)


@dataclass(frozen=True, slots=True)
class Span:
    """Looks over one source that are told of together."""

    first: Looked
    last: Looked
    done: int = 0
    failed: int = 0
    matches: int = 0

    def then(self, looked: Looked) -> "Span":
        """With one more look."""
        return replace(
            self,
            last=looked,
            done=self.done + (not looked.problem),
            failed=self.failed + bool(looked.problem),
            matches=self.matches + looked.matches,
        )


class Coverage:
    """Gathers the looks of every source and seals them. Each source's looks come from one thread at a time."""

    def __init__(self, enter: Callable[[str, Facts], None]) -> None:
        """`enter` seals a record without a message (Archive.enter)."""
        self._enter = enter
        self._lock = Lock()
        self._spans: dict[str, Span] = {}
        self._known: dict[str, tuple[datetime, tuple[object, ...]]] = {}
        """When a source was last told of, and its state then."""

    def add(self, looked: Looked) -> None:
        """Note a look; seal what has gathered if that is due. SealError: it is kept for the next time."""
        with self._lock:
            span = self._spans.get(looked.source, Span(looked, looked)).then(looked)
            self._spans[looked.source] = span
            due = self._due(span)
        if due:
            self._seal(span)

    def flush(self) -> None:
        """Seal everything that has gathered: the daemon ends. SealError."""
        for span in list(self._spans.values()):
            self._seal(span)

    def _due(self, span: Span) -> bool:
        known = self._known.get(span.last.source)
        if known is None:
            return True
        at, shape = known
        waited = abs(span.last.at - at)  # a clock may be set back
        return waited >= HOUR or (span.last.shape != shape and waited >= PAUSE)

    def _seal(self, span: Span) -> None:
        self._enter(KIND, facts(span))
        with self._lock:
            self._known[span.last.source] = (span.last.at, span.last.shape)
            self._spans.pop(span.last.source, None)


def facts(span: Span) -> Facts:
    """What a coverage record says. Folders are numbered, since a record's facts may be kept by key."""
    return (
        ("source", span.last.source),
        ("from", span.first.at.isoformat()),
        ("until", span.last.at.isoformat()),
        ("first look", str(span.first.number)),
        ("last look", str(span.last.number)),
        ("done", str(span.done)),
        ("failed", str(span.failed)),
        ("state", span.last.problem or "ok"),
        ("matches", str(span.matches)),
        ("rules", span.last.rules),
        *_folders(span),
    )


def _folders(span: Span) -> Iterator[tuple[str, str]]:
    before = {look.folder: look for look in span.first.looks}
    for number, look in enumerate(span.last.looks, 1):
        first = before.get(look.folder, look)
        yield f"folder {number}", look.folder
        yield f"uidvalidity {number}", str(look.uidvalidity)
        yield f"first uidnext {number}", str(first.next_uid if first.uidvalidity == look.uidvalidity else look.next_uid)
        yield f"last uidnext {number}", str(look.next_uid)
        yield f"exists {number}", str(look.exists)
        yield f"state {number}", look.problem or "ok"

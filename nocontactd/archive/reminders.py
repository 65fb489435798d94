"""What is to be said of the keys though nothing is wrong: who has not tried them, and what runs out.

Everything is read from the log, which tells no hours: a rehearsal is of the day of the record that follows it.
"""

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path

from nocontactd.archive import charter, history
from nocontactd.archive.charter import Charter
from nocontactd.archive.history import charters
from nocontactd.archive.log import KEY, Leaf

YEAR = timedelta(days=365)
SOON = timedelta(days=60)
"""How long before they run out keys that were made ahead are spoken of."""


@dataclass(slots=True)
class _Told:
    """What the log says of the keys, as it is read."""

    ceremony: str = ""
    rehearsed: str = ""
    """Day; "" until a record tells it."""
    last_key: str = ""
    """Day of the furthest key that is its own, and not an earlier one once more."""
    own: dict[str, str] = field(default_factory=dict)
    """Of each public half (by its hash) the key that had it first."""

    def take(self, _index: int, leaf: Leaf | None) -> None:
        if leaf is None:
            return
        if leaf.subject == charter.NAME and leaf.second.startswith("ceremony:"):
            self.ceremony, self.rehearsed = leaf.second.removeprefix("ceremony:"), ""
        elif leaf.day and self.ceremony and not self.rehearsed:
            self.rehearsed = leaf.day
        elif KEY.fullmatch(leaf.subject) and self.own.setdefault(leaf.second, leaf.subject) == leaf.subject:
            self.last_key = max(self.last_key, leaf.subject.removeprefix("key/")[:10])


def reminders(archive: Path, now: datetime) -> tuple[str, ...]:
    """What the owner should know, most pressing first; nothing where the archive cannot be read. Never raises."""
    told = _Told()
    try:
        history.read(archive / "log" / "leaves", (), told.take)
        law = charter.parse(next(charters(archive)))
    except (OSError, StopIteration, ValueError):
        return ()
    today = now.date()
    return tuple(filter(None, (_ahead(told, law, today), _unattended(told), _due(told, today))))


def _unattended(told: _Told) -> str:
    if told.ceremony != "unattended":
        return ""
    return "ceremony: unattended (keys from files, not tried by people: `nocontact keys rehearse`, owner and therapist)"


def _due(told: _Told, today: date) -> str:
    if told.ceremony != "attended" or not told.rehearsed or date.fromisoformat(told.rehearsed) + YEAR > today:
        return ""
    return "the yearly rehearsal is due: owner and therapist together, `nocontact keys rehearse`"


def _ahead(told: _Told, law: Charter, today: date) -> str:
    if not law.days_ahead or not told.last_key:
        return ""
    left = date.fromisoformat(told.last_key) - today
    if left >= SOON:
        return ""
    if left < timedelta(0):
        return (
            "the day keys that were made ahead have run out: all days since share the last one; "
            "make others: `nocontact keys rehearse`"
        )
    return f"day keys that were made ahead are there until {told.last_key}: make others, `nocontact keys rehearse`"

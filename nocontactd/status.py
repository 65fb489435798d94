"""What the daemon says of itself to `nocontact status` and `nocontact poll`: no name of a sender, no count.

Everything goes through files in the state directory, each replaced whole. Whether a daemon is
running is told by its lock, never by a file that it may have left; whether it is at work, by how
old its last word is, as one that is frozen holds the lock too.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from nocontactd import state
from nocontactd.errors import BusyError

STATUS = "status.json"
REQUEST = "poll.request"
ANSWER = "poll.answer"
WAIT = 0.1
"""Seconds between two looks for an answer."""
ACKNOWLEDGED = 10.0
"""Seconds within which a daemon that is at work takes note of a request; it looks for one twice a second."""
SILENCE = timedelta(minutes=3)
"""A daemon writes its status every minute; what is older than this holds no longer."""
AHEAD = timedelta(minutes=1)
"""What is dated further in the future was written before the clock was set back: nobody knows when."""
UNKNOWN = "whether anything is looked at is not known"


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """How one source is."""

    source: str
    healthy: bool
    problem: str | None
    """What was not done, and why; without any value."""
    hint: str | None = None
    """What the owner can do about it."""


@dataclass(frozen=True, slots=True)
class Status:
    """How the daemon is. `healthy`, `since` and `sources` are what `status --json` prints."""

    healthy: bool
    since: datetime
    """Since when it has been so; UTC."""
    sources: tuple[SourceStatus, ...]
    problems: tuple[str, ...] = ()
    """What is wrong with no source in particular: the configuration."""
    remarks: tuple[str, ...] = ()
    """What the owner should know although nothing is wrong."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a look that was asked for did not do everything."""

    source: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of the looks that a request asked for."""

    token: str
    exit_code: int
    problems: tuple[Problem, ...]
    finished: bool = True
    """Else the request was taken note of, and this is what is known so far."""


def running(directory: Path) -> bool:
    """Whether a daemon is at work on this state. A `poll` without one holds the lock too, but says nothing."""
    return state.held(directory) and (directory / STATUS).exists()


def forget(directory: Path) -> None:
    """No daemon is running: what an earlier one said holds no longer. Only for who holds the lock."""
    (directory / STATUS).unlink(missing_ok=True)


def write(directory: Path, status: Status) -> None:
    """Not durable: after a power cut nobody is running. SealError."""
    said = asdict(status) | {"since": status.since.isoformat()}
    state.write(directory / STATUS, json.dumps(said, indent=1), durable=False)


def read(directory: Path) -> Status | None:
    """What the daemon last said; None: nothing that can be read."""
    text = state.read(directory / STATUS)
    try:
        said = json.loads(text or "")
        sources = tuple(SourceStatus(**source) for source in said["sources"])
        since = datetime.fromisoformat(said["since"])
        return Status(said["healthy"], since, sources, tuple(said["problems"]), tuple(said["remarks"]))
    except (ValueError, TypeError, KeyError):
        return None


def believed(directory: Path, now: datetime) -> Status | None:
    """What a running daemon last said; where that is too old, that nothing is known to be well."""
    said = read(directory)
    try:
        heard = datetime.fromtimestamp((directory / STATUS).stat().st_mtime, UTC)
    except FileNotFoundError:
        return None
    if said is None or -AHEAD <= now - heard <= SILENCE:
        return said
    silent = _silent(now - heard)
    sources = tuple(SourceStatus(source.source, False, silent) for source in said.sources)
    since = min(heard, now) if said.healthy else said.since
    return replace(said, healthy=False, since=since, sources=sources, problems=(f"{silent}; {UNKNOWN}",))


def _silent(age: timedelta) -> str:
    if age < timedelta(0):
        return "the daemon has not said anything since the clock was set back"
    return f"the daemon has not said anything for {age // timedelta(minutes=1)} minutes"


def ask(directory: Path, token: str) -> None:
    """Ask a running daemon for a look at every source at once; `token` is a random word."""
    state.write(directory / REQUEST, token + "\n", durable=False)


def asked(directory: Path) -> str | None:
    """The token of the last request."""
    return (state.read(directory / REQUEST) or "").strip() or None


def reply(directory: Path, answer: Answer) -> None:
    """Answer a request: at once with what is open, and when every source has finished a look that began after it."""
    state.write(directory / ANSWER, json.dumps(asdict(answer)), durable=False)


def answer(directory: Path, token: str) -> Answer | None:
    """The final answer to this request, None while there is none."""
    found = progress(directory, token)
    return found if found and found.finished else None


def progress(directory: Path, token: str) -> Answer | None:
    """What is known of this request so far, None while the daemon has not taken note of it."""
    try:
        said = json.loads(state.read(directory / ANSWER) or "")
        problems = tuple(Problem(**problem) for problem in said["problems"])
        found = Answer(said["token"], said["exit_code"], problems, said.get("finished", True))
        return found if found.token == token else None
    except (ValueError, TypeError, KeyError):
        return None


def request(
    directory: Path,
    token: str,
    patience: float,
    sleep: Callable[[float], None],
    noted: Callable[[], None] = lambda: None,
) -> Answer:
    """Ask and wait up to `patience` seconds; what is known by then. BusyError: the daemon ended, or does not answer.

    `noted` is called once, when the daemon has taken note and is not finished. Somebody else's
    later request stands in for this one: its looks begin later still.
    """
    ask(directory, token)
    latest, unheard = None, 0.0
    while patience > 0 and unheard < ACKNOWLEDGED:
        found = progress(directory, asked(directory) or token)
        if found and found.finished:
            return found
        if not running(directory):
            raise BusyError("what was at work on this state ended before every source was looked at", "try again")
        if found and not latest:
            noted()
        latest, unheard = found or latest, 0.0 if found else unheard + WAIT
        sleep(WAIT)
        patience -= WAIT
    if latest and unheard < ACKNOWLEDGED:
        return latest
    raise BusyError("the daemon does not answer; nothing was looked at now", "see `nocontact status`")

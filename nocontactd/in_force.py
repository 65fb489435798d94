"""The rules in force: what was accepted, tightened at once by the file, loosened only when the delay is over.

The file is a proposal. Where it cannot be read, or lets more through than what was accepted,
what was accepted goes on, at a restart too. A change is on the disk before anything goes by it.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from nocontactd import config as configuration
from nocontactd import state, whereabouts
from nocontactd.config import Config
from nocontactd.errors import ConfigError, NocontactError
from nocontactd.loosening import identity, merge

CANCELLED = "cancelled"
"""A folder with one empty file an id: only the owner's tool adds one, only the daemon takes one away."""
DAMAGED = "accepted.damaged"
LONGEST = timedelta(days=36500)
"""What a delay may come to; a date has an end."""


class NotFollowedError(ConfigError):
    """The file is not followed, or not in everything; what was accepted goes on, so that this is only a problem."""

    exit_code = 1


@dataclass(frozen=True, slots=True)
class Waiting:
    """A loosening that the file asks for and that is not in force yet."""

    id: str
    what: str
    """For the owner who asks (`nocontact pending`); may name an entry, so it is never logged."""
    due: datetime
    """UTC."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What accepted.json holds."""

    config: Config
    waiting: tuple[Waiting, ...] = ()
    """In the order of the configuration; without those that were cancelled."""
    applied: tuple[Waiting, ...] = ()
    """In force now, but not yet entered in the archive's log."""


@dataclass(frozen=True, slots=True)
class InForce:
    """What the daemon goes by."""

    config: Config
    state: Path
    """The state directory in use; not always what the file says."""
    problems: tuple[str, ...]
    """Why the file is not followed: `FILE:LINE:COL: text` or a sentence; no value of it is echoed."""
    pending: tuple[Waiting, ...]
    """Soonest first; without those that were cancelled."""
    applied: tuple[Waiting, ...] = ()
    """Loosenings that came into force and are to be entered in the archive's log, then `entered`."""
    warnings: tuple[str, ...] = ()
    """What should be known of the file, though it is followed: `FILE:LINE:COL: warning: text`, no value echoed."""


def load(config_file: Path, environ: Mapping[str, str], now: datetime) -> InForce:
    """The rules in force, for a look from outside (`plan`, `check`, `explain`, `pending`); writes nothing.

    ConfigError: the file cannot be used and nothing was accepted yet. PermissionError: the
    state belongs to another user.
    """
    return _in_force(_look(config_file, environ, now))


def accept(
    config_file: Path,
    environ: Mapping[str, str],
    now: datetime,
    broken: Collection[str] = frozenset(),
    directory: Path | None = None,
) -> InForce:
    """The same, made durable. Only for who holds the lock on the state (the daemon, `poll` without one).

    `directory`: the state that is locked, which a file cannot change under a running process.
    `broken`: sources from which nothing can be sealed as they were accepted (login refused, never
    reached yet), whose connection may therefore change at once. SealError: it cannot be written,
    and what was in force before goes on.
    """
    look = _look(config_file, environ, now, broken, directory)
    state.directory(look.state)
    if look.before is None and (look.state / state.ACCEPTED).exists():  # damaged
        (look.state / state.ACCEPTED).replace(look.state / DAMAGED)
    if look.after != look.before:
        _write(look.state, look.after)
    for id in look.put_back:
        (look.state / CANCELLED / id).unlink(missing_ok=True)
    state.remember(config_file, look.state, environ)
    return _in_force(look)


def entered(directory: Path) -> None:
    """The loosenings that came into force are in the archive's log now. SealError."""
    kept = _kept(directory)
    if kept and kept.applied:
        _write(directory, replace(kept, applied=()))


def locate(config_file: Path, environ: Mapping[str, str]) -> Path:
    """The state directory that this file uses, whether or not the file can be read."""
    return _place(config_file, _proposed(config_file)[0], environ)


def cancel(config_file: Path, environ: Mapping[str, str], now: datetime, loosening: str) -> Waiting:
    """Cancel a loosening by its id; holds until the file puts the thing back. NocontactError: no such id."""
    found = load(config_file, environ, now)
    for waiting in found.pending:
        if waiting.id == loosening:
            state.directory(found.state / CANCELLED)
            state.write(found.state / CANCELLED / loosening, "")
            return waiting
    raise NocontactError("no loosening with this id is waiting; nothing was cancelled", "see `nocontact pending`")


def weigh(
    kept: Kept,
    proposed: Config,
    now: datetime,
    *,
    cancelled: Collection[str] = frozenset(),
    impossible: Collection[str] = frozenset(),
    broken: Collection[str] = frozenset(),
) -> tuple[Kept, frozenset[str]]:
    """What is kept after `proposed` was read at `now`, and the ids of every loosening in it. Pure.

    A loosening that waits already keeps its date, whatever else was edited meanwhile; one that
    is `impossible` now waits on beyond it.
    """
    _, asked = merge(kept.config, proposed, broken=broken)
    ids = frozenset(loosening.id for loosening in asked)
    known = {waiting.id: waiting for waiting in kept.waiting}
    granted = {id for id in ids.difference(cancelled, impossible) if id in known and known[id].due <= now}
    config, left = merge(kept.config, proposed, granted, broken)
    due = now + timedelta(seconds=min(config.loosening_delay, LONGEST.total_seconds()))
    waiting = tuple(
        known.get(loosening.id, Waiting(loosening.id, loosening.what, due))
        for loosening in left
        if loosening.id not in cancelled
    )
    applied = tuple(waiting for waiting in kept.waiting if waiting.id in granted)
    return Kept(config, waiting, kept.applied + applied), ids


@dataclass(frozen=True, slots=True)
class _Look:
    """The file and the state, read together."""

    state: Path
    before: Kept | None
    after: Kept
    put_back: frozenset[str]
    """Ids that were cancelled and that the file no longer asks for."""
    problems: tuple[str, ...]
    warnings: tuple[str, ...] = ()


def _look(
    config_file: Path,
    environ: Mapping[str, str],
    now: datetime,
    broken: Collection[str] = frozenset(),
    locked: Path | None = None,
) -> _Look:
    proposed, warnings = _proposed(config_file)
    directory = locked or _place(config_file, proposed, environ)
    before, damage = _before(directory)
    if isinstance(proposed, ConfigError):
        if before is None:
            raise proposed
        return _Look(directory, before, before, frozenset(), (*damage, *proposed.problems))
    if before is None:
        return _Look(directory, None, Kept(proposed), frozenset(), damage, warnings)
    moved = _moved(before, proposed, directory, environ)
    standing = _unbound(before, proposed, directory)
    keyless = _keyless(standing, proposed)
    cancelled = _cancelled(directory)
    after, asked = weigh(
        standing,
        replace(proposed, state=before.config.state) if moved else proposed,
        now,
        cancelled=cancelled,
        impossible={identity("archive", proposed.archive)} if keyless else frozenset(),
        broken=broken,
    )
    problems = tuple(f"{config_file}: {problem}" for problem in (*moved, *keyless))
    return _Look(directory, before, after, cancelled - asked, (*damage, *problems), warnings)


def _in_force(look: _Look) -> InForce:
    pending = tuple(sorted(look.after.waiting, key=lambda waiting: waiting.due))
    return InForce(look.after.config, look.state, look.problems, pending, look.after.applied, look.warnings)


def _proposed(config_file: Path) -> tuple[Config | ConfigError, tuple[str, ...]]:
    """What the file says or why it cannot be used, and what should be known of it."""
    try:
        return configuration.examine(config_file)
    except ConfigError as problem:
        return problem, ()


def _place(config_file: Path, proposed: Config | ConfigError, environ: Mapping[str, str]) -> Path:
    return state.place(config_file, None if isinstance(proposed, ConfigError) else proposed.state, environ)


def _before(directory: Path) -> tuple[Kept | None, tuple[str, ...]]:
    """What was accepted. Where that is damaged, the file is all there is: better than nobody listed."""
    kept, damaged = None, (directory / DAMAGED).exists()
    try:
        kept = _kept(directory)
    except (ConfigError, ValueError, TypeError, KeyError):
        damaged = True
    what = f"{directory}: the accepted rules were damaged, and the file was followed as it stood"
    return kept, (f"{what}; look it through, then remove {DAMAGED}",) if damaged else ()


def _moved(before: Kept, proposed: Config, directory: Path, environ: Mapping[str, str]) -> tuple[str, ...]:
    if proposed.state == before.config.state or state.place_said(proposed.state, environ) == directory:
        return ()
    return (f"state: the state stays in {directory}; to move it, stop the daemon and move that folder",)


def _unbound(before: Kept, proposed: Config, directory: Path) -> Kept:
    """What was accepted, but for an archive that was never there: nothing was sealed in it, so leaving it is free."""
    if before.config.archive == proposed.archive or not whereabouts.never(directory, before.config.archive):
        return before
    return replace(before, config=replace(before.config, archive=proposed.archive))


def _keyless(before: Kept, proposed: Config) -> tuple[str, ...]:
    """An archive without keys would take nothing in, however long the change to it has waited."""
    if before.config.archive == proposed.archive or (proposed.archive / "archive.json").exists():
        return ()
    return ("archive: there are no keys in this archive yet; what is sealed goes to the accepted one",)


def _kept(directory: Path) -> Kept | None:
    text = state.read(directory / state.ACCEPTED)
    if text is None:
        return None
    said = json.loads(text)
    config = configuration.restore(json.dumps(said["config"]))
    waiting, applied = (tuple(_waiting(item) for item in said[key]) for key in ("waiting", "applied"))
    return Kept(config, waiting, applied)


def _waiting(said: Mapping[str, str]) -> Waiting:
    return Waiting(said["id"], said["what"], datetime.fromisoformat(said["due"]))


def _write(directory: Path, kept: Kept) -> None:
    said = {
        "config": json.loads(configuration.dump(kept.config)),
        "waiting": [asdict(waiting) | {"due": waiting.due.isoformat()} for waiting in kept.waiting],
        "applied": [asdict(waiting) | {"due": waiting.due.isoformat()} for waiting in kept.applied],
    }
    state.write(directory / state.ACCEPTED, json.dumps(said, indent=1))


def _cancelled(directory: Path) -> frozenset[str]:
    try:
        return frozenset(file.name for file in (directory / CANCELLED).iterdir() if not file.name.startswith("."))
    except FileNotFoundError:
        return frozenset()

"""Is the archive whole and unaltered? Needs no key, changes nothing, and goes on over damage.

Every file must be what its last leaf says, every leaf must be under a signed checkpoint, and
nothing else may be there. What a running daemon adds meanwhile is in progress, and no fault; what
this user may not read is no fault of the archive either, and ends it.
"""

import os
import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from nocontactd.archive import charter, history
from nocontactd.archive.charter import Charter
from nocontactd.archive.durable import digest
from nocontactd.archive.history import History, charters, listed, reading
from nocontactd.archive.lock import flocked
from nocontactd.archive.log import KEY, ORPHAN, Checkpoint, Leaf
from nocontactd.archive.pinned import places
from nocontactd.errors import DamagedError

_NEVER_LOGGED = re.compile(r"log/(copy/)?(leaves|checkpoint)|log/anchors/[^/]+\.(tsr|note)|index/[^/]+\.[ab]\.age")
_FOLDER = re.compile(r"holders|keys|keys/copy|incoming|mail|mail/\d{4}-\d\d-\d\d|index|log|log/copy|log/anchors")
_DRAFT = re.compile(
    r"incoming/(\d{4}-\d\d-\d\d(-\d{6,}\.age|(\.\d+)?\.(key\.age|pub))"
    r"|leaves|checkpoint|archive\.json|README\.txt|(owner|therapist|witness)\.age)(\.new)?"
)
"""What a daemon writes there, or a dead one left: the next start clears it. Anything else is a stranger's."""
_PATIENCE = 5.0
"""Seconds to wait for whoever appends just now, before a file without a leaf is called extra."""


@dataclass(frozen=True, slots=True)
class Verification:
    """Paths inside the archive (`mail/2026-11-22/000001.age`, `log/checkpoint`), sorted, by what is the matter."""

    ok: bool
    """Nothing is damaged, missing or extra."""
    damaged: tuple[str, ...]
    missing: tuple[str, ...]
    extra: tuple[str, ...]
    in_progress: tuple[str, ...]
    """Newer than the last checkpoint, or being written just now."""


@dataclass(slots=True)
class _Findings:
    """Names as they are found."""

    damaged: set[str] = field(default_factory=set)
    missing: set[str] = field(default_factory=set)
    extra: set[str] = field(default_factory=set)
    in_progress: set[str] = field(default_factory=set)

    def close(self) -> Verification:
        lists = (tuple(sorted(names)) for names in (self.damaged, self.missing, self.extra, self.in_progress))
        return Verification(not (self.damaged or self.missing or self.extra), *lists)


_Expected = dict[str, tuple[str, int]]
"""Of each file: its SHA-256 by the log, and the index of the leaf that says so."""


def verify(path: Path, progress: Callable[[int, int], None] | None = None) -> Verification:
    """Check every file of the archive at `path` against its log, and the log against its signature.

    `progress(done, all)` is called with counts of files. DamagedError: there is no archive there at all.
    NocontactError: this user may not read all of it.
    """
    with reading(path):
        if not listed(path):
            raise DamagedError(
                f"archive {path}: there is no archive here", "see `archive:` in the configuration; is its disk mounted?"
            )
        return _verify(path, progress)


def _verify(path: Path, progress: Callable[[int, int], None] | None) -> Verification:
    """PermissionError."""
    found = _Findings()
    signed, expected = _check_log(path, found)
    strangers = set(_files(path, found)) - _due(expected)
    _check_files(path, expected, signed, found, progress or (lambda _done, _all: None))
    if expected:  # without any log nothing can be told from anything, and that has been said
        _name_strangers(path, strangers, found)
    return found.close()


def _check_log(path: Path, found: _Findings) -> tuple[int, _Expected]:
    """How many leaves are signed for, and what the log expects of each file.

    The checkpoints are read first: a copy that grows meanwhile still begins with what they sign.
    Of two copies the one that is as signed is believed, and the other for what only it has.
    """
    if not (path / charter.NAME).exists():
        found.missing.add(charter.NAME)
    laws = [charter.parse(data) for data in charters(path)]
    second = _checkpoint(path, "log/copy/checkpoint", laws, found)
    first = _checkpoint(path, "log/checkpoint", laws, found)
    said = [one for one in (first, second) if one]
    latest = max((one.size for one in said), default=0)
    sound: _Expected = {}
    doubtful: _Expected = {}
    for name, needed in (("log/leaves", latest), ("log/copy/leaves", second.size if second else latest)):
        expected: _Expected = {}
        copy = _read_copy(path, name, {one.size for one in said}, expected, found)
        if copy and copy.size >= needed and all(copy.extends(one) for one in said if one.size <= copy.size):
            if copy.torn or copy.size < latest:  # being written, or lagging behind the first copy as it may
                found.in_progress.add(name)
            sound = expected | sound
        elif copy:
            found.damaged.add(name)
            doubtful = expected | doubtful
    return latest, doubtful | sound


def _checkpoint(path: Path, name: str, laws: list[Charter], found: _Findings) -> Checkpoint | None:
    said = next(filter(None, (history.checkpoint(path / name, law) for law in laws)), None)
    if not said:
        (found.damaged if (path / name).exists() else found.missing).add(name)
    return said


def _read_copy(path: Path, name: str, sizes: set[int], expected: _Expected, found: _Findings) -> History | None:
    def take(index: int, leaf: Leaf | None) -> None:
        if leaf is None:
            found.damaged.add(name)
        elif leaf.day:  # a record is logged once: a later line about it is no news of it
            expected.setdefault(f"mail/{leaf.subject}.age", (leaf.first, index))
        else:
            expected.update((file, (sha256, index)) for file, sha256 in _named(leaf))

    try:
        return history.read(path / name, sizes, take)
    except FileNotFoundError:
        found.missing.add(name)
    except PermissionError:
        raise
    except OSError:
        found.damaged.add(name)
    return None


def _named(leaf: Leaf) -> Iterator[tuple[str, str]]:
    """The files that a leaf is about, if not a record, each with its hash."""
    if KEY.fullmatch(leaf.subject):
        for suffix, sha256 in ((".key.age", leaf.first), (".pub", leaf.second)):
            for folder in ("keys", "keys/copy"):
                yield f"{folder}/{leaf.subject.removeprefix('key/')}{suffix}", sha256
    else:
        for place in places(Path(), leaf.subject):
            yield place.as_posix(), leaf.first


def _due(expected: _Expected) -> set[str]:
    return {file for file, (sha256, _index) in expected.items() if sha256 != ORPHAN}


def _files(path: Path, found: _Findings) -> Iterator[str]:
    """Every file below the archive. What is neither a file nor one of its folders does not belong there."""

    def unreadable(problem: OSError) -> None:
        if isinstance(problem, PermissionError):
            raise problem
        found.damaged.add(Path(problem.filename).relative_to(path).as_posix())

    for root, folders, files in os.walk(path, onerror=unreadable):
        for entry in (Path(root) / name for name in (*folders, *files)):
            place = entry.relative_to(path).as_posix()
            kind = _kind(entry)
            if kind == stat.S_IFREG and _DRAFT.fullmatch(place):
                found.in_progress.add(place)
            elif kind == stat.S_IFREG:
                yield place
            elif kind and not (kind == stat.S_IFDIR and _FOLDER.fullmatch(place)):
                found.extra.add(place)


def _kind(entry: Path) -> int:
    """stat.S_IFREG and the like, of a link itself; 0: it is gone again. PermissionError."""
    try:
        return stat.S_IFMT(entry.lstat().st_mode)
    except PermissionError:
        raise
    except OSError:
        return 0


def _check_files(
    path: Path, expected: _Expected, signed: int, found: _Findings, progress: Callable[[int, int], None]
) -> None:
    for done, (file, (sha256, index)) in enumerate(sorted(expected.items()), 1):
        progress(done, len(expected))
        if sha256 == ORPHAN:
            continue
        try:
            sound = digest(path / file) == sha256
        except FileNotFoundError:
            found.missing.add(file)
            continue
        except PermissionError:
            raise
        except OSError:
            sound = False
        if not sound:
            found.damaged.add(file)
        elif index >= signed:
            found.in_progress.add(file)


def _name_strangers(path: Path, strangers: set[str], found: _Findings) -> None:
    """What has no leaf is extra, unless it has got one meanwhile: looked at again while nobody appends."""
    strangers = {file for file in strangers if not _NEVER_LOGGED.fullmatch(file)}
    if not strangers:
        return
    later: _Expected = {}
    quiet = _quiet(path)
    try:
        _read_copy(path, "log/leaves", set(), later, _Findings())
        strangers = {file for file in strangers if (path / file).exists()}
    finally:
        if quiet is not None:
            os.close(quiet)
    found.in_progress |= strangers & _due(later)
    found.extra |= strangers - _due(later)


def _quiet(path: Path) -> int | None:
    """While this is open nobody is between a file and its leaf; None: that could not be had."""
    try:
        return flocked(path / "log", _PATIENCE, shared=True)
    except OSError:
        return None

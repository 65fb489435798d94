"""Is the archive whole and unaltered? Needs no key, changes nothing, and goes on over damage.

Every file must be what its last leaf says, every leaf must be under a signed checkpoint, the log must
begin with what every checkpoint kept elsewhere signs, and nothing else may be there. What a running
daemon adds meanwhile is in progress, and no fault; what this user may not read is no fault of the
archive either, and ends it.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from nocontactd.archive import charter
from nocontactd.archive.anchored import anchored
from nocontactd.archive.believed import Expected, compare, read_copy, read_log
from nocontactd.archive.durable import digest
from nocontactd.archive.findings import Findings, Verification
from nocontactd.archive.history import charters, listed, reading
from nocontactd.archive.lock import flocked
from nocontactd.archive.log import ORPHAN
from nocontactd.archive.outside import Kept
from nocontactd.errors import DamagedError

_NEVER_LOGGED = re.compile(r"log/(copy/)?(leaves|checkpoint)|log/anchors/[^/]+\.(tsr|note)|index/[^/]+\.[ab]\.age")
_FOLDER = re.compile(r"holders|keys|keys/copy|incoming|mail|mail/\d{4}-\d\d-\d\d|index|log|log/copy|log/anchors")
_DRAFT = re.compile(
    r"incoming/(\d{4}-\d\d-\d\d(-\d{6,}\.age|(\.\d+)?\.(key\.age|pub)|\.(note|tsr))|[0-9a-f]{16}\.note"
    r"|leaves|checkpoint|archive\.json|README\.txt|(owner(-recovery)?|therapist|witness)\.age)(\.new)?"
)
"""What a daemon writes there, or a dead one left: the next start clears it. Anything else is a stranger's."""
_PATIENCE = 5.0
"""Seconds to wait for whoever appends just now, before a file without a leaf is called extra."""


def verify(
    path: Path,
    progress: Callable[[int, int], None] | None = None,
    kept: Mapping[str, Kept] | None = None,
    ca_file: Path | None = None,
) -> Verification:
    """Check every file of the archive at `path` against its log, and the log against its signature.

    `progress(done, all)` is called with counts of files. `kept`: checkpoints from outside, by what to call them.
    `ca_file`: whose time-stamps are believed, if not those that this system trusts.
    DamagedError: there is no archive there at all. NocontactError: this user may not read all of it.
    """
    with reading(path):
        if not listed(path):
            raise DamagedError(
                f"archive {path}: there is no archive here", "see `archive:` in the configuration; is its disk mounted?"
            )
        return _verify(path, progress or (lambda _done, _all: None), kept or {}, ca_file)


def _verify(
    path: Path, progress: Callable[[int, int], None], kept: Mapping[str, Kept], ca_file: Path | None
) -> Verification:
    """PermissionError."""
    found = Findings()
    if not (path / charter.NAME).exists():
        found.missing.add(charter.NAME)
    laws = [charter.parse(data) for data in charters(path)]
    anchors = anchored(path, laws, ca_file)
    log = read_log(path, laws, anchors.checkpoints | {name: one.checkpoint for name, one in kept.items()}, found)
    compare(log, anchors, kept, laws, found)
    strangers = set(_files(path, found)) - _due(log.expected)
    _check_files(path, log.expected, log.signed, found, progress)
    if log.expected:  # without any log nothing can be told from anything, and that has been said
        _name_strangers(path, strangers, found)
    return found.close()


def _due(expected: Expected) -> set[str]:
    return {file for file, (sha256, _index) in expected.items() if sha256 != ORPHAN}


def _files(path: Path, found: Findings, folder: str = "") -> Iterator[str]:
    """Every file below the archive. What is neither a file nor one of its folders does not belong there."""
    try:
        entries = list(os.scandir(path / folder))
    except PermissionError:
        raise
    except FileNotFoundError:
        return  # gone meanwhile
    except OSError:
        found.damaged.add(folder)
        return
    for entry in entries:
        place = f"{folder}/{entry.name}" if folder else entry.name
        if entry.is_file(follow_symlinks=False):
            if _DRAFT.fullmatch(place):
                found.in_progress.add(place)
            else:
                yield place
        elif not entry.is_dir(follow_symlinks=False):
            found.extra.add(place)
        elif _FOLDER.fullmatch(place):
            yield from _files(path, found, place)
        else:
            found.extra.add(place)


def _check_files(
    path: Path, expected: Expected, signed: int, found: Findings, progress: Callable[[int, int], None]
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


def _name_strangers(path: Path, strangers: set[str], found: Findings) -> None:
    """What has no leaf is extra, unless it has got one meanwhile: looked at again while nobody appends."""
    strangers = {file for file in strangers if not _NEVER_LOGGED.fullmatch(file)}
    if not strangers:
        return
    later: Expected = {}
    quiet = _quiet(path)
    try:
        read_copy(path, "log/leaves", set(), later, Findings())
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

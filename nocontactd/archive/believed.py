"""Which leaves are believed: those under the archive's own checkpoints, if every checkpoint kept elsewhere agrees.

A log key may be stolen and everything signed anew. What was signed before and lies elsewhere (on
paper, with a witness, under a time-stamp) must be the beginning of the log that stands here now.
"""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from nocontactd.archive import charter, history
from nocontactd.archive.anchored import Anchored
from nocontactd.archive.charter import Charter
from nocontactd.archive.findings import Findings
from nocontactd.archive.history import History
from nocontactd.archive.log import KEY, Checkpoint, Leaf
from nocontactd.archive.outside import Kept
from nocontactd.archive.pinned import places

OLDER = "the archive is older than that: an older copy was put in its place, or the end of its log was cut off"
REWRITTEN = "the archive's history is not the one that was signed then: it was rewritten"
STRANGE = "it is not of the archive that stands here now, or not signed by it"

Expected = dict[str, tuple[str, int]]
"""Of each file: its SHA-256 by the log, and the index of the leaf that says so."""


@dataclass(frozen=True, slots=True)
class Log:
    """Both copies of the log, as far as they are believed."""

    signed: int
    """How many leaves are signed for; more than there are where no signature is: then none is newer than it."""
    expected: Expected
    sound: tuple[History, ...]
    """The copies that are what the archive's own checkpoints sign."""


def read_log(path: Path, laws: list[Charter], others: Mapping[str, Checkpoint], found: Findings) -> Log:
    """The checkpoints are read first: a copy that grows meanwhile still begins with what they sign.

    Of two copies the one that is as signed is believed, and the other for what only it has.
    """
    second = _checkpoint(path, "log/copy/checkpoint", laws, found)
    first = _checkpoint(path, "log/checkpoint", laws, found)
    said = [one for one in (first, second) if one]
    latest = max((one.size for one in said), default=0)
    asked = {one.size for one in (*said, *others.values())}
    sound: Expected = {}
    doubtful: Expected = {}
    believed = []
    for name, needed in (("log/leaves", latest), ("log/copy/leaves", second.size if second else latest)):
        expected: Expected = {}
        copy = read_copy(path, name, asked, expected, found)
        if copy and copy.size >= needed and all(copy.extends(one) for one in said if one.size <= copy.size):
            if copy.torn or copy.size < latest:  # being written, or lagging behind the first copy as it may
                found.in_progress.add(name)
            sound = expected | sound
            believed.append(copy)
        elif copy:
            found.damaged.add(name)
            doubtful = expected | doubtful
    return Log(latest if said else sys.maxsize, doubtful | sound, tuple(believed))


def compare(log: Log, anchors: Anchored, kept: Mapping[str, Kept], laws: list[Charter], found: Findings) -> None:
    """Hold the log against what was signed elsewhere, or earlier: it must begin with that."""
    found.damaged |= anchors.damaged
    found.missing |= anchors.missing
    found.remarks += anchors.remarks
    ours = {name: one for name, one in kept.items() if any(one.of(law.origin, law.log_keys) for law in laws)}
    for name in kept.keys() - ours.keys():
        found.damaged.add(charter.NAME)
        found.remarks.append(f"{name}: {STRANGE}")
    signed = anchors.checkpoints | {name: one.checkpoint for name, one in ours.items()}
    for name, said in signed.items() if log.sound else ():
        if not any(copy.extends(said) for copy in log.sound):
            older = all(copy.size < said.size for copy in log.sound)
            found.damaged |= {"log/leaves", "log/copy/leaves"}
            found.remarks.append(f"{name}: {OLDER if older else REWRITTEN}")


def _checkpoint(path: Path, name: str, laws: list[Charter], found: Findings) -> Checkpoint | None:
    said = next(filter(None, (history.checkpoint(path / name, law) for law in laws)), None)
    if not said:
        (found.damaged if (path / name).exists() else found.missing).add(name)
    return said


def read_copy(path: Path, name: str, sizes: set[int], expected: Expected, found: Findings) -> History | None:
    """One copy of the leaves, with what they expect entered in `expected`; None: there is none. PermissionError."""

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

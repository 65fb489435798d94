"""What a dead process left is finished or undone, before anything new is written.

The log is taken up only if a signed checkpoint says so, in the one copy or the other: to go on
from a log that was altered would be to sign for the alteration.
"""

import hashlib
import stat
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from nocontactd.archive import pinned
from nocontactd.archive.copies import Copies
from nocontactd.archive.daykeys import DayKeys
from nocontactd.archive.durable import PIECE, Disk, digest, flush_folder
from nocontactd.archive.history import read, reading, signed
from nocontactd.archive.leaves import Leaves
from nocontactd.archive.log import ORPHAN, RECORD, Checkpoint, Leaf
from nocontactd.archive.regular import opened
from nocontactd.errors import DamagedError, SealError

_FOLDERS = ("holders", "incoming", "keys/copy", "log/copy", "mail")
_RECENT = 3
"""Days, by their last leaf, on which a process that died may have been at work."""


def recover(archive: Path, disk: Disk, leaves: Leaves, copies: Copies, keys: DayKeys, moment: datetime) -> None:
    """Bring the archive to where every file has its leaf and every leaf its file. OSError, DamagedError.

    DamagedError: the log cannot be believed, in either copy; nothing was changed.
    SealError: it is not for this user to read, which says nothing against it.
    """
    said = signed(archive)
    for folder in _FOLDERS:
        disk.make_folder(archive / folder)
    _choose(archive, copies, leaves, said, moment)
    leaves.recovering = True
    with leaves.turn():
        leaves.flush()
        if not _begins(leaves, copies.leaves):
            copies.rewrite(leaves.read(0), copies.leaves, moment)
        pinned.mend(archive, leaves, disk, moment)
        keys.mend(leaves, moment)
        _empty(archive / "incoming", disk)
        _log_orphans(archive, disk, leaves, moment)


def _choose(archive: Path, copies: Copies, leaves: Leaves, said: Checkpoint, moment: datetime) -> None:
    """Go on from the copy of the log that was signed for; put it in the other's place if it is the second."""
    for path in (leaves.path, copies.leaves):
        try:
            with reading(archive, SealError):  # an older copy in its place would lose what was acknowledged since
                believed = read(path, {said.size}).extends(said)
        except OSError:
            believed = False
        if believed:
            break
    else:
        raise DamagedError(
            f"archive {archive}: its log is not the one that was signed for; nothing was sealed or removed",
            "run `nocontact verify`; put log/ back from a backup",
        )
    if path != leaves.path:
        copies.rewrite(_pieces(path), leaves.path, moment)
        leaves.reload()


def _begins(leaves: Leaves, copy: Path) -> bool:
    """Whether the second copy of the log is a beginning of the first."""
    try:
        there = copy.lstat()
        size, ours = there.st_size if stat.S_ISREG(there.st_mode) else sys.maxsize, hashlib.sha256()
        for piece in leaves.read(0, size):
            ours.update(piece)
        return size <= leaves.octets and digest(copy) == ours.hexdigest()
    except OSError:
        return False


def _empty(incoming: Path, disk: Disk) -> None:
    for path in incoming.iterdir():
        if path.is_symlink() or not path.is_dir():
            disk.remove(path)


def _log_orphans(archive: Path, disk: Disk, leaves: Leaves, moment: datetime) -> None:
    """A file without a leaf was never acknowledged: its message still stands at its source."""
    recent = sorted(leaves.days, key=leaves.days.__getitem__)[-_RECENT:]
    for day in sorted(path.name for path in (archive / "mail").iterdir()):
        if day in leaves.days and day not in recent:
            continue
        found = list(_orphans(archive / "mail" / day, set(leaves.of_day(day))))
        if found:
            flush_folder(disk, archive / "mail" / day)
            leaves.append(found, moment)


def _orphans(folder: Path, logged: set[str]) -> Iterator[Leaf]:
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        record = f"{folder.name}/{path.stem}"
        if path.suffix == ".age" and RECORD.fullmatch(record) and record not in logged:
            try:
                if stat.S_ISREG(path.lstat().st_mode):  # a pipe has a hash, too: that of nothing
                    yield Leaf(record, digest(path), ORPHAN)
            except OSError:
                continue  # a dead sector, or no file at all: verify names it


def _pieces(path: Path) -> Iterator[bytes]:
    with opened(path) as file:
        while piece := file.read(PIECE):
            yield piece

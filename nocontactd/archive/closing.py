"""A day that is over, as it lies on the disk: which are there, what sizes their files have, and when they were touched.

Files are listed and measured, never opened: the daemon may not read what it has sealed.
"""

import os
from datetime import UTC, datetime
from pathlib import Path

from nocontactd.archive.durable import round_time
from nocontactd.archive.leaves import Leaves
from nocontactd.errors import SealError

RECENT = 31
"""Days, by their last leaf, that may not be closed yet: a disk may have been full for as many."""
ROOM = 64 << 20
"""Octets that covers leave free on the disk: a message comes first."""


def over(archive: Path, leaves: Leaves, today: str) -> list[str]:
    """The days before this one that may want closing, oldest first. Needs the turn."""
    recent = sorted(leaves.days, key=leaves.days.__getitem__)[-RECENT:]
    return sorted(day for day in recent if day < today and (archive / "mail" / day).is_dir())


def sizes(folder: Path) -> list[int]:
    """Of every file, in octets. OSError."""
    with os.scandir(folder) as entries:
        return [entry.stat(follow_symlinks=False).st_size for entry in entries]


def make_sure_of_room(archive: Path, octets: int) -> None:
    """SealError: covers of so many octets would take room that messages may need."""
    disk = os.statvfs(archive)
    if disk.f_bavail * disk.f_frsize < 2 * octets + ROOM:
        raise SealError(
            f"archive {archive}: the disk is nearly full, so a day that is over was not filled up with cover records",
            "make room on that disk; until then the number of its files can be seen",
        )


def level(folder: Path) -> None:
    """Touch every file of a day, by name, so that no change time tells which were there before. OSError."""
    day = datetime.fromisoformat(folder.name).replace(tzinfo=UTC)
    for path in sorted(folder.iterdir()):
        round_time(path, day)
    round_time(folder, day)

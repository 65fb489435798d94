"""Many small files made durable together: a group is written before the first of it is flushed.

A journaling file system then commits once for all of them, and thousands of files take seconds.
"""

import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from nocontactd.archive.durable import Disk, hasten, round_time

GROUP = 256
"""Files open at the same time; a process may have a thousand."""


def write_all(disk: Disk, files: Mapping[Path, bytes], moment: datetime) -> None:
    """Whole new files, durable but for their names. What a dead process left under a name is written anew. OSError."""
    todo = list(files.items())
    for start in range(0, len(todo), GROUP):
        _write(disk, dict(todo[start : start + GROUP]), moment)


def _write(disk: Disk, files: Mapping[Path, bytes], moment: datetime) -> None:
    opened: dict[int, Path] = {}
    try:
        for path, data in files.items():
            disk.remove(path)
            fd = disk.create(path)
            opened[fd] = path
            disk.write(fd, data)
            round_time(fd, moment)
        for fd in opened:
            hasten(fd)
        for fd, path in opened.items():
            disk.flush(fd, path)
    finally:
        for fd in opened:
            os.close(fd)

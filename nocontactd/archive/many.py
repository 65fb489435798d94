"""Many files made durable together: all are written before the first is flushed, and flushes wait for no other.

A journaling file system then commits once for many of them, and thousands of files take seconds.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor, wait
from datetime import datetime
from functools import partial
from pathlib import Path

from nocontactd.archive.durable import Disk, hasten, round_time

GROUP = 256
"""Files open at the same time; a process may have a thousand."""
WIDE = 8
"""Flushes under way at the same time: twice as many would take nearly as long."""


def at_once(pool: Executor, acts: Sequence[Callable[[], None]]) -> None:
    """Do all of these, some of them here. When this returns or raises, none is under way; what one raises is raised."""
    here, end = acts[::WIDE], begin(pool, [act for at, act in enumerate(acts) if at % WIDE])
    try:
        _do(here)
    finally:
        end()


def begin(pool: Executor, acts: Sequence[Callable[[], None]]) -> Callable[[], None]:
    """Have all of these done while something else is. What is given back waits for them, as `at_once` does."""
    shares = [acts[at::WIDE] for at in range(WIDE)]  # to hand over each alone costs more than many a flush
    others = [pool.submit(_do, share) for share in shares if share]

    def end() -> None:
        wait(others)
        for other in others:
            other.result()

    return end


def _do(acts: Sequence[Callable[[], None]]) -> None:
    """In turn."""
    for act in acts:
        act()


def write_all(disk: Disk, files: Mapping[Path, bytes], moment: datetime) -> None:
    """Whole new files, durable but for their names. What a dead process left under a name is written anew. OSError."""
    todo = list(files.items())
    with ThreadPoolExecutor(WIDE, "flushing") as pool:
        for start in range(0, len(todo), GROUP):
            _write(disk, dict(todo[start : start + GROUP]), moment, pool)


def _write(disk: Disk, files: Mapping[Path, bytes], moment: datetime, pool: Executor) -> None:
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
        at_once(pool, [partial(disk.flush, fd, path) for fd, path in opened.items()])
    finally:
        for fd in opened:
            os.close(fd)

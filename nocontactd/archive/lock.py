"""Locks are flock(2) on folders: nothing is left behind by the dead, and a copied archive holds none."""

import fcntl
import os
import threading
import time
from pathlib import Path
from types import TracebackType

from nocontactd.errors import SealError

PATIENCE = 30.0
"""Seconds to wait for another process's short lock: it holds it for one append or one new day key."""


def flocked(folder: Path, patience: float = 0.0, *, shared: bool = False) -> int | None:
    """A descriptor that holds the lock on this folder until it is closed; None: another process has it."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    deadline = time.monotonic() + patience
    try:
        while True:
            try:
                fcntl.flock(fd, kind | fcntl.LOCK_NB)
                taken, fd = fd, -1
                return taken
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    return None
                time.sleep(0.01)
    finally:
        if fd >= 0:
            os.close(fd)


class Turn:
    """The short lock: one appends at a time, among all threads and processes. Reentrant within a thread."""

    def __init__(self, folder: Path, patience: float = PATIENCE) -> None:
        self._folder = folder
        self._patience = patience
        self._threads = threading.RLock()
        self._fd: int | None = None
        self._depth = 0

    def __enter__(self) -> None:
        self._threads.acquire()
        entered = False
        try:
            if not self._depth:
                self._fd = flocked(self._folder, self._patience)
            if self._fd is None:
                raise SealError(
                    f"archive {self._folder.parent}: another process holds its log; nothing was sealed or removed",
                    "it is tried again at the next pass; a stopped `nocontact` process may be in the way",
                )
            self._depth += 1
            entered = True
        finally:
            if not entered:
                self._threads.release()

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._depth -= 1
        if not self._depth and self._fd is not None:
            os.close(self._fd)
            self._fd = None
        self._threads.release()

"""One record on its way: written in incoming/, flushed, read back from the disk, and only then worth a name.

The drafts of a group are all written, then all flushed, then all read back: each flush waits for
the disk, and the first of several takes most of the others' work along.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from nocontactd.archive.durable import PIECE, Disk, digest_of, hasten, refusals, round_time
from nocontactd.archive.hashing import Sha256
from nocontactd.errors import SealError


class Draft:
    """A file in incoming/. Every failure to write it is a SealError."""

    def __init__(self, archive: Path, disk: Disk, path: Path, sha256: Callable[[], Sha256]) -> None:
        """What a dead process left under this name goes."""
        self.path = path
        self._archive = archive
        self._disk = disk
        self._written = sha256()
        self._sha256 = sha256
        self._length = 0
        """Of what was written since the disk was last asked to begin."""
        with refusals(archive):
            self._fd = self._create()

    def write(self, data: bytes) -> None:
        """Go on with these octets."""
        self._written.update(data)  # before it is written: what does not arrive is then missed when it is read back
        self._length += len(data)
        with refusals(self._archive):
            self._disk.write(self._fd, data)
            if self._length >= PIECE:
                self._length = 0
                hasten(self._fd)

    def finish(self, moment: datetime) -> None:
        """That was all of it."""
        with refusals(self._archive):
            round_time(self._fd, moment)

    def flush(self) -> None:
        """It is on the disk when this returns."""
        with refusals(self._archive):
            self._disk.flush(self._fd, self.path)
            hasten(self._fd)
            os.posix_fadvise(self._fd, 0, 0, os.POSIX_FADV_WILLNEED)  # from the disk, while the next one is flushed

    def read_back(self) -> str:
        """The SHA-256 (hex) of what the disk holds, which is what was written, or else this is a SealError."""
        with refusals(self._archive):
            os.lseek(self._fd, 0, os.SEEK_SET)
            found = digest_of(self._fd, self._sha256())
        self.close()
        if found != self._written.hexdigest():
            raise SealError(
                f"archive {self._archive}: what was read back is not what was written; nothing was removed",
                "the disk or the memory of this machine is failing: run `nocontact verify`, then a memory test",
            )
        return found

    def close(self) -> None:
        """Let go of the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def discard(self) -> None:
        """It came to nothing."""
        self.close()
        with suppress(OSError):
            self._disk.remove(self.path)

    def _create(self) -> int:
        try:
            return self._disk.create(self.path)
        except FileExistsError:
            self._disk.remove(self.path)
            return self._disk.create(self.path)

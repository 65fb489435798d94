"""Everything the archive does to the disk goes through one `Disk`, so that a test can stand in its way.

A flush that failed is never repeated and then believed: the kernel may have thrown the data away
and marked it clean (fsync(2) since Linux 4.13 tells once). What it was for is begun anew.
"""

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from nocontactd.archive.format import Hash
from nocontactd.errors import DamagedError, SealError, UnsoundError

FILE_MODE = 0o600
FOLDER_MODE = 0o700
PIECE = 1 << 20
_READ = 1 << 16

_HINTS = {
    errno.ENOSPC: "make room on that disk; the next pass tries again",
    errno.EDQUOT: "make room within that user's quota; the next pass tries again",
    errno.EROFS: "it is mounted read-only; a disk that failed is often remounted so",
    errno.EACCES: "it must belong to the user that the daemon runs as",
    errno.EPERM: "it must belong to the user that the daemon runs as",
    errno.EIO: "the disk may be failing: run `nocontact verify`, and copy the archive to another disk",
}


class Disk:
    """The system calls that change a disk, each once. Files are open for this process alone, never followed links."""

    def create(self, path: Path) -> int:
        """A new file, open for writing and reading back; FileExistsError if there is one."""
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE)

    def write(self, fd: int, data: bytes, offset: int | None = None) -> None:
        """All of it, at the end of what was written, or at an offset."""
        view = memoryview(data)
        while view:
            done = os.write(fd, view) if offset is None else os.pwrite(fd, view, offset)
            view = view[done:]
            offset = None if offset is None else offset + done

    def cut(self, fd: int, size: int) -> None:
        """Shorten a file."""
        os.ftruncate(fd, size)

    def flush(self, fd: int, path: Path, *, data_only: bool = False) -> None:
        """What was written to `path` is on the disk when this returns. The only call that says so."""
        if data_only:
            os.fdatasync(fd)
        else:
            os.fsync(fd)

    def rename(self, source: Path, target: Path) -> None:
        """Move a file within one file system, in place of what may stand there."""
        source.rename(target)

    def make_folder(self, path: Path) -> None:
        """A new folder; what is there already stays."""
        path.mkdir(FOLDER_MODE, exist_ok=True)

    def remove(self, path: Path) -> None:
        """Take a file away; one that is gone is gone."""
        path.unlink(missing_ok=True)


def flush_folder(disk: Disk, path: Path) -> None:
    """The names in this folder are on the disk when this returns."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        disk.flush(fd, path)
    finally:
        os.close(fd)


def write_new(disk: Disk, path: Path, data: bytes, moment: datetime) -> None:
    """A whole new file, durable but for its name. A file that a dead process left there is written anew."""
    disk.remove(path)
    fd = disk.create(path)
    try:
        disk.write(fd, data)
        round_time(fd, moment)
        disk.flush(fd, path)
    finally:
        os.close(fd)


def put(disk: Disk, data: bytes, target: Path, *, incoming: Path, moment: datetime) -> None:
    """Write, flush, rename, flush the folder: `target` is either as it was, or whole and durable."""
    draft = incoming / f"{target.name}.new"
    write_new(disk, draft, data, moment)
    disk.rename(draft, target)
    flush_folder(disk, target.parent)


def hasten(fd: int) -> None:
    """Begin writing a file back; what of it is on the disk already leaves the memory. No flush: it promises nothing."""
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)


def digest(path: Path) -> str:
    """SHA-256 (hex) of a regular file; OSError for anything else."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return digest_of(fd, hashlib.sha256())
    finally:
        os.close(fd)


def digest_of(fd: int, found: Hash) -> str:
    """The same of an open one, from where it stands to its end."""
    while piece := os.read(fd, _READ):  # hashlib.file_digest costs more than the hash of a small record
        found.update(piece)
    return found.hexdigest()


def round_time(target: int | Path, moment: datetime) -> None:
    """Set a file's times to the midnight of that day (UTC): the hour of contact is nobody's business."""
    midnight = moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
    os.utime(target, (midnight, midnight))


@contextmanager
def refusals(place: Path, what: str = "archive") -> Iterator[None]:
    """The one place where an OSError of the archive, or of its state, becomes a SealError.

    The name of the file is left out, for record names count messages.
    """
    try:
        yield
    except OSError as problem:
        raise SealError(
            f"{what} {place}: cannot be written: {os.strerror(problem.errno or 0)}; nothing was removed",
            _HINTS.get(problem.errno or 0, "see that the disk is mounted and sound; the next pass tries again"),
        ) from None


@contextmanager
def sealing(archive: Path) -> Iterator[None]:
    """Whatever keeps the archive from sealing is a SealError, as ports.Sealer says; damage is an UnsoundError."""
    try:
        with refusals(archive):
            yield
    except DamagedError as problem:
        raise UnsoundError(problem.message, problem.hint) from None

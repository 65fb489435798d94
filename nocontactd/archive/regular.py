"""Reads a file of the archive that is small by its nature, whoever may have put something else in its place.

No link is followed, a pipe is not waited for, and a file that has grown beyond all sense is not
taken into memory: each of these is an OSError, as a dead sector is.
"""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

MOST = 4 * 1024 * 1024
"""Octets. The largest there is, an archive.json, has a few thousand."""


def octets(path: Path, most: int = MOST) -> bytes:
    """The whole of a small regular file. OSError: there is none, or it is something else."""
    with opened(path) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    return data


def opened(path: Path) -> BinaryIO:
    """A regular file of any length, for reading piece by piece. OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return os.fdopen(fd, "rb")
    os.close(fd)
    raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

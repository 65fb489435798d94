"""A file that was asked for: new, for its owner alone, and never in the place of another."""

import os
from pathlib import Path


def write_new(path: Path, data: bytes) -> None:
    """OSError: it cannot be written, or there is one already (FileExistsError)."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(data)

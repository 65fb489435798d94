"""The state remembers each path at which there was an archive: one that is gone from there is missed, not made anew.

A disk that is not mounted looks like an archive that was never made, and a second archive would
hide the first.
"""

import os
from hashlib import sha256
from pathlib import Path

from nocontactd import state
from nocontactd.archive.presence import expect
from nocontactd.errors import DamagedError, NocontactError, NoKeysError

MARK = "archive."
"""How the name of an empty file in the state begins, one an archive; the digest of its path follows."""


def note(directory: Path, archive: Path) -> None:
    """Remember, in this state directory, that there is an archive at this path. Durable. SealError."""
    if not _noted(directory, archive):
        state.directory(directory)
        state.write(_mark(directory, archive), "")


def look(directory: Path, archive: Path) -> None:
    """An archive stands there. DamagedError: it is damaged, or there was one. NoKeysError: never yet. SealError."""
    try:
        expect(archive)
    except NoKeysError:
        if not _noted(directory, archive):
            raise
        raise DamagedError(
            f"archive {archive}: it is gone, though there was one; nothing was sealed or removed",
            "is its disk mounted, was it moved? put it back at this path; do not make another one there",
        ) from None


def never(directory: Path, archive: Path) -> bool:
    """Whether there is no archive at this path and never was one; in doubt, not."""
    try:
        look(directory, archive)
    except NoKeysError:
        return True
    except NocontactError:
        pass
    return False


def _noted(directory: Path, archive: Path) -> bool:
    return _mark(directory, archive).exists()


def _mark(directory: Path, archive: Path) -> Path:
    return directory / (MARK + sha256(os.fsencode(archive.absolute())).hexdigest())

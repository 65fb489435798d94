"""The configuration file as something that changes. What is being written is let come to rest first.

That only spares the owner a fright: a file that rests half written lets nobody through either.
"""

from pathlib import Path


class Proposal:
    """The configuration file as something that changes; what was half written a moment ago is let rest first."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known = self._seen = self._signature()

    def changed(self) -> bool:
        """Whether it is another file than when this was last true, and the same as at the last call."""
        before, self._seen = self._seen, self._signature()
        if self._seen != before or self._seen == self._known:
            return False
        self._known = self._seen
        return True

    def _signature(self) -> tuple[int, ...] | None:
        try:
            found = self._file.stat()
        except OSError:
            return None
        # ctime cannot be set: a change that keeps size and mtime shows, and so does chmod
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_mode

"""A disk of which one call fails, and as many after it: full, or dying."""

import os
from pathlib import Path

from nocontactd.archive.durable import Disk


class FailingDisk(Disk):
    """The n-th call fails, and as many after it; a failed write leaves half of its data."""

    def __init__(self, at: int, times: int, code: int) -> None:
        self.at, self.times, self.code = at, times, code
        self.calls = 0

    def _fails(self) -> bool:
        self.calls += 1
        return self.at <= self.calls < self.at + self.times

    def create(self, path: Path) -> int:
        if self._fails():
            raise OSError(self.code, os.strerror(self.code))
        return super().create(path)

    def write(self, fd: int, data: bytes, offset: int | None = None) -> None:
        if self._fails():
            super().write(fd, data[: len(data) // 2], offset)
            raise OSError(self.code, os.strerror(self.code))
        super().write(fd, data, offset)

    def cut(self, fd: int, size: int) -> None:
        if self._fails():
            raise OSError(self.code, os.strerror(self.code))
        super().cut(fd, size)

    def flush(self, fd: int, path: Path, *, data_only: bool = False) -> None:
        if self._fails():
            raise OSError(self.code, os.strerror(self.code))
        super().flush(fd, path, data_only=data_only)

    def rename(self, source: Path, target: Path) -> None:
        if self._fails():
            raise OSError(self.code, os.strerror(self.code))
        super().rename(source, target)

    def make_folder(self, path: Path) -> None:
        if self._fails():
            raise OSError(self.code, os.strerror(self.code))
        super().make_folder(path)

    def remove(self, path: Path) -> None:
        if self._fails():
            raise OSError(self.code, os.strerror(self.code))
        super().remove(path)

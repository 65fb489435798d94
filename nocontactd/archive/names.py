"""The name of a record is given out once, whatever dies in between.

A message whose reservation outlived its process is asked for by that name (`recall`): were the
name given to another record meanwhile, the message would be removed unsealed. So the highest
number given out stands in the state directory, beside the ledger whose reservations it guards;
whoever loses the one has lost the other.
"""

import os
import re
from datetime import datetime
from pathlib import Path

from nocontactd.archive.durable import Disk, flush_folder, refusals, round_time
from nocontactd.archive.leaves import Leaves
from nocontactd.archive.log import RECORD

_LINE = re.compile(r"(\d{4}-\d\d-\d\d) (\d{12})\n")
_KEPT = 8
"""Days remembered: a clock that was set back and forth finds its numbers again."""


class Names:
    """Gives out record names. Needs the turn, for another process may be giving out others."""

    def __init__(self, archive: Path, mark: Path, disk: Disk) -> None:
        self._archive = archive
        self._mark = mark
        self._disk = disk
        self._highest: dict[str, int] = {}

    def give(self, count: int, leaves: Leaves, moment: datetime) -> tuple[str, ...]:
        """`count` names of that moment's day (UTC), in order. SealError, OSError: none was given."""
        day = moment.strftime("%Y-%m-%d")
        given = self._given()
        names = self._after(day, given.get(day, 0), count, leaves)
        if any(name in leaves.of_day(day) or self._file(name).exists() for name in names):
            self._highest.clear()  # another process sealed here, with another state directory
            names = self._after(day, given.get(day, 0), count, leaves)
        top = _number(names[-1]) if names else self._highest[day]
        with refusals(self._mark.parent, "state"):
            self._give(given | {day: top}, day, moment)
        self._highest[day] = top
        return names

    def _after(self, day: str, given: int, count: int, leaves: Leaves) -> tuple[str, ...]:
        if day not in self._highest:
            there = [*map(_number, leaves.of_day(day)), *self._files(day)]
            self._highest = {day: max(there, default=0)}
        top = max(given, self._highest[day])
        return tuple(f"{day}/{number:06d}" for number in range(top + 1, top + count + 1))

    def _file(self, name: str) -> Path:
        return self._archive / "mail" / f"{name}.age"

    def _given(self) -> dict[str, int]:
        try:
            lines = _LINE.findall(self._mark.read_text("ascii", "replace"))
        except FileNotFoundError:
            return {}
        given: dict[str, int] = {}
        for day, number in lines:
            given[day] = max(int(number), given.get(day, 0))
        return given

    def _give(self, given: dict[str, int], day: str, moment: datetime) -> None:
        kept = [day, *sorted(given.keys() - {day}, reverse=True)][:_KEPT]
        lines = [f"{known} {given[known]:012d}\n" for known in kept]
        new = not self._mark.exists()
        fd = self._disk.create(self._mark) if new else os.open(self._mark, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            self._disk.write(fd, "".join(lines).encode(), 0)  # within one sector: never seen half-written
            round_time(fd, moment)
            self._disk.flush(fd, self._mark, data_only=True)
        finally:
            os.close(fd)
        if new:
            flush_folder(self._disk, self._mark.parent)

    def _files(self, day: str) -> list[int]:
        folder = self._archive / "mail" / day
        try:
            return [_number(f"{day}/{path.stem}") for path in folder.iterdir()]
        except FileNotFoundError:
            return []


def _number(name: str) -> int:
    record = RECORD.fullmatch(name)
    return int(record[2]) if record else 0

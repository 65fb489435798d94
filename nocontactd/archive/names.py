"""The name of a record is given out once, whatever dies in between.

A message whose reservation outlived its process is asked for by that name (`recall`): were the
name given to another record meanwhile, the message would be removed unsealed. So the highest
number given out stands in the state directory, beside the ledger whose reservations it guards;
whoever loses the one has lost the other. Beside it stand the log as it was then, with which an older
copy of the archive does not begin, and the key of the day, in whose place a stranger may put another. A
record behind that log whose name was never given out here was put there by somebody else.
"""

import hashlib
import os
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from nocontactd.archive import history
from nocontactd.archive.durable import Disk, flush_folder, refusals, round_time
from nocontactd.archive.leaves import Leaves
from nocontactd.archive.log import RECORD, Checkpoint

NAMES = "names"
"""The file, beside the log's key in the state directory."""
_LINE = re.compile(r"^(\d{4}-\d\d-\d\d) (\d{12})\n", re.MULTILINE)
_LOG = re.compile(r"^log (\S+) (\d{12}) ([0-9a-f]{64})\n", re.MULTILINE)
_KEY = re.compile(r"^key (\d{4}-\d\d-\d\d) ([0-9a-f]{64})\n", re.MULTILINE)
_BACK = re.compile(r"^back (\d{4}-\d\d-\d\d)\n", re.MULTILINE)
_ADDED = re.compile(r"^added (\d{4}-\d\d-\d\d)\n", re.MULTILINE)
_KEPT = 8
"""Days remembered: a clock that was set back and forth finds its numbers again."""


class Names:
    """Gives out record names. Needs the turn, for another process may be giving out others."""

    def __init__(self, archive: Path, mark: Path, disk: Disk) -> None:
        self._archive = archive
        self._mark = mark
        self._disk = disk
        self._highest: dict[str, int] = {}
        self.back = ""
        """The day on which the archive was found to be an older copy, or another one, than what was sealed to."""
        self.added = ""
        """The day on which records were found in it that have no name from here."""
        self._compared = False

    def size(self) -> frozenset[int]:
        """How long the log was, whose ever it is, when a name was last given: `compare` asks for its root then."""
        with suppress(OSError):
            found = _LOG.search(_text(self._mark))
            return frozenset({int(found[2])} if found else ())
        return frozenset()

    def compare(self, origin: str, leaves: Leaves, moment: datetime) -> None:
        """Look whether the log of this name goes on from what stood there when a name was last given. OSError."""
        said, text, today = known(self._mark, origin), _text(self._mark), moment.strftime("%Y-%m-%d")
        back, added = _BACK.search(text), _ADDED.search(text)
        self.back, self.added = back[1] if back else "", added[1] if added else ""
        if said and leaves.roots.get(said.size) != said.root and not self._begins(said):
            self.back = self.back or today
        elif said and self._strange(leaves, said.size):
            self.added = self.added or today
        self._compared = True

    def _begins(self, said: Checkpoint) -> bool:
        return history.read(self._archive / "log" / "leaves", {said.size}).extends(said)

    def _strange(self, leaves: Leaves, size: int) -> bool:
        """Whether a leaf behind the first `size` ones is of a record that got no name here."""
        given = _given(_text(self._mark))
        later = [day for day, end in leaves.days.items() if end > size]
        return any(_number(name) > given.get(day, 0) for day in later for name in leaves.of_day(day))

    def ours(self, day: str, recipient: str) -> bool:
        """Whether this key that is there may be that day's: for today's, it must be the one used last. OSError."""
        last = _KEY.search(_text(self._mark))
        return not last or day < last[1] or (day, _sha256(recipient)) == last.groups()

    def give(self, count: int, leaves: Leaves, moment: datetime, origin: str, recipient: str) -> tuple[str, ...]:
        """`count` names of that moment's day (UTC), in order, to be sealed to this key. SealError, OSError: none.

        What stands in the file from then on is the log of that name as it is now, and the key of the latest day.
        """
        day = moment.strftime("%Y-%m-%d")
        said = _text(self._mark)
        given = _given(said)
        names = self._after(day, given.get(day, 0), count, leaves)
        if self._any_there(day, names, leaves):
            self._highest.clear()  # another process sealed here, with another state directory
            names = self._after(day, given.get(day, 0), count, leaves)
        top = _number(names[-1]) if names else self._highest[day]
        with refusals(self._mark.parent, "state"):
            if not self._compared:  # else what is about to be written would hide that it was put back
                self.compare(origin, leaves, moment)
            log = f"log {origin} {leaves.tree.size:012d} {leaves.tree.root().hex()}\n"
            last = _KEY.search(said)
            key = last[0] if last and day < last[1] else f"key {day} {_sha256(recipient)}\n"
            self._give(given | {day: top}, day, log + key, moment, new=not said)
        self._highest[day] = top
        return names

    def _after(self, day: str, given: int, count: int, leaves: Leaves) -> tuple[str, ...]:
        if day not in self._highest:
            there = [*map(_number, leaves.of_day(day)), *self._files(day)]
            self._highest = {day: max(there, default=0)}
        top = max(given, self._highest[day])
        return tuple(f"{day}/{number:06d}" for number in range(top + 1, top + count + 1))

    def _any_there(self, day: str, names: Sequence[str], leaves: Leaves) -> bool:
        known, folder = leaves.of_day(day), self._archive / "mail" / day
        return any(name in known or (folder / f"{name[len(day) + 1 :]}.age").exists() for name in names)

    def _give(self, given: dict[str, int], day: str, rest: str, moment: datetime, *, new: bool) -> None:
        kept = [day, *sorted(given.keys() - {day}, reverse=True)][:_KEPT]
        lines = [*(f"{each} {given[each]:012d}\n" for each in kept), rest]
        lines += [f"back {self.back}\n"] if self.back else []
        lines += [f"added {self.added}\n"] if self.added else []
        new = new and not self._mark.exists()
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


def known(mark: Path, origin: str) -> Checkpoint | None:
    """The log of this name as it was when a record's name was last given; None: the file does not say. OSError."""
    found = _LOG.search(_text(mark))
    if not found or found[1] != origin:
        return None
    return Checkpoint(origin, int(found[2]), bytes.fromhex(found[3]))


def strangers(mark: Path, files: Iterable[str]) -> frozenset[str]:
    """Which of these files, sealed since the last checkpoint, are of records that got no name here. OSError.

    The file must be read after they were seen: a name stands in it before its record is there.
    """
    given = _given(_text(mark))
    records = {file: RECORD.fullmatch(file[len("mail/") : -len(".age")]) for file in files if file.startswith("mail/")}
    return frozenset(file for file, name in records.items() if given and name and int(name[2]) > given.get(name[1], 0))


def _given(said: str) -> dict[str, int]:
    given: dict[str, int] = {}
    for day, number in _LINE.findall(said):
        given[day] = max(int(number), given.get(day, 0))
    return given


def _text(mark: Path) -> str:
    try:
        return mark.read_text("ascii", "replace")
    except FileNotFoundError:
        return ""


def _sha256(recipient: str) -> str:
    return hashlib.sha256(recipient.encode()).hexdigest()


def _number(name: str) -> int:
    record = RECORD.fullmatch(name)
    return int(record[2]) if record else 0

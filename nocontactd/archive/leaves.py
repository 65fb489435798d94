"""The file log/leaves. Only whole lines are ever appended after whole lines, one writer at a time.

Every use begins with taking the turn and reading what another process has appended since; the first
reading is held against a signed checkpoint, for to append is to sign for all that stands before. A
line counts from the moment `append` returns and not before: one that could not be written, or
not be flushed, is cut off again before anything else may follow it.
"""

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from nocontactd.archive.durable import PIECE, Disk, round_time
from nocontactd.archive.lock import Turn
from nocontactd.archive.log import KEY, Checkpoint, Leaf, Tree, parse_leaf
from nocontactd.errors import DamagedError

_LONGEST = 4096
"""Octets; a leaf has some 150. What a foreign hand put behind the last one may have no end."""


class Leaves:
    """The log of one archive, as far as it is known; `turn` brings that up to date."""

    def __init__(self, archive: Path, disk: Disk, signed: Callable[[], Checkpoint] | None = None) -> None:
        """`signed`: the latest checkpoint that can be believed; None: there is none yet, the log is only begun."""
        self.path = archive / "log" / "leaves"
        self._archive = archive
        self._disk = disk
        self._turn = Turn(self.path.parent)
        self._fd: int | None = None
        self._doubt = False
        self._ask_signed = signed
        self._signed: Checkpoint | None = None
        """What the file must begin with, once that is known: of its leaves none is ever cut off."""
        self.watched: frozenset[int] = frozenset()
        """Sizes at which the root is wanted; `roots` has those that were come by."""
        self.recovering = False
        """A line behind that, which is no leaf, may be cut off: whoever recovers says so."""
        self._forget()

    def _forget(self) -> None:
        self.tree = Tree()
        self.octets = 0
        """How long the known part of the file is."""
        self.days: dict[str, int] = {}
        """The days of which records are known, each with the tree's size after its last one."""
        self.roots: dict[int, bytes] = {}
        self._last: dict[str, Leaf] = {}
        self._days: dict[str, dict[str, Leaf]] = {}

    @contextmanager
    def turn(self) -> Iterator[None]:
        """The right to append, and everything that was appended so far. SealError, DamagedError, OSError."""
        if self._signed is None and self._ask_signed:
            self._signed = self._ask_signed()
        with self._turn:
            self._catch_up(self._opened() if self._fd is None else self._fd)
            yield

    def append(self, leaves: Sequence[Leaf], moment: datetime) -> None:
        """These leaves are in the log, for good, when this returns. Needs the turn. OSError: none of them is."""
        lines = [f"{leaf}\n".encode() for leaf in leaves]
        fd = self._open_fd()
        try:
            self._disk.write(fd, b"".join(lines), self.octets)
            round_time(fd, moment)
            self._disk.flush(fd, self.path, data_only=True)
        except OSError:
            self._doubt = True
            self._cut(fd)
            raise
        for leaf, line in zip(leaves, lines, strict=True):
            self._learn(leaf, line)

    @property
    def doubtful(self) -> bool:
        """Lines that do not count could not be cut off yet."""
        return self._doubt

    def record(self, name: str) -> Leaf | None:
        """The leaf of a record, if it has one. Needs the turn."""
        return self.of_day(name[:10]).get(name)

    def of_day(self, day: str) -> dict[str, Leaf]:
        """The leaves of a day's records. One reading of the file for a day that was not asked for lately."""
        if day not in self._days:
            found: dict[str, Leaf] = {}
            if day in self.days:
                prefix = day.encode() + b"/"
                for line in self._lines(0, self.octets):
                    if line.startswith(prefix):
                        leaf = parse_leaf(line.decode().rstrip("\n"))
                        found[leaf.subject] = leaf
            while len(self._days) > 1:
                del self._days[next(iter(self._days))]
            self._days[day] = found
        return self._days[day]

    def last(self, subject: str) -> Leaf | None:
        """The leaf that counts for a day key or a named file."""
        return self._last.get(subject)

    def day_keys(self, day: str = "") -> Iterator[tuple[str, Leaf]]:
        """Name and leaf of each day key (of this day), oldest first."""
        for subject, leaf in self._last.items():
            if KEY.fullmatch(subject) and subject[4:14].startswith(day):
                yield subject.removeprefix("key/"), leaf

    def files(self) -> Iterator[Leaf]:
        """The leaf of each named file (archive.json, README.txt, holders/...)."""
        return (leaf for subject, leaf in self._last.items() if not KEY.fullmatch(subject))

    def read(self, start: int, end: int | None = None) -> Iterator[bytes]:
        """The file's octets from there to an end, else to the end of what is known."""
        return self._pieces(start, self.octets if end is None else min(end, self.octets))

    def reload(self) -> None:
        """Forget everything and read the file anew; it may have been put in place of a damaged one."""
        self.close()
        self._forget()

    def flush(self) -> None:
        """What a dead process appended and did not live to flush is durable now."""
        self._disk.flush(self._open_fd(), self.path, data_only=True)

    def close(self) -> None:
        """Let go of the file. What is known stays known."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _opened(self) -> int:
        try:
            self._fd = os.open(self.path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except (FileNotFoundError, IsADirectoryError):
            raise self._altered() from None
        if not stat.S_ISREG(os.fstat(self._fd).st_mode):
            self.close()
            raise self._altered()
        return self._fd

    def _open_fd(self) -> int:
        if self._fd is None:
            raise RuntimeError("the log is used without the turn")
        return self._fd

    def _catch_up(self, fd: int) -> None:
        if self._doubt:
            self._disk.cut(fd, self.octets)
            self._doubt = False
        there = os.fstat(fd)
        if there.st_size < self.octets or there.st_nlink == 0:
            raise DamagedError(
                f"archive {self._archive}: its log is not the one it was a moment ago; nothing was sealed or removed",
                "was another copy put in its place? run `nocontact verify`, then start the daemon anew",
            )
        for line in self._lines(self.octets, there.st_size):
            leaf = _whole(line)
            if leaf is None:
                self._cut_torn(fd, torn=not line.endswith(b"\n"))
                break
            self._learn(leaf, line)
        if self._signed and self.tree.size < self._signed.size:
            raise self._altered()

    def _cut_torn(self, fd: int, *, torn: bool) -> None:
        """A writer died here, and nothing from here on was acknowledged; or else the file is damaged."""
        if self._signed and self.tree.size < self._signed.size:
            raise self._altered()
        if not torn and not self.recovering:
            raise DamagedError(
                f"archive {self._archive}: a line of its log is damaged; nothing was sealed or removed",
                "run `nocontact verify`; the daemon mends it from the second copy when it starts",
            )
        self._disk.cut(fd, self.octets)

    def _cut(self, fd: int) -> None:
        try:
            self._disk.cut(fd, self.octets)
            self._doubt = False
        except OSError:
            pass  # tried again before anything else is appended

    def _learn(self, leaf: Leaf, line: bytes) -> None:
        self.tree.add(line[:-1])
        if self._signed and self.tree.size == self._signed.size and self.tree.root() != self._signed.root:
            raise self._altered()
        if self.tree.size in self.watched:
            self.roots[self.tree.size] = self.tree.root()
        self.octets += len(line)
        if leaf.day:
            self.days[leaf.day] = self.tree.size
            if leaf.day in self._days:
                self._days[leaf.day][leaf.subject] = leaf
        else:
            self._last[leaf.subject] = leaf

    def _altered(self) -> DamagedError:
        """Nothing of it is known then: whoever asks again is told again."""
        self._forget()
        return DamagedError(
            f"archive {self._archive}: its log is not the one that was signed for; nothing was sealed or removed",
            "run `nocontact verify`; the daemon mends one copy from the other when it starts, or put log/ back "
            "from a backup",
        )

    def _pieces(self, start: int, end: int) -> Iterator[bytes]:
        while start < end:
            piece = os.pread(self._open_fd(), min(PIECE, end - start), start)
            if not piece:
                return
            start += len(piece)
            yield piece

    def _lines(self, start: int, end: int) -> Iterator[bytes]:
        return lines(self._pieces(start, end))


def lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Lines with their newline; the last one may lack it. What is longer than any leaf is taken for the last."""
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            yield line + b"\n"
        if len(rest) > _LONGEST:
            break
    if rest:
        yield rest


def _whole(line: bytes) -> Leaf | None:
    try:
        return parse_leaf(line.decode("ascii").removesuffix("\n")) if line.endswith(b"\n") else None
    except ValueError:
        return None

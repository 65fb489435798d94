"""What the log says of records, for whoever opens them: read fast, and believed only as far as `verify` does.

Of a record the first leaf counts. What only one of the two copies has is taken from that one.
"""

import re
from collections.abc import Collection, Iterator
from pathlib import Path

from nocontactd.archive.durable import PIECE
from nocontactd.archive.history import whole_lines
from nocontactd.archive.log import Leaf, parse_leaf
from nocontactd.archive.regular import opened

_DAY = re.compile(rb"\d{4}-\d\d-\d\d")
_COPIES = ("log/leaves", "log/copy/leaves")


def due(archive: Path) -> set[str]:
    """The days on which records were sealed and acknowledged. PermissionError."""
    days = {line[:10] for line in _lines(archive) if not line.endswith(b" -")}
    return {day.decode() for day in days if _DAY.fullmatch(day)}


def of_days(archive: Path, days: Collection[str]) -> dict[str, Leaf]:
    """The leaves of these days' records, by record. PermissionError."""
    wanted = {day.encode() for day in days}
    found: dict[str, Leaf] = {}
    for line in _lines(archive):
        if line[:10] in wanted:
            try:
                leaf = parse_leaf(line.decode("ascii"))
            except ValueError:
                continue
            found.setdefault(leaf.subject, leaf)
    return found


def _lines(archive: Path) -> Iterator[bytes]:
    """The lines that are about records; twice only where the copies differ."""
    first, second = (archive / name for name in _COPIES)
    for path in (first,) if _begins(first, second) else (first, second):
        try:
            for line in whole_lines(path):
                if line[:1].isdigit():
                    yield line
        except PermissionError:
            raise
        except OSError:
            continue


def _begins(first: Path, second: Path) -> bool:
    """Whether the first copy has all that the second has, which may lag. PermissionError."""
    try:
        with opened(first) as ours, opened(second) as theirs:
            while other := theirs.read(PIECE):
                if not ours.read(PIECE).startswith(other):
                    return False
        return True
    except PermissionError:
        raise
    except OSError:
        return False

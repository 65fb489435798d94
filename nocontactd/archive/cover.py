"""How many cover records a day lacks when it is over, and how large each is to be. Pure; docs/ARCHIVE-FORMAT.md, 15.

The files of a day are told apart by size alone, so each class of sizes is filled up to a step of its
own, and all of them to a step together. What a class is filled up to is the same for every number
between two steps; so a filling that was broken off is gone on with, and one that is done lacks nothing.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from nocontactd.model import Part

FILLER = "filler"
FIRST = 16
"""The least number of files in a day that is closed; the next steps are four times as many each."""
FACTOR = 4
EVERY = 360
"""Minutes from one decoy to the next, in the mean."""
_OVERHEAD = 5 * 1024
"""What tar and the other files of a cover take, at most; 3.5 KB at least."""
_MARGIN = 2 * 1024


@dataclass(frozen=True, slots=True)
class SizeClass:
    """Sealed files from so many octets up, to the next class."""

    least: int
    first: int
    """So many of them there are at least in a closed day."""
    longest: int
    """Octets of the largest cover in it."""


LARGER = (
    SizeClass(12 << 10, 2, 44 << 10),
    SizeClass(48 << 10, 1, 176 << 10),
    SizeClass(192 << 10, 1, 704 << 10),
)
"""Below the first is what is padded to format.FLOOR, as every text, note and coverage record is. The last has no upper
end, but no cover is larger than it says: a message that is, shows."""


def step(count: int, first: int = FIRST) -> int:
    """The least of first, 4 · first, 16 · first … that is not below `count`."""
    while first < count:
        first *= FACTOR
    return first


def lacking(sizes: Iterable[int], entropy: Callable[[int], bytes]) -> tuple[int, ...]:
    """For each cover that a day with sealed files of these sizes lacks, the octets of its filler; none: b"" is enough.

    In random order. `entropy(n)` gives n random octets.
    """
    sizes = tuple(sizes)
    larger = [found for found in LARGER for _ in range(step(_count(found, sizes), found.first) - _count(found, sizes))]
    texts = step(len(sizes) + len(larger)) - len(sizes) - len(larger)
    fillers = [_drawn(found, entropy) for found in larger] + [0] * texts
    return tuple(filler for _, filler in sorted((entropy(8), filler) for filler in fillers))


def decoy(entropy: Callable[[int], bytes]) -> int | None:
    """Once in EVERY calls, by chance: the octets of the filler of a cover to be sealed to the day that is under way.

    Else whatever is larger than a text and not among the last of its day would be a message.
    """
    if int.from_bytes(entropy(4)) % EVERY:
        return None
    found = [found for found in LARGER for _ in range(found.first)]
    return _drawn(found[int.from_bytes(entropy(4)) % len(found)], entropy)


def parts(filler: int) -> Iterator[Part]:
    """The files of a cover beside meta.json and final.json."""
    if filler:
        yield Part(FILLER, filler, _zeros(filler))


def _count(found: SizeClass, sizes: Iterable[int]) -> int:
    above = [other.least for other in LARGER if other.least > found.least]
    return sum(found.least <= size < min(above, default=size + 1) for size in sizes)


def _drawn(found: SizeClass, entropy: Callable[[int], bytes]) -> int:
    """Each doubling of the size is as likely as the next, as it is with mail."""
    least = found.least + _MARGIN
    chance = int.from_bytes(entropy(4)) / (1 << 32)
    return int(least * (found.longest / least) ** chance) - _OVERHEAD


def _zeros(size: int) -> Iterator[bytes]:
    piece = bytes(min(size, 1 << 16))
    for at in range(0, size, len(piece)):
        yield piece[: size - at]

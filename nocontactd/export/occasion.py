"""What the papers of a bundle speak of: the occasion on which it was made, and each exhibit in it. Pure values."""

from dataclasses import dataclass
from datetime import datetime

from nocontactd.archive.format import Meta


@dataclass(frozen=True, slots=True)
class Occasion:
    """When, by whom, from which archive."""

    made: datetime
    """UTC."""
    by: str
    """The two who opened it, in words: no name."""
    program: str
    """Name and version."""
    origin: str
    """The name of the archive's log."""
    key: str
    """Of the log, as archive.json lists it."""


@dataclass(frozen=True, slots=True)
class Exhibit:
    """One message in the bundle."""

    record: str
    """`DAY/NNNNNN`."""
    received: datetime
    """UTC."""
    file: str
    """The message itself, below the bundle."""
    sha256: str
    """Of its octets, hex."""
    files: tuple[tuple[str, str], ...]
    """Every part of its record that is in the bundle: its name there, and its file."""
    proof: str | None
    """The file that proves it; None: it was never acknowledged, or stands behind the last checkpoint."""
    place: int | None
    """Of its leaf in the log; None without a proof."""
    sealed: str
    """SHA-256 (hex) of the sealed file."""
    meta: Meta
    signed: tuple[str, ...] = ()
    """What its signatures were worth at arrival, and are by what was kept of it: a sentence each."""

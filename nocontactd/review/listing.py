"""What was sealed on some days, from the index where it is of these very records, else from the records.

A record that cannot be read is named in its place and the others are listed. Whatever had to be
opened is in the index afterwards; where that cannot be written, the listing is the same and slower.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from os import stat_result
from pathlib import Path

from nocontactd.archive import index
from nocontactd.archive.index import Entry
from nocontactd.archive.log import Leaf
from nocontactd.archive.unseal import Opener
from nocontactd.errors import DamagedError
from nocontactd.review.body import MOST_OCTETS
from nocontactd.review.rows import Row, dump, load, row

_OTHER = "-"
"""In place of its facts: a record that is no message."""


class Listing:
    """The rows of some days, one a record and not yet folded; errors in the place where they stand."""

    def __init__(
        self, opener: Opener, archive: Path, now: Callable[[], datetime], warn: Callable[[OSError], None]
    ) -> None:
        """`warn` is told, once, why the index could not be written."""
        self._opener = opener
        self._archive = archive
        self._now = now
        self._warn: Callable[[OSError], None] | None = warn

    def rows(self, days: Sequence[str], progress: Callable[[int, int], None]) -> Iterator[Row | DamagedError]:
        """In the order of the records. `progress(done, all)` is called with counts of records, as the log counts.

        NocontactError: this user may not read the archive.
        """
        self._opener.load(days)
        done, whole = 0, sum(len(self._opener.leaves(day)) for day in days)
        for day in days:
            for item in self._day(day, self._opener.records(day)):
                done += 1
                progress(min(done, whole), whole)
                if item:
                    yield item

    def _day(self, day: str, records: dict[str, stat_result | None]) -> Iterator[Row | DamagedError | None]:
        known, leaves = self._known(day), self._opener.leaves(day)
        kept: dict[str, Entry] = {}
        for record, file in records.items():
            entry, leaf = known.get(record), leaves.get(record)
            if entry and leaf and file and (entry := self._still(entry, leaf, file)):
                kept[record] = entry
                yield None if entry.facts == _OTHER else load(record, entry.facts, entry.words)
                continue
            try:
                shown = row(self._opener.message(record, MOST_OCTETS))
            except DamagedError as problem:
                yield problem
                continue
            if leaf and file:
                neutral, words = dump(shown, index.WIDTH - 20) if shown else (_OTHER, _OTHER)
                kept[record] = index.made(leaf, file, neutral, words)
            yield shown
        kept = {record: entry for record, entry in kept.items() if entry is known.get(record) or index.fits(entry)}
        if kept != known:
            self._keep(day, kept, len(records))

    def _known(self, day: str) -> dict[str, Entry]:
        try:
            return index.read(self._archive, day, self._opener.day_keys(day))
        except DamagedError:  # no key of that day: each of its records will say so
            return {}

    def _still(self, entry: Entry, leaf: Leaf, file: stat_result) -> Entry | None:
        try:
            return index.still(entry, leaf, file, self._archive)
        except OSError:
            return None

    def _keep(self, day: str, kept: dict[str, Entry], files: int) -> None:
        try:
            index.write(self._archive, day, self._opener.day_keys(day), kept, files, self._now())
        except OSError as problem:
            if self._warn:
                self._warn(problem)
                self._warn = None

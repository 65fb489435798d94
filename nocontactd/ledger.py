"""Sealed but not yet known to be gone, and how far each folder was looked through: one SQLite file.

Each call is one transaction that is on the disk when it returns, but for those that end a reservation
or a receipt: after a power cut a receipt is made again of its record, and what is gone is removed once
more. In it stand names of sources, folders and records, UIDs, SIDs and digests: no address, no number,
nothing of a message. To lose it costs second copies and a longer look, so a damaged file is put aside
and a new one begun.
People the owner has written to stand in it as digests under a key that lies in a file beside it.
"""

import sqlite3
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import Any

from nocontactd.acquaintance import WRITTEN
from nocontactd.errors import SealError
from nocontactd.ledger_file import COLUMNS, open_ledger, sealing_stops
from nocontactd.marks import KEY, make, mark, read
from nocontactd.model import Cursor, Intent, MessageRef, Receipt

INTENTS_KEPT = timedelta(days=400)
"""Twilio forgets a message after 13 months; before that it could be met again and passed on twice."""
NEWEST_INTENTS = 1000
"""Kept whatever their age: a machine without a battery clock starts in 1970, and a wrong clock forgets nothing."""
NOTES_KEPT = 50_000
"""Each is a held message that stays in its mailbox; of one forgotten, a second note is sealed at the next sweep."""

_THIS = "source = ? AND folder = ? AND uidvalidity = ? AND uid = ?"

BEGINNING = timedelta(days=1)
"""So long after the first start, what a mailbox says of its past is believed; later it could have been prepared."""
_FAMILIAR = "\nfamiliar"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

Row = tuple[str, bytes, int, str]


class SqliteLedger:
    """See ports.Ledger. Several threads may use one; one process at a time has it open (the state's lock)."""

    def __init__(self, path: Path) -> None:
        self.damaged: Path | None = None
        """Where a damaged file was put aside, if this opening met one."""
        self._lock = Lock()
        try:
            self._connection, self.damaged = open_ledger(path)
            self._key, self._key_is_new = self._keyed(path.with_name(KEY))
        except (sqlite3.Error, OSError) as error:
            raise sealing_stops(error) from None

    def disconnect(self) -> None:
        """End the use of the file. Never raises."""
        with self._lock, suppress(sqlite3.Error):
            self._connection.close()

    def reserve(self, pairs: Iterable[tuple[MessageRef, str]]) -> None:
        rows = [(*_row(ref), record) for ref, record in pairs]
        with self._transaction() as database:
            database.executemany("INSERT OR REPLACE INTO reservations VALUES (?, ?, ?, ?, ?)", rows)

    def reserved(self, source: str) -> Sequence[tuple[MessageRef, str]]:
        rows = self._rows(f"SELECT {COLUMNS}, record FROM reservations WHERE source = ? ORDER BY record", source)
        return [(_ref(row), row[4]) for row in rows]

    def release(self, refs: Iterable[MessageRef]) -> None:
        rows = [_row(ref) for ref in refs]
        with self._transaction(wait=False) as database:
            database.executemany(f"DELETE FROM reservations WHERE {_THIS}", rows)

    def note(self, receipts: Iterable[Receipt]) -> None:
        rows = [(*_row(receipt.ref), receipt.record) for receipt in receipts]
        with self._transaction(wait=False) as database:
            database.executemany(f"INSERT OR REPLACE INTO receipts ({COLUMNS}, record) VALUES (?, ?, ?, ?, ?)", rows)
            database.executemany(f"DELETE FROM reservations WHERE {_THIS}", [row[:4] for row in rows])

    def open(self, source: str) -> Sequence[Receipt]:
        rows = self._rows(f"SELECT {COLUMNS}, record FROM receipts WHERE source = ? ORDER BY record", source)
        return [Receipt(row[4], _ref(row)) for row in rows]

    def move(self, receipts: Iterable[Receipt]) -> None:
        rows = [(*_row(receipt.ref)[1:], receipt.ref.source, receipt.record) for receipt in receipts]
        with self._transaction() as database:
            database.executemany(
                "UPDATE receipts SET folder = ?, uidvalidity = ?, uid = ? WHERE source = ? AND record = ?", rows
            )

    def close(self, receipts: Iterable[Receipt]) -> None:
        rows = [(receipt.ref.source, receipt.record) for receipt in receipts]
        with self._transaction(wait=False) as database:
            database.executemany("DELETE FROM receipts WHERE source = ? AND record = ?", rows)

    def cursors(self, source: str) -> Mapping[str, Cursor]:
        rows = self._rows("SELECT folder, uidvalidity, next_uid, rules, lower FROM cursors WHERE source = ?", source)
        cursors = (Cursor(_folder(row[0]), *row[1:]) for row in rows)
        return {cursor.folder: cursor for cursor in cursors}

    def advance(self, source: str, cursors: Iterable[Cursor], found: Iterable[MessageRef] = ()) -> None:
        known = self.cursors(source)  # nothing is written, and no disk waited for, where nothing has changed
        rows = [
            (source, _octets(c.folder), c.uidvalidity, c.next_uid, c.rules, c.lower)
            for c in cursors
            if known.get(c.folder) != c
        ]
        refs = [_row(ref) for ref in found]
        with self._transaction() as database:
            database.executemany("INSERT OR REPLACE INTO cursors VALUES (?, ?, ?, ?, ?, ?)", rows)
            database.executemany(f"INSERT OR REPLACE INTO found ({COLUMNS}) VALUES (?, ?, ?, ?)", refs)
            for table in ("notes", "found"):  # UIDs of an earlier validity name nothing any more (RFC 9051, 2.3.1.1)
                database.executemany(
                    f"DELETE FROM {table} WHERE source = ? AND folder = ? AND uidvalidity <> ?",
                    [row[:3] for row in rows],
                )

    def found(self, source: str) -> Sequence[MessageRef]:
        rows = self._rows(f"SELECT {COLUMNS} FROM found WHERE source = ? ORDER BY number", source)
        return [_ref(row) for row in rows]

    def forget(self, refs: Iterable[MessageRef]) -> None:
        rows = [_row(ref) for ref in refs]
        with self._transaction() as database:
            database.executemany(f"DELETE FROM found WHERE {_THIS}", rows)

    def begin(self, source: str, rules: str) -> None:
        if all(cursor.rules == rules for cursor in self.cursors(source).values()):
            return
        with self._transaction() as database:
            database.execute("DELETE FROM found WHERE source = ?", (source,))
            database.execute("UPDATE cursors SET rules = ?, lower = next_uid WHERE source = ?", (rules, source))

    def noted(self, ref: MessageRef) -> bool:
        return bool(self._rows(f"SELECT 1 FROM notes WHERE {_THIS}", *_row(ref)))

    def remember_note(self, ref: MessageRef) -> None:
        with self._transaction() as database:
            database.execute(f"INSERT OR IGNORE INTO notes ({COLUMNS}) VALUES (?, ?, ?, ?)", _row(ref))
            database.execute("DELETE FROM notes WHERE number <= (SELECT max(number) FROM notes) - ?", (NOTES_KEPT,))

    def intent(self, ref: MessageRef) -> Intent | None:
        rows = self._rows(f"SELECT at, sid FROM intents WHERE {_THIS}", *_row(ref))
        return Intent(_time(rows[0][0]), rows[0][1]) if rows else None

    def intend(self, ref: MessageRef, at: datetime) -> None:
        with self._transaction() as database:
            database.execute(
                f"INSERT OR REPLACE INTO intents ({COLUMNS}, at) VALUES (?, ?, ?, ?, ?)",
                (*_row(ref), _number(at)),
            )
            database.execute(
                "DELETE FROM intents WHERE at < ? AND number <= (SELECT max(number) FROM intents) - ?",
                (_number(at - INTENTS_KEPT), NEWEST_INTENTS),
            )

    def withdraw(self, ref: MessageRef) -> None:
        with self._transaction() as database:
            database.execute(f"DELETE FROM intents WHERE {_THIS}", _row(ref))

    def relayed(self, ref: MessageRef, sid: str) -> None:
        with self._transaction() as database:
            database.execute(f"UPDATE intents SET sid = ? WHERE {_THIS}", (sid, *_row(ref)))

    def claimed(self, source: str) -> frozenset[str]:
        rows = self._rows("SELECT sid FROM intents WHERE source = ? AND sid <> ''", source)
        return frozenset(row[0] for row in rows)

    def started(self, source: str, now: datetime) -> datetime:
        """When this source was first started: `now`, if it never was."""
        with self._transaction() as database:
            database.execute("INSERT OR IGNORE INTO starts VALUES (?, ?)", (source, _number(now)))
            [(at,)] = database.execute("SELECT at FROM starts WHERE source = ?", (source,))
        return _time(at)

    def next_look(self, source: str) -> int:
        """The number of the look that begins: 1, 2, 3, …, also over restarts; a gap is a look that never ended."""
        with self._transaction() as database:
            database.execute(
                "INSERT INTO looks VALUES (?, 1) ON CONFLICT (source) DO UPDATE SET number = number + 1", (source,)
            )
            [(number,)] = database.execute("SELECT number FROM looks WHERE source = ?", (source,))
        return int(number)

    def beginning(self, now: datetime) -> bool:
        """See ports.Ledger: the first day after key and ledger were begun together."""
        began = self.started(_FAMILIAR, now if self._key_is_new else _EPOCH)
        return timedelta(0) <= now - began < BEGINNING

    def meet(self, people: Iterable[tuple[str, datetime]]) -> None:
        rows = [(mark(self._key, address), _number(at)) for address, at in people]
        with self._transaction() as database:
            database.executemany(
                "INSERT INTO familiar VALUES (?, ?)"
                " ON CONFLICT (address) DO UPDATE SET since = min(since, excluded.since)",
                rows,
            )

    def familiar(self, before: datetime) -> Container[str]:
        return _Familiar(self, before)

    def knows(self, address: str, before: datetime) -> bool:
        """Whether the owner had written to this comparable address before then."""
        query = "SELECT 1 FROM familiar WHERE address = ? AND since < ?"
        return bool(self._rows(query, mark(self._key, address), _number(before)))

    @contextmanager
    def _transaction(self, *, wait: bool = True) -> Iterator[sqlite3.Connection]:
        """`wait`: until it is on the disk, and all before it. Else a kill leaves it there, and a power cut may not."""
        with self._lock:
            try:
                self._connection.execute(f"PRAGMA synchronous = {'FULL' if wait else 'NORMAL'}")
                self._connection.execute("BEGIN IMMEDIATE")
                yield self._connection
                self._connection.execute("COMMIT")
            except sqlite3.Error as error:
                raise sealing_stops(error) from None
            finally:
                with suppress(sqlite3.Error):  # also when it is closed
                    if self._connection.in_transaction:
                        self._connection.execute("ROLLBACK")

    def _rows(self, query: str, *values: str | int | bytes) -> list[tuple[Any, ...]]:
        with self._lock:
            try:
                return self._connection.execute(query, values).fetchall()
            except sqlite3.Error as error:
                raise sealing_stops(error) from None

    def _keyed(self, path: Path) -> tuple[bytes, bool]:
        """The key of the marks, and whether it was made now; by another one nobody here would be recognised."""
        if key := read(path):
            return key, False
        with self._transaction() as database:
            database.execute("DELETE FROM familiar")
            database.execute("DELETE FROM cursors WHERE source LIKE '%' || ?", (WRITTEN,))
        return make(path), True


@dataclass(frozen=True, slots=True)
class _Familiar:
    """Looked up only for the few that would be held; an owner may have written to tens of thousands."""

    ledger: SqliteLedger
    before: datetime

    def __contains__(self, address: object) -> bool:
        with suppress(SealError):  # held in doubt; the pass meets the broken ledger itself
            return isinstance(address, str) and self.ledger.knows(address, self.before)
        return False


def _octets(folder: str) -> bytes:
    return folder.encode("utf-8", "surrogatepass")


def _folder(octets: bytes) -> str:
    return octets.decode("utf-8", "surrogatepass")


def _row(ref: MessageRef) -> Row:
    return ref.source, _octets(ref.folder), ref.uidvalidity, ref.uid


def _ref(row: Sequence[Any]) -> MessageRef:
    return MessageRef(row[0], _folder(row[1]), row[2], row[3])


def _number(at: datetime) -> int:
    return (at - _EPOCH) // _MICROSECOND


def _time(number: int) -> datetime:
    return _EPOCH + number * _MICROSECOND

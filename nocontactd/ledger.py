"""Sealed but not yet known to be gone, and how far each folder was looked through: one SQLite file.

Each call is one transaction that is on the disk when it returns. In it stand names of sources,
folders and records, UIDs, SIDs and digests: no address, no number, nothing of a message. To lose
it costs second copies and a longer look, so a damaged file is put aside and a new one begun.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import Any

from nocontactd.errors import SealError
from nocontactd.model import Cursor, Intent, MessageRef, Receipt

VERSION = 1
APPLICATION = 0x6E6F636F  # "noco": another program's database is not a ledger
INTENTS_KEPT = timedelta(days=400)
"""Twilio forgets a message after 13 months; before that it could be met again and passed on twice."""
NEWEST_INTENTS = 1000
"""Kept whatever their age: a machine without a battery clock starts in 1970, and a wrong clock forgets nothing."""
NOTES_KEPT = 50_000
"""Each is a held message that stays in its mailbox; of one forgotten, a second note is sealed at the next sweep."""

# Folders as octets: modified UTF-7 can spell half a surrogate pair, which SQLite takes in no text.
_REF = "source TEXT NOT NULL, folder BLOB NOT NULL, uidvalidity INTEGER NOT NULL, uid TEXT NOT NULL"
_COLUMNS = "source, folder, uidvalidity, uid"
_KEY = f"({_COLUMNS})"
_SCHEMA = (
    f"CREATE TABLE reservations ({_REF}, record TEXT NOT NULL, PRIMARY KEY {_KEY}) WITHOUT ROWID",
    # By record, which `move` keeps while the ref changes; of two by one name (another archive) the first
    # is dropped, and its message sealed once more.
    # With rowids: SQLite 3.40's quick_check takes columns behind such a key for NULL, and a sound ledger for damaged.
    f"CREATE TABLE receipts ({_REF}, record TEXT NOT NULL, PRIMARY KEY (source, record))",
    (
        "CREATE TABLE cursors (source TEXT NOT NULL, folder BLOB NOT NULL, uidvalidity INTEGER NOT NULL,"
        " next_uid INTEGER NOT NULL, rules TEXT NOT NULL, PRIMARY KEY (source, folder)) WITHOUT ROWID"
    ),
    f"CREATE TABLE notes (number INTEGER PRIMARY KEY AUTOINCREMENT, {_REF}, UNIQUE {_KEY})",
    (
        f"CREATE TABLE intents (number INTEGER PRIMARY KEY AUTOINCREMENT, {_REF}, at INTEGER NOT NULL, sid TEXT,"
        f" UNIQUE {_KEY})"
    ),
    "CREATE INDEX intents_at ON intents (at)",
    "CREATE TABLE starts (source TEXT NOT NULL PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE looks (source TEXT NOT NULL PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID",
    f"PRAGMA application_id = {APPLICATION}",
    f"PRAGMA user_version = {VERSION}",
)
_THIS = "source = ? AND folder = ? AND uidvalidity = ? AND uid = ?"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

Row = tuple[str, bytes, int, str]


class SqliteLedger:
    """See ports.Ledger. Several threads may use one; one process at a time has it open (the state's lock)."""

    def __init__(self, path: Path) -> None:
        self.damaged: Path | None = None
        """Where a damaged file was put aside, if this opening met one."""
        self._path = path
        self._lock = Lock()
        try:
            self._connection = self._opened()
        except (sqlite3.Error, OSError) as error:
            raise _sealing_stops(error) from None

    def disconnect(self) -> None:
        """End the use of the file. Never raises."""
        with self._lock, suppress(sqlite3.Error):
            self._connection.close()

    def reserve(self, pairs: Iterable[tuple[MessageRef, str]]) -> None:
        rows = [(*_row(ref), record) for ref, record in pairs]
        with self._transaction() as database:
            database.executemany("INSERT OR REPLACE INTO reservations VALUES (?, ?, ?, ?, ?)", rows)

    def reserved(self, source: str) -> Sequence[tuple[MessageRef, str]]:
        rows = self._rows(f"SELECT {_COLUMNS}, record FROM reservations WHERE source = ? ORDER BY record", source)
        return [(_ref(row), row[4]) for row in rows]

    def release(self, refs: Iterable[MessageRef]) -> None:
        rows = [_row(ref) for ref in refs]
        with self._transaction() as database:
            database.executemany(f"DELETE FROM reservations WHERE {_THIS}", rows)

    def note(self, receipts: Iterable[Receipt]) -> None:
        rows = [(*_row(receipt.ref), receipt.record) for receipt in receipts]
        with self._transaction() as database:
            database.executemany(f"INSERT OR REPLACE INTO receipts ({_COLUMNS}, record) VALUES (?, ?, ?, ?, ?)", rows)
            database.executemany(f"DELETE FROM reservations WHERE {_THIS}", [row[:4] for row in rows])

    def open(self, source: str) -> Sequence[Receipt]:
        rows = self._rows(f"SELECT {_COLUMNS}, record FROM receipts WHERE source = ? ORDER BY record", source)
        return [Receipt(row[4], _ref(row)) for row in rows]

    def move(self, receipts: Iterable[Receipt]) -> None:
        rows = [(*_row(receipt.ref)[1:], receipt.ref.source, receipt.record) for receipt in receipts]
        with self._transaction() as database:
            database.executemany(
                "UPDATE receipts SET folder = ?, uidvalidity = ?, uid = ? WHERE source = ? AND record = ?", rows
            )

    def close(self, receipts: Iterable[Receipt]) -> None:
        rows = [(receipt.ref.source, receipt.record) for receipt in receipts]
        with self._transaction() as database:
            database.executemany("DELETE FROM receipts WHERE source = ? AND record = ?", rows)

    def cursors(self, source: str) -> Mapping[str, Cursor]:
        rows = self._rows("SELECT folder, uidvalidity, next_uid, rules FROM cursors WHERE source = ?", source)
        cursors = (Cursor(_folder(row[0]), *row[1:]) for row in rows)
        return {cursor.folder: cursor for cursor in cursors}

    def advance(self, source: str, cursors: Iterable[Cursor]) -> None:
        rows = [(source, _octets(c.folder), c.uidvalidity, c.next_uid, c.rules) for c in cursors]
        with self._transaction() as database:
            database.executemany("INSERT OR REPLACE INTO cursors VALUES (?, ?, ?, ?, ?)", rows)
            # UIDs of an earlier validity name nothing any more (RFC 9051, 2.3.1.1).
            database.executemany(
                "DELETE FROM notes WHERE source = ? AND folder = ? AND uidvalidity <> ?", [row[:3] for row in rows]
            )

    def noted(self, ref: MessageRef) -> bool:
        return bool(self._rows(f"SELECT 1 FROM notes WHERE {_THIS}", *_row(ref)))

    def remember_note(self, ref: MessageRef) -> None:
        with self._transaction() as database:
            database.execute(f"INSERT OR IGNORE INTO notes ({_COLUMNS}) VALUES (?, ?, ?, ?)", _row(ref))
            database.execute("DELETE FROM notes WHERE number <= (SELECT max(number) FROM notes) - ?", (NOTES_KEPT,))

    def intent(self, ref: MessageRef) -> Intent | None:
        rows = self._rows(f"SELECT at, sid FROM intents WHERE {_THIS}", *_row(ref))
        return Intent(_time(rows[0][0]), rows[0][1]) if rows else None

    def intend(self, ref: MessageRef, at: datetime) -> None:
        with self._transaction() as database:
            database.execute(
                f"INSERT OR REPLACE INTO intents ({_COLUMNS}, at) VALUES (?, ?, ?, ?, ?)",
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

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield self._connection
                self._connection.execute("COMMIT")
            except sqlite3.Error as error:
                raise _sealing_stops(error) from None
            finally:
                with suppress(sqlite3.Error):  # also when it is closed
                    if self._connection.in_transaction:
                        self._connection.execute("ROLLBACK")

    def _rows(self, query: str, *values: str | int | bytes) -> list[tuple[Any, ...]]:
        with self._lock:
            try:
                return self._connection.execute(query, values).fetchall()
            except sqlite3.Error as error:
                raise _sealing_stops(error) from None

    def _opened(self) -> sqlite3.Connection:
        """A connection to a sound ledger: the one that stands there, else a new one."""
        if self._path.exists():
            try:
                return _connected(self._path)
            except sqlite3.DatabaseError as error:
                if not _is_damage(error):
                    raise
                self.damaged = _put_aside(self._path)
        # For its mode; SQLite itself syncs the folder before its first commit returns.
        os.close(os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
        return _connected(self._path)


class _UnsoundError(sqlite3.DatabaseError):
    """A database, but not a whole ledger."""


def _connected(path: Path) -> sqlite3.Connection:
    if path.stat().st_mode & 0o077:
        path.chmod(0o600)
    database = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
    with ExitStack() as unless_sound:
        unless_sound.callback(database.close)
        _check(database)
        database.execute("PRAGMA journal_mode = WAL").fetchall()  # one fsync a commit instead of three
        database.execute("PRAGMA synchronous = FULL")  # and that one at each commit, before it returns
        database.execute("PRAGMA journal_size_limit = 1048576")
        database.execute("PRAGMA cache_size = -512")
        unless_sound.pop_all()
    return database


def _check(database: sqlite3.Connection) -> None:
    """A sound ledger of this version; made now if the file is empty."""
    [(tables,)] = database.execute("SELECT count(*) FROM sqlite_schema")
    [(application,)] = database.execute("PRAGMA application_id")
    [(version,)] = database.execute("PRAGMA user_version")
    if not tables:
        with closing(database.cursor()) as cursor:
            for statement in ("BEGIN IMMEDIATE", *_SCHEMA, "COMMIT"):
                cursor.execute(statement)
        return
    if application == APPLICATION and version > VERSION:
        raise SealError(
            "the ledger was written by a later version: nothing was sealed and nothing removed",
            "run that version, or put ledger.sqlite aside: second copies are all that it costs",
        )
    if application != APPLICATION or database.execute("PRAGMA quick_check(1)").fetchall() != [("ok",)]:
        raise _UnsoundError


def _put_aside(path: Path) -> Path:
    """The first free name beside it. Of its write-ahead log nothing is left: SQLite clears it for an empty database."""
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    path.rename(aside)
    return aside


def _code(error: Exception) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF  # without the extension, as SQLITE_IOERR_FSYNC's


def _is_damage(error: sqlite3.Error) -> bool:
    return isinstance(error, _UnsoundError) or _code(error) in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def _sealing_stops(error: Exception) -> SealError:
    """SQLite's own text may quote a statement: only its code is told."""
    why, hint = _CAUSES.get(_code(error), ("it cannot be read or written", "see whether its disk is sound"))
    if isinstance(error, OSError):
        why = error.strerror or why
    return SealError(f"the ledger in the state directory fails: {why}; nothing more was sealed or removed", hint)


_CAUSES = {
    sqlite3.SQLITE_FULL: ("the disk is full", "make room; the next look goes on"),
    sqlite3.SQLITE_READONLY: ("it may not be written", "it belongs to the user that runs nocontactd, with mode 600"),
    sqlite3.SQLITE_CANTOPEN: ("it cannot be opened", "the state directory belongs to the user that runs nocontactd"),
    sqlite3.SQLITE_CORRUPT: ("it is damaged", "start nocontactd again: it puts a damaged ledger aside"),
    sqlite3.SQLITE_NOTADB: ("it is damaged", "start nocontactd again: it puts a damaged ledger aside"),
    sqlite3.SQLITE_BUSY: ("another process holds it", "end that process; the next look goes on"),
}


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

"""The ledger's file: a sound database of this version, or put aside and begun anew.

What SQLite says of its troubles is turned into a SealError here, without its text.
"""

import os
import sqlite3
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path

from nocontactd.errors import SealError

VERSION = 3
APPLICATION = 0x6E6F636F  # "noco": another program's database is not a ledger

# Folders as octets: modified UTF-7 can spell half a surrogate pair, which SQLite takes in no text.
_REF = "source TEXT NOT NULL, folder BLOB NOT NULL, uidvalidity INTEGER NOT NULL, uid TEXT NOT NULL"
COLUMNS = "source, folder, uidvalidity, uid"
_KEY = f"({COLUMNS})"
_FROM_1_TO_2 = (
    "CREATE TABLE familiar (address BLOB NOT NULL PRIMARY KEY, since INTEGER NOT NULL) WITHOUT ROWID",
    "PRAGMA user_version = 2",
)
_FROM_2_TO_3 = (
    "ALTER TABLE cursors ADD COLUMN lower INTEGER NOT NULL DEFAULT 0",
    f"CREATE TABLE found (number INTEGER PRIMARY KEY AUTOINCREMENT, {_REF}, UNIQUE {_KEY})",
    "PRAGMA user_version = 3",
)
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
    *_FROM_1_TO_2,
    *_FROM_2_TO_3,
)


def open_ledger(path: Path) -> tuple[sqlite3.Connection, Path | None]:
    """A connection to a sound ledger, the one that stands there or a new one; where a damaged one was put aside.

    sqlite3.Error, OSError: there can be none. SealError: it was written by a later version.
    """
    damaged = None
    if path.exists():
        try:
            return _connected(path), None
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise
            damaged = _put_aside(path)
    # For its mode; SQLite itself syncs the folder before its first commit returns.
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
    return _connected(path), damaged


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
        database.execute("PRAGMA synchronous = FULL")  # and that one before a commit returns; see ledger.py
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
        _make(database, _SCHEMA)
        return
    if application == APPLICATION and version > VERSION:
        raise SealError(
            "the ledger was written by a later version: nothing was sealed and nothing removed",
            "run that version, or put ledger.sqlite aside: second copies are all that it costs",
        )
    if application != APPLICATION or database.execute("PRAGMA quick_check(1)").fetchall() != [("ok",)]:
        raise _UnsoundError
    for statements in (_FROM_1_TO_2, _FROM_2_TO_3)[version - 1 :]:
        _make(database, statements)


def _make(database: sqlite3.Connection, statements: Sequence[str]) -> None:
    with closing(database.cursor()) as cursor:
        for statement in ("BEGIN IMMEDIATE", *statements, "COMMIT"):
            cursor.execute(statement)


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


def sealing_stops(error: Exception) -> SealError:
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

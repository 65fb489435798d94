"""The ledger: what it was told outlives the process, and it can be lost without harm."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nocontactd import ledger as module
from nocontactd.errors import SealError
from nocontactd.ledger import SqliteLedger
from nocontactd.ledger_file import VERSION
from nocontactd.model import Cursor, Intent, MessageRef, Receipt
from nocontactd.ports import Ledger
from tests.peers import missing

ROOT = Path(__file__).parents[1]
NOW = datetime(2026, 3, 4, 5, 6, 7, 89, tzinfo=UTC)


def ref(uid: int | str, source: str = "home", folder: str = "INBOX", uidvalidity: int = 7) -> MessageRef:
    return MessageRef(source, folder, uidvalidity, str(uid))


def receipt(number: int, *, source: str = "home", folder: str = "INBOX", uid: int | None = None) -> Receipt:
    return Receipt(f"2026-03-04/{number:06}", ref(number if uid is None else uid, source, folder))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


@pytest.fixture
def ledger(path: Path) -> Iterator[SqliteLedger]:
    opened = SqliteLedger(path)
    yield opened
    opened.disconnect()


def reopened(ledger: SqliteLedger, path: Path) -> SqliteLedger:
    ledger.disconnect()
    return SqliteLedger(path)


def test_it_fits_the_port(ledger: SqliteLedger) -> None:
    fitting: Ledger = ledger
    assert fitting.open("home") == []


def test_a_reservation_ends_with_its_receipt_or_its_release(ledger: SqliteLedger) -> None:
    ledger.reserve((ref(n), f"2026-03-04/{n:06}") for n in (2, 1, 3))
    assert ledger.reserved("home") == [(ref(n), f"2026-03-04/{n:06}") for n in (1, 2, 3)]
    ledger.note([receipt(1)])
    ledger.release([ref(2)])
    assert ledger.reserved("home") == [(ref(3), "2026-03-04/000003")]
    assert ledger.open("home") == [receipt(1)]


def test_a_message_reserved_again_has_its_new_record(ledger: SqliteLedger) -> None:
    ledger.reserve([(ref(1), "2026-03-04/000001")])
    ledger.reserve([(ref(1), "2026-03-04/000002")])
    assert ledger.reserved("home") == [(ref(1), "2026-03-04/000002")]


def test_a_receipt_is_open_until_it_is_closed(ledger: SqliteLedger) -> None:
    ledger.note([receipt(1), receipt(2)])
    ledger.note([receipt(1)])
    ledger.close([receipt(1)])
    ledger.close([receipt(1)])
    assert ledger.open("home") == [receipt(2)]


def test_a_receipt_that_moved_is_open_in_its_new_place_alone(ledger: SqliteLedger) -> None:
    """And closes there: its record is the same."""
    ledger.note([receipt(1), receipt(2)])
    moved = receipt(1, folder="Trash", uid=99)
    ledger.move([moved])
    assert ledger.open("home") == [moved, receipt(2)]
    ledger.close([moved])
    assert ledger.open("home") == [receipt(2)]


def test_one_source_knows_nothing_of_another(ledger: SqliteLedger) -> None:
    other = receipt(1, source="work")
    ledger.note([receipt(1), other])
    ledger.reserve([(ref(5), "2026-03-04/000005"), (ref(5, "work"), "2026-03-04/000006")])
    ledger.advance("home", [Cursor("INBOX", 7, 10, "a")])
    ledger.advance("work", [Cursor("INBOX", 8, 20, "b")])
    ledger.remember_note(ref(1))
    ledger.intend(ref(1), NOW)
    ledger.relayed(ref(1), "SM1")
    ledger.close([receipt(1)])
    ledger.release([ref(5)])
    assert (ledger.open("home"), ledger.open("work")) == ([], [other])
    assert ledger.reserved("work") == [(ref(5, "work"), "2026-03-04/000006")]
    assert ledger.cursors("work") == {"INBOX": Cursor("INBOX", 8, 20, "b")}
    assert not ledger.noted(ref(1, "work"))
    assert ledger.intent(ref(1, "work")) is None
    assert ledger.claimed("work") == frozenset()


@pytest.mark.parametrize("other", [ref(1, folder="Junk"), ref(1, uidvalidity=8), ref(2), ref(1, "work")])
def test_a_message_is_named_by_source_folder_uidvalidity_and_uid(ledger: SqliteLedger, other: MessageRef) -> None:
    """One UIDVALIDITY for all folders is common (Cyrus, Courier)."""
    ledger.reserve([(ref(1), "2026-03-04/000001"), (other, "2026-03-04/000002")])
    ledger.remember_note(ref(1))
    ledger.intend(ref(1), NOW)
    assert not ledger.noted(other)
    assert ledger.intent(other) is None
    ledger.intend(other, NOW)
    ledger.relayed(other, "SM2")
    ledger.withdraw(other)
    ledger.release([other])
    assert ledger.intent(ref(1)) == Intent(NOW, None)
    assert ledger.reserved("home") == [(ref(1), "2026-03-04/000001")]


def test_a_cursor_is_replaced_and_others_stay(ledger: SqliteLedger) -> None:
    ledger.advance("home", [Cursor("INBOX", 7, 10, "a"), Cursor("Junk", 7, 3, "a")])
    ledger.advance("home", iter([Cursor("INBOX", 7, 11, "b")]))
    assert ledger.cursors("home") == {"INBOX": Cursor("INBOX", 7, 11, "b"), "Junk": Cursor("Junk", 7, 3, "a")}


def test_what_was_found_is_there_until_it_is_forgotten_the_last_found_last(ledger: SqliteLedger, path: Path) -> None:
    ledger.advance("home", [Cursor("INBOX", 7, 10, "a", 5)], [ref(9), ref(8), ref(7)])
    ledger.advance("work", [], [ref(9, "work")])
    ledger.advance("home", (), [ref(9)])  # behind the others
    ledger.forget([ref(8), ref(1)])
    again = reopened(ledger, path)
    assert (again.found("home"), again.found("work")) == ([ref(7), ref(9)], [ref(9, "work")])
    assert again.cursors("home") == {"INBOX": Cursor("INBOX", 7, 10, "a", 5)}
    again.advance("home", [Cursor("INBOX", 8, 10, "a", 5)])
    assert again.found("home") == []
    again.disconnect()


def test_other_rules_begin_anew_and_what_is_new_stays_new(ledger: SqliteLedger) -> None:
    ledger.advance("home", [Cursor("INBOX", 7, 10, "a", 5), Cursor("Junk", 7, 3, "a")], [ref(9)])
    ledger.advance("work", [Cursor("INBOX", 7, 10, "a", 5)], [ref(9, "work")])
    ledger.begin("home", "a")
    assert (ledger.cursors("home")["INBOX"].lower, ledger.found("home")) == (5, [ref(9)])
    ledger.begin("home", "b")
    assert ledger.cursors("home") == {"INBOX": Cursor("INBOX", 7, 10, "b", 10), "Junk": Cursor("Junk", 7, 3, "b", 3)}
    assert ledger.found("home") == []
    assert (ledger.cursors("work")["INBOX"].lower, ledger.found("work")) == (5, [ref(9, "work")])


def test_a_note_is_remembered_until_its_uids_mean_nothing_any_more(ledger: SqliteLedger) -> None:
    ledger.remember_note(ref(1))
    ledger.remember_note(ref(1))
    ledger.remember_note(ref(1, folder="Junk"))
    ledger.advance("home", [Cursor("INBOX", 7, 10, "a")])
    assert ledger.noted(ref(1))
    ledger.advance("home", [Cursor("INBOX", 8, 1, "a")])
    assert not ledger.noted(ref(1))
    assert ledger.noted(ref(1, folder="Junk"))


def test_the_notes_of_old_are_forgotten_above_a_limit(ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "NOTES_KEPT", 10)
    for uid in range(30):
        ledger.remember_note(ref(uid))
    assert [uid for uid in range(30) if ledger.noted(ref(uid))] == list(range(20, 30))


def test_an_intent_is_open_until_it_is_relayed_or_withdrawn(ledger: SqliteLedger) -> None:
    text, other = ref("SM1", "number", "", 0), ref("SM2", "number", "", 0)
    assert ledger.intent(text) is None
    ledger.intend(text, NOW)
    ledger.intend(other, NOW)
    assert ledger.intent(text) == Intent(NOW, None)
    assert ledger.claimed("number") == frozenset()
    ledger.relayed(text, "SMout")
    ledger.withdraw(other)
    assert ledger.intent(text) == Intent(NOW, "SMout")
    assert ledger.intent(other) is None
    assert ledger.claimed("number") == {"SMout"}


def test_a_later_intent_replaces_the_earlier_one(ledger: SqliteLedger) -> None:
    ledger.intend(ref(1), NOW)
    ledger.relayed(ref(1), "SMout")
    ledger.intend(ref(1), NOW + timedelta(minutes=20))
    assert ledger.intent(ref(1)) == Intent(NOW + timedelta(minutes=20), None)


def test_a_text_that_was_gone_claims_nothing(ledger: SqliteLedger) -> None:
    ledger.intend(ref(1), NOW)
    ledger.relayed(ref(1), "")
    assert ledger.intent(ref(1)) == Intent(NOW, "")
    assert ledger.claimed("home") == frozenset()


def test_intents_of_long_ago_are_forgotten_but_never_the_newest(
    ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock that was wrong for a while makes nothing be passed on twice."""
    monkeypatch.setattr(module, "NEWEST_INTENTS", 3)
    for uid in range(5):
        ledger.intend(ref(uid), NOW + timedelta(days=uid))
    ledger.intend(ref(5), datetime(1970, 1, 1, tzinfo=UTC))
    ledger.intend(ref(6), NOW + timedelta(days=403))
    kept = [uid for uid in range(7) if ledger.intent(ref(uid))]
    assert kept == [3, 4, 5, 6]


def test_the_first_start_is_the_one_that_counts(ledger: SqliteLedger, path: Path) -> None:
    assert ledger.started("number", NOW) == NOW
    again = reopened(ledger, path)
    assert again.started("number", NOW + timedelta(days=1)) == NOW
    assert again.started("other", NOW + timedelta(days=1)) == NOW + timedelta(days=1)
    again.disconnect()


def test_looks_are_counted_over_restarts(ledger: SqliteLedger, path: Path) -> None:
    assert [ledger.next_look("home"), ledger.next_look("home"), ledger.next_look("work")] == [1, 2, 1]
    again = reopened(ledger, path)
    assert again.next_look("home") == 3
    again.disconnect()


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteLedger]:
    """One ledger for many examples: making one costs the disk's time."""
    opened = SqliteLedger(tmp_path_factory.mktemp("ledger") / "ledger.sqlite")
    yield opened
    opened.disconnect()


@settings(max_examples=40, deadline=None)
@given(
    folder=st.text(st.characters(exclude_categories=()), max_size=20),
    uid=st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    at=st.datetimes(timezones=st.just(UTC)),
    uidvalidity=st.integers(0, 2**63 - 1),
)
def test_any_folder_and_any_time_come_back_exactly(
    kept: SqliteLedger, folder: str, uid: str, at: datetime, uidvalidity: int
) -> None:
    """Half a surrogate pair in a folder's name too: modified UTF-7 can spell it."""
    held = ref(uid, "home", folder, uidvalidity)
    kept.note([Receipt("2026-03-04/000001", held)])
    kept.reserve([(held, "2026-03-04/000001")])
    kept.intend(held, at)
    kept.advance("home", [Cursor(folder, uidvalidity, 1, "")])
    assert kept.open("home") == [Receipt("2026-03-04/000001", held)]
    assert kept.reserved("home") == [(held, "2026-03-04/000001")]
    assert kept.intent(held) == Intent(at, None)
    assert kept.cursors("home")[folder] == Cursor(folder, uidvalidity, 1, "")
    kept.release([held])


def test_everything_is_there_after_another_start(ledger: SqliteLedger, path: Path) -> None:
    ledger.note([receipt(1)])
    ledger.reserve([(ref(2), "2026-03-04/000002")])
    ledger.advance("home", [Cursor("INBOX", 7, 10, "a")])
    ledger.remember_note(ref(3))
    ledger.intend(ref(4), NOW)
    ledger.relayed(ref(4), "SMout")
    again = reopened(ledger, path)
    assert again.damaged is None
    assert again.open("home") == [receipt(1)]
    assert again.reserved("home") == [(ref(2), "2026-03-04/000002")]
    assert again.cursors("home") == {"INBOX": Cursor("INBOX", 7, 10, "a")}
    assert again.noted(ref(3))
    assert again.intent(ref(4)) == Intent(NOW, "SMout")
    again.disconnect()


def test_a_call_is_done_whole_or_not_at_all(ledger: SqliteLedger) -> None:
    ledger.reserve([(ref(1), "2026-03-04/000001")])

    def receipts() -> Iterator[Receipt]:
        yield receipt(1)
        yield Receipt("2026-03-04/000002", ref(2, uidvalidity=2**70))  # more than SQLite can hold

    with pytest.raises(OverflowError):
        ledger.note(receipts())
    assert ledger.open("home") == []
    assert ledger.reserved("home") == [(ref(1), "2026-03-04/000001")]
    ledger.note([receipt(1)])
    assert ledger.open("home") == [receipt(1)]


def test_several_threads_use_one_ledger(ledger: SqliteLedger) -> None:
    def work(source: str) -> list[int]:
        looks = []
        for number in range(20):
            ledger.note([receipt(number, source=source)])
            ledger.close([receipt(number - 1, source=source)])
            looks.append(ledger.next_look("shared"))
        return looks

    with ThreadPoolExecutor(6) as workers:
        looks = list(workers.map(work, [f"source{n}" for n in range(6)]))
    assert sorted(look for some in looks for look in some) == list(range(1, 121))
    for n in range(6):
        assert ledger.open(f"source{n}") == [receipt(19, source=f"source{n}")]


def test_only_its_owner_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    before = os.umask(0)
    try:
        opened = SqliteLedger(path)
    finally:
        os.umask(before)
    opened.note([receipt(1)])
    assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o600}
    opened.disconnect()
    path.chmod(0o644)
    SqliteLedger(path).disconnect()
    assert path.stat().st_mode & 0o777 == 0o600


WORKER = """
import os, sys
from pathlib import Path
from nocontactd.ledger import SqliteLedger
from nocontactd.model import Cursor, MessageRef, Receipt
ledger = SqliteLedger(Path(sys.argv[1]))
for n in range(int(sys.argv[2])):
    ref = MessageRef("home", "INBOX", 7, str(n))
    ledger.reserve([(ref, f"2026-03-04/{n:06}")])
    os.write(1, f"reserve {n}\\n".encode())
    ledger.note([Receipt(f"2026-03-04/{n:06}", ref)])
    os.write(1, f"note {n}\\n".encode())
    ledger.advance("home", [Cursor("INBOX", 7, n, "rules")])
    os.write(1, f"advance {n}\\n".encode())
"""


def worker(path: Path, calls: int, *before: str) -> subprocess.Popen[str]:
    """A process that tells each call when it has returned."""
    return subprocess.Popen(
        [*before, sys.executable, "-c", WORKER, str(path), str(calls)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("lines", [1, 2, 3, 10, 100, 401])
def test_what_a_call_returned_for_is_there_after_a_kill(path: Path, lines: int) -> None:
    with worker(path, 100_000) as process:
        assert process.stdout
        said = [process.stdout.readline().split() for _ in range(lines)]
        process.send_signal(signal.SIGKILL)
        said += [line.split() for line in process.stdout if line.endswith("\n")]
    ledger = SqliteLedger(path)
    assert ledger.damaged is None
    noted = [int(n) for verb, n in said if verb == "note"]
    reserved = {int(n) for verb, n in said if verb == "reserve"} - set(noted)
    advanced = [int(n) for verb, n in said if verb == "advance"]
    held = {int(r.ref.uid) for r in ledger.open("home")}
    waiting = {int(r.uid) for r, _ in ledger.reserved("home")}
    assert held >= set(noted)
    assert len(held) <= len(noted) + 1
    assert held | waiting >= reserved
    cursors = ledger.cursors("home")
    assert not advanced or cursors["INBOX"].next_uid >= advanced[-1]
    ledger.disconnect()


def test_each_call_but_a_note_is_on_the_disk_when_it_returns(path: Path, tmp_path: Path) -> None:
    """A kill leaves the kernel's memory alone, a power cut does not: look at the system calls themselves.

    A note that is lost with the power is made again of the reservation and the record, which are not; and so that
    nobody waits for the disk between the receipt and the removal, it is not waited for.
    """
    if not shutil.which("strace"):
        missing("strace")
    trace = tmp_path / "trace"
    watched = ("strace", "-f", "-y", "-qq", "-o", str(trace), "-e", "trace=write,pwrite64,fsync,fdatasync")
    with worker(path, 5, *watched) as process:
        assert process.stdout
        assert len(process.stdout.readlines()) == 15
    synced, named, written, returned = True, False, False, 0
    for line in trace.read_text().splitlines():
        if f"<{path}" in line and "pwrite64(" in line and "-shm>" not in line:  # that one is never read after a crash
            synced, written = False, True
        elif f"<{path}" in line and "sync(" in line:
            synced = True
        elif f"<{tmp_path}>" in line and "sync(" in line:
            named = True  # the file stands in its folder
        elif " write(1<" in line:
            assert synced != ('"note' in line)
            assert written
            assert named
            written, returned = False, returned + 1
    assert returned == 15


def broken(name: str) -> Callable[[Path], None]:
    """One way for a file to be damaged."""

    def text(path: Path) -> None:
        path.write_text("this is no database, and long enough to be read as one " * 50)

    def tail(path: Path) -> None:
        os.truncate(path, path.stat().st_size // 2 + 17)

    def middle(path: Path) -> None:
        with path.open("r+b") as file:
            file.seek(4096)
            file.write(os.urandom(path.stat().st_size - 4096))

    def schema(path: Path) -> None:
        with path.open("r+b") as file:
            file.seek(100)
            file.write(b"\xff" * 500)

    def foreign(path: Path) -> None:
        path.unlink()
        with sqlite3.connect(path) as database:
            database.execute("CREATE TABLE receipts (something)")
            database.execute("PRAGMA user_version = 9")
        database.close()

    return {f.__name__: f for f in (text, tail, middle, schema, foreign)}[name]


@pytest.mark.parametrize("how", ["text", "tail", "middle", "schema", "foreign"])
def test_a_damaged_ledger_is_put_aside_and_a_new_one_begun(path: Path, how: str) -> None:
    for number in (1, 2):
        ledger = SqliteLedger(path)
        ledger.note(receipt(n) for n in range(2000))
        ledger.disconnect()
        broken(how)(path)
        damage = path.read_bytes()
        ledger = SqliteLedger(path)
        assert ledger.damaged == path.with_name(f"ledger.sqlite.damaged-{number}")
        assert ledger.damaged.read_bytes() == damage
        assert ledger.damaged.stat().st_mode & 0o077 == 0
        assert ledger.open("home") == []
        ledger.note([receipt(1)])
        again = reopened(ledger, path)
        assert again.damaged is None
        assert again.open("home") == [receipt(1)]
        again.disconnect()


def test_the_log_of_a_damaged_ledger_is_not_replayed_into_the_new_one(path: Path) -> None:
    with worker(path, 100_000) as process:
        assert process.stdout
        for _ in range(30):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    log = path.with_name("ledger.sqlite-wal")
    octets = log.read_bytes()
    assert octets
    for damage in (b"no database " * 1000, None):
        if damage:
            path.write_bytes(damage)
        else:
            path.unlink()  # as it is between putting aside and making anew
        log.write_bytes(octets)
        ledger = SqliteLedger(path)
        assert ledger.open("home") == []
        assert ledger.reserved("home") == []
        ledger.note([receipt(1)])
        again = reopened(ledger, path)
        assert again.open("home") == [receipt(1)]
        again.disconnect()


def test_an_empty_file_is_a_new_ledger(path: Path) -> None:
    path.touch()
    ledger = SqliteLedger(path)
    ledger.note([receipt(1)])
    assert ledger.open("home") == [receipt(1)]
    assert ledger.damaged is None
    ledger.disconnect()


def test_a_ledger_of_a_later_version_is_left_alone(path: Path) -> None:
    SqliteLedger(path).disconnect()
    with sqlite3.connect(path) as database:
        database.execute(f"PRAGMA user_version = {VERSION + 1}")
    database.close()
    with pytest.raises(SealError, match="later version"):
        SqliteLedger(path)
    assert [file.name for file in path.parent.iterdir() if file.suffix != ".key"] == ["ledger.sqlite"]


def test_a_ledger_of_the_version_before_goes_on(path: Path) -> None:
    ledger = SqliteLedger(path)
    ledger.note([receipt(1)])
    ledger.disconnect()
    with sqlite3.connect(path) as database:
        database.execute("DROP TABLE familiar")
        database.execute("DROP TABLE found")
        database.execute("ALTER TABLE cursors DROP COLUMN lower")
        database.execute("INSERT INTO cursors VALUES ('home', x'494E424F58', 7, 10, 'rules')")
        database.execute("PRAGMA user_version = 1")
    database.close()
    ledger = SqliteLedger(path)
    assert (ledger.damaged, ledger.open("home")) == (None, [receipt(1)])
    assert ledger.cursors("home") == {"INBOX": Cursor("INBOX", 7, 10, "rules", 0)}  # looked through to its end
    ledger.meet([("nadia@friends.example", NOW)])
    assert "nadia@friends.example" in ledger.familiar(NOW + timedelta(seconds=1))
    ledger.disconnect()


def refused(call: Callable[[], object]) -> SealError:
    with pytest.raises(SealError) as caught:
        call()
    error = caught.value
    assert error.exit_code == 73
    assert error.hint
    assert "INBOX" not in str(error)
    assert error.__suppress_context__  # SQLite's own text may quote what was written
    return error


def test_a_ledger_that_is_used_after_its_end_stops_the_source(ledger: SqliteLedger) -> None:
    ledger.disconnect()
    ledger.disconnect()
    refused(lambda: ledger.note([receipt(1)]))
    refused(lambda: ledger.open("home"))


def test_a_place_where_no_ledger_can_be_stops_at_once(tmp_path: Path) -> None:
    assert "No such file" in refused(lambda: SqliteLedger(tmp_path / "missing" / "ledger.sqlite")).message
    (tmp_path / "folder").mkdir()
    assert "cannot be opened" in refused(lambda: SqliteLedger(tmp_path / "folder")).message


def test_a_ledger_that_somebody_else_holds_stops_the_source(
    path: Path, ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger._connection.execute("PRAGMA busy_timeout = 50")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert "another process" in refused(lambda: ledger.note([receipt(1)])).message
    other.execute("COMMIT")
    other.close()
    ledger.note([receipt(1)])
    assert ledger.open("home") == [receipt(1)]


ON_A_SMALL_DISK = """
import subprocess, sys
from pathlib import Path
from nocontactd.errors import SealError
from nocontactd.ledger import SqliteLedger
from nocontactd.model import MessageRef, Receipt
folder = Path(sys.argv[1])
ledger = SqliteLedger(folder / "ledger.sqlite")
kept = 0
try:
    while True:
        ledger.note([Receipt(f"2026-03-04/{kept:06}", MessageRef("home", "INBOX" * 50, 7, str(kept)))])
        kept += 1
except SealError as error:
    print(error.exit_code, error.message)
    assert "disk is full" in error.message
assert len(ledger.open("home")) == kept > 20, kept
subprocess.run(["mount", "-o", "remount,size=8m", folder], check=True)
ledger.note([Receipt("2026-03-05/000001", MessageRef("home", "INBOX", 7, "x"))])
assert len(ledger.open("home")) == kept + 1
ledger.disconnect()
subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
try:
    ledger = SqliteLedger(folder / "ledger.sqlite")
    ledger.note([Receipt("2026-03-05/000002", MessageRef("home", "INBOX", 7, "y"))])
except SealError as error:
    print(error.exit_code, error.message)
else:
    raise SystemExit("a disk that cannot be written was written")
assert sorted(file.name for file in folder.iterdir())[:2] == ["familiar.key", "ledger.sqlite"]
assert not list(folder.glob("*damaged*"))
"""


def test_a_full_disk_and_one_that_cannot_be_written_stop_the_source_and_lose_nothing(tmp_path: Path) -> None:
    script = 'mount -t tmpfs -o size=512k,mode=700 small "$1" && exec "$2" -c "$3" "$1"'
    allowed = ["unshare", "-rm", "mount", "-t", "tmpfs", "small", tmp_path]
    if not shutil.which("unshare") or subprocess.run(allowed, check=False, capture_output=True).returncode:
        missing("a mount namespace of one's own")
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script, "sh", tmp_path, sys.executable, ON_A_SMALL_DISK],
        check=False, cwd=ROOT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("73 the ledger in the state directory fails: ") == 2


def test_it_does_not_grow_with_what_is_over(path: Path) -> None:
    ledger = SqliteLedger(path)
    for day in range(40):
        some = [receipt(n + day * 500) for n in range(500)]
        ledger.reserve((r.ref, r.record) for r in some)
        ledger.note(some)
        ledger.close(some)
        ledger.advance("home", [Cursor("INBOX", 7, day, "rules")])
    ledger.disconnect()
    assert sum(file.stat().st_size for file in path.parent.iterdir()) < 512 * 1024

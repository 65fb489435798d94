"""The daemon can seal and cannot open: the kernel refuses it, and where the kernel cannot, that is said."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nocontactd.archive import landlock
from tests import archive_fixture
from tests.archive_fixture import Made
from tests.installation import Installation, letter
from tests.peers import missing
from tests.peers.dovecot import Dovecot, dovecot

PROGRAM = """
import json, os, subprocess, sys
from datetime import timedelta
from pathlib import Path
from nocontactd.archive import landlock
from nocontactd.archive.seal import Archive
from tests.archive_fixture import Clock, Made, seal
made, clock = Made(Path(sys.argv[1]), Path(sys.argv[2])), Clock()
archive = Archive(made.path, made.log_key, clock)
archive.lock()
archive.recover()
record = made.path / "mail" / seal(archive, [b"one"])[0].record
record = record.with_suffix(".age")
landlock.shut(made.path)

def refused(act):
    try:
        act()
    except PermissionError:
        return True
    return False

said = {
    "opened": not refused(record.read_bytes),
    "altered": not refused(lambda: record.open("ab")),
    "cut": not refused(lambda: os.truncate(record, 0)),
    "taken elsewhere": not refused(lambda: (record.rename(made.path / "incoming" / "x"), 1 / 0)),
    "opened by a child": subprocess.run(["cat", record], capture_output=True).returncode == 0,
    "linked": not refused(lambda: (os.link(record, made.path / "incoming" / "y"), 1 / 0)),
}
"""

AT_WORK = """
clock.next_day()
archive.close_days()
seal(archive, [b"two", bytes(3_000_000)], 2)
archive.enter("coverage", ())
(made.log_key.parent / "made later").write_text("readable")
said["state"] = (made.log_key.parent / "made later").read_text()
archive.close()
"""


def apart(tmp_path: Path) -> Made:
    """An archive with a folder of its own, away from its state."""
    made = archive_fixture.copy(tmp_path)
    (tmp_path / "kept").mkdir()
    return Made(made.path.rename(tmp_path / "kept" / "archive"), made.log_key)


@pytest.fixture
def kernel(tmp_path: Path) -> None:
    if why := landlock.hindrance(tmp_path, ()):
        missing(why)


def shut_in(made: Made, program: str) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-c", f"{program}\nprint(json.dumps(said))", made.path, made.log_key],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.mark.usefixtures("kernel")
def test_no_record_can_be_opened_altered_or_taken_to_where_it_could_be(tmp_path: Path) -> None:
    said = shut_in(apart(tmp_path), PROGRAM.replace("PermissionError", "OSError"))
    assert said == dict.fromkeys(said, False)


@pytest.mark.usefixtures("kernel")
def test_sealing_closing_minting_and_the_state_go_on(tmp_path: Path) -> None:
    """With the real child that makes the next day's key."""
    made = apart(tmp_path)
    assert shut_in(made, PROGRAM.replace("PermissionError", "OSError") + AT_WORK)["state"] == "readable"
    assert [len(item.original) for item in made.opened() if item.members] == [3, 3, 3_000_000]
    assert len(made.all_opened(archive_fixture.DAY)) == 16


@pytest.mark.usefixtures("kernel")
def test_what_has_started_already_would_stay_as_it_is(tmp_path: Path) -> None:
    program = "import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()\n" + PROGRAM
    with pytest.raises(AssertionError, match="a thread has started already"):
        shut_in(apart(tmp_path), program)


@pytest.mark.usefixtures("kernel")
def test_a_folder_that_also_holds_what_the_daemon_must_read_is_no_place_for_an_archive(tmp_path: Path) -> None:
    """What is put there later, as an editor does, could not be read; so nothing is done, and it is said."""
    archive = tmp_path / "kept" / "archive"
    archive.mkdir(parents=True)
    (tmp_path / "state").mkdir()
    fine = [tmp_path / "state", tmp_path / "etc" / "config.yaml", Path("/etc/resolv.conf")]
    assert landlock.hindrance(archive, fine) is None
    for path in (tmp_path, tmp_path / "config.yaml", tmp_path / "kept" / "secret"):
        assert str(path) in (landlock.hindrance(archive, [*fine, path]) or "")
    (tmp_path / "link").symlink_to(archive.parent)
    assert landlock.hindrance(tmp_path / "link" / "archive", [tmp_path / "link" / "config.yaml"])


@pytest.fixture(scope="module")
def server() -> Iterator[Dovecot]:
    with dovecot() as running:
        yield running


def daemon_that_steals(place: Installation) -> tuple[bytes, str]:
    """Run a daemon whose login command copies a record, as code in the daemon might; what it got, and the journal."""
    place.deliver(letter("ex@abuser.example", 1))
    stolen = place.folder / "away" / "stolen"
    stolen.parent.mkdir()
    command = f"cat {place.archive}/mail/*/*.age > {stolen} 2>/dev/null; cat {place.folder}/secret"
    text = place.config.read_text()
    text = text.replace(f"password_file: {place.folder}/secret", f'password_command: "{command}"', 1)
    place.config.write_text(text)
    running = place.daemon(place.folder / "journal")
    try:
        until = time.monotonic() + 20
        while time.monotonic() < until and (place.mailbox() or not stolen.exists()):
            time.sleep(0.05)
        assert place.mailbox() == {}, (place.folder / "journal").read_text()
    finally:
        running.terminate()
        running.wait(15)
    return stolen.read_bytes(), (place.folder / "journal").read_text()


@pytest.mark.usefixtures("kernel")
def test_a_daemon_seals_what_neither_it_nor_its_login_command_can_open(tmp_path: Path, server: Dovecot) -> None:
    place = Installation(tmp_path, server, user="shut-in").with_keys()
    (tmp_path / "kept").mkdir()
    text = place.config.read_text().replace(f"{tmp_path}/archive", f"{tmp_path}/kept/archive")
    shutil.move(place.archive, tmp_path / "kept" / "archive")
    place.archive = tmp_path / "kept" / "archive"
    (tmp_path / "etc").mkdir()
    place.config.unlink()
    place.config = tmp_path / "etc" / "config.yaml"
    place.config.write_text(text)
    place.config.chmod(0o600)
    place.environ["NOCONTACT_CONFIG"] = str(place.config)
    stolen, journal = daemon_that_steals(place)
    assert stolen == b""
    assert "not kept from reading" not in journal
    assert len(list(place.archive.glob("mail/*/*.age"))) > 1
    assert "the kernel keeps the daemon from reading what it has sealed" in place.nocontact("check").stdout


def test_where_the_kernel_cannot_help_the_daemon_works_and_says_so_loudly(tmp_path: Path, server: Dovecot) -> None:
    """Here the configuration lies beside the archive. The theft shows what the kernel would have refused."""
    place = Installation(tmp_path, server, user="not-shut-in").with_keys()
    stolen, journal = daemon_that_steals(place)
    assert b"age-encryption.org" in stolen
    assert "this process is not kept from reading what it has sealed" in journal
    assert "the daemon is not kept from reading what it has sealed" in place.nocontact("check").stdout

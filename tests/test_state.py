"""The state directory: private, whole, one process at a time, and found again."""

import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nocontactd import state
from nocontactd.errors import BusyError, SealError
from tests.peers import missing

HOLD = """\
import sys, pathlib
from nocontactd import state
with state.lock(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_file_is_replaced_whole_and_private(tmp_path: Path) -> None:
    file = tmp_path / "accepted.json"
    state.write(file, "one")
    state.write(file, "two")
    assert (state.read(file), file.stat().st_mode & 0o777) == ("two", 0o600)
    assert [path.name for path in tmp_path.iterdir()] == ["accepted.json"]


def test_a_file_that_cannot_be_written_stays_as_it_was_and_leaves_nothing(tmp_path: Path) -> None:
    """A full disk, as the kernel reports it when a process may write no larger file."""
    state.write(tmp_path / "accepted.json", "before")
    program = (
        "import pathlib, resource, signal, sys\n"
        "from nocontactd import errors, state\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))\n"
        "try:\n"
        "    state.write(pathlib.Path(sys.argv[1]), 'x' * 100)\n"
        "except errors.SealError as problem:\n"
        "    sys.exit(problem.exit_code)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path / "accepted.json")], check=False)
    assert done.returncode == 73
    assert state.read(tmp_path / "accepted.json") == "before"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_link_in_the_way_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    (tmp_path / f".accepted.json.{os.getpid()}").symlink_to(tmp_path / "precious")
    with pytest.raises(SealError):
        state.write(tmp_path / "accepted.json", "x")
    assert (tmp_path / "precious").read_text() == "precious"


def test_a_state_that_others_could_enter_is_closed_to_them(tmp_path: Path) -> None:
    place = tmp_path / "state"
    place.mkdir(mode=0o755)
    with state.lock(place):
        assert place.stat().st_mode & 0o777 == 0o700


def test_a_second_process_is_refused_until_the_first_is_gone_however_it_goes(tmp_path: Path) -> None:
    place = tmp_path / "state"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(place)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == b"held\n"
        assert state.held(place)
        with pytest.raises(BusyError) as refused, state.lock(place):
            pass
        assert refused.value.exit_code == 75
        first.kill()
    assert not state.held(place)
    with state.lock(place):
        pass


def test_nobody_holds_a_state_that_is_not_there(tmp_path: Path) -> None:
    assert not state.held(tmp_path / "none")


def test_the_configuration_is_found_in_the_order_of_the_manual(tmp_path: Path) -> None:
    own = tmp_path / "nocontactd" / "config.yaml"
    environ = {"XDG_CONFIG_HOME": str(tmp_path), "HOME": "/nonexistent"}
    assert state.config_file(None, environ) == Path("/etc/nocontactd/config.yaml")
    own.parent.mkdir()
    own.touch()
    assert state.config_file(None, environ) == own
    assert state.config_file(None, environ | {"NOCONTACT_CONFIG": "/srv/c.yaml"}) == Path("/srv/c.yaml")
    assert state.config_file(Path("/x.yaml"), environ | {"NOCONTACT_CONFIG": "/srv/c.yaml"}) == Path("/x.yaml")


def test_the_state_is_where_the_file_says_else_systemd_else_xdg_else_home(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    home = {"HOME": str(tmp_path)}
    xdg = home | {"XDG_STATE_HOME": str(tmp_path / "xdg")}
    systemd = xdg | {"STATE_DIRECTORY": f"{tmp_path / 'var'}:{tmp_path / 'second'}"}
    assert state.place(file, None, home) == tmp_path / ".local" / "state" / "nocontactd"
    assert state.place(file, None, xdg) == tmp_path / "xdg" / "nocontactd"
    assert state.place(file, None, systemd) == tmp_path / "var"
    assert state.place(file, tmp_path / "said", systemd) == tmp_path / "said"


def test_a_remembered_state_wins_only_while_rules_are_kept_in_it(tmp_path: Path) -> None:
    file, environ = tmp_path / "config.yaml", {"HOME": str(tmp_path)}
    assert state.remember(file, tmp_path / "old", environ)
    assert state.place(file, tmp_path / "new", environ) == tmp_path / "new"
    state.directory(tmp_path / "old")
    state.write(tmp_path / "old" / "accepted.json", "{}")
    assert state.place(file, tmp_path / "new", environ) == tmp_path / "old"
    assert state.place(tmp_path / "other.yaml", tmp_path / "new", environ) == tmp_path / "new"


def test_a_place_that_cannot_be_written_is_no_reason_not_to_start(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    assert not state.remember(tmp_path / "config.yaml", tmp_path / "state", {"HOME": str(tmp_path / "home")})


def test_a_file_is_on_the_disk_before_it_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    """And its folder after that: as the kernel sees it."""
    strace = shutil.which("strace")
    if strace is None:
        missing("strace (Debian: strace)")
    program = "import sys, pathlib; from nocontactd import state; state.write(pathlib.Path(sys.argv[1]), 'x')"
    trace = tmp_path / "trace"
    subprocess.run(
        [strace, "-y", "-o", trace, "-e", "trace=fsync,rename", sys.executable, "-c", program, tmp_path / "kept.json"],
        check=True,
        timeout=60,
    )
    calls = [line for line in trace.read_text().splitlines() if str(tmp_path) in line]
    assert [line.partition("(")[0] for line in calls] == ["fsync", "rename", "fsync"]
    assert ".kept.json." in calls[0]
    assert f"<{tmp_path}>" in calls[2]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can stand in for somebody else")
def test_root_leaves_no_files_in_a_state_that_is_another_users(tmp_path: Path) -> None:
    """What root wrote there would lock the daemon's own user out."""
    os.chown(tmp_path, pwd.getpwnam("nobody").pw_uid, -1)
    with pytest.raises(SealError, match="belongs to the user nobody") as refused, state.lock(tmp_path):
        pass
    assert "sudo -u nobody" in refused.value.hint
    assert state.owner_root_is_not(tmp_path / "absent") is None
    os.chown(tmp_path, 0, -1)
    with state.lock(tmp_path):
        assert state.held(tmp_path)

"""The shell of the owner's tool: one printer, the promised exit codes, never a traceback."""

import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nocontactd.cli import COMMANDS, complain, main, unusable
from nocontactd.cli.situation import SYSTEM, belongs_to_another
from nocontactd.errors import ConfigError, DamagedError, NocontactError
from tests.transcripts import run

PROGRAM = [sys.executable, "-c", "import sys; from nocontactd.cli import main; sys.exit(main())"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as leaving:
        main([command, "--help"])
    assert not leaving.value.code
    assert f"usage: nocontact {command}" in capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_stands_in_the_help_of_all(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    assert f"\n  {command} " in capsys.readouterr().out


def test_help_of_all_loads_no_vendors_library() -> None:
    program = (
        "import sys\nfrom nocontactd.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "bad = {'twilio', 'imapclient', 'yaml', 'pyrage', 'keyring', 'apscheduler', 'cryptography', 'phonenumbers'}\n"
        "sys.exit(' '.join(bad & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_an_error_is_printed_with_its_hint_and_gives_its_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert complain(DamagedError("home: nothing was removed", "try again")) == 65
    assert capsys.readouterr().err == "nocontact: error: home: nothing was removed\nnocontact: hint: try again\n"


def test_every_problem_of_a_configuration_has_its_own_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert complain(ConfigError(["c.yaml:1:1: one", "c.yaml:2:1: two"])) == 78
    assert capsys.readouterr().err == "nocontact: error: c.yaml:1:1: one\nnocontact: error: c.yaml:2:1: two\n"


def test_an_error_cannot_act_on_the_screen(capsys: pytest.CaptureFixture[str]) -> None:
    complain(NocontactError("a\x1b[2J.eml: no", "\u202e"))
    assert "\x1b" not in (printed := capsys.readouterr().err)
    assert "\u202e" not in printed


def test_what_the_system_forbids_names_the_way_round() -> None:
    problem = unusable(PermissionError(13, "Permission denied", "/var/lib/nocontactd"))
    assert problem.message == "/var/lib/nocontactd: permission denied; nothing was done"
    assert "sudo -u nocontactd" in problem.hint


@pytest.mark.parametrize(
    ("file", "uid", "stranger"),
    [
        (SYSTEM, 1000, True),
        (SYSTEM, 0, True),
        (SYSTEM, 64000, False),
        (Path("/home/me/.config/nocontactd/config.yaml"), 1000, False),
    ],
)
def test_whoever_is_not_the_daemons_user_is_not_shown_an_empty_state(file: Path, uid: int, stranger: bool) -> None:
    def named(name: str) -> pwd.struct_passwd:
        return pwd.struct_passwd((name, "x", 64000, 64000, "", "/var/lib/nocontactd", "/usr/sbin/nologin"))

    assert belongs_to_another(file, Path("/nowhere/state"), uid, named) is stranger
    assert not belongs_to_another(file, Path("/"), uid, named), "there is a state"


def test_where_the_daemon_has_no_user_of_its_own_nobody_is_a_stranger() -> None:
    def named(name: str) -> pwd.struct_passwd:
        raise KeyError(name)

    assert not belongs_to_another(SYSTEM, Path("/nowhere/state"), 1000, named)


def test_a_closed_pipe_ends_quietly(tmp_path: Path) -> None:
    (tmp_path / "a.eml").write_text("From: a@b.example\n\n")
    words = ["explain", "--blocked", "a@b.example", *["a.eml"] * 3000]
    with subprocess.Popen([*PROGRAM, *words], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.read(1)
        process.stdout.close()
        assert process.stderr.read() == b""
        process.wait(60)


def test_an_interrupt_ends_quietly_with_130(tmp_path: Path) -> None:
    read, write = os.pipe()
    with subprocess.Popen(
        [*PROGRAM, "explain", "--blocked", "a@b.example", "-"],
        stdin=read,
        stdout=-1,
        stderr=-1,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a job in the background ignores it
    ) as process:
        _wait_until_reading(process.pid)
        process.send_signal(signal.SIGINT)
        try:
            _, err = process.communicate(timeout=30)
        finally:
            process.kill()
    os.close(read)
    os.close(write)
    assert (process.returncode, err) == (130, b"")


def _wait_until_reading(pid: int) -> None:
    """Until the process sleeps in a read of a pipe."""
    import time

    for _ in range(600):
        if "pipe" in Path(f"/proc/{pid}/wchan").read_text() and Path(f"/proc/{pid}/fd/0").exists():
            return
        time.sleep(0.05)
    time.sleep(1)


@pytest.fixture
def unreadable(tmp_path: Path) -> Iterator[Path]:
    file = tmp_path / "a.eml"
    file.write_text("From: a@b.example\n\n")
    file.chmod(0)
    yield file
    file.chmod(0o600)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_named(unreadable: Path) -> None:
    done = run("nocontact explain --blocked a@b.example a.eml", unreadable.parent)
    assert done.code == 2
    assert "a.eml: not explained: " in done.err


def test_an_endless_file_is_read_up_to_a_bound_only() -> None:
    done = subprocess.run(
        [*PROGRAM, "explain", "--sms", "--blocked", "+447700900123", "/dev/zero"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "/dev/zero: not explained: too long" in done.stderr

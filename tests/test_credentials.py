"""A source's secret: in what order it is looked for, and what is said where it cannot be had."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from nocontactd.credentials import Patience, secret, store
from nocontactd.errors import CredentialError

HASTE = Patience(command=1.0, keyring=10.0)
CANARY = "canary-7f3a"

BACKEND = '''\
"""A keyring of one file, and what keyrings do on machines without a desktop."""
import json, os, sys, time
from pathlib import Path
from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked

FILE = Path(os.environ["TEST_KEYRING"])

class Filed(KeyringBackend):
    priority = 1
    def get_password(self, service, username):
        return json.loads(FILE.read_text()).get(f"{service} {username}") if FILE.exists() else None
    def set_password(self, service, username, password):
        FILE.write_text(json.dumps({f"{service} {username}": password}))

class Forgetful(Filed):
    def get_password(self, service, username):
        return "something else"

class Locked(Filed):
    def get_password(self, service, username):
        raise KeyringLocked("canary-7f3a")

class Strange(Filed):
    def get_password(self, service, username):
        print("canary-7f3a", file=sys.stderr)
        raise Exception("canary-7f3a")

class Talkative(Filed):
    def get_password(self, service, username):
        print("canary-7f3a")

class Hung(Filed):
    def get_password(self, service, username):
        time.sleep(60)
'''


@dataclass(frozen=True, slots=True)
class Ways:
    file: Path | None = None
    command: str | None = None
    token_command: str | None = None


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """An environment whose keyring is a file of this test, and without anything of this machine's."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "test_backend.py").write_text(BACKEND)
    monkeypatch.syspath_prepend(tmp_path / "modules")
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "TEST_KEYRING": str(tmp_path / "keyring.json"),
        "PYTHON_KEYRING_BACKEND": "test_backend.Filed",
    }


def written(path: Path, text: bytes = b"from the file\n", mode: int = 0o600) -> Path:
    path.write_bytes(text)
    path.chmod(mode)
    return path


def refusal(environment: Mapping[str, str], ways: Ways, patience: Patience = HASTE) -> CredentialError:
    with pytest.raises(CredentialError) as refused:
        secret("home", "me@example.org", ways, environment=environment, patience=patience)
    said = refused.value
    assert said.exit_code == 77
    assert said.message.startswith("home: no secret: ")
    for way in ("systemd credential named home", "password_file", "password_command", "token_command", "keyring"):
        assert way in said.hint
    assert "example.org" not in said.message + said.hint
    assert CANARY not in said.message + said.hint
    assert said.__cause__ is None
    assert said.__suppress_context__
    return said


def test_a_systemd_credential_comes_before_all_other_ways(tmp_path: Path, environment: dict[str, str]) -> None:
    (tmp_path / "creds").mkdir()
    written(tmp_path / "creds" / "home", b"from systemd", 0o440)
    environment["CREDENTIALS_DIRECTORY"] = str(tmp_path / "creds")
    ways = Ways(file=written(tmp_path / "file"), command="echo from the command")
    assert secret("home", "me", ways, environment=environment) == "from systemd"
    assert secret("work", "me", ways, environment=environment) == "from the file"


def test_a_systemd_credential_that_is_there_and_cannot_be_read_is_refused(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    (tmp_path / "creds" / "home").mkdir(parents=True)
    environment["CREDENTIALS_DIRECTORY"] = str(tmp_path / "creds")
    assert "the systemd credential cannot be read" in refusal(environment, Ways(command="echo x")).message
    environment["CREDENTIALS_DIRECTORY"] = "/proc/self/status"
    assert "the systemd credential cannot be read" in refusal(environment, Ways(command="echo x")).message


def test_what_a_terminal_gives_that_is_no_text_is_refused(environment: dict[str, str]) -> None:
    with pytest.raises(CredentialError, match="no UTF-8"):
        secret("home", "me", Ways(), environment=environment, prompt=lambda _: "\udcff")


def test_a_token_is_asked_of_its_command_alone(tmp_path: Path, environment: dict[str, str]) -> None:
    """A password that systemd or the keyring holds for this source is none."""
    written(tmp_path / "home", b"password")
    environment["CREDENTIALS_DIRECTORY"] = str(tmp_path)
    assert secret("home", "me", Ways(token_command="echo token"), environment=environment) == "token"
    assert "token_command failed" in refusal(environment, Ways(token_command="false")).message


def test_the_keyring_comes_before_the_terminal_and_after_what_the_configuration_says(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    questions: list[str] = []

    def prompt(question: str) -> str:
        questions.append(question)
        return "from the terminal"

    assert secret("home", "me", Ways(), environment=environment, prompt=prompt) == "from the terminal"
    store("home", "from the keyring", environment=environment)
    assert secret("home", "me", Ways(), environment=environment, prompt=prompt) == "from the keyring"
    assert secret("home", "me", Ways(command="echo it"), environment=environment, prompt=prompt) == "it"
    assert questions == ["secret of home (me): "]


def test_without_a_terminal_what_nobody_has_is_refused(environment: dict[str, str]) -> None:
    assert "the keyring has none" in refusal(environment, Ways()).message


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o777])
def test_a_password_file_that_others_may_open_is_refused(
    tmp_path: Path, environment: dict[str, str], mode: int
) -> None:
    ways = Ways(file=written(tmp_path / "file", mode=mode))
    assert "chmod 600" in refusal(environment, ways).message


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_password_file_of_ones_own_is_read(tmp_path: Path, environment: dict[str, str], mode: int) -> None:
    assert secret("home", "me", Ways(file=written(tmp_path / "file", mode=mode)), environment=environment)


def test_the_mode_that_counts_is_that_of_the_file_and_not_of_a_link_to_it(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    (tmp_path / "link").symlink_to(written(tmp_path / "file", mode=0o644))
    assert "chmod 600" in refusal(environment, Ways(file=tmp_path / "link")).message


@pytest.mark.parametrize("what", ["missing", "folder", "pipe"])
def test_a_password_file_that_is_none_is_refused_at_once(
    tmp_path: Path, environment: dict[str, str], what: str
) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe", 0o600)
    said = {"missing": "No such file", "folder": "Is a directory", "pipe": "password_file is not a file"}
    assert said[what] in refusal(environment, Ways(file=tmp_path / what)).message


def test_a_written_way_that_fails_is_not_made_up_for_by_the_keyring(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    store("home", "from the keyring", environment=environment)
    refusal(environment, Ways(file=tmp_path / "missing"))
    refusal(environment, Ways(command="false"))


@pytest.mark.parametrize(
    ("octets", "text"),
    [(b"a", "a"), (b"a\n", "a"), (b"a\r\n", "a"), (b" a ", " a "), ("ä€".encode(), "ä€"), (b"x" * 65536, "x" * 65536)],
    ids=range(6),
)
def test_one_newline_at_the_end_is_no_part_of_a_secret(
    tmp_path: Path, environment: dict[str, str], octets: bytes, text: str
) -> None:
    written(tmp_path / "file", octets)
    assert secret("home", "me", Ways(file=tmp_path / "file"), environment=environment) == text
    assert secret("home", "me", Ways(command=f"cat '{tmp_path}/file'"), environment=environment) == text


@pytest.mark.parametrize(
    "octets", [b"", b"\n", b"a\n\n", b"a\nb", b"a\rb", b"a\x7f", b"\xff", b"x" * 65537], ids=range(8)
)
def test_what_is_not_one_line_of_text_is_no_secret(tmp_path: Path, environment: dict[str, str], octets: bytes) -> None:
    """A line break would reach the server as the end of one command and the beginning of another."""
    written(tmp_path / "file", octets)
    refusal(environment, Ways(file=tmp_path / "file"))
    refusal(environment, Ways(command=f"cat '{tmp_path}/file'"))


def test_a_command_is_for_the_shell_and_has_the_environment_that_was_given(environment: dict[str, str]) -> None:
    environment["PART"] = "two"
    assert secret("home", "me", Ways(command='printf one; echo "$PART"'), environment=environment) == "onetwo"


def test_a_command_is_asked_nothing_and_what_it_complains_is_not_repeated(
    environment: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert secret("home", "me", Ways(command="cat; echo x"), environment=environment) == "x"
    assert "failed" in refusal(environment, Ways(command=f"echo {CANARY} >&2; echo {CANARY}; exit 3")).message
    assert CANARY not in "".join(capfd.readouterr())


@pytest.mark.parametrize("command", ["sleep 60", "sleep 60 & echo x", "exec >&-; sleep 60", "(sleep 60 | sleep 60)"])
def test_a_command_that_does_not_end_is_ended_with_everything_it_started(
    environment: dict[str, str], tmp_path: Path, command: str
) -> None:
    began = time.monotonic()
    said = refusal(environment, Ways(command=f"echo $$ >'{tmp_path}/group'; {command}"))
    assert "did not end in 1 seconds" in said.message
    assert time.monotonic() - began < 5
    group = int((tmp_path / "group").read_text())
    _wait_until_gone(group)


def _wait_until_gone(group: int) -> None:
    for _ in range(100):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        if not any(_lives(process, group) for process in Path("/proc").glob("[0-9]*")):
            return
        time.sleep(0.02)
    pytest.fail("something that the command started still runs")


def _lives(process: Path, group: int) -> bool:
    """Whether a process of this group runs; one that ended and waits for init does not."""
    try:
        state, _, its_group = (process / "stat").read_text().rpartition(")")[2].split()[:3]
    except OSError:
        return False
    return int(its_group) == group and state != "Z"


def test_a_command_that_prints_without_end_is_ended(environment: dict[str, str]) -> None:
    began = time.monotonic()
    assert "failed" in refusal(environment, Ways(command="yes"), Patience(command=30.0)).message
    assert time.monotonic() - began < 10


def test_a_command_that_is_not_there_is_refused(environment: dict[str, str]) -> None:
    assert "failed" in refusal(environment, Ways(command="/nowhere/at/all")).message


def test_what_the_system_cannot_start_is_refused(environment: dict[str, str]) -> None:
    environment["LONG"] = "x" * 1024 * 1024  # more than the kernel takes for one variable
    assert "cannot be run" in refusal(environment, Ways(command="true")).message
    assert "cannot be asked" in refusal(environment, Ways()).message


def test_what_is_stored_in_the_keyring_is_found_again(environment: dict[str, str]) -> None:
    store("home", "pä ss'\"\\", environment=environment)
    assert secret("home", "me", Ways(), environment=environment) == "pä ss'\"\\"
    assert "nocontactd home" in Path(environment["TEST_KEYRING"]).read_text()


@pytest.mark.parametrize("given", ["", "a\nb", "\ud800"], ids=range(3))
def test_what_is_no_secret_is_not_stored(environment: dict[str, str], given: str) -> None:
    with pytest.raises(CredentialError):
        store("home", given, environment=environment)
    assert not Path(environment["TEST_KEYRING"]).exists()


@pytest.mark.parametrize(
    ("backend", "said"),
    [
        ("keyring.backends.null.Keyring", "forgets"),
        ("test_backend.Forgetful", "did not keep it"),
        ("keyring.backends.fail.Keyring", "cannot be used"),
        ("no_such_module.Keyring", "cannot be used"),
    ],
)
def test_a_keyring_that_keeps_nothing_is_found_out_when_storing(
    environment: dict[str, str], backend: str, said: str
) -> None:
    environment["PYTHON_KEYRING_BACKEND"] = backend
    with pytest.raises(CredentialError, match=said):
        store("home", "it", environment=environment)


@pytest.mark.parametrize(
    ("backend", "said"),
    [
        ("keyring.backends.null.Keyring", "forgets"),
        ("keyring.backends.fail.Keyring", "cannot be used"),
        ("test_backend.Locked", "cannot be used"),
        ("test_backend.Strange", "cannot be used"),
        ("test_backend.Talkative", "cannot be used"),
    ],
)
def test_whatever_a_keyring_raises_is_a_refusal(
    environment: dict[str, str], capfd: pytest.CaptureFixture[str], backend: str, said: str
) -> None:
    environment["PYTHON_KEYRING_BACKEND"] = backend
    assert said in refusal(environment, Ways()).message
    assert CANARY not in "".join(capfd.readouterr())


def test_a_keyring_that_hangs_on_a_prompt_is_ended(environment: dict[str, str]) -> None:
    environment["PYTHON_KEYRING_BACKEND"] = "test_backend.Hung"
    began = time.monotonic()
    assert "did not answer" in refusal(environment, Ways(), Patience(keyring=1.0)).message
    assert time.monotonic() - began < 5


def test_a_terminal_still_helps_where_the_keyring_fails(environment: dict[str, str]) -> None:
    environment["PYTHON_KEYRING_BACKEND"] = "test_backend.Strange"
    assert secret("home", "me", Ways(), environment=environment, prompt=lambda _: "typed") == "typed"
    with pytest.raises(CredentialError):
        secret("home", "me", Ways(), environment=environment, prompt=lambda _: "")


def test_nothing_secret_stands_in_the_arguments_of_a_process(environment: dict[str, str], tmp_path: Path) -> None:
    """Arguments are for everybody on the machine to see; neither does the user name."""
    recorder = tmp_path / "modules" / "sitecustomize.py"
    recorder.write_text(
        f"import sys\nfrom pathlib import Path\nPath({str(tmp_path / 'seen')!r}).write_text(repr(sys.orig_argv))\n"
    )
    store("home", CANARY, environment=environment)
    seen = (tmp_path / "seen").read_text()
    assert "credentials" in seen
    assert CANARY not in seen

"""Setting everything up: asked on a terminal or unattended, tried, resumable, and nothing secret shown or replaced."""

import os
import pwd
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from nocontactd import config
from nocontactd.archive.history import ceremony
from nocontactd.cli import main
from nocontactd.cli.setup import place as places
from nocontactd.cli.setup import unit
from nocontactd.cli.setup.place import Place, own, prepare, put, system
from nocontactd.config import Config, MailSource, Microsoft, Person, PhoneSource, Secret
from nocontactd.config.written import written
from nocontactd.demo.twilio_standin import TwilioStandin
from nocontactd.errors import NocontactError
from nocontactd.model import Disposition, Kind, Rule
from tests.installation import NOCONTACT
from tests.peers.dovecot import Dovecot, dovecot
from tests.peers.terminal import Terminal
from tests.test_credentials import BACKEND

PACKAGE = str(Path(config.__file__).parents[2])
"""Of the program under test, which may be a mutant."""
OWNER, THERAPIST = "canary sentence of the owner", "canary words of the therapist"


@pytest.fixture(scope="module")
def server() -> Iterator[Dovecot]:
    with dovecot() as running:
        yield running


class Home:
    """Somebody's home folder, and `nocontact` in it."""

    def __init__(self, folder: Path, server: Dovecot, **environ: str) -> None:
        self.folder, self.server = folder, server
        self.file = folder / ".config/nocontactd/config.yaml"
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
            "PYTHONPATH": PACKAGE,
            **environ,
        }
        for name, text in {"pw": server.password, "owner": OWNER, "therapist": THERAPIST}.items():
            (folder / name).write_text(text + "\n")
            (folder / name).chmod(0o600)

    def words(self, *more: str, block: str = "ex@abuser.example") -> list[str]:
        host = ["--host", self.server.host, "--port", str(self.server.port), "--security", "none"]
        return ["setup", "--address", "me@home.example", *host, "--password-file", "pw", "--block", block, *more]

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*NOCONTACT, *words], env=self.environ, cwd=self.folder, capture_output=True, text=True, timeout=120,
            check=False, start_new_session=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def terminal(self, *words: str) -> Terminal:
        return Terminal(self.folder, self.environ | {"TERM": "dumb"}, *words)

    def holding(self, word: str) -> list[str]:
        """Files, but the one in which it belongs, that hold a word."""
        files = (path for path in self.folder.rglob("*") if path.is_file())
        return sorted(path.name for path in files if word.encode() in path.read_bytes())


@pytest.fixture
def home(tmp_path: Path, server: Dovecot) -> Home:
    return Home(tmp_path, server)


KEYS = ("--owner-passphrase-file", "owner", "--therapist-passphrase-file", "therapist")


def test_unattended_one_command_sets_everything_up_and_a_second_changes_nothing(home: Home) -> None:
    done = home.run(*home.words("--block", "+44 7700 900123", "--block", "Alex Example", "--delay", "3 days", *KEYS))
    assert done.returncode == 0, done.stdout + done.stderr
    said = config.load(home.file)
    assert said.entries == (
        Rule(Kind.ADDRESS, "ex@abuser.example"),
        Rule(Kind.NUMBER, "+44 7700 900123"),
        Rule(Kind.NAME, "Alex Example"),
    )
    assert (said.loosening_delay, said.mail[0].secret.file) == (3 * 86400, home.file.parent / "home.password")
    assert ceremony(said.archive) == "unattended"
    assert "home: in order" in done.stdout
    for path in (home.file, home.file.parent / "home.password"):
        assert path.stat().st_mode & 0o777 == 0o600
    before = {path: path.read_bytes() for path in home.folder.rglob("*") if path.is_file()}
    again = home.run(*home.words("--password-file", "nowhere", *KEYS, block="other@abuser.example"))
    assert again.returncode == 0
    assert "stays as it is" in again.stdout
    assert {path: path.read_bytes() for path in home.folder.rglob("*") if path.is_file()} == before
    assert home.holding(home.server.password) == ["home.password", "pw"]
    assert OWNER not in done.stdout + done.stderr


def test_at_a_terminal_it_asks_tries_and_makes_the_keys(home: Home) -> None:
    screen = home.terminal("setup", "--no-unit")
    for question, answer in (
        ("Your mail address: ", "no address"),
        ("this is no mail address", "me@home.example"),
        ("IMAP server of this mailbox: ", home.server.host),
        ("[tls]: ", "none"),
        ("Port [143]: ", str(home.server.port)),
        ("Login name [me@home.example]: ", ""),
        ("[home]: ", ""),
        ("Password of me@home.example (it is not shown): ", "canary-wrong"),
        ("Your mail address: ", "me@home.example"),
        ("IMAP server of this mailbox: ", home.server.host),
        ("[tls]: ", "none"),
        ("Port [143]: ", str(home.server.port)),
        ("Login name [me@home.example]: ", ""),
        ("[home]: ", ""),
        ("(it is not shown): ", home.server.password),
        ("it works", ""),
        ("Another mailbox? [yes/no] ", "yes"),
        ("Your mail address: ", "other@home.example"),
        ("IMAP server of this mailbox: ", home.server.host),
        ("[tls]: ", "none"),
        ("Port [143]: ", str(home.server.port)),
        ("Login name [other@home.example]: ", ""),
        ("it stands in the journal: ", "home"),
        ("another mailbox has this name", "work"),
        ("(it is not shown): ", home.server.password),
        ("it works", ""),
        ("Another mailbox? [yes/no] ", "no"),
        ("[A.]: ", "B."),
        ("> ", "ex@abuser"),
        ("> ", "07700 900123"),
        ("without its country", "ex@abuser.example"),
        ("> ", ""),
        ("Another person? [yes/no] ", "no"),
        ("number at Twilio? [yes/no] ", "no"),
        ("archive to lie? [", "kept"),
        ("[7 days]: ", "soon"),
        ("a number and a unit", "14 days"),
    ):
        screen.expect(question)
        if answer or question.endswith((": ", "> ")):
            screen.type(answer)
    screen.expect("alone can read")
    screen.expect("wrote ")
    screen.expect("passphrase of the owner: ")
    os.kill(screen.pid, 2)
    assert screen.end() == 130
    assert [word for word in (home.server.password, "canary-wrong", "Traceback") if word in screen.screen] == []
    said = config.load(home.file)
    assert [mail.name for mail in said.mail] == ["home", "work"]
    assert (said.people[0].label, said.loosening_delay) == ("B.", 14 * 86400)
    assert said.archive == home.folder / "kept"
    assert not said.archive.exists()
    done = home.run("setup", *KEYS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (said.archive / "archive.json").exists(), "the second run goes on where the first one ended"


def test_nothing_is_written_before_everything_is_answered(home: Home) -> None:
    screen = home.terminal(*home.words()[:1])
    screen.expect("Your mail address: ")
    time.sleep(0.5)  # between its prompt and its read Python's input() would sleep over the signal
    os.kill(screen.pid, 2)
    assert screen.end() == 130
    assert not home.file.parent.exists()


def test_where_nobody_is_there_to_answer_it_ends_and_says_so(home: Home) -> None:
    done = home.run("setup")
    assert (done.returncode, "nobody to answer" in done.stderr) == (1, True)
    assert not home.file.parent.exists()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--source", ""], 2, "--source: it is empty"),
        (["--password-file", "owner"], 77, "home: the server refused the login"),
        (["--password-file", "nowhere"], 77, "password_file cannot be read"),
        (["--host", "imap.example.org"], 2, "--security: `none` is allowed to this machine only"),
        (["--block", "@com"], 2, "--block: this would list everybody"),
        (["--block", "07700 900123"], 2, "--block: a number without its country"),
        (["--delay", "soon"], 2, "--delay: "),
        (["--port", "1"], 75, "home: the server cannot be reached"),
        (["--source", "me@home.example"], 2, "a source is named by a word of your own"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_set_up(home: Home, words: list[str], code: int, said: str) -> None:
    done = home.run(*home.words(*words, *KEYS))
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not home.file.parent.exists()


@pytest.mark.parametrize("missing", ["--block", "--password-file", "--host"])
def test_unattended_what_is_missing_is_asked_of_nobody(home: Home, missing: str) -> None:
    words = home.words()
    at = words.index(missing)
    done = home.run(*words[:at], *words[at + 2 :])
    assert done.returncode == 2
    assert f"{missing} is needed" in done.stderr


def test_a_password_file_that_others_can_read_is_refused(home: Home) -> None:
    (home.folder / "pw").chmod(0o644)
    done = home.run(*home.words(*KEYS))
    assert done.returncode == 77
    assert "open to others" in done.stderr


def test_without_passphrases_and_without_a_terminal_the_rest_is_done_and_the_way_on_is_told(home: Home) -> None:
    done = home.run(*home.words())
    assert done.returncode == 77
    assert "run `nocontact setup` again" in done.stdout
    assert config.load(home.file).mail[0].name == "home"


@pytest.fixture
def keyring(tmp_path: Path, server: Dovecot) -> Home:
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules/test_backend.py").write_text(BACKEND)
    return Home(
        tmp_path, server, PYTHONPATH=f"{PACKAGE}:{tmp_path}/modules", TEST_KEYRING=str(tmp_path / "keyring.json"),
        PYTHON_KEYRING_BACKEND="test_backend.Filed",
    )  # fmt: skip


def test_where_a_keyring_keeps_it_the_secret_is_there_and_in_no_file(keyring: Home) -> None:
    done = keyring.run(*keyring.words())
    assert "the secret is in your keyring" in done.stdout, done.stdout + done.stderr
    assert config.load(keyring.file).mail[0].secret == Secret()
    found = keyring.run("check")
    assert "home: in order" in found.stdout, "the secret is found there again"
    assert found.returncode == 78, "there are no keys yet, and no state"
    assert keyring.holding("käräktêrs") == ["pw"], "the keyring of this test escapes it"


@pytest.mark.parametrize("backend", ["test_backend.Forgetful", "keyring.backends.null.Keyring", "test_backend.Strange"])
def test_a_keyring_that_keeps_nothing_is_found_out(keyring: Home, backend: str) -> None:
    keyring.environ["PYTHON_KEYRING_BACKEND"] = backend
    done = keyring.run(*keyring.words())
    if backend == "test_backend.Forgetful":
        assert done.returncode == 77
        assert "has another secret" in done.stderr
    else:
        assert config.load(keyring.file).mail[0].secret.file == keyring.file.parent / "home.password"


@pytest.mark.parametrize("where", ["keyring", "file"])
def test_a_secret_that_is_there_is_not_replaced(keyring: Home, where: str) -> None:
    if where == "keyring":
        (keyring.folder / "keyring.json").write_text('{"nocontactd home": "somebody else\'s"}')
    else:
        keyring.environ["PYTHON_KEYRING_BACKEND"] = "keyring.backends.fail.Keyring"
        keyring.file.parent.mkdir(parents=True)
        (keyring.file.parent / "home.password").write_text("somebody else's\n")
    done = keyring.run(*keyring.words(*KEYS))
    assert done.returncode == 77
    assert "left as it is" in done.stderr
    assert not keyring.file.exists()
    assert keyring.holding("somebody else's") == ["keyring.json" if where == "keyring" else "home.password"]


def test_a_number_at_twilio_is_tried_and_set_up_too(home: Home) -> None:
    with TwilioStandin() as twilio:
        (home.folder / "token").write_text(twilio.token)
        (home.folder / "token").chmod(0o600)
        words = ["--twilio-account", twilio.account, "--twilio-number", "+14155550100", "--twilio-token-file", "token"]
        done = home.run(*home.words(*words, "--relay-to", "+14155550199", "--api-base", twilio.url))
        (home.folder / "token").write_text("canary-wrong")
        (home.folder / "other").mkdir()
        refused = home.run("--config", "other/c.yaml", *home.words(*words, "--api-base", twilio.url))
    assert refused.returncode == 77
    assert "canary-wrong" not in refused.stdout + refused.stderr
    [number] = config.load(home.file).phone
    assert (number.number, number.relay_to) == ("+14155550100", "+14155550199"), done.stderr
    assert number.secret.file == home.file.parent / "number.password"


def test_a_command_for_the_password_is_tried_and_no_secret_is_kept(home: Home) -> None:
    words = home.words()
    at = words.index("--password-file")
    home.run(*words[:at], "--password-command", "cat pw", *words[at + 2 :])
    assert config.load(home.file).mail[0].secret == Secret(command="cat pw")
    assert home.holding(home.server.password) == ["pw"]


def test_an_address_at_microsoft_is_enough_for_host_and_tenant(home: Home) -> None:
    client = "11111111-2222-3333-4444-555555555555"
    words = ["--address", "me@outlook.com", "--microsoft-client-id", client, "--block", "ex@abuser.example"]
    home.run("setup", *words)
    [mail] = config.load(home.file).mail
    assert (mail.host, mail.secret.microsoft) == ("outlook.office365.com", Microsoft(client, "consumers"))


# --- the file that is written ---

MAIL = MailSource("home", "imap.example.org", "me@example.org", 993, "tls", None, (), 60.0, None, None, Secret())
PHONE = PhoneSource("number", "AC0", "+14155550100", 60.0, None, None, None, None, Secret(file=Path("/s")))
WHOLE = Config(
    (Person("A.", (Rule(Kind.ADDRESS, "ex@abuser.example"),)),), (MAIL,), (), Path("/a"), None, 604800.0,
    Disposition.PASS, None, 1000,
)  # fmt: skip


@pytest.mark.parametrize(
    "said",
    [
        WHOLE,
        replace(WHOLE, region="GB", state=Path("/var/lib/x"), loosening_delay=90.5, archive=Path('/a "b" #: {c}\\')),
        replace(WHOLE, phone=(PHONE, replace(PHONE, name="two", number="+14155550101", relay_to="+14155550199"))),
        replace(WHOLE, mail=(replace(MAIL, secret=Secret(token_command='a "b"\nc')),), loosening_delay=60.0),
        replace(WHOLE, mail=(replace(MAIL, ca_file=Path("/ca"), authserv_id="mx.example.org", user="- *&!"),)),
        replace(
            WHOLE, mail=(replace(MAIL, secret=Secret(microsoft=Microsoft("1" * 8 + "-2222" * 3 + "-" + "3" * 12))),)
        ),
        replace(
            WHOLE,
            people=(
                Person("", (Rule(Kind.DOMAIN, "@abuser.example"), Rule(Kind.NUMBER, "12345"))),
                Person('Größe: "x" # y', (Rule(Kind.NAME, "Álex 'x' \u202e 😀"), Rule(Kind.NAME, "no"))),
            ),
        ),
    ],
)
def test_what_is_written_is_read_as_it_was_meant(said: Config) -> None:
    text = written(said)
    assert config.parse(text.encode(), "c.yaml") == said
    cut = text[: text.index("\narchive:")]
    with pytest.raises(NocontactError):
        config.parse(cut.encode(), "c.yaml")


def test_a_file_that_is_there_is_never_replaced(tmp_path: Path) -> None:
    place = Place(tmp_path / "c.yaml", tmp_path / "archive")
    put(place, place.config, "one", secret=False)
    with pytest.raises(NocontactError, match="is there already"):
        put(place, place.config, "two", secret=False)
    assert place.config.read_text() == "one"
    assert list(tmp_path.iterdir()) == [place.config]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_the_daemons_user_has_the_secrets_and_can_read_but_not_change_the_rules(tmp_path: Path) -> None:
    place = Place(tmp_path / "etc/config.yaml", tmp_path / "var/archive", tmp_path / "var", "nobody")
    prepare(place)
    put(place, place.config, "rules", secret=False)
    put(place, place.config.parent / "home.password", "secret", secret=True)
    nobody = pwd.getpwnam("nobody")
    said = {
        path.name: (path.stat().st_uid, path.stat().st_gid, path.stat().st_mode & 0o777)
        for path in (tmp_path / "var", tmp_path / "etc", place.config, place.config.parent / "home.password")
    }
    assert said == {
        "var": (nobody.pw_uid, nobody.pw_gid, 0o700),
        "etc": (0, nobody.pw_gid, 0o750),
        "config.yaml": (0, nobody.pw_gid, 0o640),
        "home.password": (nobody.pw_uid, nobody.pw_gid, 0o600),
    }


# --- the service ---


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Programs of these names that only note how they were called."""
    (tmp_path / "bin").mkdir()
    for name in ("systemctl", "loginctl"):
        program = tmp_path / "bin" / name
        program.write_text(f'#!/bin/sh\necho "{name} $*" >> {tmp_path}/calls\n[ ! -e {tmp_path}/broken ]\n')
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    return tmp_path / "calls"


def test_ones_own_unit_runs_this_program_with_this_configuration(systemctl: Path, tmp_path: Path) -> None:
    place = own(tmp_path / 'a "b" 50%.yaml', {"HOME": str(tmp_path)})
    target = unit.install(place, place.archive, {"HOME": str(tmp_path)})
    assert target == tmp_path / ".config/systemd/user/nocontactd.service"
    config_file = str(tmp_path / 'a \\"b\\" 50%%.yaml')
    assert f'ExecStart="{unit.program()}" --config "{config_file}"' in target.read_text().splitlines()
    assert systemctl.read_text().splitlines() == [
        "systemctl --user daemon-reload",
        "systemctl --user enable --now nocontactd.service",
        "loginctl enable-linger",
    ]


def test_a_unit_that_is_there_stays(systemctl: Path, tmp_path: Path) -> None:
    target = tmp_path / "nocontactd.service"
    target.write_text("the owner's own")
    unit.install(own(None, {"HOME": str(tmp_path)}), tmp_path, {}, target)
    assert target.read_text() == "the owner's own"
    assert systemctl.exists()


def test_the_machines_unit_may_write_to_an_archive_elsewhere(
    systemctl: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unit, "program", lambda: Path("/opt/nocontactd/bin/nocontactd"))
    lines = {}
    for archive in (Path("/var/lib/nocontactd/archive"), Path("/srv/archive")):
        target = tmp_path / f"{archive.parent.name}.service"
        unit.install(system(None), archive, {}, target)
        lines[archive.parent.name] = target.read_text().splitlines()
    exec_start = 'ExecStart="/opt/nocontactd/bin/nocontactd" --config "/etc/nocontactd/config.yaml"'
    assert all(exec_start in each for each in lines.values())
    assert 'ReadWritePaths="/srv/archive"' in lines["srv"]
    assert not [line for line in lines["nocontactd"] if line.startswith("ReadWritePaths")]
    assert "User=nocontactd" in lines["srv"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root sets up a machine")
def test_root_sets_up_the_machine_and_every_step_is_the_daemons_users(
    systemctl: Path, home: Home, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Here the daemon's user is root, too: whoever else it is may have no way to this Python."""
    place = Place(home.folder / "etc/config.yaml", home.folder / "var/archive", home.folder / "var", "root")
    monkeypatch.setattr(unit, "BOOTED", home.folder)
    monkeypatch.setattr(unit, "UNITS", home.folder / "units")
    monkeypatch.setattr(unit, "program", lambda: Path("/opt/nocontactd/bin/nocontactd"))
    monkeypatch.setattr(places, "system", lambda _: place)
    monkeypatch.chdir(home.folder)
    code = main(home.words(*KEYS))
    printed = capfd.readouterr()
    assert code == 1, printed.err
    assert "the daemon is not running" in printed.err, "this systemctl starts nothing, and check finds out"
    assert "home: in order" in printed.out
    said = config.load(place.config)
    assert (said.state, said.archive) == (home.folder / "var", home.folder / "var/archive")
    assert said.mail[0].secret.file == place.config.parent / "home.password", "no keyring of root's is asked"
    assert systemctl.read_text().splitlines()[-1] == "systemctl enable --now nocontactd.service"
    assert (home.folder / "units/nocontactd.service").exists()


@pytest.mark.parametrize("program", ["/home/me/venv/bin/nocontactd", "/root/venv/bin/nocontactd"])
def test_a_program_that_the_unit_could_not_see_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    monkeypatch.setattr(unit, "program", lambda: Path(program))
    unit.look(own(None, {"HOME": str(tmp_path)}))
    with pytest.raises(NocontactError, match="ProtectHome"):
        unit.look(system(None))


def test_a_service_that_does_not_start_is_an_error_that_says_where_to_look(systemctl: Path, tmp_path: Path) -> None:
    (tmp_path / "broken").touch()
    with pytest.raises(NocontactError, match="daemon-reload") as failed:
        unit.install(own(None, {}), tmp_path, {"HOME": str(tmp_path)}, tmp_path / "nocontactd.service")
    assert "status" in failed.value.hint

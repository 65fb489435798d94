"""The keys without questions: replaced, released from elsewhere, rehearsed; and everything that is refused."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from nocontactd.archive.release import parse_accepted
from nocontactd.archive.verify import verify
from tests.archive_fixture import Made, seal
from tests.peers.terminal import LIGHT, ROOT
from tests.test_cli_archive import CONFIG
from tests.transcripts import run

SECRETS = {"owner": "o w n e r", "therapist": "t", "witness": "w", "new": "a new one", "wrong": "x"}
BOTH = "--owner-passphrase-file owner --therapist-passphrase-file therapist"
WITH_WITNESS = "--owner-passphrase-file owner --witness-passphrase-file witness"


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Home:
    """A configuration, secrets in files, and an archive for three with a message on each of two days."""

    folder: Path

    def __call__(self, line: str) -> Done:
        """Run one command line of `nocontact`."""
        environ = {"HOME": str(self.folder), "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "-c", LIGHT, "--config", "c.yaml", *line.split()],
            cwd=self.folder,
            env=environ,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            start_new_session=True,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Done(done.returncode, done.stdout, done.stderr)

    def here(self, line: str) -> Done:
        """The same in this process, for what locks nothing anew: that is quicker."""
        done = run(f"nocontact --config c.yaml {line}", self.folder)
        return Done(done.code, done.out, done.err)

    def put(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)
        (self.folder / name).chmod(0o600)

    @property
    def archive(self) -> Path:
        return self.folder / "archive"

    def leaves(self) -> str:
        return (self.archive / "log" / "leaves").read_text()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home(tmp_path_factory.mktemp("home"))
    for name, text in (SECRETS | {"pw": "p", "c.yaml": CONFIG}).items():
        home.put(name, text if name == "c.yaml" else f"{text}\n")
    init = home(f"keys init {BOTH} --witness-passphrase-file witness")
    assert (init.code, init.err) == (0, "")
    archive = Made(home.archive, home.folder / "state" / "log.key")
    now = datetime.now(UTC)
    for back in (1, 0):
        sealer = archive.archive(lambda back=back: now - timedelta(days=back))  # type: ignore[misc]
        seal(sealer, [b"day -%d" % back], back + 1)
        sealer.close()
    return home


@pytest.fixture
def home(made: Home, tmp_path: Path) -> Home:
    return Home(Path(shutil.copytree(made.folder, tmp_path / "home")))


TODAY, YESTERDAY = (f"{datetime.now(UTC) - timedelta(days=back):%Y-%m-%d}" for back in (0, 1))


def opens(home: Home, options: str) -> bool:
    done = home.here(f"review --text --json {options}")
    assert done.code in (0, 77)
    return done.code == 0 and len(done.out.splitlines()) == 2


def test_another_therapist_and_the_old_card_is_worth_nothing(home: Home) -> None:
    done = home("keys replace therapist --witness-passphrase-file witness --new-passphrase-file new")
    assert (done.code, done.err) == (0, "")
    assert "fingerprint of the new card: " in done.out
    assert opens(home, "--owner-passphrase-file owner --therapist-passphrase-file new")
    assert not opens(home, BOTH)
    assert verify(home.archive).ok
    assert home.here("check").out.count("ceremony: unattended") == 1


def test_another_passphrase_of_the_owner(home: Home) -> None:
    done = home("keys owner-passphrase --owner-passphrase-file owner --new-passphrase-file new")
    assert (done.code, done.err) == (0, "")
    assert opens(home, "--owner-passphrase-file new --therapist-passphrase-file therapist")
    assert not opens(home, BOTH)
    assert verify(home.archive).ok


def test_days_are_asked_for_released_elsewhere_accepted_and_read_by_the_owner(home: Home) -> None:
    """On the therapist's device there is neither an archive nor a configuration."""
    elsewhere = Home(home.folder.parent / "elsewhere")
    elsewhere.folder.mkdir()
    elsewhere.put("therapist", "t\n")
    asked = home.here(f"keys request {YESTERDAY} --out request.json")
    assert (asked.code, asked.err) == (0, "")
    shutil.copy(home.folder / "request.json", elsewhere.folder)
    given = elsewhere.here("keys release request.json --therapist-passphrase-file therapist")
    assert (given.code, given.err) == (0, "")
    assert f"asked for: {YESTERDAY}\n" in given.out
    answer = elsewhere.folder / f"release-{YESTERDAY}.json"
    assert answer.stat().st_mode & 0o777 == 0o600
    shutil.copy(answer, home.folder / "answer.json")
    assert home.here("keys accept answer.json --owner-passphrase-file wrong").code == 77
    taken = home.here("keys accept answer.json --owner-passphrase-file owner")
    assert (taken.code, taken.err) == (0, "")
    assert f"{YESTERDAY}: open until" in taken.out
    read = home.here("review --text --json --released --owner-passphrase-file owner")
    assert read.code == 0
    assert [json.loads(line)["record"][:10] for line in read.out.splitlines()] == [YESTERDAY]
    assert home.here(f"review --text --json --released --owner-passphrase-file owner --days {TODAY}").out == ""
    assert home.here("review --text --json --released --owner-passphrase-file therapist").code == 77
    again = home.here("keys accept answer.json --owner-passphrase-file owner")
    assert (again.code, "not the answer to the last request" in again.err) == (1, True)
    _expire(home)
    late = home.here("review --text --json --released --owner-passphrase-file owner")
    assert (late.code, late.out) == (77, "")
    assert "time of the released days is over; nothing was opened" in late.err
    assert "nocontact: hint: ask for them anew" in late.err
    gone = home.here("review --text --json --released --owner-passphrase-file owner")
    assert "no released days are kept here" in gone.err


def _expire(home: Home) -> None:
    kept = home.folder / "state" / "released.json"
    until = parse_accepted(kept.read_text()).until
    moment = until.isoformat()
    kept.write_text(kept.read_text().replace(moment, (until - timedelta(hours=25)).isoformat()))


def test_a_witness_may_be_asked_and_a_holder_may_keep_their_own_key(home: Home) -> None:
    shutil.move(home.archive / "holders" / "witness.age", home.folder / "mine.age")
    (home.archive / "keys" / "copy" / "witness.age").unlink()
    assert home.here("keys request all --of witness --out request.json").code == 0
    line = "keys release request.json --witness-passphrase-file witness"
    without = home.here(line)
    assert (without.code, "name your own copy of it: --key FILE" in without.err) == (77, True)
    assert home.here(f"{line} --key mine.age --out answer.json").code == 0
    assert home.here("keys accept answer.json --owner-passphrase-file owner").code == 0
    assert len(home.here("review --text --json --released --owner-passphrase-file owner").out.splitlines()) == 2


def test_a_rehearsal_from_files_shows_all_and_counts_for_nothing(home: Home) -> None:
    done = home.here(f"keys rehearse {BOTH} --witness-passphrase-file witness")
    assert done.code == 0
    assert [line.removeprefix("rehearsal: ") for line in done.err.splitlines()] == [
        "a test record was sealed, as a message is",
        "opened by the owner and the therapist",
        "opened by the owner and the witness",
        "refused to the owner alone, as it must be",
        "refused to the therapist and the witness, as it must be",
    ]
    assert "ceremony:attended" not in home.leaves()
    assert "ceremony: unattended" in home.here("check").out
    assert verify(home.archive).ok


REFUSED = {
    "wrong passphrase": "review --text --owner-passphrase-file wrong --therapist-passphrase-file therapist",
    "wrong card": "review --text --owner-passphrase-file owner --therapist-passphrase-file wrong",
    "mixed up": "review --text --owner-passphrase-file therapist --therapist-passphrase-file owner",
    "owner alone": "review --text --owner-passphrase-file owner",
    "owner twice": "review --text --owner-passphrase-file owner --therapist-passphrase-file owner",
    "therapist and witness": "review --text --therapist-passphrase-file therapist --witness-passphrase-file witness",
    "rehearsal, wrong": "keys rehearse --owner-passphrase-file owner --therapist-passphrase-file wrong",
    "rehearsal, mixed up": "keys rehearse --owner-passphrase-file witness --witness-passphrase-file owner",
    "rehearsal, alone": "keys rehearse --owner-passphrase-file owner",
    "replaced by a wrong card": "keys replace witness --therapist-passphrase-file wrong --new-passphrase-file new",
    "replaced by the owner": "keys replace witness --therapist-passphrase-file owner --new-passphrase-file new",
    "owner's for a new one": "keys replace witness --therapist-passphrase-file therapist --new-passphrase-file owner",
    "a therapist's for owner": "keys owner-passphrase --owner-passphrase-file owner --new-passphrase-file therapist",
    "the owner's is wrong": "keys owner-passphrase --owner-passphrase-file wrong --new-passphrase-file new",
    "no recovery card was made": "keys owner-passphrase --recovery-card-file wrong --new-passphrase-file new",
    "nothing was released": "review --text --released --owner-passphrase-file owner",
}


@pytest.mark.parametrize("line", REFUSED.values(), ids=REFUSED.keys())
def test_who_has_not_what_it_takes_is_refused_with_a_hint_and_nothing_changes(made: Home, line: str) -> None:
    before = {path: path.read_bytes() for path in made.archive.rglob("*") if path.is_file()}
    done = made.here(line)
    assert done.code == 77
    assert done.out == ""
    errors = [text for text in done.err.splitlines() if text.startswith("nocontact: error: ")]
    assert len(errors) == 1
    assert "nothing was" in errors[0]
    assert "nocontact: hint: " in done.err
    assert not any(secret in done.err for secret in ("o w n e r", "a new one"))
    assert {path: path.read_bytes() for path in made.archive.rglob("*") if path.is_file()} == before


def test_a_request_that_was_cut_short_or_is_for_another_holder_is_refused(home: Home) -> None:
    assert home.here(f"keys request {TODAY} --out r.json").code == 0
    whole = (home.folder / "r.json").read_text()
    home.put("short.json", whole[: len(whole) // 2])
    cut = home.here("keys release short.json --therapist-passphrase-file therapist")
    assert (cut.code, "nothing was released" in cut.err) == (65, True)
    for options, code in (("--witness-passphrase-file witness", 2), ("--therapist-passphrase-file witness", 77)):
        other = home.here(f"keys release r.json {options}")
        assert (other.code, "nothing was released" in other.err) == (code, True)
    assert home.here("keys release missing.json --therapist-passphrase-file therapist").code == 1
    assert home.here(f"keys request {TODAY} --out r.json").code == 1, "a file that is there is never written over"
    assert home.here("keys request 2020-01-01 --out n.json").code == 1
    assert home.here("keys accept short.json --owner-passphrase-file owner").code == 65


@pytest.mark.parametrize(
    "line",
    [
        *("keys", "keys destroy", "keys replace", "keys replace owner", "keys request", "keys request yesterday"),
        *("keys init --days-ahead 0", "keys init --days-ahead x", "keys init --days-ahead 99999"),
        "keys replace witness --new-passphrase-file new",
        "keys replace witness --therapist-passphrase-file therapist",
        "keys owner-passphrase --owner-passphrase-file owner",
        "keys owner-passphrase --owner-passphrase-file owner --recovery-card-file wrong --new-passphrase-file new",
    ],
)
def test_a_command_line_that_cannot_be_carried_out_is_a_usage_error(made: Home, line: str) -> None:
    done = made.here(line)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("nocontact: error: ")


def test_keys_that_are_there_are_never_made_anew(made: Home) -> None:
    done = made(f"keys init {BOTH}")
    assert (done.code, "there are keys here already; nothing was changed" in done.err) == (73, True)


def test_in_paranoid_mode_the_daemon_makes_no_key_and_that_they_end_is_said_before(home: Home) -> None:
    shutil.rmtree(home.archive)
    shutil.rmtree(home.folder / "state")
    done = home(f"keys init {BOTH} --days-ahead 61")
    assert (done.code, done.err) == (0, "")
    law = json.loads((home.archive / "archive.json").read_text())
    assert (law["days_ahead"], law["policy"]) == (61, "owner AND therapist; day keys made 61 days ahead")
    assert len(list((home.archive / "keys").glob("*.pub"))) == 61
    assert "made ahead" not in home.here("check").out
    assert verify(home.archive).ok

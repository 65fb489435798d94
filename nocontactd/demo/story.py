"""The whole story on a mailbox and a number of its own: the real daemon, the real commands, nothing left behind."""

import imaplib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from email import message_from_bytes
from email.policy import default
from pathlib import Path

from nocontactd.archive.unseal import unlock
from nocontactd.demo.letters import LISTED_DOMAIN, LISTED_MAIL, LISTED_PHONE, NUMBER, TEXTS, UNWANTED, mailbox
from nocontactd.demo.mail_server import PASSWORD, USER, mail_server
from nocontactd.demo.twilio_standin import TwilioStandin

OWNER = "a long sentence that only I know"
THERAPIST = "seven words printed on a card elsewhere"
ACCOUNT = "AC" + "0" * 32
RELAY_TO = "+14155550199"
FRIEND = "+14155550142"
PROGRAM = [sys.executable, "-c", "import sys; from nocontactd.cli import main; sys.exit(main())"]
PATIENCE = 30.0
"""Seconds until the demonstration gives a step up."""


def main() -> int:
    """Tell the story on standard output; 0 when everything went as it must, else 1 and what did not."""
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="nocontact-demo-"))
    try:
        with mail_server() as port, TwilioStandin(account=ACCOUNT, token=PASSWORD) as twilio:
            _tell(Stage(folder, port, twilio))
    except UnexpectedError as problem:
        print(f"\nThat is not how it should have gone: {problem}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    _say(f"\nThat was all, in {time.monotonic() - began:.0f} seconds. Nothing is left behind.")
    return 0


class UnexpectedError(Exception):
    """The demonstration did not go as promised."""


class Stage:
    """A folder, a mailbox, a number, and the real commands run on them."""

    def __init__(self, folder: Path, imap_port: int, twilio: TwilioStandin) -> None:
        self.folder = folder
        self.archive = folder / "archive"
        self.imap_port = imap_port
        self.twilio = twilio
        self.environ = {
            **os.environ,
            "NOCONTACT_CONFIG": str(folder / "config.yaml"),
            "CREDENTIALS_DIRECTORY": str(folder / "secrets"),
            "XDG_STATE_HOME": str(folder / "xdg"),
        }
        self.environ.pop("STATE_DIRECTORY", None)
        self._write()

    def _write(self) -> None:
        secrets = self.folder / "secrets"
        secrets.mkdir(mode=0o700)
        for source in ("home", "number"):
            (secrets / source).write_text(PASSWORD)
        (self.folder / "owner").write_text(OWNER)
        (self.folder / "therapist").write_text(THERAPIST)
        (self.folder / "config.yaml").write_text(CONFIG.format(stage=self, base=self.twilio.url))
        for file in (*secrets.iterdir(), *self.folder.glob("*")):
            if file.is_file():
                file.chmod(0o600)

    def nocontact(self, *words: str, expect: int = 0) -> str:
        """Run the owner's tool as it is installed; what it printed."""
        done = subprocess.run(
            [*PROGRAM, *words], env=self.environ, cwd=self.folder, capture_output=True, text=True, timeout=PATIENCE
        )
        if done.returncode != expect:
            raise UnexpectedError(
                f"nocontact {words[0]} ended with {done.returncode}, not {expect}:\n{done.stdout}{done.stderr}"
            )
        return done.stdout + done.stderr

    def daemon(self) -> "subprocess.Popen[bytes]":
        """Start the daemon as systemd would, its log kept apart."""
        log = (self.folder / "journal").open("wb")
        return subprocess.Popen([sys.executable, "-m", "nocontactd"], env=self.environ, stdout=log, stderr=log)

    def inbox(self) -> list[tuple[str, str]]:
        """Sender and subject of each message in the inbox, as a mail client lists them; nothing is marked."""
        with imaplib.IMAP4("127.0.0.1", self.imap_port) as client:
            client.login(USER, PASSWORD)
            client.select("INBOX", readonly=True)
            _, data = client.fetch("1:*", "(BODY.PEEK[HEADER])")
        headers = [message_from_bytes(item[1], policy=default) for item in data if isinstance(item, tuple)]
        return [(str(header["From"]), str(header["Subject"])) for header in headers]

    def healthy(self) -> bool:
        """Whether every source has been looked at, and well."""
        return (
            subprocess.run([*PROGRAM, "status"], env=self.environ, capture_output=True, timeout=PATIENCE).returncode
            == 0
        )

    def texts(self, *, passed_on: bool = False) -> list[tuple[str, str]]:
        """Sender and body of the texts that stand at the number, or of those that were passed on; oldest first."""
        return [
            (text["from"], text["body"])
            for text in reversed(self.twilio.messages())
            if (text["direction"] != "inbound") is passed_on
        ]

    def until(self, daemon: "subprocess.Popen[bytes]", done: Callable[[], bool]) -> None:
        """Wait until something is so, while the daemon runs."""
        deadline = time.monotonic() + PATIENCE
        while not done():
            if daemon.poll() is not None or time.monotonic() > deadline:
                raise UnexpectedError((self.folder / "journal").read_text())
            time.sleep(0.1)

    def day_key(self, day: str) -> str:
        """What the two open together: the age identity of one day."""
        opener = unlock(self.archive, owner=OWNER, therapist=THERAPIST, witness=None)
        return "\n".join(opener.day_keys(day)) + "\n"

    def fill(self) -> None:
        """Thirty letters and five texts arrive."""
        with imaplib.IMAP4("127.0.0.1", self.imap_port) as client:
            client.login(USER, PASSWORD)
            for number, letter in enumerate(mailbox()):
                client.append("INBOX", "", "", letter.octets(number))
        for sender, body, media in TEXTS:
            self.twilio.arrives(from_=sender, to=NUMBER, body=body, media=media)


CONFIG = f"""\
blocked:
  - person: A.
    mail: [{LISTED_MAIL}, "{LISTED_DOMAIN}"]
    phone: ["{LISTED_PHONE}"]
mail:
  - source: home
    host: 127.0.0.1
    port: {{stage.imap_port}}
    security: none          # plain text is allowed to this very machine only
    user: {USER}
    every: 1s
phone:
  - source: number
    account: {ACCOUNT}
    number: "{NUMBER}"
    relay_to: "{RELAY_TO}"
    api_base: {{base}}
    every: 1s
archive: {{{{path: {{stage.archive}}}}}}
state: {{{{path: {{stage.folder}}/state}}}}
"""


def _tell(stage: Stage) -> None:
    _title("1", "A mailbox, and somebody who does not stop")
    stage.fill()
    before = stage.inbox()
    _table(before)
    _texts(stage)
    _say(f"\nListed: {LISTED_MAIL}, everybody {LISTED_DOMAIN}, {LISTED_PHONE}. Some of these are theirs, in disguise.")

    _title("2", "Two people make the keys")
    _command(stage, "keys", "init", "--owner-passphrase-file", "owner", "--therapist-passphrase-file", "therapist")

    _title("3", "The daemon looks")
    _while_it_runs(stage, before)

    _archive(stage)
    _opening(stage)
    _stock_programs(stage)
    _damage(stage)


def _while_it_runs(stage: Stage, before: list[tuple[str, str]]) -> None:
    """Run the daemon as systemd does: until the listed messages are gone, then with a new text, then end it."""
    daemon = stage.daemon()
    try:
        stage.until(daemon, lambda: len(stage.inbox()) <= len(before) - len(UNWANTED) and len(stage.texts()) <= 2)
        _after(stage, before)
        stage.until(daemon, stage.healthy)
        _command(stage, "status")
        stage.twilio.arrives(from_=FRIEND, to=NUMBER, body="Are you there? Nadia")
        stage.twilio.arrives(from_=LISTED_PHONE.replace(" ", ""), to=NUMBER, body="I know you are")
        stage.until(daemon, lambda: bool(stage.texts(passed_on=True)) and len(stage.texts()) <= 3)
        _say(f"\n  Two more texts came meanwhile. The friend's was passed on to {RELAY_TO}:")
        _say("\n".join(f"    {body}" for _, body in stage.texts(passed_on=True)))
    finally:
        daemon.terminate()
        daemon.wait(10)


def _after(stage: Stage, before: list[tuple[str, str]]) -> None:
    after = stage.inbox()
    gone = [line for line in before if line not in after]
    if len(after) != len(before) - len(UNWANTED) or len(gone) != len(UNWANTED):
        raise UnexpectedError("the mailbox is not what it should be")
    _table(before, gone)
    _texts(stage)
    _say("\nThe solicitor who quotes them and the school that copied them in are still here, unread as they were.")


def _archive(stage: Stage) -> None:
    _title("4", "What is on the disk")
    files = sorted(path for path in stage.archive.rglob("*") if path.is_file())
    records = [path for path in files if path.suffix == ".age" and "mail" in path.parts]
    for path in files:
        if path not in records[4:]:
            _say(f"  archive/{path.relative_to(stage.archive)!s:<34} {_dim(f'{path.stat().st_size} bytes')}")
    _say("  …\n\nNot even the daemon can read these again: it has the public half of each day's key, and no more.")


def _opening(stage: Stage) -> None:
    _title("5", "It opens for two, and only for two")
    days = ("review", "--text", "--days", "all")
    owner, therapist = ("--owner-passphrase-file", "owner"), ("--therapist-passphrase-file", "therapist")
    _command(stage, *days, *owner, expect=77)
    _command(stage, *days, *therapist, expect=77)
    _command(stage, *days, *owner, *therapist, "--originals", "originals", lines=16)


def _stock_programs(stage: Stage) -> None:
    _title("6", "No program of ours is needed to read it")
    if not (shutil.which("age") and shutil.which("tar")):
        _say("  (age or tar is not installed here; archive/README.txt says how it is done)")
        return
    record = min((stage.archive / "mail").rglob("*.age"))
    (stage.folder / "day.key").write_text(stage.day_key(record.parent.name))
    _say(_bold(f"$ age -d -i day.key -o record.tar {record.relative_to(stage.folder)} && tar -tvf record.tar"))
    subprocess.run(["age", "-d", "-i", "day.key", "-o", "record.tar", str(record)], cwd=stage.folder, check=True)
    listing = subprocess.run(["tar", "-tvf", "record.tar"], cwd=stage.folder, check=True, capture_output=True)
    _say(_indented(listing.stdout.decode()))


def _damage(stage: Stage) -> None:
    _title("7", "Nobody alters it unnoticed")
    _command(stage, "verify")
    record = min((stage.archive / "mail").rglob("*.age"))
    octets = bytearray(record.read_bytes())
    octets[len(octets) // 2] ^= 1
    record.write_bytes(octets)
    _say(_dim("  (one bit of one record is flipped)"))
    _command(stage, "verify", expect=65)


def _command(stage: Stage, *words: str, expect: int = 0, lines: int = 40) -> None:
    _say(_bold(f"$ nocontact {' '.join(words)}"))
    printed = stage.nocontact(*words, expect=expect).strip("\n").splitlines()
    if len(printed) > lines:
        printed = [*printed[:lines], "…"]
    if printed:
        _say(_indented("\n".join(printed)))
    _say(_dim(f"  exit {expect}"))


def _texts(stage: Stage) -> None:
    _say("\n  texts at the number:")
    for sender, body in stage.texts():
        _say(f"    {sender:<24} {body}")


def _table(lines: list[tuple[str, str]], gone: list[tuple[str, str]] | None = None) -> None:
    for sender, subject in lines:
        if gone and (sender, subject) in gone:
            _say(_dim(f"  {'·' * 20}"))
        else:
            _say(f"  {_cut(sender, 44):<44}  {_cut(subject, 30)}")


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _title(number: str, text: str) -> None:
    _say(f"\n{_bold(f'{number}  {text}')}\n")


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


def _bold(text: str) -> str:
    return f"\033[1m{text}\033[0m" if sys.stdout.isatty() else text


def _dim(text: str) -> str:
    return f"\033[2m{text}\033[0m" if sys.stdout.isatty() else text


def _say(text: str) -> None:
    print(text, flush=True)

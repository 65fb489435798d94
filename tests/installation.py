"""A whole installation in one folder: configuration, secrets, state, archive, a mailbox and a number of its own.

Commands run as their users run them, in processes of their own, against a real Dovecot and the
Twilio stand-in. What is sealed is read with holders' identities that were unlocked once, since
unlocking costs seconds by design.
"""

import imaplib
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, cached_property
from pathlib import Path

from nocontactd.archive import keys, seal, unlock, unseal
from nocontactd.demo.twilio_standin import TwilioStandin
from nocontactd.errors import DamagedError
from tests.peers.dovecot import Dovecot

OWNER, THERAPIST, WITNESS = "owner's own sentence", "seven words of the therapist", "seven words of the witness"
NUMBER, RELAY_TO, EX_PHONE, FRIEND_PHONE = "+14155550100", "+14155550199", "+447700900123", "+14155550142"
NOCONTACT = [sys.executable, "-c", "import sys; from nocontactd.cli import main; sys.exit(main())"]

CONFIG = """\
blocked:
  - person: Canary-label
    mail: [ex@abuser.example]
    phone: ["{ex_phone}"]
    names: ["Alex Canaryname"]
mail:
  - source: home
    host: {host}
    port: {port}
    security: none
    user: {user}
    password_file: {folder}/secret
    every: 1s
{phone}archive: {{path: {folder}/archive}}
state: {{path: {folder}/state}}
"""

PHONE = """\
phone:
  - source: number
    account: {account}
    number: "{number}"
    relay_to: "{relay_to}"
    api_base: {base}
    password_file: {folder}/token
    every: 1s
"""


def letter(sender: str, number: int, body: str = "Hello.") -> bytes:
    """A message as it would be delivered."""
    return (
        f"From: {sender}\r\nTo: me@home.example\r\nSubject: number {number}\r\n"
        f"Message-ID: <{number}@x.example>\r\n\r\n{body} {number}\r\n"
    ).encode()


@dataclass(frozen=True)
class Sealed:
    """One message out of the archive."""

    octets: bytes
    logged: bool
    record: str


class Installation:
    """Everything there is of one owner."""

    def __init__(self, folder: Path, server: Dovecot, twilio: TwilioStandin | None = None, user: str = "") -> None:
        self.folder = folder
        self.server = server
        self.twilio = twilio
        self.user = user or re.sub(r"\W", "", str(folder))[-60:]
        folder.mkdir(parents=True, exist_ok=True)
        self.archive, self.state, self.config = folder / "archive", folder / "state", folder / "config.yaml"
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "XDG_STATE_HOME": str(folder / "xdg"),
            "NOCONTACT_CONFIG": str(self.config),
            "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
        }
        self._write()

    def _write(self) -> None:
        phone = ""
        if self.twilio:
            facts = {"number": NUMBER, "relay_to": RELAY_TO, "base": self.twilio.url, "folder": self.folder}
            phone = PHONE.format(account=self.twilio.account, **facts)
            self.put("token", self.twilio.token)
        self.put("secret", self.server.password)
        self.put(
            "config.yaml",
            CONFIG.format(
                ex_phone=EX_PHONE,
                host=self.server.host,
                port=self.server.port,
                user=self.user,
                folder=self.folder,
                phone=phone,
            ),
        )

    def put(self, name: str, text: str) -> Path:
        """A file that only its owner reads."""
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o600)
        return path

    def with_keys(self) -> "Installation":
        """Take the archive that was made once, keys and all."""
        template, log_key = _template()
        shutil.copytree(template, self.archive)
        self.state.mkdir(mode=0o700, exist_ok=True)
        shutil.copy(log_key, self.state / "log.key")
        return self

    def nocontact(self, *words: str, under: Sequence[str] = ()) -> "subprocess.CompletedProcess[str]":
        """Run the owner's tool, `under` another program if given."""
        command = [*under, *NOCONTACT, *words]
        return subprocess.run(
            command, env=self.environ, cwd=self.folder, capture_output=True, text=True, timeout=120, check=False
        )

    def daemon(self, log: Path, **environ: str) -> "subprocess.Popen[bytes]":
        """Start the daemon; its log goes to a file."""
        with log.open("ab") as journal:
            return subprocess.Popen(
                [sys.executable, "-m", "nocontactd"], env=self.environ | environ, stdout=journal, stderr=journal
            )

    @cached_property
    def client(self) -> imaplib.IMAP4:
        """A client of somebody else's, logged in for as long as the test lasts: a login costs 50 ms."""
        client = imaplib.IMAP4(self.server.host, self.server.port)
        client.authenticate("PLAIN", lambda _: f"\0{self.user}\0{self.server.password}".encode())
        return client

    def deliver(self, *octets: bytes, folder: str = "INBOX", flags: str = "") -> None:
        """Messages come in."""
        for each in octets:
            status, said = self.client.append(folder, flags, "", each)
            assert status == "OK", said

    def mailbox(self) -> dict[tuple[str, int], tuple[bytes, bytes]]:
        """The whole mailbox: by folder and UID the flags (but \\Recent) and the octets. Marks nothing."""
        found = {}
        for name in ("INBOX", "Junk", "Trash", "Sent"):
            self.client.select(name, readonly=True)
            _, data = self.client.uid("FETCH", "1:*", "(UID FLAGS BODY.PEEK[])")
            for head, octets in (item for item in data if isinstance(item, tuple)):
                uid = re.search(rb"UID (\d+)", head)
                flags = re.search(rb"FLAGS \(([^)]*)\)", head)
                assert uid and flags
                kept = b" ".join(sorted(flag for flag in flags[1].split() if flag != b"\\Recent"))
                found[name, int(uid[1])] = kept, octets
        self.client.unselect()
        return found

    def sealed(self) -> list[Sealed]:
        """Every message in the archive; a damaged record fails the test."""
        opener = unseal.Opener(self.archive, *_identities())
        messages = []
        for each in opener.messages(opener.days()):
            assert not isinstance(each, DamagedError), each
            if each.kind == "message":
                messages.append(Sealed(each.original, each.logged, each.record))
        return messages

    def acknowledged(self) -> Counter[bytes]:
        """The octets of each message that has a leaf, and how many records hold it."""
        return Counter(each.octets for each in self.sealed() if each.logged)


@cache
def _template() -> tuple[Path, Path]:
    """An archive for owner, therapist and witness, made once a run of the tests."""
    import atexit
    import tempfile

    folder = Path(tempfile.mkdtemp(prefix="nocontact-template-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    now = datetime.now(UTC)
    keys.make(folder / "archive", folder / "log.key", OWNER, THERAPIST, WITNESS, unattended=True, now=lambda: now)
    archive = seal.Archive(folder / "archive", folder / "log.key", lambda: now)
    archive.enter("coverage", ())  # so that there is a key for this day
    archive.close()
    return folder / "archive", folder / "log.key"


@cache
def _identities() -> tuple[str, str]:
    return unlock.pair(_template()[0], owner=OWNER, therapist=THERAPIST, witness=None)

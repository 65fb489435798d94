"""Makes the published archives anew: `python -m tests.vectors.build`. Only when the format itself changes.

new/     an archive just after its ceremony
filled/  the same archive with one record of each kind that a daemon writes
writer.age    an age file of known entropy
"""

import json
import shutil
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pyrage

from nocontactd.archive import keys
from nocontactd.archive.durable import Disk
from nocontactd.archive.encrypt import CHUNK, encrypt
from nocontactd.archive.seal import Archive
from nocontactd.archive.unseal import Opened, Opener
from nocontactd.model import Author, Channel, Disposition, Envelope, MessageRef, Original, Part, Verdict
from tests.archive_fixture import OWNER, THERAPIST, VECTORS, WITNESS, light
from tests.fuse import Died
from tests.test_archive_stream import counted

PHRASES = {"owner": OWNER, "therapist": THERAPIST, "witness": WITNESS}
FIRST = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
SECOND = datetime(2026, 11, 21, 18, 45, tzinfo=UTC)
MAIL = (
    b"From: Alex Example <ex@abuser.example>\r\nTo: me@example.org\r\nSubject: =?utf-8?q?caf=C3=A9?=\r\n"
    b"Date: Fri, 20 Nov 2026 09:29:00 +0000\r\nMessage-ID: <1@abuser.example>\r\n\r\nPlease answer.\r\n"
)
TEXT = b'{"sid": "MM00000000000000000000000000000001", "from": "+447700900123", "body": "a picture"}\n'
PICTURE = bytes(range(256)) * 200


def main() -> None:
    for old in ("new", "filled", "state"):
        shutil.rmtree(VECTORS / old, ignore_errors=True)
    state = VECTORS / "state"
    state.mkdir()
    log_key = state / "log.key"
    keys.make(VECTORS / "new", log_key, OWNER, THERAPIST, WITNESS, unattended=True, now=lambda: FIRST, lock=light)
    for role, phrase in PHRASES.items():
        locked = (VECTORS / "new" / "holders" / f"{role}.age").read_bytes()
        (VECTORS / f"{role}.key").write_bytes(pyrage.passphrase.decrypt(locked, phrase))
    shutil.copytree(VECTORS / "new", VECTORS / "filled")
    fill(VECTORS / "filled", log_key)
    shutil.copy(log_key, VECTORS / "log.key")
    shutil.rmtree(state)
    describe(VECTORS / "filled")
    known()


def known() -> None:
    """An age file to the therapist, of entropy that everybody knows."""
    recipient = pyrage.x25519.Identity.from_str((VECTORS / "therapist.key").read_text().split()[-1]).to_public()
    with (VECTORS / "writer.age").open("wb") as file:
        encrypt([b"a" * CHUNK, b"\n"], file.write, str(recipient), counted())


def fill(path: Path, log_key: Path) -> None:
    moment = FIRST
    archive = Archive(path, log_key, lambda: moment)
    archive.lock()
    archive.recover()
    ex = Author("From", "ex@abuser.example", "Alex Example")
    mail = Envelope(MessageRef("home", "INBOX", 1700000000, "4711"), Channel.MAIL, (ex,), FIRST, len(MAIL))
    sid = "MM00000000000000000000000000000001"
    text = Envelope(MessageRef("number", "", 0, sid), Channel.MMS, (Author("from", "+447700900123"),), FIRST)
    listed = Verdict(Disposition.SEAL, "listed", "ex@abuser.example", "From")
    with archive.batch([mail.ref, text.ref]) as batch:
        parts = [Part("message.eml", len(MAIL), [MAIL])]
        batch.add(batch.records[0], Original(mail, iter(parts), (("greeting", "* OK ready"),)), listed)
        parts = [Part("message.json", len(TEXT), [TEXT]), Part("media-1.jpg", len(PICTURE), [PICTURE])]
        batch.add(batch.records[1], Original(text, iter(parts)), Verdict(Disposition.SEAL, "listed", "+44 7700 900123"))
        batch.commit()
    archive.note(mail, Verdict(Disposition.HOLD, "name", "Alex Example", "From name"))
    archive.enter("coverage", (("source", "home"), ("looks", "60"), ("failed", "0")))
    archive.close()
    moment = SECOND
    archive.enter("opening", (("by", "the owner and the therapist"),))
    archive.close()
    for folder in ("keys", "keys/copy"):
        (path / folder / "2026-11-21.pub").unlink()
    archive = Archive(path, log_key, lambda: moment)
    archive.enter("coverage", (("source", "home"), ("looks", "0"), ("failed", "60")))
    archive.close()
    archive = Archive(path, log_key, lambda: moment, DiesBeforeTheLeaf())
    with suppress(Died), archive.batch([mail.ref]) as batch:
        batch.add(batch.records[0], Original(mail, iter([Part("message.eml", len(MAIL), [MAIL])])), listed)
        batch.commit()
    archive = Archive(path, log_key, lambda: moment)
    archive.lock()
    archive.recover()
    archive.close()


class DiesBeforeTheLeaf(Disk):
    """A record without a leaf: renamed, and then the process died."""

    dead = False

    def write(self, fd: int, data: bytes, offset: int | None = None) -> None:
        self.dead = self.dead or Path(f"/proc/self/fd/{fd}").readlink().name == "leaves"
        if self.dead:
            raise Died
        super().write(fd, data, offset)

    def remove(self, path: Path) -> None:
        if self.dead:
            raise Died
        super().remove(path)


def describe(path: Path) -> None:
    """What whoever reads the filled archive must find."""
    keys_of = {role: (VECTORS / f"{role}.key").read_text().splitlines()[-1] for role in PHRASES}
    opener = Opener(path, keys_of["owner"], keys_of["witness"])
    found = {}
    for item in opener.messages(opener.days()):
        if isinstance(item, Opened):
            found[item.record] = {
                "kind": item.kind,
                "salt": item.meta.salt,
                "members": [{"name": m.name, "size": m.size, "sha256": m.sha256} for m in item.members],
                "logged": item.logged,
            }
        else:
            found[item.message[:17]] = {"error": item.message}
    (VECTORS / "expected.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()

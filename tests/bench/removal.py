"""Seal and remove 1,000 messages: all that a mailbox holds, and out of a large one; against a bare client.

PYTHONPATH=. python tests/bench/removal.py [LARGE]     out of 1,000 and out of 100,000, unless said otherwise

The bare client fetches them in one command, writes them into one file, flushes that and expunges once. "Sealing"
does no more than that but for what any archive of age files must do: each message becomes a file of its own, encrypted
by pyrage, flushed (eight at a time), read back and compared, and renamed; then the folder is flushed, and a log.
It judges nothing, names no source, and cannot tell what it was in the middle of when it died.

Counted is from the first command for what was found to the last confirmation. Rounds alternate; each
rate is the median of them, and the ratios are those of the medians. "Removals": one EXPUNGE each, of ours.

Messages are small (600 octets) or of an ordinary size (30 KB: text, HTML and a picture).
"""

import hashlib
import os
import random
import re
import statistics
import sys
import tempfile
import time
from base64 import encodebytes
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pyrage  # type: ignore[import-untyped]  # published without types

from nocontactd.decide import policy, rule
from nocontactd.ledger import SqliteLedger
from nocontactd.model import Disposition, Envelope, MessageRef, Receipt, Removal
from nocontactd.poll import poll
from nocontactd.sources.imap import Mailbox
from tests.archive_fixture import copy
from tests.bench.first_pass import Bare, letter, listed
from tests.peers.dovecot import Dovecot, dovecot

THEIRS = 1_000
ROUNDS = 3
LINKED = 1_000
"""Messages of others that are one file."""
RECIPIENT = pyrage.x25519.Identity.generate().to_public()
PLACE = tempfile.TemporaryDirectory(prefix="nocontact-", dir="/var/tmp")


def ordinary(pick: random.Random, number: int, sender: str) -> bytes:
    """As a mail client or a shop writes them."""
    words = [pick.randbytes(pick.randint(1, 5)).hex() for _ in range(300)]
    text = "\r\n".join(" ".join(pick.choices(words, k=10)) for _ in range(30))
    rows = (f'<tr><td style="padding:4px">{" ".join(pick.choices(words, k=12))}</td></tr>' for _ in range(160))
    table = "\r\n".join(rows)
    picture = encodebytes(pick.randbytes(6_000)).decode().replace("\n", "\r\n")
    header = letter(pick, 0, sender).decode().partition("Content-Type:")[0]
    return (
        f'{header}Content-Type: multipart/related; boundary="=-r{number}"\r\n\r\n'
        f'--=-r{number}\r\nContent-Type: multipart/alternative; boundary="=-a{number}"\r\n\r\n'
        f"--=-a{number}\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n"
        f"--=-a{number}\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<html><table>{table}</table></html>\r\n"
        f"--=-a{number}--\r\n--=-r{number}\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        f"{picture}--=-r{number}--\r\n"
    ).encode()


KINDS: dict[str, Callable[[random.Random, int, str], bytes]] = {"small": letter, "ordinary": ordinary}


def fill(server: Dovecot, user: str, messages: int, lists: Sequence[tuple[str, str]]) -> None:
    """Write a Maildir: THEIRS of each list, in some kind of message, scattered among somebody else's."""
    cur = server.folder / "home" / user / "Maildir" / "cur"
    for place in (cur, cur.with_name("new"), cur.with_name("tmp")):
        place.mkdir(parents=True)
    pick = random.Random(7)
    theirs = [(kind, f"p{n % 20}.{who}@abuser{n % 20}.example") for kind, who in lists for n in range(THEIRS)]
    places = dict(zip(pick.sample(range(messages), len(theirs)), theirs, strict=True))
    other = letter(pick, 2, "nadia@friends.example")
    for number in range(messages):
        kind, who = places.get(number, ("", ""))
        octets = KINDS[kind](pick, number, who) if kind else other
        path = cur / _name(pick, number, len(octets))
        first = cur.with_name("tmp") / f"{number // LINKED}"
        if not kind and first.exists():
            os.link(first, path)
            continue
        path.write_bytes(octets)
        if not kind:
            os.link(path, first)
    owner = server.folder.stat()
    for path in (cur.parent.parent, *cur.parent.parent.rglob("*")):
        os.chown(path, owner.st_uid, owner.st_gid)


def _name(pick: random.Random, number: int, size: int) -> str:
    """As Dovecot itself names what is delivered: by names that end alike its opening takes five times as long."""
    when, process = f"{1_700_000_000 + number}.M{pick.randrange(10**6)}", pick.randrange(300, 32_000)
    return f"{when}P{process}.mail.example,S={size},W={size}:2,S"


def bare(server: Dovecot, user: str, who: str, keep: Callable[[bytes, Path], None]) -> float:
    """Seconds from the fetching to the end; whom it is about was searched for before."""
    client = Bare(server, user)
    client.say(b"SELECT INBOX")
    said = client.say(b"UID SEARCH FROM .%b@" % who.encode())
    uids = said.split(b"\r\n")[0].split()[2:]
    assert len(uids) == THEIRS, len(uids)
    wanted = b",".join(uids)
    folder = _fresh()
    began = time.perf_counter()
    keep(client.say(b"UID FETCH " + wanted + b" (UID BODY.PEEK[])"), folder)
    client.say(b"UID STORE " + wanted + b" +FLAGS.SILENT (\\Deleted)")
    client.say(b"UID EXPUNGE " + wanted)
    return time.perf_counter() - began


def _fresh() -> Path:
    """A folder far from the Maildirs, for ext4 makes new files forty times as slowly where many were just deleted."""
    return Path(tempfile.mkdtemp(dir=PLACE.name))


def write(said: bytes, folder: Path) -> None:
    """Into one file, as it was said."""
    with (folder / "all").open("wb") as file:
        file.write(said)
        file.flush()
        os.fsync(file.fileno())


def seal(said: bytes, folder: Path) -> None:
    """Each message into an age file, flushed and read back; then the folder, and a log of them."""
    written: dict[Path, str] = {}
    for number, head in enumerate(re.finditer(rb"UID \d+ BODY\[\] \{(\d+)\}\r\n", said)):
        sealed = pyrage.encrypt(said[head.end() : head.end() + int(head[1])], [RECIPIENT])
        path = folder / f"{number}.new"
        path.write_bytes(sealed)
        written[path] = hashlib.sha256(sealed).hexdigest()
    assert len(written) == THEIRS, len(written)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(_flushed, written))
    assert found == list(written.values())
    for path in written:
        path.rename(path.with_suffix(".age"))
    _flushed(folder)
    write("".join(f"{digest}\n" for digest in found).encode(), folder)


def _flushed(path: Path) -> str:
    """The SHA-256 of what the disk has of it then."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
        return "" if path.is_dir() else hashlib.sha256(os.read(fd, 1 << 20)).hexdigest()
    finally:
        os.close(fd)


class Timed(Mailbox):
    """Knows when the first message was fetched and the last one removed."""

    first = 0.0
    last = 0.0
    removals = 0

    def envelopes(self, refs: Sequence[MessageRef]) -> Iterator[Envelope]:
        self.first = self.first or time.perf_counter()
        return super().envelopes(refs)

    def remove(self, receipts: Sequence[Receipt]) -> Removal:
        removal = super().remove(receipts)
        self.removals += bool(receipts)
        self.last = time.perf_counter()
        return removal


def ours(server: Dovecot, user: str, entries: Sequence[str], found: int = THEIRS) -> tuple[float, int]:
    """Seconds from the first command for what was found to the last confirmation, and how many times it was removed."""
    rules = policy(map(rule, entries), None, Disposition.PASS, 10_000)
    folder = _fresh()
    archive, ledger = copy(folder).sealer(lambda: datetime.now(UTC)), SqliteLedger(folder / "ledger")
    box = Timed(
        "box", host=server.host, port=server.port, user=user, security="none", password=lambda: server.password,
        folders=("INBOX",),
    )  # fmt: skip
    matches, more = 0, True
    while more:
        report = poll(box, archive, ledger, rules, lambda: datetime.now(UTC))
        assert not report.problems, report.problems
        matches, more = matches + report.matches, report.more is not None
    assert matches == found, matches
    box.close()
    archive.close()
    ledger.disconnect()
    return box.last - box.first, box.removals


KEEPING = {"bare": write, "sealing": seal}
"""What the two other clients do with what they fetched."""
SIDES = (*KEEPING, "ours")
Boxes = Callable[[str, str, int], str]
"""Of a side, a kind and a round: the mailbox."""


def measured(server: Dovecot, title: str, goal: float, boxes: Boxes) -> None:
    """Rounds of all three by turns, each with a list of its own for each side."""
    for kind in KINDS:
        times: dict[str, list[float]] = {side: [] for side in SIDES}
        removals = 0
        for number in range(ROUNDS):
            for box in dict.fromkeys(boxes(side, kind, number) for side in SIDES):
                ours(server, box, listed("nobody", 20), 0)  # everybody's fields stand in the server's cache beforehand
            for side, keep in KEEPING.items():
                times[side].append(bare(server, boxes(side, kind, number), f"{side}{kind}{number}", keep))
            seconds, removals = ours(server, boxes("ours", kind, number), listed(f"ours{kind}{number}", 20))
            times["ours"].append(seconds)
        least, sealing, rate = (THEIRS / statistics.median(times[side]) for side in SIDES)
        print(
            f"{title:>16}{kind:>10}{least:>8.0f}{sealing:>10.0f}{rate:>8.0f}{removals:>10}"
            f"{rate / least:>13.2f}{rate / sealing:>15.2f}{goal:>6}",
            flush=True,
        )


def main(large: int) -> None:
    turns = [(kind, f"{side}{kind}{number}") for kind in KINDS for number in range(ROUNDS) for side in SIDES]
    with PLACE, dovecot(password="plain") as server:
        for kind, who in turns:
            fill(server, who, THEIRS, [(kind, who)])
        fill(server, "large", large, turns)
        print(
            f"{'messages a second':>26}{'bare':>8}{'sealing':>10}{'ours':>8}{'removals':>10}"
            f"{'ours / bare':>13}{'ours / sealing':>15}{'goal':>6}"
        )
        measured(server, f"out of {THEIRS}", 0.3, lambda side, kind, number: f"{side}{kind}{number}")
        measured(server, f"out of {large}", 0.5, lambda _side, _kind, _number: "large")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)

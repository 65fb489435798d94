"""Seal and remove 1,000 messages: all that a mailbox holds, and out of a large one; against a bare client.

PYTHONPATH=. python tests/bench/removal.py [LARGE]     out of 1,000 and out of 100,000, unless said otherwise

The bare client fetches them in one command, writes them into one file, flushes that and expunges once.
Counted is from the first command for what was found to the last confirmation. Rounds alternate; each
rate is the median of them, and the ratio is that of the medians. "Removals": one EXPUNGE each.

Messages are small (600 octets) or of an ordinary size (30 KB: text, HTML and a picture).
"""

import os
import random
import statistics
import sys
import tempfile
import time
from base64 import encodebytes
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

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


def bare(server: Dovecot, user: str, who: str) -> float:
    """Seconds from the fetching to the end; whom it is about was searched for before."""
    client = Bare(server, user)
    client.say(b"SELECT INBOX")
    said = client.say(b"UID SEARCH FROM .%b@" % who.encode())
    uids = said.split(b"\r\n")[0].split()[2:]
    assert len(uids) == THEIRS, len(uids)
    wanted = b",".join(uids)
    with tempfile.TemporaryDirectory() as name:
        began = time.perf_counter()
        said = client.say(b"UID FETCH " + wanted + b" (UID BODY.PEEK[])")
        with (Path(name) / "all").open("wb") as file:
            file.write(said)
            file.flush()
            os.fsync(file.fileno())
        client.say(b"UID STORE " + wanted + b" +FLAGS.SILENT (\\Deleted)")
        client.say(b"UID EXPUNGE " + wanted)
        return time.perf_counter() - began


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
    folder = Path(tempfile.mkdtemp(dir=server.folder))  # kept: a new file waits longer where many were just deleted
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


Pair = Callable[[str, int], tuple[str, str]]
"""Of a kind and a round: the mailboxes of the bare client and of ours."""


def measured(server: Dovecot, title: str, goal: float, boxes: Pair) -> None:
    """Rounds of both kinds by turns, each with a list of its own for each side."""
    for kind in KINDS:
        theirs, mine, removals = [], [], 0
        for number in range(ROUNDS):
            for box in dict.fromkeys(boxes(kind, number)):
                ours(server, box, listed("nobody", 20), 0)  # everybody's fields stand in the server's cache beforehand
            theirs.append(bare(server, boxes(kind, number)[0], f"bare{kind}{number}"))
            seconds, removals = ours(server, boxes(kind, number)[1], listed(f"ours{kind}{number}", 20))
            mine.append(seconds)
        each = [THEIRS / statistics.median(times) for times in (theirs, mine)]
        print(
            f"{title:>16}{kind:>10}{each[0]:>10.0f}{each[1]:>8.0f}{removals:>10}{each[1] / each[0]:>8.2f}{goal:>6}",
            flush=True,
        )


def main(large: int) -> None:
    turns = [(kind, f"{who}{kind}{number}") for kind in KINDS for number in range(ROUNDS) for who in ("bare", "ours")]
    with dovecot(password="plain") as server:
        for kind, who in turns:
            fill(server, who, THEIRS, [(kind, who)])
        fill(server, "large", large, turns)
        print(f"{'':>16}{'messages':>10}{'bare a s':>10}{'ours':>8}{'removals':>10}{'ratio':>8}{'goal':>6}")
        measured(server, f"out of {THEIRS}", 0.3, lambda kind, number: (f"bare{kind}{number}", f"ours{kind}{number}"))
        measured(server, f"out of {large}", 0.5, lambda _kind, _number: ("large", "large"))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)

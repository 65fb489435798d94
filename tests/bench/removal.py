"""Seal and remove 1,000 messages out of a small mailbox and a large one, against a bare client that writes them down.

PYTHONPATH=. python tests/bench/removal.py [LARGE]     out of 3,000 and out of 100,000, unless said otherwise

The bare client fetches them in one command, writes them into one file, flushes that and expunges once.
Counted are the messages a second after looking, and how many times we removed: one EXPUNGE each.
"""

import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from nocontactd.decide import policy, rule
from nocontactd.ledger import SqliteLedger
from nocontactd.model import Disposition, Envelope, MessageRef, Receipt, Removal
from nocontactd.poll import poll
from nocontactd.sources.imap import Mailbox
from tests.archive_fixture import copy
from tests.bench.first_pass import Bare, fill, listed
from tests.peers.dovecot import Dovecot, dovecot

THEIRS = 1_000


def bare(server: Dovecot, user: str, uids: Sequence[int]) -> float:
    client = Bare(server, user)
    client.say(b"SELECT INBOX")
    with tempfile.TemporaryDirectory() as name:
        began = time.perf_counter()
        wanted = ",".join(map(str, uids)).encode()
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


def ours(server: Dovecot, user: str, entries: Sequence[str]) -> tuple[float, int]:
    """Seconds from the first command for what was found to the last confirmation, and how many times it was removed."""
    rules = policy(map(rule, entries), None, Disposition.PASS, 10_000)
    with tempfile.TemporaryDirectory() as name:
        archive, ledger = copy(Path(name)).sealer(lambda: datetime.now(UTC)), SqliteLedger(Path(name) / "ledger")
        box = Timed(
            "box", host=server.host, port=server.port, user=user, security="none", password=lambda: server.password,
            folders=("INBOX",),
        )  # fmt: skip
        matches, more = 0, True
        while more:
            report = poll(box, archive, ledger, rules, lambda: datetime.now(UTC))
            assert not report.problems, report.problems
            matches, more = matches + report.matches, report.more is not None
        assert matches == THEIRS, matches
        box.close()
        archive.close()
        ledger.disconnect()
    return box.last - box.first, box.removals


def main(large: int) -> None:
    with dovecot(password="plain") as server:
        for messages, goal in ((3 * THEIRS, 0.3), (large, 0.5)):
            user = f"box{messages}"
            fill(server, messages, ["bare", "ours", "warm"], user, THEIRS)
            ours(server, user, listed("warm", 20))
            client = Bare(server, user)
            client.say(b"EXAMINE INBOX")
            query = b" ".join(b"OR FROM p%d.bare@" % n for n in range(19)) + b" FROM p19.bare@ FROM bare@"
            uids = [int(uid) for uid in client.say(b"UID SEARCH " + query).split(b"\r\n")[0].split()[2:]]
            assert len(uids) == THEIRS, len(uids)
            theirs = THEIRS / bare(server, user, uids)
            seconds, removals = ours(server, user, listed("ours", 20))
            rate = THEIRS / seconds
            print(f"{THEIRS} out of {messages}: bare {theirs:.0f}, ours {rate:.0f} messages a second", end="")
            print(f" in {removals} removals; ratio {rate / theirs:.2f}, at least {goal}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)

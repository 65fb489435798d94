"""From delivery to gone: the daemon in IDLE against imapfilter's own idle loop, on one Dovecot, by turns.

PYTHONPATH=. python tests/bench/arrival.py [idle|poll|crowd [DELIVERIES]]
"""

import imaplib
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from tests.installation import Installation
from tests.peers import missing
from tests.peers.dovecot import Dovecot, dovecot

LOOP = """\
options.timeout = 60
options.info = false
account = IMAP {{ server = '127.0.0.1', port = {port}, username = '{user}', password = [[{password}]] }}
while true do
{searches}
  account.INBOX:enter_idle()
end
"""
OTHER = b"From: nadia@friends.example\r\nSubject: tea\r\nMessage-ID: <%d@friends.example>\r\n\r\nHello.\r\n"
PATIENCE = 45.0
"""Seconds after which a message counts as missed."""
LISTED = b"From: ex@abuser.example\r\nSubject: x\r\nMessage-ID: <%d@abuser.example>\r\n\r\nHello.\r\n"


def entries(count: int) -> list[str]:
    return ["ex@abuser.example", *(f"other{number}@abuser.example" for number in range(1, count))]


@contextmanager
def imapfilter(folder: Path, server: Dovecot, user: str, count: int) -> Iterator[None]:
    if not shutil.which("imapfilter"):
        missing("imapfilter is not installed (Debian: imapfilter)")
    searches = "\n".join(f"  account.INBOX:contain_from('{entry}'):delete_messages()" for entry in entries(count))
    facts = {"port": server.port, "user": user, "password": server.password, "searches": searches}
    (folder / "config.lua").write_text(LOOP.format(**facts))
    process = subprocess.Popen(
        ["imapfilter", "-c", str(folder / "config.lua")],
        env={**os.environ, "HOME": str(folder)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.kill()
        process.wait()


@contextmanager
def daemon(owner: Installation) -> Iterator[None]:
    process = owner.daemon(owner.folder / "log")
    try:
        yield
    finally:
        process.terminate()
        process.wait(10)


def fill(inbox: Path, messages: int) -> None:
    """Messages of somebody else, as files: many names of a few."""
    account = inbox.stat()
    for number in range(messages):
        place = inbox / "cur" / f"{1_700_000_000 + number}.M{number}P1.other:2,S"
        first = inbox / "cur" / f"{1_700_000_000 + number // 1000 * 1000}.M{number // 1000 * 1000}P1.other:2,S"
        if place == first:
            place.write_bytes(OTHER % number)
            os.chown(place, account.st_uid, account.st_gid)
        else:
            os.link(first, place)


def places(inbox: Path) -> list[Path]:
    """Wherever the message that has just come may stand in the Maildir, whatever is done to it but removed."""
    (name,) = (place.name for place in (inbox / "new").iterdir())
    return [inbox / "new" / name, *(inbox / "cur" / f"{name}:2,{flags}" for flags in ("", "S", "T", "ST"))]


def seconds_until_gone(client: imaplib.IMAP4, inbox: Path, number: int) -> float | None:
    client.append("INBOX", "", None, LISTED % number)
    began = time.perf_counter()
    there = places(inbox)
    while any(place.exists() for place in there) or any(place.exists() for place in there):  # it may be renamed between
        if time.perf_counter() - began > PATIENCE:
            for place in there:
                place.unlink(missing_ok=True)
            return None
        time.sleep(0.001)
    return time.perf_counter() - began


def logged_in(server: Dovecot, user: str) -> imaplib.IMAP4:
    client = imaplib.IMAP4(server.host, server.port)
    client.authenticate("PLAIN", lambda _: f"\0{user}\0{server.password}".encode())
    client.select("INBOX")
    client.close()
    return client


def measured(deliveries: int, every: str, messages: int, count: int, theirs: bool) -> None:
    """Deliver to both by turns; with so many messages of others in each inbox, and so many entries in each list."""
    with tempfile.TemporaryDirectory() as name, dovecot(password="plain") as server:
        folder = Path(name)
        owner = Installation(folder / "owner", server).with_keys()
        written = re.sub(r"every: \S+", f"every: {every}", owner.config.read_text())
        owner.put("config.yaml", written.replace("[ex@abuser.example]", f"[{', '.join(entries(count))}]"))
        users = {"nocontactd": owner.user} | ({"imapfilter": "other"} if theirs else {})
        clients = {who: logged_in(server, user) for who, user in users.items()}
        inboxes = {who: server.folder / "home" / user / "Maildir" for who, user in users.items()}
        for who, client in clients.items():
            fill(inboxes[who], messages)
            client.select("INBOX", readonly=True)  # so that the server's index is there
            client.search(None, "FROM", "ex@abuser.example")
            client.close()
        taken: dict[str, list[float]] = {who: [] for who in users}
        with imapfilter(folder, server, "other", count) if theirs else nullcontext(), daemon(owner):
            while "started" not in (owner.folder / "log").read_text():
                time.sleep(0.05)
            while owner.nocontact("poll").returncode == 75:  # the first look has not finished
                time.sleep(1)
            time.sleep(3 + messages / 10_000)  # the other one says nothing of when it is ready
            for number in range(deliveries):
                for who, client in clients.items():
                    seconds = seconds_until_gone(client, inboxes[who], number)
                    if seconds is not None:
                        taken[who].append(seconds)
                time.sleep(random.random() * 0.2)
    show(deliveries, taken)


def show(deliveries: int, taken: dict[str, list[float]]) -> None:
    print(f"{'':12}{'median ms':>10}{'p99 ms':>10}{'missed':>8}")
    found = {}
    for who, times in taken.items():
        p99 = statistics.quantiles(times, n=100)[-1] if len(times) > 1 else max(times, default=PATIENCE)
        found[who] = statistics.median(times) if times else PATIENCE, p99
        print(f"{who:12}{found[who][0] * 1000:10.0f}{p99 * 1000:10.0f}{deliveries - len(times):8}")
    if "imapfilter" in found:
        medians, highs = ([found[who][at] for who in ("nocontactd", "imapfilter")] for at in (0, 1))
        print(f"ratio of medians {medians[0] / medians[1]:.2f}, of p99 {highs[0] / highs[1]:.2f}")


RUNS = {
    "idle": ("a small inbox, one entry, IDLE", 200, "60s", 0, 1, True),
    "poll": ("every: 0.1s", 100, "0.1s", 0, 1, False),
    "crowd": ("100,000 messages in the inbox, 20 entries, IDLE", 3, "60s", 100_000, 20, True),
}


def main(which: str = "", deliveries: str = "") -> None:
    for name, (what, usual, every, messages, count, theirs) in RUNS.items():
        if which in ("", name):
            print(what)
            measured(int(deliveries or usual), every, messages, count, theirs)


if __name__ == "__main__":
    main(*sys.argv[1:])

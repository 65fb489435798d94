"""From delivery to gone: the daemon in IDLE against imapfilter's own idle loop, on one Dovecot, by turns.

PYTHONPATH=. python tests/bench/arrival.py [DELIVERIES]
"""

import imaplib
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.installation import Installation
from tests.peers import missing
from tests.peers.dovecot import Dovecot, dovecot

LOOP = """\
options.timeout = 60
options.info = false
account = IMAP {{ server = '127.0.0.1', port = {port}, username = '{user}', password = [[{password}]] }}
while true do
  account.INBOX:contain_from('ex@abuser.example'):delete_messages()
  account.INBOX:enter_idle()
end
"""
LISTED = b"From: ex@abuser.example\r\nSubject: x\r\nMessage-ID: <%d@abuser.example>\r\n\r\nHello.\r\n"


@contextmanager
def imapfilter(folder: Path, server: Dovecot, user: str) -> Iterator[None]:
    if not shutil.which("imapfilter"):
        missing("imapfilter is not installed (Debian: imapfilter)")
    (folder / "config.lua").write_text(LOOP.format(port=server.port, user=user, password=server.password))
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


def standing(server: Dovecot, user: str) -> Callable[[], bool]:
    """Whether anything stands in the inbox, read from the Maildir itself."""
    inbox = server.folder / "home" / user / "Maildir"
    return lambda: any(entry for name in ("new", "cur") for entry in os.scandir(inbox / name))


def seconds_until_gone(client: imaplib.IMAP4, there: Callable[[], bool], number: int) -> float | None:
    client.append("INBOX", "", None, LISTED % number)
    began = time.perf_counter()
    while there():
        if time.perf_counter() - began > 45:
            return None
        time.sleep(0.001)
    return time.perf_counter() - began


def logged_in(server: Dovecot, user: str) -> imaplib.IMAP4:
    client = imaplib.IMAP4(server.host, server.port)
    client.authenticate("PLAIN", lambda _: f"\0{user}\0{server.password}".encode())
    client.select("INBOX")
    client.close()
    return client


def main(deliveries: int) -> None:
    with tempfile.TemporaryDirectory() as name, dovecot(password="plain") as server:
        folder = Path(name)
        owner = Installation(folder / "owner", server).with_keys()
        owner.put("config.yaml", re.sub(r"every: \S+", "every: 60s", owner.config.read_text()))
        clients = {"nocontactd": logged_in(server, owner.user), "imapfilter": logged_in(server, "other")}
        there = {"nocontactd": standing(server, owner.user), "imapfilter": standing(server, "other")}
        taken: dict[str, list[float]] = {who: [] for who in clients}
        with imapfilter(folder, server, "other"), daemon(owner):
            time.sleep(3)
            for number in range(deliveries):
                for who, client in clients.items():
                    seconds = seconds_until_gone(client, there[who], number)
                    if seconds is not None:
                        taken[who].append(seconds)
                time.sleep(0.2)
    print(f"{'':12}{'median ms':>10}{'p99 ms':>10}{'missed':>8}")
    for who, times in taken.items():
        p99 = statistics.quantiles(times, n=100)[-1] if len(times) > 1 else times[0]
        print(f"{who:12}{statistics.median(times) * 1000:10.0f}{p99 * 1000:10.0f}{deliveries - len(times):8}")
    print(f"ratio of medians {statistics.median(taken['nocontactd']) / statistics.median(taken['imapfilter']):.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)

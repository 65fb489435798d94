"""A mailbox before and after whole passes with sweeps, holds and removals: of nobody else's message a bit has changed.

Looked at twice over: by another client, and by the files in which the server keeps it.
"""

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.installation import Installation, letter
from tests.peers.dovecot import Dovecot, dovecot
from tests.peers.onlooker import Onlooker, Sights, looking

FLAGS = ("", "\\Seen \\Flagged", "\\Answered \\Draft", "\\Deleted", "\\Deleted \\Seen $Forwarded Mine")
FOLDERS = ("INBOX", "Junk", "Trash", "Sent", "Entwurf", "Family", "nocontact")
EX, FRIEND, HELD = "ex@abuser.example", "nadia@friends.example", "Alex Canaryname <someone@elsewhere.example>"
LATER = "second@abuser.example"


@pytest.fixture(scope="module")
def server() -> Iterator[Dovecot]:
    with dovecot(sieve=True) as running:
        yield running


def files(server: Dovecot, user: str) -> dict[tuple[str, str], tuple[str, str, int]]:
    """Each message by folder and name: its flags as the server keeps them, the hash of its octets, and when it came."""
    found = {}
    home = server.folder / "home" / user / "Maildir"
    for path in sorted(home.glob("**/*")):
        if path.parent.name in {"cur", "new"} and path.is_file():
            name, _, flags = path.name.partition(":2,")
            folder = str(path.parent.parent.relative_to(home))
            found[folder, name] = flags, hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns
    return found


def of_others(sights: Sights, *listed: str) -> Sights:
    """What listed people have not written. What stands in Sent and Drafts is the owner's, whoever is named there."""
    wrote = tuple(f"From: {each}\r\n".encode() for each in listed)
    return {
        at: sight for at, sight in sights.items() if at[0] in {"Sent", "Entwurf"} or not sight.octets.startswith(wrote)
    }


def furnish(client: Onlooker) -> None:
    """In each folder somebody else's messages with each flag there is, and between them listed ones, and one held."""
    number = 0
    for folder in FOLDERS:
        if folder in {"Family", "nocontact"}:
            client.create(folder)
        for flags in FLAGS:
            listed = {"": (EX, LATER), "\\Deleted": (EX,) if folder == "INBOX" else ()}.get(flags, ())
            for sender in (FRIEND, *listed):
                number += 1
                client.append(letter(sender, number), folder, flags, "03-Jan-2021 11:22:33 +0200")
        client.append(letter(HELD, 1000 + number), folder)


def test_of_nobody_elses_message_a_bit_changes(tmp_path: Path, server: Dovecot) -> None:
    owner = Installation(tmp_path, server).with_keys()
    text = owner.config.read_text()
    at = text.index("    password_file:")
    owner.put("config.yaml", text[:at] + f"    sieve: {{port: {server.sieve_port}}}\n" + text[at:])
    with looking(server, owner.user) as client:
        furnish(client)
        before, files_before = client.everything(), files(server, owner.user)
        assert len(before) == len(files_before) > 50
        assert owner.nocontact("poll").returncode == 0  # a first pass: all of it is older
        swept = client.everything()
        assert swept == of_others(before, EX)
        owner.put("config.yaml", owner.config.read_text().replace(f"[{EX}]", f"[{EX}, {LATER}]"))
        client.put(letter(EX, 5000))
        client.put(letter(FRIEND, 5001))
        arrived = of_others(client.everything(), EX, LATER)
        assert owner.nocontact("poll").returncode == 0  # one more listed: a second sweep, and what has come
        after = client.everything()
        assert after == arrived
        assert {at: sight for at, sight in after.items() if at in before} == of_others(before, EX, LATER)
        assert not [at for at, sight in after.items() if at not in before and sight.flags]
    kept = {at: file for at, file in files(server, owner.user).items() if at in files_before}
    assert len(kept) == len(of_others(before, EX, LATER))
    assert kept == {at: file for at, file in files_before.items() if at in kept}


def test_nor_where_what_comes_is_taken_out_at_its_sign(tmp_path: Path, server: Dovecot) -> None:
    owner = Installation(tmp_path, server, user="signs").with_keys()
    with looking(server, owner.user) as client:
        furnish(client)
        daemon = owner.daemon(tmp_path / "journal")
        try:
            while owner.nocontact("poll").returncode == 75:  # the first look has not finished
                pass
            for number, flags in enumerate(FLAGS, 6000):
                client.append(letter(FRIEND, number), "INBOX", flags, "03-Jan-2021 11:22:33 +0200")
                client.append(letter(EX, number))
            before, files_before = of_others(client.everything(), EX), files(server, owner.user)
            until = time.monotonic() + 10
            while (after := client.everything()) != before:
                assert time.monotonic() < until, "something listed stands there still, or somebody else's has changed"
                time.sleep(0.2)
        finally:
            daemon.terminate()
            daemon.wait(10)
    assert sum(sight.octets == letter(FRIEND, number) for sight in after.values() for number in range(6000, 6005)) == 5
    kept = {at: file for at, file in files(server, owner.user).items() if at in files_before}
    assert kept == {at: file for at, file in files_before.items() if at in kept}

"""How often a mailbox asks: in a quiet look at 50 folders, and for a message from its sign to its removal."""

import imaplib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from nocontactd.acquaintance import learn
from nocontactd.decide import policy
from nocontactd.model import Disposition, Kind, Report, Rule
from nocontactd.poll import poll
from nocontactd.sources.imap import Inbox, Mailbox
from nocontactd.sources.imap.look import AHEAD
from tests.memory_archive import MemoryLedger, MemorySealer
from tests.peers.dovecot import Dovecot, dovecot
from tests.peers.onlooker import MailServer
from tests.peers.trips import TripCounter, trip_counter
from tests.test_imap_fuse import EX, FRIEND, rules

FOLDERS = 50
NOW = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.fixture(scope="module")
def server() -> Iterator[Dovecot]:
    with dovecot() as running:
        yield running


class Owner:
    """A mailbox of many folders, looked at through a proxy that counts."""

    def __init__(self, server: MailServer, counter: TripCounter, user: str, folders: int) -> None:
        self.counter = counter
        self.client = imaplib.IMAP4(server.host, server.port)
        self.client.authenticate("PLAIN", lambda _: f"\0{user}\0{server.password}".encode())
        for number in range(folders - 5):  # beside INBOX, Junk, Trash, Sent and Entwurf, which is never looked at
            self.client.create(f"Folder-{number}")
        self.mailbox = Mailbox(
            "home", host=counter.host, port=counter.port, user=user, security="none", password=lambda: server.password
        )
        self.inbox = Inbox(self.mailbox)
        self.ledger, self.sealer = MemoryLedger(), MemorySealer()

    def put(self, octets: bytes, folder: str = "INBOX") -> None:
        assert self.client.append(folder, "", "", octets)[0] == "OK"

    def look(self) -> Report:
        """As the daemon does it on its timer."""
        learn(self.mailbox, self.ledger, lambda: NOW)
        report = poll(self.mailbox, self.sealer, self.ledger, rules(), lambda: NOW)
        assert report.problems == ()
        return report

    def look_at_the_inbox(self) -> Report:
        """As it does after a sign."""
        return poll(self.inbox, self.sealer, self.ledger, rules(), lambda: NOW, only_new=True)


@pytest.fixture
def owner(server: Dovecot, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Owner]:
    with trip_counter(server.host, server.port) as counter:
        owner = Owner(server, counter, tmp_path.name, getattr(request, "param", 8))
        yield owner
        owner.mailbox.close()
        owner.client.logout()


@pytest.mark.parametrize("owner", [FOLDERS], indirect=True, ids=["50 folders"])
@pytest.mark.parametrize("lists_status", [True, False], ids=["LIST-STATUS", "STATUS alone"])
def test_a_quiet_look_at_fifty_folders_takes_three_round_trips_at_most(owner: Owner, lists_status: bool) -> None:
    owner.put(FRIEND % (1, 1))
    owner.look()
    if not lists_status:
        session = owner.mailbox._session
        assert session
        session._lists_status = False
    owner.look()
    owner.counter.forget()
    report = owner.look()
    assert len(owner.counter.trips) <= (1 if lists_status else 2), owner.counter.trips
    assert len(report.looks) == FOLDERS - 2, "each folder has its Look all the same"
    inbox = report.looks[0]
    assert (inbox.folder, inbox.next_uid, inbox.exists) == ("INBOX", 2, 1)


def test_what_comes_to_any_folder_is_found_by_the_look_after_a_quiet_one(owner: Owner) -> None:
    owner.look()
    owner.look()
    for folder in ("Folder-1", "Junk", "INBOX"):
        owner.put(EX % (1, 1), folder)
    assert owner.look().matches == 3
    assert len(owner.sealer.records) == 3


def test_a_burst_beyond_what_is_asked_for_ahead_is_seen_whole(owner: Owner) -> None:
    owner.look()
    many = AHEAD + 20
    for number in range(many):
        owner.put(EX % (number, number))
    assert owner.look_at_the_inbox().matches == many
    assert owner.client.select("INBOX", readonly=True) == ("OK", [b"0"])


def test_from_a_sign_to_the_removal_it_takes_four_round_trips(owner: Owner) -> None:
    owner.put(FRIEND % (1, 1))
    owner.look()
    owner.put(EX % (1, 1))
    owner.put(FRIEND % (2, 2))
    owner.counter.forget()
    assert owner.look_at_the_inbox().matches == 1
    trips = owner.counter.trips
    assert next(number for number, trip in enumerate(trips, 1) if b"UID EXPUNGE" in trip) <= 4, trips
    assert owner.client.select("INBOX", readonly=True) == ("OK", [b"2"])


def test_the_look_after_a_sign_opens_the_inbox_alone_and_leaves_sweeps_to_the_whole_look(owner: Owner) -> None:
    owner.put(EX % (1, 1))
    owner.put(b"From: another@abuser.example\r\n\r\nHi.\r\n")
    assert owner.look_at_the_inbox().looks == (), "nothing was seen of this mailbox yet"
    owner.look()
    owner.put(EX % (2, 2), "Junk")
    owner.put(EX % (3, 3))
    assert [look.folder for look in owner.look_at_the_inbox().looks] == ["INBOX"]
    others = policy((Rule(Kind.ADDRESS, "another@abuser.example"),), None, Disposition.PASS, 1000)
    assert poll(Inbox(owner.mailbox), owner.sealer, owner.ledger, others, lambda: NOW, only_new=True).matches == 0
    assert owner.client.select("INBOX", readonly=True) == ("OK", [b"1"])
    assert owner.look().matches == 1

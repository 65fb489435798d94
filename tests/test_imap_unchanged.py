"""A folder is left unopened only where nothing can have come, however a server may mislead us."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from nocontactd.model import Cursor, Envelope, Look
from nocontactd.sources.imap import Mailbox
from nocontactd.sources.imap.answers import Standing, standings
from nocontactd.sources.imap.unchanged import THOROUGH, Unchanged
from nocontactd.sources.imap.wire import Patience
from tests.peers.plain_imap import PLAIN, Box, Mail, PlainImap, plain_imap

EX = b"From: ex@abuser.example\r\nMessage-ID: <%d@abuser.example>\r\n\r\nanswer me\r\n"
RULES = "digest"
LEFT, CURSOR, NOW = Look("Box", 7, 5, 3), Cursor("Box", 7, 5, RULES), Standing(7, 5, 3)
SERVERS = {
    "LIST-STATUS": (*PLAIN, "LIST-STATUS", "UNSELECT"),
    "STATUS": (*PLAIN, "UNSELECT"),
    "no UNSELECT": (*PLAIN, "LIST-STATUS"),
}


def known() -> Unchanged:
    unchanged = Unchanged()
    unchanged.leave(LEFT, 0)
    return unchanged


def test_what_stands_as_it_was_left_is_not_opened_and_has_its_look() -> None:
    assert known().look("Box", {"Box": NOW}, CURSOR, RULES) == Look("Box", 7, 5, 3)


def test_fewer_messages_are_no_reason_to_open_a_folder_and_are_told() -> None:
    assert known().look("Box", {"Box": Standing(7, 5, 1)}, CURSOR, RULES) == Look("Box", 7, 5, 1)


@pytest.mark.parametrize(
    ("standing", "cursor"),
    [
        pytest.param({}, CURSOR, id="the server says nothing of it"),
        pytest.param({"Box": NOW}, None, id="it was never looked through to its end"),
        pytest.param({"Box": Standing(8, 5, 3)}, CURSOR, id="it was numbered anew"),
        pytest.param({"Box": Standing(8, 5, 3)}, Cursor("Box", 8, 5, RULES), id="another process left it"),
        pytest.param({"Box": Standing(7, 6, 3)}, CURSOR, id="something came"),
        pytest.param({"Box": Standing(7, 4, 3)}, CURSOR, id="its next UID went back"),
        pytest.param({"Box": NOW}, Cursor("Box", 7, 4, RULES), id="something in it was left undone"),
        pytest.param({"Box": NOW}, Cursor("Box", 7, 5, "others"), id="it was judged by other rules"),
        pytest.param({"Box": Standing(7, 5, 4)}, CURSOR, id="there is more in it, whatever its next UID"),
    ],
)
def test_in_any_doubt_a_folder_is_opened(standing: dict[str, Standing], cursor: Cursor | None) -> None:
    assert known().look("Box", standing, cursor, RULES) is None


def test_what_this_process_has_not_seen_is_doubted_and_everything_again_after_an_hour() -> None:
    unchanged = Unchanged()
    assert unchanged.doubts("Box", 1000)
    unchanged.leave(LEFT, 1000)
    assert not unchanged.doubts("Box", 1000 + THOROUGH - 1)
    unchanged.leave(LEFT, 1000 + THOROUGH - 1)  # opened because something came: that is no thorough look
    assert unchanged.doubts("Box", 1000 + THOROUGH)


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ([b"Box (UIDVALIDITY 7 UIDNEXT 5 MESSAGES 3)"], {b"Box": NOW}),
        ([b'"Box" (messages 3 uidnext 5 uidvalidity 7)'], {}),
        ([b"Box (MESSAGES 3 UIDNEXT 5 UIDVALIDITY 7 HIGHESTMODSEQ 12)"], {b"Box": NOW}),
        ([b"Box (UIDVALIDITY 7 MESSAGES 3)"], {}),
        ([b"Box (UIDVALIDITY 7 UIDNEXT 0 MESSAGES 3)"], {}),
        ([b"Box (UIDVALIDITY x UIDNEXT 5 MESSAGES 3)"], {}),
        ([b"Box (UIDVALIDITY 7 UIDNEXT 99999999999999999999 MESSAGES 3)"], {}),
        ([b"Box (UIDVALIDITY", b"B (UIDVALIDITY 7 UIDNEXT 5 MESSAGES 3)"], {b"B": NOW}),
        ([(b"{3}", b"Box"), b" (UIDVALIDITY 7 UIDNEXT 5 MESSAGES 3)"], {b"Box": NOW}),
        ([b"", None, b"2024 (UIDVALIDITY 7 UIDNEXT 5 MESSAGES 3)"], {b"2024": NOW}),
        ([b"NIL (UIDVALIDITY 7 UIDNEXT 5 MESSAGES 3)"], {b"NIL": NOW}),
    ],
)
def test_a_status_is_read_whole_or_not_at_all(said: list[bytes], found: dict[bytes, Standing]) -> None:
    assert dict(standings(said)) == found


@pytest.fixture(params=SERVERS.values(), ids=SERVERS)
def server(request: pytest.FixtureRequest) -> Iterator[PlainImap]:
    with plain_imap(request.param) as running:
        running.boxes["Family"] = Box(20)
        running.boxes["Family"].put(Mail(EX % 1))
        yield running


class Owner:
    """A mailbox, and how far it was looked through: at first, whatever it holds is new."""

    def __init__(self, server: PlainImap, port: int = 0, **patience: float) -> None:
        self.mailbox = Mailbox(
            "home", host=server.host, port=port or server.port, user=server.user, security="none",
            password=lambda: server.password, patience=Patience(**patience),
        )  # fmt: skip
        self.cursors = {name: Cursor(name, box.uidvalidity, 1, RULES) for name, box in server.boxes.items()}

    def look(self) -> list[Envelope]:
        items = list(self.mailbox.scan(self.cursors, RULES))
        self.looks = [item for item in items if isinstance(item, Look)]
        assert not any(look.problem for look in self.looks)
        self.cursors = {look.folder: Cursor(look.folder, look.uidvalidity, look.next_uid, RULES) for look in self.looks}
        return [item for item in items if isinstance(item, Envelope)]


def opened(server: PlainImap) -> list[str]:
    """The folders that were opened since this was last asked."""
    folders = [line.split('"')[1] for line in server.commands if line.startswith(("EXAMINE", "SELECT"))]
    server.commands.clear()
    return folders


def test_a_quiet_look_opens_nothing(server: PlainImap) -> None:
    owner = Owner(server)
    assert len(owner.look()) == 1
    assert sorted(opened(server)) == ["Family", "INBOX", "Trash"]
    assert owner.look() == []
    # The one that is open is opened anew where it could not be left: of it, a STATUS may be stale.
    assert opened(server) == ([] if "UNSELECT" in server.capabilities else ["Trash"])
    assert [look.folder for look in owner.looks] == ["INBOX", "Family", "Trash"]


def test_only_the_folder_in_which_something_came_is_opened(server: PlainImap) -> None:
    owner = Owner(server)
    owner.look()
    owner.look()
    opened(server)
    server.boxes["Family"].put(Mail(EX % 2))
    assert [found.ref.uid for found in owner.look()] == ["2"]
    assert "INBOX" not in opened(server)


def test_a_folder_numbered_anew_is_opened_though_all_other_numbers_are_the_same(server: PlainImap) -> None:
    owner = Owner(server)
    owner.look()
    opened(server)
    server.boxes["Family"].uidvalidity = 21
    owner.look()
    assert "Family" in opened(server)
    assert owner.cursors["Family"].uidvalidity == 21


def test_where_no_next_uid_is_given_every_folder_is_opened_at_each_look(server: PlainImap) -> None:
    server.gives_uidnext = False
    owner = Owner(server)
    owner.look()
    opened(server)
    server.boxes["INBOX"].put(Mail(EX % 2))
    server.boxes["Family"].mails.pop(1)
    server.boxes["Family"].put(Mail(EX % 3))
    assert len(owner.look()) == 2
    assert sorted(opened(server)) == ["Family", "INBOX", "Trash"]


def test_a_next_uid_that_stands_still_is_not_believed_where_there_is_more_than_before(server: PlainImap) -> None:
    server.stuck_uidnext = 2
    owner = Owner(server)
    owner.look()
    for number in (2, 3):
        server.boxes["Family"].put(Mail(EX % number))
        assert [found.ref.uid for found in owner.look()] == [str(number)]


def test_a_message_behind_a_next_uid_that_stands_still_is_found_within_the_hour(
    server: PlainImap, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One came and one went: nothing that the server says tells it from silence."""
    server.stuck_uidnext = 2
    owner = Owner(server)
    monkeypatch.setattr("nocontactd.sources.imap.unchanged.THOROUGH", -1.0)  # the hour is over at once
    owner.look()
    server.boxes["Family"].mails.pop(1)
    server.boxes["Family"].put(Mail(EX % 2))
    assert [found.ref.uid for found in owner.look()] == ["2"]


def test_what_a_server_with_condstore_says_besides_is_passed_over(server: PlainImap) -> None:
    """HIGHESTMODSEQ or NOMODSEQ (RFC 7162, 3.1.2) when a folder is opened, MODSEQ in a FETCH, and one unasked."""

    def with_modseq(line: str, answer: bytes) -> list[bytes]:
        code = b"[NOMODSEQ] none" if "Trash" in line else b"[HIGHESTMODSEQ 90060115205545359] highest"
        if line.startswith("EXAMINE"):
            return [answer.replace(b"* 0 RECENT\r\n", b"* 0 RECENT\r\n* OK %b\r\n" % code)]
        if line.startswith("UID FETCH"):
            answer = answer.replace(b" FETCH (", b" FETCH (MODSEQ (624140003) ")
            return [b"* 1 FETCH (UID 1 MODSEQ (65402) FLAGS (\\Seen))\r\n" + answer]
        return [answer]

    server.meddle = with_modseq
    owner = Owner(server)
    assert [found.authors[0].address for found in owner.look()] == ["ex@abuser.example"]
    server.boxes["INBOX"].put(Mail(EX % 2))
    assert [found.authors[0].address for found in owner.look()] == ["ex@abuser.example"]


def test_a_list_with_status_that_is_refused_is_asked_without(server: PlainImap) -> None:
    server.meddle = lambda line, answer: [
        answer.splitlines(keepends=True)[-1].replace(b"OK", b"BAD") if "RETURN (STATUS" in line else answer
    ]
    owner = Owner(server)
    owner.look()
    opened(server)
    assert owner.look() == []
    assert opened(server) == ([] if "UNSELECT" in server.capabilities else ["Trash"])


@contextmanager
def choking(server: PlainImap) -> Iterator[int]:
    """The port of a proxy that ends every connection on which a command comes before the last one was answered."""
    listener = socket.create_server(("127.0.0.1", 0))

    def forward(source: socket.socket, target: socket.socket, *, choosy: bool) -> None:
        with suppress(OSError):
            while (octets := source.recv(65_536)) and not (choosy and octets.count(b"\n") > 1):
                target.sendall(octets)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def accept() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                there = socket.create_connection((server.host, server.port))
                for ends, choosy in (((client, there), True), ((there, client), False)):
                    threading.Thread(target=forward, args=ends, kwargs={"choosy": choosy}, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()


def test_a_server_that_does_not_bear_several_commands_at_once_is_asked_one_by_one(server: PlainImap) -> None:
    with choking(server) as port:
        owner = Owner(server, port)
        owner.cursors.clear()
        owner.look()
        list(owner.mailbox.scan(owner.cursors, RULES))  # in which it is found out
        server.boxes["Family"].put(Mail(EX % 2))
        connections = server.connections
        found = owner.look()
        server.boxes["INBOX"].put(Mail(EX % 3))
        found += owner.look()
        assert {envelope.ref.folder for envelope in found} >= {"INBOX"}
        assert owner.cursors["Family"].next_uid == 3
        assert server.connections <= connections + 1, "and keeps its connection"

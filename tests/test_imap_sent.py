"""The Sent folders of a mailbox: three header fields of each message, and never a mark."""

import re
from collections.abc import Iterator

import pytest

from nocontactd.errors import UnreachableError
from nocontactd.model import Cursor, Look, Written
from nocontactd.sources.imap import Mailbox
from nocontactd.sources.imap.look import HEADER
from nocontactd.sources.imap.sent import ADDRESSEE_FIELDS
from nocontactd.sources.imap.wire import Patience
from tests.peers.plain_imap import GMAIL, Box, HangUpError, Mail, PlainImap, plain_imap
from tests.test_imap import Answers, cut_in_the_middle, fetches, look, mailbox, on, refused

SENT = b"From: me@home.example\r\nTo: %b\r\nSubject: tea\r\n\r\nsecret\r\n"


@pytest.fixture
def server() -> Iterator[PlainImap]:
    with plain_imap() as running:
        yield running


def told(box: Mailbox, cursors: dict[str, Cursor] | None = None) -> tuple[list[str], list[Look]]:
    items = list(box.written(cursors or {}))
    letters = [address for item in items if isinstance(item, Written) for address in item.addresses]
    return letters, [item for item in items if isinstance(item, Look)]


def test_only_addressees_are_asked_for_and_nothing_is_marked(server: PlainImap) -> None:
    for n in range(3):
        server.boxes["Sent"].put(Mail(SENT % b"f%d@x.example" % n))
    assert told(mailbox(server))[0] == ["f0@x.example", "f1@x.example", "f2@x.example"]
    assert [items for _, items in fetches(server)] == [
        f"(UID RFC822.SIZE INTERNALDATE BODY.PEEK[{ADDRESSEE_FIELDS}]<0.{HEADER}>)"
    ]
    assert ADDRESSEE_FIELDS == "HEADER.FIELDS (TO CC BCC)"
    assert [line for line in server.commands if re.match("SELECT|EXAMINE", line)] == ['EXAMINE "Sent"']
    assert {frozenset(mail.flags) for mail in server.boxes["Sent"].mails.values()} == {frozenset()}


def test_a_large_folder_is_read_in_pieces_and_goes_on_where_it_ended(server: PlainImap) -> None:
    for n in range(1_100):
        server.boxes["Sent"].put(Mail(SENT % b"f%d@x.example" % n))
    box = mailbox(server, patience=Patience())
    letters, (seen,) = told(box)
    assert (len(letters), seen.next_uid) == (1_100, 1_101)
    assert [len(uids) for uids, _ in fetches(server)] == [500, 500, 100]
    server.commands.clear()
    assert told(box, {"Sent": Cursor("Sent", 8, 1_101, "")}) == ([], [seen])
    assert fetches(server) == []


def test_every_folder_with_the_role_is_read_and_others_of_the_name_are_not() -> None:
    with plain_imap(GMAIL) as server:
        server.boxes |= {"[Gmail]/Gesendet": Box(20, "\\Sent"), "Others/Sent": Box(21, "\\Sent")}
        for name in ("Sent", "[Gmail]/Gesendet", "Others/Sent"):
            server.boxes[name].put(Mail(SENT % f"{len(name)}@x.example".encode()))
        assert told(mailbox(server))[0] == ["16@x.example"]


def test_a_folder_that_is_never_to_be_touched_is_not_opened(server: PlainImap) -> None:
    server.boxes["Sent"].put(Mail(SENT % b"f@x.example"))
    box = mailbox(server, never_touch=("Sent",))
    assert told(box) == ([], [])
    assert not [line for line in server.commands if "Sent" in line]
    assert len(box.remarks()) == 1


def test_the_folder_is_read_whatever_folders_are_looked_at(server: PlainImap) -> None:
    server.boxes["Sent"].put(Mail(SENT % b"f@x.example"))
    assert told(mailbox(server, folders=("INBOX",)))[0] == ["f@x.example"]


def test_of_an_endless_list_of_addressees_none_is_taken_that_is_cut_in_two(server: PlainImap) -> None:
    server.boxes["Sent"].put(Mail(SENT % b",\r\n ".join(b"name%05d@long.example" % n for n in range(5_000))))
    letters, _ = told(mailbox(server))
    assert 1_000 < len(letters) < 5_000
    assert all(re.fullmatch(r"name\d{5}@long\.example", each) for each in letters)


@pytest.mark.parametrize(
    "octets", [b"", b"\r\n\r\n", b"To:\r\n\r\n", b"To: \xff\xfe@@,<\r\n\r\n", b"To: no address\r\n\r\n"]
)
def test_a_message_to_nobody_teaches_nothing(server: PlainImap, octets: bytes) -> None:
    server.boxes["Sent"].put(Mail(octets))
    letters, (seen,) = told(mailbox(server))
    assert not [each for each in letters if re.fullmatch(r"[\w.]+@[\w.]+", each)]
    assert not seen.problem


def test_a_folder_that_cannot_be_opened_is_said_and_fails_no_look(server: PlainImap) -> None:
    server.meddle = on('EXAMINE "Sent"', lambda answer: [refused(answer, b"[NOPERM] no")])
    box = mailbox(server)
    assert told(box) == ([], [Look("Sent", 0, 0, 0, "the server refused (NOPERM)")])
    assert not [seen.problem for seen in look(box)[1] if seen.problem]
    assert len(box.remarks()) == 1
    assert server.connections == 1


def test_a_connection_that_ends_there_is_made_anew_for_the_look(server: PlainImap) -> None:
    server.boxes["Sent"].put(Mail(SENT % b"f@x.example"))
    server.meddle = on("UID FETCH", cut_in_the_middle)
    box = mailbox(server)
    assert told(box)[1][0].problem == "the connection was lost"
    server.meddle = lambda _line, answer: [answer]
    assert not [seen.problem for seen in look(box)[1] if seen.problem]


def test_a_server_that_cannot_be_reached_is_an_error(server: PlainImap) -> None:
    server.lock_the_door()
    with pytest.raises(UnreachableError):
        told(mailbox(server))


def test_a_server_that_ends_at_the_listing_is_an_error_of_the_source(server: PlainImap) -> None:
    def hang_up(_answer: bytes) -> Answers:
        raise HangUpError

    server.meddle = on("LIST", hang_up)
    with pytest.raises(Exception, match="home: its folders were not listed"):
        told(mailbox(server))


def test_the_folders_are_listed_once_for_both_halves_of_a_look_and_anew_for_the_next(server: PlainImap) -> None:
    box = mailbox(server)
    for n in range(1, 3):
        told(box)
        look(box)
        assert [line.partition(" ")[0] for line in server.commands].count("LIST") == n
    told(box)
    box.close()
    look(box)
    assert [line.partition(" ")[0] for line in server.commands].count("LIST") == 4


def test_a_mailbox_with_a_sent_folder_has_no_remark(server: PlainImap) -> None:
    assert mailbox(server).remarks() == ()
    del server.boxes["Sent"]
    (remark,) = mailbox(server).remarks()
    assert "whom you have written to is not known" in remark


def test_a_folder_under_never_touch_that_is_not_there_is_a_remark(server: PlainImap) -> None:
    (remark,) = mailbox(server, never_touch=("Trash", "Cuort")).remarks()
    assert "number 2" in remark and "Cuort" not in remark

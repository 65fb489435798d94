"""A mailbox when things go wrong: each fault ends in time, is said, holds up nothing else, touches nobody's mail."""

import logging
import re
import time
import traceback
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest

from nocontactd.errors import NocontactError, SourceError, UnreachableError
from nocontactd.model import Cursor, Envelope, Look, MessageRef, Receipt
from nocontactd.sources.imap import Mailbox
from nocontactd.sources.imap.answers import copyuid
from nocontactd.sources.imap.length import PIECE
from nocontactd.sources.imap.look import AUTHOR_FIELDS, HEADER, arrived
from nocontactd.sources.imap.older import BACKLOG
from nocontactd.sources.imap.screen import SCREENED
from nocontactd.sources.imap.session import CHUNK
from nocontactd.sources.imap.wire import COMMAND_OCTETS, Patience
from tests.looking import look_at
from tests.peers.dovecot import Dovecot, dovecot
from tests.peers.onlooker import MailServer, looking
from tests.peers.plain_imap import GMAIL, PLAIN, Box, HangUpError, Mail, PlainImap, plain_imap
from tests.recognition import blocked

HURRY = Patience(connect=2, read=0.7, command=1.2, farewell=0.2)
EX = b"From: Ex <ex@abuser.example>\r\nSubject: now\r\nMessage-ID: <%d@abuser.example>\r\n\r\nanswer me %d\r\n"
FRIEND = b"From: nadia@friends.example\r\nSubject: tea\r\nMessage-ID: <%d@friends.example>\r\n\r\ntea %d\r\n"
Answers = Iterable[bytes]


@pytest.fixture
def server() -> Iterator[PlainImap]:
    with plain_imap() as running:
        yield running


def mailbox(server: MailServer, user: str = "", patience: Patience = HURRY, **options: object) -> Mailbox:
    return Mailbox(
        "home", host=server.host, port=server.port, user=user or server.user, security="none",
        password=lambda: server.password, patience=patience, **options,  # type: ignore[arg-type]
    )  # fmt: skip


def look(box: Mailbox, cursors: dict[str, Cursor] | None = None) -> tuple[list[Envelope], list[Look]]:
    return look_at(box, cursors or {})


def refs(box: Mailbox) -> list[MessageRef]:
    return [e.ref for e in look(box)[0] if "ex@abuser.example" in {author.address for author in e.authors}]


def receipts(of: Iterable[MessageRef]) -> list[Receipt]:
    return [Receipt(f"2026-11-22/{n:06}", ref) for n, ref in enumerate(of, 1)]


def octets_of(box: Mailbox, ref: MessageRef) -> bytes:
    original = box.fetch(ref)
    assert original
    return b"".join(chunk for part in original.parts for chunk in part.chunks)


def refused(answer: bytes, why: bytes) -> bytes:
    """The tagged answer alone, as a NO."""
    return re.sub(rb"\A(?:.*\r\n)?(\S+) OK .*", rb"\1 NO ", answer, flags=re.DOTALL) + why + b"\r\n"


def on(pattern: str, change: Callable[[bytes], Answers]) -> Callable[[str, bytes], Answers]:
    """Meddle with the answers to commands that match."""
    return lambda line, answer: change(answer) if re.match(pattern, line) else [answer]


def cut_in_the_middle(answer: bytes) -> Iterator[bytes]:
    yield answer[: len(answer) // 2]
    raise HangUpError


def bye(_answer: bytes) -> Iterator[bytes]:
    yield b"* BYE going down\r\n"
    raise HangUpError


def endless(_answer: bytes) -> Iterator[bytes]:
    while True:
        yield b"* OK still here\r\n" * 1000
        time.sleep(0.01)


def drip(answer: bytes) -> Iterator[bytes]:
    for octet in answer:
        yield bytes([octet])
        time.sleep(0.05)


def silent(_answer: bytes) -> Iterator[bytes]:
    time.sleep(1.5)
    raise HangUpError
    yield b""


def huge_literal(answer: bytes) -> Iterator[bytes]:
    yield re.sub(rb"\{\d+\}", b"{2147483647}", answer)


def nonsense(_answer: bytes) -> Iterator[bytes]:
    yield b"* 1 FETCH (UID\r\n* LIST ((((\r\n* SEARCH x\r\nQ1 OK\r\n"
    raise HangUpError


FAULTS = [cut_in_the_middle, bye, endless, drip, silent, huge_literal, nonsense]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_while_fetching_is_a_source_error_in_time_and_the_next_message_comes(
    server: PlainImap, fault: Callable[[bytes], Answers]
) -> None:
    for n in range(2):
        server.boxes["INBOX"].put(Mail(EX % (n, n) + b"x" * 200))
    box = mailbox(server)
    first, second = refs(box)
    server.meddle = on(r"UID FETCH 1 ", fault)
    begin = time.monotonic()
    with pytest.raises(SourceError, match="home: a message was not fetched and not sealed") as failure:
        octets_of(box, first)
    assert time.monotonic() - begin < 4
    assert not isinstance(failure.value, UnreachableError)
    assert octets_of(box, second) == EX % (1, 1) + b"x" * 200


def test_a_flood_ends_by_its_size_long_before_the_deadline(server: PlainImap) -> None:
    sent = [0]

    def flood(_answer: bytes) -> Iterator[bytes]:
        while True:
            sent[0] += 60_000
            yield b"* OK " + b"x" * 59_993 + b"\r\n"

    server.boxes["INBOX"].put(Mail(EX % (1, 1)))
    box = mailbox(server, patience=Patience())
    (ref,) = refs(box)
    server.meddle = on("UID FETCH", flood)
    with pytest.raises(SourceError, match="the connection was lost"):
        box.fetch(ref)
    assert sent[0] < 2 * COMMAND_OCTETS
    server._talks[0].join(5)
    assert not server._talks[0].is_alive(), "the connection is still open"


def test_a_literal_of_impossible_size_is_refused_at_once_and_not_waited_for(server: PlainImap) -> None:
    server.boxes["INBOX"].put(Mail(EX % (1, 1)))
    box = mailbox(server, patience=Patience(read=5))
    (ref,) = refs(box)
    server.meddle = on("UID FETCH", huge_literal)
    begin = time.monotonic()
    with pytest.raises(SourceError, match="the connection was lost"):
        box.fetch(ref)
    assert time.monotonic() - begin < 3


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_in_one_folder_is_its_problem_and_the_others_are_looked_through(
    server: PlainImap, fault: Callable[[bytes], Answers]
) -> None:
    server.boxes["Archive"] = Box(20)
    server.boxes["Zoo"] = Box(21)
    for name in ("INBOX", "Archive", "Zoo"):
        server.boxes[name].put(Mail(EX % (1, 1) + b"x" * 200))
    opened: list[str] = []

    def meddle(line: str, answer: bytes) -> Answers:
        opened.extend(re.findall(r'EXAMINE "(.*)"', line))
        return fault(answer) if line.startswith("UID FETCH") and opened[-1] == "Archive" else [answer]

    server.meddle = meddle
    envelopes, looks = look(mailbox(server))
    assert {e.ref.folder for e in envelopes} == {"INBOX", "Zoo"}
    assert {seen.folder: bool(seen.problem) for seen in looks} == {
        "INBOX": False, "Archive": True, "Trash": False, "Zoo": False,
    }  # fmt: skip
    assert server.connections == 2


def test_a_server_that_goes_away_leaves_a_problem_for_each_folder_and_what_was_found(server: PlainImap) -> None:
    server.boxes["INBOX"].put(Mail(EX % (1, 1)))
    server.boxes["Archive"] = Box(20)

    def meddle(line: str, answer: bytes) -> Answers:
        if line.startswith('EXAMINE "Archive"'):
            server.lock_the_door()
            raise HangUpError
        return [answer]

    server.meddle = meddle
    envelopes, looks = look(mailbox(server), {"INBOX": Cursor("INBOX", 7, 1, "r")})
    assert len(envelopes) == 1
    assert [seen.problem for seen in looks] == ["", "the connection was lost", "the server could not be reached again"]


def test_a_folder_that_is_refused_is_a_problem_and_costs_no_connection(server: PlainImap) -> None:
    server.boxes["Archive"] = Box(20)
    server.meddle = on('EXAMINE "Archive"', lambda answer: [refused(answer, b"[NOPERM] no")])
    _, looks = look(mailbox(server))
    assert [(seen.folder, seen.problem) for seen in looks] == [
        ("INBOX", ""), ("Archive", "the server refused (NOPERM)"), ("Trash", ""),
    ]  # fmt: skip
    assert server.connections == 1


def test_a_look_goes_on_in_its_own_folder_whatever_is_asked_in_between(server: PlainImap) -> None:
    server.boxes["Archive"] = Box(20)
    for n in range(1200):
        server.boxes["INBOX"].put(Mail(FRIEND % (n, n)))
    server.boxes["Archive"].put(Mail(EX % (1, 1)))
    box = mailbox(server, patience=Patience())
    authors = set()
    for item in box.scan({"INBOX": Cursor("INBOX", 7, 1, "r")}, "r"):
        if isinstance(item, Envelope) and item.ref.folder == "INBOX":
            authors |= {author.address for author in item.authors}
            if int(item.ref.uid) % 400 == 0:
                assert octets_of(box, MessageRef("home", "Archive", 20, "1")) == EX % (1, 1)
    assert authors == {"nadia@friends.example"}


def test_octets_that_came_with_a_refusal_are_not_taken_for_those_that_come_next(server: PlainImap) -> None:
    server.boxes["INBOX"].put(Mail(EX % (1, 1)))
    box = mailbox(server)
    (ref,) = refs(box)
    server.meddle = on("UID FETCH", lambda answer: [re.sub(rb"(\S+) OK done", rb"\1 NO [SERVERBUG] oh", answer)])
    with pytest.raises(SourceError, match=r"refused \(SERVERBUG\)"):
        box.fetch(ref)
    server.meddle = lambda _line, answer: [answer]
    server.boxes["INBOX"].mails[1].octets = (EX % (1, 1)).replace(b"answer", b"ANSWER")
    assert b"ANSWER" in octets_of(box, ref)
    assert server.connections == 1


@pytest.mark.parametrize("name", [b'"caf\xe9"', b"{6}\r\ntwo\r\nx", b'"n\0l"'])
def test_a_folder_whose_name_cannot_be_asked_for_is_a_problem_of_its_own(server: PlainImap, name: bytes) -> None:
    server.meddle = on("LIST", lambda answer: [b'* LIST () "/" ' + name + b"\r\n" + answer])
    _, looks = look(mailbox(server))
    assert sorted(seen.problem for seen in looks) == ["", "", "its name cannot be asked for"]
    assert not [line for line in server.commands if line.startswith(("x", "two"))]


def test_a_folder_called_nil_is_a_folder(server: PlainImap) -> None:
    server.boxes["NIL"] = Box(50)
    server.meddle = on("LIST", lambda answer: [answer.replace(b'"NIL"', b"NIL")])
    assert [seen.folder for seen in look(mailbox(server))[1]] == ["INBOX", "NIL", "Trash"]


def test_a_missing_chosen_folder_is_said(server: PlainImap) -> None:
    _, looks = look(mailbox(server, folders=("INBOX", "Gone")))
    assert [(seen.folder, bool(seen.problem)) for seen in looks] == [("INBOX", False), ("Gone", True)]


@pytest.mark.parametrize("uids", [b"1 99999999999999999999", b"1 x"])
def test_uids_that_are_none_are_a_problem(server: PlainImap, uids: bytes) -> None:
    server.boxes["INBOX"].put(Mail(EX % (1, 1)))
    server.meddle = on("UID SEARCH", lambda answer: [re.sub(rb"SEARCH .*?\r", b"SEARCH " + uids + b"\r", answer)])
    _, looks = look(mailbox(server))
    assert looks[0].problem == "the server's answer cannot be read"


def test_a_folder_without_uidvalidity_is_a_problem(server: PlainImap) -> None:
    server.meddle = on('EXAMINE "INBOX"', lambda answer: [answer.replace(b"UIDVALIDITY 7", b"UIDSTICKY")])
    _, looks = look(mailbox(server))
    assert looks[0].problem == "the server gives no UIDVALIDITY there, or one that is none (RFC 9051, 9)"


def test_a_uidvalidity_that_no_ledger_can_hold_is_a_problem(server: PlainImap) -> None:
    large = b"UIDVALIDITY %d" % 2**63
    server.meddle = on('EXAMINE "INBOX"', lambda answer: [answer.replace(b"UIDVALIDITY 7", large)])
    _, looks = look(mailbox(server))
    assert "RFC 9051" in looks[0].problem


def test_without_uidnext_the_highest_uid_leads_on_and_an_arrival_is_not_missed(server: PlainImap) -> None:
    server.gives_uidnext = False
    box = mailbox(server, folders=("INBOX",))
    assert look(box)[1] == [Look("INBOX", 7, 1, 0)]
    server.boxes["INBOX"].put(Mail(EX % (1, 1)))
    _, (seen,) = look(box)
    assert seen.next_uid == 2
    cursors = {"INBOX": Cursor("INBOX", 7, 2, "r")}
    assert look(box, cursors) == ([], [Look("INBOX", 7, 2, 1)])
    server.boxes["INBOX"].put(Mail(EX % (2, 2)))
    envelopes, (seen,) = look(box, cursors)
    assert ([e.ref.uid for e in envelopes], seen.next_uid) == (["2"], 3)


def test_what_arrives_while_a_folder_is_looked_through_is_seen_now_or_next_time(server: PlainImap) -> None:
    inbox = server.boxes["INBOX"]
    inbox.put(Mail(EX % (1, 1)))
    box = mailbox(server, folders=("INBOX",))

    def deliver(answer: bytes) -> Answers:
        inbox.put(Mail(EX % (2, 2)))
        return [answer]

    for moment in (r"EXAMINE", r"UID SEARCH", r"UID FETCH"):
        inbox.mails = {1: inbox.mails[1]}
        server.meddle = on(moment, deliver)
        first, (seen,) = look(box)
        server.meddle = lambda _line, answer: [answer]
        then, _ = look(box, {"INBOX": Cursor("INBOX", 7, seen.next_uid, "r")})
        assert {e.ref.uid for e in first + then} == {str(uid) for uid in inbox.mails}, moment


def test_a_message_that_vanishes_while_headers_are_read_is_no_error(server: PlainImap) -> None:
    for n in range(3):
        server.boxes["INBOX"].put(Mail(EX % (n, n)))
    server.meddle = on(
        "UID FETCH", lambda answer: [re.sub(rb"(\S+) OK done", rb"\1 NO [EXPUNGEISSUED] some have gone", answer)]
    )
    envelopes, looks = look(mailbox(server))
    assert len(envelopes) == 3
    assert not looks[0].problem


def fetches(server: PlainImap) -> list[tuple[list[str], str]]:
    found = (re.fullmatch(r"UID FETCH (\S+) (.*)", line) for line in server.commands)
    return [(match[1].split(","), match[2]) for match in found if match]


def test_a_backlog_is_judged_by_author_fields_and_by_the_whole_header_where_they_look_odd(server: PlainImap) -> None:
    inbox = server.boxes["INBOX"]
    odd = {
        100: b"From: nadia@friends.example\r\nSender:\xe9 ex@abuser.example\r\n\r\nx",
        200: b"Subject: none\r\nSender : ex@abuser.example\r\n\r\nx",
        300: b"\r\nnot a header",
    }
    for n in range(1, BACKLOG + 502):
        inbox.put(Mail(odd.get(n, FRIEND % (n, n))))
    box = mailbox(server, folders=("INBOX",), patience=Patience())
    envelopes, (seen,) = look_at(box, {}, concerns=blocked("ex@abuser.example").concerns)
    assert (len(envelopes), seen.next_uid, seen.exists) == (2, BACKLOG + 502, BACKLOG + 501)
    asked = fetches(server)
    assert max(len(uids) for uids, _ in asked) <= 500
    assert not any(":" in uid or "*" in uid for uids, _ in asked for uid in uids)
    whole = [uid for uids, items in asked if "PEEK[HEADER]" in items for uid in uids]
    assert whole == ["100", "200", "300"]
    assert all("PEEK" in items for _, items in asked)
    by_uid = {e.ref.uid: {a.address for a in e.authors} for e in envelopes}
    assert "ex@abuser.example" in by_uid["100"] & by_uid["200"]


def test_what_is_new_is_judged_by_its_whole_header_however_much_there_is(server: PlainImap) -> None:
    inbox = server.boxes["INBOX"]
    for n in range(1, BACKLOG + 101):
        inbox.put(Mail(FRIEND % (n, n)))
    look(mailbox(server, folders=("INBOX",), patience=Patience()), {"INBOX": Cursor("INBOX", 7, 1, "r")})
    assert {items for _, items in fetches(server) if "FIELDS" in items} == set()


def test_the_author_fields_that_are_asked_for_hold_every_one_that_can_seal() -> None:
    from nocontactd.headers.fields import author_fields

    asked = AUTHOR_FIELDS
    read = {name.upper() for field in asked for name, _ in author_fields(f"{field}: x@y.example\r\n\r\n".encode())}
    assert read == set(asked) - {"MESSAGE-ID"}
    known = "From Sender Reply-To Return-Path Resent-From Resent-Sender Author X-Original-From X-Original-Sender"
    assert {name.upper() for name in known.split()} <= read


def test_a_command_for_a_backlog_is_no_longer_than_servers_take() -> None:
    """RFC 7162, 4: 8,000 octets. The widest UIDs."""
    uids = ",".join(["4294967295"] * CHUNK)
    assert len(f"ABCD99999 UID FETCH {uids} {SCREENED}\r\n") < 8_000


@pytest.mark.parametrize("size", [HEADER, 3 * HEADER, 1024 * 1024 + 5000])
def test_an_author_far_down_in_a_long_header_is_found_when_looking_and_when_fetching(
    server: PlainImap, size: int
) -> None:
    line = b"X-Filler: " + b"x" * 88 + b"\r\n"
    letter = b"From: nadia@friends.example\r\n" + line * (size // 100) + b"Sender: ex@abuser.example\r\n\r\nbody\r\n"
    server.boxes["INBOX"].put(Mail(letter))
    box = mailbox(server)
    (ref,) = refs(box)
    original = box.fetch(ref)
    assert original
    assert "ex@abuser.example" in {author.address for author in original.envelope.authors}
    assert b"".join(chunk for part in original.parts for chunk in part.chunks) == letter


@pytest.mark.parametrize("size", [0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 3 * PIECE + 17])
def test_a_message_of_any_size_comes_whole_and_in_bounded_pieces(server: PlainImap, size: int) -> None:
    head = EX % (1, 1)
    letter = head + b"\0\xff\r\n"[:1] * (size - len(head)) if size > len(head) else b"y" * size
    server.boxes["INBOX"].put(Mail(letter))
    box = mailbox(server)
    ((envelope,), _) = look(box)
    original = box.fetch(envelope.ref)
    assert original
    (part,) = original.parts
    chunks = list(part.chunks)
    assert b"".join(chunks) == letter
    assert part.size == len(letter)
    assert max(map(len, chunks), default=0) <= PIECE
    assert len(fetches(server)) <= 3 + size // PIECE  # a large one is asked for its end first


def test_a_large_message_is_held_in_memory_piece_by_piece(server: PlainImap) -> None:
    server.boxes["INBOX"].put(Mail(EX % (1, 1) + b"x" * 24 * PIECE))
    box = mailbox(server, patience=Patience())
    (ref,) = refs(box)
    original = box.fetch(ref)
    assert original
    (part,) = original.parts
    next(iter(part.chunks))
    server.meddle = on("UID FETCH", lambda answer: [answer])
    tracemalloc.start()
    try:
        total = sum(len(chunk) for chunk in part.chunks)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert total == 23 * PIECE + len(EX % (1, 1))
    assert peak < 12 * PIECE  # the server of the tests lives in this process, too


INVENTED = b"From: ex@abuser.example\r\nSubject: message unavailable\r\n%s\r\nIt has gone.\r\n"


@pytest.mark.parametrize("message_id", [b"", b"Message-ID: <invented@server>\r\n"])
def test_an_invented_message_in_place_of_one_that_has_gone_is_not_sealed(server: PlainImap, message_id: bytes) -> None:
    inbox = server.boxes["INBOX"]
    inbox.put(Mail(EX % (1, 1)))
    box = mailbox(server)
    (ref,) = refs(box)
    assert list(box.envelopes([ref]))
    inbox.mails[1] = Mail(INVENTED % message_id)
    with pytest.raises(SourceError, match="not the message that was looked at"):
        box.fetch(ref)


def test_another_message_of_the_same_size_is_known_by_its_message_id(server: PlainImap) -> None:
    inbox = server.boxes["INBOX"]
    inbox.put(Mail(EX % (1, 1)))
    box = mailbox(server)
    (ref,) = refs(box)
    assert list(box.envelopes([ref]))
    inbox.mails[1] = Mail(EX % (2, 2))
    with pytest.raises(SourceError, match="not the message that was looked at"):
        box.fetch(ref)


@pytest.mark.parametrize(
    "answer", [b"", b"* 1 FETCH (UID 1 FLAGS ())\r\n", b"* 1 FETCH (UID 1 RFC822.SIZE 9 BODY[] NIL)\r\n"],
)  # fmt: skip
def test_a_message_that_the_server_lists_and_does_not_give_is_an_error_and_not_gone(
    server: PlainImap, answer: bytes
) -> None:
    server.boxes["INBOX"].put(Mail(EX % (1, 1)))
    box = mailbox(server)
    (ref,) = refs(box)
    server.meddle = on("UID FETCH", lambda whole: [answer + whole[whole.rindex(b"\r\n", 0, -2) + 2 :]])
    with pytest.raises(SourceError, match="lists it, but does not give it"):
        box.fetch(ref)


@pytest.mark.parametrize(("said", "instead"), [(b"UID 1", b"UID 2"), (b"<1048576>", b"<0>"), (b"<1048576>", b"")])
def test_a_later_piece_of_another_message_or_from_another_place_is_not_taken(
    server: PlainImap, said: bytes, instead: bytes
) -> None:
    server.boxes["INBOX"].put(Mail((EX % (1, 1)).ljust(2 * PIECE + 5, b"x")))
    box = mailbox(server)
    (ref,) = refs(box)
    server.meddle = on(r"UID FETCH 1 .*<1048576", lambda answer: [answer.replace(said, instead)])
    with pytest.raises(SourceError, match="not as long"):
        octets_of(box, ref)


def test_a_message_that_vanishes_between_two_pieces_is_an_error(server: PlainImap) -> None:
    inbox = server.boxes["INBOX"]
    inbox.put(Mail((EX % (1, 1)).ljust(2 * PIECE + 5, b"x")))
    box = mailbox(server)
    (ref,) = refs(box)
    original = box.fetch(ref)
    assert original
    inbox.mails.clear()
    with pytest.raises(SourceError):
        b"".join(chunk for part in original.parts for chunk in part.chunks)


def test_the_facts_of_the_transport_are_kept_as_the_server_spelled_them() -> None:
    with plain_imap(GMAIL) as server:
        server.boxes["INBOX"].put(Mail(EX % (1, 1), date=" 7-Jul-2026 02:44:25 -0700"))
        box = mailbox(server)
        original = box.fetch(refs(box)[0])
        assert original
        assert dict(original.facts) == {
            "greeting": "* OK ready",
            "internaldate": " 7-Jul-2026 02:44:25 -0700",
            "rfc822_size": str(len(EX % (1, 1))),
            "x_gm_msgid": str(12_000_000 + len(EX % (1, 1))),
        }
        assert original.envelope.arrived == datetime(2026, 7, 7, 9, 44, 25, tzinfo=UTC)


@pytest.mark.parametrize(
    ("spelled", "utc"),
    [
        ("17-Jul-1996 02:44:25 -0700", datetime(1996, 7, 17, 9, 44, 25, tzinfo=UTC)),
        (" 1-jan-2026 00:00:00 +0530", datetime(2025, 12, 31, 18, 30, tzinfo=UTC)),
        ("1-Jan-2026 00:00:00 +0000", datetime(2026, 1, 1, tzinfo=UTC)),
        ("31-Feb-2026 00:00:00 +0000", datetime(1970, 1, 1, tzinfo=UTC)),
        ("01-Jan-0001 00:00:00 +1400", datetime(1970, 1, 1, tzinfo=UTC)),
        ("01-Foo-2026 00:00:00 +0000", datetime(1970, 1, 1, tzinfo=UTC)),
        ("01-Jan-2026 00:00:00 +9999", datetime(1970, 1, 1, tzinfo=UTC)),
        ("", datetime(1970, 1, 1, tzinfo=UTC)),
    ],
)
def test_an_internaldate_is_read_in_any_locale_and_an_unreadable_one_is_the_epoch(spelled: str, utc: datetime) -> None:
    assert arrived(spelled) == utc
    assert arrived(spelled).tzinfo is UTC


# -- removing


def states(box: Box) -> dict[int, set[str]]:
    return {uid: set(mail.flags) for uid, mail in box.mails.items()}


def test_with_neither_move_nor_uidplus_nothing_is_expunged_while_another_mark_stands(server: PlainImap) -> None:
    inbox = server.boxes["INBOX"]
    inbox.put(Mail(FRIEND % (1, 1), {"\\Deleted", "\\Seen"}))
    inbox.put(Mail(EX % (2, 2)))
    inbox.put(Mail(FRIEND % (3, 3)))
    box = mailbox(server)
    taken = receipts(refs(box))
    removal = box.remove(taken)
    assert removal.gone == ()
    assert "marked, but not expunged" in str(removal.problems[0])
    assert str(removal.problems[0]).startswith("home: what is sealed was not removed: ")
    assert states(inbox) == {1: {"\\Deleted", "\\Seen"}, 2: {"\\Deleted"}, 3: set()}
    inbox.mails[1].flags.discard("\\Deleted")
    assert box.remove(taken).gone == tuple(taken)
    assert states(inbox) == {1: {"\\Seen"}, 3: set()}


@pytest.mark.parametrize(
    "capabilities", [(*PLAIN, "UIDPLUS"), (*PLAIN, "UIDPLUS", "MOVE"), (*PLAIN, "MOVE"), PLAIN, GMAIL]
)
def test_no_server_is_ever_asked_to_close_a_folder_and_a_whole_expunge_only_where_it_must(
    capabilities: tuple[str, ...],
) -> None:
    with plain_imap(capabilities) as server:
        server.boxes["INBOX"].put(Mail(EX % (1, 1)))
        box = mailbox(server)
        for _ in range(2):
            taken = receipts(refs(box))
            removal = box.remove(taken)
            box.remove(removal.moved)
        box.close()
        assert "CLOSE" not in server.commands
        assert ("EXPUNGE" in server.commands) == ("UIDPLUS" not in capabilities)
        assert not any(found.mails for found in server.boxes.values())


def test_at_gmail_a_message_goes_through_the_trash_and_its_receipt_with_it() -> None:
    with plain_imap(GMAIL) as server:
        inbox, bin_ = server.boxes["INBOX"], server.boxes["Trash"]
        bin_.put(Mail(FRIEND % (9, 9), {"\\Deleted"}))
        for n in range(3):
            inbox.put(Mail(EX % (n, n)))
        inbox.put(Mail(FRIEND % (5, 5)))
        box = mailbox(server)
        taken = receipts(refs(box))
        removal = box.remove(taken)
        assert (removal.gone, removal.problems) == ((), ())
        places = [(r.record, r.ref.folder, r.ref.uidvalidity, r.ref.uid) for r in removal.moved]
        assert places == [(r.record, "Trash", 10, str(n)) for n, r in enumerate(taken, 2)]
        last = box.remove(removal.moved)
        assert (last.gone, last.moved, last.problems) == (removal.moved, (), ())
        assert states(bin_) == {1: {"\\Deleted"}}
        assert list(inbox.mails) == [4]


def test_at_gmail_what_has_gone_already_is_gone_and_not_moved() -> None:
    with plain_imap(GMAIL) as server:
        inbox = server.boxes["INBOX"]
        for n in range(3):
            inbox.put(Mail(EX % (n, n)))
        box = mailbox(server)
        taken = receipts(refs(box))
        del inbox.mails[2]
        removal = box.remove(taken)
        assert removal.gone == (taken[1],)
        assert [r.record for r in removal.moved] == [taken[0].record, taken[2].record]


def test_where_removing_goes_through_the_trash_it_is_looked_through_beside_the_chosen_folders() -> None:
    for capabilities in (GMAIL, (*PLAIN, "MOVE")):
        with plain_imap(capabilities) as server:
            assert [seen.folder for seen in look(mailbox(server, folders=("INBOX",)))[1]] == ["INBOX", "Trash"]
    with plain_imap() as server:
        assert [seen.folder for seen in look(mailbox(server, folders=("INBOX",)))[1]] == ["INBOX"]


def test_a_server_that_can_only_move_moves_and_the_next_look_finds_it_in_the_trash() -> None:
    with plain_imap((*PLAIN, "MOVE")) as server:
        inbox = server.boxes["INBOX"]
        inbox.put(Mail(FRIEND % (1, 1), {"\\Deleted"}))
        inbox.put(Mail(EX % (2, 2)))
        box = mailbox(server)
        taken = receipts(refs(box))
        removal = box.remove(taken)
        assert (removal.gone, removal.moved, removal.problems) == (tuple(taken), (), ())
        (again,) = refs(box)
        assert again.folder == "Trash"
        assert box.remove(receipts([again])).problems == ()
        assert states(inbox) == {1: {"\\Deleted"}}
        assert not server.boxes["Trash"].mails


def test_a_read_only_folder_is_said_and_holds_up_no_other(server: PlainImap) -> None:
    server.boxes["Old"] = Box(30, read_only=True)
    for name in ("INBOX", "Old"):
        server.boxes[name].put(Mail(EX % (1, 1)))
    box = mailbox(server)
    taken = receipts(refs(box))
    removal = box.remove(sorted(taken, key=lambda r: r.ref.folder, reverse=True))
    assert [r.ref.folder for r in removal.gone] == ["INBOX"]
    assert ["can only be read" in str(problem) for problem in removal.problems] == [True]


@pytest.mark.parametrize("capabilities", [PLAIN, (*PLAIN, "UIDPLUS")])
def test_ok_to_a_removal_that_did_nothing_is_noticed(capabilities: tuple[str, ...]) -> None:
    with plain_imap(capabilities) as server:
        server.boxes["INBOX"] = Box(7, read_only=True)
        server.boxes["INBOX"].put(Mail(EX % (1, 1)))
        server.meddle = on("SELECT", lambda answer: [answer.replace(b"READ-ONLY", b"READ-WRITE")])
        kept = on("(UID )?EXPUNGE", lambda answer: [answer.replace(b"NO read-only", b"OK done")])
        plain = server.meddle
        server.meddle = lambda line, answer: kept(line, b"".join(plain(line, answer)))
        box = mailbox(server)
        removal = box.remove(receipts(refs(box)))
        assert removal.gone == ()
        assert "kept what it was asked to remove" in str(removal.problems[0])


def test_what_was_expunged_before_it_was_marked_is_expunged_once_more() -> None:
    """As Dovecot may do with commands that come together."""
    with plain_imap((*PLAIN, "UIDPLUS")) as server:
        uids = [server.boxes["INBOX"].put(Mail(EX % (n, n))) for n in range(3)]
        stores: list[str] = []

        def late(line: str, answer: bytes) -> list[bytes]:
            if line.startswith("UID STORE") and not stores:
                stores.append(line)
                for uid in uids[1:]:
                    server.boxes["INBOX"].mails[uid].flags.discard("\\Deleted")
            return [answer]

        server.meddle = late
        box = mailbox(server)
        removal = box.remove(receipts(refs(box)))
        assert (len(removal.gone), removal.problems) == (3, ())
        assert [line.split()[2] for line in server.commands if line.startswith("UID EXPUNGE")] == ["1,2,3", "2,3"]


def test_a_folder_that_has_gone_has_taken_its_messages_along(server: PlainImap) -> None:
    server.boxes["Old"] = Box(30)
    server.boxes["Old"].put(Mail(EX % (1, 1)))
    box = mailbox(server)
    taken = receipts(refs(box))
    del server.boxes["Old"]
    removal = box.remove(taken)
    assert (removal.gone, removal.problems) == (tuple(taken), ())


@pytest.mark.parametrize("command", ["SELECT", "UID STORE", "UID EXPUNGE", "UID SEARCH", "UID MOVE"])
@pytest.mark.parametrize("capabilities", [PLAIN, (*PLAIN, "UIDPLUS"), GMAIL])
def test_a_connection_lost_at_any_moment_of_a_removal_is_finished_by_the_next(
    capabilities: tuple[str, ...], command: str
) -> None:
    with plain_imap(capabilities) as server:
        inbox = server.boxes["INBOX"]
        inbox.put(Mail(FRIEND % (1, 1)))
        inbox.put(Mail(EX % (2, 2)))
        box = mailbox(server)
        taken = receipts(refs(box))
        server.meddle = on(command, lambda _answer: cut_in_the_middle(b""))
        box.remove(taken)
        server.meddle = lambda _line, answer: [answer]
        for _ in range(2):  # what was moved unheard is found in the Trash
            box.remove(box.remove(receipts(refs(box))).moved)
        assert box.remove(taken).gone == tuple(taken)
        assert {name: list(found.mails) for name, found in server.boxes.items() if found.mails} == {"INBOX": [1]}


def test_a_server_that_cannot_be_reached_leaves_all_receipts_open() -> None:
    with plain_imap() as server:
        server.boxes["INBOX"].put(Mail(EX % (1, 1)))
        box = mailbox(server)
        taken = receipts(refs(box))
    removal = box.remove(taken)
    assert removal.gone == ()
    assert removal.problems
    removal = box.remove(taken)
    assert isinstance(removal.problems[0], UnreachableError)


def test_removals_are_asked_for_in_few_commands_that_are_no_longer_than_servers_take() -> None:
    """RFC 7162, 4: 8,000 octets."""
    with plain_imap((*PLAIN, "UIDPLUS")) as server:
        uids = [str(server.boxes["INBOX"].put(Mail(EX % (n, n)))) for n in range(1801)]
        box = mailbox(server, patience=Patience())
        assert len(box.remove(receipts(refs(box))).gone) == len(uids)
        for command in ("UID STORE", "UID EXPUNGE"):
            asked = [line for line in server.commands if line.startswith(command)]
            assert len(asked) == 2
            assert max(map(len, asked)) < 8_000 - len("ABCD99999 \r\n")
            assert ",".join(line.split()[2] for line in asked).split(",") == uids, "each by its number, and no other"


@pytest.mark.parametrize(
    ("answer", "places"),
    [
        (b"38505 304,319:320 3956:3958", {304: (38505, 3956), 319: (38505, 3957), 320: (38505, 3958)}),
        (b"1 5 9", {5: (1, 9)}),
        (b"1 5,6 9", {}),
        (b"1 1:4294967295 1:4294967295", {}),
        (b"1 5 *", {}),
        (b"", {}),
    ],
)
def test_a_copyuid_is_read_or_counts_for_nothing(answer: bytes, places: dict[int, tuple[int, int]]) -> None:
    assert copyuid([answer], 3) == places


# -- at large, and at a real server


def test_nothing_of_a_message_or_a_folder_or_the_user_is_logged_or_told(
    server: PlainImap, caplog: pytest.LogCaptureFixture
) -> None:
    canaries = ["".join(("canary-", word)) for word in ("person", "subject", "body", "folder", "user")]
    person, subject, body, folder, server.user = canaries
    letter = f"From: {person} <{person}@abuser.example>\r\nSubject: {subject}\r\n\r\n{body}\r\n".encode()
    server.boxes[folder] = Box(40)
    server.boxes[folder].put(Mail(letter))
    told = []
    caplog.set_level(logging.DEBUG)
    for name in ("imapclient", "imapclient.imapclient", "imapclient.imaplib", "imapclient.util"):
        logging.getLogger(name).setLevel(logging.DEBUG)
    box = mailbox(server)
    ((envelope,), _) = look(box)
    octets_of(box, envelope.ref)
    for pattern in ("EXAMINE", "UID FETCH", "SELECT", "UID STORE", "LIST", "LOGIN"):
        server.meddle = on(pattern, lambda answer: [refused(answer, " ".join(canaries).encode())])
        box.close()
        try:
            told += [seen.problem for seen in look(box)[1]]
            told += map(str, box.remove(receipts([envelope.ref])).problems)
            box.fetch(envelope.ref)
        except NocontactError as error:
            told += traceback.format_exception(error)
    told += [record.getMessage() for record in caplog.records]
    assert told
    assert not [canary for canary in canaries if canary in "".join(told)]


@pytest.fixture(scope="module")
def a_dovecot() -> Iterator[Dovecot]:
    with dovecot() as running:
        yield running


USERS = count(1)


def maildir(server: Dovecot, user: str, letters: Iterable[bytes]) -> None:
    """Deliver straight into the Maildir, as Postfix does: with bare LF."""
    folder = server.folder / "home" / user / "Maildir"
    with looking(server, user) as onlooker:
        onlooker.put(b"From: first@friends.example\r\n\r\n")
    owner = folder.stat()
    for n, letter in enumerate(letters):
        path = folder / "new" / f"{1_700_000_000 + n}.M{n}.tests"
        path.write_bytes(letter)
        _give(path, owner.st_uid, owner.st_gid)


def _give(path: Path, uid: int, gid: int) -> None:
    import os

    if os.getuid() == 0:
        os.chown(path, uid, gid)


def test_thousands_of_messages_are_looked_through_and_hundreds_removed_in_chunks(a_dovecot: Dovecot) -> None:
    user = f"many{next(USERS)}"
    letters = [(EX if n % 4 == 0 else FRIEND) % (n, n) for n in range(2500)]
    maildir(a_dovecot, user, (letter.replace(b"\r\n", b"\n") for letter in letters))
    box = mailbox(a_dovecot, user, Patience())
    with looking(a_dovecot, user) as onlooker:
        taken = refs(box)
        assert len(taken) == 625
        before = onlooker.everything()
        assert octets_of(box, taken[7]) == before["INBOX", taken[7].uidvalidity, int(taken[7].uid)].octets
        removal = box.remove(receipts(taken))
        assert (len(removal.gone), removal.problems) == (625, ())
        left = {at: sight for at, sight in before.items() if b"ex@abuser" not in sight.octets}
        assert onlooker.everything() == left
    box.close()


def test_odd_octets_in_a_maildir_come_as_the_server_gives_them_to_anybody(a_dovecot: Dovecot) -> None:
    user = f"odd{next(USERS)}"
    letters = [
        b"From: ex@abuser.example\n\nbare LF, NUL \0 and 8bit \xff\xfe\n",
        b"From: ex@abuser.example\r\n\nmixed\r\nline ends\n",
        b"From: ex@abuser.example\n\n" + b"y" * 100_000,
        b"From: ex@abuser.example\n\nlone\rCR\n",
        b"From: ex@abuser.example\nSubject: =?x?\n\xc3\x28\n\n",
    ]
    maildir(a_dovecot, user, letters)
    box = mailbox(a_dovecot, user)
    with looking(a_dovecot, user) as onlooker:
        before = onlooker.everything()
        taken = refs(box)
        assert len(taken) == len(letters)
        for ref in taken:
            assert octets_of(box, ref) == before["INBOX", ref.uidvalidity, int(ref.uid)].octets
        assert onlooker.everything() == before
    box.close()


@pytest.mark.parametrize("name", ["Über uns", "日本語", "R&D", 'quo"te', "back\\slash", "INBOX and more", "a b"])
def test_a_folder_of_any_name_is_looked_through_and_emptied(a_dovecot: Dovecot, name: str) -> None:
    from imapclient.imap_utf7 import encode

    user = f"named{next(USERS)}"
    with looking(a_dovecot, user) as onlooker:
        spelled = encode(name).decode().replace("\\", "\\\\").replace('"', '\\"')
        onlooker.create(spelled)
        onlooker.put(EX % (1, 1), spelled)
    box = mailbox(a_dovecot, user)
    (ref,) = refs(box)
    assert ref.folder == name
    assert octets_of(box, ref) == EX % (1, 1)
    assert len(box.remove(receipts([ref])).gone) == 1
    assert refs(box) == []
    box.close()


def test_a_prefix_and_a_dot_between_folders_change_nothing() -> None:
    with dovecot(prefix="INBOX.", separator=".") as server:
        with looking(server) as onlooker:
            onlooker.create("INBOX.Family")
            onlooker.put(EX % (1, 1), "INBOX.Family")
            onlooker.put(EX % (1, 1), "INBOX.Sent")
        box = mailbox(server)
        (ref,) = refs(box)
        assert ref.folder == "INBOX.Family"
        assert len(box.remove(receipts([ref])).gone) == 1
        box.close()


def test_an_unused_connection_is_tried_before_it_is_trusted(server: PlainImap) -> None:
    box = mailbox(server, patience=Patience(fresh=0))
    look(box)
    server._open[0].shutdown(2)
    assert look(box)[1]
    assert server.connections == 2


def test_check_finds_nothing_wrong_with_a_capable_server() -> None:
    with dovecot() as server:
        mailbox = Mailbox(
            "home", host=server.host, port=server.port, user="c", security="none", password=lambda: server.password
        )
        assert mailbox.check() == ()
        mailbox.close()


@pytest.mark.parametrize(
    ("capability", "folders", "never", "expected"),
    [
        ("IMAP4rev1 LITERAL+", None, (), "cannot expunge single messages"),
        ("IMAP4rev1 LITERAL+ MOVE SPECIAL-USE", None, ("Trash",), "by way of its Trash"),
        ("", ("INBOX", "Nowhere"), (), "a folder cannot be looked through"),
    ],
)
def test_check_names_each_weakness_of_a_mailbox(
    capability: str, folders: tuple[str, ...] | None, never: tuple[str, ...], expected: str
) -> None:
    with dovecot(capability=capability) as server:
        mailbox = Mailbox(
            "home",
            host=server.host,
            port=server.port,
            user="checked",
            security="none",
            password=lambda: server.password,
            folders=folders,
            never_touch=never,
        )
        [found] = mailbox.check()
        mailbox.close()
    assert expected in found and "Nowhere" not in found

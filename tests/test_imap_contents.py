"""What is fetched of a body: the calendar of an invitation, the beginning of a notice's text, never anything else."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import pytest

from nocontactd.decide import decide
from nocontactd.model import Author, Cursor, Disposition, Envelope
from nocontactd.reading import Reader, Reading, Want
from nocontactd.sources.imap.contents import BEGINNING, LONG, MOST_CALENDARS, STRUCTURES
from nocontactd.sources.imap.length import PIECE
from nocontactd.sources.imap.older import BACKLOG
from nocontactd.sources.imap.wire import Patience
from tests.invitations import (
    CALENDAR,
    INVITATIONS,
    NO_INVITATIONS,
    SECRET,
    calendar_part,
    message,
    multipart,
    plain_part,
)  # fmt: skip
from tests.looking import look_at
from tests.peers.plain_imap import HangUpError, Mail, PlainImap, plain_imap
from tests.recognition import blocked
from tests.test_imap import EX, FRIEND, Answers, fetches, look, mailbox, on, refused

EX_INVITES = ("calendar", "ex@abuser.example")


@pytest.fixture
def server() -> Iterator[PlainImap]:
    with plain_imap() as running:
        yield running


def inviting(envelopes: Sequence[Envelope]) -> set[str]:
    return {e.ref.uid for e in envelopes if EX_INVITES in {(a.field, a.address) for a in e.authors}}


def asked(server: PlainImap, word: str) -> list[str]:
    return [uid for uids, items in fetches(server) if word in items for uid in uids]


def test_nothing_is_fetched_but_headers_structures_calendars_and_what_is_sealed(server: PlainImap) -> None:
    """Every command of a look and of the sealing that follows is watched, and every octet of the answers."""
    inbox = server.boxes["INBOX"]
    wanted = {str(inbox.put(Mail(each))) for each in INVITATIONS.values()}
    for octets in (*NO_INVITATIONS.values(), EX % (1, 1), FRIEND % (2, 2)):
        inbox.put(Mail(octets))
    told: list[bytes] = []
    server.meddle = lambda _line, answer: told.append(answer) or [answer]  # type: ignore[func-returns-value]
    box = mailbox(server)
    envelopes, looks = look(box)
    assert inviting(envelopes) == wanted
    assert not [seen.problem for seen in looks if seen.problem]
    items = {items for _, items in fetches(server)}
    header = r"\(UID RFC822.SIZE INTERNALDATE BODY.PEEK\[HEADER\]<0.\d+>\)"
    part = rf"\(UID BODY.PEEK\[[1-9][0-9.]*\]<0.{BEGINNING}>\)"
    assert [each for each in items if not re.fullmatch(rf"{header}|\(UID BODYSTRUCTURE\)|{part}", each)] == []
    assert SECRET.encode() not in b"".join(told)
    assert {uid for uids, items in fetches(server) if re.fullmatch(part, items) for uid in uids} == wanted | {
        "8"
    }  # the one that is handed on
    assert {mail.flags == set() for mail in inbox.mails.values()} == {True}
    assert all(line.startswith("EXAMINE") for line in server.commands if re.match("SELECT|EXAMINE", line))


def test_of_a_large_backlog_of_plain_messages_no_structure_is_asked_for(server: PlainImap) -> None:
    inbox = server.boxes["INBOX"]
    for n in range(BACKLOG + 1):
        inbox.put(Mail(FRIEND % (n, n)))
    uid = inbox.put(Mail(INVITATIONS["nested"]))
    concerns = blocked("ex@abuser.example").concerns
    envelopes, _ = look_at(mailbox(server, folders=("INBOX",), patience=Patience()), {}, concerns=concerns)
    assert inviting(envelopes) == {str(uid)}
    assert set(asked(server, "BODYSTRUCTURE")) == {str(uid)}


def test_of_a_plain_message_no_structure_is_asked_for(server: PlainImap) -> None:
    server.boxes["INBOX"].put(Mail(FRIEND % (1, 1)))
    look(mailbox(server, folders=("INBOX",)))
    assert fetches(server)
    assert asked(server, "BODYSTRUCTURE") == []


def test_a_quiet_look_asks_for_no_header_and_no_structure(server: PlainImap) -> None:
    server.capabilities = (*server.capabilities, "UNSELECT")
    server.boxes["INBOX"].put(Mail(INVITATIONS["alone"]))
    box = mailbox(server)
    _, looks = look(box)
    server.commands.clear()
    look(box, {seen.folder: Cursor(seen.folder, seen.uidvalidity, seen.next_uid, "r") for seen in looks})
    assert fetches(server) == []


def test_structures_are_asked_for_in_pieces_and_parts_together(server: PlainImap) -> None:
    inbox = server.boxes["INBOX"]
    for n in range(2 * STRUCTURES + 1):
        inbox.put(Mail(message(multipart(plain_part(), calendar_part()), number=n)))
    envelopes, _ = look(mailbox(server, folders=("INBOX",)))
    assert len(inviting(envelopes)) == 2 * STRUCTURES + 1
    commands = [items for _, items in fetches(server)]
    assert sum("BODYSTRUCTURE" in items for items in commands) == 3
    assert sum("BODY.PEEK[2]" in items for items in commands) == 3


def test_a_long_calendar_is_read_to_its_end_and_an_endless_one_is_not(server: PlainImap) -> None:
    inbox = server.boxes["INBOX"]
    filler = "X-FILLER:" + "x" * 60 + "\r\n"
    long = CALENDAR.replace("ORGANIZER", filler * 2_000 + "ORGANIZER")
    endless = CALENDAR.replace("ORGANIZER", filler * (LONG[Want.CALENDAR] // 60) + "ORGANIZER")
    uid = inbox.put(Mail(message(multipart(calendar_part(calendar=long)))))
    inbox.put(Mail(message(multipart(calendar_part(calendar=endless)))))
    answers: list[int] = []
    server.meddle = lambda _line, answer: answers.append(len(answer)) or [answer]  # type: ignore[func-returns-value]
    envelopes, _ = look(mailbox(server, patience=Patience()))
    assert inviting(envelopes) == {str(uid)}
    assert max(answers) < LONG[Want.CALENDAR] + 10_000


def test_of_many_calendars_in_one_message_some_are_read(server: PlainImap) -> None:
    harmless = calendar_part(calendar=CALENDAR.replace("ex@abuser", "friend@ok"))
    server.boxes["INBOX"].put(Mail(message(multipart(*[harmless] * 50, calendar_part()))))
    look(mailbox(server))
    assert len(asked(server, "BODY.PEEK[")) == 1 + MOST_CALENDARS


@pytest.mark.parametrize("size", [PIECE // 2, 5 * PIECE])
def test_an_invitation_behind_a_large_attachment_is_decided_alike_by_looking_and_by_its_octets(
    server: PlainImap, size: int
) -> None:
    attachment = "Content-Type: application/pdf\r\n\r\n" + ("y" * 70 + "\r\n") * (size // 72)
    octets = message(multipart(plain_part(), attachment, calendar_part()))
    server.boxes["INBOX"].put(Mail(octets))
    box = mailbox(server, patience=Patience())
    ((envelope,), _) = look(box)
    original = box.fetch(envelope.ref)
    assert original
    rules = blocked("ex@abuser.example")
    assert decide(envelope, rules) == decide(original.envelope, rules)
    assert decide(original.envelope, rules).disposition is Disposition.SEAL
    assert b"".join(chunk for part in original.parts for chunk in part.chunks) == octets


def test_a_message_that_became_another_meanwhile_is_decided_by_what_is_there_now(server: PlainImap) -> None:
    server.boxes["INBOX"].put(Mail(message(multipart(plain_part("x" * 2 * PIECE), calendar_part()))))
    box = mailbox(server, patience=Patience())
    ((envelope,), _) = look(box)
    mail = server.boxes["INBOX"].mails[1]
    mail.octets = mail.octets.replace(b"text/calendar", b"text/calender")
    original = box.fetch(envelope.ref)
    assert original
    assert inviting([original.envelope]) == set()


@dataclass(frozen=True, slots=True)
class Attentive(Reader):
    """Takes every message for a notice, and whoever its text names for the author."""

    def of_header(self, header: bytes) -> Reading:
        return replace(Reader.of_header(self, header), wants=frozenset({Want.TEXT}))

    def of_parts(self, header: bytes, calendars: Sequence[bytes], text: str) -> Reading:
        assert not calendars
        return Reading((Author("text", text.strip()),))

    def of_message(self, raw: bytes) -> Reading:
        return self.of_parts(raw, (), "")


QUOTED = "Content-Transfer-Encoding: quoted-printable"
HTML = f"Content-Type: text/html; charset=iso-8859-1\r\n{QUOTED}\r\n\r\n<b>caf=E9</b>\r\n"
FILE = "Content-Type: text/plain\r\nContent-Disposition: attachment; filename=a.txt\r\n\r\nnot shown\r\n"


@pytest.mark.parametrize(
    ("part", "text"),
    [
        (plain_part("shown"), "shown"),
        (multipart(HTML, plain_part("shown"), kind="alternative"), "shown"),
        (multipart(FILE, HTML, calendar_part()), "café"),
        (multipart(multipart(FILE, HTML, boundary="b2"), FILE), "café"),
    ],
)
def test_of_a_notice_the_text_that_a_client_would_show_is_read(server: PlainImap, part: str, text: str) -> None:
    server.boxes["INBOX"].put(Mail(message(part)))
    ((envelope,), _) = look(mailbox(server, reader=Attentive()))
    assert [author.address for author in envelope.authors] == [text]
    assert b"not shown" not in b"".join(line.encode() for line in server.commands)


def test_of_a_long_text_only_the_beginning_is_read(server: PlainImap) -> None:
    server.boxes["INBOX"].put(Mail(message(plain_part("x" * 3 * PIECE))))
    ((envelope,), _) = look(mailbox(server, reader=Attentive(), patience=Patience()))
    assert len(envelope.authors[0].address) == LONG[Want.TEXT]


def torn(answer: bytes) -> Answers:
    """What a server makes of a file name with a quote in it, when it forgets the backslash."""
    yield re.sub(rb"(UID 1 BODYSTRUCTURE) \(", rb'\1 ("a"b" (', answer)


def test_a_structure_that_cannot_be_read_costs_no_other_message_its_own(server: PlainImap) -> None:
    for n in range(3):
        server.boxes["INBOX"].put(Mail(message(multipart(calendar_part()), number=n)))
    server.meddle = on(".*BODYSTRUCTURE", torn)
    envelopes, looks = look(mailbox(server))
    assert inviting(envelopes) == {"2", "3"}
    assert not looks[0].problem


def test_a_message_over_which_the_connection_ends_holds_up_its_folder_for_three_looks_at_most(
    server: PlainImap,
) -> None:
    for n in range(3):
        server.boxes["INBOX"].put(Mail(message(multipart(calendar_part()), number=n)))
    box = mailbox(server, folders=("INBOX",))

    def meddle(line: str, answer: bytes) -> Answers:
        if re.match(r"UID FETCH \S*\b2\b\S* \(UID BODYSTRUCTURE", line):
            raise HangUpError
        return [answer]

    server.meddle = meddle
    problems = []
    for _ in range(4):
        envelopes, (seen,) = look(box)
        problems.append(seen.problem)
    assert problems == ["the connection was lost"] * 3 + [""]
    assert len(envelopes) == 3
    assert inviting(envelopes) == {"1", "3"}


@pytest.mark.parametrize("command", ["BODYSTRUCTURE", r"BODY\.PEEK\[1"])
def test_a_part_that_is_refused_for_now_is_not_taken_for_missing(server: PlainImap, command: str) -> None:
    server.boxes["INBOX"].put(Mail(message(multipart(calendar_part()))))
    box = mailbox(server, folders=("INBOX",))
    server.meddle = on(f".*{command}", lambda answer: [refused(answer, b"[UNAVAILABLE] busy")])
    assert look(box)[1][0].problem == "the server refused (UNAVAILABLE)"
    server.meddle = lambda _line, answer: [answer]
    envelopes, (seen,) = look(box)
    assert (inviting(envelopes), seen.problem) == ({"1"}, "")


def test_what_vanishes_in_between_has_no_parts_and_is_no_error(server: PlainImap) -> None:
    server.boxes["INBOX"].put(Mail(message(multipart(calendar_part()))))
    uid = server.boxes["INBOX"].put(Mail(message(multipart(calendar_part()), number=2)))

    def vanish(answer: bytes) -> Answers:
        server.boxes["INBOX"].mails.pop(1, None)
        return [answer]

    server.meddle = on(".*BODYSTRUCTURE", vanish)
    envelopes, (seen, *_) = look(mailbox(server))
    assert (inviting(envelopes), seen.problem) == ({str(uid)}, "")

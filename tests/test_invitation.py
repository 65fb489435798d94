"""Who is the author of an invitation, and who only hands it on."""

import base64
import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nocontactd import mime, shipped
from nocontactd.decide import Reason
from nocontactd.headers.fields import body
from nocontactd.model import Disposition
from nocontactd.reading import Reader
from tests.recognition import blocked, verdict

EX = "ex@abuser.example"
READER = Reader(catalogue=shipped.services(), offline=True)
SERVICE = "From: calendar-notification@cal.example\r\n"
ICS = "BEGIN:VCALENDAR\r\n{0}\r\nEND:VCALENDAR\r\n"
ORGANIZER = ICS.format("METHOD:REQUEST\r\nORGANIZER;CN=Ex:mailto:ex@abuser.example")


def single(calendar: str, header: str = SERVICE, kind: str = "text/calendar") -> bytes:
    return f"{header}Content-Type: {kind}\r\n\r\n{calendar}".encode()


def multipart(part: str, header: str = SERVICE, kind: str = "mixed") -> bytes:
    return (
        f'{header}MIME-Version: 1.0\r\nContent-Type: multipart/{kind};\r\n boundary="b 1"\r\n\r\npreamble\r\n'
        f"--b 1\r\n\r\nContent-Type: text/calendar\r\n\r\n--b 1\r\n{part}\r\n--b 1--\r\n{ORGANIZER}"
    ).encode()


def seals(raw: bytes) -> bool:
    found = verdict(raw, blocked(EX))
    assert found.field in (None, "calendar")
    return found.disposition is Disposition.SEAL


@pytest.mark.parametrize(
    "organizer",
    [
        "ORGANIZER:mailto:ex@abuser.example",
        "organizer:MAILTO:EX@abuser.example",
        'ORGANIZER;CN="Ex: Partner";SENT-BY="mailto:desk@ok.example":mailto:ex@abuser.example',
        'ORGANIZER;SENT-BY="mailto:ex@abuser.example":mailto:desk@ok.example',
        "ORGANIZER;EMAIL=ex@abuser.example:urn:uuid:1",
        "ORGANIZER;CN=A very long name that has to be\r\n  folded:mailto:ex@ab\r\n user.example",
        "METHOD:CANCEL\r\nORGANIZER:mailto:ex%40abuser.example",
        "METHOD:REPLY\r\nATTENDEE;PARTSTAT=ACCEPTED:mailto:ex@abuser.example",
        "METHOD:counter\r\nATTENDEE:mailto:ex@abuser.example",
    ],
)
def test_who_invites_or_answers_through_a_calendar_service_is_the_author(organizer: str) -> None:
    assert seals(single(ICS.format(organizer)))


@pytest.mark.parametrize(
    "calendar",
    [
        "METHOD:REQUEST\r\nORGANIZER:mailto:n@ok.example\r\nATTENDEE:mailto:ex@abuser.example",
        "METHOD:REPLY\r\nORGANIZER:mailto:ex@abuser.example\r\nATTENDEE:mailto:n@ok.example",
        "ORGANIZER:mailto:n@ok.example\r\nDESCRIPTION:was\r\n ORGANIZER:mailto:ex@abuser.example",
        "X-ORGANIZER:mailto:ex@abuser.example",
    ],
)
def test_who_is_only_invited_or_mentioned_is_not(calendar: str) -> None:
    assert not seals(single(ICS.format(calendar)))


@pytest.mark.parametrize(
    "part",
    [
        f"Content-Type: text/calendar; method=REQUEST\r\n\r\n{ORGANIZER}",
        f'Content-Type: application/octet-stream; name="invite.ics"\r\n\r\n{ORGANIZER}',
        f"Content-Disposition: attachment;\r\n filename=invite.ics\r\n\r\n{ORGANIZER}",
        "Content-Type: text/calendar\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        + base64.encodebytes(ORGANIZER.encode()).decode(),
        "Content-Type: text/calendar\r\nContent-Transfer-Encoding: Base64\r\n\r\n"
        + base64.encodebytes(ORGANIZER[:7].encode()).decode()
        + base64.encodebytes(ORGANIZER[7:].encode()).decode(),
        "Content-Type: text/calendar\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
        + ORGANIZER.replace("@", "=40"),
        "Content-Type: multipart/alternative; boundary=c\r\n\r\n--c\r\nContent-Type: text/calendar\r\n\r\n" + ORGANIZER,
    ],
)
def test_a_calendar_is_found_wherever_a_message_carries_it(part: str) -> None:
    assert seals(multipart(part))


def test_a_calendar_in_an_attached_message_or_after_the_last_part_is_not_this_messages() -> None:
    assert not seals(multipart(f"Content-Type: message/rfc822\r\n\r\nContent-Type: text/calendar\r\n\r\n{ORGANIZER}"))
    assert not seals(multipart("Content-Type: text/plain\r\n\r\nhello"))


@pytest.mark.parametrize(
    ("header", "theirs"),
    [
        ("From: lawyer@firm.example\r\n", False),
        ("From: Nadia <nadia@friends.example>\r\nSender: nadia@friends.example\r\n", False),
        ("From: n@ok.example\r\nAuto-Submitted: auto-generated\r\n", True),
        ("From: n@ok.example\r\nAuto-Submitted: no\r\n", False),
        ("From: no-reply@meet.example\r\n", True),
        ("From: Desk <n@ok.example>\r\nSender: invitations@cal.example\r\n", True),
        ("From: someone@calendly.com\r\n", True),
        ("From: donotreply-meet@unknown.example\r\n", True),
        ("From: someone@calendly.example\r\n", False),
        ("From: appointments@firm.example\r\n", False),
        ("From: events@shelter.example\r\n", False),
        ("", True),
    ],
)
def test_where_a_person_hands_it_on_the_organizer_is_not_the_author(header: str, theirs: bool) -> None:
    assert seals(single(ORGANIZER, header)) is theirs


def test_each_object_of_a_calendar_part_has_its_own_method() -> None:
    reply = ICS.format("METHOD:REPLY\r\nATTENDEE:mailto:n@ok.example")
    assert seals(single(ORGANIZER + reply))
    assert not seals(single(reply.replace("n@ok", "a@ok") + reply))


def test_every_event_of_a_calendar_counts() -> None:
    event = "BEGIN:VEVENT\r\norganizer:mailto:{0}\r\nEND:VEVENT\r\n"
    assert seals(single(ICS.format("".join(map(event.format, ("n@ok.example", "a@ok.example", EX))))))


@pytest.mark.parametrize(
    ("calendar", "kind"),
    [
        (ORGANIZER.encode("utf-16"), "text/calendar; charset=utf-16"),
        (ORGANIZER.encode("utf-16"), "application/ics"),
        (ORGANIZER.encode("utf-16-le"), 'text/calendar; charset="UTF-16LE"'),
        (ORGANIZER.replace("Ex:", "Ä:").encode("latin-1"), "text/calendar; charset=iso-8859-1"),
        (ORGANIZER.encode(), "TEXT/Calendar; name=x; charset=no-such"),
        (ORGANIZER.replace("@", "\r\n @").encode(), "application/octet-stream; name*=utf-8''invite%2Eics"),
        (ORGANIZER.encode(), 'application/octet-stream; name = "invite.ICS"'),
    ],
)
def test_a_calendar_is_read_in_its_own_charset_and_under_any_name(calendar: bytes, kind: str) -> None:
    raw = f"{SERVICE}Content-Type: {kind}\r\nContent-Transfer-Encoding: base64\r\n\r\n".encode()
    assert seals(raw + base64.encodebytes(calendar))


def test_a_name_that_folding_cuts_in_a_character_is_whole() -> None:
    cut = "ORGANIZER;CN=Alex Ex\u00e4mple:mailto:n@ok.example".encode().replace(b"\xc3\xa4", b"\xc3\r\n \xa4")
    raw = f"{SERVICE}Content-Type: text/calendar\r\n\r\n".encode() + cut
    assert verdict(raw, blocked("Alex Ex\u00e4mple")).disposition is Disposition.HOLD


def test_a_part_ends_at_its_own_boundary_and_at_no_longer_one() -> None:
    other = f"Content-Type: text/plain\r\n\r\n--b 12\r\nContent-Type: text/calendar\r\n\r\n{ORGANIZER}"
    assert not seals(multipart(other))
    assert seals(multipart(f"Content-Type: text/calendar\r\n\r\n--b 1 2--\r\n{ORGANIZER}"))


@pytest.mark.parametrize("reader", [Reader(), READER, Reader(("mx.home.example",), READER.catalogue)])
def test_by_header_and_parts_a_message_reads_the_same_as_whole(reader: Reader) -> None:
    corpus = Path(__file__).parent / "corpus"
    for line in (corpus / "mail.jsonl").read_text("utf-8").splitlines():
        raw = json.loads(line)["raw_message"].encode("latin-1")
        header = raw[: len(raw) - len(body(raw))]
        in_part = reader.of_header(header)
        assert in_part == reader.of_header(raw) or not body(raw)
        whole = reader.of_message(raw)
        if not mime.calendars(raw):
            assert whole.authors == in_part.authors
        assert reader.of_parts(header, mime.calendars(raw), mime.text(raw)) == whole


def test_whoever_acts_for_the_organizer_hands_nothing_on() -> None:
    acting = ICS.format('ORGANIZER;SENT-BY="mailto:desk@ok.example":mailto:ex@abuser.example')
    assert seals(single(acting, "From: Desk <desk@ok.example>\r\n"))


def test_the_name_of_an_organizer_is_compared_as_a_name() -> None:
    raw = single(ICS.format('ORGANIZER;CN="Alex Example":mailto:n@ok.example'))
    found = verdict(raw, blocked("Alex Example"))
    assert (found.disposition, found.reason, found.field) == (Disposition.HOLD, Reason.LISTED_NAME, "calendar")


PIECES = st.sampled_from(
    ["--b", "--", "\r\n", "\n", "Content-Type:", "multipart/mixed;", "boundary=b", "text/calendar", "ORGANIZER", ":",
     ";CN=", '"', "mailto:", "a@b", "base64", "Content-Transfer-Encoding:", "METHOD:REPLY", "ATTENDEE", " ",
     "name=x.ics"]
)  # fmt: skip


@given(st.lists(PIECES, max_size=60).map("".join) | st.text(max_size=100))
def test_any_message_has_invitations_or_none_and_never_raises(text: str) -> None:
    for raw in (text, f"Content-Type: multipart/mixed; boundary=b\n\n{text}", f"Content-Type: text/calendar\n\n{text}"):
        READER.of_message(raw.encode("utf-8", "replace"))


@pytest.mark.parametrize("piece", ["--b\n", "ORGANIZER:", '\nORGANIZER;CN="', "\nORGANIZER:a@b", "\n ", "name=", "\r"])
def test_a_hostile_calendar_takes_linear_time(piece: str) -> None:
    much = piece * (400_000 // len(piece))
    nested = "".join(f"Content-Type: multipart/mixed; boundary={n}\n\n--{n}\n" for n in range(100))
    began = time.process_time()
    READER.of_message(f"{SERVICE}Content-Type: multipart/mixed; boundary=b\n\n--b\n{much}".encode())
    READER.of_message(f"{SERVICE}Content-Type: text/calendar; {much}\n\n{much}".encode())
    READER.of_message((SERVICE + nested + much).encode())
    assert time.process_time() - began < 4

"""Who is the author of an invitation, and who only hands it on."""

import base64
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nocontactd import invitation
from nocontactd.decide import Reason
from nocontactd.model import Disposition
from tests.recognition import blocked, verdict

EX = "ex@abuser.example"
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
        ("", True),
    ],
)
def test_where_a_person_hands_it_on_the_organizer_is_not_the_author(header: str, theirs: bool) -> None:
    assert seals(single(ORGANIZER, header)) is theirs


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
        invitation.authors(raw.encode("utf-8", "replace"))


@pytest.mark.parametrize("piece", ["--b\n", "ORGANIZER:", '\nORGANIZER;CN="', "\nORGANIZER:a@b", "\n ", "name=", "\r"])
def test_a_hostile_calendar_takes_linear_time(piece: str) -> None:
    much = piece * (400_000 // len(piece))
    nested = "".join(f"Content-Type: multipart/mixed; boundary={n}\n\n--{n}\n" for n in range(100))
    began = time.process_time()
    invitation.authors(f"{SERVICE}Content-Type: multipart/mixed; boundary=b\n\n--b\n{much}".encode())
    invitation.authors(f"{SERVICE}Content-Type: text/calendar; {much}\n\n{much}".encode())
    invitation.authors((SERVICE + nested + much).encode())
    assert time.process_time() - began < 4

"""Rows of the review: one a message, whatever copies and other records stand in the archive."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256

import pytest

from nocontactd.archive.format import Member, Meta
from nocontactd.archive.unseal import Opened
from nocontactd.errors import DamagedError
from nocontactd.model import Author, Channel, Disposition, Envelope, MessageRef, Verdict
from nocontactd.review.rows import PREVIEW, Row, as_json, dump, folded, load, row, words

MAIL = b"From: Alex <ex@abuser.example>\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n\r\nhello\r\n"
TEXT = b'{"sid": "SM1", "from": "+447700900123", "body": "hello", "status": "received"}'
WHY = Verdict(Disposition.SEAL, "address", "ex@abuser.example", "From")


def envelope(channel: Channel = Channel.MAIL, uid: str = "7", sender: str = "ex@abuser.example") -> Envelope:
    field = "From" if channel is Channel.MAIL else "from"
    arrived = datetime(2026, 11, 22, 8, 30, tzinfo=timezone(timedelta(hours=1)))
    return Envelope(MessageRef("home", "INBOX", 1, uid), channel, (Author(field, sender),), arrived)


def opened(
    number: int,
    original: bytes = MAIL,
    kind: str = "message",
    seen: Envelope | None = None,
    logged: bool = True,
    name: str = "message.eml",
) -> Opened:
    record = f"2026-11-22/{number:06}"
    meta = Meta(record, kind, datetime(2026, 11, 22, tzinfo=UTC), "0.1.0", "00" * 32, seen or envelope(), WHY, facts=())
    members = (Member(name, len(original), sha256(original).hexdigest()),) if original else ()
    return Opened(record, kind, meta, members, original, logged)


def text(number: int, resource: bytes = TEXT, sid: str = "SM1") -> Opened:
    return opened(number, resource, seen=envelope(Channel.SMS, sid, "+447700900123"), name="message.json")


def read(records: Iterable[Opened | DamagedError]) -> Iterator[Row | DamagedError]:
    for item in records:
        found = item if isinstance(item, DamagedError) else row(item)
        if found:
            yield found


def shown(*records: Opened | DamagedError) -> list[Row]:
    return [item for item in folded(read(records)) if isinstance(item, Row)]


def test_a_mail_is_shown_by_its_own_header() -> None:
    [found] = shown(opened(1))
    assert (found.sender, found.subject) == ("Alex <ex@abuser.example>", "Grüße")
    assert (found.reason, found.rule, found.field) == ("address", "ex@abuser.example", "From")


def test_json_has_the_promised_fields_and_no_other() -> None:
    [found] = shown(opened(1))
    assert json.loads(as_json(found)) == {
        "record": "2026-11-22/000001",
        "received": "2026-11-22T07:30:00Z",
        "channel": "mail",
        "sender": "Alex <ex@abuser.example>",
        "subject": "Grüße",
        "sha256": sha256(MAIL).hexdigest(),
        "reason": "address",
        "rule": "ex@abuser.example",
        "authenticated": None,
    }


def test_json_is_one_line_of_plain_ascii_whatever_the_sender_wrote() -> None:
    hostile = b"From: a\x1b]52;c;aa\x07\xe2\x80\xae <ex@abuser.example>\r\nSubject: a\x1b[2J\r\n\r\n"
    [found] = shown(opened(1, hostile))
    line = as_json(found)
    assert line.isascii()
    assert line.isprintable()


def test_a_second_copy_of_a_mail_is_folded_by_its_octets() -> None:
    assert [row.record for row in shown(opened(1), opened(2), opened(3, MAIL + b"!"))] == [
        "2026-11-22/000001",
        "2026-11-22/000003",
    ]


def test_two_mails_that_differ_in_one_octet_are_two() -> None:
    assert len(shown(opened(1), opened(2, MAIL.replace(b"hello", b"hallo")))) == 2


def test_a_second_copy_of_a_text_is_folded_by_its_sid_though_its_resource_changed() -> None:
    changed = TEXT.replace(b"received", b"delivered")
    assert [row.record for row in shown(text(1), text(2, changed), text(3, TEXT, "SM2"))] == [
        "2026-11-22/000001",
        "2026-11-22/000003",
    ]


def test_a_record_that_was_never_acknowledged_gives_way_to_its_acknowledged_copy() -> None:
    assert [row.record for row in shown(opened(1, logged=False), opened(2))] == ["2026-11-22/000002"]


def test_a_record_that_was_never_acknowledged_is_shown_where_it_is_the_only_one() -> None:
    assert [row.record for row in shown(opened(1, logged=False))] == ["2026-11-22/000001"]


def test_cover_coverage_and_other_records_are_never_shown() -> None:
    kinds = ("cover", "coverage", "opening", "loosening", "keys", "rehearsal")
    assert shown(*(opened(number, kind=kind) for number, kind in enumerate(kinds, 1))) == []


def test_a_note_is_told_from_a_message_and_is_never_folded() -> None:
    found = shown(opened(1, b"", "note"), opened(2, b"", "note"))
    assert [(row.note, row.sender, row.sha256) for row in found] == [(True, "ex@abuser.example", "")] * 2


def test_damage_is_passed_on_in_its_place_and_the_others_are_shown() -> None:
    damage = DamagedError("2026-11-22/000002: damaged")

    def records() -> Iterator[Opened | DamagedError]:
        yield opened(1)
        yield damage
        yield opened(3, MAIL + b"!")

    found = list(folded(read(records())))
    assert found[1] is damage
    assert len(found) == 3


def test_a_mail_without_a_from_is_shown_by_the_author_that_was_seen() -> None:
    [found] = shown(opened(1, b"Sender: ex@abuser.example\r\n\r\n"))
    assert found.sender == "ex@abuser.example"


def test_the_words_of_a_text_are_its_body() -> None:
    [found] = shown(text(1))
    assert (found.sender, found.channel, found.preview) == ("+447700900123", Channel.SMS, "hello")
    assert words(text(1)).text == "hello"


def test_a_resource_that_cannot_be_read_has_no_words_and_still_a_row() -> None:
    for broken in (b"{", b"[]", b'{"body": 5}', b"[" * 100_000, b"\xff"):
        [found] = shown(text(1, broken))
        assert (found.preview, words(text(1, broken)).text) == ("", "")


def test_the_preview_is_one_line_of_the_beginning_of_the_words() -> None:
    [found] = shown(opened(1, b"From: ex@abuser.example\r\n\r\n one\r\n\ttwo " + b"x" * 5000))
    assert found.preview.startswith("one two xxx")
    assert len(found.preview) == PREVIEW


@pytest.mark.parametrize(
    "item",
    [
        opened(1),
        text(1),
        opened(1, b"", "note"),
        opened(1, b"From: a\xff\x80\r\nSubject: \xed\xa0\x80 \x00 \xe2\x80\xa8\r\n\r\n\xf0\x9f\x98\x80\n"),
    ],
    ids=["mail", "text", "note", "not Unicode"],
)
def test_what_the_index_keeps_of_a_row_is_the_row(item: Opened) -> None:
    [found] = shown(item)
    neutral, spoken = dump(found, 500)
    assert "\n" not in neutral + spoken
    assert load(found.record, neutral, spoken) == found


def test_nothing_that_the_sender_wrote_stands_among_the_neutral_facts() -> None:
    hostile = b"From: you will be sorry <ex@abuser.example>\r\nSubject: I am outside\r\n\r\nlook\r\n"
    [found] = shown(opened(1, hostile))
    neutral, spoken = dump(found, 500)
    assert [word for word in ("sorry", "outside", "look") if word in neutral] == []
    assert all(word in spoken for word in ("sorry", "outside", "look"))


def test_a_preview_is_cut_to_the_room_there_is_and_the_subject_is_not() -> None:
    [found] = shown(opened(1, b"From: ex@abuser.example\r\nSubject: " + b"s" * 200 + b"\r\n\r\n" + b"\xd0\xb6" * 900))
    _, spoken = dump(found, 300)
    assert len(spoken.encode()) <= 300
    assert "s" * 200 in spoken
    assert load(found.record, dump(found, 300)[0], spoken).preview in found.preview


def test_a_moment_that_no_other_zone_has_a_name_for_is_still_shown() -> None:
    for year, offset in ((1, 14), (9999, -12)):
        far = datetime(year, 12 if offset < 0 else 1, 31 if offset < 0 else 1, tzinfo=timezone(timedelta(hours=offset)))
        [found] = shown(opened(1, seen=replace(envelope(), arrived=far.replace(hour=23 if offset < 0 else 0))))
        assert json.loads(as_json(found))["received"].startswith(f"{year:04}-")

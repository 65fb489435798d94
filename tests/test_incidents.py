"""The incident log: what a spreadsheet, a screen and a lawyer may make of a stranger's words."""

import csv
import io
from datetime import UTC, datetime, timedelta, timezone

import pytest

from nocontactd.export.incidents import COLUMNS, as_csv, incidents
from nocontactd.export.paper import pdf
from nocontactd.model import Channel
from nocontactd.review.rows import Row

MOMENT = datetime(2026, 11, 22, 0, 30, tzinfo=timezone(timedelta(hours=2)))


def row(channel: Channel = Channel.MAIL, **words: str) -> Row:
    facts = {"sender": "Alex <ex@abuser.example>", "subject": "why", "preview": "Answer me.", "source": "home"} | words
    return Row(
        *("2026-11-21/000001", False, True, MOMENT, channel, facts["source"], "7", "ex@abuser.example", 123, "ab" * 32),
        *("listed", "ex@abuser.example", "From", None, facts["sender"], facts["subject"], facts["preview"]),
    )


def cells(one: Row) -> list[str]:
    octets = as_csv(incidents([one], ["originals/2026-11-21-000001.eml"]))
    head, line = csv.reader(io.StringIO(octets.decode("utf-8-sig"), newline=""), strict=True)
    assert tuple(head) == COLUMNS
    return line


def test_a_line_has_date_and_time_in_utc_channel_technology_and_description() -> None:
    assert cells(row()) == [
        "2026-11-21",
        "22:30:00",
        "mail",
        "e-mail, taken out of the mailbox “home” (IMAP)",
        (
            "Message from Alex <ex@abuser.example>, 123 octets. Subject: “why”. It begins: “Answer me.”. "
            "Sealed because of listed in From, entry ex@abuser.example."
        ),
        "2026-11-21/000001",
        "originals/2026-11-21-000001.eml",
        "ab" * 32,
    ]


@pytest.mark.parametrize("channel", Channel)
def test_every_channel_has_its_technology(channel: Channel) -> None:
    assert "“home”" in cells(row(channel))[3]


def test_it_is_rfc_4180_in_utf_8_with_a_mark_for_excel() -> None:
    octets = as_csv(incidents([row(subject='a "quote", and\na line')], ["f"]))
    assert octets.startswith(b"\xef\xbb\xbf")
    assert octets.count(b"\r\n") == octets.count(b"\n") == 2
    assert cells(row(subject='a "quote", and'))[4].count('"quote"') == 1


@pytest.mark.parametrize(
    "words",
    [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "|calc",
        "%0A=1",
        "＝1",
        " =1",
        '=cmd|" /C calc"!A0',
        ";=1",
        "\n=1",
    ],
)
@pytest.mark.parametrize("where", ["sender", "subject", "preview", "source"])
def test_no_cell_can_be_taken_for_a_formula(words: str, where: str) -> None:
    for cell in cells(row(**{where: words})):
        assert not cell.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r", "\n", "|", "%", "＝", "＋", "－", "＠"))
    octets = as_csv(incidents([row(**{where: words})], [words]))
    line = octets.decode("utf-8-sig").split("\r\n")[1]
    assert line.startswith('"') and line.endswith('"')


def test_a_cell_that_begins_like_a_formula_is_kept_behind_an_apostrophe() -> None:
    octets = as_csv(incidents([row()], ["=1+1"]))
    assert '"\'=1+1"' in octets.decode()


def test_long_words_are_cut_and_that_shows() -> None:
    description = cells(row(subject="s" * 5000, sender="x" * 5000))[4]
    assert len(description) < 1000
    assert description.count("[…]") == 2


@pytest.mark.parametrize(
    "words",
    [
        "مرحبا بالعالم",
        "日本語のテキスト",
        "😀👨‍👩‍👧",
        "\ud800 alone",
        "a\x00b",
        "é" * 300,
        "x" * 2000,
        "\u202eabc",
        "“”",
        "",
    ],
)
def test_any_words_make_a_pdf(words: str) -> None:
    made = datetime(2026, 11, 22, tzinfo=UTC)
    log = incidents([row(subject=words, sender=words, preview=words)], ["originals/x.eml"])
    document = pdf(words, [words], [each.lines for each in log] + [(words, words)], made)
    assert document.startswith(b"%PDF-")
    assert document == pdf(words, [words], [each.lines for each in log] + [(words, words)], made)

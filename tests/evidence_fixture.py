"""An archive with everything that evidence may meet: two people, texts with pictures, hostile words, copies, covers.

Records of DAY: 1 a mail, 2 its second copy, 3 a text with two pictures, 4 a mail of somebody else,
5 a hostile one, 6 a note of what was let pass, 7 a cover, 8 an opening.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from nocontactd.archive.contents import Contents
from nocontactd.archive.format import COVER
from nocontactd.archive.seal import Archive
from nocontactd.archive.unseal import Opener
from nocontactd.errors import DamagedError, NocontactError
from nocontactd.export.bundle import Bundle
from nocontactd.model import Author, Channel, Disposition, Envelope, MessageRef, Original, Part, Verdict
from nocontactd.review.listing import Listing
from nocontactd.review.rows import Row, folded
from tests.archive_fixture import DAY, Made, copy, identity, noon

EX, OTHER, PHONE = "ex@abuser.example", "canary-other@abuser-family.example", "+447700900123"
MAIL = (
    b"From: Alex Example <ex@abuser.example>\r\nTo: me@home.example\r\nSubject: why\r\n"
    b"Message-ID: <1@abuser.example>\r\n\r\nAnswer me.\r\n" + b"More of the same.\r\n" * 1400
)
"""25 KB, as mails are."""
TEXT = b'{"sid": "MM1", "from": "+447700900123", "body": "look at this", "status": "received"}'
PICTURES = (b"\xff\xd8\xff\xe0 one", b"\x89PNG two")
SECRET = b"From: canary-other@abuser-family.example\r\nSubject: canary-subject\r\n\r\ncanary-body\r\n"
HOSTILE = (
    b"From: =?utf-8?q?=E2=80=AEelpmaxE_=1B]52;c;ZXZpbA=3D=3D=07?= <ex@abuser.example>\r\n"
    b"Subject: =?utf-8?b?PWNtZHwnIC9DIGNhbGMnIUEwIOKApyDZhdix2K3YqNinIOaXpeacrOiqniDwn5iA?=\r\n\r\n"
    b"=HYPERLINK(1)\r\n\x1b[2J\xd9\x85\xd8\xb1 \xe6\x97\xa5 \xf0\x9f\x98\x80\r\n"
)
"""A right-to-left override, a clipboard write, a formula, and letters that few fonts have."""


def mail(octets: bytes, uid: int, sender: str = EX, arrived: datetime | None = None) -> Original:
    ref = MessageRef("home", "INBOX", 1700000000, str(uid))
    envelope = Envelope(
        ref, Channel.MAIL, (Author("From", sender),), arrived or noon() - timedelta(minutes=9), len(octets)
    )
    return Original(envelope, iter([Part("message.eml", len(octets), [octets])]), (("greeting", "* OK ready"),))


def text(octets: bytes, sid: str, *media: bytes) -> Original:
    parts = [Part("message.json", len(octets), [octets])]
    parts += [Part(f"media/ME{n}.jpg", len(one), [one]) for n, one in enumerate(media, 1)]
    ref = MessageRef("number", "", 0, sid)
    arrived = noon() - timedelta(minutes=5)
    return Original(
        Envelope(ref, Channel.MMS if media else Channel.SMS, (Author("from", PHONE),), arrived), iter(parts)
    )


def listed(rule: str) -> Verdict:
    return Verdict(Disposition.SEAL, "listed", rule, "From")


def sealed(archive: Archive, *originals: tuple[Original, str]) -> None:
    """Seal these, each because of its rule."""
    with archive.batch([original.envelope.ref for original, _ in originals]) as batch:
        for record, (original, rule) in zip(batch.records, originals, strict=True):
            batch.add(record, original, listed(rule))
        batch.commit()


def fill(made: Made) -> Made:
    archive = made.archive()
    sealed(
        archive,
        (mail(MAIL, 1), EX),
        (mail(MAIL, 2), EX),
        (text(TEXT, "MM1", *PICTURES), PHONE),
        (mail(SECRET, 3, OTHER, noon() - timedelta(days=40)), "@abuser-family.example"),
        (mail(HOSTILE, 4), EX),
    )
    archive.note(mail(b"", 9, "canary-held@else.example").envelope, Verdict(Disposition.HOLD, "name", "Alex"))
    archive.enter(COVER, ())
    archive.enter("opening", (("by", "the owner and the therapist"),))
    archive.close()
    return made


@pytest.fixture(scope="session")
def evidence_once(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return fill(copy(tmp_path_factory.mktemp("evidence")))


class Counting(Opener):
    """Counts the records that it opens."""

    def __init__(self, made: Made) -> None:
        super().__init__(made.path, identity("owner"), identity("therapist"))
        self.opened: list[str] = []

    def _open(self, record: str, take: object) -> Contents:
        self.opened.append(record)
        return super()._open(record, take)  # type: ignore[arg-type]


def rows(opener: Opener, made: Made, days: Sequence[str] | None = None) -> list[Row | DamagedError]:
    """One listing, not folded."""
    listing = Listing(opener, made.path, noon, _fail)
    return list(listing.rows(opener.days() if days is None else days, lambda _done, _all: None))


def _fail(problem: OSError) -> None:
    raise problem


def chosen(made: Made, *records: str) -> list[Row]:
    """The messages of these numbers of DAY, else all, each once."""
    found = [row for row in folded(rows(made.opener(), made)) if isinstance(row, Row) and not row.note]
    return [row for row in found if not records or row.record[11:].lstrip("0") in records]


def export(made: Made, to: Path, *records: str, at: datetime | None = None) -> tuple[NocontactError, ...]:
    """A bundle of these messages; what went wrong."""
    bundle = Bundle(made.opener(), made.path, to, at or noon(), "the owner and the therapist")
    return bundle.write(chosen(made, *records), lambda _done, _all: None)


def files(folder: Path) -> dict[str, bytes]:
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def record_file(made: Made, number: int) -> Path:
    return made.path / "mail" / DAY / f"{number:06}.age"


@contextmanager
def unaltered(path: Path) -> Iterator[None]:
    """Nothing below this path is changed."""
    before = files(path)
    yield
    assert files(path) == before

"""Rules of the archive and of a mailbox that no other test would miss: each guards a mutant (test_mutants.py)."""

import os
from collections.abc import Iterator

import pytest

from nocontactd.archive.durable import Disk
from nocontactd.archive.verify import verify
from nocontactd.errors import SealError, SourceError
from nocontactd.model import MessageRef
from nocontactd.sources.imap.length import PIECE
from nocontactd.sources.imap.look import LONG_HEADER
from nocontactd.sources.imap.wire import Patience
from tests.archive_fixture import DAY, VERDICT, Made, made_archive, original, ref, seal
from tests.peers.plain_imap import Box, Mail, PlainImap, plain_imap
from tests.test_imap import EX, mailbox, octets_of, refs

__all__ = ["made_archive"]


@pytest.mark.parametrize("data_only", [False, True])
def test_a_flush_asks_the_kernel(data_only: bool) -> None:
    """A pipe cannot be flushed, and it is the kernel that says so."""
    end, other = os.pipe()
    try:
        with pytest.raises(OSError, match="Invalid argument"):
            Disk().flush(other, __file__, data_only=data_only)  # type: ignore[arg-type]
    finally:
        os.close(end)
        os.close(other)


def test_a_record_never_takes_the_place_of_another_file(made_archive: Made) -> None:
    place = made_archive.path / "mail" / DAY / "000001.age"
    with made_archive.sealer().batch([ref()]) as batch:
        batch.add(batch.records[0], original(), VERDICT)
        place.write_bytes(b"somebody else's")
        with pytest.raises(SealError, match="a file stands where a record was to go"):
            batch.commit()
    assert place.read_bytes() == b"somebody else's"


def test_a_torn_leaf_is_cut_even_if_the_next_one_is_shorter(made_archive: Made) -> None:
    """What the next one does not write over would be taken for a leaf some day."""
    sealer = made_archive.sealer()
    seal(sealer, [b"one"])
    log = made_archive.path / "log" / "leaves"
    with log.open("ab") as file:
        file.write(f"{DAY}/000002 ".encode() + b"0" * 1000)
    seal(sealer, [b"two"], 2)
    assert log.read_bytes().endswith(b"\n")
    sealer.close()
    assert verify(made_archive.path).ok


@pytest.fixture
def server() -> Iterator[PlainImap]:
    with plain_imap() as running:
        yield running


def test_nothing_that_is_read_is_marked_however_long_it_is(server: PlainImap) -> None:
    """This server marks what is read without PEEK, also in a folder that was opened for reading."""
    filler = b"X-Filler: " + b"x" * 88 + b"\r\n"
    head = filler * (LONG_HEADER // 100 + 100) + b"From: ex@abuser.example\r\n\r\n"
    server.boxes["INBOX"].put(Mail(head + b"x" * 2 * PIECE))
    box = mailbox(server, patience=Patience())
    (where,) = refs(box)
    octets_of(box, where)
    assert any("HEADER.FIELDS" in line for line in server.commands)
    assert any(f"<{PIECE}." in line for line in server.commands)
    assert server.boxes["INBOX"].mails[1].flags == set()


def test_to_look_and_to_fetch_a_folder_is_opened_for_reading_only(server: PlainImap) -> None:
    """Beside PEEK: some servers take \\Recent off by SELECT, and what cannot be written cannot be marked."""
    server.boxes["INBOX"].put(Mail(EX % (1, 1)))
    box = mailbox(server)
    for where in refs(box):
        octets_of(box, where)
    opened = [line for line in server.commands if line.startswith(("SELECT", "EXAMINE"))]
    assert opened
    assert all(line.startswith("EXAMINE") for line in opened)


def test_a_large_message_does_not_go_on_in_a_folder_that_was_replaced_meanwhile(server: PlainImap) -> None:
    """What has its UID there is another message, be it as long as this one."""
    server.boxes["Archive"] = Box(20)
    server.boxes["Archive"].put(Mail(EX % (2, 2)))
    size = 2 * PIECE + 5
    server.boxes["INBOX"].put(Mail((EX % (1, 1)).ljust(size, b"x")))
    box = mailbox(server)
    original = box.fetch(MessageRef("home", "INBOX", 7, "1"))
    assert original
    chunks = iter(next(iter(original.parts)).chunks)
    next(chunks)
    octets_of(box, MessageRef("home", "Archive", 20, "1"))
    server.boxes["INBOX"] = Box(8)
    server.boxes["INBOX"].put(Mail(b"z" * size))
    with pytest.raises(SourceError, match="replaced meanwhile"):
        b"".join(chunks)

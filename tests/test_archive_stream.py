"""What lies between a message and its file: pieces of any length become one age file, and one SHA-256."""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pyrage
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nocontactd.archive.encrypt import encrypt
from nocontactd.archive.hashing import WORTH, Sha256
from nocontactd.errors import SealError, SourceError

HOLDER = pyrage.x25519.Identity.generate()
LENGTHS = st.lists(st.sampled_from([0, 1, 511, 8191, 8192, 8193, 65536, 70_000, 300_000]), max_size=8)


def pieces(lengths: list[int]) -> list[bytes]:
    return [bytes([number % 251]) * length for number, length in enumerate(lengths, 1)]


@given(LENGTHS)
def test_pieces_of_any_length_are_sealed_in_order(lengths: list[int]) -> None:
    written: list[bytes] = []
    encrypt(pieces(lengths), written.append, str(HOLDER.to_public()))
    assert pyrage.decrypt(b"".join(written), [HOLDER]) == b"".join(pieces(lengths))


@given(LENGTHS)
def test_hashing_beside_gives_the_same_hash(lengths: list[int]) -> None:
    with ThreadPoolExecutor(1) as pool:
        beside = Sha256(pool)
        for piece in pieces(lengths * 3):
            beside.update(piece)
        assert beside.hexdigest() == hashlib.sha256(b"".join(pieces(lengths * 3))).hexdigest()


def test_what_is_short_starts_no_thread() -> None:
    with ThreadPoolExecutor(1) as pool:
        beside = Sha256(pool)
        beside.update(bytes(WORTH - 1))
        beside.hexdigest()
        assert not pool._threads
        beside.update(bytes(WORTH))
        assert pool._threads


def test_what_a_source_or_the_disk_raises_goes_through() -> None:
    def cut_off() -> Iterator[bytes]:
        yield b"hello"
        raise SourceError("home: cut off")

    with pytest.raises(SourceError, match="cut off"):
        encrypt(cut_off(), lambda _data: None, str(HOLDER.to_public()))
    with pytest.raises(SealError, match="could not be made"):
        encrypt([b"hello"], lambda _data: None, "age1nobody")


@pytest.mark.parametrize("size", [5, 10_240, 70_000, 200_000])
def test_no_failure_to_write_is_lost_not_even_that_of_the_last_piece(size: int) -> None:
    """pyrage says nothing of it: a record without its end would be taken for whole."""
    written: list[bytes] = []
    encrypt([bytes(size)], written.append, str(HOLDER.to_public()))
    for at in range(len(written)):
        calls = iter(range(len(written)))

        def full(_data: bytes, at: int = at, calls: Iterator[int] = calls) -> None:
            if next(calls) >= at:
                raise SealError("archive: no space")

        with pytest.raises(SealError, match="no space"):
            encrypt([bytes(size)], full, str(HOLDER.to_public()))

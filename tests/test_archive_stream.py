"""What lies between a message and its file: pieces of any length become one age file, and one SHA-256.

The writer of age files is this project's own: what it writes is opened by the stock `age` and by pyrage, and is
octet for octet what a second writer, made from the specification alone (C2SP age, below), makes of the same entropy.
"""

import base64
import hashlib
import hmac
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pyrage
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.bindings import crypto_aead_chacha20poly1305_ietf_encrypt as aead
from nacl.bindings import crypto_scalarmult, crypto_scalarmult_base

from nocontactd.archive.encrypt import CHUNK, encrypt
from nocontactd.archive.hashing import WORTH, Sha256, lanes
from nocontactd.archive.many import WIDE, at_once
from nocontactd.errors import SealError, SourceError
from tests.archive_fixture import VECTORS
from tests.peers import missing

HOLDER = pyrage.x25519.Identity.generate()
LENGTHS = st.lists(st.sampled_from([0, 1, 511, 8191, 8192, 8193, 65535, 65536, 65537, 70_000, 300_000]), max_size=8)
BORDERS = [0, 1, 2, 511, *(n * CHUNK + beyond for n in (1, 2, 3, 16) for beyond in (-1, 0, 1))]


def pieces(lengths: list[int]) -> list[bytes]:
    return [bytes([number % 251]) * length for number, length in enumerate(lengths, 1)]


def sealed(plaintext: list[bytes], entropy: Callable[[int], bytes] = secrets.token_bytes) -> bytes:
    written: list[bytes] = []
    encrypt(plaintext, written.append, str(HOLDER.to_public()), entropy)
    return b"".join(written)


def counted() -> Callable[[int], bytes]:
    """Entropy that everybody knows: 00 01 02 …, then on from there."""
    counter = iter(range(1 << 20))
    return lambda count: bytes(next(counter) % 256 for _ in range(count))


@given(LENGTHS)
def test_pieces_of_any_length_are_sealed_in_order(lengths: list[int]) -> None:
    assert pyrage.decrypt(sealed(pieces(lengths)), [HOLDER]) == b"".join(pieces(lengths))


@pytest.mark.parametrize("length", BORDERS)
def test_the_stock_programs_open_every_length_around_the_border_of_a_chunk(length: int, tmp_path: Path) -> None:
    if not shutil.which("age"):
        missing("the program age")
    (tmp_path / "key").write_text(f"{HOLDER}\n")
    octets = secrets.token_bytes(length)
    made = sealed([octets[:7], octets[7:]])
    assert pyrage.decrypt(made, [HOLDER]) == octets
    opened = subprocess.run(["age", "-d", "-i", tmp_path / "key"], input=made, capture_output=True, check=True)
    assert opened.stdout == octets


@given(LENGTHS)
def test_what_is_written_is_what_the_specification_says_of_this_entropy(lengths: list[int]) -> None:
    octets = b"".join(pieces(lengths))
    assert sealed(pieces(lengths), counted()) == specified(octets, str(HOLDER.to_public()), counted())


def test_a_published_file_is_made_of_published_entropy() -> None:
    """tests/vectors/writer.age: to the published therapist, 65,536 octets of 0x61 and then a newline."""
    recipient = str(pyrage.x25519.Identity.from_str((VECTORS / "therapist.key").read_text().split()[-1]).to_public())
    written: list[bytes] = []
    encrypt([b"a" * CHUNK, b"\n"], written.append, recipient, counted())
    assert b"".join(written) == (VECTORS / "writer.age").read_bytes()


@given(LENGTHS)
def test_a_file_tells_the_length_of_what_is_in_it_and_nothing_else(lengths: list[int]) -> None:
    total = sum(lengths)
    assert len(sealed(pieces(lengths))) == 168 + 16 + total + 16 * max(1, -(-total // CHUNK))


def test_no_two_files_have_a_key_or_nonce_in_common() -> None:
    """Sealed twice, the same octets have no 16 octets of their files in common but of the header's words."""
    asked: list[int] = []

    def entropy(count: int) -> bytes:
        asked.append(count)
        return secrets.token_bytes(count)

    one, two = sealed([b"hello"], entropy), sealed([b"hello"], entropy)
    assert asked == 2 * [16, 16, 32]
    header = one.index(b"\n---")
    assert (
        one[len(b"age-encryption.org/v1\n-> X25519 ") : header]
        != two[len(b"age-encryption.org/v1\n-> X25519 ") : header]
    )
    assert not {one[at : at + 16] for at in range(header + 4, len(one) - 15)} & {
        two[at : at + 16] for at in range(header + 4, len(two) - 15)
    }


@pytest.mark.parametrize("cut", [1, 16, CHUNK + 15, CHUNK + 16, CHUNK + 17])
def test_a_file_without_its_end_does_not_open(cut: int) -> None:
    with pytest.raises(pyrage.DecryptError):
        pyrage.decrypt(sealed([bytes(3 * CHUNK)])[:-cut], [HOLDER])


def test_chunks_put_in_another_order_do_not_open() -> None:
    made = sealed([bytes(3 * CHUNK)])
    assert pyrage.decrypt(made, [HOLDER]) == bytes(3 * CHUNK)
    body = len(made) - 3 * (CHUNK + 16)
    first, second = made[body : body + CHUNK + 16], made[body + CHUNK + 16 : body + 2 * (CHUNK + 16)]
    with pytest.raises(pyrage.DecryptError):
        pyrage.decrypt(made[:body] + second + first + made[body + 2 * (CHUNK + 16) :], [HOLDER])


@pytest.mark.parametrize(
    "recipient",
    [
        "age1nobody",
        "",
        str(HOLDER),
        str(HOLDER.to_public())[:-1] + ("q" if str(HOLDER.to_public())[-1] != "q" else "p"),
        "age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq5cu47z",  # the point 0: everybody has its secret
    ],
    ids=("no key", "nothing", "an identity", "a checksum that is wrong", "the point 0"),
)
def test_what_is_no_key_of_anybodys_is_refused_before_anything_is_written(recipient: str) -> None:
    with pytest.raises(SealError, match="could not be made") as told:
        encrypt([b"hello"], lambda _data: pytest.fail("written"), recipient, secrets.token_bytes)
    assert "AGE-SECRET-KEY" not in f"{told.value.message}{told.value.hint}"


@given(LENGTHS)
def test_hashing_beside_gives_the_same_hash(lengths: list[int]) -> None:
    threads = [ThreadPoolExecutor(1) for _ in range(2)]
    beside, other = (Sha256(iter([thread])) for thread in threads)
    for piece in pieces(lengths * 3):
        beside.update(piece)
        other.update(piece[::-1])
    assert beside.hexdigest() == other.hexdigest() == hashlib.sha256(b"".join(pieces(lengths * 3))).hexdigest()
    for thread in threads:
        thread.shutdown()


def test_what_is_short_starts_no_thread() -> None:
    with ThreadPoolExecutor(1) as lane:
        beside = Sha256(iter([lane]))
        beside.update(bytes(WORTH - 1))
        beside.hexdigest()
        assert not lane._threads
        beside.update(bytes(WORTH))
        assert lane._threads


def test_two_hashes_go_on_at_the_same_time_and_each_in_one_thread() -> None:
    turn = lanes()
    one, two = next(turn), next(turn)
    assert one is not two
    assert (next(turn), next(turn)) == (one, two)
    assert one._max_workers == two._max_workers == 1


def test_what_a_source_raises_goes_through() -> None:
    def cut_off() -> Iterator[bytes]:
        yield b"hello"
        raise SourceError("home: cut off")

    with pytest.raises(SourceError, match="cut off") as told:
        encrypt(cut_off(), lambda _data: None, str(HOLDER.to_public()), secrets.token_bytes)
    assert told.value.__context__ is None


@pytest.mark.parametrize("size", [5, 10_240, 70_000, 200_000])
def test_no_failure_to_write_is_lost_not_even_that_of_the_last_piece(size: int) -> None:
    """A record without its end would be taken for whole."""
    written: list[bytes] = []
    encrypt([bytes(size)], written.append, str(HOLDER.to_public()), secrets.token_bytes)
    for at in range(len(written)):
        calls = iter(range(len(written)))

        def full(_data: bytes, at: int = at, calls: Iterator[int] = calls) -> None:
            if next(calls) >= at:
                raise SealError("archive: no space")

        with pytest.raises(SealError, match="no space"):
            encrypt([bytes(size)], full, str(HOLDER.to_public()), secrets.token_bytes)


@pytest.mark.parametrize("failing", [0, 1, WIDE - 1, WIDE, 2 * WIDE + 4])
def test_of_many_flushes_at_once_no_failure_is_lost_and_none_is_under_way_afterwards(failing: int) -> None:
    under_way: set[int] = set()
    done: list[int] = []

    def act(number: int) -> None:
        under_way.add(number)
        if number != failing:
            time.sleep(0.001)
            done.append(number)
        under_way.remove(number)
        if number == failing:
            raise OSError(5, "the disk")

    acts = [partial(act, number) for number in range(2 * WIDE + 5)]
    with ThreadPoolExecutor(WIDE) as pool:
        with pytest.raises(OSError, match="the disk"):
            at_once(pool, acts)
        assert not under_way
        done.clear()
        at_once(pool, acts[:failing])
        assert sorted(done) == list(range(failing))


def specified(plaintext: bytes, recipient: str, entropy: Callable[[int], bytes]) -> bytes:
    """An age file as https://c2sp.org/age has it, with libsodium and by its words; not by our writer."""
    file_key, nonce, secret = entropy(16), entropy(16), entropy(32)
    share, theirs = crypto_scalarmult_base(secret), point(recipient)
    wrap = hkdf(crypto_scalarmult(secret, theirs), share + theirs, b"age-encryption.org/v1/X25519")
    header = b"\n".join(
        [
            b"age-encryption.org/v1",
            b"-> X25519 " + plain64(share),
            plain64(aead(file_key, b"", bytes(12), wrap)),
            b"---",
        ]
    )
    made = header + b" " + plain64(hmac.digest(hkdf(file_key, b"", b"header"), header, "sha256")) + b"\n" + nonce
    key = hkdf(file_key, nonce, b"payload")
    chunks = [plaintext[at : at + (1 << 16)] for at in range(0, len(plaintext), 1 << 16)] or [b""]
    for number, chunk in enumerate(chunks):
        final = b"\1" if number == len(chunks) - 1 else b"\0"
        made += aead(chunk, b"", number.to_bytes(11, "big") + final, key)
    return made


def hkdf(secret: bytes, salt: bytes, info: bytes) -> bytes:
    """RFC 5869, of the length of one hash."""
    return hmac.digest(hmac.digest(salt or bytes(32), secret, "sha256"), info + b"\1", "sha256")


def plain64(octets: bytes) -> bytes:
    return base64.b64encode(octets).replace(b"=", b"")


def point(recipient: str) -> bytes:
    """BIP 173, without the checksum."""
    bits = "".join(f"{'qpzry9x8gf2tvdw0s3jn54khce6mua7l'.index(letter):05b}" for letter in recipient[4:-6])
    return bytes(int(bits[at : at + 8], 2) for at in range(0, 256, 8))

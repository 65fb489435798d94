"""A stream becomes an age file (age-encryption.org/v1) for one recipient, in pieces: no message is ever held whole.

Written here for its speed (ADR 15); whatever opens a record is a library's. The keys of a file are
drawn anew for each one and live no longer than its making. There is no grease: how long a file is
tells how long its plaintext is, and nothing else about it.
"""

import hmac
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache

import pyrage  # type: ignore[import-untyped]  # published without types
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from nocontactd.errors import SealError

CHUNK = 1 << 16
_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


def encrypt(
    plaintext: Iterable[bytes], write: Callable[[bytes], None], recipient: str, entropy: Callable[[int], bytes]
) -> None:
    """Seal a stream to one age recipient, 64 KiB at a time. What `plaintext` or `write` raises goes through.

    `entropy(n)` gives n octets that nobody else will ever know.
    """
    file_key, nonce = entropy(16), entropy(16)
    before = _header(file_key, recipient, entropy(32)) + nonce
    cipher = ChaCha20Poly1305(_derived(file_key, nonce, b"payload"))
    for number, (chunk, last) in enumerate(_chunks(plaintext)):
        write(before + cipher.encrypt(number.to_bytes(11) + bytes([last]), chunk, None))
        before = b""


def _header(file_key: bytes, recipient: str, ephemeral: bytes) -> bytes:
    """With one X25519 stanza."""
    (theirs, key), ours = _public(recipient), X25519PrivateKey.from_private_bytes(ephemeral)
    share = ours.public_key().public_bytes_raw()
    try:
        shared = ours.exchange(key)
    except ValueError:  # a point of low order: whoever reads the disk could open the record
        raise _failure("no such key") from None
    wrap = _derived(shared, share + theirs, b"age-encryption.org/v1/X25519")
    body = ChaCha20Poly1305(wrap).encrypt(bytes(12), file_key, None)
    header = b"age-encryption.org/v1\n-> X25519 %b\n%b\n---" % (_base64(share), _base64(body))
    mac = hmac.digest(_derived(file_key, b"", b"header"), header, "sha256")
    return header + b" %b\n" % _base64(mac)


@lru_cache(8)
def _public(recipient: str) -> tuple[bytes, X25519PublicKey]:
    """The 32 octets of an age recipient and the key that they are, after a library found it to be one. SealError."""
    try:
        octets = str(pyrage.x25519.Recipient.from_str(recipient)).removeprefix("age1")[:-6]
    except pyrage.RecipientError as problem:
        raise _failure(type(problem).__name__) from None
    value = 0
    for letter in octets:
        value = value << 5 | _BECH32.index(letter)
    public = (value >> 4).to_bytes(32)  # 52 letters are 260 bits
    return public, X25519PublicKey.from_public_bytes(public)


def _chunks(plaintext: Iterable[bytes]) -> Iterator[tuple[bytes | bytearray | memoryview, bool]]:
    """Each with whether it is the last: that one may be shorter, and is empty only where there is nothing at all."""
    kept = bytearray()
    for piece in plaintext:
        if len(kept) + len(piece) <= CHUNK:
            kept += piece
            continue
        rest = memoryview(piece)
        while len(kept) + len(rest) > CHUNK:
            missing = CHUNK - len(kept)
            yield (kept + rest[:missing] if kept else rest[:missing]), False
            kept, rest = bytearray(), rest[missing:]
        kept += rest
    yield kept, True


def _derived(key: bytes, salt: bytes, info: bytes) -> bytes:
    return HKDF(SHA256(), 32, salt, info).derive(key)


def _base64(octets: bytes) -> bytes:
    return b64encode(octets).rstrip(b"=")


def _failure(what: str) -> SealError:
    return SealError(f"the archive's record could not be made: {what}")

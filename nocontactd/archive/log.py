"""The log as values: leaves, the tree over them (RFC 6962), and the signed checkpoint (C2SP tlog-checkpoint).

A leaf that was signed for can never change, move or go without the root telling. The only
file that signs and checks signatures (Ed25519, by `cryptography`, imported when first needed).
"""

import base64
import hashlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from nocontactd.archive.proof import leaf_hash, node_hash

ORPHAN = "-"
"""Third field of a record that was never acknowledged; second or third of what is not there."""

ED25519 = b"\1"
"""C2SP signed-note: the number of the algorithm."""

RECORD = re.compile(r"(\d{4}-\d\d-\d\d)/(\d{6,})")
KEY = re.compile(r"key/(\d{4}-\d\d-\d\d)(?:\.(\d+))?")
FILE = re.compile(r"archive\.json|README\.txt|holders/[a-z][a-z0-9-]*\.age")
_HEX = r"[0-9a-f]{64}"
_LEAF = re.compile(rf"({RECORD.pattern}|{KEY.pattern}|{FILE.pattern}) ({_HEX}|-) ({_HEX}|-|[a-z-]+:[a-z-]+)")


@dataclass(frozen=True, slots=True)
class Leaf:
    """One line of the log.

    DAY/NNNNNN   SHA-256 of the sealed file     HMAC of the content hash, or - (an orphan)
    key/DAY[.N]  SHA-256 of DAY[.N].key.age     SHA-256 of DAY[.N].pub; - for one that is not there
    a file       SHA-256 of it, or - (taken away)   archive.json: why it changed; else -
    """

    subject: str
    first: str
    second: str

    def __str__(self) -> str:
        return f"{self.subject} {self.first} {self.second}"

    @property
    def day(self) -> str:
        """Of a record; "" for anything else."""
        return self.subject[:10] if self.subject[0].isdigit() else ""

    @property
    def orphan(self) -> bool:
        """A record that stands in the archive and was never acknowledged."""
        return self.second == ORPHAN

    def vouches(self, sealed: str, commitment: str) -> bool:
        """Whether a record with this hash and this commitment to its content is the one that was logged."""
        return self.first == sealed and (self.orphan or self.second == commitment)


def parse_leaf(line: str) -> Leaf:
    """ValueError: it is no leaf."""
    if not _LEAF.fullmatch(line):
        raise ValueError("not a leaf of the log")
    return Leaf(*line.split(" "))


class Tree:
    """The Merkle tree of RFC 6962, section 2.1, over lines as they come: it keeps a hash for each whole subtree."""

    def __init__(self) -> None:
        self.size = 0
        self._peaks: list[tuple[int, bytes]] = []

    def add(self, line: bytes) -> None:
        """One more leaf: a line without its newline."""
        node, height = leaf_hash(line), 0
        while self._peaks and self._peaks[-1][0] == height:
            node = node_hash(self._peaks.pop()[1], node)
            height += 1
        self._peaks.append((height, node))
        self.size += 1

    def root(self) -> bytes:
        """The hash that stands for all leaves and their order."""
        if not self._peaks:
            return hashlib.sha256().digest()
        node = self._peaks[-1][1]
        for _height, peak in reversed(self._peaks[:-1]):
            node = node_hash(peak, node)
        return node


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a signature says: this log had these leaves."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """The signed text, with its last newline."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


class Signer:
    """A private log key, written as `PRIVATE+KEY+name+hash+key` (golang.org/x/mod/sumdb/note)."""

    def __init__(self, written: str) -> None:
        """ValueError: it is no such key."""
        try:
            private, key, self.name, _hash, encoded = written.strip().split("+", 4)
            seed = base64.b64decode(encoded, validate=True)
            if (private, key, seed[:1]) != ("PRIVATE", "KEY", ED25519):
                raise ValueError
            self._sign = signing(seed[1:])
            public = ED25519 + public_half(seed[1:])
        except (ValueError, IndexError):
            raise ValueError("not a log key") from None
        self._id = key_id(self.name, public)
        self.verifier = f"{self.name}+{self._id.hex()}+{base64.b64encode(public).decode()}"
        """The public half, as archive.json lists it."""

    def sign(self, text: str) -> str:
        """A signed note: the text, which ends with a newline, a blank line, the signature."""
        return f"{text}\n{signature_line(self.name, self._id + self._sign(text.encode()))}"


def new_key(name: str, seed: bytes) -> str:
    """A private log key for a log of this name, of 32 random bytes."""
    identity = key_id(name, ED25519 + public_half(seed)).hex()
    return f"PRIVATE+KEY+{name}+{identity}+{base64.b64encode(ED25519 + seed).decode()}"


def split_note(note: bytes) -> tuple[Checkpoint, str, list[str]]:
    """What a signed note says, the text that is signed, and its signatures' lines. Nobody's signature is verified.

    ValueError: it is no checkpoint.
    """
    text, end, signatures = note.decode().partition("\n\n")
    origin, size, root = text.split("\n")[:3]
    checkpoint = Checkpoint(origin, int(size), base64.b64decode(root, validate=True))
    if not end or checkpoint.size < 0 or len(checkpoint.root) != hashlib.sha256().digest_size:
        raise ValueError("not a checkpoint")
    return checkpoint, f"{text}\n", signatures.split("\n")[:-1]


def read_checkpoint(note: bytes, origin: str, verifiers: Iterable[str]) -> Checkpoint:
    """What a signed note says. ValueError: no key of `verifiers` signed it, or it is of another log."""
    try:
        checkpoint, text, lines = split_note(note)
        good = any(_signed(text, line, verifier) for line in lines for verifier in verifiers)
    except ValueError:
        good = False
    if not good or checkpoint.origin != origin:
        raise ValueError("not a checkpoint of this log")
    return checkpoint


def signature_line(name: str, signature: bytes) -> str:
    """One line at the end of a signed note; the signature begins with its key's id."""
    return f"\u2014 {name} {base64.b64encode(signature).decode()}\n"


def key_id(name: str, public: bytes) -> bytes:
    """C2SP signed-note: four octets, of the name and the public key with the number of its algorithm before it."""
    return hashlib.sha256(name.encode() + b"\n" + public).digest()[:4]


def public_half(seed: bytes) -> bytes:
    """Ed25519, 32 octets of 32. ValueError."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def signing(seed: bytes) -> Callable[[bytes], bytes]:
    """What signs with this private half: Ed25519, 64 octets. ValueError."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(seed).sign


def sign(seed: bytes, message: bytes) -> bytes:
    """Ed25519, 64 octets."""
    return signing(seed)(message)


def is_signed(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether this is the signature (Ed25519) of the owner of that public half."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (ValueError, InvalidSignature):
        return False
    return True


def _signed(text: str, line: str, verifier: str) -> bool:
    """A witness may have signed too, in whatever way: only this very key's line counts. ValueError."""
    name, _hash, encoded = verifier.split("+", 2)
    public = base64.b64decode(encoded, validate=True)
    start = f"\u2014 {name} "
    if not line.startswith(start):
        return False
    try:
        raw = base64.b64decode(line.removeprefix(start), validate=True)
    except ValueError:
        return False
    whole = signature_line(name, key_id(name, public) + raw[4:])  # base64 can be written in more ways than one
    return f"{line}\n" == whole and is_signed(public[1:], text.encode(), raw[4:])

"""The log as values: leaves, the tree over them (RFC 6962), and the signed checkpoint (C2SP tlog-checkpoint).

A leaf that was signed for can never change, move or go without the root telling. The only
file that signs and checks signatures (Ed25519, by `cryptography`, imported when first needed).
"""

import base64
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

ORPHAN = "-"
"""Third field of a record that was never acknowledged; second or third of what is not there."""

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
        node, height = hashlib.sha256(b"\0" + line).digest(), 0
        while self._peaks and self._peaks[-1][0] == height:
            node = hashlib.sha256(b"\1" + self._peaks.pop()[1] + node).digest()
            height += 1
        self._peaks.append((height, node))
        self.size += 1

    def root(self) -> bytes:
        """The hash that stands for all leaves and their order."""
        if not self._peaks:
            return hashlib.sha256().digest()
        node = self._peaks[-1][1]
        for _height, peak in reversed(self._peaks[:-1]):
            node = hashlib.sha256(b"\1" + peak + node).digest()
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
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        try:
            private, key, self.name, _hash, encoded = written.strip().split("+", 4)
            seed = base64.b64decode(encoded, validate=True)
            if (private, key, seed[0]) != ("PRIVATE", "KEY", 1):
                raise ValueError
            self._key = Ed25519PrivateKey.from_private_bytes(seed[1:])
        except (ValueError, IndexError):
            raise ValueError("not a log key") from None
        public = b"\1" + self._key.public_key().public_bytes_raw()
        self._id = _key_id(self.name, public)
        self.verifier = f"{self.name}+{self._id.hex()}+{base64.b64encode(public).decode()}"
        """The public half, as archive.json lists it."""

    def sign(self, text: str) -> str:
        """A signed note: the text, which ends with a newline, a blank line, the signature."""
        signature = base64.b64encode(self._id + self._key.sign(text.encode())).decode()
        return f"{text}\n\u2014 {self.name} {signature}\n"


def new_key(name: str, seed: bytes) -> str:
    """A private log key for a log of this name, of 32 random bytes."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    public = b"\1" + Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    encoded = base64.b64encode(b"\1" + seed).decode()
    return f"PRIVATE+KEY+{name}+{_key_id(name, public).hex()}+{encoded}"


def read_checkpoint(note: bytes, origin: str, verifiers: Iterable[str]) -> Checkpoint:
    """What a signed note says. ValueError: no key of `verifiers` signed it, or it is of another log."""
    try:
        text, signatures = note.decode().split("\n\n", 1)
        said, size, root = text.split("\n")[:3]
        checkpoint = Checkpoint(said, int(size), base64.b64decode(root, validate=True))
        pairs = [(line, verifier) for line in signatures.split("\n")[:-1] for verifier in verifiers]
        signed = any(_signed(text + "\n", line, verifier) for line, verifier in pairs)
    except ValueError:
        signed = False
    if not signed or said != origin or len(checkpoint.root) != hashlib.sha256().digest_size:
        raise ValueError("not a checkpoint of this log")
    return checkpoint


def _signed(text: str, line: str, verifier: str) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    name, _hash, encoded = verifier.split("+", 2)
    public = base64.b64decode(encoded, validate=True)
    start = f"\u2014 {name} "
    if not line.startswith(start):  # a witness may have signed too, in whatever way
        return False
    try:
        raw = base64.b64decode(line.removeprefix(start), validate=True)
        Ed25519PublicKey.from_public_bytes(public[1:]).verify(raw[4:], text.encode())
    except (ValueError, InvalidSignature):
        return False
    return line == f"{start}{base64.b64encode(_key_id(name, public) + raw[4:]).decode()}"


def _key_id(name: str, public: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + public).digest()[:4]

"""The therapist's device as witness: it countersigns a log's checkpoint only if it extends the one it saw last.

It keeps 104 octets an archive and needs nothing else, no archive and no network. Formats: the
request is that of C2SP tlog-witness (add-checkpoint) with the log's key before it, the answer the
checkpoint with a C2SP tlog-cosignature (cosignature/v1) behind it. No clock, no files.
"""

import base64
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from nocontactd.archive.log import (
    Checkpoint,
    is_signed,
    key_id,
    public_half,
    read_checkpoint,
    sign,
    signature_line,
    split_note,
)
from nocontactd.archive.proof import Subtrees, check_consistency, consistency
from nocontactd.errors import DamagedError, NocontactError

HEADER = "nocontactd-countersign/1"
NAME = re.compile(r"nocontactd\.invalid/witness/([0-9a-f]{64})")
"""A witness is named by its public key: whoever has the signature can verify it."""
COSIGNATURE = b"\4"
"""The number of the algorithm in C2SP tlog-cosignature."""
_MOST_STEPS = 63
"""Of a proof: C2SP tlog-witness."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What the device keeps of one archive, and all it keeps."""

    seed: bytes
    """32 octets: its own private key (Ed25519), for this archive alone."""
    log: bytes
    """32 octets: SHA-256 of the log's verifier key, which holds the log's name."""
    size: int
    """The tree's size when it signed last, 8 octets, big-endian; 0: it has not signed yet."""
    root: bytes
    """32 octets: the tree's root then."""

    def dump(self) -> bytes:
        """104 octets."""
        return self.seed + self.log + self.size.to_bytes(8, "big") + self.root


def remembered(data: bytes) -> Memory:
    """The opposite. ValueError: it is not such a memory."""
    if len(data) != 104:
        raise ValueError("not the memory of a witness")
    return Memory(data[:32], data[32:64], int.from_bytes(data[64:72], "big"), data[72:])


def introduced(seed: bytes, log_key: str) -> Memory:
    """A device that has not signed for this log yet. `seed`: 32 random octets."""
    return Memory(seed, _hash(log_key), 0, hashlib.sha256().digest())


@dataclass(frozen=True, slots=True)
class Request:
    """What the archive's machine asks the device to sign."""

    log_key: str
    """The log's verifier key, as in archive.json."""
    since: int
    """The size that the device signed last, as far as the archive's machine knows."""
    steps: tuple[bytes, ...]
    """The proof that the tree of that size is the beginning of this one."""
    note: bytes
    """The checkpoint, signed by the log."""

    def dump(self) -> bytes:
        """Text, of a few hundred octets; nothing in it is secret."""
        lines = [HEADER, self.log_key, f"old {self.since}", *(base64.b64encode(step).decode() for step in self.steps)]
        return "\n".join((*lines, "", "")).encode() + self.note


def ask(leaves: Subtrees, since: int, log_key: str, note: bytes) -> Request:
    """Ask for a countersignature of this checkpoint, which signs for the first leaves of these. IndexError."""
    size = split_note(note)[0].size
    return Request(log_key, since, consistency(leaves, since, size), note)


def asked(data: bytes) -> Request:
    """The opposite of `Request.dump`. ValueError: it is none."""
    head, end, note = data.partition(b"\n\n")
    header, log_key, old, *steps = head.decode("ascii").split("\n")
    since = re.fullmatch(r"old (0|[1-9]\d{0,17})", old)
    if not end or header != HEADER or not since or len(steps) > _MOST_STEPS:
        raise ValueError("not a request for a countersignature")
    return Request(log_key, int(since[1]), tuple(base64.b64decode(step, validate=True) for step in steps), note)


def countersign(memory: Memory, request: Request, moment: datetime) -> tuple[Memory, bytes]:
    """What the device keeps from now on, and the countersigned note. Keep the first before giving out the second.

    DamagedError: what is asked for does not extend what this device saw.
    NocontactError: it cannot be told, for the request begins elsewhere.
    """
    if memory.log != _hash(request.log_key):
        raise DamagedError(
            "the log of this archive is signed by another key than before; nothing was countersigned",
            "was the machine set up anew? only then, and if you believe it: --new-log-key",
        )
    try:
        said = read_checkpoint(request.note, request.log_key.split("+")[0], [request.log_key])
    except ValueError:
        raise DamagedError("the log did not sign this checkpoint; nothing was countersigned") from None
    _refuse(memory, said, request)
    _checkpoint, text, _lines = split_note(request.note)
    later = replace(memory, size=said.size, root=said.root)
    return later, request.note + _cosignature(memory.seed, text, int(moment.timestamp())).encode()


def _refuse(memory: Memory, said: Checkpoint, request: Request) -> None:
    """Unless what is asked for extends what the device saw."""
    if said.size < memory.size:
        raise DamagedError(
            "this archive is older than what this device has seen of it; nothing was countersigned",
            "was an older copy put back? records that came after it are missing: look for the newer copy",
        )
    if (said.size, said.root) == (memory.size, memory.root):
        return  # signed already; the answer may have been lost
    if request.since != memory.size:
        raise NocontactError(
            "the request does not begin where this device signed last; nothing was countersigned",
            f"on the archive's machine: nocontact keys countersign ask --since {memory.size} FILE",
        )
    if not check_consistency(memory.size, said.size, request.steps, memory.root, said.root):
        raise DamagedError(
            "the history of this archive is not the one that this device has seen; nothing was countersigned",
            "somebody may have rewritten its log: keep the archive as it is, and whatever older copies there are",
        )


def witnesses(note: bytes) -> Iterator[tuple[bytes, int]]:
    """Public key and time (seconds since 1970) of each countersignature by such a device. ValueError: one is false."""
    _checkpoint, text, lines = split_note(note)
    for line in lines:
        _dash, name, encoded = line.split(" ")
        if known := NAME.fullmatch(name):
            public, raw = bytes.fromhex(known[1]), base64.b64decode(encoded, validate=True)
            time = int.from_bytes(raw[4:12], "big")
            if raw[:4] != key_id(name, COSIGNATURE + public) or not is_signed(public, _message(text, time), raw[12:]):
                raise ValueError("a false countersignature")
            yield public, time


def _cosignature(seed: bytes, text: str, time: int) -> str:
    public = public_half(seed)
    name = f"nocontactd.invalid/witness/{public.hex()}"
    return signature_line(
        name, key_id(name, COSIGNATURE + public) + time.to_bytes(8, "big") + sign(seed, _message(text, time))
    )


def _message(text: str, time: int) -> bytes:
    return f"cosignature/v1\ntime {time}\n{text}".encode()


def _hash(log_key: str) -> bytes:
    return hashlib.sha256(log_key.encode()).digest()

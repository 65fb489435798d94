"""Checkpoints outside the archive, on paper and by the therapist's device: read back as they were, or refused."""

import base64
import hashlib
import os
import struct
from dataclasses import replace
from datetime import UTC, datetime
from random import Random

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from nocontactd.archive.log import Checkpoint, Signer, new_key
from nocontactd.archive.outside import kept, printed
from nocontactd.archive.proof import Subtrees
from nocontactd.archive.witness import Memory, Request, ask, asked, countersign, introduced, remembered, witnesses
from nocontactd.errors import DamagedError, NocontactError

ORIGIN = "nocontactd.invalid/c26df1b857c94688"
LOG = Signer(new_key(ORIGIN, b"k" * 32))
STOLEN = LOG
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
SOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
roots = st.binary(min_size=32, max_size=32)


def leaves(size: int, salt: str = "") -> list[bytes]:
    return [f"leaf {number}{salt if number == 3 else ''}".encode() for number in range(size)]


def note(lines: list[bytes], size: int | None = None) -> bytes:
    """What the holder of the log's key signs for these leaves."""
    size = len(lines) if size is None else size
    return LOG.sign(Checkpoint(ORIGIN, size, Subtrees(lines[:size]).root()).text()).encode()


def request(lines: list[bytes], since: int) -> Request:
    return ask(Subtrees(lines), since, LOG.verifier, note(lines))


def device(size: int = 10) -> Memory:
    """One that has signed for the first leaves."""
    memory, _answer = countersign(introduced(b"w" * 32, LOG.verifier), request(leaves(size), 0), NOON)
    return memory


# On paper.


@given(st.integers(0, 10**9), roots)
def test_a_printed_checkpoint_reads_back(size: int, root: bytes) -> None:
    checkpoint = Checkpoint(ORIGIN, size, root)
    assert kept(printed(checkpoint).encode()).checkpoint == checkpoint


@given(roots, st.randoms())
def test_it_reads_back_as_people_type_and_machines_scan(root: bytes, chance: Random) -> None:
    """Other spaces and line ends, capitals, o for 0, l and i for 1, and what else stands on the sheet."""
    checkpoint = Checkpoint(ORIGIN, 1234, root)
    head, tail = printed(checkpoint).split("root")
    tail = "".join(chance.choice({"0": "0oO", "1": "1lI"}.get(c, c + c.upper())) for c in tail.replace("check", "\0"))
    tail = tail.replace("\0", "check").replace(" ", chance.choice([" ", "  ", "\t"])).replace("\n", "\r\n")
    sheet = f"Session sheet\r\n\r\n{head}root{tail}\r\n\r\nsigned: ______\r\n"
    assert kept(sheet.encode()).checkpoint == checkpoint


@given(st.data(), roots)
def test_one_mistyped_digit_is_told_and_never_taken_for_another_history(data: st.DataObject, root: bytes) -> None:
    lines = printed(Checkpoint(ORIGIN, 1234, root)).splitlines()
    row = data.draw(st.integers(1, len(lines) - 1))
    column = data.draw(st.sampled_from([at for at in range(9, len(lines[row])) if lines[row][at] != " "]))
    other = data.draw(st.sampled_from([c for c in "0123456789" if c != lines[row][column]]))
    lines[row] = f"{lines[row][:column]}{other}{lines[row][column + 1 :]}"
    with pytest.raises(ValueError, match="mistyped"):
        kept("\n".join(lines).encode())


@given(st.binary(max_size=200))
def test_what_is_no_checkpoint_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError):
        kept(data)


def test_paper_vouches_by_itself_and_a_note_by_its_signature() -> None:
    lines = leaves(5)
    signed, typed = kept(note(lines)), kept(printed(Checkpoint(ORIGIN, 5, Subtrees(lines).root())).encode())
    other = Signer(new_key(ORIGIN, b"o" * 32)).verifier
    assert signed.checkpoint == typed.checkpoint
    assert signed.of(ORIGIN, (LOG.verifier,))
    assert not signed.of(ORIGIN, (other,))
    assert typed.of(ORIGIN, ())
    assert not typed.of("nocontactd.invalid/0000000000000000", ())


# By the therapist's device.


def test_what_the_device_keeps_is_104_octets_and_reads_back() -> None:
    memory = device()
    assert len(memory.dump()) == 104
    assert remembered(memory.dump()) == memory
    assert (memory.size, memory.root) == (10, Subtrees(leaves(10)).root())
    for wrong in (b"", memory.dump()[:-1], memory.dump() + b"x"):
        with pytest.raises(ValueError, match="not the memory"):
            remembered(wrong)


def independent(signed: bytes) -> list[tuple[str, int]]:
    """C2SP tlog-cosignature read again from its specification: name and time of each good cosignature/v1."""
    body, lines = signed.split(b"\n\n", 1)
    found = []
    for line in lines.decode().splitlines():
        dash, name, encoded = line.split(" ")
        raw = base64.b64decode(encoded)
        assert dash == "—"
        if "/witness/" not in name:
            continue
        key = bytes.fromhex(name.rsplit("/", 1)[1])
        assert raw[:4] == hashlib.sha256(name.encode() + b"\n\x04" + key).digest()[:4]
        (time,) = struct.unpack(">Q", raw[4:12])
        message = f"cosignature/v1\ntime {time}\n".encode() + body + b"\n"
        Ed25519PublicKey.from_public_bytes(key).verify(raw[12:], message)
        found.append((name, time))
    return found


def test_a_countersignature_is_read_by_an_independent_reader() -> None:
    memory, answer = countersign(introduced(b"w" * 32, LOG.verifier), request(leaves(7), 0), NOON)
    ((name, time),) = independent(answer)
    assert time == int(NOON.timestamp())
    assert list(witnesses(answer)) == [(bytes.fromhex(name.rsplit("/", 1)[1]), time)]
    assert kept(answer).of(ORIGIN, (LOG.verifier,))
    assert memory.size == 7


def test_no_octet_of_a_countersignature_can_be_altered() -> None:
    _memory, answer = countersign(introduced(b"w" * 32, LOG.verifier), request(leaves(7), 0), NOON)
    start = answer.rindex(b" ") + 1
    raw = base64.b64decode(answer[start:])
    for at in range(len(raw)):
        altered = raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]
        with pytest.raises(ValueError, match="false countersignature"):
            list(witnesses(answer[:start] + base64.b64encode(altered) + b"\n"))


@given(st.integers(1, 40), st.integers(0, 40))
def test_a_device_signs_for_whatever_extends_what_it_saw(first: int, more: int) -> None:
    memory, _answer = countersign(device(first), request(leaves(first + more), first), SOON)
    assert memory.size == first + more


@given(st.integers(1, 40), st.integers(0, 40))
def test_a_request_reads_back_as_it_was(first: int, more: int) -> None:
    made = request(leaves(first + more), first)
    assert asked(made.dump()) == made


@given(st.binary(max_size=300))
def test_what_is_no_request_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError):
        asked(data)
    with pytest.raises(ValueError):
        asked(request(leaves(3), 0).dump()[:40] + data)


def refused(memory: Memory, made: Request, why: str) -> None:
    with pytest.raises(NocontactError, match=why):
        countersign(memory, made, SOON)


def test_an_older_archive_is_refused() -> None:
    refused(device(), request(leaves(9), 9), "older than what this device has seen")


def test_another_history_of_the_same_length_is_refused() -> None:
    refused(device(), request(leaves(10, "x"), 10), "not the one that this device has seen")


def test_a_request_that_begins_elsewhere_is_not_signed_and_says_where_to_begin() -> None:
    with pytest.raises(NocontactError, match="does not begin") as told:
        countersign(device(), request(leaves(12), 0), SOON)
    assert "--since 10" in told.value.hint


def test_a_checkpoint_that_the_log_did_not_sign_is_refused() -> None:
    stranger = Signer(new_key(ORIGIN, b"s" * 32))
    lines = leaves(12)
    signed = stranger.sign(Checkpoint(ORIGIN, 12, Subtrees(lines).root()).text()).encode()
    refused(device(), replace(request(lines, 10), note=signed), "did not sign")
    refused(device(), replace(request(lines, 10), note=signed, log_key=stranger.verifier), "another key than before")


def rewritten(chance: Random, memory: Memory) -> Request:
    """A history with what the device saw altered, dropped, swapped, cut or padded; signed anew, with the best proof."""
    lines = leaves(chance.randint(memory.size, memory.size + 30))
    at, to = chance.sample(range(memory.size), 2)
    kind = chance.choice(["alter", "drop", "swap", "insert", "cut"])
    if kind == "alter":
        lines[at] += b"x"
    elif kind == "drop":
        del lines[at]
    elif kind == "swap":
        lines[at], lines[to] = lines[to], lines[at]
    elif kind == "insert":
        lines.insert(at, b"planted")
    else:
        lines = lines[:at]
    since = min(memory.size, len(lines))
    made = request(lines, since)
    steps = list(made.steps)
    honest = list(ask(Subtrees(leaves(len(lines))), since, LOG.verifier, note(leaves(len(lines)))).steps)
    for place in range(len(steps)):  # its own hashes, those of the true history, or any
        steps[place] = chance.choice([steps[place], honest[place], chance.randbytes(32)])
    forged = chance.choice([steps, list(made.steps), honest, [*steps, chance.randbytes(32)], steps[:-1]])
    return replace(made, steps=tuple(forged), since=chance.choice([since, memory.size]))


def refusals(variants: int, seed: int) -> int:
    """How many of so many rewritten histories, signed with the stolen log key, a device refuses."""
    chance = Random(seed)
    count = 0
    for _variant in range(variants):
        memory = device(chance.randint(5, 60))
        try:
            countersign(memory, rewritten(chance, memory), SOON)
        except NocontactError:
            count += 1
    return count


def test_a_hundred_rewritten_histories_signed_with_the_stolen_key_are_refused() -> None:
    assert refusals(100, 1) == 100


@pytest.mark.soak
def test_a_thousand_rewritten_histories_signed_with_the_stolen_key_are_refused() -> None:
    """Another thousand each time it is run."""
    seed = int.from_bytes(os.urandom(4), "big")
    assert refusals(1000, seed) == 1000, f"seed {seed}"


def test_a_damaged_device_memory_never_signs_for_another_history() -> None:
    """Whatever octet of what it keeps is flipped: it refuses, or what it signs extends what it truly saw."""
    memory = device().dump()
    for at in range(32, 104):
        flipped = remembered(memory[:at] + bytes([memory[at] ^ 1]) + memory[at + 1 :])
        with pytest.raises((DamagedError, NocontactError)):
            countersign(flipped, request(leaves(10, "x"), 10), SOON)

#!/usr/bin/env python3
"""Checks exported messages without any key and without any other message. Only Python 3.9 and `openssl` are needed.

    python3 -I check.py                          everything in this folder
    python3 -I check.py PROOF FILE...            one message alone: its proof, and the files it came with
    --key KEY         the log key as you know it from elsewhere (a printed checkpoint, the other side's certificate)
    --tsa-ca FILE     certificates of the time-stamping authority (PEM), for the time-stamps in log/anchors

Every step is a hash that is computed here or a signature that openssl checks; nothing is believed.
Exit code 0: every statement printed is proven. 1: something is not what it should be, and is named.
"""

from __future__ import annotations  # whoever checks may have an older Python than whoever exports

import argparse
import base64
import hashlib
import hmac
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

PROOF = "nocontactd-proof/1"
EXTENDS = "nocontactd-consistency/1"
LEAF = re.compile(r"(\d{4}-\d\d-\d\d/\d{6,}) ([0-9a-f]{64}) ([0-9a-f]{64})")
MEMBER = re.compile(r"([0-9a-f]{64})  ([A-Za-z0-9][A-Za-z0-9._/-]*)")
WITNESS = re.compile("\u2014 (nocontactd\\.invalid/witness/([0-9a-f]{64})) ([A-Za-z0-9+/=]+)")
ED25519 = bytes.fromhex("302a300506032b6570032100")
"""What stands before the 32 octets of such a key in SubjectPublicKeyInfo (RFC 8410)."""


class Refused(Exception):  # noqa: N818  # read as a sentence
    """Why something is not proven."""


class Signed(NamedTuple):
    """What a checkpoint says, once its signature was checked."""

    size: int
    root: bytes


class Proven(NamedTuple):
    """One message whose place in the log is proven."""

    record: str
    place: int
    signed: Signed
    members: dict[str, str]
    """SHA-256 of each part, by its name in the record."""


Statement = tuple[bool, str]
"""Whether it is proven, and what."""


def main() -> int:
    """Check what was named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("proof", nargs="?", type=Path)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--key")
    parser.add_argument("--tsa-ca", type=Path, dest="authority")
    args = parser.parse_args()
    try:
        if args.proof:
            return report(one(args.proof, args.files, args.key))
        return report(bundle(Path(__file__).resolve().parent, args.key, args.authority))
    except (OSError, subprocess.SubprocessError) as problem:
        print(f"NOT CHECKED: {problem}")
        return 1


def report(lines: Iterator[Statement]) -> int:
    """Print what was found; the exit code."""
    found = list(lines)
    for good, text in found:
        print(("ok       " if good else "REFUSED  ") + printable(text))
    good = bool(found) and all(each for each, _ in found)
    print("everything above is proven" if good else "NOT EVERYTHING IS PROVEN: see REFUSED above")
    return 0 if good else 1


def one(proof: Path, files: list[Path], key: str | None) -> Iterator[Statement]:
    """One message, with the files that are said to be its."""
    try:
        said = read_json(proof)
        found = follow(said, key)
        yield True, f"{found.record}: is entry {found.place} of the log whose key is {said['key']}"
        if not key:
            yield True, "compare that key with one that you have from elsewhere, or give it with --key"
        yield from parts(found, {str(file): digest(file) for file in files})
    except Refused as problem:
        yield False, f"{proof}: {problem}"


def bundle(folder: Path, key: str | None, authority: Path | None) -> Iterator[Statement]:
    """All that lies beside this program."""
    try:
        yield from sums(folder)
        manifest = read_json(folder / "manifest.json")
        key = key or str(manifest["log_key"])
        yield True, f"the key of the log is {key}: compare it with one that you have from elsewhere"
        proven: list[Proven] = []
        for message in manifest["messages"]:
            yield from exhibit(folder, message, key, proven)
        for note in sorted(folder.glob("log/anchors/*.note")):
            yield anchor(note, proven, key, authority)
    except (Refused, KeyError, TypeError, AttributeError) as problem:
        yield False, f"manifest.json: {problem}"


def exhibit(folder: Path, message: dict[str, Any], key: str, proven: list[Proven]) -> Iterator[Statement]:
    """One message of the manifest."""
    record = str(message["record"])
    if message["proof"] is None:
        yield True, f"{record}: comes WITHOUT a proof; only its hash in SHA256SUMS stands for it"
        return
    try:
        found = follow(read_json(folder / message["proof"]), key)
        original = found.members.get("message.eml") or found.members.get("message.json")
        if (found.record, original) != (record, message["sha256"]):
            raise Refused(f"the proof is of {found.record}")
        statements = list(parts(found, {name: digest(folder / name) for name in message["files"].values()}))
        yield True, f"{record}: is entry {found.place} of the log"
        yield from statements
        yield from arrival(folder, message["files"].get("meta.json"), record)
        proven.append(found)
    except Refused as problem:
        yield False, f"{record}: {problem}"


def arrival(folder: Path, meta: str | None, record: str) -> Iterator[Statement]:
    """What was recorded when the message was sealed, and is as provably unaltered as the message."""
    if meta:
        said = read_json(folder / meta)
        if said.get("record") != record:
            raise Refused(f"{meta} is of another record")
        yield True, f"{record}: says of itself: arrived {said.get('arrived')}, sealed {said.get('sealed')}"


def follow(said: dict[str, Any], key: str | None) -> Proven:
    """From the hashes of the parts to the leaf, to the root, to the signature. Refused."""
    try:
        if said["format"] != PROOF:
            raise Refused("not a proof that this program knows")
        if key and said["key"] != key:
            raise Refused("it is signed with the key of another archive")
        leaf = LEAF.fullmatch(said["leaf"])
        if not leaf or leaf[1] != said["record"]:
            raise Refused("its entry in the log is of another record")
        content = hashlib.sha256("".join(f"{line}\n" for line in said["members"]).encode()).hexdigest()
        if hmac.new(bytes.fromhex(said["salt"]), content.encode(), "sha256").hexdigest() != leaf[3]:
            raise Refused("these are not the parts that its entry in the log commits to")
        signed = checkpoint(said["checkpoint"], said["key"])
        path = [base64.b64decode(step, validate=True) for step in said["path"]]
        if included(leaf[0].encode(), said["index"], signed.size, path) != signed.root:
            raise Refused("its entry does not stand at that place in the log that was signed")
        members = {found[2]: found[1] for found in map(MEMBER.fullmatch, said["members"]) if found}
        if len(members) != len(said["members"]):
            raise Refused("the proof is damaged")
    except (KeyError, TypeError, ValueError, AttributeError):
        raise Refused("the proof is damaged") from None
    return Proven(leaf[1], said["index"], signed, members)


def parts(found: Proven, files: dict[str, str]) -> Iterator[Statement]:
    """Each file must be a part of the record; the message itself must be among them."""
    for file, sha256 in files.items():
        if sha256 not in found.members.values():
            raise Refused(f"{file} is not a file that was sealed in this record")
    for name, sha256 in found.members.items():
        shown = next((file for file, own in files.items() if own == sha256), None)
        if shown:
            yield True, f"{found.record}: {shown} is {name}, octet for octet as it was sealed"
        elif name in ("message.eml", "message.json"):
            raise Refused("the message itself is not among the files")


def included(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes:
    """The root that a path leads to (RFC 9162, 2.1.3.2). Refused."""
    if not (type(index) is int and 0 <= index < size):
        raise Refused("its place is not in the log that was signed")
    at, last, found = index, size - 1, hashlib.sha256(b"\0" + leaf).digest()
    for step in path:
        if not last:
            raise Refused("its path is too long")
        if at & 1 or at == last:
            found = node(step, found)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            found = node(found, step)
        at, last = at >> 1, last >> 1
    if last:
        raise Refused("its path is too short")
    return found


def extended(first: int, second: int, path: list[bytes], old: bytes, new: bytes) -> bool:
    """Whether the later log begins with the earlier one (RFC 9162, 2.1.4.2)."""
    if not 0 < first <= second:
        return False
    if first == second:
        return not path and old == new
    steps = [old, *path] if first & (first - 1) == 0 else list(path)
    if not steps:
        return False
    at, last = first - 1, second - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    then = now = steps[0]
    for step in steps[1:]:
        if not last:
            return False
        if at & 1 or at == last:
            then, now = node(step, then), node(step, now)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            now = node(now, step)
        at, last = at >> 1, last >> 1
    return not last and (then, now) == (old, new)


def node(left: bytes, right: bytes) -> bytes:
    """RFC 6962, 2.1."""
    return hashlib.sha256(b"\1" + left + right).digest()


def checkpoint(note: str, key: str) -> Signed:
    """What a signed note (C2SP) says, if this key signed it. Refused, ValueError."""
    name, said, encoded = key.split("+", 2)
    public = base64.b64decode(encoded, validate=True)
    if public[:1] != b"\1" or len(public) != 33 or identifier(name, public).hex() != said:
        raise Refused("the key is none")
    text, signatures = note.split("\n\n", 1)
    origin, size, root = (text + "\n").split("\n")[:3]
    start = f"\u2014 {name} "
    for line in signatures.splitlines():
        raw = base64.b64decode(line[len(start) :]) if line.startswith(start) else b""
        if raw[:4] == identifier(name, public) and verified(public[1:], raw[4:], f"{text}\n".encode()):
            if origin != name or not re.fullmatch("[1-9][0-9]*", size):
                raise Refused("the checkpoint is of another log")
            return Signed(int(size), base64.b64decode(root, validate=True))
    raise Refused("the checkpoint is not signed with that key")


def identifier(name: str, public: bytes) -> bytes:
    """The first octets of a signature say whose it is."""
    return hashlib.sha256(name.encode() + b"\n" + public).digest()[:4]


def verified(public: bytes, signature: bytes, text: bytes) -> bool:
    """Ed25519, by openssl."""
    pem = base64.b64encode(ED25519 + public).decode()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "key.pem").write_text(f"-----BEGIN PUBLIC KEY-----\n{pem}\n-----END PUBLIC KEY-----\n")
        (place / "text").write_bytes(text)
        (place / "signature").write_bytes(signature)
        command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "key.pem", "-rawin", "-in", "text"]
        done = subprocess.run([*command, "-sigfile", "signature"], cwd=folder, capture_output=True, check=False)
    return done.returncode == 0


def anchor(note: Path, proven: list[Proven], key: str, authority: Path | None) -> Statement:
    """An earlier checkpoint that somebody outside has seen: the log must be its continuation."""
    try:
        old = checkpoint(note.read_text(encoding="utf-8"), key)
        extends = read_json(note.with_suffix(".json"))
        if not proven or extends["format"] != EXTENDS:
            raise Refused("nothing links it to the log")
        new = proven[0].signed
        path = [base64.b64decode(step, validate=True) for step in extends["path"]]
        if not extended(old.size, new.size, path, old.root, new.root):
            raise Refused("the log is not a continuation of it")
        older = sorted(each.record for each in proven if each.place < old.size)
        stamp = note.with_suffix(".tsr")
        seen = countersigned(note.read_text(encoding="utf-8"))
        seen += [stamped(note, stamp, authority)] if stamp.exists() else []
        told = "; ".join(seen or ["seen by nobody else"])
        return True, f"log/anchors/{note.name}: older than it: {', '.join(older) or 'none'}; {told}"
    except (Refused, KeyError, TypeError, ValueError, OverflowError, OSError) as problem:
        return False, f"log/anchors/{note.name}: {problem}"


def countersigned(note: str) -> list[str]:
    """By whose device, and when it says that was (C2SP tlog-cosignature). Refused: such a signature is false."""
    text, _, signatures = note.partition("\n\n")
    found = []
    for line in signatures.splitlines():
        known = WITNESS.fullmatch(line)
        if known:
            public, raw = bytes.fromhex(known[2]), base64.b64decode(known[3], validate=True)
            time = int.from_bytes(raw[4:12], "big")
            signed = f"cosignature/v1\ntime {time}\n{text}\n".encode()
            if raw[:4] != identifier(known[1], b"\4" + public) or not verified(public, raw[12:], signed):
                raise Refused("a witness's signature is false")
            when = datetime.fromtimestamp(time, timezone.utc)  # noqa: UP017  # Python 3.9 knows no datetime.UTC
            found.append(f"countersigned {when.isoformat()} by the device {known[2]}")
    return found


def stamped(note: Path, stamp: Path, authority: Path | None) -> str:
    """What an RFC 3161 time-stamp says of a file. Refused: it is not of this file, or not by that authority."""
    said = subprocess.run(
        ["openssl", "ts", "-reply", "-in", str(stamp), "-text"], capture_output=True, text=True, check=False
    )
    time = re.search(r"^Time stamp: (.*)$", said.stdout, re.MULTILINE)
    if said.returncode or not time:
        raise Refused("its time-stamp is damaged")
    if not authority:
        return f"time-stamp of {time[1]}, not checked: give --tsa-ca FILE"
    command = ["openssl", "ts", "-verify", "-data", str(note), "-in", str(stamp), "-CAfile", str(authority)]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        raise Refused("its time-stamp is not of this checkpoint, or not by that authority")
    return f"stamped {time[1]} by that authority"


def sums(folder: Path) -> Iterator[Statement]:
    """SHA256SUMS: every file as it was written, none missing, none added."""
    listed = set()
    for line in (folder / "SHA256SUMS").read_text(encoding="utf-8").splitlines():
        expected, _, name = line.partition("  ")
        listed.add(name)
        if not (folder / name).is_file():
            yield False, f"{name}: is missing"
        elif digest(folder / name) != expected:
            yield False, f"{name}: is not the file that was exported"
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    for name in sorted(there - listed - {"SHA256SUMS"}):
        yield False, f"{name}: was not exported with the others"
    yield True, "SHA256SUMS: each file was compared with it"


def read_json(path: Path) -> dict[str, Any]:
    """Refused: it is no such file."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        raise Refused(f"{path.name} cannot be read") from None
    if not isinstance(found, dict):
        raise Refused(f"{path.name} is damaged")
    return found


def digest(path: Path) -> str:
    """SHA-256 of a file, in hex. Refused: it cannot be read."""
    found = hashlib.sha256()
    try:
        with path.open("rb") as file:
            for piece in iter(lambda: file.read(1 << 20), b""):
                found.update(piece)
    except OSError:
        raise Refused(f"{path.name} cannot be read") from None
    return found.hexdigest()


def printable(text: str) -> str:
    """Nothing that acts on a screen."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


if __name__ == "__main__":
    sys.exit(main())

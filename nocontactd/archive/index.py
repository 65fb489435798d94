"""What a session learned of a day, sealed to that day's own key, so that the next listing opens no record.

A cache and never a witness. An entry counts only while its record has the leaf under which it was
opened, and its file has the size and the change time it had then, or else the hash of that leaf.
Anybody can seal to a public key, so each file is vouched for under the private one. Its length tells
how many files the day has, by their steps, and nothing of what they are.
"""

import hmac
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from pathlib import Path

import pyrage  # type: ignore[import-untyped]  # published without types

from nocontactd.archive.cover import step
from nocontactd.archive.durable import Disk, digest, round_time
from nocontactd.archive.encrypt import encrypt
from nocontactd.archive.log import Leaf
from nocontactd.archive.regular import opened

FORMAT = "nocontactd-index/1"
WIDTH = 512
"""Octets of a line, its newline included: what fits in none is opened each time."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of one record that was opened, and of the file it was then."""

    leaf: str
    """Digest of its leaf."""
    size: int
    """Of the sealed file."""
    changed: int
    """Its st_ctime_ns."""
    facts: str
    """One line of text for DAY.a: what is neutral."""
    words: str
    """One line of text for DAY.b: what a sender wrote."""


def made(leaf: Leaf, file: os.stat_result, facts: str, words: str) -> Entry:
    """The entry of a record that was opened and is what its leaf says; `file` is from before it was opened."""
    return Entry(_digest(leaf), file.st_size, file.st_ctime_ns, facts, words)


def still(entry: Entry, leaf: Leaf, file: os.stat_result, archive: Path) -> Entry | None:
    """The entry, if it is of this very record still; None: open it. OSError: the file cannot be read.

    A file that was touched is hashed once; a backup or a move changes the time and no octet.
    """
    if entry.leaf != _digest(leaf):
        return None
    if (entry.size, entry.changed) == (file.st_size, file.st_ctime_ns):
        return entry
    if digest(archive / "mail" / f"{leaf.subject}.age") != leaf.first:
        return None
    return replace(entry, size=file.st_size, changed=file.st_ctime_ns)


def fits(entry: Entry) -> bool:
    """Whether it can stand in the index."""
    return max(map(len, _lines("000000", entry))) < WIDTH - 6  # a number may have more digits than six


def read(archive: Path, day: str, keys: Sequence[str]) -> dict[str, Entry]:
    """The entries of a day by record; none where there is no index, or none that these keys vouch for.

    `keys`: the day's age identities.
    """
    found = {}
    for neutral, spoken in zip(_open(archive, day, "a", keys), _open(archive, day, "b", keys), strict=False):
        number, leaf, size, changed, facts = neutral.split(" ", 4)
        same, words = spoken.split(" ", 1)
        if number == same:  # or a session died between the two
            found[f"{day}/{number}"] = Entry(leaf, int(size), int(changed), facts, words)
    return found


def write(
    archive: Path, day: str, keys: Sequence[str], entries: Mapping[str, Entry], files: int, moment: datetime
) -> None:
    """Put the entries of a day, which has that many files, in the place of its index. OSError: it is as it was."""
    folder, disk = archive / "index", Disk()
    recipient = str(pyrage.x25519.Identity.from_str(keys[0]).to_public())
    disk.make_folder(folder)
    lines = [_lines(record[11:], entry) for record, entry in entries.items()]
    for letter, column in zip("ab", zip(*lines, strict=True) if lines else ((), ()), strict=True):
        draft = folder / f"{day}.new.{letter}.age"  # reserved as an index is, wherever a session dies
        disk.remove(draft)
        fd = disk.create(draft)
        try:
            octets = _plaintext(day, letter, keys, column, files)
            encrypt(octets, partial(disk.write, fd), recipient, secrets.token_bytes)
            round_time(fd, datetime.fromisoformat(day).replace(tzinfo=UTC))
        finally:
            os.close(fd)
        disk.rename(draft, folder / f"{day}.{letter}.age")
    round_time(folder, moment)


def _lines(number: str, entry: Entry) -> tuple[bytes, bytes]:
    neutral = f"{number} {entry.leaf} {entry.size} {entry.changed} {entry.facts}"
    return _encoded(neutral), _encoded(f"{number} {entry.words}")


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _plaintext(day: str, letter: str, keys: Sequence[str], lines: Sequence[bytes], files: int) -> Iterator[bytes]:
    yield _padded(_encoded(f"{FORMAT} {day} {letter} {_mac(day, letter, keys, lines)}"))
    yield from map(_padded, lines)
    for _ in range(len(lines), step(files)):
        yield _padded(b"")


def _padded(line: bytes) -> bytes:
    return line.ljust(WIDTH - 1) + b"\n"


def _mac(day: str, letter: str, keys: Sequence[str], lines: Iterable[bytes]) -> str:
    """Who has not opened the day cannot make it."""
    found = hmac.new("\n".join(sorted(keys)).encode(), f"{FORMAT} {day} {letter}\n".encode(), "sha256")
    for line in lines:
        found.update(line + b"\n")
    return found.hexdigest()


def _open(archive: Path, day: str, letter: str, keys: Sequence[str]) -> list[str]:
    """The lines of one file after the first; none of a file that is damaged, forged or not there."""
    sink = _Sink()
    try:
        with opened(archive / "index" / f"{day}.{letter}.age") as file:
            pyrage.decrypt_io(file, sink, [pyrage.x25519.Identity.from_str(key) for key in keys])
    except (OSError, ValueError, pyrage.DecryptError):
        return []
    head, *lines = sink.lines or [b""]
    expected = f"{FORMAT} {day} {letter} {_mac(day, letter, keys, lines)}"
    if not hmac.compare_digest(head, expected.encode()):
        return []
    return [line.decode("utf-8", "surrogatepass") for line in lines]


class _Sink:
    """Takes the plaintext as it is opened and keeps what is not blank."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self._rest = b""

    def write(self, data: bytes) -> int:
        *whole, self._rest = (self._rest + data).split(b"\n")
        if whole and not (whole[0].isspace() and data.isspace()):
            self.lines.extend(filter(None, map(bytes.rstrip, whole)))
        return len(data)

    def flush(self) -> None: ...


def _digest(leaf: Leaf) -> str:
    return sha256(str(leaf).encode()).hexdigest()[:32]

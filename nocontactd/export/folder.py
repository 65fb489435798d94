"""A folder that takes exact octets, each file under a name of its own; it never replaces a file, and leaves no half."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from nocontactd.archive.format import Member, is_original
from nocontactd.archive.unseal import Opener

MAIL = "message.eml"


class Folder:
    """Files for their owner alone (0600, folders 0700)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def create(self, name: str) -> BinaryIO:
        """A new file; FileExistsError if there is one."""
        for parent in reversed(Path(name).parents):
            (self.path / parent).mkdir(mode=0o700, exist_ok=True)
        return os.fdopen(os.open(self.path / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb")

    def put(self, name: str, octets: bytes) -> None:
        """A whole new file. OSError."""
        with self.create(name) as file:
            file.write(octets)

    @contextmanager
    def whole(self) -> Iterator[Callable[[str], BinaryIO]]:
        """Files that are all taken away again unless everything goes well."""
        made: list[str] = []
        done = False

        def create(name: str) -> BinaryIO:
            file = self.create(name)
            made.append(name)
            return file

        try:
            yield create
            done = True
        finally:
            for name in made if not done else ():
                (self.path / name).unlink(missing_ok=True)


def write_originals(opener: Opener, folder: Folder, record: str) -> None:
    """The parts of one message, octet for octet. DamagedError; OSError: nothing of it is there."""
    with folder.whole() as create:
        opener.originals(record, lambda name: create(original_name(record, name)))


def original_name(record: str, member: str) -> str:
    """Where a part of a message is to go: the message itself beside all others, the rest into a folder of its own.

    Whatever a forged record calls its parts, nothing leads out of the folder.
    """
    stem = record.replace("/", "-")
    if member == MAIL:
        return f"{stem}.eml"
    if member == "message.json":
        return f"{stem}.json"
    safe = re.sub("[^A-Za-z0-9._-]", "_", member.removeprefix("media/")).lstrip(".")
    return f"{stem}/{safe or 'part'}"


def is_original_name(member: str) -> bool:
    """Whether a part of this name is of the message itself, and not what was written about it."""
    return is_original(Member(member, 0, ""))

"""What the lines of a server say, apart from FETCH: folders, how they stand, where messages went.

Nothing here talks to anybody. ValueError, TypeError, LookupError: a line cannot be read.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from imapclient.exceptions import ProtocolError
from imapclient.imap_utf7 import decode, encode
from imapclient.response_parser import parse_response

from nocontactd.sources.imap.folders import Folder

UIDS_END = 2**63 - 1
"""RFC 9051 gives UIDs and UIDVALIDITY 32 bits; some servers use more, but no ledger holds more than these."""

Raw = bytes | tuple[bytes, bytes] | None
"""A line as imaplib collects it: a literal in it comes as a pair, and what follows that as the next one."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a folder stands, as a server says without opening it (STATUS; RFC 9051, 6.3.11)."""

    uidvalidity: int
    uidnext: int
    exists: int


def folder(attributes: Sequence[bytes], delimiter: bytes | None, name: bytes | str | None) -> tuple[Folder, bytes]:
    """A row of LIST, and how the server spells its name."""
    if name is None:  # a folder called NIL, unquoted, as an astring may be
        name = b"NIL"
    spelled = name.encode("ascii") if isinstance(name, str) else name
    lowered = frozenset(attribute.decode("ascii").lower() for attribute in attributes)
    return Folder(_shown(spelled), lowered, (delimiter or b"").decode("ascii")), spelled


def apart(found: Iterable[tuple[Folder, bytes]]) -> Iterator[tuple[Folder, bytes]]:
    """The same, each with a name of its own: of two that are shown alike the odd one goes by its spelling."""
    found = list(found)
    shown = Counter(folder.name for folder, _ in found)
    for folder, spelled in found:
        odd = shown[folder.name] > 1 and encode(folder.name) != spelled
        yield (replace(folder, name=spelled.decode("latin-1")) if odd else folder), spelled


def _shown(spelled: bytes) -> str:
    """A name as people know it. What is no modified UTF-7, as of a folder made beside the server, stands for itself."""
    try:
        return str(decode(spelled))
    except ValueError:
        return spelled.decode("latin-1")


def standings(answers: Iterable[Raw]) -> Iterator[tuple[bytes, Standing]]:
    """Each STATUS that says all that was asked, by the name as it is spelled; the others are left out."""
    line: list[bytes | tuple[bytes, bytes]] = []
    for raw in answers:
        if raw is None:
            continue
        line.append(raw)
        if isinstance(raw, bytes):
            try:
                name, items = parse_response(line)
                yield _spelled(name), _standing(dict(zip(items[::2], items[1::2], strict=True)))
            except (ValueError, TypeError, LookupError, ProtocolError):
                pass  # that folder is opened to see how it stands
            line = []


def _spelled(name: bytes | int | None) -> bytes:
    if name is None:
        return b"NIL"
    return str(name).encode("ascii") if isinstance(name, int) else name


def _standing(said: Mapping[bytes, Any]) -> Standing:
    standing = Standing(*(int(said[item]) for item in (b"UIDVALIDITY", b"UIDNEXT", b"MESSAGES")))
    if not (0 < standing.uidvalidity <= UIDS_END and 0 < standing.uidnext <= UIDS_END):
        raise ValueError("a STATUS with numbers that are none")
    return standing


def copyuid(answers: Iterable[bytes], asked: int) -> dict[int, tuple[int, int]]:
    """UIDVALIDITY, old UIDs and new UIDs of a COPYUID (RFC 4315, 3), paired in their order."""
    places: dict[int, tuple[int, int]] = {}
    for answer in answers:
        match = re.fullmatch(rb"(\d{1,10}) ([\d:,]+) ([\d:,]+)", answer)
        if match:
            old, new = _expanded(match[2], asked), _expanded(match[3], asked)
            if len(old) == len(new):
                places |= {uid: (int(match[1]), to) for uid, to in zip(old, new, strict=True)}
    return places


def _expanded(spelled: bytes, limit: int) -> list[int]:
    """The UIDs of a set; none where it is larger than what was asked for."""
    uids: list[int] = []
    for part in spelled.split(b","):
        first, _, last = part.partition(b":")
        ends = sorted((int(first), int(last or first)))
        if len(uids) + ends[1] - ends[0] >= limit:
            return []
        uids += range(ends[0], ends[1] + 1)
    return uids


def found(lines: Iterable[Raw]) -> list[int]:
    """The UIDs that a SEARCH gave, ascending."""
    uids = sorted(int(uid) for line in lines if isinstance(line, bytes) for uid in line.split())
    if uids and uids[-1] >= 2**32:
        raise ValueError("a UID that is none")
    return uids

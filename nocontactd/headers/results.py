"""What one server says of a message's sender in Authentication-Results (RFC 8601), read strictly.

Here doubt is the other way round than in author fields: a field that is not quite as the RFC has
it says nothing. Servers write theirs above whatever came with the message, so only the topmost
field of a server counts, and nothing that stands below a line that is no field.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from nocontactd.address import unquoted
from nocontactd.headers.lifted import comment_end

HEADER_OCTETS = 256 * 1024
"""No more of a header is looked through: the server's own fields stand at the top."""
FIELD_OCTETS = 16 * 1024
"""A longer field says nothing."""

_NAME = b"authentication-results"
_FIELD = re.compile(rb"([!-9;-~]++):([^\n]*+(?:\n[ \t][^\n]*+)*)\n(?![ \t])")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_TOKEN = re.compile(r'[ \t\n]*+(?:([;=])|((?:"[^"\\]*+(?:\\.[^"\\]*+)*"|[^\s()";=]++)+)|\()', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Result:
    """What one method found."""

    method: str
    """`dmarc`, `dkim` and so on, in lower case."""
    value: str
    """`pass`, `fail` and so on, in lower case."""
    properties: tuple[tuple[str, str], ...]
    """(`header.from`, its value) and so on, in their order; the name in lower case."""

    def of(self, name: str) -> str:
        """The value of a property; "" where it is missing, or stands there twice with different values."""
        values = {value for key, value in self.properties if key == name}
        return values.pop() if len(values) == 1 else ""


@dataclass(frozen=True, slots=True)
class Results:
    """One field."""

    text: str
    """As it stands there, unfolded."""
    found: tuple[Result, ...]


def results(raw: bytes, servers: Collection[str]) -> Results | None:
    """The topmost field that carries one of these authserv-ids; None where there is none. Never raises."""
    for value in _fields(raw):
        text = value.decode("utf-8", "replace").replace("\r\n", "\n")
        groups = _groups(text.removesuffix("\r"))
        if groups and any(_same(groups[0][0], server) for server in servers):
            found = (_result(group) for group in groups[1:]) if _is_version_1(groups[0]) else ()
            return Results(" ".join(text.split()), tuple(filter(None, found)))
    return None


def _fields(raw: bytes) -> Iterator[bytes]:
    at = 0
    while match := _FIELD.match(raw, at, HEADER_OCTETS):
        at = match.end()
        if match[1].lower() == _NAME and len(match[2]) <= FIELD_OCTETS:
            yield match[2]


def _groups(text: str) -> list[list[str]]:
    """The words between semicolons, comments left out; nothing where the field is malformed or names no server."""
    if _CONTROL.search(text):
        return []
    groups: list[list[str]] = [[]]
    at = 0
    while match := _TOKEN.match(text, at):
        at = match.end()
        if match[1] == ";":
            groups.append([])
        elif token := match[1] or match[2]:
            groups[-1].append(token)
        elif not (at := comment_end(text, at - 1)):
            return []
    return groups if groups[0] and not text[at:].strip() else []


def _same(said: str, server: str) -> bool:
    """Without regard to case in ASCII alone: other letters fold to ASCII ones that a provider does not look for."""
    said = unquoted(said)
    return said.lower() == server.lower() if said.isascii() and server.isascii() else said == server


def _is_version_1(group: list[str]) -> bool:
    return group[1:] in ([], ["1"])


def _result(group: list[str]) -> Result | None:
    """`method [/ version] = result`, then properties; None where it is anything else."""
    pairs: list[tuple[str, str]] = []
    key = ""
    tokens = iter(group)
    for token in tokens:
        if token != "=":
            key += token  # the grammar has white space and comments around each dot and slash
            continue
        value = next(tokens, "=")
        if not key or value == "=":
            return None
        pairs.append((key.lower(), unquoted(value)))
        key = ""
    if key or not pairs:
        return None
    method, _, version = pairs[0][0].partition("/")
    return Result(method, pairs[0][1].lower(), tuple(pairs[1:])) if version in ("", "1") else None

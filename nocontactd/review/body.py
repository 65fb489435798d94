"""The words of a sealed mail, and nothing else of it: no markup is rendered, no part is run, nothing is fetched.

Read by a walk of our own with stated bounds: `email` recurses without limit, and some of its
parameter parsing is quadratic on hostile input.
"""

import base64
import quopri
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

MOST_OCTETS = 1024 * 1024
"""What is looked at of one message; the original is there for the rest."""
_DEEPEST = 8
_MOST_PARTS = 200
_CHARSET = re.compile(
    r"(us-)?ascii|utf-?(8|16|32)(-?[bl]e)?|(iso-?8859|windows|cp|ibm)[-_]?\d{1,4}(-\d{1,2})?|latin-?\d"
    r"|koi8-[ru]|gb(k|2312|18030)|big5(-hkscs)?|shift[-_]?jis|euc-?(jp|kr|tw)|iso-2022-(jp|kr)(-\d)?|mac-?roman"
)
"""Character sets of mail. Python knows codecs that are none (idna, zlib, unicode_escape), some of them slow."""


@dataclass(frozen=True, slots=True)
class Body:
    """What a message says, and the media types of what it carries besides."""

    text: str
    others: tuple[str, ...]


def body(raw: bytes) -> Body:
    """The text/plain parts; where there are none, the text of the others with its tags. Never raises."""
    leaves = list(islice(_leaves(raw[:MOST_OCTETS], 0), _MOST_PARTS))
    plain = [text for kind, text in leaves if kind == "text/plain" and text.strip()]
    if plain:
        return Body("\n".join(plain), tuple(kind for kind, _ in leaves if kind != "text/plain"))
    marked_up = [text for kind, text in leaves if kind.startswith("text/")]
    return Body("\n".join(marked_up), tuple(kind for kind, _ in leaves if not kind.startswith("text/")))


def _leaves(raw: bytes, depth: int) -> Iterator[tuple[str, str]]:
    """Each part that is not a container: its media type, and its text where it is one."""
    head, content = _split(raw)
    field = _value(head, "content-type")
    kind = field.partition(";")[0].strip().lower() or "text/plain"
    boundary = _parameter(field, "boundary")
    if kind.startswith("multipart/") and boundary and depth < _DEEPEST:
        for part in _parts(content, boundary):
            yield from _leaves(part, depth + 1)
    elif kind == "message/rfc822" and depth < _DEEPEST:
        yield from _leaves(content, depth + 1)
    elif kind.startswith(("text/", "multipart/")):
        octets = _undone(content, _value(head, "content-transfer-encoding").strip().lower())
        yield kind, _decoded(octets, _parameter(field, "charset"))
    else:
        yield kind, ""


def _split(raw: bytes) -> tuple[str, bytes]:
    """Header and content of one entity (RFC 2046, 5.1: a part may have no header at all)."""
    end = re.search(rb"(?:\A|\n)\r?\n", raw)
    if end is None:
        return raw.decode("latin-1"), b""
    return raw[: end.start()].decode("latin-1"), raw[end.end() :]


def _value(head: str, name: str) -> str:
    """The first field of that name, unfolded; "" where there is none."""
    found = re.search(rf"^{name}[ \t]*:(.*(?:\n[ \t].*)*)", head, re.MULTILINE | re.IGNORECASE)
    return " ".join(found[1].split()) if found else ""


def _parameter(field: str, name: str) -> str:
    found = re.search(rf';\s*{name}\s*=\s*(?:"([^"]*)"|([^;\s]+))', field, re.IGNORECASE)
    return (found[1] or found[2] or "") if found else ""


def _parts(content: bytes, boundary: str) -> Iterator[bytes]:
    """What stands between the delimiters; a missing last one is the message's end."""
    delimiter = re.compile(rb"^--" + re.escape(boundary.encode("latin-1")) + rb"(--)?[ \t]*\r?(?:\n|\Z)", re.MULTILINE)
    start: int | None = None
    for count, found in enumerate(delimiter.finditer(content)):
        if start is not None:
            yield content[start : found.start()]
        start = found.end()
        if found[1] or count == _MOST_PARTS:
            return
    if start is not None:
        yield content[start:]


def _undone(octets: bytes, encoding: str) -> bytes:
    if encoding == "base64":
        letters = re.sub(rb"[^A-Za-z0-9+/]", b"", octets)
        if len(letters) % 4 == 1:  # cut off in the middle
            letters = letters[:-1]
        return base64.b64decode(letters + b"=" * (-len(letters) % 4))
    return quopri.decodestring(octets) if encoding == "quoted-printable" else octets


def _decoded(octets: bytes, charset: str) -> str:
    known = charset.strip().lower()
    try:
        return octets.decode(known if _CHARSET.fullmatch(known) else "utf-8", "replace")
    except LookupError:
        return octets.decode("utf-8", "replace")

"""FETCH answers to values, one an answer, and never a guess: what cannot be read is a ValueError.

An own reader, because imapclient's keys its dictionary by whatever spelling the server echoes,
merges what came in separate answers, turns INTERNALDATE into local time and drops how it was
spelled. The octets that are sealed, their size and their UID must come from one answer.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

Raw = bytes | tuple[bytes, bytes] | None
"""As imaplib hands it over: a line up to a literal with that literal, or the rest of a line."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one FETCH answer said; None where it said nothing, or NIL."""

    uid: int | None
    size: int | None
    """RFC822.SIZE."""
    internaldate: str
    """As spelled; "" where there is none."""
    octets: bytes | None
    """Of the one BODY[...] that was asked for."""
    offset: int | None
    """Where these octets begin, if the server says so."""
    gmail_id: str
    """X-GM-MSGID in decimal, or ""."""


_TOKEN = re.compile(
    rb"""[ ]+
    | (?P<bracket> [()] )
    | " (?P<quoted> (?: [^"\\] | \\. )* ) "
    | (?P<atom> [^ ()"\[]+ (?: \[ [^\]]* \] (?: <\d+> )? )? | \[ [^\]]* \] )""",
    re.VERBOSE | re.DOTALL,
)
_LITERAL = re.compile(rb"~?\{\d{1,10}\}\Z")
_OFFSET = re.compile(r"<(\d{1,19})>\Z")
_DIGITS = re.compile(rb"\d{1,20}\Z")


_Token = tuple[bytes, bool]
"""Octets, and whether they were a quoted string or a literal; otherwise an atom or a bracket."""
_OPEN, _CLOSE = (b"(", False), (b")", False)


def read_answers(data: Iterable[Raw]) -> Iterator[Answer]:
    """Each FETCH answer in what imaplib collected, in order. ValueError: one cannot be read."""
    tokens: list[_Token] = []
    for raw in data:
        if isinstance(raw, tuple):
            before, literal = raw
            tokens += _tokens(_LITERAL.sub(b"", before))
            tokens.append((literal, True))
        elif raw is not None:
            tokens += _tokens(raw)
            yield _answer(tokens)
            tokens = []
    if tokens:
        raise ValueError("a FETCH answer has no end")


def _tokens(line: bytes) -> Iterator[_Token]:
    position = 0
    while position < len(line):
        match = _TOKEN.match(line, position)
        if match is None:
            raise ValueError("a FETCH answer cannot be read")
        position = match.end()
        if match["quoted"] is not None:
            yield re.sub(rb"\\(.)", rb"\1", match["quoted"], flags=re.DOTALL), True
        elif match.lastgroup:
            yield match[match.lastgroup], False


def _answer(tokens: Sequence[_Token]) -> Answer:
    """Tokens of `N (KEY VALUE KEY VALUE ...)`."""
    uid = size = offset = octets = None
    internaldate = gmail_id = ""
    for key, (value, text) in _pairs(tokens):
        if key == "UID":
            uid = _number(value, 2**32)
        elif key == "RFC822.SIZE":
            size = _number(value, 2**63)  # number64 (RFC 9051, 9)
        elif key == "INTERNALDATE":
            internaldate = value.decode("ascii", "replace") if text else ""
        elif key == "X-GM-MSGID":
            gmail_id = str(_number(value, 2**64))
        elif key.startswith("BODY["):
            octets = value if text else None
            start = _OFFSET.search(key)
            offset = int(start[1]) if start else None
    return Answer(uid, size, internaldate, octets, offset, gmail_id)


def _pairs(tokens: Sequence[_Token]) -> Iterator[tuple[str, _Token]]:
    """Each key in upper case with its value; of a list in brackets the opening one."""
    if len(tokens) < 3 or tokens[1] != _OPEN or tokens[-1] != _CLOSE:
        raise ValueError("a FETCH answer is not a list")
    depth = 0
    key = ""
    for token in tokens[2:-1]:
        if depth == 0 and (token == _CLOSE or (not key and (token[1] or token == _OPEN))):
            raise ValueError("a FETCH answer has a value without a key")
        if depth == 0 and not key:
            key = token[0].decode("ascii", "replace").upper()
            continue
        if depth == 0:
            yield key, token
            key = ""
        depth += (token == _OPEN) - (token == _CLOSE)
    if depth or key:
        raise ValueError("a FETCH answer has a key without a value")


def _number(value: bytes, limit: int) -> int:
    if not _DIGITS.match(value) or int(value) >= limit:
        raise ValueError("a FETCH answer has a number that is none")
    return int(value)

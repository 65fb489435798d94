"""FETCH answers to values, one an answer, and never a guess: what cannot be read is a ValueError.

An own reader, because imapclient's keys its dictionary by whatever spelling the server echoes,
merges what came in separate answers, turns INTERNALDATE into local time and drops how it was
spelled. The octets that are sealed, their size and their UID must come from one answer.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from functools import lru_cache

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
    structure: tuple["Token", ...] = ()
    """BODYSTRUCTURE, as it stands."""


_TOKEN = re.compile(
    rb"""[ ]*+ (?:
      (?P<bracket> [()] )
    | " (?P<quoted> [^"\\]*+ (?: \\. [^"\\]*+ )* ) "
    | (?P<atom> [^ ()"\[]+ (?: \[ [^\]]* \] (?: <\d+> )? )? | \[ [^\]]* \] )
    | \Z )""",
    re.VERBOSE | re.DOTALL,
)
_BACKSLASH = re.compile(rb"\\(.)", re.DOTALL)
_LITERAL = re.compile(rb"~?\{\d{1,10}\}\Z")
_OFFSET = re.compile(r"<(\d{1,19})>\Z")
_DIGITS = re.compile(rb"\d{1,20}\Z")


Token = tuple[bytes, bool]
"""Octets, and whether they were a quoted string or a literal; otherwise an atom or a bracket."""
OPEN, CLOSE = (b"(", False), (b")", False)


def read_answers(data: Iterable[Raw], *, lenient: bool = False) -> Iterator[Answer]:
    """Each FETCH answer in what imaplib collected, in order. ValueError: one cannot be read.

    `lenient`: that one is left out, and the others are read.
    """
    raws: list[bytes | tuple[bytes, bytes]] = []
    for raw in data:
        if raw is None:
            continue
        raws.append(raw)
        if isinstance(raw, bytes):
            if answer := _usual(raws):
                yield answer
            else:
                with suppress(ValueError) if lenient else nullcontext():
                    yield _answer([token for each in raws for token in _tokens(each)])
            raws = []
    if raws and not lenient:
        raise ValueError("a FETCH answer has no end")


_USUAL = re.compile(rb"""\d++ \(UID (\d{1,9})(?: RFC822\.SIZE (\d{1,18}))?(?: INTERNALDATE "([^"\\]*+)")? (?=BODY\[)""")
_SECTION = re.compile(rb"""BODY\[[^\]" ({]*+(?: \([^\]"(){]*+\))?\]""")
_SIZE = re.compile(rb"(?:<(\d{1,19})>)? \{\d{1,10}\}\Z")


def _usual(raws: Sequence[bytes | tuple[bytes, bytes]]) -> Answer | None:
    """A short way for one part of a message as nearly all servers write it, held equal to the long one by test."""
    if len(raws) != 2 or raws[1] != b")" or not isinstance(raws[0], tuple):
        return None
    line, octets = raws[0]
    begin, end = _USUAL.match(line), line.rfind(b"]") + 1
    if not begin or not (size := _SIZE.match(line, end)) or not _is_section(line[begin.end() : end]):
        return None
    uid, octets_in_all, date = begin.groups()
    return Answer(
        int(uid),
        None if octets_in_all is None else int(octets_in_all),
        "" if date is None else date.decode("ascii", "replace"),
        octets,
        None if size[1] is None else int(size[1]),
        "",
    )


@lru_cache(16)
def _is_section(key: bytes) -> bool:
    """A server repeats what it was asked for, which may be a kilobyte, in each answer."""
    return _SECTION.fullmatch(key) is not None


def _tokens(raw: bytes | tuple[bytes, bytes]) -> Iterator[Token]:
    if isinstance(raw, tuple):
        yield from _in_line(_LITERAL.sub(b"", raw[0]))
        yield raw[1], True
    else:
        yield from _in_line(raw)


def _in_line(line: bytes) -> Iterator[Token]:
    position = 0
    while position < len(line):
        match = _TOKEN.match(line, position)
        if match is None:
            raise ValueError("a FETCH answer cannot be read")
        position = match.end()
        if match.lastgroup == "quoted":
            quoted = match["quoted"]
            yield _BACKSLASH.sub(rb"\1", quoted) if b"\\" in quoted else quoted, True
        elif match.lastgroup:
            yield match[match.lastgroup], False


def _answer(tokens: Sequence[Token]) -> Answer:
    """Tokens of `N (KEY VALUE KEY VALUE ...)`."""
    uid = size = offset = octets = None
    internaldate = gmail_id = ""
    structure: Sequence[Token] = ()
    for key, values in _pairs(tokens):
        value, text = values[0]
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
        elif key == "BODYSTRUCTURE":
            structure = values
    return Answer(uid, size, internaldate, octets, offset, gmail_id, tuple(structure))


def _pairs(tokens: Sequence[Token]) -> Iterator[tuple[str, Sequence[Token]]]:
    """Each key in upper case with its value: one token, or those of a list, its brackets included."""
    if len(tokens) < 3 or tokens[1] != OPEN or tokens[-1] != CLOSE:
        raise ValueError("a FETCH answer is not a list")
    depth = begin = 0
    key = ""
    for at, token in enumerate(tokens[2:-1], 2):
        if depth == 0 and (token == CLOSE or (not key and (token[1] or token == OPEN))):
            raise ValueError("a FETCH answer has a value without a key")
        if depth == 0 and not key:
            key, begin = token[0].decode("ascii", "replace").upper(), at + 1
            continue
        depth += (token == OPEN) - (token == CLOSE)
        if depth == 0:
            yield key, tokens[begin : at + 1]
            key = ""
    if depth or key:
        raise ValueError("a FETCH answer has a key without a value")


def _number(value: bytes, limit: int) -> int:
    if not _DIGITS.match(value) or int(value) >= limit:
        raise ValueError("a FETCH answer has a number that is none")
    return int(value)

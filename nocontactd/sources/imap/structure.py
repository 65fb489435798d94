"""Which parts a message has, by what the server says of its body (RFC 9051, 7.5.2): a part that cannot be read is none.

Whoever wrote the message had a hand in this text. So depth, size and number are bounded, nothing
raises, and an attached message (message/rfc822) is never entered: what is in it was handed on.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, takewhile

from nocontactd.headers.words import decoded
from nocontactd.mime import MOST_PARTS, parameter
from nocontactd.sources.imap.fetch_answers import CLOSE, OPEN, Token

_MOST_TOKENS = 50_000
_DEEPEST_LIST = 40
_DEEPEST_PART = 16

_QUOTED, _BACKSLASH = re.compile(r'(["\\])'), r"\\\1"

_Node = list["_Node"] | str
"""A parenthesised list, or a string; NIL is the empty one."""


@dataclass(frozen=True, slots=True)
class Section:
    """A part that is no multipart and no attached message."""

    number: str
    """By which it is fetched: digits and dots, counted here."""
    kind: str
    """type/subtype, in lower case."""
    encoding: str
    """Content-Transfer-Encoding, in lower case."""
    charset: str
    name: str
    """Of the file that it stands for, decoded."""
    attached: bool
    """It is to be saved rather than shown."""


def sections(structure: Sequence[Token]) -> tuple[Section, ...]:
    """The parts of a message in their order; none where the structure cannot be read."""
    top = _tree(structure)
    return tuple(islice(_parts(top, "", 0), MOST_PARTS)) if isinstance(top, list) else ()


def octets_of_one_part(structure: Sequence[Token]) -> int | None:
    """How many octets the body of a message without parts has, as the server says here; None where it does not."""
    top = _tree(structure)
    if not isinstance(top, list) or len(top) < 7 or isinstance(top[0], list):
        return None
    octets = _text(top[6])
    return int(octets) if re.fullmatch("[0-9]{1,19}", octets) else None


def _tree(structure: Sequence[Token]) -> _Node:
    """The list that these tokens spell. What lies too deep is left out, what does not end ends here."""
    top: list[_Node] = []
    stack, deeper = [top], 0
    for token in structure[:_MOST_TOKENS]:
        if token == OPEN and (deeper or len(stack) > _DEEPEST_LIST):
            deeper += 1
        elif token == OPEN:
            inner: list[_Node] = []
            stack[-1].append(inner)
            stack.append(inner)
        elif token == CLOSE and deeper:
            deeper -= 1
        elif token == CLOSE:
            if len(stack) > 1:
                stack.pop()
        elif not deeper:
            octets, text = token
            nil = not text and octets.upper() == b"NIL"
            stack[-1].append("" if nil else octets.decode("utf-8", "replace"))
    return top[0] if top else ""


def _parts(node: Sequence[_Node], above: str, depth: int) -> Iterator[Section]:
    inner = tuple(takewhile(lambda each: isinstance(each, list), node))
    if not inner:
        if section := _section(node, above or "1"):
            yield section
        return
    for number, part in enumerate(inner if depth < _DEEPEST_PART else (), 1):
        if isinstance(part, list):
            yield from _parts(part, f"{above}.{number}" if above else str(number), depth + 1)


def _section(node: Sequence[_Node], number: str) -> Section | None:
    if len(node) < 2:
        return None
    kind = f"{_text(node[0])}/{_text(node[1])}".lower()
    if kind.startswith(("message/", "multipart/")):  # the latter without a part, as nobody should say it
        return None
    parameters = _field(node[2] if len(node) > 2 else "")
    disposition, its = _disposition(node[7:])
    return Section(
        number,
        kind,
        _text(node[5]).strip().lower() if len(node) > 5 else "",
        parameter(parameters, "charset"),
        parameter(its, "filename") or parameter(parameters, "name"),
        disposition.lower() == "attachment",
    )


def _disposition(extension: Iterable[_Node]) -> tuple[str, str]:
    """The one list among the extension data that begins with a word and goes on with its parameters, or none.

    Where it stands depends on the type of the part, and some servers count otherwise; pymap gives
    the field as it stands.
    """
    for each in extension:
        if isinstance(each, str) and ";" in each:
            return each.partition(";")[0].strip(), each
        if not isinstance(each, list) or len(each) != 2:
            continue
        word, parameters = each
        if isinstance(word, str) and (isinstance(parameters, list) or not parameters):
            return word, _field(parameters)
    return "", ""


def _field(parameters: _Node) -> str:
    """Parameters as they stood in the field, to be read as those of a message are."""
    texts = [_text(each) for each in parameters] if isinstance(parameters, list) else []
    pairs = zip(texts[0::2], texts[1::2], strict=False)
    return decoded("".join(f'; {name}="{_QUOTED.sub(_BACKSLASH, value)}"' for name, value in pairs))


def _text(node: _Node) -> str:
    return node if isinstance(node, str) else ""

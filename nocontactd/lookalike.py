"""A look-alike is a spelling that a reader takes for the listed one, and that is nobody else's name.

docs/adr/0004-lookalikes.md defends the bounds. Letters are compared by a confusable skeleton
(Unicode TS 39, for Latin, Cyrillic and Greek). One edit in the mailbox counts only where it
leaves no plain other name: maria beside mario, alex beside lex and ex2 beside ex are people.
"""

import re
import unicodedata
from collections.abc import Iterator

from nocontactd.invisible import without_invisible

SHORTEST = 5
"""Characters of a mailbox below which an edit makes another name more often than a disguise."""
_LONGEST = 64  # octets of a local part, RFC 5321, 4.5.3.1.1
_LONG_WORD = 7
"""Letters of a word within which a letter can be put in, left out or replaced without making another name."""

_LOOKS_LIKE = {  # Cyrillic and Greek, small and capital; Latin letters that do not decompose; two digits
    "a": "аАαΑɑ", "b": "вВьβΒ", "c": "сСϲ", "d": "ԁđ", "e": "еЕєεΕ", "g": "ɡ", "h": "һнНΗħ", "i": "іІιΙıɪ",
    "j": "јЈ", "k": "кКκΚ", "l": "ӏӀłʟ1|", "m": "мМΜ", "n": "пηΝ", "o": "оОοΟσø0", "p": "рРρΡþ", "q": "ԛ",
    "r": "г", "s": "ѕЅ", "t": "тТτΤŧ", "u": "υ", "v": "νѵ", "w": "ԝω", "x": "хХχΧ", "y": "уУүҮγΥʏ", "z": "ζΖ",
}  # fmt: skip
_CONFUSABLE = str.maketrans({each: letter for letter, likes in _LOOKS_LIKE.items() for each in likes})
_TWO_FOR_ONE = (("rn", "m"), ("vv", "w"))
_INNER_CAPITAL_I = re.compile("(?<=[a-z])I")
_SEPARATOR = re.compile("[._-]")
_WHOLE_NAME = 8
"""Characters from which a mailbox is more than somebody's given name."""
_VOWELS = frozenset("aeiouy")
_DOUBLED = frozenset("abcdefgklmnoprstz")
"""What names double or do not: hofman, hoffman, hoffmann; jansen, janssen."""
_HARDLY_HEARD = frozenset("cdhpst")
"""Consonants that names have or have not beside another: sara, sarahlee; henrik, hendrik; thomson, thompson."""
_HEARD_ALIKE = frozenset(map(frozenset, ("bp", "ck", "cs", "cz", "dt", "fv", "fw", "gj", "gk", "ij", "sz", "vw")))
"""Consonants that names have in each other's place: victor, viktor; petersen, pedersen."""
_TURNED_ROUND = frozenset(map(frozenset, ("er", "ei")))
"""alexander, alexandre; neil, niel."""


def skeleton(text: str) -> str:
    """The same string for all texts that look alike. `aIex` with a capital I looks like `alex`."""
    text = letters(_INNER_CAPITAL_I.sub("l", text))
    for two, one in _TWO_FOR_ONE:
        text = text.replace(two, one)
    return text


def letters(text: str) -> str:
    """Each letter as the Latin one it looks like, marks left out, in lower case."""
    if not text.isascii():
        text = _unadorned(without_invisible(text).translate(_CONFUSABLE))
    return text.lower().translate(_CONFUSABLE)


def near(mailbox: str) -> Iterator[str]:
    """Keys of which two mailboxes share one wherever a single edit lies between them; none for a short one."""
    if SHORTEST <= len(mailbox) <= _LONGEST:
        yield mailbox
        yield from dict.fromkeys(mailbox[:at] + mailbox[at + 1 :] for at in range(len(mailbox)))


def disguises(seen: str, listed: str) -> bool:
    """Whether one mailbox differs from a listed one, of the same domain, by one edit that makes no other name."""
    if seen == listed or min(len(seen), len(listed)) < SHORTEST:
        return False
    if _SEPARATOR.sub("", seen) == _SEPARATOR.sub("", listed):
        return True
    at = next((i for i, (a, b) in enumerate(zip(seen, listed, strict=False)) if a != b), min(len(seen), len(listed)))
    if len(seen) == len(listed):
        return _swapped(seen, listed, at) or (seen[at + 1 :] == listed[at + 1 :] and _replaced(seen, listed, at))
    longer, shorter = sorted((seen, listed), key=len, reverse=True)
    return longer[at + 1 :] == shorter[at:] and _put_in(longer, shorter, listed, at)


def _swapped(seen: str, listed: str, at: int) -> bool:
    """Two neighbouring letters changed places: exmaple."""
    pair = listed[at : at + 2]
    if seen[at : at + 2] != pair[::-1] or seen[at + 2 :] != listed[at + 2 :]:
        return False
    return pair.isalpha() and frozenset(pair) not in _TURNED_ROUND and _word(listed, at) >= SHORTEST


def _replaced(seen: str, listed: str, at: int) -> bool:
    """Inside a word a digit for a letter, in a long one another letter that is not heard alike (olsen, olson)."""
    pair = frozenset((seen[at], listed[at]))
    if not _inside(listed, at) or any(not each.isalnum() for each in pair):
        return False
    if digits := sum(map(str.isdigit, pair)):
        return digits == 1
    return _word(listed, at) >= _LONG_WORD and not pair <= _VOWELS and pair not in _HEARD_ALIKE


def _put_in(longer: str, shorter: str, listed: str, at: int) -> bool:
    """A first digit beside a whole name (maria3 is a namesake), a letter doubled, or one inside a long word."""
    added = longer[at]
    if added.isdigit():
        return len(shorter) >= _WHOLE_NAME and not any(map(str.isdigit, shorter))
    if not added.isalpha():
        return False
    if at and longer[at - 1] == added:  # of equal letters the last is the one that was put in
        return added not in _DOUBLED and _word(longer, at) > SHORTEST
    if not _inside(longer, at) or added in _HARDLY_HEARD:
        return False
    if added in _VOWELS and not _VOWELS.isdisjoint((longer[at - 1], longer[at + 1])):  # nilsen, nielsen
        return False
    return _word(listed, min(at, len(listed) - 1)) >= _LONG_WORD


def _inside(text: str, at: int) -> bool:
    """Neither the first nor the last letter of a word: daniel and daniela, ellen and helen are people."""
    return 0 < at < len(text) - 1 and text[at - 1].isalpha() and text[at + 1].isalpha()


def _word(text: str, at: int) -> int:
    """How many letters the word around a place has."""
    before = next((n for n, each in enumerate(text[:at][::-1]) if not each.isalpha()), at)
    after = next((n for n, each in enumerate(text[at:]) if not each.isalpha()), len(text) - at)
    return before + after


def _unadorned(text: str) -> str:
    """Compatible characters made one, and marks above and below left out."""
    parts = unicodedata.normalize("NFKD", text)
    return "".join(each for each in parts if not unicodedata.combining(each)).translate(_CONFUSABLE)

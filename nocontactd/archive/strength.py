"""How long somebody would guess at a passphrase, roughly and on the low side. Advice, never a refusal.

Words are what lay people choose and remember, so it counts what they add: a word that is not like
another eleven bits, anything else four a character, and what is used twice or follows in a row next to
nothing. Scrypt makes each guess cost a second of a computer, and the archive needs a second person
besides: 50 bits are enough here, which is five words.
"""

import re
from itertools import pairwise

ENOUGH = 50
_WORD = 11
_CHARACTER = 4
_REPEATED = 1
_FEW = 4
_DIGIT = 2
_ROWS = ("qwertyuiop", "qwertzuiop", "asdfghjkl", "zxcvbnm", "yxcvbnm", "abcdefghijklmnopqrstuvwxyz", "01234567890")


def bits(phrase: str) -> int:
    """About the logarithm of the guesses that a patient stranger needs."""
    parts = re.findall(r"[^\W\d_]+|\d+|[\W_]", phrase.casefold())
    return sum(
        _worth(part) if part not in parts[:at] else _REPEATED for at, part in enumerate(parts) if not part.isspace()
    )


def advice(phrase: str) -> str | None:
    """What to say of it; None: it is good."""
    if bits(phrase) >= ENOUGH:
        return None
    if len(set(re.findall(r"[^\W\d_]{3,}", phrase.casefold()))) < _FEW:
        return "It could be guessed: it has few words. Five that do not belong together are good."
    return "It could be guessed: add a word or two that have nothing to do with the others."


def _worth(part: str) -> int:
    if part.isdigit():
        return min(_DIGIT * len(part), _WORD)  # mostly a date or a year
    if len(set(part)) == 1 or _in_a_row(part):
        return _CHARACTER
    if part.upper() == part.lower():  # a script that has no capitals, and often no blanks between words
        return _CHARACTER * len(part)
    return min(_CHARACTER * len(part), _WORD)


def _in_a_row(part: str) -> bool:
    pairs = {"".join(pair) for row in _ROWS for pair in (*pairwise(row), *pairwise(reversed(row)))}
    return all("".join(pair) in pairs for pair in pairwise(part)) and len(part) > 2

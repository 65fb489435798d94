"""Text of strangers, made fit for a terminal: what acts on the screen is written out, what is read stays as it is.

rich, Textual and most terminals pass ESC and OSC 52 (write to the clipboard) through; a bidi
override shows a name backwards; a line separator forges a line of ours.
"""

import unicodedata

_ACTS = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Controls, formats (bidi marks, zero width), lone surrogates, private, unassigned, line separators."""


def visible(text: str, limit: int | None = None) -> str:
    """One line: every character that acts is written as an escape; what is over `limit` is cut, and said so."""
    cut = text if limit is None else text[:limit]
    shown = cut if cut.isascii() and cut.isprintable() else "".join(map(_shown, cut))
    return shown if cut == text else f"{shown} […]"


def visible_lines(text: str, limit: int) -> list[str]:
    """A body, line by line, at most `limit` characters of it. Tabs are blanks; a bare CR is no line's end."""
    whole = text.replace("\r\n", "\n")
    lines = [visible(line.replace("\t", "    ")) for line in whole[:limit].split("\n")]
    return lines if len(whole) <= limit else [*lines, "[…]"]


def _shown(character: str) -> str:
    if unicodedata.category(character) not in _ACTS:
        return character
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")

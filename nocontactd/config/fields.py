"""One mapping of the file, read key by key. What is wrong is told once, at its place, and then read as absent."""

from collections.abc import Callable, Iterator
from pathlib import Path

from nocontactd.config.document import WARNING, Listing, Mapping, Node, Place, Scalar, Spoilt
from nocontactd.config.durations import seconds
from nocontactd.config.keys import KEYS, unknown

Complain = Callable[[Place, str], None]
Check = Callable[[str], str]
"""A text to what is wrong with it; "" where nothing is."""

MAX_SECONDS = 100 * 365 * 86400.0
"""A hundred years: longer ones leave the calendar."""


class Fields:
    """A mapping whose keys are those of `section`."""

    def __init__(self, mapping: Mapping, section: str, complain: Complain) -> None:
        self.at = mapping.at
        self.complain = complain
        self._pairs = {key.text: (key, value) for key, value in mapping.pairs}
        for key, _ in mapping.pairs:
            if key.text not in KEYS[section]:
                complain(key.at, unknown(key.text, section))

    def need(self, *keys: str) -> None:
        """These cannot be left out."""
        for key in keys:
            if key not in self._pairs:
                self.complain(self.at, f"`{key}` is missing here")

    def has(self, *keys: str) -> list[str]:
        """Those of the keys that stand here."""
        return [key for key in keys if key in self._pairs]

    def is_text(self, key: str) -> bool:
        """Whether one text stands here, rather than a list or keys."""
        return isinstance(self._pairs.get(key, (None, None))[1], Scalar)

    def empty(self, key: str) -> bool:
        """Whether a list stands here, with nothing in it."""
        node = self._pairs.get(key, (None, None))[1]
        return isinstance(node, Listing) and not node.items

    def place(self, key: str) -> Place:
        """Where the value of a key stands; the mapping's own place where it does not."""
        return self._pairs[key][1].at if key in self._pairs else self.at

    def wrong(self, key: str, text: str) -> None:
        """Tell what is wrong with the value of a key."""
        self.complain(self.place(key), text)

    def text(self, key: str, check: Check | None = None, *, lines: bool = False) -> str | None:
        """One text; several lines only with `lines`."""
        node = self._value(key)
        if node is None:
            return None
        return checked(node, f"`{key}` takes one value", self.complain, check, lines=lines)

    def word(self, key: str, choices: tuple[str, ...], default: str) -> str:
        """One of a few words."""
        said = self.text(key, lambda text: "" if text in choices else f"`{key}` is one of: {', '.join(choices)}")
        return said or default

    def number(self, key: str, most: int) -> int | None:
        """A whole number from 1."""

        def check(text: str) -> str:
            good = text.isascii() and text.isdigit() and len(text) < 20 and 1 <= int(text) <= most
            return "" if good else f"`{key}` is a whole number from 1 to {most}"

        said = self.text(key, check)
        return int(said) if said else None

    def duration(self, key: str, least: float, default: float) -> float:
        """Seconds."""

        def check(text: str) -> str:
            length = seconds(text)
            if length is None:
                return f"`{key}` is a number and a unit: 60s, 5 minutes, 1 h, 7 days"
            return "" if least <= length <= MAX_SECONDS else f"`{key}` is too short or too long to be meant"

        said = self.text(key, check)
        return (seconds(said) if said else None) or default

    def path(self, key: str, folder: Path) -> Path | None:
        """A path; ~ is the home folder, and what is relative begins at `folder`."""
        said = self.text(key)
        if said is None:
            return None
        try:
            return folder / Path(said).expanduser()
        except RuntimeError:
            self.wrong(key, "there is no such home folder; write the whole path")
            return None

    def texts(self, key: str, check: Check | None = None, *, verbatim: bool = False) -> list[str] | None:
        """A list of texts, those that are good; None where there is no list. `verbatim`: with blanks at their ends."""
        items = self._items(key)
        if items is None:
            return None
        said = (checked(item, "one text belongs here", self.complain, check, verbatim=verbatim) for item in items)
        return [text for text in said if text is not None]

    def warn(self, key: str, check: Check) -> None:
        """Tell what should be known of texts in a list that may stay as they are."""
        for item in self._items(key) or ():
            if isinstance(item, Scalar) and (said := check(item.text)):
                self.complain(item.at, WARNING + said)

    def section(self, key: str) -> "Fields | None":
        """A mapping inside this one."""
        node = self._value(key)
        if node is None or isinstance(node, Spoilt):
            return None
        if isinstance(node, Mapping):
            return Fields(node, key, self.complain)
        self.complain(node.at, f"`{key}` takes keys of its own: {', '.join(KEYS[key])}")
        return None

    def sections(self, key: str) -> Iterator["Fields"]:
        """A list of mappings."""
        for item in self._items(key) or ():
            if isinstance(item, Mapping):
                yield Fields(item, key, self.complain)
            elif not isinstance(item, Spoilt):
                self.complain(item.at, f"each item under `{key}` takes keys of its own: {', '.join(KEYS[key])}")

    def _items(self, key: str) -> tuple[Node, ...] | None:
        node = self._value(key)
        if node is None or isinstance(node, Spoilt):
            return None
        if isinstance(node, Listing):
            return node.items
        self.complain(node.at, f"`{key}` takes a list: each item on a line of its own after `- `, or all in [ ]")
        return None

    def _value(self, key: str) -> Node | None:
        if key not in self._pairs:
            return None
        name, value = self._pairs[key]
        if isinstance(value, Scalar) and not value.text.strip():
            self.complain(name.at, f"`{key}` has no value")
            return None
        return value


def checked(
    node: Node,
    shape: str,
    complain: Complain,
    check: Check | None = None,
    *,
    lines: bool = False,
    verbatim: bool = False,
) -> str | None:
    """The text of a node; None, and a complaint, where it has none or a wrong one."""
    if isinstance(node, Spoilt):
        return None
    if not isinstance(node, Scalar):
        complain(node.at, shape)
        return None
    problem = _malformed(node.text, lines=lines, verbatim=lines or verbatim) or (check(node.text) if check else "")
    if problem:
        complain(node.at, problem)
        return None
    return node.text


def _malformed(text: str, *, lines: bool, verbatim: bool) -> str:
    if not text.strip():
        return "there is no value here"
    if not lines and "\n" in text:
        return "this goes over several lines"
    return "white space stands at the beginning or the end of this" if not verbatim and text != text.strip() else ""

"""Bytes to a tree of texts with their places, each text as it was written: `no` is a word, +1555 keeps its plus.

What YAML has beyond lists, mappings and texts (aliases, tags, a second document) is refused, so
that no file is larger than it looks, and nothing in it is ever made into an object.
"""

import unicodedata
from dataclasses import dataclass
from typing import Any, NoReturn

import yaml

MAX_OCTETS = 4 * 1024 * 1024
"""Room for 100,000 entries; PyYAML reads about a megabyte a second."""
MAX_DEPTH = 12
"""The schema needs five. PyYAML's scanner takes minutes over a hundred thousand open brackets."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Line and column, both from 1."""

    line: int = 1
    column: int = 1


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """What is wrong, and where. The text never repeats what the file says."""

    at: Place
    text: str


WARNING = "warning: "
"""A problem that begins so is none: it tells of something that may stay."""


@dataclass(frozen=True, slots=True)
class Scalar:
    """One text; "" also where nothing was written."""

    at: Place
    text: str


@dataclass(frozen=True, slots=True)
class Listing:
    """A list."""

    at: Place
    items: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Mapping:
    """Keys, each once, and their values."""

    at: Place
    pairs: tuple[tuple[Scalar, "Node"], ...]


@dataclass(frozen=True, slots=True)
class Spoilt:
    """Something of which a problem is told already."""

    at: Place


Node = Scalar | Listing | Mapping | Spoilt


def compose(data: bytes) -> tuple[Node | None, tuple[Problem, ...]]:
    """The tree of one document, or None where there is none to speak of, and the problems so far."""
    if len(data) > MAX_OCTETS:
        return None, (Problem(Place(), "the file is too large to be a configuration"),)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        return None, (Problem(_end(data[: error.start].decode()), "this is not UTF-8 text"),)
    problems: list[Problem] = []
    try:
        return _Tree(text, problems).whole(), tuple(problems)
    except _RefusedError as refused:
        return None, (*problems, refused.problem)


class _RefusedError(Exception):
    """Nothing after this can be read."""

    def __init__(self, at: Place, text: str) -> None:
        super().__init__(text)
        self.problem = Problem(at, text)


class _Tree:
    """PyYAML's events, made into nodes."""

    def __init__(self, text: str, problems: list[Problem]) -> None:
        self._text = text
        self._problems = problems
        try:
            self._loader = yaml.SafeLoader(text)
        except yaml.reader.ReaderError as error:
            at = _end(text[: error.position])
            raise _RefusedError(at, "a character stands here that YAML does not allow") from None

    def whole(self) -> Node | None:
        """The root of the one document."""
        self._next()  # the stream's start
        if isinstance(self._next(), yaml.StreamEndEvent):
            self._complain(Place(), "the file is empty")
            return None
        root = self._node(self._next(), 1)
        self._next()  # the document's end
        after = self._next()
        if not isinstance(after, yaml.StreamEndEvent):
            self._complain(_place(after.start_mark), "a second document begins here; a configuration is one")
        return root

    def _next(self) -> yaml.Event:
        try:
            return self._loader.get_event()  # type: ignore[no-any-return,no-untyped-call]  # as the stubs leave it
        except yaml.MarkedYAMLError as error:
            self._refuse(error)
        except (ValueError, OverflowError):  # PyYAML 6 makes numbers of "\UFFFFFFFF" and %YAML 1.999… unchecked
            raise _RefusedError(Place(self._loader.line + 1, self._loader.column + 1), _MALFORMED) from None

    def _node(self, event: yaml.Event, depth: int) -> Node:
        at = _place(event.start_mark)
        if depth > MAX_DEPTH:
            raise _RefusedError(at, "this is nested deeper than any configuration")
        if isinstance(event, yaml.AliasEvent):
            self._complain(at, "this begins with *, which YAML takes for an alias: put it in quotes")
            return Spoilt(at)
        if isinstance(event, (yaml.ScalarEvent, yaml.CollectionStartEvent)):
            self._bare(event, at)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._listing(at, depth)
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(at, depth)
        return self._scalar(at, event.value)  # type: ignore[attr-defined]  # nothing else is left

    def _listing(self, at: Place, depth: int) -> Listing:
        items: list[Node] = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            items.append(self._node(event, depth + 1))
        return Listing(at, tuple(items))

    def _mapping(self, at: Place, depth: int) -> Mapping:
        pairs: dict[str, tuple[Scalar, Node]] = {}
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            key = self._node(event, depth + 1)
            value = self._node(self._next(), depth + 1)
            if isinstance(key, Spoilt):
                continue
            if not isinstance(key, Scalar):
                self._complain(key.at, "a key is a single word")
            elif key.text in pairs:
                first = pairs[key.text][0].at.line
                self._complain(key.at, f"this key stands here for the second time; the first is on line {first}")
            else:
                pairs[key.text] = (key, value)
        return Mapping(at, tuple(pairs.values()))

    def _scalar(self, at: Place, text: str) -> Scalar | Spoilt:
        # Escapes can write what a file cannot hold: "\0" cuts a path short, "\uD800" can be stored nowhere.
        if any(unicodedata.category(c) in {"Cc", "Cs"} and c != "\n" for c in text):
            self._complain(at, "a control character stands in this text")
            return Spoilt(at)
        return Scalar(at, text)

    def _bare(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent, at: Place) -> None:
        if event.anchor is not None:
            self._complain(at, "this begins with &, which YAML takes for an anchor: put it in quotes")
        if event.tag is not None:
            self._complain(at, "this begins with !, which YAML takes for a tag: put it in quotes")

    def _complain(self, at: Place, text: str) -> None:
        self._problems.append(Problem(at, text))

    def _refuse(self, error: yaml.MarkedYAMLError) -> NoReturn:
        """PyYAML's own texts quote the file: say it in ours."""
        mark = error.problem_mark or error.context_mark
        if mark is None:
            raise _RefusedError(Place(), _MALFORMED) from None
        said = _by_character(self._text[mark.index : mark.index + 1]) or _by_problem(error.problem or "")
        raise _RefusedError(_place(mark), said) from None


_MALFORMED = "this is not well-formed YAML"


def _by_character(character: str) -> str:
    if character == "\t":
        return "a tab stands here; YAML is indented with spaces"
    if character and character in "@`%":
        return f"a text that begins with {character} must stand in quotes"
    return ""


def _by_problem(problem: str) -> str:
    """The problem in our words: known beginnings of PyYAML's."""
    table = {
        "mapping values are not allowed": "a colon stands here where none can: put the text in quotes",
        "could not find expected ':'": "the line before has no colon after its key, or its indentation is wrong",
        "found unexpected end of stream": "the file ends inside a text in quotes",
        "expected ',' or ']'": "a list in [ ] is not closed, or a comma is missing",
        "expected ',' or '}'": "a mapping in { } is not closed, or a comma is missing",
        "expected <block end>": "the indentation is wrong here, or a quoted text goes on after its quotes",
    }
    return next((said for beginning, said in table.items() if problem.startswith(beginning)), _MALFORMED)


def _place(mark: Any) -> Place:
    return Place(mark.line + 1, mark.column + 1)


def _end(text: str) -> Place:
    lines = text.split("\n")
    return Place(len(lines), len(lines[-1]) + 1)

"""Transcripts of the command line: what is given, what is typed, what comes out.

A transcript is a text file. `give NAME` … `end` writes a file (`\\r`, `\\xNN` and the like in its
lines are escapes); `$ …` runs a command, with `< NAME` as its input and `VAR=value` before it as
its environment; then come what is expected of it, in any order:

    exit N            its exit code (0 when nothing is said)
    out REGEX         a line of standard output matches
    err REGEX         a line of standard error matches
    out nothing       it printed nothing there
    never REGEX       no line of either matches

Everything that starts with `#` is talk.
"""

import contextlib
import io
import os
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from nocontactd.cli import main


@dataclass
class Call:
    """One command line and what is expected of it."""

    line: str
    number: int
    exit: int = 0
    expected: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Outcome:
    """What a command line came to."""

    code: int
    out: str
    err: str


def play(transcript: Path, folder: Path) -> None:
    """Carry out a transcript in a folder; AssertionError names its line."""
    for item in _items(transcript.read_text(encoding="utf-8")):
        if isinstance(item, Call):
            _check(item, run(item.line, folder), transcript.name)
        else:
            name, octets = item
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(octets)
            (folder / name).chmod(0o600)


def run(line: str, folder: Path) -> Outcome:
    """Run one command line of `nocontact` in this process, as a shell would in that folder."""
    words = shlex.split(line)
    environ = {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "XDG_STATE_HOME": str(folder / "state")}
    while "=" in words[0]:
        name, _, value = words.pop(0).partition("=")
        environ[name] = value
    if words.pop(0) != "nocontact":
        raise AssertionError(f"not a command of nocontact: {line}")
    given = b""
    if "<" in words:
        at = words.index("<")
        given = (folder / words[at + 1]).read_bytes()
        del words[at : at + 2]
    return _in_place(words, folder, environ, given)


def _in_place(words: list[str], folder: Path, environ: dict[str, str], given: bytes) -> Outcome:
    kept, here = dict(os.environ), Path.cwd()
    stdin = io.TextIOWrapper(io.BytesIO(given), encoding="utf-8")
    out, err = io.StringIO(), io.StringIO()
    os.chdir(folder)
    os.environ.update(environ)
    for name in ("NOCONTACT_CONFIG", "STATE_DIRECTORY", "CREDENTIALS_DIRECTORY"):
        if name not in environ:
            os.environ.pop(name, None)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), _stdin(stdin):
            try:
                code = main(words)
            except SystemExit as leaving:
                code = int(leaving.code or 0)
    finally:
        os.chdir(here)
        os.environ.clear()
        os.environ.update(kept)
    return Outcome(code, out.getvalue(), err.getvalue())


@contextlib.contextmanager
def _stdin(stream: io.TextIOWrapper) -> Iterator[None]:
    import sys

    before, sys.stdin = sys.stdin, stream
    try:
        yield
    finally:
        sys.stdin = before


def _items(text: str) -> Iterator[Call | tuple[str, bytes]]:
    """Files and calls, in order."""
    call: Call | None = None
    lines = iter(enumerate(text.splitlines(), 1))
    for number, line in lines:
        word, _, rest = line.partition(" ")
        if word in ("give", "$"):
            if call:
                yield call
            call = Call(rest, number) if word == "$" else None
            if word == "give":
                yield rest, _given(lines)
        elif word == "exit" and call:
            call.exit = int(rest)
        elif word in ("out", "err", "never") and call:
            call.expected.append((word, rest))
        elif line.strip() and not line.startswith("#"):
            raise AssertionError(f"line {number} of the transcript says nothing that is known: {line}")
    if call:
        yield call


def _given(lines: Iterator[tuple[int, str]]) -> bytes:
    octets = b""
    for _, line in lines:
        if line == "end":
            return octets
        octets += re.sub(r"\\x([0-9a-f]{2})", lambda found: chr(int(found[1], 16)), line).encode("latin-1") + b"\n"
    raise AssertionError("a given file has no end")


def _check(call: Call, outcome: Outcome, name: str) -> None:
    where = f"{name}:{call.number}: $ {call.line}\n--- out\n{outcome.out}--- err\n{outcome.err}---\n"
    assert outcome.code == call.exit, f"{where}exit {outcome.code}, not {call.exit}"
    for stream, pattern in call.expected:
        printed = {"out": outcome.out, "err": outcome.err, "never": outcome.out + outcome.err}[stream]
        if pattern == "nothing":
            assert printed == "", f"{where}{stream} is not empty"
            continue
        found = any(re.search(pattern, line) for line in printed.splitlines())
        assert found is (stream != "never"), f"{where}{stream} {pattern}"

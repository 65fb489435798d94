"""Each safety rule is guarded: the program with that rule taken out (tests/mutants/*.toml) fails the test named there.

A mutant is the name of what would go wrong, a file of the package, a text that stands in it
exactly once, what replaces it, and the tests of which one must fail. It is put into a copy of
the project, and those tests are run there; without any mutant all of them pass.
"""

import ast
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.peers import missing

ROOT = Path(__file__).parents[1]
NEEDED = (
    *("nocontactd", "tests", "docs", "systemd"),
    *("pyproject.toml", "config.example.yaml", "Makefile", "README.md"),
)
TESTS_FAILED = 1
"""pytest's exit code. 2 to 5 are other things: interrupted, broken, not found, nothing collected."""
PATIENCE = 120


@dataclass(frozen=True, slots=True)
class Mutant:
    """One rule taken out."""

    topic: str
    wrong: str
    """What would go wrong, in words."""
    file: str
    """Below nocontactd/."""
    old: str
    """Stands exactly once in that file."""
    new: str
    tests: tuple[str, ...]
    """Below tests/; one of them must fail."""

    def __str__(self) -> str:
        return f"{self.topic}: {self.wrong}"


def listed() -> Iterator[Mutant]:
    """All mutants, by topic."""
    for path in sorted((ROOT / "tests" / "mutants").glob("*.toml")):
        for wrong, said in tomllib.loads(path.read_text()).items():
            tests = tuple(f"tests/{test}" for test in said["tests"])
            yield Mutant(path.stem, wrong, said["file"], said["old"], said["new"], tests)


MUTANTS = tuple(listed())
IN_SOAK = {"authentication", "contents", "dkim", "recognition", "services"}
"""Topics of who is recognised; those of what is lost, touched or opened are tried every time."""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project, to be broken. With its bytecode, so that little is compiled but what is broken."""
    place = tmp_path_factory.mktemp("copy")
    for name in NEEDED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, place / name)
        else:
            shutil.copy2(ROOT / name, place / name)
    return place


@contextmanager
def put_into(copy: Path, mutant: Mutant) -> Iterator[None]:
    """The copy is this mutant, until the end."""
    file = copy / "nocontactd" / mutant.file
    sound = file.read_text()
    times = sound.count(mutant.old)
    assert times == 1, f"{mutant.file} holds the text of this mutant {times} times: write the mutant anew"
    broken = sound.replace(mutant.old, mutant.new)
    ast.parse(broken)
    try:
        _write(file, broken)
        yield
    finally:
        _write(file, sound)


def _write(file: Path, text: str) -> None:
    """Bytecode is known by the size and the second of its source, and these lives are shorter than a second."""
    file.write_text(text)
    for compiled in (file.parent / "__pycache__").glob(f"{file.stem}.*"):
        compiled.unlink()


def environ(copy: Path) -> dict[str, str]:
    """Of a process that sees the copy, and of this run nothing: neither its options nor its workers nor its files."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return kept | {"PYTHONPATH": str(copy), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_DEBUG_TEMPROOT": str(copy)}


class Forks:
    """Runs tests in a copy, each time in a process that has imported nothing of it yet (forks.py)."""

    def __init__(self, copy: Path) -> None:
        self._copy = copy
        self._process: subprocess.Popen[str] | None = None

    def outcome(self, *tests: str) -> tuple[int, str]:
        """pytest's exit code, and what it printed."""
        process = self._process or self._started()
        assert process.stdin
        assert process.stdout
        print(json.dumps(["-x", "-q", "-p", "no:cacheprovider", *tests]), file=process.stdin, flush=True)
        if not select.select([process.stdout], [], [], PATIENCE)[0]:
            self.end()
            raise TimeoutError("the tests had no end")
        code, printed = json.loads(process.stdout.readline())
        return code, printed

    def end(self) -> None:
        """With whatever it has under way."""
        if self._process:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.communicate()
            self._process = None

    def _started(self) -> subprocess.Popen[str]:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.forks"],
            cwd=self._copy,
            env=environ(self._copy),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        return self._process


@pytest.fixture(scope="module")
def forks(copy: Path) -> Iterator[Forks]:
    running = Forks(copy)
    yield running
    running.end()


def test_it_is_the_copy_that_is_tested(copy: Path) -> None:
    """The project may be installed where these tests run, and a mutant must be what is imported all the same."""
    program = "import nocontactd, tests; print(nocontactd.__file__, tests.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=copy, env=environ(copy), capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [str(copy / package / "__init__.py") for package in ("nocontactd", "tests")]


def test_each_mutant_can_be_made_of_the_program_as_it_is() -> None:
    """Those that only `make soak` tries, too: what has moved is noticed at once."""
    texts = {mutant.file: (ROOT / "nocontactd" / mutant.file).read_text() for mutant in MUTANTS}
    assert [str(mutant) for mutant in MUTANTS if texts[mutant.file].count(mutant.old) != 1] == []


@pytest.mark.soak
def test_without_a_mutant_all_these_tests_pass(copy: Path) -> None:
    """In the copy, that is: where the project stands, each run shows it."""
    tests = sorted({test for mutant in MUTANTS for test in mutant.tests})
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-q", *tests],
        cwd=copy,
        env=environ(copy),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "mutant",
    [pytest.param(each, marks=pytest.mark.soak if each.topic in IN_SOAK else (), id=str(each)) for each in MUTANTS],
)
def test_a_test_guards_the_rule(mutant: Mutant, copy: Path, forks: Forks) -> None:
    with put_into(copy, mutant):
        code, printed = forks.outcome(*mutant.tests)
    if code == 0 and "skipped" in printed and "passed" not in printed:
        missing("something that the test which guards this rule needs")
    assert code == TESTS_FAILED, f"nothing noticed: {mutant.wrong}\n{printed}"

"""What the documents say is so: commands, options, files and limits they name exist."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
NOCONTACT = [sys.executable, "-c", "import sys; from nocontactd.cli import main; sys.exit(main())"]


def helped(*words: str) -> str:
    done = subprocess.run([*NOCONTACT, *words, "--help"], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout


def commands() -> list[str]:
    """The commands that `nocontact --help` names."""
    return re.findall(r"^  ([a-z]+)  ", helped().split("commands:")[1], re.MULTILINE)


def test_every_command_stands_in_the_readme() -> None:
    assert len(commands()) > 8
    assert [name for name in commands() if f"`nocontact {name}" not in README] == []


def test_every_command_of_the_readme_exists() -> None:
    named = set(re.findall(r"nocontact ([a-z]+)", README))
    assert named - set(commands()) == set()


@pytest.mark.parametrize("name", commands())
def test_every_command_has_help_that_says_more_than_its_usage(name: str) -> None:
    assert len(helped(name).splitlines()) > 4


@pytest.mark.parametrize("document", [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")], ids=lambda p: p.name)
def test_every_link_in_the_documents_leads_to_a_file(document: Path) -> None:
    links = re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", document.read_text())
    broken = [link for link in links if "://" not in link and not (document.parent / link).exists()]
    assert broken == []


@pytest.mark.parametrize("target", ["demo", "test", "lint", "soak", "bench"])
def test_make_targets_that_the_documents_name_exist(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_the_layers_of_the_design_page_are_those_that_are_held() -> None:
    """The drawing in docs/DESIGN.md names the same modules as the contract in pyproject.toml."""
    drawing = (ROOT / "docs/DESIGN.md").read_text().split("## Who may import whom")[1]
    contract = (ROOT / "pyproject.toml").read_text()
    for module in ("assemble", "poll", "ledger", "credentials", "ports", "decide", "headers", "address", "number"):
        assert module in drawing
        assert f"nocontactd.{module}" in contract

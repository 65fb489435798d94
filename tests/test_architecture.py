"""The rules of docs/DESIGN.md about who may know whom, read from the source itself."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "nocontactd"
MODULES = sorted(PACKAGE.rglob("*.py"))

OWNERS: dict[str, str | tuple[str, ...]] = {
    "imapclient": "sources/imap",
    "twilio": "sources/twilio",
    "apscheduler": "service.py",
    "yaml": "config",
    "keyring": "credentials.py",
    "sqlite3": "ledger",
    "phonenumbers": "number.py",
    "idna": "address.py",
    "cryptography": ("archive/encrypt.py", "archive/log.py", "archive/stamp.py", "tokens.py"),  # stamp: for rfc3161
    "rfc3161_client": "archive/stamp.py",
    "dkim": "dkim.py",
    "dns": "dkim.py",
    "pymap": "demo/mail_server.py",
    "pyrage": "archive/",
    "fpdf": "export/paper.py",
    "msal": "sources/microsoft.py",
    "sievelib": "sources/managesieve.py",
}
CORE = (
    *("model", "address", "number", "headers", "decide", "errors", "ports", "relay", "poll", "archive/format"),
    *("archive/cover", "archive/proof", "archive/outside", "archive/witness"),
    *("rules", "lookalike", "invisible", "invitation", "protected", "reading", "authentication", "services", "mime"),
    *("acquaintance", "older", "sieve", "server_rule", "gmail"),
    *("archive/examined", "signatures", "mailhosts"),
)
IMPURE = {"os", "io", "pathlib", "time", "random", "secrets", "socket", "logging", "sqlite3", "subprocess", "threading"}


def imports(module: Path) -> Iterator[str]:
    """Every module that one file imports, wherever in it the import stands."""
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{name.name}" for name in node.names)


def place(module: Path) -> str:
    return module.relative_to(PACKAGE).as_posix()


@pytest.mark.parametrize("vendor", OWNERS)
def test_a_vendors_library_is_imported_in_one_place(vendor: str) -> None:
    users = {place(module) for module in MODULES for name in imports(module) if name.split(".")[0] == vendor}
    assert users, f"{vendor} is used nowhere: take it out of the dependencies"
    assert {user for user in users if not user.startswith(OWNERS[vendor])} == set()


@pytest.mark.parametrize("module", [m for m in MODULES if place(m).startswith(CORE)], ids=place)
def test_the_core_imports_nothing_that_touches_the_world(module: Path) -> None:
    assert {name.split(".")[0] for name in imports(module)} & IMPURE == set()


def test_the_broad_except_stands_once_around_a_scheduled_job() -> None:
    found = [
        place(module)
        for module in MODULES
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or (isinstance(node.type, ast.Name) and node.type.id in {"Exception", "BaseException"}))
    ]
    assert found == ["service.py"]


def test_every_module_says_its_rule_first() -> None:
    assert [place(module) for module in MODULES if not ast.get_docstring(ast.parse(module.read_text()))] == []


def test_no_expression_repeats_a_group_possessively() -> None:
    """Python before 3.11.5 (Debian 12 has 3.11.2) lets `(?:ab)?+c` match "ac"."""
    wrong = re.compile(r"\)(?:[*+?]|\{[0-9,]+\})\+")
    assert [path for path in MODULES if wrong.search(path.read_text())] == []


def test_no_module_is_named_for_what_it_is_not() -> None:
    names = {"utils", "util", "helpers", "common", "base", "manager", "core", "handlers", "misc"}
    assert [place(module) for module in MODULES if module.stem in names] == []


def test_the_daemon_process_never_loads_the_opening_half() -> None:
    """Held at run time too: import the daemon whole, then look what is loaded."""
    program = (
        "import sys, nocontactd.service, nocontactd.assemble, nocontactd.archive.seal, nocontactd.archive.mint\n"
        "sys.exit({'nocontactd.archive.unseal', 'nocontactd.archive.unlock'} & sys.modules.keys() != set())"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode == 0


def test_the_import_contracts_hold() -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout

"""The block list as a Sieve script (RFC 5228). It files away what it surely recognises, and nothing else.

Narrower than the daemon on purpose: whole addresses and whole domain labels only, never a substring,
never a name. What it misses, the daemon takes out of the inbox a moment later.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence

from nocontactd.address import comparable, domain
from nocontactd.headers import addresses
from nocontactd.model import Kind, Rule

EXTENSIONS = ("envelope", "fileinto", "mailbox")
"""What a server must know (RFC 5228, 4.1 and 5.4; RFC 5490, 3.2)."""
BEGIN = "# nocontactd: begin. Made from the block list; edits in here are overwritten."
END = "# nocontactd: end."

_ADDRESS_FIELDS = ("from", "sender", "reply-to", "resent-from", "resent-sender", "resent-reply-to")
"""Fields that the address test takes; servers refuse a script that names others."""
_TEXT_FIELDS = (
    *("author", "original-from", "original-sender"),
    *("x-original-from", "x-original-sender", "x-original-author", "x-original-reply-to"),
    *("x-original-mail-from", "x-original-mailfrom", "x-orig-from", "x-orig-sender", "x-google-original-from"),
    *("x-mailfrom", "old-return-path"),
)
"""Of other fields Sieve reads the text only (RFC 5228, 5.1 against 5.7)."""
_REQUIRED = f"require {json.dumps(EXTENSIONS)};"
_MARK = "# nocontactd"
_PIECE = 200
"""Strings in one list: some servers bound it."""
_BLOCK = re.compile(rf"^{re.escape(BEGIN)}$.*?^{re.escape(END)}\n?", re.DOTALL | re.MULTILINE)
_REQUIRE = re.compile(r"(?:\s|#[^\n]*\n|/\*.*?\*/)*require\s*(?:\[[^\]]*\]|\"[^\"]*\")\s*;[^\S\n]*\n?", re.DOTALL)


def script(entries: Iterable[Rule], folder: str) -> str:
    """A whole script that files everything of these entries into a folder and stops there."""
    return f"{_REQUIRED}\n{block(entries, folder)}"


def block(entries: Iterable[Rule], folder: str) -> str:
    """The rule between its marks, without its `require`, for a script that has others."""
    tests = list(_tests(tuple(entries)))
    if not tests:
        return f"{BEGIN}\n# no address and no domain is listed\n{END}\n"
    anyof = ",\n    ".join(tests)
    return f"{BEGIN}\nif anyof (\n    {anyof}\n) {{\n    fileinto :create {_quoted(folder)};\n    stop;\n}}\n{END}\n"


def wrapper(ours: str, theirs: str | None) -> str:
    """A script that runs ours, then the owner's own (RFC 6609)."""
    then = f"include :personal {_quoted(theirs)};\n" if theirs else ""
    return f'require ["include"];\n{BEGIN}\ninclude :personal {_quoted(ours)};\n{END}\n{then}'


def with_block(theirs: str, ours: str) -> str:
    """The owner's script with our block in it once, before every other action; the rest is left as it is."""
    bare = without_block(theirs)
    end = 0
    while match := _REQUIRE.match(bare, end):  # all `require` come first (RFC 5228, 3.2)
        end = match.end()
    head = bare[:end] + ("" if not end or bare[:end].endswith("\n") else "\n")
    return f"{head}{_REQUIRED} {_MARK}\n{ours}{bare[end:]}"


def without_block(theirs: str) -> str:
    """The owner's script as it was before `with_block`."""
    return _BLOCK.sub("", re.sub(rf"^require [^\n]* {re.escape(_MARK)}\n", "", theirs, flags=re.MULTILINE), count=1)


def _tests(entries: Sequence[Rule]) -> Iterator[str]:
    exact = sorted({form for each in entries if each.kind is Kind.ADDRESS for form in _spellings(each.entry)})
    hosts = sorted({domain(each.entry.strip().lstrip("@")) for each in entries if each.kind is Kind.DOMAIN} - {""})
    tagged = [f"{_literal(local)}+*@{_literal(host)}" for local, _, host in (a.rpartition("@") for a in exact)]
    below = [f"*.{_literal(host)}" for host in hosts]
    for field_test in (f"address {{}} {_list(_ADDRESS_FIELDS)} ", 'envelope {} "from" '):
        for part, match, strings in (
            (":all", ":is", exact),
            (":all", ":matches", tagged),
            (":domain", ":is", hosts),
            (":domain", ":matches", below),
        ):
            for piece in _pieces(strings):
                yield field_test.format(f"{part} {match}") + _list(piece)
    for piece in _pieces([form for each in exact for form in (each, f"<{each}>")]):
        yield f"header :is {_list(_TEXT_FIELDS)} {_list(piece)}"
    for piece in _pieces([f"* <{_literal(each)}>" for each in exact]):
        yield f"header :matches {_list(_TEXT_FIELDS)} {_list(piece)}"


def _spellings(entry: str) -> Iterator[str]:
    """As written and in comparable form, each at both names of Gmail."""
    for address in addresses(entry):
        for form in (address, comparable(address)):
            local, _, host = form.rpartition("@")
            hosts = ("gmail.com", "googlemail.com") if domain(host) in {"gmail.com", "googlemail.com"} else (host,)
            for each in (*hosts, domain(host)):
                if local and _printable(local + each):
                    yield f"{local.lower()}@{each.lower()}"


def _printable(text: str) -> bool:
    return text.isprintable() and " " not in text


def _pieces(strings: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(strings), _PIECE):
        yield strings[start : start + _PIECE]


def _list(strings: Iterable[str]) -> str:
    return "[" + ", ".join(map(_quoted, strings)) + "]"


def _quoted(text: str) -> str:
    r"""A quoted string (RFC 5228, 2.4.2): only \ and " are escaped, and a line break cannot stand in an address."""
    if re.search(r"[\r\n\0]", text):
        raise ValueError("a line break cannot stand in a Sieve string")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _literal(text: str) -> str:
    """Text that :matches takes for itself (RFC 5228, 2.7.1)."""
    return re.sub(r"([*?\\])", r"\\\1", text)

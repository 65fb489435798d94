"""The block list as a Sieve script (RFC 5228). It files away what it surely recognises, and nothing else.

Narrower than the daemon on purpose: whole addresses and whole domain labels only, never a name, and
a part of a text only where the server finds no address in From at all. What it misses, the daemon takes
out of the inbox a moment later.
"""

import json
import re
from collections.abc import Collection, Iterable, Iterator, Sequence

from nocontactd.address import comparable, domain
from nocontactd.headers import addresses
from nocontactd.model import Kind, Rule

EXTENSIONS = ("envelope", "fileinto", "mailbox")
"""What a server must know (RFC 5228, 4.1 and 5.4; RFC 5490, 3.2)."""
BEGIN = "# nocontactd: begin. Made from the block list; edits in here are overwritten."
END = "# nocontactd: end."
FOLDER = "nocontact"
"""Where the rule files to unless the owner names another folder."""
FLAGS = "imap4flags"
"""The extension by which the rule marks what it files (RFC 5232)."""
REGEX = "regex"
"""The extension by which it finds an address in what is none to the server (draft-ietf-sieve-regex)."""
OPTIONAL = (FLAGS, REGEX)
"""Extensions that a server may lack."""
MARK = "nocontact-filed"
"""The keyword of a message that the rule has filed by its header, so that nothing else is ever taken for it."""

_ADDRESS_FIELDS = ("from", "sender", "reply-to", "resent-from", "resent-sender", "resent-reply-to")
"""Fields that the address test takes; servers refuse a script that names others."""
_MOVED = (
    f"{x}{was}-{who}"
    for x in ("", "x-")
    for was in ("original", "orig", "old", "real")
    for who in ("from", "sender", "author", "reply-to", "return-path")
)
_TEXT_FIELDS = (
    *("return-path", "mail-reply-to", "author", "x-sender", "x-mailfrom"),
    *("envelope-from", "envelope-sender", "x-envelope-from", "x-envelope-sender"),
    *("original-mail-from", "x-original-mail-from", "x-original-mailfrom", "x-original-envelope-from"),
    *("x-google-original-from", *_MOVED),
)
"""Of other fields Sieve reads the text only (RFC 5228, 5.1 against 5.7)."""
_GMAIL = ("gmail.com", "googlemail.com")
_APART = "[^]a-z0-9.!#$%&*+=?^_`{|}~[-]"
"""No letter of a local part (RFC 5322, atext), but for the quotation mark and the slash that some put before one."""
_OVER = r"([^a-z0-9.-]|\.*$)"
"""A domain has come to its end."""
_LARGEST = 900_000
"""Octets of a script: many servers take 1 MiB. A longer one does without expressions, and then tests fewer fields."""
_OURS = "# nocontactd"
_NOBODY = "# no address and no domain is listed\n"
_PIECE = 200
"""Strings in one list: some servers bound it."""
_BLOCK = re.compile(rf"^{re.escape(BEGIN)}$.*?^{re.escape(END)}\n?", re.DOTALL | re.MULTILINE)
_REQUIRE = re.compile(r"(?:\s|#[^\n]*\n|/\*.*?\*/)*require\s*(?:\[[^\]]*\]|\"[^\"]*\")\s*;[^\S\n]*\n?", re.DOTALL)


def script(entries: Iterable[Rule], folder: str, known: Collection[str] = OPTIONAL) -> str:
    """A whole script that files everything of these entries into a folder and stops there.

    `known`: the extensions that the server has. Without imap4flags what was filed by mistake cannot be put back.
    """
    return f"{_require(known)}\n{block(entries, folder, known)}"


def block(entries: Iterable[Rule], folder: str, known: Collection[str] = OPTIONAL) -> str:
    """The rule between its marks, without its `require`, for a script that has others."""
    entries, plain = tuple(entries), [each for each in known if each != REGEX]
    most = (_block(entries, folder, each, thorough=True) for each in (known, plain))
    fits = (text for text in most if len(text.encode()) <= _LARGEST)
    return next(fits, None) or _block(entries, folder, plain, thorough=False)


def _block(entries: Sequence[Rule], folder: str, known: Collection[str], *, thorough: bool) -> str:
    """By the header first. Only what the server alone can see of the envelope is filed without a mark: it stays."""
    strings = _Strings(entries, thorough=thorough)
    header = [*strings.address_tests(), *([*strings.dressed_tests(), *strings.text_tests()] if thorough else ())]
    header += strings.regex_tests() if REGEX in known else ()
    flags = f":flags {_quoted(MARK)} " if FLAGS in known else ""
    rules = _rule(header, f"{flags}{_quoted(folder)}")
    if thorough:
        rules += _rule(list(strings.envelope_tests()), _quoted(folder))
    return f"{BEGIN}\n{rules or _NOBODY}{END}\n"


def _rule(tests: Sequence[str], where: str) -> str:
    anyof = ",\n    ".join(tests)
    return f"if anyof (\n    {anyof}\n) {{\n    fileinto :create {where};\n    stop;\n}}\n" if tests else ""


def wrapper(ours: str, theirs: str | None) -> str:
    """A script that runs ours, then the owner's own (RFC 6609)."""
    then = f"include :personal {_quoted(theirs)};\n" if theirs else ""
    return f'require ["include"];\n{BEGIN}\ninclude :personal {_quoted(ours)};\n{END}\n{then}'


def with_block(theirs: str, ours: str, known: Collection[str] = OPTIONAL) -> str:
    """The owner's script with our block in it once, before every other action; the rest is left as it is."""
    bare = without_block(theirs)
    end = 0
    while match := _REQUIRE.match(bare, end):  # all `require` come first (RFC 5228, 3.2)
        end = match.end()
    head = bare[:end] + ("" if not end or bare[:end].endswith("\n") else "\n")
    return f"{head}{_require(known)} {_OURS}\n{ours}{bare[end:]}"


def without_block(theirs: str) -> str:
    """The owner's script as it was before `with_block`."""
    return _BLOCK.sub("", re.sub(rf"^require [^\n]* {re.escape(_OURS)}\n", "", theirs, flags=re.MULTILINE), count=1)


def others(text: str, ours: str) -> str:
    """What of a script that stands under a name of ours others have written; "" where it is ours alone."""
    include = f"include :personal {_quoted(ours)};\n"
    rest = without_block(text).replace(include, "")
    commands = _REQUIRE.sub("", rest).strip()
    if BEGIN in text and not re.sub(r'include :personal "(?:[^"\\]|\\.)*";', "", commands, count=1).strip():
        return ""
    return rest if commands else ""


def _require(known: Collection[str]) -> str:
    return f"require {json.dumps((*EXTENSIONS, *(each for each in OPTIONAL if each in known)))};"


class _Strings:
    """What is compared with: whole addresses, `+tag` or not, and whole labels of domains."""

    def __init__(self, entries: Iterable[Rule], *, thorough: bool) -> None:
        """`thorough`: with the root dot, too, which doubles the list."""
        dots = ("", ".") if thorough else ("",)
        entries = tuple(entries)
        listed = {form for each in entries if each.kind is Kind.ADDRESS for form in _spellings(each.entry)}
        hosts = [domain(each.entry.strip().lstrip("@")) for each in entries if each.kind is Kind.DOMAIN]
        spelled = {form for host in hosts if host for form in _cases(host, _u_labels(host)) if _printable(form)}
        self._listed = [address.rpartition("@") for address in sorted(listed)]
        self._spelled = sorted(spelled)
        self._exact = sorted({form + dot for form in listed for dot in dots})
        self._hosts = sorted({form + dot for form in spelled for dot in dots})
        parts = [address.rpartition("@") for address in self._exact]
        self._tagged = [f"{_literal(local)}+*@{_literal(host)}" for local, _, host in parts]

    def address_tests(self) -> Iterator[str]:
        """On the fields that hold addresses and nothing else."""
        yield from self._parted(f"address {{}} {_list(_ADDRESS_FIELDS)} ")

    def envelope_tests(self) -> Iterator[str]:
        """On whom the sending server named as sender (RFC 5228, 5.4), signed (BATV) or passed on by another (SRS)."""
        yield from self._parted('envelope {} "from" ')
        for piece in _pieces(list(self._signed())):
            yield f'envelope :matches "from" {_list(piece)}'

    def dressed_tests(self) -> Iterator[str]:
        """On an address between quotation marks of Outlook's, or as list software writes it (RFC 7960, 4.1.3.1)."""
        listed = [(f"{local}@{host}", f"{local}={host}", f"{local}=40{host}") for local, _, host in self._listed]
        dressed = [form for address, _, _ in listed for form in (f"'{address}'", f"{address}.invalid")]
        moved = [form for _, *forms in listed for form in forms]
        for part, strings in ((":all", dressed), (":localpart", moved)):
            for piece in _pieces(strings):
                yield _of_addresses(f"{part} :is", piece)

    def text_tests(self) -> Iterator[str]:
        """By the text of a field: all there is, or the address in angle brackets at the end.

        Of fields of which Sieve knows no structure, and of the others, too: a server gives up on the structure
        of some (a stray quotation mark or bracket, letters in UTF-8) that people are shown all the same.
        """
        fields = _list((*_ADDRESS_FIELDS, *_TEXT_FIELDS))
        patterns = [f"*<{_literal(each)}>" for each in self._exact] + [f"*<{each}>" for each in self._tagged]
        hosts = [f"{below}{_literal(host)}" for host in self._hosts for below in ("", "*.")]
        patterns += [f"*@{host}{end}" for host in hosts for end in ("", ">")]
        last = [f"{_literal(local)}@{_literal(host)}" for local, _, host in self._listed]
        patterns += [f"*{before}{address}" for address in last for before in (";", "; ", "/")]
        for match, strings in ((":is", self._exact), (":matches", patterns)):
            for piece in _pieces(strings):
                yield f"header {match} {fields} {_list(piece)}"
        for piece in _pieces([f"<{each}>" for each in self._signed()]):
            yield f'header :matches "return-path" {_list(piece)}'

    def regex_tests(self) -> Iterator[str]:
        """An address somewhere in a From in which the server finds none; and at Gmail, with dots anywhere."""
        torn = [f"(^|{_APART}){_pattern(local)}([+][^@ ]*)?@{_dotted(host)}{_OVER}" for local, _, host in self._listed]
        torn += [f"@([a-z0-9_-]+[.])*{_dotted(host)}{_OVER}" for host in self._spelled]
        for piece in _pieces(torn):
            yield f'allof (not address :domain :matches "from" "*", header :regex "from" {_list(piece)})'
        gmail = {local.replace(".", "") for local, _, host in self._listed if host in _GMAIL}
        anywhere = ["[.]*".join(map(_pattern, local)) for local in sorted(gmail)]
        for piece in _pieces([f"^{local}([+][^@]*)?@g(oogle)?mail[.]com$" for local in anywhere]):
            yield _of_addresses(":all :regex", piece)

    def _signed(self) -> Iterator[str]:
        for local, _, host in self._listed:
            local, host = _literal(local), _literal(host)
            yield from (f"prvs=*={local}@{host}", f"srs0?*=*={host}={local}@*")

    def _parted(self, test: str) -> Iterator[str]:
        below = [f"*.{_literal(host)}" for host in self._hosts]
        for part, match, strings in (
            (":all", ":is", self._exact),
            (":all", ":matches", self._tagged),
            (":domain", ":is", self._hosts),
            (":domain", ":matches", below),
        ):
            for piece in _pieces(strings):
                yield test.format(f"{part} {match}") + _list(piece)


def _spellings(entry: str) -> Iterator[str]:
    """As written and in comparable form, each in either form of an IDN and at both names of Gmail."""
    for address in addresses(entry):
        for form in (address, comparable(address)):
            local, _, host = form.rpartition("@")
            plain = domain(host)
            for each in _GMAIL if plain in _GMAIL else (host.rstrip("."), plain, _u_labels(plain)):
                if local and _printable(each) and (_printable(local) or (local[0] == '"' and local.isprintable())):
                    yield from _cases(f"{local}@{each}")


def _cases(*forms: str) -> Iterator[str]:
    """Small, and great where there are letters that a server does not know for the same (i;ascii-casemap)."""
    for form in forms:
        yield form.lower()
        if not form.isascii():
            yield form.upper()


def _u_labels(host: str) -> str:
    """A domain as people read it (RFC 5890, 2.3.2.1), who are told it in UTF-8 where mail may hold that (RFC 6532)."""
    try:
        return re.sub(r"\bxn--([a-z0-9-]+)", lambda label: label[1].encode().decode("punycode"), host)
    except UnicodeError:
        return host


def _printable(text: str) -> bool:
    return text.isprintable() and " " not in text


def _pieces(strings: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(strings), _PIECE):
        yield strings[start : start + _PIECE]


def _of_addresses(how: str, strings: Iterable[str]) -> str:
    return f"address {how} {_list(_ADDRESS_FIELDS)} {_list(strings)}"


def _list(strings: Iterable[str]) -> str:
    return "[" + ", ".join(map(_quoted, strings)) + "]"


def _quoted(text: str) -> str:
    r"""A quoted string (RFC 5228, 2.4.2): only \ and " are escaped, and a line break cannot stand in an address."""
    if re.search(r"[\r\n\0]", text):
        raise ValueError("a line break cannot stand in a Sieve string")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _pattern(text: str) -> str:
    """Text that a POSIX regular expression takes for itself."""
    return re.sub(r"([][(){}.*+?^$|\\])", r"\\\1", text)


def _dotted(host: str) -> str:
    """A domain, with any number of dots where it has one."""
    return "[.]+".join(map(_pattern, host.rstrip(".").split(".")))


def _literal(text: str) -> str:
    """Text that :matches takes for itself (RFC 5228, 2.7.1)."""
    return re.sub(r"([*?\\])", r"\\\1", text)

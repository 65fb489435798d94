"""The entries under `blocked:`, compiled once into look-ups, so that a message costs the same with 20 or 50,000.

Each look-up maps a comparable form to the entry as it was written; of two that say the same the
first one names the rule.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from nocontactd.address import comparable, domain, folded
from nocontactd.headers import addresses
from nocontactd.lookalike import disguises, letters, near, skeleton
from nocontactd.model import Author, Kind, Rule
from nocontactd.number import keys

_CHANNEL = re.compile(r"\s*(?:tel|sips?|sms(?:to)?|mms(?:to)?|whatsapp|rcs|callto):", re.IGNORECASE)
_VIA = re.compile(r"(?<!\W)\W++via\s.*", re.IGNORECASE | re.DOTALL)
"""What list software adds to the author's name when it rewrites From."""
_PLAIN_NAME = re.compile("(?!.* [vV][iI][aA] )[A-Za-z]+(?: [A-Za-z]+)*")
_PLAIN_HOST = re.compile("(?!.*(?:rn|vv|xn--))[a-z2-9._-]*")
_PLAIN_KEY = re.compile("(?!.*(?:rn|vv|xn--))[a-z2-9._-]*@[a-z2-9._-]*")
"""They look like nothing but themselves."""


@dataclass(frozen=True, slots=True)
class Rules:
    """All entries as hash look-ups, from comparable form to entry."""

    addresses: Mapping[str, str]
    domains: Mapping[str, str]
    numbers: Mapping[str, str]
    names: Mapping[str, str]
    handles: Mapping[str, str]
    skeletons: Mapping[str, str]
    """What looks like a listed address without being one."""
    shown_hosts: frozenset[str]
    """What the domains of `skeletons` look like: nothing at another one can be taken for a listed address."""
    edits: Mapping[str, Mapping[str, tuple[tuple[str, str], ...]]]
    """(mailbox, entry) of every listed address that one edit may lead to, by domain and `near` key."""
    ends: frozenset[str]
    """First and last two letters of the mailboxes of `edits`, with their domains: one edit leaves either as it was."""
    region: str | None

    def listed(self, address: str) -> str | None:
        """The entry that lists this address in full, if one does."""
        return self.addresses.get(comparable(address))

    def named(self, name: str) -> str | None:
        """The entry that lists a person of this name, if one does."""
        return next(filter(None, map(self.names.get, name_keys(name))), None)

    def resembled(self, address: str, key: str) -> str | None:
        """The entry for whose address another one can be taken, if there is one; `key` is its comparable form."""
        if not self.lists_at(key.rpartition("@")[2]):
            return None
        return self.skeletons.get(skeleton_of(address, key)) or self._disguised(key)

    def lists_at(self, host: str) -> bool:
        """Whether an address at this domain (comparable form) may be a listed one, or be taken for one."""
        return _shown_host(host) in self.shown_hosts

    def _disguised(self, key: str) -> str | None:
        """By one edit in the mailbox."""
        mailbox, _, host = key.rpartition("@")
        if self.ends.isdisjoint(_ends(mailbox, host)):
            return None
        at_host = self.edits.get(host, {})
        for edit in near(mailbox) if at_host else ():
            for listed, entry in at_host.get(edit, ()):
                if disguises(mailbox, listed):
                    return entry
        return None


def rule(entry: str, *, sms: bool = False) -> Rule:
    """What an entry given by itself means: with @ mail, among texts a number or sender id, else a name."""
    if "@" in entry and not (sms and _CHANNEL.match(entry)):
        return Rule(Kind.DOMAIN if entry.lstrip().startswith("@") else Kind.ADDRESS, entry)
    return Rule(Kind.NUMBER if sms else Kind.NAME, entry)


def compile_rules(entries: Iterable[Rule], region: str | None) -> Rules:
    """Make look-ups of entries; `region` (ISO 3166) is for numbers without a country. Never raises."""
    by_kind: dict[Kind, list[str]] = {kind: [] for kind in Kind}
    for each in entries:
        by_kind[each.kind].append(each.entry)
    listed = _look_up(by_kind[Kind.ADDRESS], lambda entry: map(comparable, addresses(entry) or (entry,)))
    return Rules(
        addresses=listed,
        domains=_look_up(by_kind[Kind.DOMAIN], lambda entry: (domain(entry.strip().lstrip("@")),)),
        numbers=_look_up(by_kind[Kind.NUMBER], lambda entry: keys(entry, region)),
        names=_look_up(by_kind[Kind.NAME], name_keys),
        handles=_look_up(by_kind[Kind.HANDLE], lambda entry: (handle_key(entry),)),
        skeletons={skeleton_of(key, key): entry for key, entry in reversed(listed.items())},
        shown_hosts=frozenset(_shown_host(host) for host in {key.rpartition("@")[2] for key in listed}),
        edits=_edits(listed),
        ends=frozenset(end for key in listed for end in _ends(*key.rpartition("@")[::2])),
        region=region,
    )


def author_key(author: Author, *, text: bool) -> str:
    """An author's address in comparable form; "" where there is none, as in most texts."""
    if author.kind is not Kind.ADDRESS or "@" not in author.address or (text and _CHANNEL.match(author.address)):
        return ""
    return comparable(author.address)


def handle_key(handle: str) -> str:
    """The comparable form of `service:handle`, by which people are known to a service; "" where it is none."""
    service, _, person = folded(handle).partition(":")
    person = "".join(person.split()).removeprefix("@")
    return f"{service.strip()}:{person}" if service.strip() and person else ""


def name_keys(name: str) -> tuple[str, ...]:
    """The comparable forms of a person's name: its words in any order, without what a list adds to it."""
    if _PLAIN_NAME.fullmatch(name):
        return (" ".join(sorted(name.lower().split(" "))),)
    return name_keys_in_full(name) if name else ()


def name_keys_in_full(name: str) -> tuple[str, ...]:
    """The same without the short way for plain names."""
    spellings = {name: None, _VIA.sub("", name): None}
    return tuple(key for key in map(_words, spellings) if key)


def skeleton_of(address: str, key: str) -> str:
    """What an address looks like, its domain as it is shown; `key` is its comparable form."""
    if address == key and _PLAIN_KEY.fullmatch(key):
        return key
    mailbox, _, host = key.rpartition("@")
    written = address.rpartition("@")[0]
    if folded(written) == mailbox:
        mailbox = written  # its capitals may be part of the disguise
    return f"{skeleton(mailbox)}@{_shown_host(host)}"


@lru_cache(4096)
def _shown_host(host: str) -> str:
    return host if _PLAIN_HOST.fullmatch(host) else skeleton(".".join(map(_shown, host.split("."))))


def _words(name: str) -> str:
    return " ".join(sorted(re.findall(r"\w+", letters(folded(name)))))


def _shown(label: str) -> str:
    try:
        return label[4:63].encode("ascii").decode("punycode") if label.startswith("xn--") else label
    except UnicodeError:
        return label


def _look_up(entries: Iterable[str], forms: Callable[[str], Iterable[str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for entry in entries:
        for form in forms(entry):
            if form:
                found.setdefault(form, entry)
    return found


def _ends(mailbox: str, host: str) -> tuple[str, str]:
    return f"{mailbox[:2]}@{host}", f"{host}@{mailbox[-2:]}"


def _edits(listed: Mapping[str, str]) -> dict[str, dict[str, tuple[tuple[str, str], ...]]]:
    found: dict[str, dict[str, tuple[tuple[str, str], ...]]] = {}
    for key, entry in listed.items():
        mailbox, _, host = key.rpartition("@")
        at_host = found.setdefault(host, {})
        for edit in near(mailbox):
            at_host[edit] = (*at_host.get(edit, ()), (mailbox, entry))
    return found

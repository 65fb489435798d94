"""The block list as a filter file for Gmail (an Atom feed, as its settings export and import it).

Gmail compares whole words, never the address part alone, so its filter may take a little more than
the list: what the daemon does not recognise stays under the label, and the owner is told to look there.
"""

from collections.abc import Iterable, Iterator
from xml.etree import ElementTree

from nocontactd.address import domain
from nocontactd.headers import addresses
from nocontactd.model import Kind, Rule

_ATOM = "http://www.w3.org/2005/Atom"
_APPS = "http://schemas.google.com/apps/2006"
_LONGEST = 1_000
"""Characters of one search: longer ones are refused by Gmail's settings."""


def filters(entries: Iterable[Rule], label: str) -> str:
    """The file: whatever comes from these addresses and domains skips the inbox and the spam folder."""
    ElementTree.register_namespace("", _ATOM)
    ElementTree.register_namespace("apps", _APPS)
    feed = ElementTree.Element(f"{{{_ATOM}}}feed")
    ElementTree.SubElement(feed, f"{{{_ATOM}}}title").text = "Mail Filters"
    for search in _searches(entries):
        entry = ElementTree.SubElement(feed, f"{{{_ATOM}}}entry")
        ElementTree.SubElement(entry, f"{{{_ATOM}}}category", term="filter")
        ElementTree.SubElement(entry, f"{{{_ATOM}}}title").text = "Mail Filter"
        said = {"from": search, "label": label, "shouldArchive": "true", "shouldNeverSpam": "true"}
        for name, value in said.items():
            ElementTree.SubElement(entry, f"{{{_APPS}}}property", name=name, value=value)
    ElementTree.indent(feed)
    return ElementTree.tostring(feed, encoding="unicode", xml_declaration=False) + "\n"


def _searches(entries: Iterable[Rule]) -> Iterator[str]:
    found: list[str] = []
    for word in dict.fromkeys(_words(entries)):
        if found and len(" OR ".join((*found, word))) > _LONGEST:
            yield " OR ".join(found)
            found = []
        found.append(word)
    if found:
        yield " OR ".join(found)


def _words(entries: Iterable[Rule]) -> Iterator[str]:
    for each in entries:
        if each.kind is Kind.ADDRESS:
            read = (form for a in addresses(each.entry) for form in (a, _in_a_labels(a)))
            found = (a for a in read if not set(a) & set(' "(){}'))
            yield from (f'"{a}"' if a.startswith("-") else a for a in found)  # a minus would mean: not from
        elif each.kind is Kind.DOMAIN:
            yield domain(each.entry.strip().lstrip("@"))


def _in_a_labels(mailbox: str) -> str:
    """As it stands in a header, which seldom holds a domain in letters of its own (RFC 5890, 2.3.2.1)."""
    local, _, host = mailbox.rpartition("@")
    return f"{local}@{domain(host)}"

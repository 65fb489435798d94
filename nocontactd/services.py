"""Who acts behind a notice that a service sends: known by the service's own forms, as the shipped catalogue has them.

A form is text with holes: `{who}` holds the acting person by address, number or name, `{handle}` by
the name at the service, `{number}` by nothing but a number; `{code}` a sign-in code; `{any}`
anything. Between its holes a text must be the form's, whole and in order: so a form takes linear
time (docs/adr/0006-services.md).
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from nocontactd import headers
from nocontactd.address import domain, nearest
from nocontactd.model import Author, Kind, Notice
from nocontactd.number import keys

TEXT = "text"
"""Where a form stands that is a line of the message's text, or of a text message."""
CALENDAR = "calendar"
"""The kind of service that sends invitations."""
ALWAYS = frozenset({"account", "payment"})
"""The kinds of service whose every message passes, whoever is named in it."""

_SENDERS = frozenset({"From", "Sender"})
_LONGEST = 1000  # characters of a field or line
_MOST_LINES = 400
_SHORT_CODE = re.compile(r"\d{3,6}")
_HOLE = re.compile(r"\{(who|handle|number|code|any)\}")
_CODE = re.compile(r"(?:[A-Za-z]{1,3}-)?\d[\d -]{2,11}|[A-Za-z0-9]{3}-[A-Za-z0-9]{3}|(?=[A-Z]*\d)[A-Z0-9]{4,10}")
_NUMBER = re.compile(r"\+?[\d\s().\-/]{5,40}")
_ADDRESS = re.compile(r"(?:([^<>()]++)[<(])?([^\s<>()@]++@[^\s<>()@]++)")
_QUOTES = str.maketrans("\u201c\u201d\u201e\u00ab\u00bb\u2018\u2019\u201a\u00a0\u202f", '"""""\'\'\'  ')
_AROUND = " \t\"'.,:;!()<>[]"


@dataclass(frozen=True, slots=True)
class Service:
    """One entry of the catalogue."""

    name: str
    title: str
    """What it calls itself; for `{service}` in the forms of `must_pass`."""
    kind: str
    senders: tuple[str, ...]
    """`@domain`, its sub-domains included, or a full address; lower case. In From or Sender."""
    people: tuple[tuple[str, str], ...]
    """(where, form): a header field, `From name`, `From address`, or TEXT."""
    must_pass: tuple[str, ...] = ()
    """Forms of the subjects of its messages about the owner's account."""
    handles: str = ""
    """Under which name its handles are listed (`instagram:somebody`); "" where it has none."""
    region: str | None = None
    """ISO 3166: of the numbers that it writes without a country."""
    texts: tuple[str, ...] = ()
    """Forms of the numbers from which it sends text messages; `short code`: any."""

    @property
    def fields(self) -> tuple[str, ...]:
        """The header fields in which it names people, besides From."""
        places = dict.fromkeys(where for where, _ in self.people)
        return tuple(where for where in places if where != TEXT and not where.startswith("From"))

    @property
    def names_in_text(self) -> bool:
        """Whether the text of its mail names people."""
        return not self.texts and self.kind not in ALWAYS and any(where == TEXT for where, _ in self.people)

    def notice(self, header: bytes, authors: Iterable[Author]) -> Notice:
        """What a message with this header is; `authors` are the header's own."""
        if self.kind in ALWAYS:
            return Notice(self.name, must_pass=True)
        subject = _shown(headers.field(header, "Subject"))
        forms = (form.replace("{service}", self.title) for form in self.must_pass)
        about_account = any(taken(form, subject) is not None for form in forms)
        # who calls themselves "Password reset" is still a person who shares a file
        return Notice(self.name, must_pass=about_account and not self._acts(subject, authors))

    def _acts(self, subject: str, authors: Iterable[Author]) -> bool:
        names = [_shown(author.name) for author in authors if author.field in _SENDERS]
        shown = {"Subject": [subject], "From name": names}
        return any(taken(form, text) is not None for where, form in self.people for text in shown.get(where, ()))

    def people_in_header(self, header: bytes, authors: Iterable[Author]) -> Iterator[Author]:
        """Those for whom it acts, by the header; `authors` are the header's own."""
        senders = [author for author in authors if author.field in _SENDERS]
        shown = {where: _texts(where, header, senders) for where in dict(self.people)}
        for where, form in self.people:
            for text in shown[where]:
                yield from self._people("From" if where == "From address" else where, form, text)

    def people_in_text(self, text: str) -> Iterator[Author]:
        """Those for whom it acts, by the lines of the text."""
        forms = [form for where, form in self.people if where == TEXT]
        lines = [shown for line in text[: _MOST_LINES * _LONGEST].splitlines()[:_MOST_LINES] if (shown := _shown(line))]
        labelled = [f"{label} {line}" for label, line in pairwise(lines) if label.endswith(":")]
        for line in (*lines, *labelled):
            for form in forms:
                yield from self._people(TEXT, form, line)

    def _people(self, field: str, form: str, text: str) -> Iterator[Author]:
        for hole, value in taken(form, text) or ():
            if self.handles and hole in {"handle", "who"} and " " not in value:
                yield Author(field, f"{self.handles}:{value}", kind=Kind.HANDLE)
            if hole in {"who", "number"}:
                found = _who(field, value, self.region)
                yield from (each for each in found if hole == "who" or each.kind is Kind.NUMBER)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All services, by what they send from."""

    version: str
    senders: Mapping[str, Service]
    """By full address, and by the domain of those that have it for themselves; in lower case."""
    texts: tuple[Service, ...] = ()
    """Those that send text messages."""

    def sender(self, authors: Iterable[Author]) -> tuple[Service, str] | None:
        """The service whose message this is, and the host (comparable form) by which it is known."""
        for author in authors:
            if author.field in _SENDERS:
                address = author.address.lower()
                host = domain(address.rpartition("@")[2])
                if service := self.senders.get(address) or nearest(self.senders, host):
                    return service, host
        return None

    def in_text(self, sender: str, body: str) -> Iterator[Author]:
        """Whoever wrote, as mail, what a gateway sends on as a text message: its first line says so."""
        first = body[:_LONGEST].lstrip().partition("\n")[0]
        for service in self.texts if "@" in first else ():
            if any(_sends_from(form, sender) for form in service.texts):
                yield from (author for author in service.people_in_text(first) if author.kind is Kind.ADDRESS)


NO_SERVICES = Catalogue("", {})


def compiled(version: str, services: Iterable[Service]) -> Catalogue:
    """The catalogue of these services. ValueError: two of them send from the same place."""
    services = tuple(services)
    senders: dict[str, Service] = {}
    for service in services:
        for sender in service.senders:
            if (other := senders.setdefault(sender.removeprefix("@"), service)) is not service:
                raise ValueError(f"{sender}: of {other.name} and of {service.name}")
    return Catalogue(version, senders, tuple(service for service in services if service.texts))


def taken(form: str, text: str) -> tuple[tuple[str, str], ...] | None:
    """(hole, what fills it) for each hole of a form; None where the text is not of this form. Without case."""
    first, *pieces = _HOLE.split(form.lower())
    lower = text.lower()
    if len(lower) != len(text):  # of a few letters the small one is longer
        lower = text
    if not lower.startswith(first):
        return None
    found, at = [], len(first)
    for number in range(0, len(pieces), 2):
        hole, literal = pieces[number : number + 2]
        last = number + 2 == len(pieces)
        end = lower.rfind(literal, at) if last else lower.find(literal, at)
        value = text[at:end].strip()
        if end < at or (hole != "any" and not value) or (hole == "code" and not _CODE.fullmatch(value)):
            return None
        found.append((hole, value))
        at = end + len(literal)
    return tuple(found) if at == len(text) else None


def _texts(where: str, header: bytes, senders: Iterable[Author]) -> list[str]:
    """What stands in one of the places in which a service names people; of the text, nothing."""
    if where == TEXT:
        return []
    if where.startswith("From"):
        return [_shown(each.name if where == "From name" else each.address) for each in senders]
    return [_shown(headers.field(header, where))]


def _shown(text: str) -> str:
    """As a form has it: straight quotation marks, single spaces, no longer than anything a service writes."""
    return " ".join(text[:_LONGEST].translate(_QUOTES).split())


def _who(field: str, value: str, region: str | None) -> Iterator[Author]:
    """A person as a service shows them: by address, number or name, or by name with the address in brackets."""
    value = value.strip(_AROUND)
    if match := _ADDRESS.fullmatch(value):
        value = (match[1] or "").strip(_AROUND)
        yield from (Author(field, address) for address in headers.addresses(match[2]))
    if _NUMBER.fullmatch(value):
        yield from (Author(field, key, kind=Kind.NUMBER) for key in keys(value, region))
    elif value:
        yield Author(field, "", value, Kind.NAME)


def _sends_from(form: str, sender: str) -> bool:
    return bool(_SHORT_CODE.fullmatch(sender)) if form == "short code" else taken(form, sender) is not None

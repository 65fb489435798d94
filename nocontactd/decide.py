"""What is to become of a message. A function of the envelope and the rules, and of nothing else.

Order: a listed full address, number or handle, protected senders, a listed domain, hold, pass.
Only authorship seals.
"""

import hashlib
from collections.abc import Container, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from enum import StrEnum

from nocontactd.address import comparable, nearest
from nocontactd.headers import addresses
from nocontactd.model import (
    Author,
    Channel,
    Disposition,
    Envelope,
    Kind,
    MessageRef,
    Note,
    PutBack,
    Rule,
    Seal,
    Steps,
    TooMany,
    Verdict,
)
from nocontactd.number import keys
from nocontactd.protected import NOBODY, Protected
from nocontactd.rules import Rules, author_key, compile_rules, handle_key, rule

__all__ = ["Policy", "Reason", "compile_rules", "decide", "guard", "plan", "policy", "rule"]

_RECOGNITION = "3"
"""Goes up with every change in who is recognised, so that older messages are looked through once more."""


class Reason(StrEnum):
    """Why a message got its disposition; a verdict's `reason` is one of these."""

    LISTED_ADDRESS = "listed-address"
    """An author's full address is listed: seal."""
    LISTED_NUMBER = "listed-number"
    """The number, short code or sender id of a text is listed: seal."""
    LISTED_HANDLE = "listed-handle"
    """The handle by which a service names the acting person is listed: seal."""
    LISTED_DOMAIN = "listed-domain"
    """An author's address lies at or under a listed domain: seal."""
    ADDRESS_IN_NAME = "address-in-name"
    """Another sender carries a listed address in the display name: hold."""
    LOOK_ALIKE = "look-alike"
    """An author's address can be taken for a listed one: hold."""
    LISTED_NAME = "listed-name"
    """A listed name, from an address that is not listed: hold."""
    PROTECTED_SENDER = "protected-sender"
    """A court, a hotline or the like, by a domain that its provider's authentication proves: pass."""
    SERVICE_MESSAGE = "service-message"
    """A service's own message about the owner's account (a password reset, a receipt): pass."""
    WRITTEN_TO = "written-to"
    """It would be held, but the owner has written to this address: pass."""
    NOT_LISTED = "not-listed"
    """None of these: pass."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules in force, and the owner's choices about them."""

    rules: Rules
    uncertain: Disposition
    """PASS or SEAL: what a hold comes to."""
    max_sweep: int
    """How many older messages one sweep may take out (`max_per_pass`)."""
    digest: str
    """SHA-256 (hex) of what decides a verdict: other rules, other digest."""
    protected: Protected = NOBODY
    familiar: Container[str] = frozenset()
    """The addresses (comparable form) that the owner has written to, long enough ago: never held."""

    def seals(self, verdict: Verdict) -> bool:
        """Whether a verdict comes to sealing under this policy."""
        if verdict.disposition is Disposition.HOLD:
            return self.uncertain is Disposition.SEAL
        return verdict.disposition is Disposition.SEAL

    @property
    def concerns(self) -> "Concerns":
        """What can come to anything but a pass."""
        return Concerns(self.rules)


@dataclass(frozen=True, slots=True)
class Concerns:
    """See ports.Concerns."""

    _rules: Rules

    def __call__(self, authors: Sequence[Author]) -> bool:
        """See ports.Concerns."""
        rules = self._rules
        seen = [(author, author_key(author, text=False)) for author in authors]
        return bool(
            _by_number(authors, rules, text=False)
            or _by_handle(authors, rules)
            or _by_address(seen, rules)
            or _by_domain(seen, rules)
            or next(_held(seen, rules, text=False), None)
        )

    def spares(self, host: str) -> bool:
        """See ports.Concerns."""
        host = comparable(f"anybody@{host}").rpartition("@")[2]  # googlemail.com is gmail.com
        return nearest(self._rules.domains, host) is None and not self._rules.lists_at(host)


def policy(
    entries: Iterable[Rule],
    region: str | None,
    uncertain: Disposition,
    max_sweep: int,
    protected: Protected = NOBODY,
    catalogue: str = "",
) -> Policy:
    """The policy of these entries; the same whatever their order. `region` (ISO 3166) as for `compile_rules`.

    `catalogue`: the version of the services known to whoever reads the messages.
    """
    entries = tuple(entries)
    versions = (_RECOGNITION, protected.version, catalogue)
    deciding = (*versions, region or "", uncertain, *sorted(f"{each.kind}\0{each.entry}" for each in entries))
    digest = hashlib.sha256("\n".join(deciding).encode("utf-8", "surrogatepass")).hexdigest()
    return Policy(compile_rules(entries, region), uncertain, max_sweep, digest, protected)


def decide(envelope: Envelope, policy: Policy) -> Verdict:
    """Seal, hold or pass, and by which field and entry. Never raises."""
    rules = policy.rules
    text = envelope.channel is not Channel.MAIL
    authors = envelope.authors
    if service_message := envelope.notice is not None and envelope.notice.must_pass:
        authors = tuple(author for author in authors if author.field in _OWN_FIELDS)
    seen = [(author, author_key(author, text=text)) for author in authors]
    return (
        _by_number(authors, rules, text=text)
        or _by_handle(authors, rules)
        or _by_address(seen, rules)
        or _by_protection(envelope, policy.protected)
        or (_SERVICE_MESSAGE if service_message else None)
        or _by_domain(seen, rules)
        or _unless_written_to(_held(seen, rules, text=text), policy.familiar)
        or _NOT_LISTED
    )


_OWN_FIELDS = frozenset({"From", "Sender", "Return-Path", "from"})
"""Where a service that writes for itself has its own address."""
_NOT_LISTED = Verdict(Disposition.PASS, Reason.NOT_LISTED)
_SERVICE_MESSAGE = Verdict(Disposition.PASS, Reason.SERVICE_MESSAGE)


def _by_number(authors: Iterable[Author], rules: Rules, *, text: bool) -> Verdict | None:
    for author in authors if rules.numbers else ():
        if not text and author.kind is not Kind.NUMBER:
            continue
        for key in keys(author.address, rules.region):
            if entry := rules.numbers.get(key):
                return Verdict(Disposition.SEAL, Reason.LISTED_NUMBER, entry, author.field)
    return None


def _by_handle(authors: Iterable[Author], rules: Rules) -> Verdict | None:
    for author in authors if rules.handles else ():
        if author.kind is Kind.HANDLE and (entry := rules.handles.get(handle_key(author.address))):
            return Verdict(Disposition.SEAL, Reason.LISTED_HANDLE, entry, author.field)
    return None


def _by_protection(envelope: Envelope, protected: Protected) -> Verdict | None:
    for host in envelope.authentication.domains if envelope.authentication else ():
        if protected.covers(host):
            return Verdict(Disposition.PASS, Reason.PROTECTED_SENDER, None, "From")
    return None


def _by_address(seen: Iterable[tuple[Author, str]], rules: Rules) -> Verdict | None:
    for author, key in seen:
        if entry := rules.addresses.get(key):
            return Verdict(Disposition.SEAL, Reason.LISTED_ADDRESS, entry, author.field)
    return None


def _by_domain(seen: Iterable[tuple[Author, str]], rules: Rules) -> Verdict | None:
    unlisted = set()
    for author, key in seen if rules.domains else ():
        host = key.rpartition("@")[2]
        if host in unlisted:
            continue
        if entry := nearest(rules.domains, host):
            return Verdict(Disposition.SEAL, Reason.LISTED_DOMAIN, entry, author.field)
        unlisted.add(host)
    return None


def _unless_written_to(held: Iterable[tuple[str, Verdict]], familiar: Container[str]) -> Verdict | None:
    """The first hold by somebody whom the owner has not written to; else why there is none."""
    spared = None
    for key, verdict in held:
        if key not in familiar:
            return verdict
        spared = spared or Verdict(Disposition.PASS, Reason.WRITTEN_TO, verdict.rule, verdict.field)
    return spared


def _held(seen: Sequence[tuple[Author, str]], rules: Rules, *, text: bool) -> Iterator[tuple[str, Verdict]]:
    """What may be a listed person in disguise, the surest sign first, each with the author's comparable address."""
    known: dict[str, str | None] = {}
    for author, key in seen if rules.addresses else ():
        if "@" in author.name:
            if author.name not in known:
                known[author.name] = next(filter(None, map(rules.listed, addresses(author.name))), None)
            if entry := known[author.name]:
                yield key, Verdict(Disposition.HOLD, Reason.ADDRESS_IN_NAME, entry, _name_field(author))
    known = {}
    for author, key in seen if rules.addresses else ():
        if author.address not in known:
            known[author.address] = rules.resembled(author.address, key) if key else None
        if entry := known[author.address]:
            yield key, Verdict(Disposition.HOLD, Reason.LOOK_ALIKE, entry, author.field)
    known = {}
    for author, key in seen if rules.names else ():
        name = author.address if text else author.name
        if name not in known:
            known[name] = rules.named(name) if name else None
        if entry := known[name]:
            field = author.field if text else _name_field(author)
            yield key, Verdict(Disposition.HOLD, Reason.LISTED_NAME, entry, field)


def _name_field(author: Author) -> str:
    """`From name`; in an invitation and where a service writes for somebody, names have no field of their own."""
    return author.field if author.field == "calendar" or author.kind is Kind.NAME else f"{author.field} name"


def plan(envelopes: Iterable[Envelope], policy: Policy, taken: Set[MessageRef]) -> Steps:
    """What is to become of these messages. What is taken already is left to its receipt.

    What our own rule on the server filed goes back to the inbox if it may pass; where no author at all
    could be read, in doubt, it stays.
    """
    seals: list[Seal] = []
    notes: list[Note] = []
    relays: list[Envelope] = []
    put_backs: list[PutBack] = []
    for envelope in envelopes:
        if envelope.ref in taken:
            continue
        verdict = decide(envelope, policy)
        if policy.seals(verdict):
            seals.append(Seal(envelope, verdict))
            continue
        if verdict.disposition is Disposition.HOLD:
            notes.append(Note(envelope, verdict))
        if envelope.relay:
            relays.append(envelope)
        if envelope.filed and envelope.authors:
            put_backs.append(PutBack(envelope))
    return Steps(tuple(seals), tuple(notes), tuple(relays), tuple(put_backs))


def guard(found: int, policy: Policy) -> TooMany | None:
    """Whether so many older messages are too many to be taken out. Of what is new nobody asks: no storm opens a way."""
    return TooMany(found, policy.max_sweep) if found > policy.max_sweep else None

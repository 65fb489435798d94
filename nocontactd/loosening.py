"""What a changed configuration may do at once, and what waits. A function of two configurations, nothing else.

Whatever lets no more through than before is taken over; whatever could let more through is left
as it was, and named. So a file that was cut in half is nothing but loosenings.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

from nocontactd import address, number
from nocontactd.config import Config, MailSource, Person, PhoneSource, Sieve, Tsa
from nocontactd.model import Disposition, Kind, Rule
from nocontactd.rules import handle_key, name_keys

Number = TypeVar("Number", int, float)

ARCHIVE = "sealed into another archive"
RECONNECT = "another account, server or way to log in"


@dataclass(frozen=True, slots=True)
class Loosening:
    """One change that would let more through."""

    id: str
    """The same for the same change, whenever it is asked for."""
    what: str
    """For the owner who asks; may name an entry, so it is never logged."""


def identity(*change: object) -> str:
    """The id of a change: of the thing that changes and of what it would become."""
    return sha256(json.dumps([str(word) for word in change]).encode()).hexdigest()[:12]


def merge(
    accepted: Config,
    proposed: Config,
    granted: Collection[str] = (),
    broken: Collection[str] = (),
) -> tuple[Config, tuple[Loosening, ...]]:
    """What is in force once `proposed` was read, and the loosenings in it that are not `granted` (ids).

    A source named in `broken` cannot be reached as accepted, so nothing is sealed from it: it
    gets its new connection at once, and a typing error or a moved password file need not wait.
    """
    scales = _Scales(granted)
    region = scales.region(accepted.region, proposed.region, "the default region of numbers would change", "region")
    people = _people(accepted, proposed, region, scales)
    mail, phone = _sources(accepted, proposed, scales, broken)
    merged = replace(
        proposed,
        people=people,
        mail=mail,
        phone=tuple(_unless_listed(source, people, region) for source in phone),
        region=region,
        archive=_archive(accepted, proposed, scales),
        uncertain=_uncertain(accepted, proposed, scales),
        loosening_delay=scales.least(
            accepted.loosening_delay, proposed.loosening_delay, "loosenings would wait for less time", "delay"
        ),
        max_per_pass=scales.least(
            accepted.max_per_pass, proposed.max_per_pass, "a sweep would take fewer messages", "max_per_pass"
        ),
        tsa=_tsa(accepted, proposed, scales),
        dkim=_dkim(accepted, proposed, scales),
    )
    return merged, tuple(scales.waiting)


class _Scales:
    """Weighs one change after another: a loosening that was not granted waits."""

    def __init__(self, granted: Collection[str]) -> None:
        self._granted = granted
        self.waiting: list[Loosening] = []

    def let(self, what: str, *change: object) -> bool:
        """Whether this loosening is done; if not, it is noted as waiting."""
        name = identity(*change)
        if name in self._granted:
            return True
        self.waiting.append(Loosening(name, what))
        return False

    def least(self, old: Number, new: Number, what: str, *thing: object) -> Number:
        """A number that loosens by getting smaller."""
        return new if new >= old or self.let(what, *thing, new) else old

    def region(self, old: str | None, new: str | None, what: str, *thing: object) -> str | None:
        """A first region only makes more numbers comparable; another one makes other numbers of them."""
        return new if old is None or new == old or self.let(what, *thing, new) else old

    def fewer(self, old: Iterable[str], new: Iterable[str], what: str, *thing: object) -> tuple[str, ...]:
        """A list that loosens by losing members: what is gone from it stays, after what is there."""
        kept = tuple(new)
        lost = (member for member in old if member not in kept)
        return kept + tuple(m for m in lost if not self.let(f"{what}: {m}", *thing, m))


def _people(accepted: Config, proposed: Config, region: str | None, scales: _Scales) -> tuple[Person, ...]:
    """Every person of the file, and with them each entry that is not in the file any more."""
    held: dict[str, list[Rule]] = {}
    for label, rule, forms in _missing(accepted, proposed):
        if not scales.let(f"no longer listed: {rule.entry}", "entry", rule.kind, *forms):
            held.setdefault(label, []).extend(_restated(rule, accepted.region, region))
    people = []
    for person in proposed.people:
        said = (rule for entry in person.entries for rule in _restated(entry, proposed.region, region))
        people.append(Person(person.label, (*said, *held.pop(person.label, ()))))
    return (*people, *(Person(label, tuple(rules)) for label, rules in held.items()))


def _missing(accepted: Config, proposed: Config) -> Iterator[tuple[str, Rule, tuple[str, ...]]]:
    """Each accepted entry that the file does not hold in any spelling, with its person and what it is compared by."""
    written = {rule for person in proposed.people for rule in person.entries}
    moved = accepted.region != proposed.region
    listed = ((person.label, rule) for person in accepted.people for rule in person.entries)
    doubtful = [(label, rule) for label, rule in listed if moved or rule not in written]
    kept = {(rule.kind, form) for rule in written for form in _forms(rule, proposed.region)} if doubtful else set()
    for label, rule in doubtful:
        forms = _forms(rule, accepted.region)
        if not {(rule.kind, form) for form in forms} <= kept:
            yield label, rule, forms


def _forms(rule: Rule, region: str | None) -> tuple[str, ...]:
    """What an entry is compared by; several in doubt."""
    if rule.kind is Kind.NUMBER:
        return number.keys(rule.entry, region)
    if rule.kind is Kind.ADDRESS:
        return (address.comparable(rule.entry),)
    if rule.kind is Kind.NAME:
        return name_keys(rule.entry)
    return (address.domain(rule.entry) if rule.kind is Kind.DOMAIN else handle_key(rule.entry),)


def _restated(rule: Rule, said: str | None, region: str | None) -> tuple[Rule, ...]:
    """The entry so that it means in `region` what it meant in `said`."""
    if rule.kind is not Kind.NUMBER or said == region or _forms(rule, said) == _forms(rule, region):
        return (rule,)
    return tuple(Rule(rule.kind, form) for form in _forms(rule, said))


def _archive(accepted: Config, proposed: Config, scales: _Scales) -> Path:
    """Another archive may have other key holders, or none."""
    same = proposed.archive == accepted.archive
    return proposed.archive if same or scales.let(ARCHIVE, "archive", proposed.archive) else accepted.archive


def _tsa(accepted: Config, proposed: Config, scales: _Scales) -> Tsa | None:
    """It lets nobody's message through, but what proves when the log was as it is would go."""
    kept = accepted.tsa in (None, proposed.tsa)
    what = "another authority for time-stamps, or none"
    return proposed.tsa if kept or scales.let(what, "tsa", proposed.tsa) else accepted.tsa


def _dkim(accepted: Config, proposed: Config, scales: _Scales) -> str:
    """With none there is less proof; with all a sender may see from where keys are asked for, and that ends at once."""
    at_once = proposed.dkim in (accepted.dkim, "providers")
    if at_once or scales.let(f"signatures would be checked of: {proposed.dkim}", "dkim", proposed.dkim):
        return proposed.dkim
    return accepted.dkim if proposed.dkim == "all" else "providers"


def _uncertain(accepted: Config, proposed: Config, scales: _Scales) -> Disposition:
    looser = accepted.uncertain is Disposition.SEAL and proposed.uncertain is not Disposition.SEAL
    what = "what is uncertain would be let pass"
    return accepted.uncertain if looser and not scales.let(what, "uncertain") else proposed.uncertain


AnySource = TypeVar("AnySource", MailSource, PhoneSource)


def _sources(
    accepted: Config, proposed: Config, scales: _Scales, broken: Collection[str]
) -> tuple[tuple[MailSource, ...], tuple[PhoneSource, ...]]:
    """Every source of the file, and those that are not in the file any more."""
    mailboxes = {source.name: source for source in accepted.mail}
    numbers = {source.name: source for source in accepted.phone}
    lost_mail = _lost(accepted.mail, proposed.mail, scales)
    lost_phone = _lost(accepted.phone, proposed.phone, scales)
    held = {source.name for source in lost_mail} | {source.name for source in lost_phone}
    mail = {
        new.name: _mailbox(mailboxes[new.name], new, scales, new.name in broken)
        for new in proposed.mail
        if new.name in mailboxes
    }
    regions = (accepted.region, proposed.region)
    phone = {
        new.name: _number(numbers[new.name], new, regions, scales, new.name in broken)
        for new in proposed.phone
        if new.name in numbers
    }
    fresh = [_settled(new, *regions) for new in proposed.phone]
    return _together(proposed.mail, mail, lost_mail, held, broken), _together(fresh, phone, lost_phone, held, broken)


def _lost(accepted: Sequence[AnySource], proposed: Sequence[AnySource], scales: _Scales) -> tuple[AnySource, ...]:
    """Sources that are gone from the file and stay."""
    named = {source.name for source in proposed}
    gone = (source for source in accepted if source.name not in named)
    return tuple(s for s in gone if not scales.let(f"{s.name}: no longer looked at", "source", s.name))


def _together(
    proposed: Iterable[AnySource],
    standing: Mapping[str, AnySource],
    lost: tuple[AnySource, ...],
    held: Collection[str],
    broken: Collection[str],
) -> tuple[AnySource, ...]:
    """What stands, what is new beside it, and what was lost.

    A new source waits while one that is in force looks at the same messages, or all would be
    sealed and passed on twice; and while one of the other kind has its name, for cursors and
    receipts are kept by name.
    """
    working = tuple(source for source in tuple(standing.values()) + lost if source.name not in broken)
    beside = tuple(
        standing.get(new.name, new)
        for new in proposed
        if new.name in standing or (new.name not in held and not any(_same(new, old) for old in working))
    )
    return beside + lost


def _same(one: MailSource | PhoneSource, other: MailSource | PhoneSource) -> bool:
    """Whether two sources look at the same messages."""
    if isinstance(one, MailSource) and isinstance(other, MailSource):
        account = (one.host.casefold(), one.user) == (other.host.casefold(), other.user)
        apart = one.folders and other.folders and set(one.folders).isdisjoint(other.folders)
        return account and not apart
    if isinstance(one, PhoneSource) and isinstance(other, PhoneSource):
        forms = set(number.keys(one.number, one.region)).intersection(number.keys(other.number, other.region))
        return one.account == other.account and bool(forms)
    return False


def _mailbox(old: MailSource, new: MailSource, scales: _Scales, broken: bool) -> MailSource:
    merged = replace(
        new,
        folders=_folders(old, new, scales),
        never_touch=_untouched(old, new, scales),
        every=-scales.least(-old.every, -new.every, f"{old.name}: looked at less often", "every", old.name),
        authserv_id=_authserv_id(old, new, scales),
        sieve=_sieve(old, new, scales),
    )
    before, after = _mail_connection(old), _mail_connection(new)
    if before == after or broken or scales.let(f"{old.name}: {RECONNECT}", "connection", old.name, after):
        return merged
    if (old.host, old.user) != (new.host, new.user):  # these folders are another mailbox's
        return old
    return replace(merged, port=old.port, security=old.security, ca_file=old.ca_file, secret=old.secret)


def _mail_connection(source: MailSource) -> tuple[object, ...]:
    return source.host, source.port, source.user, source.security, source.ca_file, source.secret


def _folders(old: MailSource, new: MailSource, scales: _Scales) -> tuple[str, ...] | None:
    if new.folders is None or new.folders == old.folders:
        return new.folders
    if old.folders is None:
        what = f"{old.name}: some folders only"
        return new.folders if scales.let(what, "folders", old.name, new.folders) else None
    return scales.fewer(old.folders, new.folders, f"{old.name}: a folder no longer looked through", "folder", old.name)


def _untouched(old: MailSource, new: MailSource, scales: _Scales) -> tuple[str, ...]:
    what = f"{old.name}: a folder never touched"
    return tuple(
        folder
        for folder in new.never_touch
        if folder in old.never_touch or scales.let(f"{what}: {folder}", "never_touch", old.name, folder)
    )


def _authserv_id(old: MailSource, new: MailSource, scales: _Scales) -> str | None:
    """Whoever is trusted to say that a sender is genuine can make a listed domain's mail pass as a court's."""
    if new.authserv_id in (None, old.authserv_id):
        return new.authserv_id
    what = f"{old.name}: another server trusted to tell who is genuine"
    return new.authserv_id if scales.let(what, "authserv_id", old.name, new.authserv_id) else old.authserv_id


def _sieve(old: MailSource, new: MailSource, scales: _Scales) -> Sieve | None:
    """Without the rule on the server a message stands in the inbox for a moment, and a phone may show it."""
    if old.sieve in (None, new.sieve):
        return new.sieve
    what = f"{old.name}: another rule on the server, or none"
    return new.sieve if scales.let(what, "sieve", old.name, new.sieve) else old.sieve


def _number(
    old: PhoneSource, new: PhoneSource, regions: tuple[str | None, str | None], scales: _Scales, broken: bool
) -> PhoneSource:
    merged = replace(
        new,
        every=-scales.least(-old.every, -new.every, f"{old.name}: looked at less often", "every", old.name),
        region=_number_region(old, new, regions, scales),
    )
    before, after = _phone_connection(old), _phone_connection(new)
    if before == after or broken or scales.let(f"{old.name}: {RECONNECT}", "connection", old.name, after):
        return merged
    if before[:3] != after[:3]:  # another number, whose texts may go elsewhere
        return old
    return replace(merged, api_key=old.api_key, secret=old.secret)


def _settled(new: PhoneSource, accepted: str | None, proposed: str | None) -> PhoneSource:
    """A number that is new goes by the region it was written for, though the default has to wait."""
    return new if accepted == proposed else replace(new, region=new.region or proposed)


def _phone_connection(source: PhoneSource) -> tuple[object, ...]:
    return source.account, source.number, source.api_base, source.api_key, source.secret


def _unless_listed(source: PhoneSource, people: Iterable[Person], region: str | None) -> PhoneSource:
    """Nobody's texts are passed on to a number that is still listed, though the file lists it no more."""
    if source.relay_to is None:
        return source
    numbers = (rule for person in people for rule in person.entries if rule.kind is Kind.NUMBER)
    listed = {form for rule in numbers for form in _forms(rule, region)}
    relayed = number.keys(source.relay_to, source.region or region)
    return replace(source, relay_to=None) if listed.intersection(relayed) else source


def _number_region(
    old: PhoneSource, new: PhoneSource, regions: tuple[str | None, str | None], scales: _Scales
) -> str | None:
    if old.region == new.region:  # where both go by the default, the default is weighed on its own
        return new.region
    before, after = old.region or regions[0], new.region or regions[1]
    what = f"{old.name}: the region of its numbers would change"
    return new.region if scales.region(before, after, what, "region", old.name) == after else before

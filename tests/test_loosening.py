"""What a changed configuration may do at once, and what waits: one table, read in both directions."""

from dataclasses import fields, replace
from pathlib import Path

import pytest

from nocontactd.config import Config, MailSource, Person, PhoneSource, Secret, Sieve, Tsa
from nocontactd.loosening import merge
from nocontactd.model import Disposition, Kind, Rule
from nocontactd.number import keys

EX = Rule(Kind.ADDRESS, "ex@abuser.example")
FIRM = Rule(Kind.DOMAIN, "@abuser-business.example")
MOBILE = Rule(Kind.NUMBER, "+44 7700 900123")
NAME = Rule(Kind.NAME, "Alex Example")
HOME = MailSource(
    name="home",
    host="imap.example.org",
    user="me@example.org",
    port=993,
    security="tls",
    folders=("INBOX", "Junk"),
    never_touch=("Court",),
    every=60.0,
    ca_file=None,
    authserv_id=None,
    secret=Secret(file=Path("/etc/home.password")),
    sieve=Sieve("imap.example.org"),
)
NUMBER = PhoneSource(
    name="number",
    account="AC00000000000000000000000000000000",
    number="+1 415 555 0100",
    every=60.0,
    relay_to=None,
    api_key=None,
    region="GB",
    api_base=None,
    secret=Secret(),
)
CONFIG = Config(
    people=(Person("A.", (EX, FIRM, MOBILE, NAME)), Person("", (Rule(Kind.ADDRESS, "other@abuser.example"),))),
    mail=(HOME,),
    phone=(NUMBER,),
    archive=Path("/srv/archive"),
    state=None,
    loosening_delay=7 * 86400.0,
    uncertain=Disposition.SEAL,
    region="GB",
    max_per_pass=100,
    tsa=Tsa("https://tsa.example/tsr", None),
)


def people(*entries: Rule) -> tuple[Person, ...]:
    return (Person("A.", entries), CONFIG.people[1])


def mail(**changes: object) -> tuple[MailSource, ...]:
    return (replace(HOME, **changes),)  # type: ignore[arg-type]


def phone(**changes: object) -> tuple[PhoneSource, ...]:
    return (replace(NUMBER, **changes),)  # type: ignore[arg-type]


LOOSER = {
    "an address is gone": {"people": people(FIRM, MOBILE, NAME)},
    "a domain is gone": {"people": people(EX, MOBILE, NAME)},
    "a number is gone": {"people": people(EX, FIRM, NAME)},
    "a name is gone": {"people": people(EX, FIRM, MOBILE)},
    "a name stands for another": {"people": people(EX, FIRM, MOBILE, Rule(Kind.NAME, "Alexa Example"))},
    "a domain stands for its address": {"people": people(Rule(Kind.DOMAIN, "@abuser.example"), FIRM, MOBILE, NAME)},
    "one person is gone": {"people": CONFIG.people[:1]},
    "nobody is listed": {"people": ()},
    "a mailbox is gone": {"mail": ()},
    "a number of the owner's is gone": {"phone": ()},
    "a source has another name": {"mail": mail(name="house")},
    "another host": {"mail": mail(host="imap.example.net")},
    "another user": {"mail": mail(user="you@example.org")},
    "another port": {"mail": mail(port=1993)},
    "another security": {"mail": mail(security="starttls")},
    "another CA": {"mail": mail(ca_file=Path("/tmp/ca.pem"))},
    "another place of the secret": {"mail": mail(secret=Secret(file=Path("/etc/hom")))},
    "another folder instead": {"mail": mail(folders=("INBOX", "Spam"))},
    "a folder is gone": {"mail": mail(folders=("INBOX",))},
    "a folder more is never touched": {"mail": mail(never_touch=("Court", "INBOX"))},
    "mail is looked at less often": {"mail": mail(every=61.0)},
    "another server is trusted": {"mail": mail(authserv_id="mx.abuser.example")},
    "no rule on the server": {"mail": mail(sieve=None)},
    "another rule on the server": {"mail": mail(sieve=Sieve("imap.example.org", folder="elsewhere"))},
    "another account": {"phone": phone(account="AC11111111111111111111111111111111")},
    "another number": {"phone": phone(number="+1 415 555 0101")},
    "another API": {"phone": phone(api_base="http://127.0.0.1:1")},
    "another key": {"phone": phone(api_key="SK00000000000000000000000000000000")},
    "another place of the token": {"phone": phone(secret=Secret(command="true"))},
    "texts are looked at less often": {"phone": phone(every=3600.0)},
    "another region of a number": {"phone": phone(region="US")},
    "another archive": {"archive": Path("/tmp/archive")},
    "a shorter delay": {"loosening_delay": 60.0},
    "the uncertain pass": {"uncertain": Disposition.PASS},
    "another region": {"region": "US"},
    "smaller sweeps": {"max_per_pass": 99},
    "no time-stamps": {"tsa": None},
    "no signatures are checked": {"dkim": "none"},
    "the keys of everybody are asked for": {"dkim": "all"},
    "another authority": {"tsa": Tsa("https://tsa.example/tsr", Path("/tmp/mine.pem"))},
}
NO_LOOSER = {
    "an entry more": {"people": people(EX, FIRM, MOBILE, NAME, Rule(Kind.NAME, "A. Example"))},
    "an entry in another spelling": {"people": people(Rule(Kind.ADDRESS, "EX+x@Abuser.Example."), FIRM, MOBILE, NAME)},
    "a number in another spelling": {"people": people(EX, FIRM, Rule(Kind.NUMBER, "tel:+447700-900123"), NAME)},
    "a name in another order and spelling": {"people": people(EX, FIRM, MOBILE, Rule(Kind.NAME, "EXAMPLE, Álex"))},
    "an entry moved to another person": {
        "people": (Person("A.", (FIRM, MOBILE, NAME)), Person("B.", (EX, *CONFIG.people[1].entries)))
    },
    "another label": {"people": (Person("B.", CONFIG.people[0].entries), CONFIG.people[1])},
    "a source more": {"mail": (replace(HOME, name="work", user="work@example.org"), HOME)},
    "the same mailbox's other folders": {"mail": (HOME, replace(HOME, name="work", folders=("Lists",)))},
    "every folder": {"mail": mail(folders=None)},
    "a folder more": {"mail": mail(folders=("Junk", "INBOX", "Spam"))},
    "a folder less that is never touched": {"mail": mail(never_touch=())},
    "mail is looked at more often": {"mail": mail(every=1.0)},
    "texts are looked at more often": {"phone": phone(every=1.0)},
    "texts of everybody else are passed on": {"phone": phone(relay_to="+1 415 555 0199")},
    "a longer delay": {"loosening_delay": 8 * 86400.0},
    "larger sweeps": {"max_per_pass": 101},
    "another state": {"state": Path("/tmp/state")},
    "nothing": {},
}


@pytest.mark.parametrize("change", LOOSER.values(), ids=LOOSER)
def test_what_lets_more_through_waits_and_changes_nothing(change: dict[str, object]) -> None:
    merged, waiting = merge(CONFIG, replace(CONFIG, **change))  # type: ignore[arg-type]
    assert waiting
    assert not _differs(merged, CONFIG)


@pytest.mark.parametrize("change", LOOSER.values(), ids=LOOSER)
def test_what_was_granted_is_as_the_file_says_and_then_waits_no_more(change: dict[str, object]) -> None:
    proposed = replace(CONFIG, **change)  # type: ignore[arg-type]
    _, waiting = merge(CONFIG, proposed)
    granted, left = merge(CONFIG, proposed, {loosening.id for loosening in waiting})
    assert (granted, left) == (proposed, ())
    assert merge(granted, proposed) == (proposed, ())


@pytest.mark.parametrize("change", NO_LOOSER.values(), ids=NO_LOOSER)
def test_what_lets_no_more_through_is_taken_over_at_once(change: dict[str, object]) -> None:
    proposed = replace(CONFIG, **change)  # type: ignore[arg-type]
    assert merge(CONFIG, proposed) == (proposed, ())


@pytest.mark.parametrize("change", LOOSER.values(), ids=LOOSER)
def test_after_a_loosening_is_undone_nothing_is_looser(change: dict[str, object]) -> None:
    merged, waited = merge(CONFIG, replace(CONFIG, **change))  # type: ignore[arg-type]
    back, waiting = merge(merged, CONFIG)
    assert not _differs(back, CONFIG)
    assert not {loosening.id for loosening in waited} & {loosening.id for loosening in waiting}


def test_a_first_authority_for_time_stamps_is_asked_at_once() -> None:
    without = replace(CONFIG, tsa=None)
    assert merge(without, CONFIG) == (CONFIG, ())


def test_who_no_longer_wants_senders_to_see_queries_need_not_wait() -> None:
    """And who wants none at all goes as far as that at once."""
    watched = replace(CONFIG, dkim="all")
    assert merge(watched, CONFIG) == (CONFIG, ())
    merged, waiting = merge(watched, replace(CONFIG, dkim="none"))
    assert merged == CONFIG
    assert len(waiting) == 1


def _differs(merged: Config, accepted: Config) -> bool:
    """Whether anything that was sealed before might pass now; additions do not count."""
    rules = {rule for person in accepted.people for rule in person.entries}
    merged_sources = {source.name: source for source in (*merged.mail, *merged.phone)}
    looser_sources = [s for s in (*accepted.mail, *accepted.phone) if not _covers(merged_sources.get(s.name), s)]
    return bool(
        looser_sources
        or not rules <= set(merged.entries)
        or replace(merged, people=(), mail=(), phone=()) != replace(accepted, people=(), mail=(), phone=())
    )


def _covers(merged: MailSource | PhoneSource | None, accepted: MailSource | PhoneSource) -> bool:
    if isinstance(merged, MailSource) and isinstance(accepted, MailSource):
        return (
            set(accepted.folders or ()) <= set(merged.folders or ())
            and replace(merged, folders=accepted.folders) == accepted
        )
    return merged == accepted


def test_every_part_of_a_configuration_is_judged() -> None:
    """A key that a later version adds must be given its direction here."""
    changed = {
        kind: {key for change in (*LOOSER.values(), *NO_LOOSER.values()) for key in _changed(change, kind)}
        for kind in (Config, MailSource, PhoneSource)
    }
    for kind, names in changed.items():
        assert {field.name for field in fields(kind)} - {"mail", "phone"} <= names | {"name"}


def _changed(change: dict[str, object], kind: type) -> set[str]:
    if kind is Config:
        return set(change)
    key, before = ("mail", HOME) if kind is MailSource else ("phone", NUMBER)
    after = change.get(key)
    if not isinstance(after, tuple) or not after or not isinstance(after[0], kind):
        return set()
    return {field.name for field in fields(kind) if getattr(after[0], field.name) != getattr(before, field.name)}


def test_tightening_and_loosening_in_one_edit_part_ways() -> None:
    proposed = replace(CONFIG, people=people(EX, FIRM, NAME, Rule(Kind.ADDRESS, "new@abuser.example")))
    merged, waiting = merge(CONFIG, proposed)
    assert {rule.entry for rule in merged.entries} >= {"new@abuser.example", MOBILE.entry}
    assert [loosening.what for loosening in waiting] == [f"no longer listed: {MOBILE.entry}"]


def test_a_handle_is_an_entry_like_any_other() -> None:
    handle, spelt = Rule(Kind.HANDLE, "instagram:Some.Handle"), Rule(Kind.HANDLE, "Instagram: @some.handle")
    listed = replace(CONFIG, people=people(EX, FIRM, MOBILE, NAME, handle))
    assert merge(CONFIG, listed) == (listed, ())
    merged, waiting = merge(listed, CONFIG)
    assert ([each.what for each in waiting], merged.people) == (
        ["no longer listed: instagram:Some.Handle"],
        listed.people,
    )
    assert merge(listed, replace(CONFIG, people=people(EX, FIRM, MOBILE, NAME, spelt)))[1] == ()


def test_an_id_says_what_changes_and_not_what_else_was_edited() -> None:
    one = merge(CONFIG, replace(CONFIG, people=people(FIRM, MOBILE, NAME)))[1]
    two = merge(CONFIG, replace(CONFIG, people=people(NAME, FIRM), max_per_pass=5))[1]
    assert {loosening.id for loosening in one} < {loosening.id for loosening in two}
    assert len({loosening.id for loosening in two}) == len(two)


def test_another_value_of_the_same_thing_is_another_loosening() -> None:
    """Or somebody could let a small step wait, and then take a large one."""
    small, large = (merge(CONFIG, replace(CONFIG, mail=mail(every=e)))[1] for e in (61.0, 86400.0))
    merged, _ = merge(CONFIG, replace(CONFIG, mail=mail(every=86400.0)), {small[0].id})
    assert small[0].id != large[0].id
    assert merged.mail[0].every == 60.0


def test_a_source_that_cannot_be_reached_gets_its_new_connection_at_once_and_nothing_else() -> None:
    proposed = replace(CONFIG, mail=mail(host="imap.example.net", folders=("INBOX",)))
    merged, waiting = merge(CONFIG, proposed, broken={"home"})
    assert merged.mail[0].host == "imap.example.net"
    assert merged.mail[0].folders == ("INBOX", "Junk")
    assert len(waiting) == 1


def test_a_source_that_is_gone_stays_even_if_it_cannot_be_reached() -> None:
    merged, waiting = merge(CONFIG, replace(CONFIG, mail=()), broken={"home"})
    assert merged.mail == (HOME,)
    assert waiting


def test_a_number_cannot_take_the_name_of_a_mailbox_that_is_still_in_force() -> None:
    merged, _ = merge(CONFIG, replace(CONFIG, mail=(), phone=(replace(NUMBER, name="home"),)))
    assert (merged.mail, [source.name for source in merged.phone]) == ((HOME,), ["number"])
    merged, _ = merge(CONFIG, replace(CONFIG, phone=(), mail=(HOME, replace(HOME, name="number"))))
    assert (merged.mail, merged.phone) == ((HOME,), (NUMBER,))


def test_an_entry_written_for_a_region_that_waits_means_what_was_meant() -> None:
    proposed = replace(CONFIG, region="US", people=people(EX, FIRM, MOBILE, NAME, Rule(Kind.NUMBER, "(415) 555-0123")))
    merged, _ = merge(CONFIG, proposed)
    assert merged.region == "GB"
    assert Rule(Kind.NUMBER, "+14155550123") in merged.entries


@pytest.mark.parametrize(
    ("change", "waits"),
    [
        ({"mail": (replace(HOME, name="house"),)}, "house"),
        ({"phone": (replace(NUMBER, name="mobile", number="+1 (415) 555-0100"),)}, "mobile"),
        ({"mail": (replace(HOME, host="imap.example.net"), replace(HOME, name="old"))}, "old"),
    ],
)
def test_no_two_sources_look_at_the_same_messages_while_one_waits(change: dict[str, object], waits: str) -> None:
    """Texts would be passed on twice, and messages sealed twice."""
    merged, waiting = merge(CONFIG, replace(CONFIG, **change))  # type: ignore[arg-type]
    assert waits not in {source.name for source in (*merged.mail, *merged.phone)}
    broken, _ = merge(CONFIG, replace(CONFIG, **change), broken={"home", "number"})  # type: ignore[arg-type]
    assert waits in {source.name for source in (*broken.mail, *broken.phone)}
    granted, left = merge(CONFIG, replace(CONFIG, **change), {one.id for one in waiting})  # type: ignore[arg-type]
    assert (granted, left) == (replace(CONFIG, **change), ())  # type: ignore[arg-type]


def test_a_number_that_is_new_goes_by_the_region_it_was_written_for() -> None:
    new = replace(NUMBER, name="new", number="(415) 555-0123", region=None)
    proposed = replace(CONFIG, region="US", phone=(NUMBER, new))
    merged, waiting = merge(CONFIG, proposed)
    assert (merged.region, merged.phone[1].region) == ("GB", "US")
    assert merge(merged, proposed, {one.id for one in waiting}) == (proposed, ())


def test_an_entry_that_waits_keeps_its_meaning_when_the_region_changes() -> None:
    national = replace(CONFIG, people=people(Rule(Kind.NUMBER, "07700 900123")))
    proposed = replace(national, region="US", people=())
    region = next(one for one in merge(national, proposed)[1] if "region" in one.what)
    merged, _ = merge(national, proposed, {region.id})
    assert merged.region == "US"
    assert Rule(Kind.NUMBER, "+447700900123") in merged.entries


def test_an_entry_that_reads_the_same_in_another_region_keeps_its_meaning_too() -> None:
    national = replace(CONFIG, people=people(Rule(Kind.NUMBER, "07700 900123")))
    merged, waiting = merge(national, replace(national, region="US"))
    forms = {form for rule in merged.entries if rule.kind is Kind.NUMBER for form in keys(rule.entry, merged.region)}
    assert "+447700900123" in forms
    assert "no longer listed: 07700 900123" in {one.what for one in waiting}


def test_texts_are_not_passed_on_to_a_number_that_is_still_listed() -> None:
    proposed = replace(CONFIG, people=people(EX, FIRM, NAME), phone=phone(relay_to="07700 900123"))
    merged, waiting = merge(CONFIG, proposed)
    assert merged.phone[0].relay_to is None
    assert merge(CONFIG, proposed, {waiting[0].id})[0] == proposed

"""The tree of a file to a `Config`. Every check of the configuration is here or called from here.

Nothing here stops at the first problem, and no problem repeats a value: the file names people.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from nocontactd.config.document import Mapping, Node, Place, Spoilt
from nocontactd.config.entries import (
    handle_problem,
    mail_problem,
    mail_rule,
    name_problem,
    number_keys,
    number_problem,
    protection_problem,
    protection_warning,
    region_problem,
)
from nocontactd.config.fields import Complain, Fields
from nocontactd.config.hosts import address_problem, host_problem, loopback, url_problem
from nocontactd.config.sections import Config, MailSource, Microsoft, Person, PhoneSource, Secret, Sieve, Tsa
from nocontactd.model import Disposition, Kind, Rule
from nocontactd.shipped import protected, services

EVERY = 60.0
"""Seconds between looks where the file does not say."""
LEAST_EVERY = 0.01
LOOSENING_DELAY = 7 * 86400.0
MAX_PER_PASS = 1000
_GUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
PORTS = {"tls": 993, "starttls": 143, "none": 143}
"""RFC 8314, 3.2 and RFC 9051, 2.1."""


def read(root: Node, folder: Path, complain: Complain) -> Config:
    """The configuration; worth something only where nothing was complained of. Paths begin at `folder`."""
    if not isinstance(root, Mapping):
        if not isinstance(root, Spoilt):
            complain(root.at, "a configuration is made of keys and values, such as `blocked:`")
        root, complain = Mapping(root.at, ()), _nothing
    top = Fields(root, "", complain)
    top.need("blocked", "archive")
    region = _region(top)
    mail = [_mail(fields, folder) for fields in top.sections("mail")]
    phone = [_phone(fields, folder, region) for fields in top.sections("phone")]
    if not top.has("mail", "phone"):
        complain(top.at, "there is neither `mail` nor `phone`: nothing would be looked at")
    _told_apart([*mail, *phone])
    people = _people(top, region)
    _unlisted(people, phone, region)
    archive, state = _path(top, "archive", folder), _path(top, "state", folder)
    if archive is not None and archive == state:
        top.wrong("state", "state and archive are two folders")
    return Config(
        people=people,
        mail=tuple(source for source, _ in mail),
        phone=tuple(source for source, _ in phone),
        archive=archive or folder,
        state=state,
        loosening_delay=_loosening(top),
        uncertain=Disposition(top.word("uncertain", ("pass", "seal"), "pass")),
        region=region,
        max_per_pass=top.number("max_per_pass", 10**9) or MAX_PER_PASS,
        tsa=_tsa(top, folder),
        dkim=top.word("dkim", ("providers", "all", "none"), "providers"),
    )


def _people(top: Fields, region: str | None) -> tuple[Person, ...]:
    people = tuple(_person(fields, region) for fields in top.sections("blocked"))
    if top.empty("blocked"):
        top.wrong("blocked", "the list is empty: nobody would be blocked; is the file half-written?")
    return people


def _person(fields: Fields, region: str | None) -> Person:
    lists = fields.has("mail", "phone", "names", "handles")
    if not lists:
        fields.complain(fields.at, "nothing of this person is listed: `mail`, `phone`, `names` or `handles`")
    for key in lists:
        if fields.empty(key):
            fields.wrong(key, f"`{key}` is empty; leave it out or fill it")
    mail = [mail_rule(text) for text in fields.texts("mail", _mail_problem) or ()]
    fields.warn("mail", lambda text: protection_warning(text, protected()))
    numbers = fields.texts("phone", lambda text: number_problem(text, region)) or ()
    names = fields.texts("names", name_problem) or ()
    handles = fields.texts("handles", _handle_problem) or ()
    others = ((Kind.NUMBER, numbers), (Kind.NAME, names), (Kind.HANDLE, handles))
    rules = (Rule(kind, text) for kind, texts in others for text in texts)
    return Person(fields.text("person") or "", (*mail, *rules))


def _handle_problem(text: str) -> str:
    return handle_problem(text, {known.handles for known in services().senders.values() if known.handles})


def _mail_problem(text: str) -> str:
    return mail_problem(text) or protection_problem(text, protected())


def _mail(fields: Fields, folder: Path) -> tuple[MailSource, Fields]:
    fields.need("source", "host", "user")
    security = fields.word("security", ("tls", "starttls", "none"), "tls")
    host = fields.text("host", host_problem) or ""
    if security == "none" and host and not loopback(host):
        fields.wrong("security", "`none` is allowed to this machine only; use tls or starttls")
    source = MailSource(
        name=fields.text("source", label_problem) or "",
        host=host,
        user=fields.text("user") or "",
        port=fields.number("port", 65535) or PORTS[security],
        security=security,
        folders=_folders(fields),
        never_touch=tuple(fields.texts("never_touch", verbatim=True) or ()),
        every=fields.duration("every", LEAST_EVERY, EVERY),
        ca_file=fields.path("ca_file", folder),
        authserv_id=fields.text("authserv_id", lambda text: "this is one word" if set(text) & set(' ;=()"') else ""),
        secret=_secret(fields, folder),
        sieve=_sieve(fields, host, security),
    )
    for folder_name in set(source.folders or ()) & set(source.never_touch):
        if folder_name:
            fields.wrong("never_touch", "a folder under `never_touch` stands under `folders` too")
    if source.sieve and source.sieve.folder in source.never_touch:
        fields.wrong(
            "never_touch", "the rule under `sieve` files to a folder under `never_touch`: nothing would seal it"
        )
    return source, fields


def _sieve(mailbox: Fields, host: str, security: str) -> Sieve | None:
    """ManageSieve begins in plain text and goes over to TLS (RFC 5804, 1.8), whatever IMAP does there."""
    fields = mailbox.section("sieve")
    if fields is None:
        return None
    said = fields.word("security", ("tls", "starttls", "none"), "none" if security == "none" else "starttls")
    there = fields.text("host", host_problem) or host
    if said == "none" and there and not loopback(there):
        fields.wrong("security", "`none` is allowed to this machine only; use starttls or tls")
    usual = Sieve(there, security=said)
    return replace(
        usual,
        port=fields.number("port", 65535) or usual.port,
        folder=fields.text("folder", _rule_folder) or usual.folder,
    )


def _rule_folder(name: str) -> str:
    if not name.isprintable():
        return "a folder's name has no control characters"
    return "the rule cannot file into the inbox: that is what it keeps clear" if name.upper() == "INBOX" else ""


def _folders(fields: Fields) -> tuple[str, ...] | None:
    """None: all."""
    if fields.is_text("folders"):
        fields.text("folders", lambda text: "" if text == "all" else "`folders` is `all`, or a list of folders")
        return None
    if fields.empty("folders"):
        fields.wrong("folders", "the list is empty: nothing would be looked at")
    texts = fields.texts("folders", verbatim=True)
    return None if texts is None else tuple(dict.fromkeys(texts))


def _phone(fields: Fields, folder: Path, default: str | None) -> tuple[PhoneSource, Fields]:
    fields.need("source", "account", "number")
    own = _region(fields)
    region = own or default
    source = PhoneSource(
        name=fields.text("source", label_problem) or "",
        account=fields.text("account", sid_problem("AC")) or "",
        number=fields.text("number", lambda text: number_problem(text, region, whole=True)) or "",
        every=fields.duration("every", LEAST_EVERY, EVERY),
        relay_to=fields.text("relay_to", lambda text: number_problem(text, region, whole=True)),
        api_key=fields.text("api_key", sid_problem("SK")),
        region=own,
        api_base=fields.text("api_base", url_problem),
        secret=_secret(fields, folder),
    )
    return source, fields


def _unlisted(people: tuple[Person, ...], phone: list[tuple[PhoneSource, Fields]], default: str | None) -> None:
    """Nobody's texts are passed on to a listed person, nor back to the number they came to."""
    numbers = (rule.entry for person in people for rule in person.entries if rule.kind is Kind.NUMBER)
    listed = number_keys(numbers, default) if phone else frozenset()
    for source, fields in phone:
        if not source.relay_to:
            continue
        target = number_keys([source.relay_to], source.region or default)
        if target & number_keys([source.number], source.region or default):
            fields.wrong("relay_to", "this is the number itself: each text would come back for ever")
        if target & listed:
            fields.wrong("relay_to", "this number is listed under `blocked`: texts would be passed on to that person")


def _secret(fields: Fields, folder: Path) -> Secret:
    ways = fields.has("password_file", "password_command", "token_command", "microsoft")
    for way in ways[1:]:
        fields.wrong(way, f"there is `{ways[0]}` already: one way to the secret is enough")
    return Secret(
        file=fields.path("password_file", folder),
        command=fields.text("password_command", lines=True),
        token_command=fields.text("token_command", lines=True),
        microsoft=_microsoft(fields),
    )


def _microsoft(mailbox: Fields) -> Microsoft | None:
    fields = mailbox.section("microsoft")
    if fields is None:
        return None
    fields.need("client_id")
    usual = Microsoft(fields.text("client_id", guid_problem) or "")
    return replace(
        usual,
        tenant=fields.text("tenant", tenant_problem) or usual.tenant,
        authority=(fields.text("authority", _authority_problem) or usual.authority).rstrip("/"),
    )


def guid_problem(text: str) -> str:
    """What is wrong with an id of Microsoft's, or ""."""
    return "" if _GUID.fullmatch(text) else "an id, as Microsoft shows it, is 8-4-4-4-12 digits and letters a to f"


def tenant_problem(text: str) -> str:
    """What is wrong with a tenant, or ""."""
    good = text in ("consumers", "organizations", "common") or _GUID.fullmatch(text)
    return "" if good else "`tenant` is consumers, organizations, common, or the id of your organization's directory"


def _authority_problem(text: str) -> str:
    return (
        url_problem(text) if text.startswith("https:") else "this is not an address such as https://login.example.com"
    )


def _told_apart(sources: list[tuple[MailSource | PhoneSource, Fields]]) -> None:
    """Two sources share neither a name nor what they look at: two workers would take the same message."""
    named: dict[str, Fields] = {}
    beside: dict[tuple[object, ...], list[tuple[MailSource | PhoneSource, Fields]]] = {}
    for source, fields in sources:
        first = named.setdefault(source.name.casefold(), fields)
        if source.name and first is not fields:
            where = first.place("source").line
            fields.wrong("source", f"there is a source of this name already, on line {where}")
        for other, there in beside.get(_account(source), ()):
            if _overlap(source, other):
                fields.complain(fields.at, f"this looks at the same messages as the source on line {there.at.line}")
                break
        beside.setdefault(_account(source), []).append((source, fields))


def _account(source: MailSource | PhoneSource) -> tuple[object, ...]:
    if isinstance(source, PhoneSource):
        return source.account, source.number
    return source.host.casefold(), source.port, source.user


def _overlap(one: MailSource | PhoneSource, other: MailSource | PhoneSource) -> bool:
    """Of two that look at one account."""
    if not all(_account(one)):
        return False  # told already: something is missing
    if isinstance(one, MailSource) and isinstance(other, MailSource) and one.folders and other.folders:
        return not set(one.folders).isdisjoint(other.folders)
    return True


def _path(top: Fields, key: str, folder: Path) -> Path | None:
    section = top.section(key)
    if section is None:
        return None
    section.need("path")
    return section.path("path", folder)


def _loosening(top: Fields) -> float:
    section = top.section("loosening")
    if section is None:
        return LOOSENING_DELAY
    section.need("delay")
    return section.duration("delay", 0.01, LOOSENING_DELAY)


def _tsa(top: Fields, folder: Path) -> Tsa | None:
    section = top.section("tsa")
    if section is None:
        return None
    section.need("url")
    tsa = Tsa(section.text("url", address_problem) or "", section.path("ca_file", folder))
    if tsa.url and url_problem(tsa.url) and not tsa.ca_file:
        section.wrong("url", "http without TLS needs `ca_file`, or anybody on the way could make time-stamps")
    return tsa


def _region(fields: Fields) -> str | None:
    said = fields.text("region", region_problem)
    return said.upper() if said else None


def label_problem(text: str) -> str:
    """A source's label stands in the journal, in the state and as the name of a systemd credential."""
    good = len(text) <= 64 and text[0].isalnum() and all(c.isalnum() or c in " ._-" for c in text)
    if good and sum(c.isdigit() for c in text) < 7:
        return ""
    return "a source is named by a word of your own, such as home: it is logged, so no address and no number"


def sid_problem(prefix: str) -> Callable[[str], str]:
    """What tells what is wrong with one of Twilio's ids of this kind, or ""."""

    def check(text: str) -> str:
        good = text.startswith(prefix) and text.isascii() and text.isalnum() and len(text) > 2
        return "" if good else f"this begins with {prefix} at Twilio, and letters and digits follow"

    return check


def _nothing(_at: Place, _text: str) -> None:
    """Where there is no mapping at all, what it lacks need not be told."""

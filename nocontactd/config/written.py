"""A `Config` as the file that a person goes on with: what `parse` makes of it is that `Config` again.

Every text stands in quotes, so nothing in it can be taken for YAML.
"""

import json
from collections.abc import Iterator

from nocontactd.config.sections import Config, MailSource, Person, PhoneSource, Secret
from nocontactd.model import Kind

HEAD = """\
# nocontactd's configuration, as `nocontact setup` wrote it. config.example.yaml explains every key.
#
# Adding a person or an entry works as soon as this file is saved. Taking one out, or anything else
# that would let more through, waits for `loosening: {delay}`; `nocontact pending` shows what waits.
# No secret stands in this file.
"""
_KEYS = {"mail": (Kind.ADDRESS, Kind.DOMAIN), "phone": (Kind.NUMBER,), "names": (Kind.NAME,)}
_UNITS = ((86400, "days"), (3600, "hours"), (60, "minutes"))


def written(config: Config) -> str:
    """The text of a file."""
    return "\n".join(_lines(config)) + "\n"


def _lines(config: Config) -> Iterator[str]:
    yield HEAD
    yield "# Who is blocked. Names are only held, never sealed, on the name alone."
    yield "blocked:"
    for person in config.people:
        yield from _item(_person(person))
    if config.mail:
        yield "\n# Mailboxes. `folders: all` is meant where nothing else stands; Sent and Drafts are never touched."
        yield "mail:"
        for mail in config.mail:
            yield from _item(_mail(mail))
    if config.phone:
        yield "\n# Numbers at Twilio. Everybody else's texts go on to relay_to."
        yield "phone:"
        for phone in config.phone:
            yield from _item(_phone(phone))
    yield "\n# How long whatever lets more through must wait."
    yield f"loosening: {{delay: {_duration(config.loosening_delay)}}}"
    if config.region:
        yield f"region: {config.region}"
    if config.state:
        yield f"state: {{path: {_quoted(str(config.state))}}}"
    yield "\n# Where sealed messages are kept. It stands last: a file that was cut short is refused."
    yield f"archive: {{path: {_quoted(str(config.archive))}}}"


def _person(person: Person) -> Iterator[tuple[str, str]]:
    if person.label:
        yield "person", _quoted(person.label)
    for key, kinds in _KEYS.items():
        entries = [_quoted(rule.entry) for rule in person.entries if rule.kind in kinds]
        if entries:
            yield key, f"[{', '.join(entries)}]"


def _mail(source: MailSource) -> Iterator[tuple[str, str]]:
    yield "source", _quoted(source.name)
    yield "host", _quoted(source.host)
    yield "port", str(source.port)
    yield "security", source.security
    if source.ca_file:
        yield "ca_file", _quoted(str(source.ca_file))
    yield "user", _quoted(source.user)
    yield from _secret(source.secret)
    if source.authserv_id:
        yield "authserv_id", _quoted(source.authserv_id)


def _phone(source: PhoneSource) -> Iterator[tuple[str, str]]:
    yield "source", _quoted(source.name)
    yield "account", source.account
    yield "number", _quoted(source.number)
    if source.relay_to:
        yield "relay_to", _quoted(source.relay_to)
    yield from _secret(source.secret)
    if source.api_base:
        yield "api_base", _quoted(source.api_base)


def _secret(secret: Secret) -> Iterator[tuple[str, str]]:
    if secret.file:
        yield "password_file", _quoted(str(secret.file))
    if secret.command:
        yield "password_command", _quoted(secret.command)
    if secret.token_command:
        yield "token_command", _quoted(secret.token_command)
    if secret.microsoft:
        there = secret.microsoft
        authority = f", authority: {_quoted(there.authority)}" if there.elsewhere else ""
        yield "microsoft", f"{{client_id: {there.client_id}, tenant: {there.tenant}{authority}}}"


def _item(pairs: Iterator[tuple[str, str]]) -> Iterator[str]:
    for number, (key, value) in enumerate(pairs):
        yield f"  {' ' if number else '-'} {key}: {value}"


def _duration(seconds: float) -> str:
    for size, unit in _UNITS:
        if seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:f}".rstrip("0").rstrip(".") + "s"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)  # a YAML text in double quotes knows every escape of JSON

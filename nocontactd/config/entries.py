"""What may stand as an entry under `blocked`: what could never match, or would match half the world, may not."""

import re
from collections.abc import Collection, Iterable

from nocontactd import address, number
from nocontactd.model import Kind, Rule
from nocontactd.protected import Protected
from nocontactd.rules import handle_key

_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_LITERAL = re.compile(r"\[(?:[0-9.]+|ipv6:[0-9a-f:.]+)\]")  # RFC 5321, 4.1.3
_SPECIAL = re.compile(r'[\s()<>\[\]:;@\\,"*]')
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)+"')
_SENDER_ID = re.compile(r"[\w .&+'/:-]{1,30}")

_REGION = re.compile(r"[A-Z]{2}")


def mail_rule(text: str) -> Rule:
    """The rule of an entry under `mail`."""
    return Rule(Kind.DOMAIN if text.startswith("@") else Kind.ADDRESS, text)


def mail_problem(text: str) -> str:
    """What is wrong with an entry under `mail`, or ""."""
    local, at, host = text.rpartition("@")
    if not at:
        return "neither an address nor a @domain: an @ is missing"
    if local in {"", "*"}:
        return "a domain is written @example.org" if local else _domain_problem(address.domain(host))
    if not _QUOTED.fullmatch(local) and _SPECIAL.search(local):
        return "not an address: write it bare, as ex@example.org, without name, brackets or patterns"
    plain = address.domain(host)
    return "" if _is_host(plain) or _LITERAL.fullmatch(plain) else "not an address: what follows the @ is no domain"


def protection_problem(text: str, protected: Protected) -> str:
    """Why an entry under `mail` would cut somebody off from help, or ""."""
    if not text.startswith("@") or not protected.covers(address.domain(text[1:])):
        return ""
    return (
        "this is a court, police, a hotline or the like, which nobody may list whole; list one person's address there"
    )


def protection_warning(text: str, protected: Protected) -> str:
    """What should be known of an entry under `mail` that lists one person there, or ""."""
    if text.startswith("@") or not protected.covers(address.domain(text.rpartition("@")[2])):
        return ""
    return "this address is at a court, police, a hotline or the like; everything from it will be sealed"


def handle_problem(text: str, services: Collection[str]) -> str:
    """What is wrong with an entry under `handles`, or ""; `services` are those that can be named before the colon."""
    service, colon, _ = handle_key(text).partition(":")
    if not colon:
        return "a handle is written with its service, as instagram:some.handle"
    return "" if service in services else f"handles are known of these services: {', '.join(sorted(services))}"


def number_problem(text: str, region: str | None, *, whole: bool = False) -> str:
    """What is wrong with a number as it is dialled in `region`, or ""; `whole`: no short code, no sender's name."""
    if "@" in text:
        return "this is an address, not a number: it belongs under `mail`"
    found = number.keys(text, region)
    if any(map(_is_telephone, found)):
        return ""
    if any(map(number.is_telephone, found)):
        return "there can be no such number: digits are missing or too many, or its country does not exist"
    code = next(iter(found), "")
    if code.isdigit() and len(code) > 6:
        return "a number without its country: write it with + and the country, or set `region`"
    if whole:
        return "this is not a telephone number; write it with + and its country"
    good = len(code) > 2 if code.isdigit() else any(map(str.isalpha, code)) and _SENDER_ID.fullmatch(code)
    return "" if good else "neither a number, nor a short code, nor the name of a sender"


def name_problem(text: str) -> str:
    """What is wrong with an entry under `names`, or ""."""
    if "@" in text:
        return "this is an address, not a name: it belongs under `mail`"
    return "" if any(map(str.isalpha, text)) else "there is no letter in this name"


def region_problem(text: str) -> str:
    """What is wrong with a country, or ""."""
    if text.upper() == "UK":
        return "the country's code is GB"
    return "" if _REGION.fullmatch(text.upper()) else "a country is two letters (ISO 3166), as GB"


def number_keys(texts: Iterable[str], region: str | None) -> frozenset[str]:
    """All that these numbers may be, dialled in a region."""
    return frozenset(key for text in texts for key in number.keys(text, region))


def _domain_problem(host: str) -> str:
    if not _is_host(host):
        return "after the @ of a domain its name must follow, as @example.org"
    if address.registry(host):
        return "this would list everybody under a whole top-level domain"
    return ""


def _is_host(host: str) -> bool:
    labels = host.split(".")
    return len(host) <= 253 and all(map(_LABEL.fullmatch, labels)) and not labels[-1].isdigit()


def _is_telephone(key: str) -> bool:
    """A number with its country; without its plus it is one still only where that country has numbers so long."""
    return number.is_telephone(key) and any(map(number.is_telephone, number.keys(key[1:], None)))

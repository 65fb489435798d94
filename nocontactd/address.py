"""Two mail addresses name one mailbox exactly when their comparable forms are the same string.

What is folded away is what RFC 5321, 5322 and 5891 call insignificant, and what providers treat
so in fact: case, quoting, the root dot, either form of an IDN, what nobody sees, `+tag`; dots and
googlemail.com at Gmail alone. A dash, another host, a sub-domain or a longer domain stay distinct.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import TypeVar

from nocontactd.invisible import without_invisible

T = TypeVar("T")

_DOT_ATOM = re.compile(r'[^\s\x00-\x1f\x7f()<>\[\]:;@\\,"]+')
_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)
_DOTS = re.compile("[\u3002\uff0e\uff61]")  # full stops to IDNA (RFC 3490, 3.1)
_GMAIL = frozenset({"gmail.com", "googlemail.com"})
_MAX_DOMAIN = 255  # octets, RFC 5321, 4.5.3.1.2: what is longer cannot be a host and is compared as it stands
_MAX_LABEL = 63
_SECOND_LEVEL = frozenset({"ac", "co", "com", "edu", "gov", "ltd", "me", "ne", "net", "nhs", "nom", "or", "org", "plc"})
"""Before a two-letter country these are registries (co.uk, com.au), not anybody's domain."""
_PLAIN = re.compile(r"[0-9A-Za-z_.-]+@[0-9A-Za-z_](?:[0-9A-Za-z_.-]*[0-9A-Za-z_])?")
"""Nothing but case can be folded away here, except at Gmail."""
_SETTLED = 4  # Unicode's NFKC_Casefold is stable after two rounds; more would mean a loop


def comparable(address: str) -> str:
    """The one form of `local@domain`; idempotent. Takes any text and never raises."""
    if _PLAIN.fullmatch(address) and not (plain := address.lower()).endswith(("@gmail.com", "@googlemail.com")):
        return plain
    return comparable_in_full(address)


def comparable_in_full(address: str) -> str:
    """The same without the short way for plain addresses."""
    local, _, host = address.rpartition("@")
    mailbox, host = _mailbox(unquoted(local)), domain(host)
    return joined(mailbox.replace(".", ""), "gmail.com") if host in _GMAIL else joined(mailbox, host)


def joined(local: str, host: str) -> str:
    """`local@host`, the local part quoted where it has to be, so that the last @ is always the real one."""
    if not _DOT_ATOM.fullmatch(local):
        local = '"' + local.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return f"{local}@{host}"


def unquoted(local: str) -> str:
    """What a quoted local part means (RFC 5322, 3.4.1); another one as it is."""
    if len(local) > 1 and local.startswith('"') and local.endswith('"'):
        return _QUOTED_PAIR.sub(r"\1", local[1:-1])
    return local


def domain(host: str) -> str:
    """The one form of a domain: A-labels, lower case, no root dot; idempotent."""
    if not host.isascii():
        mapped = _a_labels(without_invisible(host))
        host = host if "@" in mapped else mapped  # no host; and the last @ of an address stays the last one
    return host.lower().strip(". \t\r\n")


def parents(host: str) -> Iterator[str]:
    """A domain in comparable form, then each it lies under, label by label; of what is too long those at its end."""
    yield host
    host = host[-_MAX_DOMAIN:]
    while "." in host:
        host = host.partition(".")[2]
        yield host


def nearest(domains: Mapping[str, T], host: str) -> T | None:
    """What is kept of a domain in comparable form, or else of the first one that it lies under."""
    if (found := domains.get(host)) is not None:
        return found
    host = host[-_MAX_DOMAIN:]
    while (dot := host.find(".") + 1) and (found := domains.get(host := host[dot:])) is None:
        pass
    return found


def registry(host: str) -> bool:
    """Whether other people's domains lie under this one (com, co.uk), as far as that can be told without a list."""
    labels = host.split(".")
    return len(labels) == 1 or (len(labels) == 2 and labels[0] in _SECOND_LEVEL and len(labels[1]) == 2)


def folded(text: str) -> str:
    """Text without regard to case, width, composition and what is not seen."""
    if text.isascii():
        return text.lower()
    text = without_invisible(text)
    for _ in range(_SETTLED):
        before, text = text, without_invisible(unicodedata.normalize("NFKC", text.casefold()))
        if text == before:
            break
    return text


def _mailbox(local: str) -> str:
    local = folded(local)
    plus = local.find("+", 1)  # `+tag`, RFC 5233; a local part that begins with + has no tag
    return local if plus < 0 else local[:plus]


def _a_labels(host: str) -> str:
    from idna import IDNAError, uts46_remap  # its tables are large, and few messages need them

    if len(host) > _MAX_DOMAIN:
        return folded(host)
    try:
        mapped = uts46_remap(host, std3_rules=False, transitional=False)
    except IDNAError:
        mapped = folded(_DOTS.sub(".", host))
    return ".".join(_a_label(label) for label in mapped.split("."))


def _a_label(label: str) -> str:
    from idna import IDNAError, alabel

    if label.isascii():
        return label
    try:
        return alabel(label).decode("ascii")
    except IDNAError:  # not registrable, but a client shows it and a resolver may find it
        return label if len(label) > _MAX_LABEL else "xn--" + label.encode("punycode").decode("ascii")

"""Host names and addresses of servers: what may be one, and what is this machine itself."""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit

_LABEL = re.compile(r"(?!-)[\w-]{1,63}(?<!-)")


def loopback(host: str) -> bool:
    """Whether nothing that is said to this host leaves the machine."""
    numeric = _numeric(host)
    return numeric.is_loopback if numeric else host.casefold() == "localhost"


def host_problem(host: str) -> str:
    """What is wrong with the name or address of a server, or ""."""
    if _numeric(host):
        return ""
    labels = host.removesuffix(".").split(".")
    if len(host) <= 253 and all(_LABEL.fullmatch(label) for label in labels) and not labels[-1].isdigit():
        return ""
    return "this is not the name of a server: neither imaps:// nor a port belongs to it"


def url_problem(url: str) -> str:
    """What is wrong with the address of an API, or "": https, or http to this machine."""
    problem = address_problem(url)
    if not problem and urlsplit(url).scheme == "http" and not loopback(urlsplit(url).hostname or ""):
        return "http without TLS is allowed to this machine only: use https"
    return problem


def address_problem(url: str) -> str:
    """What is wrong with an address of any of both kinds, or ""."""
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname or "", parts.port
    except ValueError:
        return "this is not an address such as https://api.example.com"
    if parts.scheme not in {"http", "https"} or host_problem(host) or parts.username or parts.query or parts.fragment:
        return "this is not an address such as https://api.example.com"
    return ""


def _numeric(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None

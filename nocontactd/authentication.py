"""Whether a sender is who the message says, by the word of the owner's own provider and nobody else's.

docs/adr/0005-protected-senders.md defends the bounds. A provider must take fields in its own name
out of what comes in (RFC 8601, 5); where it does not and adds none of its own, a sender's forgery
is believed. What is proven is one domain, and only where every reading of From has that one alone.
"""

from collections.abc import Collection, Iterable

from nocontactd import headers
from nocontactd.address import domain, registry
from nocontactd.headers.results import Result, results
from nocontactd.model import Authentication, Author, Envelope, Kind, Verdict


def of(raw: bytes, authserv_ids: Collection[str], authors: Iterable[Author] | None = None) -> Authentication | None:
    """What the provider with one of these ids said of a message or its header; None where it said nothing.

    `authors`: those of its header, where they were read already.
    """
    said = results(raw, authserv_ids) if authserv_ids else None
    if said is None:
        return None
    host = _domain_of(headers.authors(raw) if authors is None else authors) if _pass(said.found) else ""
    return Authentication((host,) if host and _proven(host, said.found) else (), said.text)


def proven(envelope: Envelope, verdict: Verdict) -> bool | None:
    """Whether the address that a verdict goes by is its author's own; None where nobody has looked.

    Only From can be proven: DMARC and aligned DKIM are about no other field. Whom a service names
    elsewhere in its notice, the service alone can know.
    """
    if envelope.authentication is None or (envelope.notice is not None and verdict.field != "From"):
        return None
    return verdict.field == "From" and _domain_of(envelope.authors) in envelope.authentication.domains


def _domain_of(authors: Iterable[Author]) -> str:
    """The one domain of every mailbox in From; "" where there are several, or one that cannot be read."""
    seen = [author for author in authors if author.field == "From"]
    hosts = {domain(author.address.rpartition("@")[2]) if author.kind is Kind.ADDRESS else "" for author in seen}
    return hosts.pop() if len(hosts) == 1 and all("@" in author.address for author in seen) else ""


def _proven(host: str, found: tuple[Result, ...]) -> bool:
    """By DMARC where the provider speaks of it, for it has read From itself; else by DKIM.

    Results that contradict each other prove nothing: one of them may have been written by the
    sender, into a part of the field that the provider copied.
    """
    dmarc = [result for result in found if result.method == "dmarc" and result.value != "none"]
    if not dmarc:
        return any(_signed(host, result) for result in _pass(found) if result.method == "dkim")
    return len(dmarc) == 1 and dmarc[0].value == "pass" and _host(dmarc[0].of("header.from")) == host


def _pass(found: Iterable[Result]) -> list[Result]:
    return [result for result in found if result.value == "pass"]


def _signed(host: str, result: Result) -> bool:
    """Whether who signed is the domain itself or above it. Only who is above answers for what is below."""
    signer, identity = _host(result.of("header.d")), _host(result.of("header.i"))
    if signer and identity and not _under(identity, signer):  # RFC 6376, 3.5: no verifier passes that
        return False
    signer = signer or identity
    return signer == host or (bool(signer) and not registry(signer) and _under(host, signer))


def _under(host: str, other: str) -> bool:
    return host == other or host.endswith(f".{other}")


def _host(value: str) -> str:
    return domain(value.rpartition("@")[2])

"""DKIM signatures verified (RFC 6376), and the DNS asked for their keys, in a process that ends with it.

`examiner` starts it (`python -m nocontactd.dkim`): what a hostile header makes a parser do takes a
child's time, never the daemon's, and the libraries cost the daemon no memory. The only file that
knows dkimpy and dnspython, which are behind the extra `evidence`. Given kept answers it asks nobody.

Standard input: one line of JSON, then the octets. Standard output: one line of JSON a signature.
"""

import base64
import binascii
import json
import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import astuple
from typing import Any

import dkim  # type: ignore[import-untyped]  # published without types
import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.resolver
from dkim.crypto import DigestTooLargeError, UnparsableKeyError  # type: ignore[import-untyped]

from nocontactd.mailhosts import unwatched
from nocontactd.signatures import (
    BODY_OCTETS,
    FAIL,
    MOST,
    MOST_FIELDS,
    MOST_SIGNED,
    NO_ANSWER,
    PART,
    PASS,
    PERMERROR,
    TEMPERROR,
    UNCHECKED,
    WHOLE,
    Signature,
    signature,
    tags,
)

QUERY = 3.0
"""Seconds for one name, with every server and repetition."""
_TRY = 1.0
_PAUSE = 0.1
"""Before all servers are asked once more."""
MOST_KEYS = 4
"""TXT records that are tried where there are several (RFC 6376, 3.6.2.2: any of them may be chosen)."""
_CPU = 3
"""Seconds of a processor: in a hostile header expressions of dkimpy run for hours."""
_MEMORY = 1 << 29
_LEEWAY = 36_000
"""Seconds by which a sender's clock may be wrong."""
_UNREADABLE = (
    *(dkim.DKIMException, DigestTooLargeError, UnparsableKeyError, binascii.Error),
    *(ValueError, TypeError, KeyError, IndexError, AttributeError, AssertionError, ArithmeticError),
)
"""What dkimpy raises over a field or a key that is malformed."""

Ask = Callable[[str], bytes | None]
"""The DNS answer for a name, octet for octet; None: there was none in time."""


class Resolver:
    """The resolver of this system, or the servers that are named."""

    def __init__(self, servers: Sequence[tuple[str, int]] | None) -> None:
        """DNSException, OSError: this system names none."""
        if servers is None:
            own = dns.resolver.Resolver()
            servers = [(str(server), own.port) for server in own.nameservers]
        self._servers = servers

    def ask(self, name: str) -> bytes | None:
        """The answer of the first server that gives one; what is lost is asked for again."""
        query = dns.message.make_query(f"{name}.", "TXT")
        query.flags |= dns.flags.AD  # whether the resolver has validated it (RFC 6840, 5.7)
        # No part of this machine's address is to be passed on (RFC 7871, 7.1.2).
        query.use_edns(0, payload=1232, options=[dns.edns.ECSOption("0.0.0.0", 0, 0)])
        until = time.monotonic() + QUERY
        silent = list(self._servers)
        while silent and time.monotonic() < until:
            for server, port in tuple(silent):
                left = until - time.monotonic()
                with suppress(dns.exception.DNSException, OSError, EOFError, ValueError):
                    answer, _over_tcp = dns.query.udp_with_fallback(
                        query, server, min(_TRY, max(left, 0)), port, ignore_unexpected=True, ignore_errors=True
                    )
                    if answer.rcode() in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
                        return answer.wire
                    silent.remove((server, port))  # it says that it cannot find out
            time.sleep(_PAUSE)
        return None


def keys(answer: bytes, name: str) -> tuple[bytes, ...]:
    """The TXT records that an answer gives for this name, each with its strings joined; also over a chain of CNAMEs.

    ValueError: it is no answer, or to another question.
    """
    try:
        found = dns.message.from_wire(answer, ignore_trailing=True)
        if not isinstance(found, dns.message.QueryMessage):
            raise ValueError("it is no answer")
        chain = found.resolve_chaining()
    except dns.exception.DNSException:
        raise ValueError("it is no answer") from None
    if found.question[0].name.to_text(omit_final_dot=True).lower() != name:
        raise ValueError("it answers another question")
    return tuple(sorted(b"".join(record.strings) for record in chain.answer or ()))


class Message:
    """One message, as far as it was kept."""

    def __init__(self, octets: bytes, *, complete: bool) -> None:
        """ValueError: it cannot be read."""
        silent = logging.Logger("dkim")  # unattached: what the library would log quotes the message
        silent.disabled = True
        try:
            self._parsed = dkim.DKIM(octets, logger=silent)
        except _UNREADABLE:
            raise ValueError("this header cannot be read") from None
        self._complete = complete and len(self._parsed.body) <= BODY_OCTETS
        if len(self._parsed.headers) > MOST_FIELDS:
            raise ValueError("too many fields")
        fields = [field for field in self._parsed.headers if field[0].lower() == b"dkim-signature"]
        self.fields = tuple(tuple(field) for field in fields[:MOST])

    def examine(self, field: tuple[bytes, bytes], said: Signature, moment: float, ask: Ask) -> tuple[str, str, str]:
        """Result, body and why of one signature (signatures.Finding)."""
        sig = {name.encode("ascii", "replace"): value for name, value in tags(field[1]).items()}
        unsound = _unsound(sig, said, moment)
        if unsound:
            return PERMERROR, UNCHECKED, unsound
        answer = ask(said.key)
        if answer is None:
            return TEMPERROR, UNCHECKED, NO_ANSWER
        try:
            found = [self._with(field, sig, key) for key in keys(answer, said.key)[:MOST_KEYS]]
        except ValueError:
            return TEMPERROR, UNCHECKED, NO_ANSWER
        best = sorted(found, key=lambda each: (PASS, FAIL, PERMERROR).index(each[0]))
        return best[0] if best else (PERMERROR, UNCHECKED, "no-key")

    def _with(self, field: tuple[bytes, bytes], sig: Mapping[bytes, bytes], key: bytes) -> tuple[str, str, str]:
        """By this key."""
        try:
            dkim.evaluate_pk("", key)
        except _UNREADABLE:
            return PERMERROR, UNCHECKED, "revoked" if tags(key).get("p") == b"" else "key"
        header = {name: value for name, value in sig.items() if name != b"bh"}  # dkimpy then leaves the body out
        try:
            if not self._signed(field, header, key):
                return FAIL, UNCHECKED, "signature"
            if not self._complete:
                return PASS, UNCHECKED, ""
            try:
                self._signed(field, sig, key)
            except dkim.ValidationError:
                return FAIL, UNCHECKED, "body"
        except dkim.KeyFormatError:
            return PERMERROR, UNCHECKED, "key"
        except _UNREADABLE:
            return PERMERROR, UNCHECKED, "malformed"
        return PASS, PART if b"l" in sig else WHOLE, ""

    def _signed(self, field: tuple[bytes, bytes], sig: Mapping[bytes, bytes], key: bytes) -> bool:
        names = [name.strip().lower() for name in sig[b"h"].split(b":")]
        return bool(self._parsed.verify_sig(dict(sig), names, field, lambda _name, timeout: key))


def _unsound(sig: Mapping[bytes, bytes], said: Signature, moment: float) -> str:
    """Why a signature is none, whatever its key is; or ""."""
    names = [name.strip().lower() for name in sig.get(b"h", b"").split(b":")]
    if b"from" not in names or len(names) > MOST_SIGNED:  # RFC 6376, 5.4
        return "malformed"
    if said.algorithm not in ("rsa-sha256", "ed25519-sha256"):  # RFC 8301, 3.1: no SHA-1
        return "algorithm"
    try:  # dkimpy compares times with today, and years later every signature would have expired
        dkim.validate_signature_fields({name: value for name, value in sig.items() if name not in (b"t", b"x")})
        if int(sig.get(b"t", b"0")) > moment + _LEEWAY:
            return "future"
        return "expired" if b"x" in sig and int(sig[b"x"]) < moment - _LEEWAY else ""
    except _UNREADABLE:
        return "malformed"


def _examine(order: Mapping[str, Any], octets: bytes) -> Iterator[dict[str, Any]]:
    """One object a signature that may be asked for, in the order of the fields."""
    kept, servers = order["answers"], order["servers"]
    ask = _kept(kept) if kept is not None else Resolver(servers and [(host, port) for host, port in servers]).ask
    asked: dict[str, bytes | None] = {}

    def once(name: str) -> bytes | None:
        if name not in asked:
            asked[name] = ask(name)
        return asked[name]

    message = Message(octets, complete=order["complete"])
    for field in message.fields:
        said = signature(field[1])
        if said and (order["everybody"] or unwatched(said.domain)):
            found = message.examine(field, said, order["moment"], once)
            answer = asked.get(said.key)
            yield {
                "signature": astuple(said),
                "found": found,
                "answer": base64.b64encode(answer).decode() if answer else None,
            }


def _kept(answers: Mapping[str, str]) -> Ask:
    """Only what was kept: nothing is sent anywhere."""
    return lambda name: base64.b64decode(answers[name]) if name in answers else None


def _limit() -> None:
    """No more time and memory than a sender's message is worth, and no image of it on the disk."""
    import resource

    for what, most in ((resource.RLIMIT_CPU, _CPU), (resource.RLIMIT_AS, _MEMORY), (resource.RLIMIT_CORE, 0)):
        with suppress(OSError, ValueError):
            resource.setrlimit(what, (most, most))


def main() -> int:
    """Examine one message. It says nothing but results."""
    _limit()
    order = json.loads(sys.stdin.buffer.readline())
    try:
        for line in _examine(order, sys.stdin.buffer.read()):
            sys.stdout.write(f"{json.dumps(line)}\n")
            sys.stdout.flush()
    except (ValueError, OSError, MemoryError, dns.exception.DNSException):
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""Asks a process of its own what a message's DKIM signatures are worth; never more than a few seconds, never an error.

Whatever goes wrong there, the message is sealed all the same, with that much less known of it.
"""

import base64
import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from nocontactd.mailhosts import unwatched
from nocontactd.signatures import (
    BODY_OCTETS,
    NO_ANSWER,
    TEMPERROR,
    TIME,
    UNCHECKED,
    Examined,
    Finding,
    Signature,
    header,
    signatures,
)

PROVIDERS, ALL, NONE = "providers", "all", "none"
"""Whose keys are asked for: of mail providers whose DNS no sender can watch, of everybody, of nobody."""
PATIENCE = 6.0
"""Seconds for one message, with everything."""
RECENT = timedelta(days=7)
"""How long after its arrival a message is still examined; later its key may be another (RFC 6376, 3.6.1)."""
SILENCE = 300.0
"""Seconds in which nobody is asked after the DNS gave no answer, so that a sweep does not wait for each message."""


class DkimExaminer:
    """Fits ports.Examiner. Several threads may use one."""

    def __init__(
        self,
        whose: str = PROVIDERS,
        servers: Sequence[tuple[str, int]] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`whose`: PROVIDERS, ALL or NONE; may be set later. `servers`: instead of this system's resolver."""
        self.whose = whose
        self._servers = servers
        self._monotonic = monotonic
        self._quiet_until = monotonic()

    def examine(self, octets: bytes, size: int, arrived: datetime, now: datetime) -> Examined | None:
        """See ports.Examiner."""
        whose = self.whose
        if whose == NONE or not abs(now - arrived) < RECENT or self._monotonic() < self._quiet_until:
            return None
        asked = [said for said in signatures(octets) if whose == ALL or unwatched(said.domain)]
        if not asked or not installed():
            return None
        order = {"everybody": whose == ALL, "servers": self._servers, "answers": None, "moment": now.timestamp()}
        found = _run(order, octets, size)
        lost = asked[len(found) :]  # they come in the order of the fields
        found += [(Finding(said, TEMPERROR, UNCHECKED, TIME), None) for said in lost]
        if any(finding.why == NO_ANSWER for finding, _ in found):
            self._quiet_until = self._monotonic() + SILENCE
        return _examined(found)


def examine_again(
    octets: bytes, size: int, findings: Sequence[Finding], answers: Mapping[str, bytes], sealed: datetime
) -> tuple[Finding, ...]:
    """The same signatures, with the answers that were kept and as of that day: no network is used.

    `octets`: the beginning of the message, up to examined.KEPT. `answers`: by the names in `findings`. Those that
    were never answered are left out. CPU time is limited as at arrival: fewer may come back than were asked for.
    """
    kept = {
        finding.signature.key: base64.b64encode(answers[finding.answer]).decode()
        for finding in findings
        if finding.answer and finding.answer in answers
    }
    order = {"everybody": True, "servers": None, "answers": kept, "moment": sealed.timestamp()}
    found = [finding for finding, _ in _run(order, octets, size)] if kept and installed() else []
    return tuple(finding for finding in found if finding.signature.key in kept)


def remarks(whose: str) -> Iterator[str]:
    """What an owner should know who has chosen this."""
    if whose != NONE and not installed():
        yield "signatures of mail are not checked, and their keys are not kept: pip install 'nocontactd[evidence]'"
    if whose == ALL:
        yield "`dkim: all`: a sender with a domain of their own can see when and through which resolver they are asked"


def installed() -> bool:
    """Whether the extra `evidence` is there."""
    return all(importlib.util.find_spec(name) for name in ("dkim", "dns", "nacl"))


def _run(order: Mapping[str, Any], octets: bytes, size: int) -> list[tuple[Finding, bytes | None]]:
    """What the process came to in its time; less, or nothing, where it failed."""
    head = header(octets)
    if head is None:
        return []
    complete = len(octets) >= size and len(octets) - len(head) <= BODY_OCTETS
    line = json.dumps({**order, "complete": complete}).encode() + b"\n"
    said = b""
    try:
        child = subprocess.run(
            [sys.executable, "-m", "nocontactd.dkim"],
            input=line + (octets if complete else head),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=Path(__file__).parents[1],  # where -m looks first: this very package
            timeout=PATIENCE,
            check=False,
        )
        said = child.stdout
    except subprocess.TimeoutExpired as late:
        said = late.stdout or b""
    except OSError:
        return []
    return list(_found(said))


def _found(said: bytes) -> Iterator[tuple[Finding, bytes | None]]:
    for line in said.splitlines(keepends=True):
        if line.endswith(b"\n"):  # the last one may be cut off
            item = json.loads(line)
            answer = item["answer"]
            finding = Finding(Signature(*item["signature"]), *item["found"])
            yield finding, base64.b64decode(answer) if answer else None


def _examined(found: Sequence[tuple[Finding, bytes | None]]) -> Examined:
    """The same answer has one file, however many signatures were checked with it."""
    files: dict[bytes, str] = {}
    findings = []
    for finding, wire in found:
        name = files.setdefault(wire, f"dns/{len(files)}.wire") if wire else None
        findings.append(Finding(finding.signature, finding.result, finding.body, finding.why, name))
    return Examined(tuple(findings), tuple((name, wire) for wire, name in files.items()))

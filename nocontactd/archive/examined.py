"""What was found of a message's signatures, as members of its record (docs/ARCHIVE-FORMAT.md, 4). Pure.

The octets are listened to while they stream into the record, as far as signatures are checked;
whoever examines them is asked once the last of them has gone by.
"""

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from nocontactd.model import Part
from nocontactd.ports import Examiner
from nocontactd.signatures import BODY_OCTETS, HEADER_OCTETS, Examined, Finding, Signature

MAIL = "message.eml"
KEPT = HEADER_OCTETS + BODY_OCTETS
"""Octets of a message that are held for it."""


class Overheard:
    """The beginning of one message, kept while it goes by."""

    def __init__(self, examiner: Examiner | None) -> None:
        self._examiner = examiner
        self._kept = bytearray()
        self._size = 0

    def part(self, part: Part) -> Part:
        """The same part; if it is a mail, and anybody wants to know, it is listened to."""
        if part.name != MAIL or self._examiner is None:
            return part
        self._size = part.size
        return Part(part.name, part.size, self._listen(part.chunks))

    def examined(self, arrived: datetime, sealed: datetime) -> Examined | None:
        """What is found of it; None where nobody looked. To be asked when all of it has gone by."""
        if self._examiner is None or not self._kept:
            return None
        octets = bytes(self._kept)
        self._kept.clear()
        return self._examiner.examine(octets, self._size, arrived, sealed)

    def _listen(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            if len(self._kept) < KEPT:
                self._kept += chunk[: KEPT - len(self._kept)]
            yield chunk


def as_list(examined: Examined | None) -> list[dict[str, Any]]:
    """The member `dkim` of auth.json."""
    return [_fields(finding) for finding in examined.found] if examined else []


def as_parts(examined: Examined | None) -> Iterator[Part]:
    """The members dns/N.wire."""
    for name, wire in examined.answers if examined else ():
        yield Part(name, len(wire), [wire])


def read_findings(auth: bytes) -> tuple[Finding, ...]:
    """What auth.json says of signatures. ValueError: it is not as the format says."""
    try:
        return tuple(map(_finding, json.loads(auth or b"{}").get("dkim", ())))
    except (AttributeError, KeyError, TypeError, RecursionError):
        raise ValueError("auth.json is not as the format says") from None


def _fields(finding: Finding) -> dict[str, Any]:
    signature = finding.signature
    return {
        "domain": signature.domain,
        "selector": signature.selector,
        "identity": signature.identity,
        "algorithm": signature.algorithm,
        "result": finding.result,
        "body": finding.body,
        "why": finding.why,
        "answer": finding.answer,
    }


def _finding(said: dict[str, Any]) -> Finding:
    signature = Signature(*(str(said[name]) for name in ("domain", "selector", "identity", "algorithm")))
    answer = said["answer"]
    return Finding(
        *(signature, str(said["result"]), str(said["body"]), str(said["why"])),
        None if answer is None else str(answer),
    )

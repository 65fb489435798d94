"""What is to become of a message. A function of the envelope and the rules, and of nothing else."""

from collections.abc import Iterable, Set
from dataclasses import dataclass

from nocontactd.model import Disposition, Envelope, MessageRef, Note, Rule, Seal, Steps, TooMany, Verdict


@dataclass(frozen=True, slots=True)
class Rules:
    """All entries, compiled once into hash look-ups: the cost of a message does not grow with them."""


def compile_rules(entries: Iterable[Rule], region: str | None) -> Rules:
    """Make look-ups of entries; `region` (ISO 3166) is for numbers without a country."""
    raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules in force, and the owner's choices about them."""

    rules: Rules
    uncertain: Disposition
    """PASS or SEAL: what a hold comes to."""
    max_sweep: int
    """How many older messages one sweep may take out (`max_per_pass`)."""
    digest: str
    """SHA-256 (hex) of what decides a verdict: other rules, other digest."""

    def seals(self, verdict: Verdict) -> bool:
        """Whether a verdict comes to sealing under this policy."""
        if verdict.disposition is Disposition.HOLD:
            return self.uncertain is Disposition.SEAL
        return verdict.disposition is Disposition.SEAL


def decide(envelope: Envelope, policy: Policy) -> Verdict:
    """Seal, hold or pass, and by which field and entry. Never raises."""
    raise NotImplementedError


def plan(envelopes: Iterable[Envelope], policy: Policy, taken: Set[MessageRef]) -> Steps:
    """What one pass is to do. What is taken already is left to its receipt.

    New arrivals are never refused; a sweep above the limit is, whole.
    """
    arrivals: list[Seal] = []
    sweep: list[Seal] = []
    notes: list[Note] = []
    relays: list[Envelope] = []
    for envelope in envelopes:
        if envelope.ref in taken:
            continue
        verdict = decide(envelope, policy)
        if policy.seals(verdict):
            (arrivals if envelope.arrival else sweep).append(Seal(envelope, verdict))
            continue
        if verdict.disposition is Disposition.HOLD:
            notes.append(Note(envelope, verdict))
        if envelope.relay:
            relays.append(envelope)
    too_many = TooMany(len(sweep), policy.max_sweep) if len(sweep) > policy.max_sweep else None
    seals = arrivals if too_many else arrivals + sweep
    return Steps(tuple(seals), tuple(notes), tuple(relays), too_many)

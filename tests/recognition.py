"""Drives recognition as a pass does: octets in, verdict out."""

from datetime import UTC, datetime

from nocontactd import shipped
from nocontactd.decide import Policy, decide, policy, rule
from nocontactd.model import Channel, Disposition, Envelope, MessageRef, Rule, Verdict
from nocontactd.reading import Reader, Reading

REF = MessageRef("home", "INBOX", 1, "1")
READER = Reader(catalogue=shipped.services(), offline=True)
THEN = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def blocked(*entries: str | Rule, sms: bool = False, region: str | None = None) -> Policy:
    rules = [each if isinstance(each, Rule) else rule(each, sms=sms) for each in entries]
    return policy(rules, region, Disposition.PASS, 1000)


def verdict(raw: bytes, policy: Policy) -> Verdict:
    return of(READER.of_message(raw), policy)


def text_verdict(sender: object, policy: Policy, body: object = None) -> Verdict:
    return of(READER.of_text(sender, body), policy, Channel.SMS)


def of(reading: Reading, policy: Policy, channel: Channel = Channel.MAIL) -> Verdict:
    known = {"authentication": reading.authentication, "notice": reading.notice}
    return decide(Envelope(REF, channel, reading.authors, THEN, **known), policy)

"""Everybody else's texts go on to the owner's own phone: none lost, none twice unless marked so.

Twilio's sending has no idempotency key. So the intent is committed first; where the outcome is
not known, the text is looked for among what was sent for a quarter of an hour, and only then
sent again, marked as a possible repetition.
"""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from nocontactd.errors import SourceError, UnknownOutcomeError
from nocontactd.model import Envelope, MessageRef
from nocontactd.ports import Ledger, Relay

PATIENCE = timedelta(minutes=15)
"""How long a sent message may take to appear in Twilio's list."""


def pass_on(
    envelopes: Iterable[Envelope], relay: Relay, ledger: Ledger, now: Callable[[], datetime]
) -> list[Exception]:
    """Pass each text on that was not before, oldest first; the problems of those that wait."""
    problems: list[Exception] = []
    for envelope in sorted(envelopes, key=lambda e: (e.arrived, e.ref.uid)):
        try:
            _pass_on(envelope.ref, relay, ledger, now)
        except SourceError as problem:
            problems.append(problem)
    return problems


def _pass_on(ref: MessageRef, relay: Relay, ledger: Ledger, now: Callable[[], datetime]) -> None:
    intent = ledger.intent(ref)
    if intent is None:
        _send(ref, relay, ledger, now, repeat=False)
    elif intent.sid is None:
        sent = relay.find(ref, intent.at, ledger.claimed(ref.source))
        if sent is not None:
            ledger.relayed(ref, sent)
        elif now() - intent.at < PATIENCE:
            raise UnknownOutcomeError(
                f"{ref.source}: it is not yet known whether a text was passed on",
                "it is looked for again at the next look, and sent again, marked, after a quarter of an hour",
            )
        else:
            _send(ref, relay, ledger, now, repeat=True)


def _send(
    ref: MessageRef, relay: Relay, ledger: Ledger, now: Callable[[], datetime], *, repeat: bool
) -> None:
    ledger.intend(ref, now())
    try:
        sent = relay.send(ref, repeat=repeat)
    except UnknownOutcomeError:
        raise
    except SourceError:
        if not repeat:
            ledger.withdraw(ref)
        raise
    ledger.relayed(ref, sent or "")

"""Everybody else's texts go on to the owner's own phone: none lost, none twice unless marked so.

Twilio's sending has no idempotency key. So the intent is committed first; where the outcome is
not known, the text is looked for among what was sent for a quarter of an hour, and only then
sent again, marked as a possible repetition.
"""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from nocontactd.errors import CredentialError, SourceError, UnknownOutcomeError, UnreachableError
from nocontactd.model import Envelope, Intent, MessageRef
from nocontactd.ports import Ledger, Relay

PATIENCE = timedelta(minutes=15)
"""How long a sent message may take to appear in Twilio's list."""


def pass_on(
    envelopes: Iterable[Envelope], relay: Relay, ledger: Ledger, now: Callable[[], datetime]
) -> list[Exception]:
    """Pass each text on that was not before, oldest first; the problems of those that wait.

    One that fails holds up no other, unless nothing can be reached or the secret was refused:
    then the rest wait too. SealError: the ledger cannot be written, and nothing more is sent.
    """
    problems: list[Exception] = []
    for envelope in sorted(envelopes, key=lambda e: (e.arrived, e.ref.uid)):
        try:
            _pass_on(envelope.ref, relay, ledger, now)
        except (UnreachableError, CredentialError) as problem:
            return [*problems, problem]
        except SourceError as problem:
            problems.append(problem)
    return problems


def _pass_on(ref: MessageRef, relay: Relay, ledger: Ledger, now: Callable[[], datetime]) -> None:
    intent = ledger.intent(ref)
    if intent is None:
        _send(ref, relay, ledger, now)
    elif intent.sid is None:
        sent = relay.find(ref, intent.at, ledger.claimed(ref.source))
        if sent is not None:
            ledger.relayed(ref, sent)
        elif abs(now() - intent.at) < PATIENCE:  # a clock that was set back must not hold it up for good
            raise UnknownOutcomeError(
                f"{ref.source}: it is not yet known whether a text was passed on",
                "it is looked for again at the next look, and sent again, marked, after a quarter of an hour",
            )
        else:
            _send(ref, relay, ledger, now, intent)


def _send(
    ref: MessageRef, relay: Relay, ledger: Ledger, now: Callable[[], datetime], before: Intent | None = None
) -> None:
    """Send it; marked as a repeat, if `before` it may have been sent already."""
    ledger.intend(ref, now())
    try:
        sent = relay.send(ref, repeat=before is not None)
    except UnknownOutcomeError:
        raise
    except (SourceError, CredentialError):  # certainly not sent: what was known before is known still
        if before is None:
            ledger.withdraw(ref)
        else:
            ledger.intend(ref, before.at)
        raise
    ledger.relayed(ref, sent or "")

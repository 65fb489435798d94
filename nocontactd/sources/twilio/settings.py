"""What a number's settings at Twilio do behind our back: answer a listed person, or lose what they sent."""

from collections.abc import Iterator
from typing import Any

UNREADABLE = (
    "Twilio itself answers STOP and HELP, and no setting that can be read here says otherwise",
    "pictures at Twilio are open to whoever has their address, unless the console has HTTP authentication for media on",
)
"""True of every number, and not to be seen through the API."""


def shortcomings(client: Any, number: str) -> tuple[str, ...]:
    """A sentence for each; `client` is the SDK's. No value of a setting is repeated."""
    found = client.incoming_phone_numbers.list(phone_number=number, limit=1)
    if not found:
        return ("the number is not one of this account",)
    return (*_of_number(found[0]), *_of_services(client, number))


def _of_number(number: Any) -> Iterator[str]:
    if "demo.twilio.com" in (number.sms_url or ""):
        yield "it answers by itself: its messaging webhook is Twilio's demonstration reply; clear it"
    elif number.sms_url or number.sms_application_sid:
        yield "a messaging webhook is told of each text first, and may answer it or forward it; clear it"
    if "demo.twilio.com" in (number.voice_url or ""):
        yield "it answers calls by itself: its voice webhook is Twilio's demonstration; replace it"
    elif not (number.voice_url or number.voice_application_sid or number.trunk_sid):
        yield "calls leave no trace: it has no voice webhook"


def _of_services(client: Any, number: str) -> Iterator[str]:
    for service in client.messaging.v1.services.stream():
        if service.inbound_request_url is None and not service.use_inbound_webhook_on_number:
            members = client.messaging.v1.services(service.sid).phone_numbers.stream()
            if any(member.phone_number == number for member in members):
                yield "it is in a Messaging Service that drops incoming texts: Twilio keeps no record of them"

"""A Twilio number as a Source, and as the Relay of what is not sealed. Whatever was sent from it is never touched."""

from nocontactd.sources.twilio.number import Number

__all__ = ["Number"]

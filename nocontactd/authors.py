"""Who may have written a whole message, or a text: what a decision is made on."""

from nocontactd import headers, invitation
from nocontactd.model import Author


def of_mail(raw: bytes) -> tuple[Author, ...]:
    """Every author of a message's exact octets, header and invitations. Never raises."""
    return headers.authors(raw) + invitation.authors(raw)


def of_text(sender: object) -> tuple[Author, ...]:
    """The author of a text by the raw `from` of Twilio's message resource; none where it is null or blank."""
    text = "" if sender is None else str(sender)
    return (Author("from", text),) if text.strip() else ()

"""Invitations as calendar services send them, to be put into mailboxes."""

import base64

SERVICE = "calendar-notification@cal.example"
CALENDAR = (
    "BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\nORGANIZER;CN=Ex:mailto:ex@abuser.example\r\n"
    "END:VEVENT\r\nEND:VCALENDAR\r\n"
)
SECRET = "what nobody but the owner reads"


def calendar_part(kind: str = "text/calendar", *, name: str = "", calendar: str = CALENDAR) -> str:
    """One MIME part."""
    shown = f'Content-Disposition: attachment; filename="{name}"\r\n' if name else ""
    body = base64.encodebytes(calendar.encode()).decode().replace("\n", "\r\n")
    return f"Content-Type: {kind}\r\n{shown}Content-Transfer-Encoding: base64\r\n\r\n{body}"


def plain_part(text: str = SECRET) -> str:
    """Another."""
    return f"Content-Type: text/plain\r\n\r\n{text}\r\n"


def attached(part: str) -> str:
    """A message that somebody handed on."""
    return f"Content-Type: message/rfc822\r\n\r\nFrom: {SERVICE}\r\nMIME-Version: 1.0\r\n{part}"


def multipart(*parts: str, kind: str = "mixed", boundary: str = "b1") -> str:
    """A part of parts."""
    inner = "".join(f"--{boundary}\r\n{part}\r\n" for part in parts)
    return f"Content-Type: multipart/{kind}; boundary={boundary}\r\n\r\n{inner}--{boundary}--\r\n"


def message(part: str, sender: str = SERVICE, number: int = 1) -> bytes:
    """The whole message."""
    return f"From: {sender}\r\nMessage-ID: <{number}@cal.example>\r\nMIME-Version: 1.0\r\n{part}".encode()


ALTERNATIVE = multipart(plain_part(), calendar_part(), kind="alternative", boundary="b2")
INVITATIONS = {
    "alone": message(calendar_part()),
    "beside text": message(multipart(plain_part(), calendar_part())),
    "nested": message(multipart(ALTERNATIVE, plain_part())),
    "by its name": message(multipart(plain_part(), calendar_part("application/octet-stream", name="Invite.ICS"))),
    "as a file": message(multipart(plain_part(), calendar_part("application/ics", name="x.txt"))),
    "with its name in pieces": message(
        multipart(calendar_part("application/octet-stream; name*0=in; name*1=vite; name*2=.ics"))
    ),
}
NO_INVITATIONS = {
    "handed on as a message": message(multipart(plain_part(), attached(calendar_part()))),
    "from somebody else": message(multipart(plain_part(), calendar_part()), "nadia@friends.example"),
    "a text that quotes one": message(multipart(plain_part(CALENDAR))),
}

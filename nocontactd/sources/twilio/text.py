"""What is read of Twilio's Message resource, and nothing besides: the rest is sealed as it came, and read by nobody."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from nocontactd.model import Channel, Envelope, MessageRef
from nocontactd.reading import Reader

MESSAGE = re.compile(r"(?:SM|MM)[0-9a-fA-F]{32}")
MEDIUM = re.compile(r"ME[0-9a-fA-F]{32}")

_EXTENSIONS = {
    "application/pdf": "pdf",
    "audio/aac": "aac",
    "audio/amr": "amr",
    "audio/mp4": "m4a",
    "audio/mpeg": "mp3",
    "audio/ogg": "ogg",
    "image/gif": "gif",
    "image/heic": "heic",
    "image/jpeg": "jpg",
    "image/png": "png",
    "image/webp": "webp",
    "text/calendar": "ics",
    "text/plain": "txt",
    "text/vcard": "vcf",
    "text/x-vcard": "vcf",
    "video/3gpp": "3gp",
    "video/mp4": "mp4",
    "video/quicktime": "mov",
}


@dataclass(frozen=True, slots=True)
class Text:
    """One message, in or out."""

    sid: str
    inbound: bool
    sender: str
    to: str
    body: str
    files: int
    """How many pictures and the like Twilio counted."""
    status: str
    created: datetime
    when: datetime
    """date_sent, or date_created while that is null; UTC."""

    def envelope(self, source: str, reader: Reader, *, arrival: bool, relay: bool) -> Envelope:
        """Who and when, for a decision."""
        authors = reader.of_text(self.sender, self.body).authors
        ref = MessageRef(source, "", 0, self.sid)
        return Envelope(ref, self.channel, authors, self.when, arrival=arrival, relay=relay)

    @property
    def channel(self) -> Channel:
        """By the prefix of the sender; without one, files make it an MMS."""
        for channel in (Channel.WHATSAPP, Channel.RCS):
            if self.sender.startswith(f"{channel}:"):
                return channel
        return Channel.MMS if self.files else Channel.SMS


@dataclass(frozen=True, slots=True)
class File:
    """A picture or the like that belongs to a message."""

    sid: str
    extension: str


def text(message: Any) -> Text:
    """Of the SDK's MessageInstance. ValueError, TypeError: it is not what Twilio describes."""
    created = message.date_created or message.date_sent or datetime.fromtimestamp(0, UTC)
    return Text(
        sid=checked(MESSAGE, message.sid),
        inbound=message.direction == "inbound",
        sender=message.from_ or "",
        to=message.to or "",
        body=message.body or "",
        files=int(message.num_media or 0),
        status=message.status or "",
        created=created,
        when=message.date_sent or created,
    )


def file(medium: Any) -> File:
    """Of the SDK's MediaInstance; `bin` for a type that is not known here."""
    kind = (medium.content_type or "").partition(";")[0].strip().lower()
    return File(checked(MEDIUM, medium.sid), _EXTENSIONS.get(kind, "bin"))


def checked(pattern: re.Pattern[str], sid: str) -> str:
    """The SID itself: it becomes part of a path, here and in the archive. ValueError, TypeError: it is none."""
    if not pattern.fullmatch(sid):
        raise ValueError("not a SID")
    return sid

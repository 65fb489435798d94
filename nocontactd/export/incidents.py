"""The incident log: one line a message, in the order in which they came.

A spreadsheet takes a cell that begins with = + - @ for a formula, and a stranger writes these cells:
such a cell gets an apostrophe before it. UTF-8 with a byte-order mark, or Excel reads it as Latin-1.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from nocontactd.model import Channel
from nocontactd.review.rows import Row, timestamp
from nocontactd.review.visible import visible

COLUMNS = ("date (UTC)", "time (UTC)", "channel", "technology", "description", "record", "file", "sha256")
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%", "＝", "＋", "－", "＠")
_TECHNOLOGY = {
    Channel.MAIL: "e-mail, taken out of the mailbox “{}” (IMAP)",
    Channel.SMS: "text message (SMS) to the telephone number “{}” (Twilio)",
    Channel.MMS: "text message with media (MMS) to the telephone number “{}” (Twilio)",
    Channel.WHATSAPP: "WhatsApp message to the telephone number “{}” (Twilio)",
    Channel.RCS: "RCS message to the telephone number “{}” (Twilio)",
    Channel.CALL: "call to the telephone number “{}” (Twilio)",
}


@dataclass(frozen=True, slots=True)
class Incident:
    """One line of the log; every text is fit for a screen and for paper."""

    date: str
    time: str
    channel: str
    technology: str
    description: str
    record: str
    file: str
    sha256: str

    @property
    def cells(self) -> tuple[str, ...]:
        """In the order of COLUMNS."""
        return (
            *(self.date, self.time, self.channel, self.technology),
            *(self.description, self.record, self.file, self.sha256),
        )

    @property
    def lines(self) -> tuple[str, ...]:
        """For a page: the first is its heading."""
        head = f"{self.date} {self.time} UTC   {self.channel}"
        return head, self.technology, self.description, f"{self.record}   {self.file}", f"sha256 {self.sha256}"


def incidents(rows: Iterable[Row], files: Sequence[str]) -> tuple[Incident, ...]:
    """One for each row, with the file that holds it."""
    return tuple(_incident(row, file) for row, file in zip(rows, files, strict=True))


def as_csv(log: Iterable[Incident]) -> bytes:
    """RFC 4180: commas, CR LF, every cell in quotes."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, quoting=csv.QUOTE_ALL)
    writer.writerow(COLUMNS)
    writer.writerows([_cell(text) for text in incident.cells] for incident in log)
    return out.getvalue().encode("utf-8-sig")


def _incident(row: Row, file: str) -> Incident:
    date, _, time = timestamp(row.received).removesuffix("Z").partition("T")
    return Incident(
        date,
        time,
        row.channel.value,
        visible(_TECHNOLOGY[row.channel].format(row.source)),
        visible(_description(row)),
        row.record,
        file,
        row.sha256,
    )


def _description(row: Row) -> str:
    said = [f"Message from {visible(row.sender or 'an unknown sender', 200)}, {row.size} octets."]
    if row.channel is Channel.MAIL:
        said.append(f"Subject: “{visible(row.subject, 300)}”.")
    if row.preview:
        said.append(f"It begins: “{row.preview}”.")
    field = f" in {row.field}" if row.field else ""
    rule = f", entry {row.rule}" if row.rule else ""
    said.append(f"Sealed because of {row.reason}{field}{rule}.")
    return " ".join(said)


def _cell(text: str) -> str:
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text

"""The mailbox and the texts of the demonstration: what a listed person tries, and what must arrive."""

from dataclasses import dataclass

LISTED_MAIL = "ex@abuser.example"
LISTED_DOMAIN = "@abuser-business.example"
LISTED_PHONE = "+44 7700 900123"
OWNER = "me@home.example"
NUMBER = "+14155550100"


@dataclass(frozen=True, slots=True)
class Letter:
    """One message as it is delivered; `shown` is what a mail client would list as its sender."""

    shown: str
    subject: str
    header: str
    body: str = "Hello."

    def octets(self, number: int) -> bytes:
        """The whole message with CRLF line ends (RFC 5322, 2.3)."""
        lines = [
            f"Received: from mx.example by home.example; Sat, 21 Nov 2026 09:{number:02}:01 +0000",
            *self.header.splitlines(),
            f"Subject: {self.subject}",
            f"Date: Sat, 21 Nov 2026 09:{number:02}:00 +0000",
            f"Message-ID: <{number:03}@demo.invalid>",
            "MIME-Version: 1.0",
            "Content-Type: text/plain; charset=utf-8",
            "",
            *self.body.splitlines(),
            "",
        ]
        return "\r\n".join(lines).encode()


def _plain(name: str, address: str, subject: str, body: str = "Hello.", more: str = "") -> Letter:
    header = f"From: {name} <{address}>\nTo: {OWNER}" + (f"\n{more}" if more else "")
    return Letter(name, subject, header, body)


def _disguised(shown: str, subject: str, header: str) -> Letter:
    return Letter(shown, subject, f"{header}\nTo: {OWNER}", "Please answer. I know you are reading this.")


ORDINARY = (
    _plain("Nadia", "nadia@friends.example", "Walk on Sunday?"),
    _plain("Primary School", "office@school.example", "Parents' evening", more=f"Cc: {LISTED_MAIL}"),
    _plain(
        "R. Okafor, solicitor",
        "okafor@lawyers.example",
        "Fwd: their last letter",
        f"For your file, what they wrote to us:\n\n> From: Alex <{LISTED_MAIL}>\n> You will hear from me.",
    ),
    _plain("City Library", "notices@library.example", "Your books are due", more="List-Id: <notices.library.example>"),
    _plain("Ex Libris", "ex@bookshop.example", "New in our shop"),
    _plain("Dr Lindqvist", "practice@lindqvist.example", "Your appointment on Tuesday"),
    _plain("Alexandra", "alex@abuser.example.org", "Choir practice"),
    _plain("Weekly Digest", "digest@news.example", "This week", more="Precedence: bulk"),
    _plain("Tomasz", "tomasz@friends.example", "Photos from the lake"),
    _plain("Court Service", "noreply@court.example", "Hearing moved to 14:00"),
    _plain("Bank", "alerts@bank.example", "A new device signed in"),
    _plain("Nadia", "nadia@friends.example", "Re: Walk on Sunday?"),
    _plain("Parcel Service", "track@parcels.example", "Arriving today"),
    _plain("Ines", "ines@work.example", "Minutes of Thursday"),
    _plain("Women's Aid", "support@helpline.example", "We are here until ten"),
    _plain("Garden Club", "list@garden.example", "Bulbs", more="List-Id: <garden.example>"),
    _plain("Mum", "mum@family.example", "Call me when you can"),
    _plain("Team Calendar", "calendar@work.example", "Invitation: review"),
    _plain("Rent Office", "office@rent.example", "Receipt"),
    _plain("Hexagon", "hex@abuser-business.example.net", "Your order"),
)

UNWANTED = (
    _disguised("Alex", "Talk to me", f"From: Alex <{LISTED_MAIL}>"),
    _disguised("Alex", "TALK TO ME", "From: Alex <EX@Abuser.Example.>"),
    _disguised("Alex", "Not me", "From: Alex <ex+please@abuser.example>"),
    _disguised("Alex", "One more", 'From: "ex"@abuser.example'),
    _disguised("Somebody", "Your parcel", f"From: Somebody <hello@throwaway.example>\nReply-To: {LISTED_MAIL}"),
    _disguised("Friends", "From all of us", f"From: Friends: Kim <kim@else.example>, {LISTED_MAIL};"),
    _disguised("Alex", "Hidden", "From: Alex (not\n (what it seems)) <ex (comment) @ abuser.example>"),
    _disguised("Kim via List", "Dear all", f"From: Kim via List <list@lists.example>\nX-Original-From: {LISTED_MAIL}"),
    _disguised("The office", "About the house", "From: The office <anybody@mail.abuser-business.example>"),
    _disguised("Kim", "For Alex", f"From: Kim <kim@else.example>\nSender: {LISTED_MAIL}"),
)

TEXTS = (
    ("+14155550142", "Dinner at seven? Nadia", ()),
    ("+447700900123", "I am outside.", ()),
    ("+14155550177", "Your code is 481 220", ()),
    ("whatsapp:+447700900123", "Why do you not answer", ()),
    ("+447700900123", "Look at this", ((b"\xff\xd8\xff\xe0 a picture", "image/jpeg"),)),
)


def mailbox() -> tuple[Letter, ...]:
    """Thirty letters, mixed as they would have come."""
    letters = list(ORDINARY)
    for place, letter in enumerate(UNWANTED):
        letters.insert(place * 3 + 1, letter)
    return tuple(letters)

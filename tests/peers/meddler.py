"""Another client that moves, copies, flags, deletes and expunges at random beside a daemon, and notes what it did.

Of everybody else's messages its journal says exactly what must stand where, with which UID and flags:
it is the only one that may touch them. Of listed people's messages it says which it deleted itself.
"""

import imaplib
import random
import re
import smtplib
from dataclasses import dataclass, field

from tests.peers.onlooker import MailServer, Sights

FOLDERS = ("INBOX", "Junk", "Trash", "Family", "Work")
MARKS = ("\\Seen", "\\Flagged", "\\Answered", "\\Deleted", "Mine")
LISTED, FRIEND = "ex@abuser.example", "nadia@friends.example"
POLICE = (
    "Authentication-Results: mx.home.example; dmarc=pass header.from=met.police.uk\r\nReply-To: case@biz.example\r\n"
)
Place = tuple[str, int]
"""Folder and UID."""


def token(octets: bytes) -> int:
    """The number that a message of ours has in its subject."""
    match = re.search(rb"^Subject: number (\d+)", octets, re.MULTILINE)
    return int(match[1]) if match else -1


@dataclass
class Journal:
    """What must be true in the end."""

    others: dict[Place, tuple[int, frozenset[str]]] = field(default_factory=dict)
    """Everybody else's messages: number and flags, by where they stand."""
    listed: set[int] = field(default_factory=set)
    """What listed people sent."""
    deleted: set[int] = field(default_factory=set)
    """Of it what this client has itself marked as deleted: it may have expunged it before anybody saw it."""
    misfiled: set[int] = field(default_factory=set)
    """What passes though the rule on the server takes it."""
    done: dict[str, int] = field(default_factory=dict)
    """How often each thing was done."""

    def faults(self, sights: Sights, sealed: set[int], daemons: int) -> list[str]:
        """What is not as it must be; the daemons are through with everything by then.

        Of two that put back the same message in the same moment each may bring it to the inbox (Dovecot's
        MOVE is a copy and an expunge).
        """
        standing = {(folder, uid): sight for (folder, _, uid), sight in sights.items()}
        found = [
            f"{at} should be {self.others[at]}"
            for at in self.others
            if at not in standing or (token(standing[at].octets), standing[at].flags) != self.others[at]
        ]
        numbers = [token(sight.octets) for at, sight in standing.items() if at not in self.others]
        found += [f"number {n} is lost" for n in self.listed - sealed - self.deleted - set(numbers)]
        found += [f"number {n} still stands" for n in numbers if n in self.listed]
        often = {n: numbers.count(n) for n in self.misfiled}
        found += [f"number {n} stands {times} times" for n, times in often.items() if not 1 <= times <= daemons]
        found += [f"number {n} is nobody's" for n in set(numbers) - self.listed - self.misfiled]
        found += [f"number {n} was sealed" for n in sealed - self.listed]
        return found


class Meddler:
    """One client; the same seed does the same things."""

    def __init__(self, server: MailServer, user: str, seed: int, lmtp_port: int = 0) -> None:
        self.journal = Journal()
        self._random = random.Random(seed)  # not for secrets
        self._user, self._host, self._lmtp_port = user, server.host, lmtp_port
        self._imap = imaplib.IMAP4(server.host, server.port)
        self._imap.authenticate("PLAIN", lambda _: f"\0{user}\0{server.password}".encode())
        self._number = 0
        self._acts = {
            self._a_listed_message_comes: 6,
            self._a_friends_message_comes: 5,
            self._a_message_is_moved: 5,
            self._a_message_is_copied: 1,
            self._a_message_is_flagged: 6,
            self._the_newest_is_meddled_with: 4,
            self._a_folder_is_expunged: 2,
            self._one_message_is_expunged: 1,
        } | ({self._a_message_is_delivered: 6} if lmtp_port else {})
        for folder in FOLDERS[3:]:
            self._imap.create(folder)

    def act(self) -> None:
        """Do one thing."""
        (act,) = self._random.choices(list(self._acts), list(self._acts.values()))
        self.journal.done[act.__name__] = self.journal.done.get(act.__name__, 0) + 1
        act()

    def close(self) -> None:
        self._imap.shutdown()

    def _letter(self, sender: str, more: str = "") -> bytes:
        self._number += 1
        number = self._number
        fields = f"{more}From: {sender}\r\nSubject: number {number}\r\nMessage-ID: <{number}@x.example>\r\n"
        return f"{fields}\r\n{'Hello. ' * self._random.randrange(400)}\r\n".encode()

    def _a_listed_message_comes(self) -> None:
        octets = self._letter(LISTED)
        self.journal.listed.add(self._number)
        self._append(octets)

    def _a_friends_message_comes(self) -> None:
        flags = frozenset(self._random.sample(MARKS, self._random.choice((0, 0, 0, 1, 2))))
        folder, uid = self._append(self._letter(FRIEND), flags)
        self.journal.others[folder, uid] = self._number, flags

    def _append(self, octets: bytes, flags: frozenset[str] = frozenset()) -> Place:
        folder = self._random.choice(FOLDERS)
        said = self._imap.append(folder, f"({' '.join(flags)})", "", octets)  # type: ignore[arg-type]
        (uid,) = re.findall(rb"APPENDUID \d+ (\d+)", said[1][0])
        return folder, int(uid)

    def _a_message_is_delivered(self) -> None:
        """Through the rule on the server, if it stands: by somebody listed, or by the police for somebody listed."""
        police = self._random.random() < 0.3
        octets = self._letter("p.c@met.police.uk", POLICE) if police else self._letter("someone@biz.example")
        (self.journal.misfiled if police else self.journal.listed).add(self._number)
        with smtplib.LMTP(self._host, self._lmtp_port) as lmtp:
            lmtp.sendmail("bounce@relay.example", [self._user], octets)

    def _one_of_others(self) -> tuple[Place, tuple[int, frozenset[str]]] | None:
        return self._random.choice(list(self.journal.others.items())) if self.journal.others else None

    def _a_message_is_moved(self) -> None:
        self._carry("MOVE")

    def _a_message_is_copied(self) -> None:
        if len(self.journal.others) < 200:
            self._carry("COPY")

    def _carry(self, command: str) -> None:
        if not (one := self._one_of_others()):
            return
        (folder, uid), known = one
        target = self._random.choice([each for each in FOLDERS if each != folder])
        self._imap.select(folder)
        self._imap.untagged_responses.pop("COPYUID", None)
        kind, said = self._imap.uid(command, str(uid), target)
        assert kind == "OK", said
        copied = [*self._imap.untagged_responses.pop("COPYUID", []), *re.findall(rb"COPYUID ([^\]]*)", said[0] or b"")]
        assert copied, f"number {known[0]} is gone from {folder}, and not by this client"
        new = int(copied[-1].split()[-1])
        if command == "MOVE":
            del self.journal.others[folder, uid]
        self.journal.others[target, new] = known

    def _a_message_is_flagged(self) -> None:
        if not (one := self._one_of_others()):
            return
        (folder, uid), (number, flags) = one
        flag, sign = self._random.choice(MARKS), self._random.choice("+-")
        self._imap.select(folder)
        kind, said = self._imap.uid("STORE", str(uid), f"{sign}FLAGS.SILENT", f"({flag})")
        assert kind == "OK", said
        self.journal.others[folder, uid] = number, flags | {flag} if sign == "+" else flags - {flag}

    def _the_newest_is_meddled_with(self) -> None:
        """Whoever wrote it: the daemon may be at it in this moment. Somebody else's is left as it is."""
        folder = self._random.choice(FOLDERS)
        self._imap.select(folder)
        uids = self._imap.uid("SEARCH", "FROM", "ex@abuser.example")[1][0].split()
        if not uids:
            return
        kind, said = self._imap.uid("FETCH", uids[-1].decode(), "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
        numbers = [token(part[1]) for part in said if isinstance(part, tuple)] if kind == "OK" else []
        if not numbers:
            return
        what = self._random.random()
        if what < 0.5:
            self._imap.uid("MOVE", uids[-1].decode(), self._random.choice(FOLDERS))
        elif what < 0.9:
            self._imap.uid("STORE", uids[-1].decode(), "+FLAGS.SILENT", "(\\Seen Mine)")
        else:
            self.journal.deleted.add(numbers[0])
            self._imap.uid("STORE", uids[-1].decode(), "+FLAGS.SILENT", "(\\Deleted)")

    def _a_folder_is_expunged(self) -> None:
        """Plainly: whatever anybody has marked there."""
        folder = self._random.choice(FOLDERS)
        self._imap.select(folder)
        self._imap.expunge()
        for at in [at for at, (_, flags) in self.journal.others.items() if at[0] == folder and "\\Deleted" in flags]:
            del self.journal.others[at]

    def _one_message_is_expunged(self) -> None:
        if not (one := self._one_of_others()):
            return
        (folder, uid), _ = one
        self._imap.select(folder)
        self._imap.uid("STORE", str(uid), "+FLAGS.SILENT", "(\\Deleted)")
        kind, said = self._imap._simple_command("UID", "EXPUNGE", str(uid))  # type: ignore[attr-defined]
        assert kind == "OK", said
        del self.journal.others[folder, uid]

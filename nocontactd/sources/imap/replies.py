"""What a server says until it has answered a FETCH, read from the wire, so that the next one may be on its way.

imaplib knows of one command at a time, and looks at each line with four expressions; here a
hundred thousand answers are a matter of a second or two. What is no FETCH answer is passed over, but for
EXISTS and EXPUNGE, which are kept where imaplib keeps them.

Two readers take turns. The strict one reads an answer whatever its shape, line by line. From one
that holds a UID and a literal and nothing else, the other learns how this server spells what stands
between them, and takes all that are spelled just so out of a piece of what has come, in one go.
Where that shape ends, for whatever reason, the strict one goes on from that very octet. And where only
answers that hold a certain sign matter, whole lines without one are passed over likewise.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from nocontactd.sources.imap.fetch_answers import Raw, read_answers

_LITERAL = re.compile(rb"\{(\d{1,10})\}\r\n")
_FETCH = re.compile(rb"\* (\d{1,10} )FETCH (?=\()", re.IGNORECASE)
_NEWS = re.compile(rb"\* (\d{1,10}) (EXISTS|EXPUNGE)\r\n", re.IGNORECASE)
_ALIKE = re.compile(rb"\* \d{1,10}+ FETCH \(UID (\d{1,9}+) ([^{]*+)\{(\d{1,9}+)\}\r\n")
_TAUGHT = re.compile(rb"\d{1,10} \(UID \d{1,9} (BODY\[[^\]{]*\](?:<0>)? )\{\d{1,9}\}", re.IGNORECASE)


@dataclass(slots=True)
class Reply:
    """What was said to one command."""

    said: list[Raw] = field(default_factory=list)
    """FETCH answers as imaplib hands them over."""
    alike: list[tuple[int, bytes]] = field(default_factory=list)
    """UID and literal of the others: those of the shape that was learnt."""
    kind: str = ""
    """How the command ended, and its words."""
    words: bytes = b""


class Replies:
    """To FETCH commands on one wire, all of the same items."""

    def __init__(self, wire: Any, *, literals: bool = False, holding: Sequence[bytes] = ()) -> None:
        """`literals`: the items are a UID and a literal, so that the shape of the answers is worth learning.

        `holding`: answers that are a line without any of these (in lower case) may be left out.
        """
        self._wire = wire
        self._holding = holding
        self._learns = literals
        self._spelling = b""
        """What stands between UID and literal, once it is known."""

    def fetched(self, tag: bytes) -> Reply:
        """What is said until the command of this tag has ended.

        OSError and imaplib's own errors: the connection ended, or what comes has no end.
        """
        reply = Reply()
        while True:
            if self._spelling:
                self._take_alike(reply)
            elif self._holding:
                self._pass_over(tag, reply)
            line = _line(self._wire)
            if line.startswith(tag + b" "):
                kind, _, reply.words = line[len(tag) + 1 :].partition(b" ")
                reply.kind = kind.decode("ascii", "replace").upper()
                return reply
            self._take(line, reply)

    def _take(self, line: bytes, reply: Reply) -> None:
        """One answer, with all literals that are in it."""
        begin = len(reply.said)
        answer = _FETCH.match(line)
        if answer:
            line = answer[1] + line[answer.end() :]
        while line.endswith(b"}\r\n") and (literal := _LITERAL.match(line, line.rindex(b"{"))):
            octets = self._wire.read(int(literal[1]))
            if answer:
                reply.said.append((line[:-2], octets))
            line = _line(self._wire)
        if news := _NEWS.fullmatch(line):
            self._wire.untagged_responses.setdefault(news[2].decode("ascii").upper(), []).append(news[1])
        if answer:
            reply.said.append(line.rstrip(b"\r\n"))
            if self._learns and not self._spelling:
                self._spelling = _learnt(reply.said[begin:])

    def _take_alike(self, reply: Reply) -> None:
        """From what has come, as many as follow each other."""
        octets = self._wire.piece()
        at, spelling, alike = 0, self._spelling, reply.alike
        while answer := _ALIKE.match(octets, at):
            uid, spelled, size = answer.groups()
            begin = answer.end()
            end = begin + int(size)
            if spelled != spelling or octets[end : end + 3] != b")\r\n":
                break
            alike.append((int(uid), octets[begin:end]))
            at = end + 3
        if at < len(octets):
            self._wire.put_back(octets[at:])

    def _pass_over(self, tag: bytes, reply: Reply) -> None:
        """From what has come, the lines before the first one with a literal and before the end; most unread."""
        octets = self._wire.piece()
        end = octets.rfind(b"\n") + 1
        for other in (b"{", b"\n%b " % tag):
            if (at := octets.find(other, 0, end)) >= 0:
                end = octets.rfind(b"\n", 0, at + 1) + 1
        if octets.startswith(b"%b " % tag):
            end = 0
        if self._may_matter(octets[:end]):
            for line in filter(self._may_matter, octets[:end].split(b"\n")):
                self._take(line + b"\n", reply)
        if end < len(octets):
            self._wire.put_back(octets[end:])

    def _may_matter(self, octets: bytes) -> bool:
        lower = octets.lower()
        return any(sign in lower for sign in self._holding)


def _learnt(raws: Sequence[Raw]) -> bytes:
    """How an answer is spelled that the strict reader takes for a UID and octets; b"" where it is of another shape."""
    if len(raws) != 2 or raws[1] != b")" or not isinstance(raws[0], tuple):
        return b""
    taught = _TAUGHT.fullmatch(raws[0][0])
    return taught[1] if taught and all(answer.octets == raws[0][1] for answer in read_answers(raws)) else b""


def _line(wire: Any) -> bytes:
    line: bytes = wire.readline()
    if not line.endswith(b"\n"):
        raise ConnectionError("cut off in a line")
    return line

"""What a server says until it has answered a FETCH, read from the wire, so that the next one may be on its way.

imaplib knows of one command at a time, and looks at each line with four expressions; here a
hundred thousand answers are a matter of a second or two. What is no FETCH answer is passed over.

Two readers take turns. The strict one reads an answer whatever its shape, line by line. From one
that holds a UID and a literal and nothing else, the other learns how this server spells what stands
between them, and takes all that are spelled just so out of a piece of what has come, in one go.
Where that shape ends, for whatever reason, the strict one goes on from that very octet.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from nocontactd.sources.imap.fetch_answers import Raw, read_answers

_LITERAL = re.compile(rb"\{(\d{1,10})\}\r\n")
_FETCH = re.compile(rb"\* (\d{1,10} )FETCH (?=\()", re.IGNORECASE)
_ALIKE = re.compile(rb"\* \d{1,10}+ FETCH \(UID (\d{1,9}+) ([^{]*+)\{(\d{1,9}+)\}\r\n")
_TAUGHT = re.compile(rb"\d{1,10} \(UID \d{1,9} (BODY\[[^\]{]*\](?:<0>)? )\{\d{1,9}\}", re.IGNORECASE)


@dataclass(slots=True)
class Replies:
    """The answers to FETCH commands on one wire, all of the same items."""

    wire: Any
    said: list[Raw] = field(default_factory=list)
    """FETCH answers as imaplib hands them over, of the last command."""
    alike: list[tuple[int, bytes]] = field(default_factory=list)
    """UID and literal of the others that it had: those of the shape that was learnt."""
    _spelling: bytes | None = None
    """What stands between the two; None: that of no answer is to be learnt."""

    @classmethod
    def of_literals(cls, wire: Any) -> "Replies":
        """Of items that are a UID and a literal: most of them are told alike."""
        return cls(wire, _spelling=b"")

    def fetched(self, tag: bytes) -> tuple[str, list[bytes]]:
        """How the command of this tag ended, and its words.

        OSError and imaplib's own errors: the connection ended, or what comes has no end.
        """
        self.said, self.alike = [], []
        while True:
            if self._spelling:
                self._take_alike()
            line = _line(self.wire)
            if line.startswith(tag + b" "):
                kind, _, words = line[len(tag) + 1 :].partition(b" ")
                return kind.decode("ascii", "replace").upper(), [words]
            self._take(line)

    def _take(self, line: bytes) -> None:
        """One answer, with all literals that are in it."""
        begin = len(self.said)
        answer = _FETCH.match(line)
        if answer:
            line = answer[1] + line[answer.end() :]
        while line.endswith(b"}\r\n") and (literal := _LITERAL.match(line, line.rindex(b"{"))):
            octets = self.wire.read(int(literal[1]))
            if answer:
                self.said.append((line[:-2], octets))
            line = _line(self.wire)
        if answer:
            self.said.append(line.rstrip(b"\r\n"))
            if self._spelling == b"":
                self._spelling = _learnt(self.said[begin:])

    def _take_alike(self) -> None:
        """From what has come, as many as follow each other."""
        octets = self.wire.piece()
        at, spelling, alike = 0, self._spelling, self.alike
        while answer := _ALIKE.match(octets, at):
            uid, spelled, size = answer.groups()
            begin = answer.end()
            end = begin + int(size)
            if spelled != spelling or octets[end : end + 3] != b")\r\n":
                break
            alike.append((int(uid), octets[begin:end]))
            at = end + 3
        if at < len(octets):
            self.wire.put_back(octets[at:])


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

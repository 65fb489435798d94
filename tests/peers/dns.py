"""A resolver for a test: UDP and TCP on loopback, with zones that a test fills and ways to misbehave."""

import socketserver
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.peers import missing

try:
    import dns.flags
    import dns.message
    import dns.rcode
    import dns.rrset
except ImportError:
    missing("dnspython is not installed")


@dataclass
class Nameserver:
    """What it knows, and what it was asked."""

    zone: dict[str, list[str]] = field(default_factory=dict)
    """Name without the last dot to resource records: `TXT "..."`, `CNAME other.example.`"""
    asked: list[str] = field(default_factory=list)
    """`NAME TYPE` of every query."""
    over_tcp: list[str] = field(default_factory=list)
    behaves: str = ""
    """silent, servfail, truncated (UDP only), forged (another question's answer), garbage, authentic; or ""."""
    server: tuple[str, int] = ("127.0.0.1", 0)

    def publish(self, key: str, *records: str) -> None:
        """Put TXT records at a name, each in strings of at most 255 octets."""
        self.zone[key] = [_strings(record) for record in records]

    def reply(self, wire: bytes, *, tcp: bool) -> bytes | None:
        """The response to one query, or none."""
        query = dns.message.from_wire(wire)
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True)
        self.asked.append(f"{name} {question.rdtype.name}")
        if tcp:
            self.over_tcp.append(name)
        if self.behaves == "silent":
            return None
        if self.behaves == "garbage":
            return wire[:2] + b"\x84\x00 this is no message"
        response = dns.message.make_response(query)
        response.flags |= dns.flags.RA
        if self.behaves == "servfail":
            response.set_rcode(dns.rcode.SERVFAIL)
        elif self.behaves == "truncated" and not tcp:
            response.flags |= dns.flags.TC
        else:
            self._answer(response, name)
        if self.behaves == "authentic":
            response.flags |= dns.flags.AD
        if self.behaves == "forged":
            response.question[0].name = dns.name.from_text("other.example.")
        return response.to_wire(max_size=65535)

    def _answer(self, response: dns.message.Message, name: str) -> None:
        if name not in self.zone:
            response.set_rcode(dns.rcode.NXDOMAIN)
        while name in self.zone:
            kind, _, said = self.zone[name][0].partition(" ")
            texts = [record.partition(" ")[2] for record in self.zone[name]]
            response.answer.append(dns.rrset.from_text(f"{name}.", 300, "IN", kind, *texts))
            name = said.removesuffix(".") if kind == "CNAME" else ""


@contextmanager
def nameserver() -> Iterator[Nameserver]:
    """Running until the context is left."""
    made = Nameserver()

    class Udp(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            wire, sock = self.request
            reply = made.reply(wire, tcp=False)
            if reply is not None:
                sock.sendto(reply if len(reply) < 60_000 else _cut(reply), self.client_address)

    class Tcp(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            (length,) = struct.unpack("!H", self.request.recv(2))
            reply = made.reply(self.request.recv(length), tcp=True)
            if reply is not None:
                self.request.sendall(struct.pack("!H", len(reply)) + reply)

    with _pair(made.server, Udp, Tcp) as (udp, tcp):
        made.server = ("127.0.0.1", udp.server_address[1])
        for server in (udp, tcp):
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield made
        finally:
            udp.shutdown()
            tcp.shutdown()


@contextmanager
def _pair(
    address: tuple[str, int],
    udp: type[socketserver.BaseRequestHandler],
    tcp: type[socketserver.BaseRequestHandler],
) -> Iterator[tuple[socketserver.ThreadingUDPServer, socketserver.ThreadingTCPServer]]:
    """Both at one port: that which UDP was given may be somebody's by TCP."""
    for attempt in range(20):
        with socketserver.ThreadingUDPServer(address, udp) as one:
            try:
                other = socketserver.ThreadingTCPServer(one.server_address, tcp)
            except OSError:
                if attempt == 19:
                    raise
                continue
            with other:
                yield one, other
            return


def _cut(reply: bytes) -> bytes:
    """Too long for a datagram."""
    message = dns.message.from_wire(reply)
    message.answer.clear()
    message.flags |= dns.flags.TC
    return message.to_wire()


def _strings(record: str) -> str:
    pieces = [record[at : at + 255] for at in range(0, len(record), 255)] or [""]
    return "TXT " + " ".join('"' + piece.replace("\\", "\\\\").replace('"', '\\"') + '"' for piece in pieces)

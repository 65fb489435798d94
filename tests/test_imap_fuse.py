"""A pass that dies before or after any of its IMAP commands loses nothing and touches nobody; the next one finishes."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

import pytest

from nocontactd.decide import Policy, policy
from nocontactd.model import Disposition, Kind, Rule
from nocontactd.poll import poll
from nocontactd.sources.imap import Mailbox
from nocontactd.sources.imap.wire import Patience, Wire
from tests.fuse import Died, Fuse
from tests.memory_archive import MemoryLedger, MemorySealer
from tests.peers.plain_imap import GMAIL, PLAIN, Box, Mail, PlainImap, plain_imap

EX = b"From: ex@abuser.example\r\nSubject: now\r\nMessage-ID: <%d@abuser.example>\r\n\r\nanswer me %d\r\n"
FRIEND = b"From: nadia@friends.example\r\nMessage-ID: <%d@friends.example>\r\n\r\nex@abuser.example wrote %d\r\n"
LISTED = {EX % (n, n) for n in range(4)}
SERVERS = {"plain": PLAIN, "uidplus": (*PLAIN, "UIDPLUS"), "move": (*PLAIN, "MOVE"), "gmail": GMAIL}


def rules() -> Policy:
    return policy((Rule(Kind.ADDRESS, "ex@abuser.example"),), None, Disposition.PASS, 1000)


class World:
    """A server, and what outlives the process: archive and ledger."""

    def __init__(self, server: PlainImap) -> None:
        self.server = server
        self.port = server.port
        self.patience = Patience()
        self.listed = set(LISTED)
        self.sealer, self.ledger = MemorySealer(), MemoryLedger()
        server.boxes["Family"] = Box(20)
        for n in range(4):
            server.boxes[("INBOX", "Family")[n % 2]].put(Mail(EX % (n, n)))
            server.boxes[("INBOX", "Family")[n % 2]].put(Mail(FRIEND % (n, n), {"\\Flagged"} if n else set()))
        self.others = self._others()

    def mailbox(self, **options: object) -> Mailbox:
        wishes = {"security": "none", "host": self.server.host, "patience": self.patience, **options}
        return Mailbox("home", port=self.port, user=self.server.user, password=lambda: self.server.password, **wishes)  # type: ignore[arg-type]

    def pass_(self, **options: object) -> Exception | None:
        """One pass of a new process; what it ended with, if it did not end well."""
        box = self.mailbox(**options)
        report = poll(box, self.sealer, self.ledger, rules(), lambda: datetime(2026, 11, 22, tzinfo=UTC))
        return report.problems[0] if report.problems else None

    def nothing_is_lost(self) -> bool:
        return self._sealed() | self._standing() == self.listed

    def all_is_done(self) -> bool:
        return self._sealed() == self.listed and not self._standing() and not self.ledger.open("home")

    def nobody_is_touched(self) -> bool:
        return self._others() == self.others

    def _sealed(self) -> set[bytes]:
        return {octets for _, octets, _ in self.sealer.records.values()}

    def _standing(self) -> set[bytes]:
        return {m.octets for found in self.server.boxes.values() for m in found.mails.values()} & self.listed

    def _others(self) -> list[tuple[str, int, bytes, set[str]]]:
        return [
            (name, uid, mail.octets, set(mail.flags))
            for name, found in self.server.boxes.items()
            for uid, mail in found.mails.items()
            if mail.octets not in self.listed
        ]


@pytest.fixture
def fuse(monkeypatch: pytest.MonkeyPatch) -> Callable[[Fuse], None]:
    """Put every command that is sent on a fuse, also between those that are sent without waiting."""
    send = Wire.send

    def put_on(fuse: Fuse) -> None:
        def send_each(wire: Wire, data: bytes) -> None:
            for line in bytes(data).splitlines(keepends=True):
                fuse.call("send", partial(send, wire, line))

        monkeypatch.setattr(Wire, "send", send_each)

    return put_on


@pytest.mark.parametrize("capabilities", SERVERS.values(), ids=SERVERS)
def test_a_death_at_any_command_costs_nothing(capabilities: tuple[str, ...], fuse: Callable[[Fuse], None]) -> None:
    counting = Fuse()
    fuse(counting)
    with plain_imap(capabilities) as server:
        assert World(server).pass_() is None
    assert counting.calls > 15
    for at in range(1, counting.calls + 1):
        for after in (False, True):
            with plain_imap(capabilities) as server:
                world = World(server)
                fuse(Fuse(at, after=after))
                with pytest.raises(Died):
                    world.pass_()
                server.bury()
                assert world.nothing_is_lost(), (at, after)
                fuse(Fuse())
                for _ in range(3):  # where a move was not heard of, a copy is found in the Trash and sealed once more
                    problem = world.pass_()
                    if world.all_is_done():
                        break
                assert problem is None
                assert world.all_is_done(), (at, after)
                assert world.nobody_is_touched(), (at, after)

"""A pass that dies before or after any of its IMAP commands, on pymap and on Dovecot, as in test_imap_fuse.

In each run at the commands that change something; `make soak` has all of them.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count

import pytest

from nocontactd.poll import poll
from nocontactd.sources.imap import Mailbox
from tests.fuse import Died, Fuse
from tests.memory_archive import MemoryLedger, MemorySealer
from tests.peers.dovecot import dovecot
from tests.peers.onlooker import MailServer, Onlooker, Sights, looking
from tests.peers.pymap_server import pymap_server
from tests.test_imap_fuse import EX, FRIEND, fuse, rules  # noqa: F401  # a fixture
from tests.test_putting_back import now

CHANGING = 6
"""So many commands at the end of a pass mark, expunge, ask again and leave."""
_users = count(1)


class World:
    """A mailbox on a server, seen by another client, and what outlives the process."""

    def __init__(self, server: MailServer, user: str, client: Onlooker) -> None:
        self._server, self._user, self._client = server, user, client
        self.sealer, self.ledger = MemorySealer(), MemoryLedger()
        client.create("Family")
        for n in range(2):
            folder = ("INBOX", "Family")[n]
            client.append(EX % (n, n), folder)
            client.append(FRIEND % (n, n), folder, "\\Deleted \\Flagged" if n else "")
        self.others = self._standing(b"nadia@")

    def pass_(self) -> None:
        """One pass of a new process."""
        box = Mailbox(
            "home", host=self._server.host, port=self._server.port, user=self._user, security="none",
            password=lambda: self._server.password,
        )  # fmt: skip
        assert poll(box, self.sealer, self.ledger, rules(), now).problems == ()
        box.close()

    def holds(self, *, done: bool) -> None:
        sealed = {octets for _, octets, _ in self.sealer.records.values()}
        listed = {sight.octets for sight in self._standing(b"ex@abuser").values()}
        assert sealed | listed == {EX % (n, n) for n in range(2)}
        assert not done or not (listed or self.ledger.open("home"))
        assert self._standing(b"nadia@") == self.others

    def _standing(self, sender: bytes) -> Sights:
        return {
            at: sight for at, sight in self._client.everything().items() if sight.octets.startswith(b"From: " + sender)
        }


@contextmanager
def worlds(name: str) -> Iterator[Callable[[], World]]:
    """Makes one mailbox after the other."""
    with ExitStack() as open_:
        if name == "Dovecot":
            server = open_.enter_context(dovecot())

            def make() -> World:
                user = f"user{next(_users)}@home.example"
                return World(server, user, open_.enter_context(looking(server, user)))
        else:

            def make() -> World:
                pymap = open_.enter_context(pymap_server())
                return World(pymap, pymap.user, open_.enter_context(looking(pymap)))

        yield make


def dies_everywhere(make: Callable[[], World], put_on: Callable[[Fuse], None], first: int) -> None:
    """At each command from the `first` on (negative: from the end), before it acts and after."""
    counting = Fuse()
    world = make()
    put_on(counting)
    world.pass_()
    put_on(Fuse())
    world.holds(done=True)
    for at in range(1, counting.calls + 1)[first:]:
        for after in (False, True):
            world = make()
            put_on(Fuse(at, after=after))
            with pytest.raises(Died):
                world.pass_()
            put_on(Fuse())
            world.holds(done=False)
            world.pass_()
            world.holds(done=True)


@pytest.mark.parametrize("name", ["Dovecot", "pymap"])
def test_a_death_where_something_is_changed_costs_nothing(
    name: str,
    fuse: Callable[[Fuse], None],  # noqa: F811
) -> None:
    with worlds(name) as make:
        dies_everywhere(make, fuse, -CHANGING)


@pytest.mark.soak
@pytest.mark.parametrize("name", ["Dovecot", "pymap"])
def test_a_death_at_any_command_costs_nothing(name: str, fuse: Callable[[Fuse], None]) -> None:  # noqa: F811
    with worlds(name) as make:
        dies_everywhere(make, fuse, 0)

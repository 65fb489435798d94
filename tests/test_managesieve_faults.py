"""What may go wrong while a rule is installed: the owner's script runs on, as it was, whatever is cut or refused."""

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nocontactd import server_rule
from nocontactd.errors import NocontactError, SourceError, UnreachableError
from nocontactd.model import Kind, Rule
from nocontactd.rules import rule
from nocontactd.server_rule import FIRST, KEPT, OURS, Activate, Put, Standing
from nocontactd.sources.managesieve import Scripts, SieveServer, scripts
from tests.peers.dovecot import Dovecot, dovecot
from tests.test_managesieve import OWN, deliver, install, letter, standing, subjects

EX, SECOND = [rule("ex@abuser.example")], [rule("ex@abuser.example"), rule("@biz.example")]
_users = count(1)


@pytest.fixture(scope="module")
def with_include() -> Iterator[Dovecot]:
    with dovecot(sieve=True) as running:
        yield running


@pytest.fixture(scope="module")
def without_include() -> Iterator[Dovecot]:
    with dovecot(sieve=True, sieve_capability="fileinto envelope mailbox imap4flags") as running:
        yield running


@pytest.fixture(params=("include", "no include"))
def server(request: pytest.FixtureRequest, with_include: Dovecot, without_include: Dovecot) -> Dovecot:
    return with_include if request.param == "include" else without_include


def mailbox(server: Dovecot, port: int = 0) -> SieveServer:
    user = f"owner{next(_users)}@home.example"
    return SieveServer("home", server.host, port or server.sieve_port, user, "none", None, token=False)


@contextmanager
def session(server: Dovecot, there: SieveServer) -> Iterator[Scripts]:
    with scripts(there, lambda: server.password) as session:
        yield session


def owned(server: Dovecot, text: str = OWN, name: str = "own") -> SieveServer:
    """A mailbox whose owner has a script."""
    there = mailbox(server)
    with session(server, there) as mine:
        mine.carry_out([Put(name, text), Activate(name)])
    return there


class Scissors:
    """A proxy that cuts the connection at the n-th thing its client sends, before or after the server has it."""

    def __init__(self, port: int) -> None:
        self._target = port
        self.at, self.after, self.sent = 0, False, 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def arm(self, at: int, *, after: bool) -> None:
        self.at, self.after, self.sent = at, after, 0

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
                cut = threading.Event()
                for serve in (self._down, self._up):
                    threading.Thread(target=serve, args=(client, server, cut), daemon=True).start()

    def _up(self, client: socket.socket, server: socket.socket, cut: threading.Event) -> None:
        with suppress(OSError):
            while data := client.recv(1 << 22):
                self.sent += 1
                if self.sent == self.at:
                    cut.set()
                    if self.after:
                        server.sendall(data)
                        server.settimeout(2)
                        server.recv(1)  # it has acted
                    break
                server.sendall(data)
        _close(client, server)

    def _down(self, client: socket.socket, server: socket.socket, cut: threading.Event) -> None:
        with suppress(OSError):
            while not cut.is_set() and (data := server.recv(1 << 16, socket.MSG_PEEK)) and not cut.is_set():
                client.sendall(server.recv(len(data)))

    def close(self) -> None:
        self._listener.close()


def _close(*sockets: socket.socket) -> None:
    for each in sockets:
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        each.close()


@pytest.fixture
def scissors(server: Dovecot) -> Iterator[Scissors]:
    proxy = Scissors(server.sieve_port)
    yield proxy
    proxy.close()


def _push(server: Dovecot, there: SieveServer, entries: list[Rule]) -> None:
    with session(server, there) as open_:
        open_.carry_out(server_rule.install(entries, "nocontact", open_.standing()))


def _undo(server: Dovecot, there: SieveServer, _: list[Rule]) -> None:
    with session(server, there) as open_:
        open_.carry_out(server_rule.remove(open_.standing()))


@pytest.mark.parametrize(
    ("server", "act"), [("include", _push), ("no include", _push), ("include", _undo)], indirect=["server"]
)
def test_cut_at_any_command_the_owners_script_runs_on_and_once_more_finishes(
    server: Dovecot, scissors: Scissors, act: Callable[[Dovecot, SieveServer, list[Rule]], None]
) -> None:
    there = owned(server)
    before = standing(server, there)
    cuts = 0
    for at in count(1):
        if act is _undo:
            _push(server, there, EX)
        scissors.arm(at, after=bool(at % 2))
        try:
            act(server, replace(there, port=scissors.port), EX)
        except NocontactError:
            cuts += 1
        else:
            break
        now = standing(server, there)
        assert sieve_free(now, server) == OWN, at
        assert now.active == "own" or OURS in now.scripts, at
        if at % 4 == 1:
            deliver(server, there.user, letter(f"offer {at}", "From: shop@ok.example"))
            assert subjects(server, there.user, "Junk")[-1] == f"offer {at}", "the owner's script no longer runs"
        act(server, there, EX)
        if act is _push:
            assert server_rule.install(EX, "nocontact", standing(server, there)) == ()
            _undo(server, there, EX)
        assert standing(server, there) == before, at
    assert cuts > 5


def sieve_free(now: Standing, server: Dovecot) -> str:
    """The owner's script without our block."""
    from nocontactd.sieve import without_block

    return without_block(now.scripts["own"])


def test_a_script_that_its_owner_edits_meanwhile_is_not_written_over(without_include: Dovecot) -> None:
    there = owned(without_include)
    edited = OWN.replace("offer", "special offer")
    with session(without_include, there) as mine, session(without_include, there) as webmail:
        steps = server_rule.install(EX, "nocontact", mine.standing())
        webmail.carry_out([Put("own", edited)])
        with pytest.raises(SourceError, match="somebody changed a script just now"):
            mine.carry_out(steps)
    assert standing(without_include, there).scripts == {"own": edited}


def test_a_script_that_its_owner_activates_meanwhile_stays_active(with_include: Dovecot) -> None:
    there = owned(with_include)
    with session(with_include, there) as mine, session(with_include, there) as webmail:
        steps = server_rule.install(EX, "nocontact", mine.standing())
        webmail.carry_out([Put("other", "keep;\n"), Activate("other")])
        with pytest.raises(SourceError, match="somebody changed a script just now"):
            mine.carry_out(steps)
    assert standing(with_include, there).active == "other"
    _push(with_include, there, EX)
    assert 'include :personal "other";' in standing(with_include, there).scripts[FIRST]


@pytest.mark.parametrize(
    "setting", ["sieve_quota_max_storage = 300", "sieve_quota_max_scripts = 2", "sieve_max_script_size = 500"]
)
def test_where_there_is_no_room_nothing_is_changed_and_the_owner_is_told(setting: str) -> None:
    with dovecot(sieve=True, sieve_settings=setting) as small:
        there = owned(small)
        with session(small, there) as mine:
            mine.carry_out([Put("spare", "keep;\n")])
        before = standing(small, there)
        with pytest.raises(SourceError, match="no room for the rule; no script was changed"):
            _push(small, there, EX)
        assert standing(small, there) == before
        deliver(small, there.user, letter("offer", "From: shop@ok.example"))
        assert subjects(small, there.user, "Junk") == ["offer"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *((name, OWN) for name in ('o"w\\n', "größe", "own script", 'a" ACTIVE', OURS, FIRST)),
        *(("own", text) for text in (OWN.rstrip("\n"), "", "keep;\n\n\n")),
        *((name, '# "quoted"\nkeep; # no end of line') for name in ("own", OURS, FIRST)),
    ],
)
def test_whatever_the_owners_script_is_called_and_holds_it_runs_on_and_is_there_after_an_undo(
    server: Dovecot, name: str, text: str
) -> None:
    there = owned(server, text, name)
    before = standing(server, there)
    _push(server, there, EX)
    assert server_rule.install(EX, "nocontact", standing(server, there)) == ()
    deliver(server, there.user, letter("offer", "From: shop@ok.example"), letter("offers", "From: ex@abuser.example"))
    assert subjects(server, there.user, "nocontact") == ["offers"], "the owner's script ran for it, too"
    assert subjects(server, there.user, "Junk" if "Junk" in text else "INBOX") == ["offer"]
    _undo(server, there, EX)
    after = standing(server, there)
    assert after.active is not None
    assert after.scripts[after.active] == before.scripts[name]
    assert after == before or (name in {OURS, FIRST} and after.active == KEPT)


def test_what_a_webmail_writes_into_the_script_that_runs_is_kept_and_runs_after_ours(with_include: Dovecot) -> None:
    """It knows only the active script, and that is a small one of ours."""
    there = owned(with_include)
    _push(with_include, there, EX)
    with session(with_include, there) as webmail:
        before = webmail.standing().scripts[FIRST]
        mine = '\nif header :is "subject" "party" { fileinto "Trash"; stop; }\n'
        webmail.carry_out([Put(FIRST, before.replace('["include"]', '["include", "fileinto"]') + mine)])
    _push(with_include, there, EX)
    letters = {"party": "Trash", "offer": "Junk", "hello": "nocontact"}
    for subject in letters:
        sender = "ex@abuser.example" if subject == "hello" else "shop@ok.example"
        deliver(with_include, there.user, letter(subject, f"From: {sender}"))
    assert {folder: subjects(with_include, there.user, folder) for folder in letters.values()} == {
        folder: [subject] for subject, folder in letters.items()
    }
    _undo(with_include, there, EX)
    deliver(with_include, there.user, letter("party", "From: ex@abuser.example"))
    assert subjects(with_include, there.user, "Trash") == ["party", "party"]


def test_an_active_script_that_cannot_be_read_is_left_as_it_is(with_include: Dovecot) -> None:
    there = owned(with_include)
    before = standing(with_include, there)
    (path,) = (with_include.folder / "home" / there.user / "sieve").glob("own.sieve")
    octets = path.read_bytes()
    path.write_bytes(octets + b"# \xff\n")
    with pytest.raises(UnreachableError):
        _push(with_include, there, EX)
    assert path.read_bytes() == octets + b"# \xff\n"
    path.write_bytes(octets)
    assert standing(with_include, there) == before


ENDLESS = {
    "lines": (b'"IMPLEMENTATION" "x"\r\n', 0.05),
    "one line": (b"x", 0.05),
    "a flood": (b'"X" "' + b"x" * 500_000 + b'"\r\n', 0),
    "a literal": (b"{2000000000}\r\n" + b"x" * 500_000, 0),
}


@pytest.mark.parametrize("kind", ENDLESS)
def test_a_server_that_never_ends_its_answer_is_left_soon(kind: str) -> None:
    piece, pause = ENDLESS[kind]
    listener = socket.create_server(("127.0.0.1", 0))

    def talk() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                with client, suppress(OSError):
                    while True:
                        client.sendall(piece)
                        time.sleep(pause)

    threading.Thread(target=talk, daemon=True).start()
    there = SieveServer("home", "127.0.0.1", listener.getsockname()[1], "me", "none", None, token=False)
    began = time.monotonic()
    with pytest.raises(UnreachableError, match="cannot be reached"), scripts(there, lambda: "secret", deadline=0.6):
        pass
    assert time.monotonic() - began < 5
    listener.close()


HOSTILE = st.text(
    st.characters(codec="utf-8") | st.sampled_from('"\\*?@.+<>()[]{},;:\r\n\t #/%$\0\u202e'), min_size=1, max_size=40
)


@pytest.fixture(scope="module")
def compiling(with_include: Dovecot) -> Iterator[Scripts]:
    with scripts(mailbox(with_include), lambda: with_include.password) as session:
        yield session


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(entries=st.lists(st.tuples(st.sampled_from(Kind), HOSTILE, HOSTILE), max_size=5), folder=st.text(max_size=12))
def test_whatever_is_listed_the_server_compiles_the_script(
    compiling: Scripts, entries: list[tuple[Kind, str, str]], folder: str
) -> None:
    """Pigeonhole compiles what it is given before it takes it."""
    listed = [Rule(kind, f"{local}@{host}" if kind is Kind.ADDRESS else f"@{host}") for kind, local, host in entries]
    named = re.sub(r"[\r\n\0/]", "", folder).strip() or "nocontact"
    compiling.carry_out(server_rule.install([*listed, *EX], named, compiling.standing()))
    assert "ex@abuser.example" in compiling.standing().scripts[OURS]


def test_hostile_entries_file_what_they_name_and_nothing_else(with_include: Dovecot) -> None:
    there = mailbox(with_include)
    install(
        with_include, there,
        '"e\\"x"@abuser.example', "a*b@abuser.example", "who?@abuser.example", "back\\slash@abuser.example",
        "joerg@bücher.example", "@*.example", "@?iz.example", 'x"; discard; "@abuser.example',
    )  # fmt: skip
    deliver(
        with_include,
        there.user,
        letter("1 star", "From: a*b@abuser.example"),
        letter("2 not a star", "From: axxb@abuser.example"),
        letter("3 question", "From: who?@abuser.example"),
        letter("4 no question", "From: whom@abuser.example"),
        letter("5 another host", "From: x@other.example"),
        letter("6 biz", "From: x@biz.example"),
        letter("7 idn", "From: =?utf-8?q?J?= <joerg@xn--bcher-kva.example>"),
    )
    assert subjects(with_include, there.user, "nocontact") == ["1 star", "3 question", "7 idn"]
    assert len(subjects(with_include, there.user, "INBOX")) == 4


def test_five_thousand_entries_are_compiled_and_each_is_filed(with_include: Dovecot) -> None:
    there = mailbox(with_include)
    listed = [f"person.{n}@a-long-name-of-a-host-{n % 97}.example" for n in range(5000)]
    install(with_include, there, *listed)
    for each in (listed[0], listed[2500], listed[4999]):
        deliver(with_include, there.user, letter(each, f"From: {each}"))
    deliver(with_include, there.user, letter("friend", "From: friend@ok.example"))
    assert subjects(with_include, there.user, "nocontact") == [listed[0], listed[2500], listed[4999]]
    assert subjects(with_include, there.user, "INBOX") == ["friend"]

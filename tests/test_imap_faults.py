"""A bad network: wherever a conversation is cut, nothing is lost, nobody is touched, and a later pass finishes."""

import re
import ssl
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

import pytest

from nocontactd.errors import NocontactError, SourceError, UnreachableError
from nocontactd.sources.imap import Mailbox
from nocontactd.sources.imap.length import PIECE
from nocontactd.sources.imap.wire import Patience
from tests.peers.authority import Certificate, certify
from tests.peers.dovecot import Dovecot, dovecot
from tests.peers.faulty import CLIENT, DRIP, RESET, SERVER, SILENCE, BadNetwork, Fault, Place, bad_network, places
from tests.peers.plain_imap import GMAIL, PLAIN, HangUpError, Mail, PlainImap, plain_imap
from tests.test_imap_fuse import EX, FRIEND, World
from tests.test_imap_login import mailbox as any_mailbox

SERVERS = {"plain": PLAIN, "uidplus": (*PLAIN, "UIDPLUS", "NAMESPACE"), "move": (*PLAIN, "MOVE"), "gmail": GMAIL}
HURRY = Patience(connect=2, read=0.3, command=0.4, farewell=0.1)
SAMPLE = 19
"""Of so many places of the whole conversation one is tried in a short run."""


class Weather(World):
    """A mailbox behind a bad network: besides the usual letters a large one, and what others have marked deleted."""

    def __init__(self, server: PlainImap, fault: Fault | None = None, **options: object) -> None:
        super().__init__(server)
        large = (EX % (9, 9)).ljust(PIECE + 4000, b"x")
        server.boxes["INBOX"].put(Mail(large))
        self.listed.add(large)
        if "UIDPLUS" in server.capabilities:  # elsewhere it keeps what is sealed from being expunged
            server.boxes["INBOX"].put(Mail(FRIEND % (8, 8), {"\\Deleted", "\\Seen"}))
        self.others = self._others()
        self.network = BadNetwork(server.host, server.port, fault)
        self.port = self.network.port
        self._options = options

    def try_it(self) -> Exception | None:
        """A pass in this weather. What is no error of ours is a bug."""
        try:
            return self.pass_(**self._options)
        except NocontactError as problem:
            return problem
        finally:
            self.network.hang_up()
            self.server.bury()

    def clears(self) -> Exception | None:
        """Later passes, undisturbed; the problem of the last one."""
        self.network.mend()
        problem = None
        for _ in range(3):  # where a move was not heard of, a copy is found in the Trash and sealed once more
            problem = self.try_it()
            if self.all_is_done():
                break
        return problem


def conversation(capabilities: Iterable[str]) -> list[Place]:
    """Every place of a whole pass: login, folders, headers, bodies in pieces, removal, and the question after it."""
    with plain_imap(capabilities) as server:
        weather = Weather(server)
        assert weather.try_it() is None
        found = places(weather.network)
        said = "\n".join(server.commands).encode()
        assert weather.clears() is None
        assert weather.all_is_done() and weather.nobody_is_touched()
        weather.network.close()
    assert all(word in said for word in (b"LOGIN", b"LIST", b"EXAMINE", b"HEADER", b"<1048576.", b"SEARCH", b"SELECT"))
    assert re.search(rb"STORE|MOVE", said)
    return found


def held(capabilities: Iterable[str], fault: Fault, patience: Patience) -> None:
    """One pass with this fault, and what must be true of it and of what comes after."""
    with plain_imap(capabilities) as server:
        weather = Weather(server, fault)
        weather.patience = patience
        problem = weather.try_it()
        assert weather.network.struck, fault
        assert problem is None or str(problem).startswith("home: "), (fault, problem)
        assert weather.nothing_is_lost(), fault
        assert weather.nobody_is_touched(), fault
        if fault.for_good and capabilities != SERVERS["move"]:  # whose Trash is for the next look
            assert problem or weather.all_is_done(), fault
        assert weather.clears() is None, fault
        assert weather.all_is_done(), fault
        assert weather.nobody_is_touched(), fault
        weather.network.close()


@pytest.mark.parametrize("capabilities", SERVERS.values(), ids=SERVERS)
def test_a_conversation_that_is_cut_anywhere_costs_nothing(capabilities: tuple[str, ...]) -> None:
    every = conversation(capabilities)
    assert len(every) > 150
    for number, place in enumerate(every[:: SAMPLE * 2]):
        held(capabilities, Fault(place, for_good=number % 2 == 0), Patience())
    for number, place in enumerate(every[SAMPLE :: SAMPLE * 2]):
        held(capabilities, Fault(place, RESET, for_good=number % 2 == 0), Patience())


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["close", RESET])
@pytest.mark.parametrize("for_good", [False, True])
@pytest.mark.parametrize("capabilities", SERVERS.values(), ids=SERVERS)
def test_a_conversation_that_is_cut_at_every_place_costs_nothing(
    capabilities: tuple[str, ...], for_good: bool, kind: str
) -> None:
    for place in conversation(capabilities):
        held(capabilities, Fault(place, kind, for_good=for_good), Patience())


@pytest.mark.parametrize("kind", [SILENCE, DRIP])
def test_a_peer_that_stops_answering_or_drips_costs_nothing_and_little_time(kind: str) -> None:
    every = conversation(SERVERS["uidplus"])
    for place in every[31 :: len(every) // 4]:
        begin = time.monotonic()
        held(SERVERS["uidplus"], Fault(place, kind, pause=0.05), HURRY)
        assert time.monotonic() - begin < 4


@pytest.mark.soak
@pytest.mark.parametrize("kind", [SILENCE, DRIP])
def test_a_peer_that_stops_answering_or_drips_at_any_place_costs_nothing(kind: str) -> None:
    for place in conversation(SERVERS["uidplus"])[::3]:
        held(SERVERS["uidplus"], Fault(place, kind, pause=0.05), HURRY)


def bye_for(server: PlainImap, at: int) -> Callable[[str, bytes], Iterator[bytes]]:
    """BYE in place of the answer to this command, which was carried out."""

    def bye(_line: str, answer: bytes) -> Iterator[bytes]:
        if len(server.commands) == at:
            yield b"* BYE going down\r\n"
            raise HangUpError
        yield answer

    return bye


@pytest.mark.parametrize("instead", [False, True], ids=["before it acts", "instead of its answer"])
def test_bye_at_any_command_costs_nothing(instead: bool) -> None:
    with plain_imap(SERVERS["uidplus"]) as server:
        World(server).pass_()
        commands = len(server.commands)
    for at in range(1, commands + 1):
        with plain_imap(SERVERS["uidplus"]) as server:
            world = Weather(server)
            if instead:
                server.meddle = bye_for(server, at)
            else:
                server.leaves_at = at
            problem = world.try_it()
            assert problem is None or str(problem).startswith("home: "), (at, problem)
            assert world.nothing_is_lost() and world.nobody_is_touched(), at
            server.meddle, server.leaves_at = lambda _line, answer: [answer], 0
            assert world.clears() is None, at
            assert world.all_is_done() and world.nobody_is_touched(), at
            world.network.close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certify(tmp_path_factory.mktemp("authority"))


def encrypted(certificate: Certificate) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.chain, certificate.key)
    return context


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_tls_that_ends_early_in_a_record_or_without_a_word_costs_nothing(
    certificate: Certificate, security: str
) -> None:
    capabilities = (*SERVERS["uidplus"], "STARTTLS")
    options = {"security": security, "host": "localhost", "ca_file": certificate.authority}

    def weather(server: PlainImap, fault: Fault | None) -> Weather:
        return Weather(server, fault, **options)

    tls = {"tls": encrypted(certificate), "implicit": security == "tls"}
    with plain_imap(capabilities, **tls) as server:
        calm = weather(server, None)
        assert calm.try_it() is None
        lengths = {side: len(octets) for side, octets in calm.network.said.items()}
        calm.network.close()
    sample = [Place(side, length * part // 9) for side, length in lengths.items() for part in range(9)]
    for number, place in enumerate([*sample, *(Place(SERVER, at) for at in (3, 60, 700))]):
        with plain_imap(capabilities, **tls) as server:
            rough = weather(server, Fault(place, for_good=number % 3 == 0))
            problem = rough.try_it()
            assert rough.network.struck
            assert problem is None or str(problem).startswith("home: ")
            assert rough.nothing_is_lost() and rough.nobody_is_touched(), place
            assert rough.clears() is None
            assert rough.all_is_done() and rough.nobody_is_touched(), place
            rough.network.close()


@pytest.fixture(scope="module")
def secure(certificate: Certificate) -> Iterator[Dovecot]:
    with dovecot(certificate=(certificate.chain, certificate.key)) as server:
        yield server


STRIPPERS: dict[str, Callable[[bytes], bytes]] = {
    "STARTTLS is not offered": lambda octets: octets.replace(b"STARTTLS", b"XSTARTTLS"),
    "STARTTLS is offered and refused": lambda octets: octets.replace(b"OK Begin TLS", b"NO Begin TLS"),
    "the login is already made": lambda octets: octets.replace(b"* OK ", b"* PREAUTH "),
    "a forged certificate": lambda octets: octets,
}


@pytest.mark.parametrize("trick", STRIPPERS)
def test_whoever_stands_in_between_and_keeps_tls_away_never_sees_a_password(secure: Dovecot, trick: str) -> None:
    with bad_network(secure.host, secure.port) as network:
        network.rewrite = STRIPPERS[trick]
        box = any_mailbox(secure, "starttls", host="localhost", port=network.port)  # whose authority nobody knows
        with pytest.raises(UnreachableError, match=r"^home: .*; nothing was (sent|asked of it)|cannot be reached"):
            list(box.scan({}, "r"))
        said = bytes(network.said[CLIENT])
        plain = b"".join(line for line in said.splitlines(keepends=True) if line.isascii() and line.endswith(b"\r\n"))
        words = {line.split()[1] for line in plain.splitlines() if len(line.split()) > 1}
        assert words <= {b"CAPABILITY", b"STARTTLS"}
        assert b"LOGIN" not in said.upper() and b"AUTHENTICATE" not in said.upper()
        assert secure.password.encode() not in said and secure.user.encode() not in said
    assert "Login: user" not in secure.log()


@pytest.mark.parametrize("count", [1, 7, 4000])
def test_a_count_of_messages_that_lies_costs_nothing(count: int) -> None:
    with plain_imap(SERVERS["uidplus"]) as server:
        world = World(server)
        server.meddle = lambda _line, answer: [re.sub(rb"\* \d+ EXISTS", b"* %d EXISTS" % count, answer)]
        assert world.pass_() is None
        assert world.all_is_done() and world.nobody_is_touched()


@pytest.mark.parametrize("by", [-20, -1, 1, 5000])
def test_a_literal_that_is_not_as_long_as_said_is_never_sealed(by: int) -> None:
    def lie(line: str, answer: bytes) -> list[bytes]:
        if not re.match(r"UID FETCH [\d,:]+ .*BODY.PEEK\[\]", line):
            return [answer]
        return [re.sub(rb"\{(\d+)\}", lambda said: b"{%d}" % (int(said[1]) + by), answer)]

    with plain_imap(SERVERS["uidplus"]) as server:
        world = World(server)
        world.patience = Patience(connect=2, read=0.1, command=0.2, farewell=0.1)
        server.meddle = lie
        problem = world.pass_()
        assert isinstance(problem, SourceError) and "not fetched and not sealed" in str(problem)
        assert not world.sealer.records and world.nothing_is_lost() and world.nobody_is_touched()
        server.meddle = lambda _line, answer: [answer]
        assert world.pass_() is None
        assert world.all_is_done() and world.nobody_is_touched()


UNASKED = (
    b"* 1 FETCH (FLAGS (\\Seen))\r\n",
    b'* 2 FETCH (UID 2 FLAGS () RFC822.SIZE 7 BODY[]<0> "another")\r\n',
    b"* 0 EXPUNGE\r\n* 900 EXPUNGE\r\n",
    b"* 3 EXISTS\r\n* 2 RECENT\r\n",
    b"* VANISHED (EARLIER) 1:2\r\n",
    b"* OK [ALERT] the disk of ex@abuser.example is nearly full\r\n",
    b'* LIST () "/" unasked\r\n* FLAGS (\\Seen)\r\n',
    b"* STATUS INBOX (MESSAGES 0 UIDNEXT 1)\r\n",
    b"* ESEARCH UID\r\n",
    b"* CAPABILITY IMAP4rev1\r\n",
)


@pytest.mark.parametrize("unasked", UNASKED, ids=lambda said: said.decode().split("\r\n")[0])
@pytest.mark.parametrize("capabilities", [PLAIN, (*PLAIN, "UIDPLUS")], ids=["plain", "uidplus"])
def test_what_a_server_says_unasked_in_the_middle_of_anything_costs_nothing(
    capabilities: tuple[str, ...], unasked: bytes
) -> None:
    with plain_imap(capabilities) as server:
        world = World(server)
        server.meddle = lambda line, answer: [answer] if not line or line == "LOGOUT" else [unasked + answer]
        for _ in range(2):
            try:
                world.pass_()
            except NocontactError as problem:
                assert str(problem).startswith("home: ")
            assert world.nothing_is_lost() and world.nobody_is_touched()
        assert world.all_is_done()


def test_every_problem_of_a_bad_network_names_the_source_and_quotes_nobody() -> None:
    said: set[str] = set()
    with plain_imap(SERVERS["uidplus"]) as server:
        weather = Weather(server)
        for at in range(0, 3200, 91):
            weather.network.fault, weather.network.struck = Fault(Place(SERVER, at), for_good=at % 2 == 0), False
            weather.network.said = {CLIENT: bytearray(), SERVER: bytearray()}
            said.add(str(weather.try_it()))
        weather.network.close()
    assert len(said) > 2
    assert not [text for text in said if "example" in text or "answer me" in text or "127.0.0.1" in text]


@pytest.mark.parametrize("ask", [Mailbox.check, Mailbox.remarks], ids=["check", "remarks"])
@pytest.mark.parametrize("capabilities", SERVERS.values(), ids=SERVERS)
def test_whatever_is_asked_of_a_server_that_leaves_ends_in_a_sentence_that_names_the_source(
    capabilities: tuple[str, ...], ask: Callable[[Mailbox], tuple[str, ...]]
) -> None:
    with plain_imap(capabilities) as server:
        ask(World(server).mailbox())
        commands = len(server.commands)
    for at in range(1, commands + 1):
        with plain_imap(capabilities) as server:
            server.leaves_at = at
            try:
                ask(World(server).mailbox())
            except NocontactError as problem:
                assert str(problem).startswith("home: "), (at, str(problem))


def test_a_login_that_is_refused_is_tried_a_few_times_in_a_pass_at_most() -> None:
    with plain_imap(SERVERS["uidplus"]) as server:
        world = World(server)
        world.pass_()
        commands = len(server.commands)
    for at in range(0, commands + 1, 2):
        with plain_imap(SERVERS["uidplus"]) as server:
            world = World(server)
            server.meddle = refusing_after(server, at)
            with suppress(NocontactError):
                world.pass_()
            assert sum(line.startswith("LOGIN") for line in server.commands) <= 3, at
            assert world.nothing_is_lost() and world.nobody_is_touched()


def refusing_after(server: PlainImap, at: int) -> Callable[[str, bytes], Iterator[bytes]]:
    """The password is changed at this command, and whoever is logged in by the old one is put out."""

    def meddle(line: str, answer: bytes) -> Iterator[bytes]:
        if len(server.commands) == at:
            raise HangUpError
        late = len(server.commands) > at and line.startswith("LOGIN")
        yield answer.replace(b"OK in", b"NO [AUTHENTICATIONFAILED] no") if late else answer

    return meddle


GARBAGE = (
    b"\xff\xfe\0\x80 \r\n",
    b"* \r\n",
    b"*\r\n",
    b'* LIST (\\Noselect "/" {9999999999}\r\n',
    b'* LIST () "/" "\xff\xfe"\r\n* LIST () NIL &&&&\r\n',
    b"* SEARCH 1 2 x -1 4294967296 99999999999999999999\r\n",
    b'* ESEARCH (TAG "A1") UID ALL 1:,,:\r\n',
    b"* 1 FETCH (UID 1 RFC822.SIZE x BODY[] {3}\r\n\r\n\r\n)\r\n",
    b"* 1 FETCH ((((((((((\r\n",
    b"* NAMESPACE nil (((()\r\n",
    b"* OK [UIDVALIDITY 0]\r\n* OK [UIDNEXT 99999999999999999999999]\r\n",
    b"* OK [COPYUID 1 1:4294967295 1]\r\n",
    b"* 99999999999999999999 EXISTS\r\n",
    b"+ go on\r\n",
    b"ZZZZ1 OK done\r\n",
)


@pytest.mark.parametrize("garbage", GARBAGE, ids=repr)
def test_an_answer_that_is_none_ends_in_a_sentence_and_costs_nothing(garbage: bytes) -> None:
    """In front of the answer to every second command of a pass, and of what `nocontact check` asks, in turn."""
    for at in range(1, 34, 2):
        with plain_imap(SERVERS["uidplus"]) as server:
            world = World(server)
            world.patience = Patience(connect=2, read=0.1, command=0.15, farewell=0.1)
            server.meddle = lambda _line, answer, server=server, at=at: [
                garbage + answer if len(server.commands) == at else answer
            ]
            for ask in (
                world.pass_,
                lambda world=world, server=server: (server.commands.clear(), world.mailbox().check()),
            ):
                try:
                    ask()
                except NocontactError as problem:
                    assert str(problem).startswith("home: "), (at, str(problem))
                    assert "example" not in str(problem)
            assert world.nothing_is_lost() and world.nobody_is_touched(), at
            server.meddle = lambda _line, answer: [answer]
            assert world.pass_() is None
            assert world.all_is_done() and world.nobody_is_touched(), at

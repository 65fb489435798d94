"""Every server: what one says of itself decides, never who made it. The contract of a source, over a family of them."""

from collections.abc import Callable, Iterator
from itertools import count

import pytest

from nocontactd.sources.imap import Mailbox
from tests.peers.onlooker import Sight, Sights
from tests.peers.plain_imap import PLAIN, REV2, Box, Mail, PlainImap, plain_imap
from tests.test_imap import look, mailbox, octets_of, receipts, refs
from tests.test_imap_fuse import World
from tests.test_imap_length import estimating
from tests.test_source_contract import EX, FRIEND, Contract, House

UIDPLUS = (*PLAIN, "UIDPLUS", "NAMESPACE", "UNSELECT")
UTF8 = (*UIDPLUS, "ENABLE", "UTF8=ACCEPT", "LITERAL+")


class PlainHouse:
    """The mailbox of a small server, looked at and changed directly: no second client need understand that server."""

    def __init__(self, server: PlainImap) -> None:
        self.server = server
        self.sources: list[Mailbox] = []
        self._newest = count(100)
        server.boxes["Family"] = Box(next(self._newest))

    def source(self) -> Mailbox:
        self.sources.append(mailbox(self.server))
        return self.sources[-1]

    def put(self, octets: bytes, folder: str = "INBOX", flags: str = "") -> int:
        return self.server.boxes[folder].put(Mail(octets, set(flags.split())))

    def mark(self, uid: int, folder: str = "INBOX", flag: str = "\\Deleted") -> None:
        self.server.boxes[folder].mails[uid].flags.add(flag)

    def vanish(self, uid: int, folder: str = "INBOX") -> None:
        del self.server.boxes[folder].mails[uid]

    def renew(self, folder: str) -> None:
        old, new = self.server.boxes[folder], Box(next(self._newest))
        for mail in old.mails.values():
            new.put(mail)
        self.server.boxes[folder] = new

    def everything(self) -> Sights:
        return {
            (name, box.uidvalidity, uid): Sight(frozenset(mail.flags), mail.octets, mail.date, len(mail.octets))
            for name, box in self.server.boxes.items()
            for uid, mail in box.mails.items()
        }


def talkative(server: PlainImap) -> None:
    """Something comes, goes and is flagged all the time, and it says so in the middle of anything."""
    unasked = b"* 4 EXISTS\r\n* 1 FETCH (FLAGS (\\Seen) UID 1)\r\n* 9 EXPUNGE\r\n* OK [HIGHESTMODSEQ 4] so\r\n"
    opening = ("EXAMINE", "SELECT")  # there EXISTS is an answer
    server.meddle = lambda line, answer: [answer if line.startswith(opening) or not line else unasked + answer]


def twice(server: PlainImap) -> None:
    """Whatever it says of a folder that is opened, it says twice."""
    server.meddle = lambda line, answer: [
        answer[: answer.rindex(b"\r\n", 0, -2) + 2] + answer if line.startswith(("EXAMINE", "SELECT")) else answer
    ]


def without_uidnext(server: PlainImap) -> None:
    server.gives_uidnext = False


def without_pieces(server: PlainImap) -> None:
    server.gives_pieces = False


def with_names_in_literals(server: PlainImap) -> None:
    server.names_are_literals = True


def with_delimiter(spelled: str) -> Callable[[PlainImap], None]:
    def change(server: PlainImap) -> None:
        server.delimiter = spelled

    return change


def as_it_is(_server: PlainImap) -> None: ...


FAMILY: dict[str, tuple[tuple[str, ...], Callable[[PlainImap], None]]] = {
    "IMAP4rev2 alone": (REV2, as_it_is),
    "UTF8=ACCEPT": (UTF8, as_it_is),
    "talkative": (UIDPLUS, talkative),
    "twice": (UIDPLUS, twice),
    "without UIDNEXT": (UIDPLUS, without_uidnext),
    "without pieces": (UIDPLUS, without_pieces),
    "names in literals": (UIDPLUS, with_names_in_literals),
    "a flat one": (PLAIN, with_delimiter("NIL")),
    "a backslash between folders": (UIDPLUS, with_delimiter('"\\\\"')),
}


class TestFamily(Contract):
    """What is promised of any source."""

    @pytest.fixture(params=FAMILY.values(), ids=FAMILY)
    def house(self, request: pytest.FixtureRequest) -> Iterator[House]:
        capabilities, change = request.param
        with plain_imap(capabilities) as server:
            change(server)
            house = PlainHouse(server)
            yield house
            for source in house.sources:
                source.close()


EAI = "From: Ex <бывший@пример.example>\r\nMessage-ID: <1@x>\r\n\r\nответь мне\r\n".encode()


def test_a_sender_in_utf8_is_seen_where_the_server_hides_such_addresses_from_older_clients() -> None:
    with plain_imap(UTF8) as server:
        server.boxes["INBOX"].put(Mail(EAI))
        box = mailbox(server)
        ((envelope,), _) = look(box)
        assert [author.address for author in envelope.authors] == ["бывший@пример.example"]
        assert octets_of(box, envelope.ref) == EAI


@pytest.mark.parametrize("enables", ["OK but nothing is enabled", "NO not here"])
def test_a_server_that_offers_utf8_and_refuses_it_is_asked_as_before(enables: str) -> None:
    with plain_imap(UTF8) as server:
        server.enables = enables
        server.boxes["Caf&AOk-"] = Box(30)
        server.boxes["Caf&AOk-"].put(Mail(EX % (1, 1)))
        envelopes, _ = look(mailbox(server))
        assert {envelope.ref.folder for envelope in envelopes} == {"Café"}


NAMES = ("Caf&AOk-", "R&-D", 'a "quoted\\ one', "&BB8EQAQ4BDIENQRC-", "Family/&ZeVnLIqe-", "1234", "NIL")


@pytest.mark.parametrize("capabilities", [REV2, UTF8, UIDPLUS], ids=["rev2", "utf8", "rev1"])
@pytest.mark.parametrize("literals", [False, True])
def test_a_folder_of_any_name_is_looked_through_and_emptied(capabilities: tuple[str, ...], literals: bool) -> None:
    with plain_imap(capabilities) as server:
        server.names_are_literals = literals
        for uidvalidity, name in enumerate(NAMES, 30):
            server.boxes[name] = Box(uidvalidity)
            server.boxes[name].put(Mail(EX % (1, 1)))
            server.boxes[name].put(Mail(FRIEND % (2, 2)))
        box = mailbox(server)
        taken = refs(box)
        assert {ref.folder for ref in taken} == {
            "Café", "R&D", 'a "quoted\\ one', "Привет", "Family/日本語", "1234", "NIL"
        }  # fmt: skip
        removal = box.remove(receipts(taken))
        assert (len(removal.gone) + len(removal.moved), removal.problems) == (len(NAMES), ())
        assert {tuple(mail.octets for mail in server.boxes[name].mails.values()) for name in NAMES} == {
            (FRIEND % (2, 2),)
        }


@pytest.mark.parametrize("name", ["R&D", "A&B-C", "&zz", "100 & more"])
def test_a_name_that_is_no_utf_7_is_looked_through_and_holds_up_no_other(name: str) -> None:
    """As of a folder that was made beside the server, in its files: nothing at all was looked at."""
    with plain_imap(UIDPLUS) as server:
        server.boxes[name] = Box(30)
        for box in (server.boxes[name], server.boxes["INBOX"]):
            box.put(Mail(EX % (1, 1)))
        source = mailbox(server)
        taken = refs(source)
        assert {ref.folder for ref in taken} == {name, "INBOX"}
        assert source.remove(receipts(taken)).problems == ()
        assert not server.boxes[name].mails and not server.boxes["INBOX"].mails


@pytest.mark.parametrize("capabilities", [REV2, UTF8, UIDPLUS], ids=["rev2", "utf8", "rev1"])
@pytest.mark.parametrize("foreign", ["Others/", "&BB8EQAQ4BDIENQRC-/", "#shared."])
def test_other_peoples_folders_are_left_alone_however_they_are_spelled(
    capabilities: tuple[str, ...], foreign: str
) -> None:
    with plain_imap(capabilities) as server:
        server.namespace = f'(("" "/")) (("{foreign}" "{foreign[-1]}")) NIL'
        server.boxes[f"{foreign}nadia"] = Box(30)
        server.boxes[f"{foreign}nadia"].put(Mail(EX % (1, 1)))
        envelopes, looks = look(mailbox(server))
        assert envelopes == []
        assert {seen.folder for seen in looks} == {"INBOX", "Trash"}


@pytest.mark.parametrize("prefix", ["INBOX.", "INBOX/", "INBOX\\", "[Gmail]/"])
@pytest.mark.parametrize("attributes", ["", "\\SENT", "\\sent \\hasnochildren", "\\Sent \\X-Own"])
def test_sent_is_known_below_any_prefix_by_its_use_in_any_case_or_by_its_name(prefix: str, attributes: str) -> None:
    with plain_imap(UIDPLUS) as server:
        server.delimiter = '"\\\\"' if prefix[-1] == "\\" else f'"{prefix[-1]}"'
        del server.boxes["Sent"], server.boxes["Drafts"], server.boxes["Trash"]
        server.boxes[f"{prefix}Sent"] = Box(30, attributes)
        server.boxes[f"{prefix}Family"] = Box(31)
        for name in server.boxes:
            server.boxes[name].put(Mail(EX % (1, 1)))
        envelopes, _ = look(mailbox(server))
        assert {envelope.ref.folder for envelope in envelopes} == {"INBOX", f"{prefix}Family"}


def test_an_announced_range_of_impossible_size_is_a_problem_and_no_memory() -> None:
    with plain_imap(REV2) as server:
        server.boxes["INBOX"].put(Mail(EX % (1, 1)))
        server.meddle = lambda line, answer: [answer.replace(b"ALL 1\r", b"ALL 1:4294967295\r")]
        envelopes, looks = look(mailbox(server))
        assert envelopes == []
        assert [seen.problem for seen in looks if seen.folder == "INBOX"] == ["the server's answer cannot be read"]


@pytest.mark.parametrize("kind", FAMILY)
def test_a_pass_over_any_of_them_seals_removes_and_touches_nobody(kind: str) -> None:
    capabilities, change = FAMILY[kind]
    with plain_imap(capabilities) as server:
        change(server)
        world = World(server)
        assert world.pass_() is None
        assert world.all_is_done() and world.nobody_is_touched()


def test_a_large_message_comes_whole_where_pieces_are_not_known_and_sizes_are_right() -> None:
    with plain_imap(UIDPLUS) as server:
        server.gives_pieces = False
        letter = (EX % (1, 1)).ljust(5_000_000, b"x")
        server.boxes["INBOX"].put(Mail(letter))
        box = mailbox(server)
        assert octets_of(box, refs(box)[0]) == letter


def test_where_sizes_are_estimated_and_pieces_not_known_a_message_stays_and_is_told() -> None:
    with plain_imap(UIDPLUS) as server:
        server.gives_pieces = False
        world = World(server)
        server.meddle = estimating(lambda size: size + 1)
        assert "not as long as the server announced" in str(world.pass_())
        assert world.nothing_is_lost() and world.nobody_is_touched() and not world.sealer.records

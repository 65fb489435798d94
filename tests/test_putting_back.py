"""What our rule on the server filed by mistake reaches the inbox; nothing else that stands in its folder is touched."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count

import pytest

from nocontactd.decide import Policy, plan, policy
from nocontactd.errors import SourceError
from nocontactd.model import Author, Channel, Disposition, Envelope, Kind, Look, MessageRef, PutBack, Report, Rule
from nocontactd.poll import poll
from nocontactd.sieve import MARK
from nocontactd.sources.imap import Mailbox
from tests.fuse import Died, Fuse
from tests.memory_archive import MemoryLedger, MemorySealer
from tests.memory_source import MemorySource
from tests.peers.dovecot import Dovecot, dovecot
from tests.peers.onlooker import MailServer, Onlooker, Sight, Sights, looking
from tests.peers.plain_imap import PLAIN, Box, Mail, PlainImap, plain_imap
from tests.test_imap_fuse import fuse  # noqa: F401  # a fixture

EX = b"From: ex@abuser.example\r\nMessage-ID: <%d@abuser.example>\r\n\r\nanswer me %d\r\n"
FRIEND = b"From: nadia@friends.example\r\nMessage-ID: <%d@friends.example>\r\n\r\ntea %d\r\n"
DATE = "03-Jan-2021 11:22:33 +0200"
RULES = (Rule(Kind.ADDRESS, "ex@abuser.example"), Rule(Kind.NAME, "Alex Example"))
_users = count(1)


def rules(uncertain: Disposition = Disposition.PASS) -> Policy:
    return policy(RULES, None, uncertain, 1000)


def now() -> datetime:
    return datetime(2026, 11, 22, tzinfo=UTC)


class House:
    """A mailbox with the folder of a rule; archive and ledger outlive each pass."""

    def __init__(self, server: MailServer, user: str, onlooker: Onlooker) -> None:
        self.server, self.user, self.client = server, user, onlooker
        self.sealer, self.ledger = MemorySealer(), MemoryLedger()
        onlooker.create("nocontact")

    def look(self, uncertain: Disposition = Disposition.PASS, **wanted: object) -> Report:
        server = self.server
        mailbox = Mailbox(
            "home", host=server.host, port=server.port, user=self.user, security="none",
            password=lambda: server.password, filed="nocontact", **wanted,  # type: ignore[arg-type]
        )  # fmt: skip
        try:
            return poll(mailbox, self.sealer, self.ledger, rules(uncertain), now)
        finally:
            mailbox.close()

    def filed(self, octets: bytes, flags: str = "", date: str | None = DATE) -> int:
        """The rule files a message."""
        return self.client.put(octets, "nocontact", f"{MARK} {flags}".strip(), date)

    def everything(self) -> Sights:
        return self.client.everything()

    def folder(self, name: str) -> list[Sight]:
        return [sight for (folder, _, _), sight in sorted(self.everything().items()) if folder == name]


@contextmanager
def house_on(server: MailServer, user: str) -> Iterator[House]:
    with looking(server, user) as onlooker:
        yield House(server, user, onlooker)


@pytest.fixture(scope="module")
def a_dovecot() -> Iterator[Dovecot]:
    with dovecot() as server:
        yield server


SERVERS = ("Dovecot", "MOVE alone", "UIDPLUS alone")


@pytest.fixture(params=SERVERS)
def house(request: pytest.FixtureRequest, a_dovecot: Dovecot) -> Iterator[House]:
    if request.param == "Dovecot":
        with house_on(a_dovecot, f"user{next(_users)}@home.example") as house:
            yield house
    else:
        with plain_imap((*PLAIN, request.param.split()[0])) as plain, house_on(plain, plain.user) as house:
            yield house


def test_it_goes_to_the_inbox_as_it_was_and_nobody_elses_message_is_touched(house: House) -> None:
    house.client.put(FRIEND % (1, 1), "INBOX", "\\Seen", DATE)
    house.client.mark(house.client.put(FRIEND % (2, 2)))
    own = house.client.put(FRIEND % (3, 3), "nocontact", "\\Flagged", DATE)
    deleted = house.client.put(FRIEND % (4, 4), "nocontact")
    house.client.mark(deleted, "nocontact")
    others = house.everything()
    house.filed(FRIEND % (5, 5))
    house.filed(FRIEND % (6, 6), "\\Seen \\Flagged")
    house.filed(EX % (7, 7))
    unread, read = (sight for sight in house.folder("nocontact") if MARK in sight.flags and b"tea" in sight.octets)
    report = house.look()
    assert report.problems == ()
    _through_trash(house)
    assert {octets for _, octets, _ in house.sealer.records.values()} == {EX % (7, 7)}
    after = house.everything()
    assert {at: sight for at, sight in after.items() if at in others} == others
    came = [sight for at, sight in sorted(after.items()) if at not in others]
    assert came == [replace(each, flags=each.flags - {MARK}) for each in (unread, read)]
    assert own in {uid for folder, _, uid in after if folder == "nocontact"}


def _through_trash(house: House) -> None:
    """With MOVE alone what is sealed leaves by way of the Trash, and not at the first look."""
    for _ in range(2):
        house.look(Disposition.SEAL)


def test_what_was_put_back_once_is_not_put_back_again_wherever_somebody_moves_it(house: House) -> None:
    """Or two filters would play with it for ever."""
    house.filed(FRIEND % (1, 1))
    house.look()
    (sight,) = house.folder("INBOX")
    house.client.vanish(next(uid for folder, _, uid in house.everything() if folder == "INBOX"))
    house.client.put(sight.octets, "nocontact", " ".join(sight.flags), sight.date)
    before = house.everything()
    for _ in range(2):
        house.look()
        assert house.everything() == before


def test_what_is_held_goes_back_with_a_note_or_is_sealed_as_uncertain_says(house: House) -> None:
    disguised = b"From: Alex Example <a@elsewhere.example>\r\n\r\nit is me\r\n"
    house.filed(disguised)
    house.look(Disposition.PASS)
    assert [sight.octets for sight in house.folder("INBOX")] == [disguised]
    assert house.sealer.notes and not house.sealer.records
    house.filed(disguised)
    house.look(Disposition.SEAL)
    _through_trash(house)
    assert house.everything() == {}
    assert {octets for _, octets, _ in house.sealer.records.values()} == {disguised}


def test_a_message_of_which_no_author_can_be_read_stays(house: House) -> None:
    """The rule filed it by an author, so it is the reading that failed."""
    house.filed(b"Subject: nobody\r\n\r\nwho?\r\n")
    before = house.everything()
    assert house.look().problems == ()
    assert house.everything() == before


def test_the_rules_folder_is_drained_though_the_owner_named_other_folders_only(house: House) -> None:
    house.filed(EX % (1, 1))
    house.filed(FRIEND % (2, 2))
    house.client.create("Family")
    house.client.put(EX % (3, 3), "Family")
    house.look(folders=("INBOX",))
    assert len(house.sealer.records) == 1
    assert [len(house.folder(name)) for name in ("INBOX", "nocontact", "Family")] == [1, 0, 1]


def test_a_folder_that_is_never_to_be_touched_is_not_though_it_has_the_name_of_the_rules(house: House) -> None:
    house.filed(FRIEND % (1, 1))
    before = house.everything()
    assert house.look(folders=("INBOX",), never_touch=("nocontact",)).problems == ()
    assert house.look(never_touch=("nocontact",)).problems == ()
    assert house.everything() == before


def test_a_mark_that_was_left_by_a_death_goes_with_the_next_one(house: House) -> None:
    house.client.put(FRIEND % (1, 1), "INBOX", MARK)
    house.filed(FRIEND % (2, 2))
    house.look()
    assert [sight.flags for sight in house.folder("INBOX")] == [frozenset()] * 2


def test_a_server_that_can_do_neither_leaves_it_and_the_look_says_so() -> None:
    with plain_imap() as server, house_on(server, server.user) as house:
        house.filed(FRIEND % (1, 1))
        before = house.everything()
        for _ in range(2):
            (problem,) = house.look().problems
            assert isinstance(problem, SourceError)
            assert "what was filed by mistake was not put back" in problem.message
            assert house.everything() == before


def test_where_nothing_may_be_marked_as_deleted_it_is_copied_once() -> None:
    with plain_imap((*PLAIN, "UIDPLUS")) as server, house_on(server, server.user) as house:
        house.filed(FRIEND % (1, 1))

        def forbid(line: str, answer: bytes) -> list[bytes]:
            if "\\Deleted" not in line:
                return [answer]
            for mail in server.boxes["nocontact"].mails.values():
                mail.flags.discard("\\Deleted")
            return [answer.replace(b" OK ", b" NO ")]

        server.meddle = forbid
        for _ in range(3):
            house.look()
        assert len(server.boxes["INBOX"].mails) == len(server.boxes["nocontact"].mails) == 1


def test_nothing_is_expunged_but_by_its_uid() -> None:
    with plain_imap((*PLAIN, "UIDPLUS")) as server, house_on(server, server.user) as house:
        house.filed(FRIEND % (1, 1))
        house.filed(FRIEND % (2, 2))
        house.look()
        said = [command for command in server.commands if "EXPUNGE" in command.upper()]
        assert said == ["UID EXPUNGE 1,2"]


def test_a_folder_that_was_numbered_anew_meanwhile_is_left_alone() -> None:
    with plain_imap((*PLAIN, "MOVE")) as server:
        server.boxes["nocontact"] = Box(20)
        server.boxes["nocontact"].put(Mail(FRIEND % (1, 1), {MARK}))
        server.boxes["nocontact"].put(Mail(EX % (2, 2), {MARK}))  # sealed in between, so that there is time
        server.capabilities.append("UIDPLUS")

        def meddle(line: str, answer: bytes) -> Iterator[bytes]:
            if "EXPUNGE" in line:
                server.boxes["nocontact"] = Box(21)
                server.boxes["nocontact"].put(Mail(FRIEND % (9, 9), {MARK, "\\Flagged"}))
            yield answer

        server.meddle = meddle
        with looking(server, server.user):
            house = House.__new__(House)
            house.server, house.user = server, server.user
            house.sealer, house.ledger = MemorySealer(), MemoryLedger()
            house.look()
        assert [mail.octets for mail in server.boxes["nocontact"].mails.values()] == [FRIEND % (9, 9)]
        assert not server.boxes["INBOX"].mails


def test_dead_at_any_command_it_stands_in_one_place_at_least_and_one_more_look_finishes(
    fuse: object,  # noqa: F811
) -> None:
    for capability in ("MOVE", "UIDPLUS"):
        at = 0
        while True:
            at += 1
            with plain_imap((*PLAIN, capability)) as server:
                house = _furnished(server)
                fuse(Fuse(at, after=bool(at % 2)))  # type: ignore[operator]
                try:
                    house.look()
                except Died:
                    server.bury()
                    fuse(Fuse())  # type: ignore[operator]
                    assert _standing(server) >= {FRIEND % (1, 1), FRIEND % (3, 3)}, (capability, at)
                    house.look()
                    own = {octets: flags for octets, flags in _own(server) if capability == "MOVE" or MARK in flags}
                    assert own == ({FRIEND % (3, 3): {"\\Flagged"}} if capability == "MOVE" else {}), at
                    inbox = [(mail.octets, mail.flags - {MARK}) for mail in server.boxes["INBOX"].mails.values()]
                    assert all(each == (FRIEND % (1, 1), {"\\Answered"}) for each in inbox) and inbox, (capability, at)
                    assert len(inbox) == 1 or capability == "UIDPLUS", at
                    assert (FRIEND % (3, 3), {"\\Flagged"}) in _own(server)
                    continue
                fuse(Fuse())  # type: ignore[operator]
                assert at > 15
                break


def _furnished(server: PlainImap) -> House:
    house = House.__new__(House)
    house.server, house.user, house.sealer, house.ledger = server, server.user, MemorySealer(), MemoryLedger()
    box = server.boxes["nocontact"] = Box(20)
    box.put(Mail(FRIEND % (1, 1), {MARK, "\\Answered"}))
    box.put(Mail(FRIEND % (3, 3), {"\\Flagged"}))
    return house


def _standing(server: PlainImap) -> set[bytes]:
    return {mail.octets for box in server.boxes.values() for mail in box.mails.values()}


def _own(server: PlainImap) -> list[tuple[bytes, set[str]]]:
    return [(mail.octets, mail.flags) for mail in server.boxes["nocontact"].mails.values()]


def test_what_could_not_be_put_back_is_tried_at_each_look_until_it_is() -> None:
    source = MemorySource("home", ("INBOX", "nocontact"))
    sealer, ledger = MemorySealer(), MemoryLedger()
    poll(source, sealer, ledger, rules(), now)
    source.put(FRIEND % (1, 1), "nocontact", flags=(MARK,))
    put_back, source.put_back = source.put_back, _refusing  # type: ignore[method-assign]
    for _ in range(2):
        assert [type(problem) for problem in poll(source, sealer, ledger, rules(), now).problems] == [SourceError]
    source.put_back = put_back  # type: ignore[method-assign]
    assert poll(source, sealer, ledger, rules(), now).problems == ()
    assert [folder for folder, _, _ in source.everything()] == ["INBOX"]


def _refusing(steps: object) -> frozenset[MessageRef]:
    raise SourceError("home: what was filed by mistake was not put back: the server refused")


def test_what_is_held_waits_in_the_rules_folder_while_its_note_cannot_be_sealed() -> None:
    from nocontactd.errors import SealError

    source = MemorySource("home", ("INBOX", "nocontact"))
    sealer, ledger = MemorySealer(), MemoryLedger()
    poll(source, sealer, ledger, rules(), now)
    source.put(b"From: Alex Example <a@elsewhere.example>\r\n\r\nit is me\r\n", "nocontact", flags=(MARK,))
    source.put(FRIEND % (1, 1), "nocontact", flags=(MARK,))

    def full(envelope: Envelope, verdict: object) -> None:
        raise SealError("the disk is full")

    sealer.note = full  # type: ignore[method-assign,assignment]
    poll(source, sealer, ledger, rules(), now)
    assert sorted(folder for folder, _, _ in source.everything()) == ["INBOX", "nocontact"]


def test_only_what_our_rule_marked_and_nobody_listed_wrote_is_planned_to_go_back() -> None:
    def at(uid: str, address: str, *, filed: bool) -> Envelope:
        authors = (Author("From", address),) if address else ()
        ref = MessageRef("home", "nocontact", 1, uid)
        return Envelope(ref, Channel.MAIL, authors, now(), filed=filed)

    friend = at("1", "nadia@friends.example", filed=True)
    listed = at("2", "ex@abuser.example", filed=True)
    moved_by_hand = at("3", "nadia@friends.example", filed=False)
    unread = at("4", "", filed=True)
    taken = at("5", "nadia@friends.example", filed=True)
    steps = plan([friend, listed, moved_by_hand, unread, taken], rules(), {taken.ref})
    assert steps.put_backs == (PutBack(friend),)


def test_a_prefix_that_the_server_wants_is_put_before_the_rules_folder() -> None:
    with dovecot(prefix="INBOX.", separator=".") as server:
        box = Mailbox(
            "home", host=server.host, port=server.port, user=server.user, security="none",
            password=lambda: server.password, filed="nocontact",
        )  # fmt: skip
        assert box.placed("nocontact") == "INBOX.nocontact" == box.placed("INBOX.nocontact")
        with looking(server) as onlooker:
            onlooker.create("INBOX.nocontact")
            onlooker.put(FRIEND % (1, 1), "INBOX.nocontact", MARK)
            looks = [item for item in box.scan({}, "r") if not isinstance(item, Look)]
            assert [(envelope.ref.folder, envelope.filed) for envelope in looks] == [("INBOX.nocontact", True)]
        box.close()

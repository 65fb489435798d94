"""What every source of mail promises, held against each: in memory, pymap, Dovecot, one without MOVE and UIDPLUS."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import count
from typing import Protocol

import pytest

from nocontactd.errors import SourceError
from nocontactd.model import Cursor, Envelope, Look, MessageRef, Receipt, Written
from nocontactd.ports import Source
from nocontactd.sources.imap import Mailbox
from tests.invitations import INVITATIONS, NO_INVITATIONS
from tests.looking import look_at
from tests.memory_source import MemorySource
from tests.peers.dovecot import Dovecot, dovecot
from tests.peers.onlooker import MailServer, Onlooker, Sight, Sights, looking
from tests.peers.plain_imap import plain_imap
from tests.peers.pymap_server import pymap_server

EX = b"From: Ex <ex@abuser.example>\r\nSubject: now\r\nMessage-ID: <%d@abuser.example>\r\n\r\nanswer me %d\r\n"
FRIEND = b"From: nadia@friends.example\r\nSubject: tea\r\nMessage-ID: <%d@friends.example>\r\n\r\ntea %d\r\n"
SENT = b"From: me@home.example\r\nTo: %b\r\nMessage-ID: <%d@home.example>\r\n\r\nhello\r\n"
ODD = {
    "8bit": b"From: ex@abuser.example\r\nSubject: \xe9\xff\r\n\r\n\xc3\x28 \xfe\xed\r\n",
    "NUL": b"From: ex@abuser.example\r\n\r\nbe\0tween\r\n",
    "a long line": b"From: ex@abuser.example\r\n\r\n" + b"x" * 70_000 + b"\r\n",
    "no final newline": b"From: ex@abuser.example\r\n\r\nno end",
    "no body": b"From: ex@abuser.example\r\n\r\n",
    "bare CR": b"From: ex@abuser.example\r\n\r\none\rtwo\r\n",
    "what looks like IMAP": b"From: ex@abuser.example\r\n\r\n* 1 FETCH (UID 99 {3}\r\nabc)\r\nA1 OK done\r\n",
    "folded": b"From: \r\n\t=?utf-8?q?Ex?=\r\n <ex@abuser.example>\r\nSender: x@y.example\r\n\r\nbody\r\n",
}


class House(Protocol):
    """A mailbox seen from outside: by those who deliver to it, and by another client."""

    def source(self) -> Source: ...
    def put(self, octets: bytes, folder: str = "INBOX", flags: str = "") -> int: ...
    def mark(self, uid: int, folder: str = "INBOX", flag: str = "\\Deleted") -> None: ...
    def vanish(self, uid: int, folder: str = "INBOX") -> None: ...
    def renew(self, folder: str) -> None: ...
    def everything(self) -> Sights: ...


class MemoryHouse:
    """The source in memory."""

    def __init__(self) -> None:
        self._memory = MemorySource("home", ("INBOX", "Family", "Sent"))

    def source(self) -> Source:
        return self._memory

    def put(self, octets: bytes, folder: str = "INBOX", flags: str = "") -> int:
        return int(self._memory.put(octets, folder, flags=flags.split()).uid)

    def mark(self, uid: int, folder: str = "INBOX", flag: str = "\\Deleted") -> None:
        letters = self._memory.folders[folder].letters
        letters[uid] = type(letters[uid])(letters[uid].octets, letters[uid].flags | {flag})

    def vanish(self, uid: int, folder: str = "INBOX") -> None:
        del self._memory.folders[folder].letters[uid]

    def renew(self, folder: str) -> None:
        self._memory.renew(folder)

    def everything(self) -> Sights:
        letters = self._memory.everything().items()
        return {at: Sight(m.flags, m.octets, m.arrived.isoformat(), len(m.octets)) for at, m in letters}


class ImapHouse:
    """A mailbox on a server, with a second client."""

    def __init__(self, server: MailServer, onlooker: Onlooker, user: str) -> None:
        self._server = server
        self._user = user
        self.sources: list[Mailbox] = []
        self.put, self.mark, self.vanish = onlooker.put, onlooker.mark, onlooker.vanish
        self.renew, self.everything = onlooker.renew, onlooker.everything
        onlooker.create("Family")
        with suppress(AssertionError):  # pymap has none
            onlooker.create("Sent")

    def source(self) -> Source:
        self.sources.append(mailbox(self._server, self._user))
        return self.sources[-1]


def mailbox(server: MailServer, user: str = "", name: str = "home") -> Mailbox:
    return Mailbox(
        name,
        host=server.host,
        port=server.port,
        user=user or server.user,
        security="none",
        password=lambda: server.password,
    )


@contextmanager
def house_on(server: MailServer, user: str = "") -> Iterator[ImapHouse]:
    with looking(server, user or server.user) as onlooker:
        house = ImapHouse(server, onlooker, user or server.user)
        yield house
        for source in house.sources:
            source.close()


def look(
    source: Source, cursors: dict[str, Cursor] | None = None, rules: str = "r"
) -> tuple[list[Envelope], list[Look]]:
    return look_at(source, cursors or {}, rules)


def cursors(looks: list[Look], rules: str = "r") -> dict[str, Cursor]:
    return {look.folder: Cursor(look.folder, look.uidvalidity, look.next_uid, rules) for look in looks}


def told(source: Source, cursors: dict[str, Cursor] | None = None) -> tuple[list[tuple[str, ...]], list[Look]]:
    items = list(source.written(cursors or {}))
    return [i.addresses for i in items if isinstance(i, Written)], [i for i in items if isinstance(i, Look)]


def octets_of(source: Source, ref: MessageRef) -> bytes | None:
    original = source.fetch(ref)
    if original is None:
        return None
    (part,) = [(p.name, p.size, b"".join(p.chunks)) for p in original.parts]
    assert part[0] == "message.eml"
    assert part[1] == len(part[2])
    return part[2]


def refs(envelopes: list[Envelope], address: str = "ex@abuser.example") -> list[MessageRef]:
    return [e.ref for e in envelopes if address in {author.address for author in e.authors}]


def receipts(of: list[MessageRef]) -> list[Receipt]:
    return [Receipt(f"2026-11-22/{n:06}", ref) for n, ref in enumerate(of, 1)]


class Contract:
    """The promises of ports.Source. Whoever makes a source gives a fixture `house`."""

    def test_a_first_look_shows_every_message_of_every_folder_as_older(self, house: House) -> None:
        letters = (("INBOX", EX % (1, 1)), ("INBOX", FRIEND % (2, 2)), ("Family", EX % (3, 3)))
        uids = [(folder, house.put(octets, folder)) for folder, octets in letters]
        envelopes, looks = look(house.source())
        assert [(e.ref.folder, int(e.ref.uid)) for e in envelopes] == uids
        assert not any(e.arrival for e in envelopes)
        assert looks[0].folder == "INBOX"
        assert {"INBOX", "Family"} <= {seen.folder for seen in looks}
        assert all(not seen.problem for seen in looks)

    def test_an_envelope_says_who_wrote_it_and_how_large_it_is(self, house: House) -> None:
        house.put(EX % (1, 1))
        ((envelope,), _) = look(house.source())
        assert [(a.field, a.address, a.name) for a in envelope.authors] == [("From", "ex@abuser.example", "Ex")]
        assert envelope.size == len(EX % (1, 1))
        assert envelope.arrived.utcoffset() is not None
        assert not envelope.arrived.utcoffset()

    def test_a_look_follows_the_last_envelope_of_its_folder(self, house: House) -> None:
        source = house.source()
        known = cursors(look(source)[1])
        house.put(EX % (1, 1))
        house.put(EX % (2, 2), "Family")
        items = list(source.scan(known, "r"))
        folders = [i.folder if isinstance(i, Look) else i.ref.folder for i in items]
        last = [isinstance(item, Look) for item in items]
        for folder in ("INBOX", "Family"):
            at = [n for n, name in enumerate(folders) if name == folder]
            assert [last[n] for n in at] == [False, True]
            assert at == list(range(at[0], at[0] + 2))

    def test_with_a_cursor_only_arrivals_are_shown(self, house: House) -> None:
        house.put(EX % (1, 1))
        source = house.source()
        _, looks = look(source)
        uid = house.put(EX % (2, 2))
        envelopes, again = look(source, cursors(looks))
        assert [(e.ref.uid, e.arrival) for e in envelopes] == [(str(uid), True)]
        assert [s.next_uid for s in again if s.folder == "INBOX"] == [uid + 1]

    def test_a_quiet_look_shows_nothing_though_a_message_stands_last(self, house: House) -> None:
        house.put(EX % (1, 1))
        source = house.source()
        _, looks = look(source)
        envelopes, again = look(source, cursors(looks))
        assert envelopes == []
        assert again == looks

    def test_other_rules_show_everything_again_and_still_know_what_is_new(self, house: House) -> None:
        old = house.put(EX % (1, 1))
        source = house.source()
        _, looks = look(source)
        new = house.put(EX % (2, 2))
        envelopes, _ = look(source, cursors(looks, "older rules"))
        assert [(int(e.ref.uid), e.arrival) for e in envelopes] == [(old, False), (new, True)]

    def test_a_folder_numbered_anew_is_looked_through_as_older(self, house: House) -> None:
        house.put(EX % (1, 1), "Family")
        source = house.source()
        _, looks = look(source)
        house.renew("Family")
        house.put(EX % (2, 2), "Family")
        envelopes, again = look(source, cursors(looks))
        assert [e.ref.folder for e in envelopes if not e.arrival] == ["Family"] * 2
        assert [e.arrival for e in envelopes].count(True) in {0, 2}  # both came just now
        before, after = ([s.uidvalidity for s in seen if s.folder == "Family"] for seen in (looks, again))
        assert before != after
        assert {e.ref.uidvalidity for e in envelopes} == set(after)

    @pytest.mark.parametrize("kind", ODD)
    def test_the_octets_are_those_the_server_stores(self, house: House, kind: str) -> None:
        house.put(ODD[kind])
        source = house.source()
        (ref,) = refs(look(source)[0])
        stored = house.everything()["INBOX", ref.uidvalidity, int(ref.uid)]
        assert octets_of(source, ref) == stored.octets

    def test_the_envelope_of_an_original_is_read_from_its_own_octets(self, house: House) -> None:
        house.put(EX % (1, 1))
        source = house.source()
        (envelope,), _ = look(source)
        original = source.fetch(envelope.ref)
        assert original
        assert replace(original.envelope, arrival=False) == envelope

    def test_looking_fetching_and_removing_changes_nothing_of_anybody_else(self, house: House) -> None:
        for n in range(5):
            house.put(FRIEND % (n, n), flags="\\Flagged" if n == 1 else "")
            house.put(EX % (n, n), ("INBOX", "Family")[n % 2])
            house.put(FRIEND % (10 + n, n), "Family", "\\Seen" if n == 1 else "")
        before = house.everything()
        source = house.source()
        taken = refs(look(source)[0])
        assert len(taken) == 5
        for ref in taken:
            octets_of(source, ref)
        assert house.everything() == before
        removal = source.remove(receipts(taken))
        assert removal.problems == ()
        assert {receipt.ref for receipt in removal.gone} == set(taken)
        left = {at: sight for at, sight in before.items() if b"ex@abuser" not in sight.octets}
        assert house.everything() == left

    def test_what_is_removed_twice_is_gone_twice(self, house: House) -> None:
        house.put(EX % (1, 1))
        house.put(FRIEND % (2, 2))
        source = house.source()
        open_receipts = receipts(refs(look(source)[0]))
        assert source.remove(open_receipts) == source.remove(open_receipts)
        assert source.remove(open_receipts).gone == tuple(open_receipts)
        assert len(house.everything()) == 1

    def test_a_message_that_vanished_is_none_and_counts_as_gone(self, house: House) -> None:
        uid = house.put(EX % (1, 1))
        source = house.source()
        (ref,) = refs(look(source)[0])
        house.vanish(uid)
        assert source.fetch(ref) is None
        removal = source.remove(receipts([ref]))
        assert (len(removal.gone), removal.problems) == (1, ())

    def test_a_vanished_message_holds_up_no_other(self, house: House) -> None:
        uids = [house.put(EX % (n, n)) for n in range(3)]
        source = house.source()
        taken = refs(look(source)[0])
        house.vanish(uids[1])
        assert [octets_of(source, ref) is None for ref in taken] == [False, True, False]
        assert len(source.remove(receipts(taken)).gone) == 3
        assert house.everything() == {}

    def test_after_a_new_uidvalidity_nothing_is_fetched_or_removed_by_an_old_uid(self, house: House) -> None:
        house.put(EX % (1, 1), "Family")
        source = house.source()
        (ref,) = refs(look(source)[0])
        house.renew("Family")
        before = house.everything()
        assert source.remove(receipts([ref])).gone == tuple(receipts([ref]))
        source.close()  # a folder that is open may go on as it was
        assert source.fetch(ref) is None
        assert house.everything() == before

    def test_a_receipt_closes_only_what_it_names(self, house: House) -> None:
        for n in range(3):
            house.put(EX % (n, n))
        source = house.source()
        taken = refs(look(source)[0])
        source.remove(receipts(taken[:1]))
        left, _ = look(source)
        assert refs(left) == taken[1:]

    def test_nothing_to_remove_is_nothing(self, house: House) -> None:
        removal = house.source().remove([])
        assert (removal.gone, removal.moved, removal.problems) == ((), (), ())

    @pytest.mark.parametrize("kind", INVITATIONS)
    def test_who_invites_is_an_author_by_looking_and_by_the_very_octets(self, house: House, kind: str) -> None:
        house.put(INVITATIONS[kind])
        before = house.everything()
        source = house.source()
        ((envelope,), _) = look(source)
        assert [a.address for a in envelope.authors if a.field == "calendar"] == ["ex@abuser.example"]
        original = source.fetch(envelope.ref)
        assert original
        assert replace(original.envelope, arrival=False) == envelope
        assert house.everything() == before

    @pytest.mark.parametrize("kind", NO_INVITATIONS)
    def test_who_hands_an_invitation_on_is_its_only_author(self, house: House, kind: str) -> None:
        house.put(NO_INVITATIONS[kind])
        ((envelope,), _) = look(house.source())
        assert {a.field for a in envelope.authors} == {"From"}

    def test_everybody_to_whom_the_owner_has_written_is_told_once(self, house: House) -> None:
        house.put(SENT % (b'Nadia <nadia@friends.example>, "Tim, jr" <tim@friends.example>', 1), "Sent")
        house.put(SENT % (b"undisclosed-recipients:;\r\nBcc: =?utf-8?q?M=C3=BCller?=\r\n <m@x.example>", 2), "Sent")
        house.put(SENT % (b"not-sent@x.example", 3))
        before = house.everything()
        source = house.source()
        letters, looks = told(source)
        assert letters == [("nadia@friends.example", "tim@friends.example"), ("m@x.example",)]
        assert [(seen.folder, seen.exists, seen.problem) for seen in looks] == [("Sent", 2, "")]
        assert told(source, cursors(looks)) == ([], looks)
        house.put(SENT % (b"late@friends.example", 4), "Sent")
        assert told(source, cursors(looks))[0] == [("late@friends.example",)]
        assert {at: sight for at, sight in house.everything().items() if at in before} == before

    def test_a_sent_folder_numbered_anew_is_told_anew(self, house: House) -> None:
        house.put(SENT % (b"nadia@friends.example", 1), "Sent")
        source = house.source()
        _, looks = told(source)
        source.close()
        house.renew("Sent")
        assert told(source, cursors(looks))[0] == [("nadia@friends.example",)]

    def test_a_source_can_be_closed_twice_and_used_again(self, house: House) -> None:
        house.put(EX % (1, 1))
        source = house.source()
        look(source)
        source.close()
        source.close()
        assert len(look(source)[0]) == 1
        source.close()


class ImapContract(Contract):
    """What is promised of a mailbox that another client may be at work in."""

    def test_what_another_client_marked_deleted_stays_marked_and_stays(self, house: House) -> None:
        foreign = house.put(FRIEND % (1, 1))
        house.put(EX % (2, 2))
        house.mark(foreign)
        before = house.everything()
        source = house.source()
        source.remove(receipts(refs(look(source)[0])))
        after = house.everything()
        assert {at: sight for at, sight in after.items() if at[2] == foreign} == {
            at: sight for at, sight in before.items() if at[2] == foreign
        }

    def test_a_listed_message_that_is_marked_deleted_is_seen_all_the_same(self, house: House) -> None:
        house.mark(house.put(EX % (1, 1)))
        source = house.source()
        taken = refs(look(source)[0])
        assert len(source.remove(receipts(taken)).gone) == 1
        assert house.everything() == {}

    def test_sent_and_drafts_are_not_looked_at(self, house: House) -> None:
        house.put(EX % (1, 1), "Sent")
        envelopes, looks = look(house.source())
        assert envelopes == []
        assert "Sent" not in {seen.folder for seen in looks}

    def test_a_connection_that_ended_between_two_passes_is_made_anew(self, house: House) -> None:
        house.put(EX % (1, 1))
        source = house.source()
        envelopes, _ = look(source)
        source._session._client._imap.sock.shutdown(2)  # type: ignore[attr-defined]
        with pytest.raises(SourceError):
            source.fetch(envelopes[0].ref)
        assert octets_of(source, envelopes[0].ref)


class TestMemory(Contract):
    """The source of the tests."""

    @pytest.fixture
    def house(self) -> House:
        return MemoryHouse()


class TestPymap(ImapContract):
    """pymap: MOVE, UIDPLUS."""

    @pytest.fixture
    def house(self) -> Iterator[House]:
        with pymap_server() as server, house_on(server) as house:
            yield house


@pytest.fixture(scope="module")
def a_dovecot() -> Iterator[Dovecot]:
    with dovecot() as server:
        yield server


USERS = count(1)


class TestDovecot(ImapContract):
    """A private Dovecot with Maildir: MOVE, UIDPLUS, SPECIAL-USE."""

    @pytest.fixture
    def house(self, a_dovecot: Dovecot) -> Iterator[House]:
        with house_on(a_dovecot, f"user{next(USERS)}@home.example") as house:
            yield house

    def test_two_mailboxes_have_nothing_to_do_with_each_other(self, a_dovecot: Dovecot) -> None:
        with house_on(a_dovecot, f"user{next(USERS)}") as one, house_on(a_dovecot, f"user{next(USERS)}") as other:
            one.put(EX % (1, 1))
            other.put(EX % (1, 1))
            source = one.source()
            source.remove(receipts(refs(look(source)[0])))
            assert (len(one.everything()), len(other.everything())) == (0, 1)


class TestPlain(ImapContract):
    """Neither MOVE nor UIDPLUS."""

    @pytest.fixture
    def house(self) -> Iterator[House]:
        with plain_imap() as server, house_on(server) as house:
            yield house

"""What a listener hands over with a sign: the truth, and nothing of nobody else's; and where it is odd, nothing."""

import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from nocontactd.decide import decide
from nocontactd.errors import SealError
from nocontactd.model import Channel, Cursor, Envelope, Look, MessageRef
from nocontactd.reading import Reader
from nocontactd.sources.imap import Inbox
from nocontactd.sources.imap.arrival import SMALL, Arrival, Box, bring, following
from nocontactd.sources.imap.idle import AWAKE, short
from nocontactd.sources.imap.look import AHEAD
from nocontactd.sources.imap.session import RefusedError
from nocontactd.sources.imap.unchanged import THOROUGH
from tests.peers.dovecot import Dovecot, dovecot
from tests.peers.pymap_server import pymap_server
from tests.peers.trips import TripCounter, trip_counter
from tests.test_imap_fuse import EX, FRIEND, rules
from tests.test_imap_idle import Bell, Lines, Tricks, closes, deaf, listening, tricks
from tests.test_imap_trips import NOW, Owner

INVITATION = (
    b"From: Calendar <calendar@friends.example>\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
    b"Content-Type: text/calendar; method=REQUEST\r\n\r\nBEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\n"
    b"ORGANIZER:mailto:calendar@friends.example\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n--b--\r\n"
)


def seals(envelope: Envelope) -> bool:
    return rules().seals(decide(envelope, rules()))


@contextmanager
def listened_to(inbox: Inbox, wanted: Callable[[Envelope], bool] = seals) -> Iterator[Bell]:
    """A real listener that hands over to this inbox, in IDLE by now; and its bell."""
    bell = Bell()
    listener = inbox.listener(bell, wanted)
    thread = threading.Thread(target=listener.run)
    thread.start()
    bell.wait(1)
    time.sleep(0.1)
    try:
        yield bell
    finally:
        listener.stop()
        thread.join(5)
        assert not thread.is_alive()


@pytest.fixture(scope="module")
def server() -> Iterator[Dovecot]:
    with dovecot() as running:
        yield running


@pytest.fixture
def owner(server: Dovecot, tmp_path: Path) -> Iterator[Owner]:
    """His inbox was looked at; what was said till then is forgotten."""
    with trip_counter(server.host, server.port) as counter:
        owner = Owner(server, counter, tmp_path.name, 8)
        owner.put(FRIEND % (1, 1))
        owner.look()
        yield owner
        owner.mailbox.close()
        owner.client.logout()


def sealed(owner: Owner) -> list[bytes]:
    return [octets for _, octets, _ in owner.sealer.records.values()]


def said(owner: Owner, talk: int) -> bytes:
    """On the connection of this number: the source's is 0, the listener's 1."""
    return b"".join(owner.counter.talks[talk].trips)


def test_a_message_is_removed_without_a_question_about_it_on_the_connection_of_the_look(owner: Owner) -> None:
    with listened_to(owner.inbox) as bell:
        assert b" EXAMINE " in said(owner, 1) and b" SELECT " not in said(owner, 1), "the listener only reads"
        owner.counter.forget()
        owner.put(EX % (1, 1))
        bell.wait(2)
        asked = [trip.upper() for trip in owner.counter.talks[1].trips]
        assert b"DONE\r\n" in asked[0] and b"UID FETCH 2:" in asked[0] and b"BODY.PEEK[HEADER]" in asked[0]
        assert b"UID FETCH 2 " in asked[1] and b"BODY.PEEK[]" in asked[1]
        owner.counter.talks[0].trips.clear()
        assert owner.look_at_the_inbox().matches == 1
        trips = owner.counter.talks[0].trips
        assert next(number for number, trip in enumerate(trips, 1) if b"UID EXPUNGE" in trip) <= 2, trips
        assert b"SELECT" in trips[0] and b"UID STORE" in trips[1] and b"FETCH" not in said(owner, 0)
        assert b" SELECT " not in said(owner, 1)
    assert sealed(owner) == [EX % (1, 1)]
    assert owner.client.select("INBOX", readonly=True) == ("OK", [b"1"])


def test_of_what_is_not_listed_no_octet_beyond_the_header_is_fetched_and_the_inbox_is_not_opened(owner: Owner) -> None:
    with listened_to(owner.inbox) as bell:
        owner.counter.forget()
        owner.put(FRIEND % (2, 2))
        bell.wait(2)
        assert b"BODY.PEEK[]" not in said(owner, 1) and b"BODY[" not in said(owner, 1)
        owner.counter.talks[0].trips.clear()
        report = owner.look_at_the_inbox()
        assert owner.counter.talks[0].trips == []
        assert [(look.next_uid, look.exists) for look in report.looks] == [(3, 2)]
        assert owner.ledger.cursors("home")["INBOX"].next_uid == 3
        owner.look()
        assert len(owner.counter.talks[0].trips) == 1, "nor by the look that follows"


def test_an_invitation_is_read_on_the_connection_of_the_listener(owner: Owner) -> None:
    with listened_to(owner.inbox) as bell:
        owner.counter.forget()
        owner.put(INVITATION)
        bell.wait(2)
        assert b"BODYSTRUCTURE" in said(owner, 1) and b"BODY.PEEK[1]" in said(owner, 1)
        owner.counter.talks[0].trips.clear()
        (look,) = owner.look_at_the_inbox().looks
        assert look.next_uid == 3 and owner.counter.talks[0].trips == []


def test_a_burst_between_signs_is_taken_whole(owner: Owner) -> None:
    with listened_to(owner.inbox):
        for number in range(30):
            owner.put((EX, FRIEND)[number % 2] % (10 + number, number))
            time.sleep(number % 3 * 0.1)
        until = time.monotonic() + 5
        taken = 0
        while taken < 15 and time.monotonic() < until:
            taken += owner.look_at_the_inbox().matches
            time.sleep(0.05)
    assert taken == 15
    assert set(sealed(owner)) == {EX % (10 + number, number) for number in range(0, 30, 2)}
    assert owner.client.select("INBOX", readonly=True) == ("OK", [b"16"])


@pytest.mark.parametrize("octets", [EX % (1, 1) + b"x" * SMALL, b"".join([EX % (1, 1), b"line\r\n" * 60_000])])
def test_a_large_message_is_left_to_the_look(owner: Owner, octets: bytes) -> None:
    with listened_to(owner.inbox) as bell:
        owner.counter.forget()
        owner.put(octets)
        bell.wait(2)
        assert b"BODY.PEEK[]" not in said(owner, 1)
        assert owner.look_at_the_inbox().matches == 1
        assert b"EXAMINE" in said(owner, 0)
    assert sealed(owner) == [octets]


def test_nothing_is_removed_of_what_was_not_sealed_although_the_inbox_was_being_opened(owner: Owner) -> None:
    with listened_to(owner.inbox) as bell:
        owner.put(EX % (1, 1))
        bell.wait(2)
        owner.counter.talks[0].trips.clear()
        owner.sealer.fail = SealError("the archive is full")
        assert owner.look_at_the_inbox().problems
        until = time.monotonic() + 2
        while b"SELECT" not in said(owner, 0):  # nobody has waited for the answer
            assert time.monotonic() < until, "it was not being opened"
        assert b"STORE" not in said(owner, 0) and b"EXPUNGE" not in said(owner, 0)
        assert owner.ledger.cursors("home")["INBOX"].next_uid == 2, "the cursor waits for it"
        owner.sealer.fail = None
        assert owner.look().matches == 1
    assert owner.client.select("INBOX", readonly=True) == ("OK", [b"1"])


def test_whoever_is_listed_by_the_time_of_the_look_is_left_to_the_whole_look(owner: Owner) -> None:
    """His message was handed over by its header alone, and what the cursor moves over must have been decided on."""
    with listened_to(owner.inbox, lambda _envelope: False) as bell:
        owner.put(EX % (1, 1))
        bell.wait(2)
        owner.look_at_the_inbox()
        assert owner.sealer.records == {}
        assert owner.ledger.cursors("home")["INBOX"].next_uid == 2
        assert owner.look().matches == 1
    assert len(owner.sealer.records) == 1


def test_what_was_handed_over_counts_for_nothing_where_the_inbox_is_doubted(
    owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    with listened_to(owner.inbox) as bell:
        owner.put(EX % (1, 1))
        bell.wait(2)
        now = time.monotonic
        monkeypatch.setattr("nocontactd.sources.imap.mailbox.time.monotonic", lambda: now() + THOROUGH + 1)
        owner.counter.talks[0].trips.clear()
        assert owner.look_at_the_inbox().matches == 1
        assert b"EXAMINE" in said(owner, 0)


def test_what_was_numbered_anew_since_the_sign_is_not_removed(owner: Owner) -> None:
    """The UIDVALIDITY that counts is that of the opening for removing."""
    with listened_to(owner.inbox) as bell:
        owner.put(EX % (1, 1))
        bell.wait(2)
        (came,) = owner.inbox._box.take()
        before = came.look.uidvalidity - 1
        (whole,) = came.wholes
        envelopes = [replace(e, ref=replace(e.ref, uidvalidity=before)) for e in (whole.envelope, *came.envelopes)]
        earlier = replace(
            came,
            look=replace(came.look, uidvalidity=before),
            envelopes=tuple(envelopes[1:]),
            wholes=(replace(whole, envelope=envelopes[0]),),
        )
        owner.inbox._box.put(earlier)
        cursor = owner.ledger.cursors("home")["INBOX"]
        owner.ledger.advance("home", [replace(cursor, uidvalidity=before)])
        owner.counter.talks[0].trips.clear()
        assert owner.look_at_the_inbox().matches == 1
        assert b"SELECT" in said(owner, 0) and b"STORE" not in said(owner, 0)
    assert owner.client.select("INBOX", readonly=True) == ("OK", [b"2"])


def test_whatever_is_asked_while_a_folder_is_being_opened_hears_its_own_answer(owner: Owner) -> None:
    session = owner.mailbox._connected()
    session.start_selecting("Junk")
    assert session.examine("INBOX").exists == 1
    session.start_selecting("no such folder")
    assert session.examine("INBOX").exists == 1
    session.start_selecting("INBOX")
    assert session.search("ALL") == [1]
    session.start_selecting("INBOX")
    assert session.select("INBOX").writable
    session.start_selecting("no such folder")
    with pytest.raises(RefusedError):
        session.select("no such folder")
    assert session.alive


def test_a_connection_that_died_meanwhile_costs_the_quick_way_alone(owner: Owner) -> None:
    with listened_to(owner.inbox) as bell:
        owner.put(EX % (1, 1))
        bell.wait(2)
        session = owner.mailbox._session
        assert session
        session.cut()
        owner.look_at_the_inbox()
        assert len(owner.sealer.records) == 1
        owner.look()
    assert len(owner.sealer.records) == 1
    assert owner.ledger.open("home") == []
    assert owner.client.select("INBOX", readonly=True) == ("OK", [b"1"])


@contextmanager
def awake_for(owner: Owner, user: str, password: str, seconds: float) -> Iterator[tuple[Bell, list[Arrival]]]:
    """A listener that stays awake for so long after a listed message; its bell, and what it hands over."""
    with handing_over(owner.counter, user, password, awake=seconds) as (bell, handed):
        bell.wait(1)
        time.sleep(0.1)
        owner.counter.forget()
        yield bell, handed


def test_who_writes_again_is_found_sooner_than_the_server_tells_in_idle(owner: Owner) -> None:
    """Dovecot holds each notice back for half a second."""
    took: list[float] = []
    with listened_to(owner.inbox) as bell:
        for number in range(4):
            began = time.monotonic()
            owner.put(EX % (number, number))
            bell.wait(2 + number)
            took.append(time.monotonic() - began)
            owner.look_at_the_inbox()
            time.sleep(0.7)
    assert min(took[1:]) < took[0] / 2, took
    assert len(owner.sealer.records) == 4


def test_idles_after_a_listed_message_get_ever_longer_and_are_few() -> None:
    since, idles = 0.0, 0
    while since < AWAKE and idles < 1000:
        since, idles = since + short(since), idles + 1
    assert idles == 31 and since < 11


def test_after_a_listed_message_a_few_idles_are_short_and_then_no_more(
    owner: Owner, server: Dovecot, tmp_path: Path
) -> None:
    with awake_for(owner, tmp_path.name, server.password, 1) as (bell, _):
        owner.put(EX % (1, 1))
        bell.wait(2)
        time.sleep(1.5)
        idles = said(owner, 1).count(b" IDLE\r\n")
        assert 3 <= idles <= 7, "the last one of them is long again"
        time.sleep(0.5)
        assert said(owner, 1).count(b" IDLE\r\n") == idles
        assert len(bell.times) == 2, "where nothing came, nobody looks"


def test_nobody_else_keeps_a_listener_awake(owner: Owner, server: Dovecot, tmp_path: Path) -> None:
    with awake_for(owner, tmp_path.name, server.password, 1) as (bell, handed):
        owner.put(FRIEND % (1, 1))
        bell.wait(2)
        time.sleep(0.3)
        assert said(owner, 1).count(b" IDLE\r\n") == 1
        owner.put(EX % (1, 1))
        bell.wait(3)
        for number in range(8):
            owner.put(FRIEND % (2 + number, 2 + number))
            time.sleep(0.3)
        asked = said(owner, 1).count(b" UID FETCH ")
        assert said(owner, 1).count(b" IDLE\r\n") <= asked + 6
        assert sum(len(each.envelopes) for each in handed) == 10, "and all of theirs was heard of"


def test_what_is_removed_while_a_listener_is_awake_does_not_confuse_its_numbers(
    owner: Owner, server: Dovecot, tmp_path: Path
) -> None:
    with awake_for(owner, tmp_path.name, server.password, 5) as (bell, handed):
        for number in range(4):
            owner.put(EX % (number, number))
            bell.wait(2 + number)
            owner.client.select("INBOX")
            owner.client.store("2", "+FLAGS.SILENT", "(\\Deleted)")
            owner.client.expunge()
            time.sleep(0.6)
        assert b"EXAMINE" not in said(owner, 1), "never opened anew"
    assert [[each.ref.uid for each in one.envelopes] for one in handed] == [[str(uid)] for uid in range(2, 6)]


def test_pymap_is_listened_to_in_the_same_way() -> None:
    with pymap_server() as server, trip_counter(server.host, server.port) as counter:
        owner = Owner(server, counter, server.user, 0)
        owner.put(FRIEND % (1, 1))
        owner.look()
        with listened_to(owner.inbox) as bell:
            owner.put(EX % (1, 1))
            bell.wait(2)
            counter.talks[0].trips.clear()
            assert owner.look_at_the_inbox().matches == 1
            assert b"FETCH" not in said(owner, 0)
            time.sleep(0.8)
            owner.put(EX % (2, 2))
            bell.wait(3)
            counter.talks[0].trips.clear()
            assert owner.look_at_the_inbox().matches == 1
            assert b"FETCH" not in said(owner, 0)
            assert said(owner, 1).count(b" IDLE\r\n") >= 4 and len(counter.talks) == 2
        assert owner.client.select("INBOX", readonly=True) == ("OK", [b"1"])
        owner.mailbox.close()
        owner.client.logout()


def arrival(first: int, next_uid: int, *uids: int, uidvalidity: int = 7, folder: str = "INBOX") -> Arrival:
    envelopes = tuple(_envelope(uid, uidvalidity, folder) for uid in uids)
    return Arrival(first, Look(folder, uidvalidity, next_uid, next_uid - 1), envelopes, ())


def _envelope(uid: int, uidvalidity: int, folder: str) -> Envelope:
    return Envelope(MessageRef("home", folder, uidvalidity, str(uid)), Channel.MAIL, (), NOW)


CURSOR = Cursor("INBOX", 7, 10, "rules")


@pytest.mark.parametrize(
    ("arrivals", "found"),
    [
        ([arrival(10, 12, 10, 11)], ([10, 11], 12)),
        ([arrival(8, 12, 8, 9, 11)], ([11], 12)),
        ([arrival(8, 11, 8, 10), arrival(11, 13, 12)], ([10, 12], 13)),
        ([arrival(8, 9, 8), arrival(9, 11, 10)], ([10], 11)),
        ([arrival(8, 10, 8, 9)], None),
        ([], None),
        ([arrival(11, 12, 11)], None),
        ([arrival(10, 11, 10), arrival(12, 13, 12)], None),
        ([arrival(10, 12, 11, uidvalidity=8)], None),
        ([arrival(10, 11, 10), arrival(11, 12, 11, uidvalidity=8)], None),
        ([arrival(10, 12, 11, folder="Inbox")], None),
    ],
)
def test_what_was_handed_over_counts_where_it_follows_on_from_the_cursor(
    arrivals: Sequence[Arrival], found: tuple[list[int], int] | None
) -> None:
    one = following(arrivals, CURSOR)
    assert (one and ([int(each.ref.uid) for each in one.envelopes], one.look.next_uid)) == found


def test_of_too_many_signs_during_one_look_the_oldest_are_forgotten_and_so_none_follows_on() -> None:
    box = Box()
    for uid in range(10, 30):
        box.put(arrival(uid, uid + 1, uid))
    assert following(box.take(), CURSOR) is None
    assert box.take() == []


HEAD = b"From: ex@abuser.example\r\nMessage-ID: <1@abuser.example>\r\n\r\n"
BODY = HEAD + b"answer me\r\n"
DATE = b'INTERNALDATE "27-Nov-2026 09:00:00 +0000"'


def header(uid: int, size: int = len(BODY), number: int = 1) -> bytes:
    return b"* %d FETCH (UID %d RFC822.SIZE %d %b BODY[HEADER]<0> {%d}\r\n%b)\r\n" % (
        *(number, uid, size, DATE, len(HEAD), HEAD),
    )


def body(uid: int, octets: bytes = BODY) -> bytes:
    return b"* 1 FETCH (UID %d RFC822.SIZE %d %b BODY[]<0> {%d}\r\n%b)\r\n" % (
        *(uid, len(octets), DATE, len(octets), octets),
    )


def announcing(*lines: bytes) -> Callable[[socket.socket, Lines], None]:
    def idle(client: socket.socket, said: Lines) -> None:
        client.sendall(b"+ idling\r\n" + b"".join(line + b"\r\n" for line in lines))
        assert next(said) == b"DONE"

    return idle


@contextmanager
def handing_over(
    server: Tricks | TripCounter, user: str = "me", password: str = "secret", **limits: float
) -> Iterator[tuple[Bell, list[Arrival]]]:
    handed: list[Arrival] = []
    bell = Bell()
    with listening(
        *(server.port, user, password, bell),
        bring=lambda session, where, uids: bring(session, "home", where, uids, Reader(), seals),
        put=handed.append,
        **limits,
    ):
        yield bell, handed


def test_what_came_is_handed_over_before_the_ring() -> None:
    with (
        tricks(announcing(b"* 1 EXISTS"), fetches=[header(1), body(1)]) as server,
        handing_over(server) as (bell, told),
    ):
        bell.wait(2)
        (one,) = told
        assert (one.first, one.look) == (1, Look("INBOX", 1, 2, 1))
        assert [each.ref.uid for each in one.envelopes] == ["1"]
        assert [whole.octets for whole in one.wholes] == [BODY]
        time.sleep(0.1)
        assert len(bell.times) == 2, "no look more than that: nothing can have come unheard"


ODD = {
    "fewer than announced": ([b"* 2 EXISTS"], [header(1), body(1)]),
    "more than announced": ([b"* 1 EXISTS"], [header(1) + header(2), body(1) + body(2)]),
    "nothing": ([b"* 1 EXISTS"], [b"* 1 FETCH (FLAGS ())\r\n"]),
    "what was not asked for": ([b"* 1 EXISTS"], [header(100)]),
    "expunged meanwhile": ([b"* 1 EXISTS"], [header(1) + b"* 1 EXPUNGE\r\n", body(1)]),
    "expunged in the answer to the second question": ([b"* 1 EXISTS"], [header(1), body(1) + b"* 1 EXPUNGE\r\n"]),
    "gone before its octets": ([b"* 1 EXISTS"], [header(1), b"* OK nothing\r\n"]),
    "an invented body": ([b"* 1 EXISTS"], [header(1), body(1, HEAD + b"message unavailable\r\n")]),
    "another message": ([b"* 1 EXISTS"], [header(1), body(1, BODY.replace(b"<1@", b"<2@"))]),
    "a body cut short": ([b"* 1 EXISTS"], [header(1), body(1).replace(b"SIZE %d" % len(BODY), b"SIZE 9999")]),
    "refused": ([b"* 1 EXISTS"], [b"TAG NO [SERVERBUG] no\r\n"]),
    "expunged, and so refused": ([b"* 1 EXISTS"], [b"TAG NO [EXPUNGEISSUED] gone\r\n"]),
    "too many": ([b"* %d EXISTS" % (AHEAD + 1)], [b"".join(header(uid + 1) for uid in range(AHEAD))]),
    "too large": ([b"* 1 EXISTS"], [header(1, SMALL + 1)]),
    "one of them expunged": ([b"* 2 EXISTS", b"* 2 EXPUNGE"], [header(1), body(1)]),
}


@pytest.mark.parametrize("what", ODD)
def test_of_what_is_odd_only_the_ring_is_left_and_the_connection_stays(what: str) -> None:
    lines, fetches = ODD[what]
    with tricks(announcing(*lines), fetches=fetches) as server, handing_over(server) as (bell, told):
        bell.wait(3)  # at first, for what came, and once more when it lies in IDLE again
        assert told == []
        assert len(server.connections) == 1


def test_after_something_odd_the_inbox_is_opened_anew_and_then_handed_over_again() -> None:
    idles = (announcing(b"* 2 EXISTS"), announcing(b"* 1 EXISTS"))
    with tricks(*idles, fetches=[header(1), body(1), header(1), body(1)]) as server:
        with handing_over(server) as (bell, told):
            bell.wait(4)
            assert len(told) == 1
        assert sum(command.startswith(b"EXAMINE") for command in server.asked) == 2


def test_what_comes_while_it_is_asked_is_asked_for_in_the_next_round() -> None:
    fetches = [header(1) + b"* 2 EXISTS\r\n", body(1), header(2, number=2), body(2)]
    with tricks(announcing(b"* 1 EXISTS"), fetches=fetches) as server, handing_over(server) as (bell, told):
        bell.wait(3)
        assert [(one.first, one.look.next_uid, one.look.exists) for one in told] == [(1, 2, 1), (2, 3, 2)]
        assert len(server.connections) == 1


def test_a_sign_in_one_segment_with_the_next_idle_is_not_lost() -> None:
    def at_once(client: socket.socket, said: Lines) -> None:
        client.sendall(b"* 2 EXISTS\r\n+ idling\r\n")
        assert next(said) == b"DONE"

    fetches = [header(1), body(1), header(2, number=2), body(2)]
    with tricks(announcing(b"* 1 EXISTS"), at_once, fetches=fetches) as server, handing_over(server) as (bell, told):
        bell.wait(3)
        assert [one.first for one in told] == [1, 2]


def test_a_server_that_hangs_up_over_it_gets_plain_signs_from_then_on() -> None:
    idles = (announcing(b"* 1 EXISTS"), announcing(b"* 1 EXISTS"))
    with tricks(*idles, fetches=[b""]) as server, handing_over(server) as (bell, told):
        bell.wait(2)  # at once, although the connection was lost
        bell.wait(4)
        assert told == [] and len(server.connections) == 2
        assert sum(command.startswith(b"UID FETCH") for command in server.asked) == 1


def test_leave_that_is_taken_in_the_flight_is_heard() -> None:
    def leaves(client: socket.socket, said: Lines) -> None:
        client.sendall(b"+ idling\r\n* 1 EXISTS\r\n")
        next(said)
        client.sendall(b"* BYE\r\n")

    with tricks(leaves) as server, handing_over(server) as (bell, told):
        bell.wait(3)
        assert told == [] and len(server.connections) == 2


def two() -> list[bytes]:
    """The answers about two listed messages, one after the other."""
    return [header(1), body(1), header(2, number=2), body(2)]


def says_at_its_end(*lines: bytes) -> Callable[[socket.socket, Lines], None]:
    def idle(client: socket.socket, said: Lines) -> None:
        client.sendall(b"+ idling\r\n")
        assert next(said) == b"DONE"
        client.sendall(b"".join(line + b"\r\n" for line in lines))

    return idle


def test_what_is_said_at_the_end_of_a_short_idle_is_handed_over_and_rung_for_once() -> None:
    with (
        tricks(announcing(b"* 1 EXISTS"), says_at_its_end(b"* 2 EXISTS"), fetches=two()) as server,
        handing_over(server) as (bell, told),
    ):
        bell.wait(3)
        assert [(one.first, one.look.next_uid) for one in told] == [(1, 2), (2, 3)]
        time.sleep(0.3)
        assert len(bell.times) == 3 and len(server.connections) == 1


def test_what_is_expunged_at_the_end_of_a_short_idle_is_counted() -> None:
    fetches = [header(1), body(1), header(2), body(2)]
    with (
        tricks(announcing(b"* 1 EXISTS"), says_at_its_end(b"* 1 EXPUNGE", b"* 1 EXISTS"), fetches=fetches) as server,
        handing_over(server) as (bell, told),
    ):
        bell.wait(3)
        assert [(one.first, one.look.exists) for one in told] == [(1, 1), (2, 1)]


def test_a_sign_of_another_folder_at_the_end_of_a_short_idle_rings() -> None:
    junk = b"* STATUS Junk (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 1)"
    with (
        tricks(announcing(b"* 1 EXISTS"), says_at_its_end(junk), fetches=two()) as server,
        handing_over(server) as (bell, _),
    ):
        bell.wait(3)
        time.sleep(0.2)
        assert len(bell.times) == 3 and len(server.connections) == 1


@pytest.mark.parametrize("idle", [says_at_its_end(b"* BYE"), closes, deaf])
def test_a_connection_lost_in_a_short_idle_is_made_anew_and_rings_and_its_idles_are_long(
    idle: Callable[[socket.socket, Lines], None],
) -> None:
    idles = (announcing(b"* 1 EXISTS"), idle)
    with tricks(*idles, fetches=two()) as server, handing_over(server, answer=0.3) as (bell, _):
        bell.wait(3)
        time.sleep(0.5)
        assert len(server.connections) == 2 and len(bell.times) == 3
        assert server.asked.count(b"IDLE") == 3

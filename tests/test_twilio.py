"""A number through the real SDK over real HTTP: what comes in is found, sealed whole, removed; what went out stands."""

import gc
import gzip
import hashlib
import io
import json
import logging
import os
import ssl
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FunctionType, ModuleType

import pytest
import requests
from twilio.base.exceptions import TwilioException
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

from nocontactd import shipped
from nocontactd.decide import Policy, policy
from nocontactd.demo import twilio_resource
from nocontactd.demo.loopback import Answer, Fault, HangUpError, Loopback, Request
from nocontactd.demo.twilio_resource import Resource
from nocontactd.demo.twilio_standin import TwilioStandin, error
from nocontactd.errors import CredentialError, NocontactError, SourceError, UnknownOutcomeError, UnreachableError
from nocontactd.model import (
    Channel,
    Cursor,
    Disposition,
    Envelope,
    Kind,
    Look,
    MessageRef,
    Original,
    Receipt,
    Rule,
)
from nocontactd.poll import poll
from nocontactd.reading import Reader
from nocontactd.relay import PATIENCE
from nocontactd.sources.twilio import Number
from nocontactd.sources.twilio.account import PAGE
from nocontactd.sources.twilio.passing import LONGEST, TRIAL, came_round, compose
from nocontactd.sources.twilio.settings import UNREADABLE
from nocontactd.sources.twilio.wire import WAITS, Wire
from tests.fuse import Died, Fuse
from tests.looking import everybody
from tests.memory_archive import MemoryLedger, MemorySealer
from tests.peers.authority import certify

NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
MINE = "+14155550100"
OWNER = "+14155550199"
EX = "+447700900123"
FRIEND = "+14155550142"
JPEG = (b"\xff\xd8\xff\xe0" + bytes(range(256)) * 1024, "image/jpeg")
TOO_MANY = error(429, 20429, "Too Many Requests")
BROKEN = error(500, 20500, "Internal Server Error")


class World:
    """A number at Twilio, a clock, and the Source that looks at it."""

    def __init__(self, twilio: TwilioStandin, clock: "Clock") -> None:
        self.twilio = twilio
        self.clock = clock
        self.slept: list[float] = []
        self.sources: list[Number] = []
        self.number = self.source()

    def source(self, **other: object) -> Number:
        facts: dict[str, object] = {
            "name": "number",
            "account": self.twilio.account,
            "number": MINE,
            "secret": lambda: "token",
            "relay_to": OWNER,
            "relay_since": NOW - HOUR,
            "api_base": self.twilio.url,
            "now": self.clock,
            "sleep": self.slept.append,
        }
        self.sources.append(Number(**(facts | other)))  # type: ignore[arg-type]
        return self.sources[-1]

    def arrives(self, body: str = "hi", from_: str = FRIEND, ago: timedelta = 0 * HOUR, **more: object) -> MessageRef:
        to = more.pop("to", MINE)
        date = self.clock() - ago
        return ref(self.twilio.arrives(from_=from_, to=to, body=body, date=date, **more))  # type: ignore[arg-type]

    def scan(self, cursor: Cursor | None = None, rules: str = "r", source: Number | None = None) -> list[Envelope]:
        """What is new; and what is older, where there is no cursor by these rules."""
        source = source or self.number
        *items, self.look = source.scan({"": cursor} if cursor else {}, rules)
        assert isinstance(self.look, Look)
        new = {item.ref: item for item in items if isinstance(item, Envelope)}
        if cursor and cursor.rules == rules:
            return [*new.values()]
        below = Cursor("", 0, self.look.next_uid, rules, self.look.next_uid)
        older = {each.ref: each for stretch in source.older(below, everybody) for each in stretch.envelopes}
        return [*(older | new).values()]

    def fetch(self, where: MessageRef) -> dict[str, bytes]:
        original = self.number.fetch(where)
        assert original is not None
        return read(original)

    def outbound(self) -> list[Resource]:
        return [each for each in self.twilio.messages()[::-1] if each["direction"] != "inbound"]

    @property
    def sent(self) -> list[str]:
        """What was passed on, oldest first."""
        return [each["body"] for each in self.outbound()]

    def requests(self, method: str = "", path: str = "") -> list[Request]:
        found = self.twilio.http.requests
        return [each for each in found if method in ("", each.method) and path in each.path]


class Clock:
    def __init__(self) -> None:
        self.at = NOW

    def __call__(self) -> datetime:
        return self.at


def ref(sid: str) -> MessageRef:
    return MessageRef("number", "", 0, sid)


def receipt(where: MessageRef) -> Receipt:
    return Receipt("2026-03-04/000001", where)


def read(original: Original) -> dict[str, bytes]:
    parts = {}
    for part in original.parts:
        octets = b"".join(part.chunks)
        assert len(octets) == part.size
        parts[part.name] = octets
    return parts


def cursor(at: datetime, rules: str = "r") -> Cursor:
    return Cursor("", 0, int(at.timestamp()), rules)


def sids(envelopes: Iterable[Envelope]) -> list[str]:
    return [each.ref.uid for each in envelopes]


@pytest.fixture
def world() -> Iterator[World]:
    clock = Clock()
    with TwilioStandin(numbers=[MINE], now=clock) as twilio:
        world = World(twilio, clock)
        yield world
        for source in world.sources:
            source.close()


# What a look finds


def test_the_first_look_goes_through_the_whole_history_as_a_sweep(world: World) -> None:
    old = world.arrives(ago=300 * 24 * HOUR)
    young = world.arrives(ago=HOUR / 2)
    found = {each.ref: each.arrival for each in world.scan()}
    assert found == {old: False, young: True}  # since the first start, an hour ago
    assert world.look == Look("", 0, int(NOW.timestamp()), 1)


def test_an_envelope_says_who_when_and_by_which_channel(world: World) -> None:
    world.arrives("secret words", EX, ago=HOUR)
    [found] = world.scan()
    assert [(each.field, each.address, each.name) for each in found.authors] == [("from", EX, "")]
    assert (found.arrived, found.channel, found.size) == (NOW - HOUR, Channel.SMS, 0)
    assert "secret" not in repr(found)


def test_mail_that_a_gateway_sends_on_as_a_text_is_its_writers(world: World) -> None:
    where = world.arrives("FRM:ex@abuser.example\nMSG:secret words", "72345")
    source = world.source(reader=Reader(catalogue=shipped.services()))
    [found] = world.scan(source=source)
    assert [(each.field, each.address) for each in found.authors] == [("from", "72345"), ("text", "ex@abuser.example")]
    assert "secret" not in repr(found)
    original = source.fetch(where)
    assert original is not None
    assert original.envelope.authors == found.authors


@pytest.mark.parametrize(
    ("sender", "to", "media", "channel"),
    [
        (EX, MINE, [JPEG], Channel.MMS),
        (f"whatsapp:{EX}", f"whatsapp:{MINE}", [JPEG], Channel.WHATSAPP),
        (f"rcs:{EX}", MINE, [], Channel.RCS),
        ("ExPartner", MINE, [], Channel.SMS),
    ],
)
def test_the_channel_is_read_from_prefix_and_files(
    world: World, sender: str, to: str, media: list[tuple[bytes, str]], channel: Channel
) -> None:
    world.arrives("", sender, to=to, media=media)
    assert [(each.channel, each.authors[0].address) for each in world.scan()] == [(channel, sender)]


def test_a_text_without_a_sender_has_no_author(world: World) -> None:
    where = world.arrives(from_="")
    world.twilio.alter(where.uid, **{"from": None})
    assert [each.authors for each in world.scan()] == [()]


def test_only_what_came_in_to_this_number_is_looked_at(world: World) -> None:
    world.arrives(to="+14155550177")
    world.number.send(world.arrives("mine"), repeat=False)
    assert len(world.twilio.messages()) == 3
    assert [each.ref.uid for each in world.scan()] == [world.twilio.messages()[1]["sid"]]
    listed = [dict(each.query) for each in world.requests("GET", "/Messages.json")]
    assert {each["To"] for each in listed} == {MINE, f"whatsapp:{MINE}"}


def test_what_the_number_sent_to_itself_is_not_looked_at(world: World) -> None:
    sid = world.twilio.arrives(from_=OWNER, to=MINE)
    world.twilio.alter(sid, direction="outbound-api")
    assert world.scan() == []
    assert world.scan(cursor(NOW)) == []


def test_pages_of_bounded_size_are_all_read_and_no_text_is_seen_twice(world: World) -> None:
    refs = [world.arrives(ago=timedelta(minutes=n)) for n in range(PAGE + 50)]
    for known in (None, cursor(NOW)):
        found = world.scan(known)
        assert sorted(sids(found)) == sorted(each.uid for each in refs)
        assert world.look.exists == sum(each.arrival for each in found)
    assert {dict(each.query)["PageSize"] for each in world.requests("GET", "/Messages.json")} == {str(PAGE)}


def test_a_look_goes_back_48_hours_before_the_last_one_began_in_utc(world: World) -> None:
    inside = world.arrives(ago=timedelta(hours=47))
    world.arrives(ago=timedelta(hours=49))
    found = world.scan(cursor(NOW))
    assert [(each.ref, each.arrival) for each in found] == [(inside, True)]
    asked = {dict(each.query).get("DateSent>") for each in world.requests("GET", "/Messages.json")}
    assert asked == {"2026-03-02T12:00:00Z", None}


def test_the_window_is_in_utc_wherever_the_machine_stands(world: World) -> None:
    inside = world.arrives(ago=timedelta(hours=47))
    east = datetime.fromtimestamp(NOW.timestamp(), tz=UTC)
    world.clock.at = east.astimezone(datetime.strptime("+1300", "%z").tzinfo)
    world.scan()
    assert sids(world.scan(Cursor("", 0, world.look.next_uid, "r"))) == [inside.uid]
    assert dict(world.requests("GET", "/Messages.json")[-4].query)["DateSent>"] == "2026-03-02T12:00:00Z"


def test_other_rules_make_a_sweep_in_which_what_no_look_covered_is_still_an_arrival(world: World) -> None:
    swept = world.arrives(ago=timedelta(hours=60))
    overlap = world.arrives(ago=timedelta(hours=30))
    new = world.arrives(ago=timedelta(hours=1))
    found = {each.ref: each.arrival for each in world.scan(cursor(NOW - timedelta(hours=2), "other"))}
    assert found == {swept: False, overlap: True, new: True}


def test_a_null_date_sent_hides_no_text(world: World) -> None:
    where = world.arrives(dated=False, ago=HOUR)
    for known in (None, cursor(NOW), cursor(NOW, "other")):
        [found] = world.scan(known)
        assert (found.ref, found.arrived) == (where, NOW - HOUR)


def test_a_look_at_what_is_new_costs_no_more_when_there_is_much_that_is_old(world: World) -> None:
    for n in range(PAGE + 1):
        world.arrives(ago=timedelta(days=3, minutes=n))
    assert world.scan(cursor(NOW)) == []
    assert len(world.requests()) == 4


def test_a_text_whose_files_are_still_coming_is_left_to_a_later_look_and_then_taken(world: World) -> None:
    where = world.arrives("", media=[JPEG], status="receiving", dated=False)
    assert world.scan() == []
    after = Cursor("", 0, world.look.next_uid, "r")
    world.clock.at += timedelta(minutes=59)
    assert world.scan(after) == []
    world.twilio.alter(where.uid, status="received", date_sent=twilio_resource.stamp(NOW))
    assert sids(world.scan(after)) == [where.uid]


def test_a_text_that_receives_for_more_than_an_hour_is_taken_as_it_is(world: World) -> None:
    where = world.arrives("", media=[JPEG], status="receiving", dated=False)
    world.scan()
    world.clock.at += HOUR
    assert sids(world.scan(Cursor("", 0, world.look.next_uid, "r"))) == [where.uid]


def test_a_clock_that_runs_ahead_carries_no_look_past_what_comes_meanwhile(world: World) -> None:
    world.number = world.source(now=lambda: NOW + timedelta(days=10))
    world.scan()
    world.number = world.source()
    where = world.arrives()
    assert sids(world.scan(Cursor("", 0, world.look.next_uid, "r"))) == [where.uid]


def test_each_look_begins_on_a_new_connection_and_keeps_it(world: World) -> None:
    """An idle one may be ended by the server just as it is used, and the look would fail."""
    ports = []
    for _ in range(2):
        world.scan()
        ports.append({each.port for each in world.requests()})
        world.twilio.http.requests.clear()
    assert [len(each) for each in ports] == [1, 1]
    assert ports[0] != ports[1]


def test_the_cursor_is_the_moment_the_look_began(world: World) -> None:
    world.arrives()
    world.twilio.http.after = lambda _: setattr(world.clock, "at", world.clock.at + HOUR)
    world.scan()
    assert world.look.next_uid == int(NOW.timestamp())


def test_a_later_look_begins_later(world: World) -> None:
    world.scan()
    world.clock.at += HOUR
    world.scan()
    assert world.look.next_uid == int((NOW + HOUR).timestamp())


def test_the_environment_is_never_asked_for_an_account(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK would take another account's token, and another region, from there."""
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", "token")
    monkeypatch.setenv("TWILIO_REGION", "ie1")
    world.arrives()
    assert len(world.scan()) == 1
    with pytest.raises(CredentialError):
        world.scan(source=world.source(secret=lambda: ""))


def test_an_api_key_logs_in_with_its_own_secret(world: World) -> None:
    world.twilio.user = "SK" + "1" * 32
    world.arrives()
    assert len(world.scan(source=world.source(api_key="SK" + "1" * 32))) == 1
    with pytest.raises(CredentialError):
        world.scan()


# What goes on to the owner's own phone


def test_only_texts_since_the_first_start_are_to_be_passed_on(world: World) -> None:
    world.arrives("old", ago=timedelta(hours=2))
    new = world.arrives("new", ago=timedelta(minutes=1))
    for known in (None, cursor(NOW), cursor(NOW, "other")):
        assert [each.ref for each in world.scan(known) if each.relay] == [new]


def test_a_sweep_for_new_rules_passes_nothing_on_a_second_time(world: World) -> None:
    """The ledger need not remember for ever what was passed on."""
    world.number = world.source(relay_since=NOW - timedelta(days=300))
    world.arrives("long since passed on", ago=timedelta(days=100))
    recent = world.arrives("perhaps not", ago=timedelta(hours=40))
    assert [each.ref for each in world.scan(cursor(NOW, "other")) if each.relay] == [recent]


def test_a_text_of_the_very_second_of_the_first_start_is_passed_on(world: World) -> None:
    world.number = world.source(relay_since=NOW + timedelta(milliseconds=700))
    world.arrives()
    assert [each.relay for each in world.scan()] == [True]


@pytest.mark.parametrize("sender", [OWNER, "+1 (415) 555-0199", f"whatsapp:{OWNER}", MINE])
def test_the_owners_own_texts_do_not_come_round_again(world: World, sender: str) -> None:
    world.arrives(from_=sender)
    assert [each.relay for each in world.scan()] == [False]


def test_without_a_phone_to_pass_on_to_nothing_is_passed_on(world: World) -> None:
    world.arrives()
    assert [each.relay for each in world.scan(source=world.source(relay_to=None))] == [False]


def test_a_text_goes_on_with_its_sender_from_the_number_to_the_owners_phone(world: World) -> None:
    sid = world.number.send(world.arrives("dinner at seven? 🍝"), repeat=False)
    [sent] = world.outbound()
    assert (sent["sid"], sent["from"], sent["to"]) == (sid, MINE, OWNER)
    assert sent["body"] == f"From {FRIEND}: dinner at seven? 🍝"


def test_a_repeat_is_marked(world: World) -> None:
    world.number.send(world.arrives("dinner"), repeat=True)
    assert world.sent == [f"(perhaps a repeat) From {FRIEND}: dinner"]


def test_of_pictures_a_notice_goes_on(world: World) -> None:
    world.number.send(world.arrives("look", media=[JPEG]), repeat=False)
    assert world.sent == [f"From {FRIEND}: look\n(with pictures or files, which stay at the number)"]
    assert all("MediaUrl" not in dict(each.form) for each in world.requests("POST"))


def test_a_text_too_long_for_one_message_goes_on_whole_in_several(world: World) -> None:
    body = " ".join(f"word{n}" for n in range(400)) + " 🙂" * 300
    where = world.arrives(body)
    last = world.number.send(where, repeat=False)
    mark = where.uid[-4:]
    assert [each[: len(f"(1/3 {mark}) ")] for each in world.sent] == [f"({n}/3 {mark}) " for n in (1, 2, 3)]
    assert "".join(each.split(") ", 1)[1] for each in world.sent) == f"From {FRIEND}: {body}"
    assert last == world.outbound()[-1]["sid"]
    assert world.number.find(where, NOW, frozenset()) == last


def test_what_was_sent_in_part_is_an_unknown_outcome_and_not_found(world: World) -> None:
    where = world.arrives("x " * 1500)
    world.twilio.fail(Fault(answer=error(400, 30001, "Queue overflow")), method="POST", skip=1)
    with pytest.raises(UnknownOutcomeError):
        world.number.send(where, repeat=False)
    assert len(world.sent) == 1
    assert world.number.find(where, NOW, frozenset()) is None
    world.number.send(where, repeat=False)
    assert world.number.find(where, NOW, frozenset())
    for sent in world.outbound()[0::2]:
        world.twilio.alter(sent["sid"], status="failed")
    assert world.number.find(where, NOW, frozenset()) is None


def test_a_text_that_is_gone_is_not_passed_on(world: World) -> None:
    assert world.number.send(ref("SM" + "0" * 32), repeat=False) is None
    assert world.number.find(ref("SM" + "0" * 32), NOW, frozenset()) is None
    assert world.sent == []


def test_what_the_number_sent_is_never_passed_on(world: World) -> None:
    sid = world.number.send(world.arrives(), repeat=False)
    assert sid
    with pytest.raises(SourceError):
        world.number.send(ref(sid), repeat=False)


def test_half_a_surrogate_pair_holds_nothing_up(world: World) -> None:
    where = world.arrives("cut \ud83d")
    world.twilio.fail(Fault(answer=Answer(200, escaped(world, where))), method="GET", path=where.uid)
    assert world.number.send(where, repeat=False)
    assert world.sent == [f"From {FRIEND}: cut \ufffd"]


def escaped(world: World, where: MessageRef) -> bytes:
    [described] = [each for each in world.twilio.messages() if each["sid"] == where.uid]
    return json.dumps(described).encode()


def test_letters_beyond_ascii_survive_an_answer_that_names_no_charset(world: World) -> None:
    """The SDK's own client would guess one."""
    world.number.send(world.arrives("ça va ? ÆØÅ"), repeat=False)
    assert world.sent == [f"From {FRIEND}: ça va ? ÆØÅ"]


@pytest.mark.parametrize(
    ("fault", "failure", "arrived"),
    [
        (Fault(drop="before"), UnknownOutcomeError, 0),
        (Fault(drop="after"), UnknownOutcomeError, 1),
        (Fault(answer=BROKEN), UnknownOutcomeError, 0),
        (Fault(answer=error(503, 20503, "Service Unavailable")), UnknownOutcomeError, 0),
        (Fault(answer=Answer(201, b"<html>")), UnknownOutcomeError, 0),
        (Fault(answer=Answer(201, b"{}")), UnknownOutcomeError, 0),
        (Fault(cut=20), UnknownOutcomeError, 1),
        (Fault(answer=error(400, 21610, "unsubscribed recipient")), SourceError, 0),
        (Fault(answer=error(401, 20003, "Authenticate")), CredentialError, 0),
        (Fault(answer=error(403, 20403, "Forbidden")), CredentialError, 0),
    ],
)
def test_a_failed_sending_says_whether_it_may_have_been_sent(
    world: World, fault: Fault, failure: type[NocontactError], arrived: int
) -> None:
    where = world.arrives()
    world.twilio.fail(fault, method="POST")
    with pytest.raises(failure) as caught:
        world.number.send(where, repeat=False)
    assert type(caught.value) is failure
    assert len(world.sent) == arrived


def test_a_connection_refused_before_sending_is_certainly_not_sent(world: World) -> None:
    where = world.arrives()
    world.twilio.http.after = lambda _: world.twilio.http.stop()  # once the text was read, before it goes on
    world.twilio.fail(Fault(length=False))  # which ends the connection too
    with pytest.raises(UnreachableError):
        world.number.send(where, repeat=False)
    assert len(world.requests("GET", where.uid)) == 1


def test_429_is_tried_again_with_bounded_patience_even_in_sending(world: World) -> None:
    where = world.arrives()
    world.twilio.fail(Fault(answer=error(429, 20429, "Too Many Requests", ("Retry-After", "5"))), method="POST")
    world.twilio.fail(Fault(answer=TOO_MANY), method="POST")
    world.twilio.fail(Fault(answer=error(429, 20429, "Too Many Requests", ("Retry-After", "3600"))), method="POST")
    assert world.number.send(where, repeat=False)
    assert len(world.sent) == 1
    assert world.slept == [5.0, WAITS[1], WAITS[-1]]


def test_429_for_ever_is_certainly_not_sent(world: World) -> None:
    where = world.arrives()
    world.twilio.fail(Fault(answer=TOO_MANY), method="POST", times=10)
    with pytest.raises(SourceError) as caught:
        world.number.send(where, repeat=False)
    assert type(caught.value) is SourceError
    assert len(world.requests("POST")) == len(WAITS) + 1


# What was passed on is found again


def test_what_was_passed_on_is_found_by_its_words_marked_or_not(world: World) -> None:
    where = world.arrives("ok")
    assert world.number.find(where, NOW, frozenset()) is None
    first = world.number.send(where, repeat=False)
    assert world.number.find(where, NOW, frozenset()) == first
    assert first
    again = world.number.send(where, repeat=True)
    assert world.number.find(where, NOW, frozenset({first})) == again


def test_what_is_claimed_by_another_text_of_the_same_words_is_not_found(world: World) -> None:
    first, second = world.arrives("ok"), world.arrives("ok")
    sid = world.number.send(first, repeat=False)
    assert sid
    assert world.number.find(second, NOW, frozenset({sid})) is None


def test_what_was_passed_on_before_the_intent_is_not_found(world: World) -> None:
    where = world.arrives("ok")
    world.number.send(where, repeat=False)
    assert world.number.find(where, NOW + timedelta(minutes=4), frozenset())
    assert world.number.find(where, NOW + timedelta(minutes=6), frozenset()) is None


def test_another_senders_same_words_are_not_found(world: World) -> None:
    world.number.send(world.arrives("ok"), repeat=False)
    assert world.number.find(world.arrives("ok", "+14155550177"), NOW, frozenset()) is None


def test_what_another_number_sent_is_not_found(world: World) -> None:
    world.twilio._add(NOW, None, media=0, **outbound(f"From {FRIEND}: ok") | {"sender": "+14155550177"})
    assert world.number.find(world.arrives("ok"), NOW, frozenset()) is None


@pytest.mark.parametrize("status", ["failed", "undelivered", "canceled"])
def test_what_could_not_be_delivered_was_not_passed_on(world: World, status: str) -> None:
    where = world.arrives("ok")
    sid = world.number.send(where, repeat=False)
    assert sid
    world.twilio.alter(sid, status=status)
    assert world.number.find(where, NOW, frozenset()) is None


def test_a_queued_message_without_a_date_is_found(world: World) -> None:
    where = world.arrives("ok")
    world.number.send(where, repeat=False)
    assert world.outbound()[0]["date_sent"] is None
    assert world.number.find(where, NOW, frozenset())


def test_a_trial_accounts_line_does_not_hide_what_was_passed_on(world: World) -> None:
    where = world.arrives("ok ")
    sid = world.number.send(where, repeat=False)
    assert sid
    world.twilio.alter(sid, body=f"{TRIAL}From {FRIEND}: ok")
    assert world.number.find(where, NOW, frozenset()) == sid


def test_looking_for_what_was_passed_on_ends_where_it_is_too_old(world: World) -> None:
    where = world.arrives("ok")
    world.clock.at = NOW - 24 * HOUR
    for n in range(2 * PAGE):
        world.twilio._add(NOW - 24 * HOUR, None, media=0, **outbound(str(n)))
    world.clock.at = NOW
    assert world.number.find(where, NOW, frozenset()) is None
    assert len(world.requests("GET", "/Messages.json")) == 1


def outbound(body: str) -> dict[str, str]:
    return {"direction": "outbound-api", "sender": MINE, "to": OWNER, "body": body, "status": "sent"}


# Two relays


def test_two_relays_that_point_at_each_other_end_at_once(world: World) -> None:
    """What one passes on comes in to the other from the very number that it passes on to."""
    world.arrives(f"From {FRIEND}: hi", from_=OWNER)
    assert [each.relay for each in world.scan()] == [False]


def test_a_ring_of_relays_ends_where_it_began(world: World) -> None:
    where = world.arrives(f"From +14155550171: (perhaps a repeat) From {MINE}: From {FRIEND}: hi", from_="+14155550172")
    assert world.number.send(where, repeat=False) is None
    assert world.sent == []


def test_a_text_that_was_passed_on_by_others_still_goes_on(world: World) -> None:
    assert not came_round(f"From {FRIEND}: I called {MINE} From {MINE}: hi", MINE)
    assert came_round(f"(1/2 a1f3) From {FRIEND}: From {MINE}: hi", MINE)


def test_pieces_are_never_longer_than_twilio_takes() -> None:
    for body in ("x" * 5000, "🙂" * 3000, "a b" * 2000, "🙂 " * 1400 + "\n" * 2000):
        for repeat in (False, True):
            pieces = compose(FRIEND, body, files=True, tag="a1f3", repeat=repeat)
            assert all(len(each.encode("utf-16-le")) <= 2 * LONGEST for each in pieces)
            assert body in "".join(each.split(") ", 1)[1] for each in pieces)


# What is sealed


def test_a_text_is_fetched_exactly_as_twilio_answers_it(world: World) -> None:
    where = world.arrives("Ünïcode 🙂", EX)
    original = world.number.fetch(where)
    assert original is not None
    assert [(each.address) for each in original.envelope.authors] == [EX]
    assert original.envelope.ref == where
    assert read(original) == {"message.json": world.twilio.snapshot()[where.uid][0]}
    assert dict(original.facts)["Date"] == "Wed, 04 Mar 2026 12:00:00 GMT"


def test_files_are_sealed_whole_with_their_resources_after_the_message(world: World) -> None:
    where = world.arrives("look", EX, media=[JPEG, (b"BEGIN:VCARD", "text/x-vcard"), (b"{}", "application/json")])
    parts = world.fetch(where)
    stored = world.twilio.snapshot()[where.uid]
    names = list(parts)
    assert names[0] == "message.json"
    assert [name.rsplit(".", 1)[1] for name in names[1:]] == ["json", "jpg", "json", "vcf", "json", "bin"]
    assert [parts[name] for name in (names[0], *names[2::2])] == list(stored)
    for name in names[1::2]:
        assert json.loads(parts[name])["sid"] == name.removeprefix("media/").removesuffix(".json")


def test_the_login_goes_to_twilio_and_not_to_the_host_of_the_files(world: World) -> None:
    world.fetch(world.arrives("look", EX, media=[JPEG]))
    hosts = {
        place: {bool(each.header("Authorization")) for each in world.requests() if each.place == place}
        for place in ("api", "media")
    }
    assert hosts == {"api": {True}, "media": {False}}


def test_no_login_for_the_files_is_taken_from_netrc(
    world: World, tmp_path: "os.PathLike[str]", monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = os.path.join(tmp_path, "netrc")  # noqa: PTH118
    with open(netrc, "w") as file:  # noqa: PTH123
        file.write("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", netrc)
    world.fetch(world.arrives("look", EX, media=[JPEG]))
    assert [each.header("Authorization") for each in world.requests() if each.place == "media"] == [""]


def test_a_large_file_is_streamed_and_never_held_whole(world: World) -> None:
    octets = os.urandom(8 * 1024 * 1024)
    where = world.arrives("", EX, media=[(octets, "video/mp4")])
    original = world.number.fetch(where)
    assert original is not None
    *_, part = (part for part in original.parts if part.name.endswith("mp4") or not b"".join(part.chunks))
    digest, largest = hashlib.sha256(), 0
    for chunk in part.chunks:
        digest.update(chunk)
        largest = max(largest, len(chunk))
    assert digest.digest() == hashlib.sha256(octets).digest()
    assert part.size == len(octets)
    assert largest <= 64 * 1024


def test_a_file_of_unstated_size_is_taken_whole(world: World) -> None:
    where = world.arrives("", EX, media=[JPEG])
    world.twilio.fail(Fault(length=False), path="/ME", skip=2)
    parts = world.fetch(where)
    assert list(parts.values())[-1] == JPEG[0]


def test_files_are_asked_for_as_they_are_and_decoded_if_they_come_coded_all_the_same(world: World) -> None:
    where = world.arrives("", EX, media=[JPEG])
    coded = Answer(200, gzip.compress(JPEG[0]), "image/jpeg", (("Content-Encoding", "gzip"),))
    world.twilio.fail(Fault(answer=coded), path="/ME", skip=2)
    assert list(world.fetch(where).values())[-1] == JPEG[0]
    assert [each.header("Accept-Encoding") for each in world.requests() if each.place == "media"] == ["identity"]


def test_a_file_of_unstated_size_has_a_limit(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nocontactd.sources.twilio.account.UNSTATED", 100_000)
    where = world.arrives("", EX, media=[JPEG])
    world.twilio.fail(Fault(length=False), path="/ME", skip=2)
    with pytest.raises(SourceError, match="too large"):
        world.fetch(where)


@pytest.mark.parametrize(
    "fault",
    [
        Fault(cut=1000),
        Fault(drop="before"),
        Fault(answer=BROKEN),
        Fault(answer=Answer(404, b"<Error/>", "application/xml")),
        Fault(answer=Answer(307, headers=(("Location", "/again"),))),
        Fault(answer=Answer(200, b"short", headers=(("Content-Encoding", "gzip"),))),
    ],
)
@pytest.mark.parametrize("place", ["api", "media"])
def test_a_file_that_fails_seals_nothing_and_holds_up_no_other_text(world: World, fault: Fault, place: str) -> None:
    where = world.arrives("", EX, media=[JPEG])
    world.twilio.fail(fault, path="/ME", skip=1 if place == "api" else 2, times=20)
    with pytest.raises(SourceError) as caught:
        world.fetch(where)
    assert not isinstance(caught.value, UnreachableError)
    assert world.fetch(world.arrives("other", EX))


def test_a_redirect_never_leads_from_tls_to_plain_text(world: World) -> None:
    """Held at the wire itself: the stand-in has no certificate."""

    class Redirecting(Wire):
        def _send(self, method: str, url: str, **more: object) -> object:  # type: ignore[override]
            assert url.startswith("https:"), "asked in plain text"
            answer = requests.Response()
            answer.raw = io.BytesIO()
            answer.status_code = 307
            answer.headers["Location"] = "http://127.0.0.1:1/"
            return answer

    with pytest.raises(ValueError, match="plain text"), Redirecting(lambda _: None).stream("https://x/", ("a", "b")):
        pass


def test_a_vanished_text_is_no_original(world: World) -> None:
    assert world.number.fetch(ref("SM" + "0" * 32)) is None


def test_a_404_that_is_not_twilios_own_proves_nothing(world: World) -> None:
    """A proxy's, say. The text still stands there, and neither is it gone nor may its receipt be closed."""
    where = world.arrives()
    proxy = Fault(answer=Answer(404, b"<html>not found</html>", "text/html"))
    world.twilio.fail(proxy, times=3)
    with pytest.raises(SourceError):
        world.number.fetch(where)
    assert world.number.remove([receipt(where)]).gone == ()


def test_what_did_not_come_in_to_this_number_is_never_fetched_for_sealing(world: World) -> None:
    sent = world.number.send(world.arrives(), repeat=False)
    assert sent
    own = world.arrives(from_="+14155550177")
    world.twilio.alter(own.uid, direction="outbound-api")  # another number of this account sent it to this one
    for where in (ref(sent), own, world.arrives(to="+14155550177")):
        with pytest.raises(SourceError, match="did not come in"):
            world.number.fetch(where)


def test_a_text_waits_for_the_files_that_twilio_counted_but_not_for_ever(world: World) -> None:
    where = world.arrives("", EX, media=[JPEG], announced=2)
    with pytest.raises(SourceError, match="not there yet"):
        world.number.fetch(where)
    world.clock.at += timedelta(hours=48)
    assert len(world.fetch(where)) == 3


def test_files_that_twilio_did_not_count_are_sealed_too(world: World) -> None:
    assert len(world.fetch(world.arrives("", EX, media=[JPEG], announced=0))) == 3


def test_a_sid_that_is_none_becomes_no_path(world: World) -> None:
    with pytest.raises(SourceError):
        world.number.fetch(ref("../../Accounts"))
    assert world.requests() == []
    assert len(world.number.remove([receipt(ref("SM1"))]).problems) == 1
    assert world.requests() == []


def test_a_media_sid_that_is_none_becomes_no_name_in_the_archive(world: World) -> None:
    where = world.arrives("", EX, media=[JPEG])
    listed = twilio_resource.medium(world.twilio.account, where.uid, "../../x", "image/jpeg", NOW)
    page = twilio_resource.page("", "media_list", [listed], 0, 50, None, "")
    world.twilio.fail(Fault(answer=Answer(200, json.dumps(page).encode())), path="/Media.json")
    with pytest.raises(SourceError):
        world.number.fetch(where)


# What is removed


def test_what_is_removed_is_deleted_with_its_files_and_asked_for_again(world: World) -> None:
    where, other = world.arrives("", EX, media=[JPEG]), world.arrives()
    before = world.twilio.snapshot()
    removal = world.number.remove([receipt(where)])
    assert (removal.gone, removal.problems) == ((receipt(where),), ())
    assert world.twilio.snapshot() == {other.uid: before[other.uid]}
    assert [(each.method, where.uid in each.path) for each in world.requests()] == [("DELETE", True), ("GET", True)]


def test_what_is_gone_already_is_gone(world: World) -> None:
    where = ref("SM" + "0" * 32)
    assert world.number.remove([receipt(where), receipt(where)]).gone == (receipt(where), receipt(where))


def test_what_twilio_still_shows_after_deleting_is_not_gone(world: World) -> None:
    where = world.arrives()
    world.twilio.fail(Fault(answer=Answer(204)), method="DELETE")
    removal = world.number.remove([receipt(where)])
    assert removal.gone == ()
    assert [type(each) for each in removal.problems] == [SourceError]


def test_one_that_cannot_be_deleted_holds_up_no_other(world: World) -> None:
    first, second = world.arrives(), world.arrives()
    world.twilio.fail(Fault(answer=error(409, 20409, "Resource not complete")), method="DELETE")
    removal = world.number.remove([receipt(first), receipt(second)])
    assert removal.gone == (receipt(second),)
    assert len(removal.problems) == 1


@pytest.mark.parametrize(
    ("fault", "failure"),
    [(Fault(drop="before"), UnreachableError), (Fault(answer=error(403, 20403, "Forbidden")), CredentialError)],
)
def test_where_nothing_can_be_deleted_the_rest_is_not_tried(
    world: World, fault: Fault, failure: type[NocontactError]
) -> None:
    refs = [world.arrives() for _ in range(3)]
    world.twilio.fail(fault, method="DELETE")
    removal = world.number.remove([receipt(each) for each in refs])
    assert removal.gone == ()
    assert [type(each) for each in removal.problems] == [failure]
    assert len(world.requests("DELETE")) == 1


# What goes wrong is said in one way, without a value


def test_a_dead_server_is_unreachable(world: World) -> None:
    source = world.source(api_base="http://127.0.0.1:1")
    for act in (lambda: list(source.scan({}, "r")), lambda: source.fetch(ref("SM" + "0" * 32))):
        with pytest.raises(UnreachableError):
            act()


def test_a_server_that_nobody_vouches_for_is_not_spoken_to(world: World, tmp_path: Path) -> None:
    """It shows a certificate of an authority that this machine does not know; the secret stays here."""
    certificate = certify(tmp_path / "authority")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.chain, certificate.key)
    sealed = Loopback(("api",), lambda _request: Answer(404), world.clock)
    server = sealed._servers["api"]
    server.socket = context.wrap_socket(server.socket, server_side=True)
    sealed.start()
    try:
        source = world.source(api_base=sealed.url("api").replace("http:", "https:"))
        with pytest.raises(UnreachableError, match="SSLError"):
            world.scan(source=source)
        assert sealed.requests == []
    finally:
        sealed.stop()


def test_a_server_that_says_nothing_does_not_hold_us_for_ever(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nocontactd.sources.twilio.wire.TIMEOUT", (0.3, 0.3))
    world.twilio.fail(Fault(delay=1.5))
    with pytest.raises(UnreachableError):
        world.scan()
    world.twilio.fail(Fault(delay=1.5), method="POST")
    with pytest.raises(UnknownOutcomeError):
        world.number.send(world.arrives(), repeat=False)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, b"<html>please log in to the hotel's network</html>", "text/html"),
        Answer(200, b"[]"),
        Answer(200, b"{}"),
        Answer(200, b'{"messages": [{"sid": 7}]}'),
        Answer(200, b'{"messages": [{"sid": "SM1"}], "page": 0}'),
        Answer(200, b"[" * 100_000),
        Answer(200, b"\xff\xfe"),
        Answer(302, headers=(("Location", "http://127.0.0.1:1/"),)),
        Answer(404, b"{}"),
        error(404, 20404, "The requested resource was not found"),
        error(400, 20001, "Invalid"),
        BROKEN,
    ],
)
def test_an_answer_that_cannot_be_read_is_a_failed_look(world: World, answer: Answer) -> None:
    world.twilio.fail(Fault(answer=answer))
    with pytest.raises(SourceError, match="number: texts were not looked at"):
        world.scan()


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_secret_is_said_and_asked_for_anew(world: World, status: int) -> None:
    asked: list[str] = []
    source = world.source(secret=lambda: asked.append("") or "token")
    world.twilio.fail(Fault(answer=error(status, 20003, "Authenticate")))
    for _ in range(2):
        try:
            world.scan(source=source)
        except CredentialError as problem:
            assert problem.exit_code == 77
    assert len(asked) == 2


SID = "SM" + "0" * 32
CANARIES = ("4155550100", "4155550199", "447700900123", "CanaryBody", "AC00000000", "token", "127.0.0.1")


@pytest.mark.parametrize(
    "fault",
    [
        Fault(drop="before"),
        Fault(cut=30),
        Fault(answer=BROKEN),
        Fault(answer=error(400, 21211, f"Invalid 'To' Phone Number: {EX} CanaryBody")),
        Fault(answer=error(401, 20003, "Authenticate token")),
        Fault(answer=Answer(200, f'{{"messages": "CanaryBody {EX}"'.encode())),
        Fault(answer=Answer(200, json.dumps({"messages": [{"sid": f"{EX}CanaryBody"}]}).encode())),
        Fault(answer=Answer(200, json.dumps({"messages": [{"sid": SID, "num_media": "CanaryBody"}]}).encode())),
    ],
)
@pytest.mark.parametrize("path", ["Messages.json", "/MM", "/ME"])
def test_no_failure_and_no_log_at_any_level_shows_a_value(
    world: World, caplog: pytest.LogCaptureFixture, fault: Fault, path: str
) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("twilio.http_client", "urllib3.connectionpool", "urllib3"):
        logging.getLogger(name).setLevel(logging.DEBUG)
    where = world.arrives("CanaryBody", EX, media=[JPEG])
    world.twilio.fail(fault, path=path, times=100)
    acts: list[Callable[[], object]] = [
        world.scan,
        lambda: world.fetch(where),
        lambda: world.number.send(where, repeat=False),
        lambda: world.number.find(where, NOW, frozenset()),
        lambda: told(world.number.remove([receipt(where)]).problems),
    ]
    shown = []
    for act in acts:
        try:
            act()
        except NocontactError:
            shown.append(said())
    assert shown or path == "/ME"  # what stands at the address of a file is sealed, whatever it is
    for canary in CANARIES:
        assert canary not in "".join(shown)
        assert canary not in caplog.text


def test_a_server_that_cannot_be_reached_is_not_named(world: World) -> None:
    """requests quotes host, port, path and filters, with the number in them."""
    try:
        world.scan(source=world.source(api_base="http://127.0.0.1:1"))
    except UnreachableError:
        assert [canary for canary in CANARIES if canary in said()] == []
    else:
        pytest.fail("reached")


def said() -> str:
    """The traceback as it would be logged, without the lines of source code in it."""
    return "\n".join(line for line in traceback.format_exc().splitlines() if not line.startswith("    "))


def told(problems: Iterable[Exception]) -> None:
    for problem in problems:
        raise problem


def test_no_body_stays_in_memory_after_a_look(world: World) -> None:
    """The SDK's own client keeps the last one."""
    world.arrives("a body of " + "CanaryBody")
    world.scan()
    gc.collect()
    wire = world.number._account.wire
    assert [each for each in reachable(wire) if isinstance(each, str | bytes) and "CanaryBody" in str(each)] == []


def reachable(thing: object) -> list[object]:
    """Everything that the fields of `thing` hold, and theirs."""
    seen: dict[int, object] = {}
    waiting = [thing]
    while waiting:
        each = waiting.pop()
        if id(each) not in seen and not isinstance(each, type | ModuleType | FunctionType):
            seen[id(each)] = each
            waiting += gc.get_referents(each)
    return list(seen.values())


def test_the_sdk_is_still_what_these_rules_were_made_for(world: World) -> None:
    """Each of these is a trap that this adapter steps around; where one is mended upstream this fails, and says so."""
    plain = Client("AC", "x", environment={"-": ""})
    assert plain.http_client.timeout is None
    assert Client("AC", "x", environment={}).username == "AC"
    assert hasattr(TwilioHttpClient(), "_test_only_last_response")
    plain.api.base_url = world.twilio.url
    with pytest.raises(TwilioException) as caught:
        plain.messages.list()
    assert not hasattr(caught.value, "status")
    assert caught.value.args[1].status_code == 401


# The settings of the number


def test_a_number_as_it_is_bought_answers_by_itself(world: World) -> None:
    assert "answers by itself" in world.number.check()[0]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"sms_url": "", "voice_url": "https://example.org/voice"}, []),
        ({"sms_url": "https://example.org/in", "voice_url": "https://example.org/voice"}, ["messaging webhook"]),
        ({"sms_url": "", "sms_application_sid": "AP1", "voice_url": "https://example.org"}, ["messaging webhook"]),
        ({"sms_url": "", "voice_url": ""}, ["calls leave no trace"]),
    ],
)
def test_what_the_settings_do_is_said_without_a_value(
    world: World, settings: Mapping[str, str], said: list[str]
) -> None:
    world.twilio.numbers[MINE].update(settings)
    found = world.number.check()
    assert [part in sentence for part, sentence in zip(said, found, strict=True)] == [True] * len(said)
    assert all("example.org" not in sentence and MINE not in sentence for sentence in found)


def test_a_messaging_service_that_drops_what_comes_in_is_named(world: World) -> None:
    world.twilio.numbers[MINE].update({"sms_url": "", "voice_url": "https://example.org"})
    for place, (settings, members) in enumerate(
        [
            ({"inbound_request_url": "https://example.org"}, (MINE,)),
            ({"use_inbound_webhook_on_number": True}, (MINE,)),
            ({}, ("+14155550177",)),
        ]
    ):
        service = twilio_resource.service(world.twilio.account, place, NOW, **settings)
        world.twilio.services[service["sid"]] = service, members
    assert world.number.check() == ()
    service = twilio_resource.service(world.twilio.account, 9, NOW)
    world.twilio.services[service["sid"]] = service, (MINE,)
    assert ["drops incoming texts" in each for each in world.number.check()] == [True]


def test_a_number_of_another_account_is_said_to_be_none(world: World) -> None:
    assert world.source(number="+14155550177").check() == ("the number is not one of this account",)
    assert len(UNREADABLE) == 2


# A whole pass


class Death:
    """Kills the process at the n-th request, before or after it acts: from then on nothing reaches Twilio or a disk."""

    def __init__(self, world: World, at: int, *, after: bool) -> None:
        self.fuse = Fuse()
        self.count = 0
        self.at = at
        self.after = after
        world.twilio.http.before = self._before
        world.twilio.http.after = self._after

    def _before(self, _request: Request) -> None:
        self.count += 1
        if self.count == self.at and not self.after:
            self.fuse.dead = True
        self._hang_up()

    def _after(self, _request: Request) -> None:
        if self.count == self.at:
            self.fuse.dead = True
        self._hang_up()

    def _hang_up(self) -> None:
        if self.fuse.dead:
            raise HangUpError


def blocked(limit: int = 1000) -> Policy:
    return policy([Rule(Kind.NUMBER, EX)], None, Disposition.PASS, limit)


def full(world: World) -> None:
    """A listed person's texts in two channels and with a picture; others', one of them from before the first start."""
    world.arrives("I am outside", EX)
    world.arrives("", EX, media=[JPEG], ago=timedelta(minutes=2))
    world.arrives("why", f"whatsapp:{EX}", to=f"whatsapp:{MINE}", ago=timedelta(minutes=3))
    world.arrives("dinner", ago=timedelta(minutes=4))
    world.arrives("ok", ago=timedelta(minutes=5))
    world.arrives("ok", ago=timedelta(minutes=6))
    world.arrives("old", ago=timedelta(hours=3))


REQUESTS = 27
"""So many does the pass over `full` make."""


def judge(world: World, before: dict[str, tuple[bytes, ...]], sealer: MemorySealer) -> None:
    """None lost, none touched, none left, none doubled but marked."""
    listed = {sid for sid, parts in before.items() if json.loads(parts[0])["from"].endswith(EX)}
    sealed = [octets for _, octets, _ in sealer.records.values()]
    for sid in listed:
        assert any(octets.startswith(before[sid][0]) and octets.endswith(before[sid][-1]) for octets in sealed)
    after = {sid: parts for sid, parts in world.twilio.snapshot().items() if sid in before}
    assert after == {sid: parts for sid, parts in before.items() if sid not in listed}
    plain = sorted(each for each in world.sent if not each.startswith("(perhaps"))
    expected = sorted(f"From {FRIEND}: {body}" for body in ("dinner", "ok", "ok"))
    assert {each.removeprefix("(perhaps a repeat) ") for each in world.sent} == set(expected)
    assert len(world.sent) >= 3
    for each in set(plain):
        assert plain.count(each) <= expected.count(each)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("at", range(1, REQUESTS + 1))
def test_death_at_any_request_loses_nothing_and_a_later_pass_finishes(world: World, at: int, after: bool) -> None:
    full(world)
    before = world.twilio.snapshot()
    sealer, ledger = MemorySealer(), MemoryLedger()
    death = Death(world, at, after=after)
    dying = world.source(secret=lambda: "token")
    with suppress(Died, NocontactError):
        poll(dying, death.fuse.wrap(sealer, "s"), death.fuse.wrap(ledger, "l"), blocked(), world.clock, dying)
    assert death.fuse.dead
    world.twilio.http.before = world.twilio.http.after = lambda _: None
    for _ in range(4):
        report = poll(world.number, sealer, ledger, blocked(), world.clock, world.number)
        world.clock.at += PATIENCE
    assert report.problems == ()
    judge(world, before, sealer)


def test_a_whole_pass_seals_removes_and_passes_on(world: World) -> None:
    full(world)
    before = world.twilio.snapshot()
    sealer, ledger = MemorySealer(), MemoryLedger()
    report = poll(world.number, sealer, ledger, blocked(), world.clock, world.number)
    assert (report.problems, report.matches) == ((), 3)
    assert len(world.requests()) == REQUESTS
    judge(world, before, sealer)
    assert len(world.sent) == 3
    requests = len(world.requests())
    assert poll(world.number, sealer, ledger, blocked(), world.clock, world.number).matches == 0
    assert len(world.requests()) - requests == 4  # and nothing was fetched, deleted or sent again
    assert {each.method for each in world.requests()[requests:]} == {"GET"}


def test_while_passing_on_fails_the_cursor_waits_and_nothing_is_lost(world: World) -> None:
    sealer, ledger = MemorySealer(), MemoryLedger()
    poll(world.number, sealer, ledger, blocked(), world.clock, world.number)
    world.clock.at += HOUR
    world.arrives("dinner")
    world.twilio.fail(Fault(answer=error(400, 21610, "unsubscribed recipient")), method="POST", times=10)
    for _ in range(10):
        report = poll(world.number, sealer, ledger, blocked(), world.clock, world.number)
        assert len(report.problems) == 1
        world.clock.at += timedelta(days=1)
    report = poll(world.number, sealer, ledger, blocked(), world.clock, world.number)
    assert report.problems == ()
    assert world.sent == [f"From {FRIEND}: dinner"]


def test_a_text_of_a_listed_person_is_never_passed_on(world: World) -> None:
    """Not even while it cannot be sealed, nor while a sweep waits for the owner."""
    world.arrives("I am outside", EX)
    sealer, ledger = MemorySealer(), MemoryLedger()
    world.twilio.fail(Fault(answer=BROKEN), path="/SM", times=1)
    assert poll(world.number, sealer, ledger, blocked(), world.clock, world.number).problems
    old = world.arrives("old", EX, ago=timedelta(days=3))
    report = poll(world.number, sealer, ledger, blocked(0), world.clock, world.number)
    assert len(report.problems) == 1
    assert list(world.twilio.snapshot()) == [old.uid]


def test_whom_the_owner_texts_is_not_known_here(world: World) -> None:
    assert list(world.number.written({})) == []

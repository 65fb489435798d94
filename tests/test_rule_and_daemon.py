"""The rule on a real server and the daemon together: whatever the rule files, the daemon has the last word.

Dovecot with Pigeonhole, delivery over LMTP and by dovecot-lda, and every case of the corpus.
"""

import json
import smtplib
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from nocontactd import server_rule, shipped
from nocontactd.decide import Policy, policy
from nocontactd.model import Disposition
from nocontactd.poll import poll
from nocontactd.reading import Reader
from nocontactd.rules import rule
from nocontactd.sieve import MARK
from nocontactd.sources.imap import Mailbox
from nocontactd.sources.managesieve import SieveServer, scripts
from tests.memory_archive import MemoryLedger, MemorySealer
from tests.peers.dovecot import Dovecot, dovecot
from tests.peers.onlooker import Sights, looking
from tests.recognition import of
from tests.test_corpus import policy_of
from tests.test_managesieve import letter

CORPUS = Path(__file__).parent / "corpus"
PROTECTED = "Authentication-Results: mx.home.example; dmarc=pass header.from=met.police.uk"
_users = count(1)


@pytest.fixture(scope="module")
def server() -> Iterator[Dovecot]:
    with dovecot(sieve=True) as running:
        yield running


class Owner:
    """A mailbox with a rule on the server, and a daemon that looks when it is told to."""

    def __init__(self, server: Dovecot, rules: Policy, *listed: str, authserv_id: str = "", folder: str = "nocontact"):
        self.server, self.policy = server, rules
        self.user = f"owner{next(_users)}@home.example"
        self.sealer, self.ledger = MemorySealer(), MemoryLedger()
        self.reader = Reader((authserv_id,) if authserv_id else (), shipped.services())
        self._box = Mailbox(
            "home", host=server.host, port=server.port, user=self.user, security="none",
            password=lambda: server.password, reader=self.reader, filed=folder,
        )  # fmt: skip
        there = SieveServer("home", server.host, server.sieve_port, self.user, "none", None, token=False)
        with scripts(there, lambda: server.password) as session:
            entries = [rule(each) for each in listed]
            session.carry_out(server_rule.install(entries, self._box.placed(folder), session.standing()))

    def deliver(self, *letters: bytes, sender: str = "bounce@relay.example") -> None:
        with smtplib.LMTP(self.server.host, self.server.lmtp_port) as lmtp:
            for octets in letters:
                lmtp.sendmail(sender, [self.user], octets)

    def look(self) -> tuple[Exception, ...]:
        return poll(
            self._box, self.sealer, self.ledger, self.policy, lambda: datetime(2026, 11, 22, tzinfo=UTC)
        ).problems

    def everything(self) -> Sights:
        with looking(self.server, self.user) as onlooker:
            return onlooker.everything()

    def folders(self) -> dict[bytes, str]:
        """Where each message stands, by its octets."""
        return {sight.octets: folder for (folder, _, _), sight in self.everything().items()}

    def disposition(self, octets: bytes) -> Disposition:
        read = self.reader.of_message(octets)
        return of(read, self.policy).disposition

    def close(self) -> None:
        self._box.close()


def cases() -> dict[tuple[str, str, str], list[dict[str, Any]]]:
    """Those of one list and one provider together."""
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for name in ("mail.jsonl", "own_mail.jsonl"):
        for case in map(json.loads, (CORPUS / name).read_text("utf-8").splitlines()):
            entries = json.dumps(case.get("entries"))
            groups.setdefault((case["listed"], entries, case.get("authserv_id", "")), []).append(case)
    return groups


UNSEEN = {
    **dict.fromkeys(
        ("broken-bare-cr-inject", "broken-bom"),
        "the field is no From to the server: its name begins with what nobody sees, or it follows a bare CR",
    ),
    **dict.fromkeys(
        ("enc-zwsp", "enc-shy-local", "enc-idn-fullwidth", "own-host-space"),
        "between or in place of the letters stands what nobody sees, or sees as the same",
    ),
    **dict.fromkeys(
        ("enc-mailsploit", "enc-a15", "own-padding"),
        "the address is a part of a text that some clients show as the author, and others as a name",
    ),
    **dict.fromkeys(
        (
            *("allow-ics-organizer", "own-ics-organizer", "own-ics-sent-by", "own-ics-folded", "own-ics-reply"),
            *("own-ics-counter", "own-ics-attached", "own-ics-cancel"),
        ),
        "the author stands in a calendar object",
    ),
    **dict.fromkeys(
        ("own-dropbox-subject", "own-wetransfer-subject", "own-instagram-handle", "own-tiktok-handle"),
        "the author stands in the words of a service's notice",
    ),
}
"""Cases that a rule on the server lets into the inbox until the daemon looks, and why."""


@pytest.mark.parametrize("by", ["LMTP", pytest.param("dovecot-lda", marks=pytest.mark.soak)])
def test_of_the_whole_corpus_what_may_pass_reaches_the_inbox_and_nothing_else_stands_there(
    server: Dovecot, by: str
) -> None:
    filed: list[bool] = []
    missed: set[str] = set()
    sealed, passed = 0, 0
    for (listed, entries, authserv_id), group in cases().items():
        each = [rule(listed)] if entries == "null" else [rule(entry["entry"]) for entry in json.loads(entries)]
        owner = Owner(server, policy_of(group[0]), *(e.entry for e in each), authserv_id=authserv_id)
        letters = [case["raw_message"].encode("latin-1") for case in group]
        if by == "LMTP":
            owner.deliver(*letters)
        for octets in letters if by != "LMTP" else ():
            server.hand_over(owner.user, octets)
        stored = owner.folders()
        assert len(stored) == len(group), "a message was lost on its way"
        sealing = {octets for octets in stored if owner.disposition(octets) is Disposition.SEAL}
        filed += [octets in sealing for octets, folder in stored.items() if folder == "nocontact"]
        stands = [octets for octets in sealing if stored[octets] != "nocontact"]
        missed |= {case["id"] for case in group if any(f"<{case['id']}@".encode() in octets for octets in stands)}
        assert owner.look() == ()
        assert {octets for _, octets, _ in owner.sealer.records.values()} == sealing
        assert owner.folders() == dict.fromkeys(stored.keys() - sealing, "INBOX")
        assert not [sight for sight in owner.everything().values() if sight.flags]
        sealed, passed = sealed + len(sealing), passed + len(stored) - len(sealing)
        owner.close()
    assert sealed > 130 and passed > 90
    assert missed <= UNSEEN.keys()
    assert filed.count(False) == 2, "each is a court or the like at a listed domain; more are worth a look at the rule"


ODD = (
    ("ex@abuser.example", "From: ex@abuser.example."),
    ("ex@abuser.example", 'From: "Alex" <ex+1@abuser.example.>'),
    ("ex@abuser.example", "From: a, ( <ex@abuser.example>"),
    ("ex@abuser.example", "Reply-To: x] <ex@abuser.example>"),
    ('"e x"@abuser.example', 'From: "e x"@abuser.example'),
    ("müller@abuser.example", 'From: "Alex" <müller@abuser.example>'),
    ("ex@xn--bcher-kva.example", "From: Alex <ex@bücher.example>"),
    ("@bücher.example", "From: ex@mail.bücher.example"),
    ("@bücher.example", "From: ex@mail.xn--bcher-kva.example"),
    ("@abuser.example", "From: ex@abuser.example."),
    ("ex@abuser.example", "From: Alex <ex@abuser.example"),
    ("ex@abuser.example", "From: Alex [mailto:ex+1@abuser..example]"),
    ("@bücher.example", "From: Alex <ex@mail.xn--bcher-kva.example"),
    ("ex@abuser.example", "From: 'ex@abuser.example'"),
    ("ex@abuser.example", "From: friend@ok.example; ex@abuser.example"),
    ("ex@abuser.example", "From: Alex <ex=40abuser.example@dmarc.ietf.org>"),
    ("ex@abuser.example", "From: Alex <ex@abuser.example.invalid>"),
    ("ex@bücher.example", "From: ex@BÜCHER.example"),
    ("exp@gmail.com", "From: e.x.p+1@googlemail.com"),
)
"""An entry, and a field in which its author does not look like it."""


def test_with_the_rule_an_odd_spelling_stands_in_the_inbox_for_no_moment(server: Dovecot) -> None:
    listed = tuple(dict.fromkeys(entry for entry, _ in ODD))
    owner = Owner(server, policy(map(rule, listed), None, Disposition.PASS, 1000), *listed)
    letters = [letter(str(number), field) for number, (_, field) in enumerate(ODD)]
    owner.deliver(*letters)
    assert list(owner.folders().values()) == ["nocontact"] * len(ODD)
    assert owner.look() == ()
    assert len(owner.sealer.records) == len(ODD) and owner.folders() == {}
    owner.close()


FRIENDS = (
    *('From: "<ex@abuser.example>" <tea@friends.example>', "From: tea@friends.example (<ex@abuser.example>)"),
    *("From: Rex <rex@abuser.example", "From: T <t.ex@abuser.example", "From: ex <ex@abuser.example.org"),
    *("From: x <ex@abuserxexample", "From: Ex <ex@bbuser.example", "From: ex=abuser.example <tea@friends.example>"),
    *("From: <exxp@gmail.com>", "From: <eaxp@gmail.com", "From: news+ex=abuser.example@lists.example"),
    *("From: 'rex@abuser.example'", "From: ex@abuser.example.org.invalid", "Reply-To: <me@home.example"),
)
"""Fields of other people's in which something listed seems to stand."""


def test_the_rule_files_nobody_whose_address_a_listed_one_is_a_part_of(server: Dovecot) -> None:
    listed = ("ex@abuser.example", "exp@gmail.com")
    owner = Owner(server, policy(map(rule, listed), None, Disposition.PASS, 1000), *listed)
    owner.deliver(*(letter(field, field) for field in FRIENDS))
    assert list(owner.folders().values()) == ["INBOX"] * len(FRIENDS)
    owner.close()


@pytest.fixture
def court(server: Dovecot) -> Iterator[Owner]:
    """An owner who listed a firm, and whose provider says who is genuine: a message for it by the police passes."""
    rules = policy([rule("@biz.example")], None, Disposition.PASS, 1000, shipped.protected())
    owner = Owner(server, rules, "@biz.example", authserv_id="mx.home.example")
    yield owner
    owner.close()


def test_what_the_rule_took_by_mistake_is_in_the_inbox_a_look_later_as_if_it_had_come_there(court: Owner) -> None:
    police = letter("a statement", PROTECTED, "From: p.c@met.police.uk", "Reply-To: case@biz.example")
    court.deliver(police, letter("hello", "From: x@biz.example"), letter("tea", "From: nadia@friends.example"))
    filed = {folder: sight for (folder, _, _), sight in court.everything().items() if b"a statement" in sight.octets}
    assert filed["nocontact"].flags == {MARK}
    assert court.look() == ()
    after = court.everything()
    assert sorted(folder for folder, _, _ in after) == ["INBOX", "INBOX"]
    (back,) = (sight for sight in after.values() if b"a statement" in sight.octets)
    assert back == replace(filed["nocontact"], flags=frozenset())
    for _ in range(3):
        assert court.look() == ()
        assert court.everything() == after


def test_what_the_owner_puts_into_the_rules_folder_stays_there(court: Owner) -> None:
    court.deliver(letter("hello", "From: x@biz.example"))
    with looking(court.server, court.user) as client:
        client.put(letter("mine", "From: nadia@friends.example"), "nocontact", "\\Seen", "03-Jan-2021 11:22:33 +0200")
    before = {at: sight for at, sight in court.everything().items() if b"mine" in sight.octets}
    assert court.look() == ()
    assert court.everything() == before


def test_whom_only_the_server_sees_is_filed_and_never_brought_back(court: Owner) -> None:
    """dovecot-lda writes no Return-Path: the daemon cannot know why it was filed, and would put it into the inbox."""
    court.server.hand_over(court.user, letter("by envelope", "From: nadia@friends.example"), "x@biz.example")
    court.server.hand_over(court.user, letter("by header", "From: x@biz.example"))
    court.server.hand_over(court.user, letter("tea", "From: nadia@friends.example"))
    assert court.look() == ()
    left = {
        sight.octets.partition(b"Subject: ")[2][:11]: folder for (folder, _, _), sight in court.everything().items()
    }
    assert left == {b"by envelope": "nocontact", b"tea\r\n\r\nHell": "INBOX"}
    assert len(court.sealer.records) == 1


def test_delivered_over_lmtp_the_envelope_is_in_the_header_and_its_sender_is_sealed(court: Owner) -> None:
    court.deliver(letter("by envelope", "From: nadia@friends.example"), sender="x@biz.example")
    assert court.look() == ()
    assert court.everything() == {} and len(court.sealer.records) == 1


def test_below_a_prefix_the_rule_files_and_the_daemon_drains() -> None:
    rules = policy([rule("ex@abuser.example")], None, Disposition.PASS, 1000)
    with dovecot(sieve=True, prefix="INBOX.", separator=".") as server:
        owner = Owner(server, rules, "ex@abuser.example")
        owner.deliver(letter("hello", "From: ex@abuser.example"), letter("tea", "From: nadia@friends.example"))
        assert sorted(folder for folder, _, _ in owner.everything()) == ["INBOX", "INBOX.nocontact"]
        assert owner.look() == ()
        assert [folder for folder, _, _ in owner.everything()] == ["INBOX"]
        owner.close()


def test_a_server_that_cannot_mark_files_all_the_same_and_nothing_is_brought_back() -> None:
    rules = policy([rule("@biz.example")], None, Disposition.PASS, 1000, shipped.protected())
    with dovecot(sieve=True, sieve_capability="fileinto envelope mailbox include") as server:
        owner = Owner(server, rules, "@biz.example", authserv_id="mx.home.example")
        police = letter("a statement", PROTECTED, "From: p.c@met.police.uk", "Reply-To: case@biz.example")
        owner.deliver(police, letter("hello", "From: x@biz.example"))
        assert owner.look() == ()
        assert [folder for folder, _, _ in owner.everything()] == ["nocontact"]
        assert len(owner.sealer.records) == 1
        owner.close()

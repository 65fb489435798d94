"""A backlog at a server: screened by author fields, several commands ahead, and taken up again where it was left."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nocontactd.decide import policy
from nocontactd.errors import SourceError
from nocontactd.model import Cursor, Disposition, MessageRef, Stretch
from nocontactd.poll import poll
from nocontactd.rules import rule
from nocontactd.sources.imap import Mailbox, older
from nocontactd.sources.imap.fetch_answers import _usual, read_answers
from nocontactd.sources.imap.together import OCTETS
from nocontactd.sources.imap.wire import Patience
from tests.invitations import INVITATIONS
from tests.memory_archive import MemoryLedger, MemorySealer
from tests.peers.dovecot import dovecot
from tests.peers.onlooker import looking
from tests.peers.plain_imap import PLAIN, Box, HangUpError, Mail, PlainImap, plain_imap
from tests.recognition import THEN, blocked
from tests.test_imap import EX, FRIEND, Answers, fetches, mailbox, octets_of, refused

RULES = blocked("ex@abuser.example", "@firm.example", "Alex Example")


@pytest.fixture
def server() -> Iterator[PlainImap]:
    with plain_imap() as running:
        yield running


def fill(server: PlainImap, last: int = 1200) -> None:
    """With 1,200 messages, of which one in fifty up to the last is from somebody listed."""
    for n in range(1, 1201):
        server.boxes["INBOX"].put(Mail((FRIEND if n % 50 or n > last else EX) % (n, n)))


def below(box: Mailbox, lower: int) -> Iterator[Stretch]:
    return box.older(Cursor("INBOX", 7, lower, "r", lower), RULES.concerns)


def found(stretches: list[Stretch]) -> list[int]:
    return sorted(int(each.ref.uid) for stretch in stretches for each in stretch.envelopes)


def test_a_backlog_is_shown_from_the_newest_down_and_can_be_taken_up_at_any_stretch(
    server: PlainImap, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(older, "STRETCH", 500)
    fill(server)
    box = mailbox(server, patience=Patience(), backlog=10)
    whole = list(below(box, 1201))
    assert [(each.looked, each.left) for each in whole] == [(500, 700), (500, 200), (200, 0)]
    assert [each.lower for each in whole] == [701, 201, 0]
    assert found(whole) == list(range(50, 1201, 50))
    assert found(list(below(mailbox(server, patience=Patience(), backlog=10), 201))) == list(range(50, 201, 50))
    some = next(stretch := below(box, 1201))
    stretch.close()  # type: ignore[attr-defined]
    server.commands.clear()
    assert found([some, *below(box, some.lower)]) == list(range(50, 1201, 50))
    assert not [line for line in server.commands if "SEARCH" in line]  # its UIDs were known
    assert not [line for line in server.commands if "LOGIN" in line or "AUTHENTICATE" in line]


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.9999])
def test_a_connection_that_ends_in_the_middle_of_what_is_read_in_one_go_is_a_problem(
    server: PlainImap, share: float
) -> None:
    fill(server)
    asked = 0

    def meddle(line: str, answer: bytes) -> Answers:
        nonlocal asked
        asked += "HEADER.FIELDS" in line
        yield answer[: int(len(answer) * share)] if asked == 2 else answer
        if asked == 2:
            asked += 1
            raise HangUpError

    server.meddle = meddle
    box = mailbox(server, patience=Patience(), backlog=10)
    with pytest.raises(SourceError, match="a folder was not looked through: the connection was lost"):
        list(below(box, 1201))
    assert found(list(below(box, 1201))) == list(range(50, 1201, 50))


@pytest.mark.parametrize("late", ["as ever", "refused"])
def test_what_is_still_to_be_said_when_a_pass_ends_is_heard_before_anything_else_is_asked(
    server: PlainImap, monkeypatch: pytest.MonkeyPatch, late: str
) -> None:
    monkeypatch.setattr(older, "STRETCH", 500)
    fill(server, 700)
    box = mailbox(server, patience=Patience(read=5), folders=("INBOX",), backlog=10)
    asked = 0

    def meddle(line: str, answer: bytes) -> Answers:
        nonlocal asked
        asked += "HEADER.FIELDS" in line
        refuses = late == "refused" and asked > 1 and "HEADER.FIELDS" in line
        return [refused(answer, b"[SERVERBUG] oh") if refuses else answer]

    server.meddle = meddle
    some = next(stretch := below(box, 1201))
    stretch.close()  # type: ignore[attr-defined]
    assert len(list(box.envelopes([MessageRef("home", "INBOX", 7, "50")]))) == 1
    assert asked == 3  # two of them were ahead
    server.meddle = lambda _line, answer: [answer]
    assert found([some, *below(box, some.lower)]) == list(range(50, 701, 50))
    assert sum("LOGIN" in line or "AUTHENTICATE" in line for line in server.commands) == 1


def test_a_connection_that_ends_among_commands_under_way_is_a_problem_and_the_next_one_goes_on(
    server: PlainImap, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(server)
    asked = 0

    def meddle(line: str, answer: bytes) -> Answers:
        nonlocal asked
        asked += "HEADER.FIELDS" in line
        if asked == 3:
            asked = 100
            raise HangUpError
        return [answer]

    server.meddle = meddle
    box = mailbox(server, patience=Patience(), backlog=10)
    with pytest.raises(SourceError, match="a folder was not looked through: the connection was lost"):
        list(below(box, 1201))
    assert found(list(below(box, 1201))) == list(range(50, 1201, 50))


def test_answers_of_commands_under_way_may_come_in_any_order(
    server: PlainImap, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dovecot carries out several at once; whose answer one is, is told by its UID."""
    monkeypatch.setattr(older, "STRETCH", 500)
    fill(server)
    kept: list[bytes] = []

    def meddle(line: str, answer: bytes) -> Answers:
        if "HEADER.FIELDS" not in line:
            return [answer]
        *untagged, tagged = answer.rsplit(b"\r\n", 2)[:2]
        kept.append(tagged + b"\r\n")
        return [untagged[0] + b"\r\n"] if len(kept) % 2 else [untagged[0] + b"\r\n", *kept[-2:]]

    server.meddle = meddle
    seen = list(below(mailbox(server, patience=Patience(read=5), folders=("INBOX",), backlog=10), 1001))
    assert [found([each]) for each in seen] == [list(range(550, 1001, 50)), list(range(50, 501, 50))]


@pytest.mark.parametrize("kind", INVITATIONS)
def test_an_invitation_is_found_in_a_backlog_as_it_is_among_few(server: PlainImap, kind: str) -> None:
    uid = server.boxes["INBOX"].put(Mail(INVITATIONS[kind]))
    assert found(list(below(mailbox(server, backlog=0), 2))) == [uid]


def test_a_folder_that_was_numbered_anew_is_not_looked_through_by_old_uids(server: PlainImap) -> None:
    server.boxes["INBOX"].put(Mail(EX % (1, 1)))
    box = mailbox(server)
    with pytest.raises(SourceError, match="replaced meanwhile"):
        list(box.older(Cursor("INBOX", 6, 2, "r", 2), RULES.concerns))
    (envelope,) = next(below(box, 2)).envelopes
    assert list(box.envelopes([envelope.ref]))
    server.boxes["INBOX"].uidvalidity = 8
    box.close()
    assert list(box.envelopes([envelope.ref])) == []


LINES = st.builds(
    "{} (UID {}{}{} BODY[{}]{} {{{}}}".format,
    st.integers(1, 99),
    st.sampled_from(["7", "0", "4294967295", "4294967296", "x"]),
    st.sampled_from(["", " RFC822.SIZE 12", " RFC822.SIZE 99999999999999999999"]),
    st.sampled_from(["", ' INTERNALDATE "01-Jan-2026 00:00:00 +0000"', ' INTERNALDATE "a\\"b"', " FLAGS ()"]),
    st.sampled_from(
        ["", "HEADER", "HEADER.FIELDS (FROM TO)", 'HEADER.FIELDS ("FROM" TO)', "HEADER.FIELDS (A] B)", "1.2"]
    ),
    st.sampled_from(["", "<0>", "<0> X 1"]),
    st.integers(0, 99),
)


@settings(max_examples=500, deadline=None)
@given(LINES, st.sampled_from([b")", b" FLAGS ())", b""]))
def test_the_short_way_reads_an_answer_as_the_long_one_does(line: str, end: bytes) -> None:
    raws: list[bytes | tuple[bytes, bytes]] = [(line.encode(), b"octets"), end]
    if usual := _usual(raws):
        longer = [(line.encode().replace(b" (UID", b" ( UID", 1), b"octets"), end]
        assert _usual(longer) is None  # type: ignore[arg-type]
        assert list(read_answers(longer)) == [usual]


def expected(server: PlainImap, messages: int) -> tuple[Mailbox, list[MessageRef]]:
    for n in range(1, messages + 1):
        server.boxes["INBOX"].put(Mail(EX % (n, n)))
    box = mailbox(server, patience=Patience())
    refs = [MessageRef("home", "INBOX", 7, str(n)) for n in range(1, messages + 1)]
    assert len(list(box.envelopes(refs))) == messages
    box.expect(refs)
    server.commands.clear()
    return box, refs


def test_small_messages_are_fetched_together_and_each_is_itself(server: PlainImap) -> None:
    box, refs = expected(server, 60)
    server.boxes["INBOX"].mails.pop(30)
    for ref in refs:
        if ref.uid == "30":
            assert box.fetch(ref) is None
        else:
            assert octets_of(box, ref) == EX % (int(ref.uid), int(ref.uid))
    assert sum("BODY.PEEK[]" in items for _, items in fetches(server)) == 4  # three for all, one for what has gone


def test_the_server_is_at_the_next_messages_while_some_are_sealed(server: PlainImap) -> None:
    box, refs = expected(server, 110)
    asked: list[int] = []
    for ref in refs:
        assert octets_of(box, ref) == EX % (int(ref.uid), int(ref.uid))
        asked.append(sum(len(uids) for uids, _ in fetches(server)))
    # The server may have read less than was sent; it has read all that comes before an answer.
    assert asked[25] >= 50
    assert asked[0] <= 75
    assert asked[-1] == 110  # each once


def test_whatever_is_asked_between_two_of_them_each_is_itself(server: PlainImap) -> None:
    """The rest of a large one, and another folder's, among small ones that are under way."""
    inbox, other = server.boxes["INBOX"], server.boxes.setdefault("Other", Box(9))
    mails = [EX % (n, n) for n in range(1, 61)]
    for n in (3, 40):
        mails[n - 1] = mails[n - 1].ljust(3 * OCTETS, b"x")
    for mail in mails:
        inbox.put(Mail(mail))
    other.put(Mail(EX % (99, 99)))
    box = mailbox(server, patience=Patience())
    refs = [MessageRef("home", "INBOX", 7, str(n)) for n in range(1, 61)]
    refs.insert(30, MessageRef("home", "Other", 9, "1"))
    for folder in (refs[:30] + refs[31:], refs[30:31]):
        assert len(list(box.envelopes(folder))) == len(folder)
    box.expect(refs)
    assert [octets_of(box, ref) for ref in refs] == [*mails[:30], EX % (99, 99), *mails[30:]]


@pytest.mark.parametrize("at", [0, 24, 25, 30, 59])
def test_those_under_way_on_a_connection_that_was_lost_are_asked_for_once_more(server: PlainImap, at: int) -> None:
    box, refs = expected(server, 60)
    came = []
    for number, ref in enumerate(refs):
        if number == at:
            assert box._session
            box._session.cut()
        with suppress(SourceError):
            came.append(octets_of(box, ref))
    missed = {EX % (n, n) for n in range(1, 61)} - set(came)
    assert len(missed) <= 1  # the one in whose middle it was noticed: the next pass takes it
    assert len(came) == len(set(came))


def test_one_that_goes_while_several_are_fetched_keeps_no_other_back(server: PlainImap) -> None:
    """Dovecot answers for the others then, and refuses the command."""
    box, refs = expected(server, 10)
    server.boxes["INBOX"].mails.pop(7)
    server.meddle = lambda line, answer: (
        [re.sub(rb"(\S+) OK done", rb"\1 NO [EXPUNGEISSUED] some have gone", answer)]
        if "BODY.PEEK[]" in line
        else [answer]
    )
    for ref in refs[:6]:
        assert octets_of(box, ref)
    assert sum("BODY.PEEK[]" in items for _, items in fetches(server)) == 1


def test_what_changed_before_it_was_fetched_together_with_others_is_not_sealed(server: PlainImap) -> None:
    box, refs = expected(server, 3)
    server.boxes["INBOX"].mails[2] = Mail(FRIEND % (2, 2))
    with pytest.raises(SourceError, match="not the message that was looked at"):
        for ref in refs:
            octets_of(box, ref)


@pytest.mark.parametrize("how", ["lost", "refused"])
def test_one_over_which_a_fetch_fails_holds_up_none_of_those_fetched_with_it(server: PlainImap, how: str) -> None:
    box, refs = expected(server, 10)

    def meddle(line: str, answer: bytes) -> Answers:
        if re.match(r"UID FETCH (\S+,)?7[ ,].*BODY\.PEEK\[\]", line):
            if how == "lost":
                raise HangUpError
            return [refused(answer, b"[SERVERBUG] oh")]
        return [answer]

    server.meddle = meddle
    came = []
    for ref in refs:
        with suppress(SourceError):
            came.append(octets_of(box, ref))
    assert came == [EX % (n, n) for n in range(1, 11) if n != 7]


def test_large_messages_are_not_fetched_together(server: PlainImap) -> None:
    inbox = server.boxes["INBOX"]
    for n in range(1, 4):
        inbox.put(Mail((EX % (n, n)).ljust(OCTETS - 500, b"x")))
    box, refs = mailbox(server, patience=Patience()), [MessageRef("home", "INBOX", 7, str(n)) for n in range(1, 4)]
    assert len(list(box.envelopes(refs))) == 3
    box.expect(refs)
    server.commands.clear()
    assert [len(octets_of(box, ref) or b"") for ref in refs] == [OCTETS - 500] * 3
    assert all(len(uids) == 1 for uids, _ in fetches(server))


def taken_out(box: Mailbox, put: Callable[[bytes, str], object], own: Sequence[str]) -> set[bytes]:
    """What is sealed of a message in each of these folders, in Trash and Junk, and in a folder made later."""
    sealer, ledger = MemorySealer(), MemoryLedger()
    for number, folder in enumerate((*own, "Trash", "Junk")):
        put(EX % (number, number), folder)
    assert poll(box, sealer, ledger, RULES, lambda: THEN).problems == ()
    put(EX % (9, 9), "Later")
    assert poll(box, sealer, ledger, RULES, lambda: THEN).problems == ()
    box.close()
    return {octets for _, octets, _ in sealer.records.values()}


def test_new_folders_and_the_trash_are_looked_through_and_sent_and_drafts_are_not_by_special_use() -> None:
    with dovecot() as server, looking(server, "folders") as onlooker:

        def put(octets: bytes, folder: str) -> None:
            with suppress(AssertionError):  # it stands there already
                onlooker.create(folder)
            onlooker.put(octets, folder)

        box = mailbox(server, "folders", Patience())
        assert taken_out(box, put, ("Sent", "Entwurf")) == {EX % (n, n) for n in (2, 3, 9)}
        assert sorted(folder for folder, _, _ in onlooker.everything()) == ["Entwurf", "Sent"]


def test_new_folders_and_the_trash_are_looked_through_and_sent_and_drafts_are_not_by_their_usual_names() -> None:
    with plain_imap((*PLAIN, "UIDPLUS")) as server:
        boxes = server.boxes

        def put(octets: bytes, folder: str) -> None:
            boxes.setdefault(folder, Box(100 + len(boxes))).put(Mail(octets))

        box = mailbox(server, patience=Patience())
        assert taken_out(box, put, ("Sent Items", "Brouillons")) == {EX % (n, n) for n in (2, 3, 9)}
        assert {name for name, found in boxes.items() if found.mails} == {"Sent Items", "Brouillons"}


OLD = "03-Jan-2021 11:22:33 +0200"


@pytest.mark.parametrize("how", ["a folder is made", "a folder is numbered anew"])
def test_while_the_guard_holds_what_arrives_in_a_folder_that_is_new_is_taken_out_and_what_is_older_is_not(
    how: str,
) -> None:
    rules = policy([rule("ex@abuser.example")], None, Disposition.PASS, 3)
    sealer, ledger = MemorySealer(), MemoryLedger()
    with dovecot() as server, looking(server, "guarded") as onlooker:
        for number in range(5):
            onlooker.put(EX % (number, number), "INBOX", date=OLD)
        onlooker.create("Other")
        onlooker.put(EX % (5, 5), "Other", date=OLD)
        box = mailbox(server, "guarded", Patience())

        def look() -> set[bytes]:
            assert [
                "max_per_pass" in str(each) for each in poll(box, sealer, ledger, rules, lambda: THEN).problems
            ] == [True]
            return {octets for _, octets, _ in sealer.records.values()}

        assert look() == set()
        folder = "New" if how == "a folder is made" else "Other"
        if how == "a folder is made":
            onlooker.create(folder)
            onlooker.put(EX % (6, 6), folder, date=OLD)
        else:
            onlooker.renew(folder)
        hours_ago = datetime.now(UTC) - timedelta(hours=3)
        onlooker.put(EX % (7, 7), folder, date=f"{hours_ago:%d-%b-%Y %H:%M:%S} +0000")
        onlooker.put(FRIEND % (7, 7), folder)
        onlooker.put(EX % (8, 8), folder)
        assert look() == look() == {EX % (8, 8)}
        onlooker.put(EX % (9, 9), folder)
        assert look() == {EX % (8, 8), EX % (9, 9)}
        left = [(name, sight.octets) for (name, _, _), sight in onlooker.everything().items()]
        assert len(left) == (9 if folder == "New" else 8)
        assert (folder, FRIEND % (7, 7)) in left
        box.close()


def test_of_a_mailbox_that_is_looked_at_for_the_first_time_everything_is_older() -> None:
    rules = policy([rule("ex@abuser.example")], None, Disposition.PASS, 3)
    sealer = MemorySealer()
    with dovecot() as server, looking(server, "first") as onlooker:
        for number in range(5):
            onlooker.put(EX % (number, number))
        box = mailbox(server, "first", Patience())
        assert poll(box, sealer, MemoryLedger(), rules, lambda: THEN).problems
        assert not sealer.records
        box.close()


@pytest.mark.parametrize("prefix", ["Mail/", "INBOX.", "Maildir."])
def test_sent_and_drafts_below_the_owners_prefix_are_not_looked_at(prefix: str) -> None:
    with plain_imap((*PLAIN, "UIDPLUS", "NAMESPACE")) as server:
        server.namespace = f'(("{prefix}" "{prefix[-1]}")) NIL NIL'
        server.delimiter = f'"{prefix[-1]}"'
        for number, name in enumerate(("Sent", "Drafts", "Family", f"Deep{prefix[-1]}Sent")):
            server.boxes.pop(name, None)
            server.boxes[prefix + name] = Box(200 + number)
            server.boxes[prefix + name].put(Mail(EX % (number, number)))
        sealer = MemorySealer()
        box = mailbox(server, patience=Patience())
        assert poll(box, sealer, MemoryLedger(), RULES, lambda: THEN).problems == ()
        assert {octets for _, octets, _ in sealer.records.values()} == {EX % (2, 2), EX % (3, 3)}
        box.close()


def test_of_two_folders_whose_names_are_shown_alike_each_is_looked_at(server: PlainImap) -> None:
    for number, name in enumerate(("&AGE-", "a", "&AOk-")):
        server.boxes[name] = Box(200 + number)
        server.boxes[name].put(Mail(EX % (number, number)))
    sealer, ledger, box = MemorySealer(), MemoryLedger(), mailbox(server, patience=Patience())
    assert poll(box, sealer, ledger, RULES, lambda: THEN).problems == ()
    assert len(sealer.records) == 3
    server.boxes["&AGE-"].put(Mail(EX % (8, 8)))
    server.boxes["a"].put(Mail(EX % (9, 9)))
    assert poll(box, sealer, ledger, RULES, lambda: THEN).problems == ()
    assert len(sealer.records) == 5
    box.close()


@pytest.mark.parametrize("row", [b'* LIST (\\Caf\xe9) "/" x\r\n', b'* LIST () "/"\r\n', b'* LIST ( "/" x\r\n'])
def test_one_row_that_cannot_be_read_is_one_folder_that_is_not_looked_at(server: PlainImap, row: bytes) -> None:
    server.boxes["Other"] = Box(200)
    server.boxes["Other"].put(Mail(EX % (1, 1)))
    server.meddle = lambda line, answer: [row, answer] if line.startswith("LIST") else [answer]
    sealer, box = MemorySealer(), mailbox(server, patience=Patience())
    (problem,) = poll(box, sealer, MemoryLedger(), RULES, lambda: THEN).problems
    assert str(problem) == "home: a folder was not looked through: what the server lists of it cannot be read"
    assert len(sealer.records) == 1
    box.close()

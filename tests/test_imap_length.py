"""A message whose server announces another size than it has: sealed whole, or not at all; never what was cut off."""

import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import nullcontext

import pytest

from nocontactd.errors import SourceError
from nocontactd.model import Envelope
from nocontactd.sources.imap import Mailbox
from nocontactd.sources.imap.length import PIECE, Length, true_length
from nocontactd.sources.imap.wire import Patience
from tests.peers.dovecot import Dovecot, dovecot
from tests.peers.onlooker import looking
from tests.peers.plain_imap import Mail, PlainImap, body_structure, plain_imap
from tests.peers.pymap_server import pymap_server
from tests.test_imap import look, mailbox, on
from tests.test_imap_fuse import EX, LISTED, World

HEAD = b"From: ex@abuser.example\r\nMessage-ID: <1@abuser.example>\r\n"
PARTS = HEAD + b'Content-Type: multipart/mixed;\r\n boundary="=_one two"\r\n\r\n--=_one two\r\n\r\n'
END = b"\r\n--=_one two--\r\n"
LETTERS = {
    "text": HEAD + b"\r\nanswer me " + b"x" * 500,
    "no body": HEAD + b"\r\n",
    "no Message-ID": b"From: ex@abuser.example\r\n\r\nanswer me\r\n",
    "parts": PARTS + b"answer me" * 60 + END,
    "parts and an epilogue": PARTS + b"answer me" + END + b"e" * 900,
    "large text": HEAD + b"\r\n" + b"x" * (2 * PIECE + 7),
    "large parts": PARTS + b"x" * (2 * PIECE + 7) + END,
    "an end that lies over the edge of a piece": (PARTS.ljust(PIECE - 8, b"x") + END).ljust(PIECE + 50, b"e"),
    "just one piece": HEAD + b"\r\n" + b"x" * (PIECE - len(HEAD) - 2),
}
assert len(LETTERS["just one piece"]) == PIECE
ESTIMATES: dict[str, Callable[[int], int]] = {
    "three times too much": lambda size: 3 * size,
    "an octet too much": lambda size: size + 1,
    "an octet too few": lambda size: size - 1,
    "a third": lambda size: size // 3,
    "nothing": lambda _size: 0,
    "one piece": lambda _size: PIECE + 1,
}


@pytest.fixture
def server() -> Iterator[PlainImap]:
    with plain_imap() as running:
        yield running


def estimating(estimate: Callable[[int], int]) -> Callable[[str, bytes], list[bytes]]:
    def change(answer: bytes) -> list[bytes]:
        return [re.sub(rb"RFC822\.SIZE (\d+)", lambda said: b"RFC822.SIZE %d" % estimate(int(said[1])), answer)]

    return on("UID FETCH", change)


def looked_at(box: Mailbox) -> list[Envelope]:
    """As a pass looks at what is older before it takes it out."""
    return list(box.envelopes([envelope.ref for envelope in look(box)[0]]))


def sealed(box: Mailbox) -> tuple[bytes, int, dict[str, str]]:
    """What would be sealed, as how long, and what would be kept of the transport."""
    (envelope,) = looked_at(box)
    original = box.fetch(envelope.ref)
    assert original
    (part,) = original.parts
    return b"".join(part.chunks), part.size, dict(original.facts)


@pytest.mark.parametrize("estimate", ESTIMATES)
@pytest.mark.parametrize("kind", LETTERS)
def test_a_whole_message_is_sealed_whatever_size_was_announced_and_that_is_kept(
    server: PlainImap, kind: str, estimate: str
) -> None:
    letter = LETTERS[kind]
    server.boxes["INBOX"].put(Mail(letter))
    server.meddle = estimating(ESTIMATES[estimate])
    octets, size, facts = sealed(mailbox(server))
    assert octets == letter
    assert size == len(letter)
    assert facts["rfc822_size"] == str(ESTIMATES[estimate](len(letter)))


@pytest.mark.parametrize("lost", [0.9, 0.5, 0.01])
@pytest.mark.parametrize("kind", ["text", "parts", "large text", "large parts"])
def test_a_message_that_is_cut_off_is_never_sealed(server: PlainImap, kind: str, lost: float) -> None:
    letter = LETTERS[kind]
    body = len(letter) - len(PARTS) - len(END)
    server.boxes["INBOX"].put(Mail(letter[: len(letter) - len(END) - int(body * lost)]))
    size, structure = len(letter), body_structure(letter)

    def cut(answer: bytes) -> list[bytes]:
        """It says of the whole what it says, and gives what it has."""
        answer = re.sub(rb"RFC822\.SIZE \d+", b"RFC822.SIZE %d" % size, answer)
        return [re.sub(rb"(?s)BODYSTRUCTURE .*\)(?=\)\r\n)", lambda _: b"BODYSTRUCTURE " + structure, answer)]

    server.meddle = on("UID FETCH", cut)
    with pytest.raises(SourceError, match="not fetched and not sealed: it is not as long as the server announced"):
        sealed(mailbox(server))


def test_octets_that_change_between_the_two_readings_are_never_sealed(server: PlainImap) -> None:
    inbox = server.boxes["INBOX"]
    inbox.put(Mail(LETTERS["large parts"]))
    box = mailbox(server)
    server.meddle = estimating(lambda size: 2 * size)
    (envelope,) = looked_at(box)
    original = box.fetch(envelope.ref)
    assert original
    inbox.mails[1].octets = LETTERS["large parts"].replace(b"xxxxx" + END, b"yyyyy" + END)
    with pytest.raises(SourceError, match="not the same when it was read again"):
        b"".join(chunk for part in original.parts for chunk in part.chunks)


@pytest.mark.parametrize("message_id", [b"", b"Message-ID: <invented@server>\r\n"])
def test_an_invented_message_is_not_taken_for_one_of_an_estimated_size(server: PlainImap, message_id: bytes) -> None:
    inbox = server.boxes["INBOX"]
    inbox.put(Mail(LETTERS["text"]))
    box = mailbox(server)
    server.meddle = estimating(lambda _size: 4096)
    (envelope,) = looked_at(box)
    inbox.mails[1].octets = b"From: ex@abuser.example\r\nSubject: message unavailable\r\n%s\r\nGone.\r\n" % message_id
    with pytest.raises(SourceError, match="not the message that was looked at"):
        box.fetch(envelope.ref)


def test_a_server_that_does_not_say_that_it_has_no_more_has_not_given_the_whole(server: PlainImap) -> None:
    letter = LETTERS["parts"]
    server.boxes["INBOX"].put(Mail(letter))
    beyond = rf"UID FETCH 1 \(UID BODY.PEEK\[\]<{len(letter)}"
    silent = on(beyond, lambda answer: [answer[answer.rindex(b"\r\n", 0, -2) + 2 :]])
    estimate = estimating(lambda size: size + 9)
    server.meddle = lambda line, answer: silent(line, answer) if re.match(beyond, line) else estimate(line, answer)
    with pytest.raises(SourceError, match="not as long"):
        sealed(mailbox(server))


def test_a_pass_over_a_mailbox_whose_sizes_are_all_estimated_seals_and_removes_everything(server: PlainImap) -> None:
    world = World(server)
    server.meddle = estimating(lambda size: size * 3 // 2)
    assert world.pass_() is None
    assert world.all_is_done() and world.nobody_is_touched()
    assert {octets for _, octets, _ in world.sealer.records.values()} == LISTED == {EX % (n, n) for n in range(4)}


def test_where_sizes_are_right_nothing_is_read_twice(server: PlainImap) -> None:
    server.boxes["INBOX"].put(Mail(LETTERS["text"]))
    server.boxes["INBOX"].put(Mail(LETTERS["parts"]))
    box = mailbox(server)
    refs = [envelope.ref for envelope in look(box)[0]]
    server.commands.clear()
    for ref in refs:
        assert box.fetch(ref)
    assert [line.split()[-3] for line in server.commands[1:]] == ["RFC822.SIZE"] * 2


@pytest.fixture(scope="module")
def a_dovecot() -> Iterator[Dovecot]:
    with dovecot() as running:
        yield running


@pytest.mark.parametrize(
    ("peer", "kind"),
    [("dovecot", kind) for kind in ("text", "parts", "large text", "large parts", "just one piece")]
    + [("pymap", kind) for kind in ("parts", "large parts")],  # its body structure counts the header with the body
)
def test_real_servers_say_where_a_message_ends(peer: str, kind: str, request: pytest.FixtureRequest) -> None:
    letter = LETTERS[kind].replace(b"x" * 990, b"x" * 988 + b"\r\n")  # pymap takes no longer line
    with pymap_server() if peer == "pymap" else nullcontext(request.getfixturevalue("a_dovecot")) as server:
        user = server.user if peer == "pymap" else f"{len(letter)}@home.example"
        with looking(server, user) as onlooker:
            onlooker.put_exactly(letter)
        box = mailbox(server, user, patience=Patience())
        assert sealed(box)[0] == letter
        (envelope,) = looked_at(box)
        session, first, uid = box._connected(), letter[:PIECE], int(envelope.ref.uid)
        session.examine("INBOX")
        assert true_length(session, uid, first, len(letter)) == Length(len(letter))
        for announced in (len(letter) - 1, len(letter) + 1, 3 * len(letter)):
            found = true_length(session, uid, first, announced)
            assert (found.octets, found.sha256) == (len(letter), hashlib.sha256(letter).digest())
        box.close()

"""Nothing of what was polled shows anywhere: canaries are polled at DEBUG, with errors, and everything is searched."""

import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nocontactd.demo.loopback import Answer, Fault
from nocontactd.demo.twilio_standin import TwilioStandin
from tests.installation import EX_PHONE, NUMBER, RELAY_TO, Installation, letter
from tests.invitations import CALENDAR, calendar_part, message, multipart, plain_part
from tests.peers.dovecot import Dovecot, dovecot
from tests.peers.imap_proxy import imap_proxy

CANARIES = (
    "canary", "abuser.example", EX_PHONE.lstrip("+"), EX_PHONE[-10:], "4155550142", "4155550177", "friends.example",
)  # fmt: skip
EX = letter("Alex Canaryname <ex@abuser.example>", 1, "canary-body").replace(b"number 1", b"canary-subject")
FRIEND = letter("Nadia Canarysecond <nadia@friends.example>", 2, "canary-body")
HELD = letter("Alex Canaryname <other@friends.example>", 3, "canary-body")
INVITED = message(multipart(plain_part("canary-body"), calendar_part(calendar=CALENDAR.replace("Ex", "Canary"))))


@pytest.fixture(scope="module")
def server() -> Iterator[Dovecot]:
    with dovecot() as running:
        yield running


@pytest.fixture
def place(tmp_path: Path, server: Dovecot) -> Iterator[Installation]:
    with TwilioStandin() as twilio:
        yield Installation(tmp_path / "place", server, twilio, user="owner").with_keys()


def full(place: Installation) -> None:
    """Canaries in every field, in mail and in texts, sealed, held and passed."""
    place.deliver(EX, FRIEND, HELD, INVITED)
    place.deliver(b"To: Canaryname <canary-reader@friends.example>\r\n\r\ncanary-body\r\n", folder="Sent")
    assert place.twilio
    place.twilio.arrives(from_=EX_PHONE, to=NUMBER, body="canary-text", media=[(b"canary-media", "image/jpeg")])
    place.twilio.arrives(from_="+14155550142", to=NUMBER, body="canary-friend")
    place.twilio.arrives(from_="+14155550177", to=NUMBER, body="canary-code")


def found(text: str) -> list[str]:
    return [each for each in CANARIES if each.lower() in text.lower()]


def outside_the_archive(place: Installation) -> Iterator[tuple[str, str]]:
    """Every file that may not hold a canary, as text; UTF-16 and deflate are not in use anywhere."""
    allowed = (place.archive, place.config, place.state / "accepted.json", place.state / "pending.json")
    for file in sorted(place.folder.rglob("*")):
        if file.is_file() and not any(file == each or each in file.parents for each in allowed):
            yield str(file.relative_to(place.folder)), file.read_bytes().decode("latin-1")


def until(condition: object, seconds: float = 20.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():  # type: ignore[operator]
            return True
        time.sleep(0.05)
    return False


def test_a_daemon_at_debug_shows_no_canary_anywhere(place: Installation) -> None:
    full(place)
    journal = place.folder / "journal"
    daemon = place.daemon(journal, NOCONTACT_LOG="DEBUG", PYTHONDEVMODE="1")
    try:
        assert until(lambda: EX not in [each for _, each in place.mailbox().values()]), journal.read_text()
        assert until(lambda: len([t for t in place.twilio.messages() if t["to"] == RELAY_TO]) >= 0)  # type: ignore
        for title in ("cmdline", "comm", "environ"):
            assert found(Path(f"/proc/{daemon.pid}/{title}").read_text()) == []
        for line in ("status", "status --json", "poll", "verify", "verify --json", "check", "plan"):
            words = line.split()
            done = place.nocontact(*words)
            assert found(done.stdout + done.stderr) == [], words
            assert not re.search(r"\b[0-9]+ (messages?|records?|matches)\b", done.stdout + done.stderr), words
    finally:
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(15) == 0, journal.read_text()
    assert journal.read_text(), "at DEBUG it says something"
    assert [(name, each) for name, text in outside_the_archive(place) for each in found(text)] == []


@pytest.mark.parametrize("at", [5, 9, 12, 14, 16, 18, 20])
def test_errors_and_tracebacks_of_a_mailbox_show_no_canary(place: Installation, server: Dovecot, at: int) -> None:
    """The connection ends at the n-th command, with canaries in hand."""
    full(place)
    with imap_proxy(server.host, server.port) as proxy:
        place.config.write_text(place.config.read_text().replace(f"port: {server.port}", f"port: {proxy.port}"))
        proxy.arm(at, "after", lambda: None)
        place.environ["NOCONTACT_LOG"] = "DEBUG"
        done = place.nocontact("poll")
    assert "Traceback" not in done.stderr
    assert found(done.stdout + done.stderr) == []
    assert [(name, each) for name, text in outside_the_archive(place) for each in found(text)] == []


@pytest.mark.parametrize(
    ("method", "status"),
    [
        pytest.param(method, status, marks=pytest.mark.soak if status == 429 and method != "POST" else ())
        for method in ("GET", "POST", "DELETE")
        for status in (400, 401, 404, 429, 500)  # 429 is waited out: seconds
    ],
)
def test_errors_of_a_number_show_no_canary(place: Installation, method: str, status: int) -> None:
    """Twilio's error texts quote numbers."""
    full(place)
    assert place.twilio
    body = b'{"code": 21211, "message": "canary The To number +447700900123 is not valid", "status": %d}' % status
    place.twilio.fail(Fault(answer=Answer(status, body)), method=method, path="Messages", times=3)
    done = place.nocontact("poll")
    assert "Traceback" not in done.stderr
    assert found(done.stdout + done.stderr) == []
    assert [(name, each) for name, text in outside_the_archive(place) for each in found(text)] == []


def test_the_search_itself_finds_a_canary_that_was_let_out(place: Installation) -> None:
    (place.state / "leak").write_bytes(b"xx CANARY-subject")
    assert [name for name, text in outside_the_archive(place) if found(text)] == ["state/leak"]


def test_files_are_for_their_owner_alone(place: Installation) -> None:
    full(place)
    assert place.nocontact("poll").returncode == 0
    open_to_others = [
        str(file.relative_to(place.folder))
        for top in (place.archive, place.state)
        for file in (top, *top.rglob("*"))
        if file.stat().st_mode & 0o077
    ]
    assert open_to_others == []
    assert (place.state / "accepted.json").stat().st_mode & 0o777 == 0o600

"""The commands that look at sources: a mailbox on pymap and the Twilio stand-in, the real daemon beside them."""

import json
import os
import re
import shutil
import signal
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from nocontactd import status
from nocontactd.cli import main
from nocontactd.cli.check import deletable
from nocontactd.demo.twilio_standin import TwilioStandin
from nocontactd.status import SourceStatus, Status
from tests.installation import EX_PHONE, FRIEND_PHONE, NUMBER, Installation, letter
from tests.peers.onlooker import MailServer, Sights, looking
from tests.peers.pymap_server import pymap_server
from tests.transcripts import Outcome, run

EX, FRIEND = letter("ex@abuser.example", 1), letter("nadia@friends.example", 2)
HELD = letter("Alex Canaryname <other@friends.example>", 3)

SECOND = """\
  - source: second
    host: 127.0.0.1
    port: {port}
    security: none
    user: second
    password_file: {folder}/secret
"""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Installation]:
    """One mailbox, one number, keys for two."""
    with pymap_server() as server, TwilioStandin(numbers=[NUMBER]) as twilio:
        yield Installation(tmp_path / "place", cast(Any, server), twilio, user=server.user).with_keys()


@pytest.fixture
def mailbox(tmp_path: Path) -> Iterator[Installation]:
    """One mailbox alone."""
    with pymap_server() as server:
        yield Installation(tmp_path / "place", cast(Any, server), user=server.user).with_keys()


def nocontact(place: Installation, line: str) -> Outcome:
    return run(f"NOCONTACT_CONFIG={place.config} XDG_STATE_HOME={place.folder}/xdg nocontact {line}", place.folder)


@pytest.fixture
def daemon(place: Installation) -> Iterator[Installation]:
    """The daemon is running, and has looked."""
    process = place.daemon(place.folder / "journal")
    try:
        deadline = time.monotonic() + 60
        while not (said := status.read(place.state)) or not said.healthy:
            assert process.poll() is None, (place.folder / "journal").read_text()
            assert time.monotonic() < deadline, said
            time.sleep(0.1)
        (place.folder / "pid").write_text(str(process.pid))
        yield place
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def sights(place: Installation) -> Sights:
    """The whole mailbox, as somebody else sees it."""
    with looking(cast(MailServer, place.server)) as onlooker:
        return onlooker.everything()


def standing(place: Installation) -> int:
    return len(sights(place))


def test_plan_says_what_it_would_do_without_a_number_and_does_none_of_it(place: Installation) -> None:
    place.deliver(EX, EX, FRIEND, HELD)
    assert place.twilio
    place.twilio.arrives(from_=EX_PHONE, to=NUMBER, body="hi")
    place.twilio.arrives(from_=FRIEND_PHONE, to=NUMBER, body="hi")
    before, texts = sights(place), place.twilio.snapshot()
    files = sorted(place.folder.rglob("*"))
    done = nocontact(place, "plan")
    assert (done.code, done.err) == (0, "")
    assert "home: messages of listed people would be sealed and removed\n" in done.out
    assert "home: messages perhaps of listed people would stay, with a sealed note\n" in done.out
    assert "number: messages of listed people would be sealed and removed\n" in done.out
    assert not re.search(r"\d", done.out)
    assert (sights(place), place.twilio.snapshot()) == (before, texts)
    assert sorted(place.folder.rglob("*")) == files


def test_plan_with_counts_says_how_many(mailbox: Installation) -> None:
    mailbox.deliver(EX, EX, FRIEND)
    assert "home: 2 messages of listed people would be sealed" in nocontact(mailbox, "plan --counts").out


def test_plan_of_a_copy_says_what_a_new_entry_would_take_and_puts_it_into_force_nowhere(mailbox: Installation) -> None:
    assert nocontact(mailbox, "poll").code == 0
    mailbox.deliver(FRIEND)
    accepted = (mailbox.state / "accepted.json").read_bytes()
    draft = mailbox.config.read_text().replace("ex@abuser.example", "ex@abuser.example, nadia@friends.example")
    copy = mailbox.put("copy.yaml", draft)
    assert "1 messages of listed people would be sealed" in nocontact(mailbox, f"plan --counts --config {copy}").out
    assert (mailbox.state / "accepted.json").read_bytes() == accepted
    assert nocontact(mailbox, "plan").out == "home: nothing would be sealed, nothing changed\n"


def test_plan_of_a_quiet_source_says_so(mailbox: Installation) -> None:
    mailbox.deliver(FRIEND)
    assert nocontact(mailbox, "plan").out == "home: nothing would be sealed, nothing changed\n"


def test_check_remarks_on_a_missing_sent_folder_and_is_content(mailbox: Installation) -> None:
    remark = "remark: home: whom you have written to is not known"
    assert remark in nocontact(mailbox, "check").out
    mailbox.client.create("Sent")
    done = nocontact(mailbox, "check")
    assert remark not in done.out
    assert "home: in order\n" in done.out


def test_plan_knows_whom_the_owner_wrote_to_long_ago(mailbox: Installation) -> None:
    mailbox.deliver(HELD)
    sender = re.search(rb"<(.*)>", HELD)
    assert sender
    assert "would stay, with a sealed note" in nocontact(mailbox, "plan").out
    mailbox.client.create("Sent")
    mailbox.client.append("Sent", "", '"01-Jan-2024 00:00:00 +0000"', b"To: %b\r\n\r\nhello\r\n" % sender[1])
    assert nocontact(mailbox, "plan").out == "home: nothing would be sealed, nothing changed\n"


def test_plan_foretells_that_a_sweep_would_be_refused(mailbox: Installation) -> None:
    mailbox.deliver(EX, EX)
    mailbox.config.write_text(mailbox.config.read_text() + "max_per_pass: 1\n")
    done = nocontact(mailbox, "plan")
    assert done.code == 1
    assert "more matches than max_per_pass allows" in done.err
    assert not re.search(r"\d", done.out + done.err)


def test_a_folder_that_cannot_be_looked_through_is_75_and_the_others_are_planned(mailbox: Installation) -> None:
    mailbox.deliver(EX)
    mailbox.config.write_text(mailbox.config.read_text().replace("every: 1s", "folders: [INBOX, Elsewhere]"))
    done = nocontact(mailbox, "plan")
    assert done.code == 75
    assert "would be sealed" in done.out
    assert "nocontact: error: home: a folder was not looked through" in done.err


def test_check_says_where_senders_cannot_be_told_apart_and_of_an_entry_at_a_court(mailbox: Installation) -> None:
    right = mailbox.config.read_text()
    done = nocontact(mailbox, "check")
    assert "remark: home: protected senders, and forged ones, cannot be told apart" in done.out
    assert "warning" not in done.out
    listed = right.replace("ex@abuser.example", "pc.canary@kent.police.uk").replace(
        "    every", "    authserv_id: x\n    every"
    )
    mailbox.config.write_text(listed)
    told = nocontact(mailbox, "check")
    assert (told.code, told.err) == (done.code, done.err)
    assert f"{mailbox.config}:3:12: warning: this address is at a court, police, a hotline or the like" in told.out
    assert "canary" not in told.out + told.err
    assert "cannot be told apart" not in told.out
    for command in ("plan", "poll"):
        assert nocontact(mailbox, command).code == 0


@pytest.mark.parametrize("command", ["plan", "poll", "check"])
def test_a_refused_login_is_77_and_names_the_source(mailbox: Installation, command: str) -> None:
    mailbox.put("secret", "wrong")
    mailbox.deliver(EX)
    done = nocontact(mailbox, command)
    assert done.code == 77
    assert "nocontact: error: home: " in done.err
    assert "Traceback" not in done.err


def test_poll_seals_removes_and_says_nothing(place: Installation) -> None:
    place.deliver(EX, FRIEND)
    assert place.twilio
    place.twilio.arrives(from_=EX_PHONE, to=NUMBER, body="hi")
    done = nocontact(place, "poll")
    assert (done.code, done.out, done.err) == (0, "", "")
    assert standing(place) == 1
    assert len(place.acknowledged()) == 2


def test_poll_of_several_sources_goes_on_after_one_that_fails_and_ends_with_its_code(place: Installation) -> None:
    place.deliver(EX)
    place.put("token", "wrong")
    done = nocontact(place, "poll")
    assert done.code == 77
    assert "number" in done.err
    assert standing(place) == 0


def test_poll_asks_a_running_daemon_and_waits_for_it(daemon: Installation) -> None:
    daemon.config.write_text(daemon.config.read_text().replace("every: 1s", "every: 1h"))
    time.sleep(2)  # it has taken that over
    with frozen(daemon):
        daemon.deliver(EX)
        assert standing(daemon) == 1
    done = nocontact(daemon, "poll")
    assert (done.code, done.out, done.err) == (0, "", "")
    assert standing(daemon) == 0


def test_poll_beside_a_broken_file_says_so_and_is_1_as_the_accepted_rules_are_in_force(daemon: Installation) -> None:
    daemon.config.write_text(daemon.config.read_text() + "nonsense: 1\nfolly: 1\n")
    daemon.deliver(EX)
    time.sleep(2)  # it has seen that
    done = nocontact(daemon, "poll")
    assert done.code == 1
    assert standing(daemon) == 0
    lines = done.err.splitlines()
    assert len(lines) == 2
    assert all(line.startswith(f"nocontact: error: {daemon.config}:") for line in lines)


@contextmanager
def frozen(place: Installation) -> Iterator[None]:
    """The daemon stands still; it holds its locks all the same."""
    process = int((place.folder / "pid").read_text())
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


def test_poll_beside_a_frozen_daemon_is_75_after_seconds(daemon: Installation) -> None:
    with frozen(daemon):
        begun = time.monotonic()
        done = nocontact(daemon, "poll")
        assert 9 < time.monotonic() - begun < 20
    assert (done.code, done.out) == (75, "")
    assert done.err.splitlines() == [
        "nocontact: error: the daemon does not answer; nothing was looked at now",
        "nocontact: hint: see `nocontact status`",
    ]


def test_status_of_a_frozen_daemon_is_1_for_it_and_every_source(daemon: Installation) -> None:
    with frozen(daemon):
        then = time.time() - 300
        os.utime(daemon.state / "status.json", (then, then))
        plain, said = nocontact(daemon, "status"), nocontact(daemon, "status --json")
    assert (plain.code, said.code) == (1, 1)
    assert plain.out.startswith("not healthy\n  the daemon has not said anything for 5 minutes;")
    told = json.loads(said.out)
    assert told.keys() == {"healthy", "since", "sources"}
    assert told["healthy"] is False
    assert [source["healthy"] for source in told["sources"]] == [False, False]
    assert all("has not said anything" in source["problem"] for source in told["sources"])


def test_poll_beside_a_source_that_hangs_names_it_and_comes_back(
    daemon: Installation, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("nocontactd.cli.poll.PATIENCE", 4.0)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        second = SECOND.format(port=silent.getsockname()[1], folder=daemon.folder)
        daemon.config.write_text(daemon.config.read_text().replace("mail:\n", "mail:\n" + second))
        time.sleep(2)  # it has taken that over
        code = main(["--config", str(daemon.config), "poll"])
    said = capsys.readouterr().err.splitlines()
    assert code == 75
    assert said == [
        "waiting for the daemon to look at every source",
        "nocontact: error: second: the look has not finished yet; it goes on",
        "nocontact: hint: see `nocontact status`",
    ]


def test_poll_without_keys_is_78_and_says_what_to_do(mailbox: Installation) -> None:
    shutil.rmtree(mailbox.archive)
    mailbox.deliver(EX)
    done = nocontact(mailbox, "poll")
    assert done.code == 78
    assert "keys" in done.err + done.out
    assert standing(mailbox) == 1


def _keys_init(place: Installation) -> Outcome:
    for name in ("owner", "therapist"):
        place.put(f"{name}.txt", f"{name} says so\n")
    return nocontact(place, "keys init --owner-passphrase-file owner.txt --therapist-passphrase-file therapist.txt")


@pytest.mark.parametrize("polled", [True, False])
def test_an_archive_that_is_gone_is_65_and_no_second_one_is_made_there(mailbox: Installation, polled: bool) -> None:
    shutil.rmtree(mailbox.archive)
    assert _keys_init(mailbox).code == 0
    if polled:
        assert nocontact(mailbox, "poll").code == 0
    mailbox.deliver(EX)
    shutil.move(mailbox.archive, mailbox.folder / "elsewhere")
    for command in ("poll", "check"):
        done = nocontact(mailbox, command)
        assert done.code == 65
        assert "it is gone, though there was one" in done.err
        assert "is its disk mounted" in done.err
    made = _keys_init(mailbox)
    assert (made.code, mailbox.archive.exists()) == (73, False)
    assert "hint: is its disk mounted" in made.err
    assert standing(mailbox) == 1
    shutil.move(mailbox.folder / "elsewhere", mailbox.archive)
    assert nocontact(mailbox, "poll").code == 0
    assert standing(mailbox) == 0


def test_a_wrong_path_before_the_keys_were_made_is_mended_at_once(mailbox: Installation) -> None:
    shutil.rmtree(mailbox.archive)
    mailbox.deliver(EX)
    right = mailbox.config.read_text()
    mailbox.config.write_text(right.replace(str(mailbox.archive), str(mailbox.folder / "wrong")))
    assert nocontact(mailbox, "poll").code == nocontact(mailbox, "check").code == 78
    mailbox.config.write_text(right)
    assert _keys_init(mailbox).code == 0
    assert nocontact(mailbox, "poll").code == 0
    assert standing(mailbox) == 0
    assert nocontact(mailbox, "pending").out == "nothing is waiting\n"


@pytest.mark.parametrize("text", [None, "blocked: [\n"])
def test_a_broken_file_is_but_a_problem_once_rules_were_accepted(mailbox: Installation, text: str | None) -> None:
    right = mailbox.config.read_text()
    assert nocontact(mailbox, "poll").code == 0
    mailbox.deliver(EX)
    mailbox.config.unlink()
    if text is not None:
        mailbox.put(mailbox.config.name, text)
    for command in ("poll", "check"):
        done = nocontact(mailbox, command)
        assert done.code == 1
        assert f"nocontact: error: {mailbox.config}:" in done.err
    assert standing(mailbox) == 0
    mailbox.put("secret", "wrong")
    assert nocontact(mailbox, "poll").code == nocontact(mailbox, "check").code == 77
    shutil.rmtree(mailbox.state)
    mailbox.put(mailbox.config.name, right.replace("blocked:", "nonsense:"))
    assert nocontact(mailbox, "poll").code == nocontact(mailbox, "check").code == 78


def test_status_of_a_running_daemon_is_healthy_and_names_nobody(daemon: Installation) -> None:
    daemon.deliver(EX)
    plain = nocontact(daemon, "status")
    assert (plain.code, plain.err) == (0, "")
    assert plain.out.startswith("healthy\n")
    assert "ceremony: unattended" in plain.out
    said = json.loads(nocontact(daemon, "status --json").out)
    assert said.pop("since").endswith("Z")
    assert said == {
        "healthy": True,
        "sources": [
            {"source": "home", "healthy": True, "problem": None},
            {"source": "number", "healthy": True, "problem": None},
        ],
    }


def test_status_says_why_a_source_is_not_healthy(daemon: Installation) -> None:
    daemon.put("token", "wrong")
    assert daemon.twilio
    daemon.twilio.token = "another"
    deadline = time.monotonic() + 30
    while (done := nocontact(daemon, "status")).code == 0:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert done.code == 1
    assert done.out.startswith("not healthy\n")
    assert "  number: " in done.out


def test_status_without_a_daemon_is_1_for_every_source(mailbox: Installation) -> None:
    done = nocontact(mailbox, "status --json")
    assert done.code == 1
    [source] = json.loads(done.out)["sources"]
    assert (source["source"], source["healthy"]) == ("home", False)
    assert "not running" in source["problem"]


def test_what_a_daemon_said_before_it_ended_is_not_believed(mailbox: Installation) -> None:
    then = datetime(2026, 11, 22, tzinfo=UTC)
    status.write(mailbox.state, Status(True, then, (SourceStatus("home", True, None),)))
    done = nocontact(mailbox, "status --json")
    assert done.code == 1
    assert json.loads(done.out)["healthy"] is False
    plain = nocontact(mailbox, "status").out
    assert plain.startswith("not running")
    assert "remark: ceremony: unattended" in plain


def test_a_loosening_is_shown_waits_and_can_be_cancelled(mailbox: Installation) -> None:
    nocontact(mailbox, "poll")  # the rules are accepted
    mailbox.config.write_text(mailbox.config.read_text().replace("ex@abuser.example", "other@abuser.example"))
    [waiting] = json.loads(nocontact(mailbox, "pending --json").out)
    assert sorted(waiting) == ["due", "id", "what"]
    assert "ex@abuser.example" in waiting["what"]
    assert waiting["due"].endswith("Z")
    assert waiting["id"] in nocontact(mailbox, "pending").out
    mailbox.deliver(EX)
    assert "would be sealed" in nocontact(mailbox, "plan").out
    explained = run(f"NOCONTACT_CONFIG={mailbox.config} nocontact explain --json x.eml", _with(mailbox, "x.eml", EX))
    assert json.loads(explained.out)["rule"] == "ex@abuser.example"
    cancelled = nocontact(mailbox, f"cancel {waiting['id']}")
    assert (cancelled.code, cancelled.err) == (0, "")
    assert nocontact(mailbox, "pending").out == "nothing is waiting\n"
    assert nocontact(mailbox, f"cancel {waiting['id']}").code == 1


def _with(place: Installation, name: str, octets: bytes) -> Path:
    (place.folder / name).write_bytes(octets)
    return place.folder


def test_check_finds_nothing_wrong_beside_a_running_daemon_but_what_people_must_know(daemon: Installation) -> None:
    assert daemon.twilio
    daemon.twilio.numbers[NUMBER] |= {"sms_url": "", "voice_url": "https://voice.example/"}
    done = nocontact(daemon, "check")
    assert done.err == ""
    assert done.code == 0
    for words in ("iMessage", "social apps", "spoofed", "push alert"):
        assert re.search(f"^not covered: .*{words}", done.out, re.MULTILINE)
    assert "remark: ceremony: unattended" in done.out
    assert "home: in order" in done.out


def test_check_says_what_twilio_would_do_behind_the_owners_back(place: Installation) -> None:
    done = nocontact(place, "check")
    assert done.code == 1
    assert re.search("^nocontact: error: number: .*demonstration reply", done.err, re.MULTILINE)


def test_check_notices_what_others_on_the_machine_can_read(mailbox: Installation) -> None:
    (mailbox.state / "log.key").chmod(0o644)
    done = nocontact(mailbox, "check")
    assert "log.key: others on this machine can get at it" in done.err
    assert stat.S_IMODE((mailbox.state / "log.key").stat().st_mode) == 0o644, "check changes nothing"


@pytest.mark.parametrize(
    ("owner", "user", "said"), [(1000, 1000, True), (999, 999, False), (999, 1000, False), (0, 0, False)]
)
def test_check_says_when_a_person_could_delete_the_state(owner: int, user: int, said: bool) -> None:
    assert deletable(owner, user) is said


def test_check_marks_no_message_and_fetches_no_body(place: Installation) -> None:
    place.deliver(EX, FRIEND)
    before = sights(place)
    nocontact(place, "check")
    assert sights(place) == before


def test_an_unreachable_source_is_75(mailbox: Installation) -> None:
    text = re.sub(r"port: \d+", "port: 9", mailbox.config.read_text())
    mailbox.config.write_text(text)
    for command in ("plan", "poll", "check"):
        done = nocontact(mailbox, command)
        assert done.code == 75, done
        assert "nocontact: error: home: " in done.err

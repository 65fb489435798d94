"""The rules in force: on the disk before they are used, tightened at once, loosened when it is time."""

import json
import os
import re
import shutil
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from nocontactd import in_force, state, whereabouts
from nocontactd.config import Config, parse
from nocontactd.errors import ConfigError, NocontactError, SealError
from nocontactd.in_force import InForce, Kept, accept, cancel, entered, load, locate, weigh

START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
WEEK = timedelta(days=7)
TEXT = """\
blocked:
  - person: A.
    mail: [ex@abuser.example, other@abuser.example]
    phone: ["+44 7700 900123"]
    names: [Alex Example]
mail:
  - source: home
    host: imap.example.org
    user: me@example.org
    password_file: home.password
    folders: [INBOX, Junk]
    every: 60s
uncertain: seal
max_per_pass: 1000
loosening: {delay: 7 days}
archive: {path: archive}
"""


class Place:
    """A configuration file and a state, and a clock that a test sets."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "config.yaml"
        self.environ = {"HOME": str(folder), "XDG_STATE_HOME": str(folder / "states")}
        self.now = START
        self.write(TEXT)

    @property
    def state(self) -> Path:
        return Path(self.environ["XDG_STATE_HOME"]) / "nocontactd"

    def write(self, text: str) -> None:
        self.file.write_text(text)
        self.file.chmod(0o600)

    def edit(self, old: str, new: str) -> None:
        assert old in self.file.read_text()
        self.write(self.file.read_text().replace(old, new))

    def accept(self, after: timedelta = timedelta(), *, broken: frozenset[str] = frozenset()) -> InForce:
        self.now += after
        return accept(self.file, self.environ, self.now, broken)

    def load(self) -> InForce:
        return load(self.file, self.environ, self.now)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def entries(found: InForce) -> set[str]:
    return {rule.entry for rule in found.config.entries}


def test_a_first_configuration_is_accepted_whole_and_kept_for_its_user_alone(place: Place) -> None:
    found = place.accept()
    kept = place.state / "accepted.json"
    assert entries(found) == {"ex@abuser.example", "other@abuser.example", "+44 7700 900123", "Alex Example"}
    assert (found.pending, found.problems) == ((), ())
    assert (kept.stat().st_mode & 0o777, place.state.stat().st_mode & 0o777) == (0o600, 0o700)


def test_a_bad_first_file_is_refused_with_its_place(place: Place) -> None:
    place.write("blocked: []\nnonsense: 1\n")
    with pytest.raises(ConfigError, match=r"config.yaml:2:1: ") as refused:
        place.accept()
    assert refused.value.exit_code == 78
    assert not (place.state / "accepted.json").exists()


def test_a_bad_new_file_leaves_the_rules_in_force_at_a_restart_too(place: Place) -> None:
    before = place.accept()
    place.write("blocked: [\n")
    for found in (place.accept(), place.load()):
        assert found.config == before.config
        assert "config.yaml:" in found.problems[0]


def test_a_file_that_is_gone_leaves_the_rules_in_force(place: Place) -> None:
    before = place.accept()
    place.file.unlink()
    found = place.accept()
    assert found.config == before.config
    assert found.problems


def test_an_entry_more_is_in_force_at_once_and_on_the_disk(place: Place) -> None:
    place.accept()
    place.edit("other@abuser.example", "other@abuser.example, third@abuser.example")
    assert "third@abuser.example" in entries(place.accept())
    place.write("broken: [\n")
    assert "third@abuser.example" in entries(place.load())


def test_what_should_be_known_of_the_file_is_told_though_it_is_followed(place: Place) -> None:
    assert place.accept().warnings == ()
    place.edit("other@abuser.example", "pc.other@kent.police.uk")
    assert place.load().warnings == place.accept().warnings != ()
    assert place.accept().warnings[0].startswith(f"{place.file}:3:31: warning: this address is at a court, police")
    assert "other" not in "".join(place.accept().warnings)
    assert "pc.other@kent.police.uk" in entries(place.accept()) and place.accept().problems == ()


def test_an_entry_less_waits_for_the_delay_and_then_is_gone(place: Place) -> None:
    place.accept()
    place.edit("ex@abuser.example, ", "")
    found = place.accept()
    assert "ex@abuser.example" in entries(found)
    assert [(w.what, w.due) for w in found.pending] == [("no longer listed: ex@abuser.example", START + WEEK)]
    assert "ex@abuser.example" in entries(place.accept(WEEK - timedelta(seconds=1)))
    found = place.accept(timedelta(seconds=1))
    assert "ex@abuser.example" not in entries(found)
    assert found.pending == ()


def test_what_waits_keeps_its_date_across_restarts_and_other_edits(place: Place) -> None:
    place.accept()
    place.edit("ex@abuser.example, ", "")
    first = place.accept().pending[0]
    place.edit("60s", "2m")
    second = place.accept(timedelta(days=3))
    assert first in second.pending
    assert {w.due for w in second.pending} == {START + WEEK, START + timedelta(days=10)}
    place.write("half written")
    assert first in place.accept(timedelta(days=1)).pending


def test_what_waits_is_dropped_when_the_file_puts_the_thing_back_and_waits_anew_later(place: Place) -> None:
    place.accept()
    place.edit("ex@abuser.example, ", "")
    place.accept()
    place.write(TEXT)
    assert place.accept(timedelta(days=6)).pending == ()
    place.edit("ex@abuser.example, ", "")
    assert place.accept().pending[0].due == place.now + WEEK


def test_a_clock_set_back_makes_nothing_due_earlier(place: Place) -> None:
    place.accept()
    place.edit("ex@abuser.example, ", "")
    due = place.accept().pending[0].due
    assert place.accept(-timedelta(days=3000)).pending[0].due == due


def test_a_cancelled_loosening_stays_cancelled_until_the_file_puts_the_thing_back(place: Place) -> None:
    place.accept()
    place.edit("ex@abuser.example, ", "")
    id = place.accept().pending[0].id
    cancel(place.file, place.environ, place.now, id)
    assert place.load().pending == ()
    for _ in range(3):
        found = place.accept(WEEK)
        assert (found.pending, "ex@abuser.example" in entries(found)) == ((), True)
    place.write(TEXT)
    place.accept()
    place.edit("ex@abuser.example, ", "")
    again = place.accept().pending
    assert [(w.id, w.due) for w in again] == [(id, place.now + WEEK)]


def test_only_what_waits_can_be_cancelled(place: Place) -> None:
    place.accept()
    for id in ("0123456789ab", "../accepted.json", ""):
        with pytest.raises(NocontactError, match="nothing was cancelled"):
            cancel(place.file, place.environ, place.now, id)


def test_a_shorter_delay_waits_out_the_longer_one_and_shortens_nothing_that_waits(place: Place) -> None:
    place.accept()
    place.edit("7 days", "1 second")
    place.edit("ex@abuser.example, ", "")
    assert {w.due for w in place.accept().pending} == {START + WEEK}
    assert "ex@abuser.example" in entries(place.accept(timedelta(days=1)))


def test_a_longer_delay_holds_at_once(place: Place) -> None:
    place.accept()
    place.edit("7 days", "14 days")
    place.edit("ex@abuser.example, ", "")
    assert place.accept().pending[0].due == START + 2 * WEEK


def test_an_endless_delay_is_no_error(place: Place) -> None:
    place.edit("7 days", "99999999 days")
    try:
        place.accept()
    except ConfigError:
        return  # a limit of the configuration's own is as good
    place.edit("ex@abuser.example, ", "")
    assert place.accept().pending


def test_a_loosening_that_came_into_force_is_told_until_it_was_entered_in_the_log(place: Place) -> None:
    place.accept()
    place.edit("ex@abuser.example, ", "")
    place.accept()
    assert [w.what for w in place.accept(WEEK).applied] == ["no longer listed: ex@abuser.example"]
    assert place.accept().applied
    entered(place.state)
    assert place.accept().applied == ()


def test_a_look_from_outside_writes_nothing(place: Place) -> None:
    place.accept()
    before = _files(place.state)
    place.edit("ex@abuser.example, ", "")
    place.edit("60s", "30s")
    assert place.load().config.mail[0].every == 30.0
    assert _files(place.state) == before


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_rules_that_cannot_be_written_are_not_used(place: Place) -> None:
    place.accept()
    before = (place.state / "accepted.json").read_bytes()
    (place.state / f".accepted.json.{os.getpid()}").mkdir()  # in the way of the new file
    place.edit("other@abuser.example", "other@abuser.example, third@abuser.example")
    with pytest.raises(SealError, match="left as it was"):
        place.accept()
    assert (place.state / "accepted.json").read_bytes() == before


def test_a_file_that_loses_its_state_or_names_another_does_not_find_an_empty_one(place: Place, tmp_path: Path) -> None:
    place.write(TEXT + f"state: {{path: {tmp_path / 'own'}}}\n")
    place.accept()
    for text in (TEXT, TEXT + f"state: {{path: {tmp_path / 'new'}}}\n"):
        place.write(text.replace("ex@abuser.example, ", ""))
        found = place.accept()
        assert found.state == tmp_path / "own"
        assert "ex@abuser.example" in entries(found)
        assert any("to move it, stop the daemon" in problem for problem in found.problems)
    place.write("nonsense")
    assert locate(place.file, place.environ) == tmp_path / "own"
    assert "ex@abuser.example" in entries(place.accept())


def test_a_process_that_is_at_work_keeps_its_state_whatever_the_file_says(place: Place, tmp_path: Path) -> None:
    before = place.accept()
    (place.state / "where").rename(tmp_path / "forgotten")
    place.write(TEXT.replace("ex@abuser.example, ", "") + f"state: {{path: {tmp_path / 'new'}}}\n")
    found = accept(place.file, place.environ, place.now, directory=before.state)
    assert found.state == before.state
    assert "ex@abuser.example" in entries(found)


def test_a_state_that_was_moved_by_hand_is_found_where_the_file_says(place: Place, tmp_path: Path) -> None:
    place.accept()
    (place.state).rename(tmp_path / "elsewhere")
    place.write(TEXT.replace("ex@abuser.example, ", "") + f"state: {{path: {tmp_path / 'elsewhere'}}}\n")
    found = place.accept()
    assert (found.state, found.problems) == (tmp_path / "elsewhere", ())
    assert "ex@abuser.example" in entries(found)


def test_the_owner_finds_the_state_that_systemd_chose_for_the_daemon(place: Place, tmp_path: Path) -> None:
    accept(place.file, place.environ | {"STATE_DIRECTORY": str(tmp_path / "var")}, START)
    assert place.load().state == tmp_path / "var"
    assert place.load().problems == ()


def test_damaged_rules_are_put_aside_and_the_owner_told_until_it_was_seen_to(place: Place) -> None:
    place.accept()
    (place.state / "accepted.json").write_text('{"config": {}')
    assert place.load().problems
    for _ in range(2):
        found = place.accept()
        assert "ex@abuser.example" in entries(found)
        assert "damaged" in found.problems[0]
    (place.state / "accepted.damaged").unlink()
    assert place.accept().problems == ()


@pytest.mark.parametrize("keys", [True, False])
def test_an_archive_that_was_never_made_is_left_at_once(place: Place, tmp_path: Path, keys: bool) -> None:
    """A wrong path must not stand in the way for a week: nothing was sealed there."""
    place.accept()
    place.edit("path: archive", "path: other")
    if keys:
        (tmp_path / "other").mkdir()
        (tmp_path / "other" / "archive.json").touch()
    for found in (place.load(), place.accept(), place.load()):
        assert (found.config.archive, found.pending, found.problems) == (tmp_path / "other", (), ())


@pytest.mark.parametrize("remains", ["archive.json", "keys/copy/archive.json", "mail/2026-11-22", "keys/day.pub"])
def test_an_archive_of_which_anything_is_left_is_not_left_at_once(place: Place, tmp_path: Path, remains: str) -> None:
    place.accept()
    (tmp_path / "archive" / remains).mkdir(parents=True)
    place.edit("path: archive", "path: other")
    assert place.accept().config.archive == tmp_path / "archive"


def test_an_archive_that_was_there_once_is_not_left_at_once(place: Place, tmp_path: Path) -> None:
    """Whoever takes the disk out must not get another archive for it."""
    place.accept()
    whereabouts.note(place.state, tmp_path / "archive")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "archive.json").touch()
    place.edit("path: archive", "path: other")
    found = place.accept()
    assert (found.config.archive, len(found.pending)) == (tmp_path / "archive", 1)


def test_a_wrong_path_that_waited_already_waits_no_more(place: Place, tmp_path: Path) -> None:
    place.accept()
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / "archive.json").touch()
    place.edit("path: archive", "path: other")
    assert len(place.accept().pending) == 1
    shutil.rmtree(tmp_path / "archive")
    found = place.accept()
    assert (found.config.archive, found.pending) == (tmp_path / "other", ())


def test_another_archive_waits_until_it_has_keys_however_late_that_is(place: Place, tmp_path: Path) -> None:
    place.accept()
    whereabouts.note(place.state, tmp_path / "archive")
    place.edit("path: archive", "path: other")
    assert "no keys" in place.accept().problems[0]
    assert place.accept(2 * WEEK).config.archive == tmp_path / "archive"
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "archive.json").touch()
    found = place.accept()
    assert (found.config.archive, found.problems) == (tmp_path / "other", ())


def test_the_connection_of_a_broken_source_changes_at_once(place: Place) -> None:
    place.accept()
    place.edit("home.password", "moved.password")
    assert place.accept().pending
    found = place.accept(broken=frozenset({"home"}))
    assert found.pending == ()
    assert found.config.mail[0].secret.file is not None
    assert found.config.mail[0].secret.file.name == "moved.password"


def test_no_beginning_of_a_file_lets_anything_through(tmp_path: Path) -> None:
    """Cut at every byte, in the order of the manual and in one in which more beginnings are whole."""
    needed = "archive: {path: archive}\n"
    early = TEXT.replace(needed, "").replace("mail:\n", f"{needed}mail:\n", 1)
    assert _cut(TEXT, range(len(TEXT)), tmp_path) == 0
    assert _cut(early, range(len(early)), tmp_path) > 40


def test_no_beginning_of_the_example_lets_anything_through(tmp_path: Path) -> None:
    text = (Path(__file__).parents[1] / "config.example.yaml").read_text()
    # Of a line that is a comment, its beginning stands for every byte.
    starts = [0, *(found.end() for found in re.finditer("\n", text))]
    assert _cut(text, [end for start in starts for end in _ends(text, start)], tmp_path) == 0
    # The archive stands last in it, so that no beginning is whole. And if it did not:
    bare = "".join(line for line in text.splitlines(keepends=True) if not re.match(r"\s*(-\s*)?#|\s*$", line))
    bare = bare.replace("\n    person:", "\n  - person:").replace("\n    source:", "\n  - source:")
    archive = bare.rindex("archive:")
    early = bare[archive:] + "\n" + bare[:archive]
    assert _cut(early, range(len(early)), tmp_path) > 50


def _ends(text: str, start: int) -> range:
    line = text[start:].partition("\n")[0]
    return range(start, start + 1 if line.lstrip().startswith("#") else min(start + len(line) + 1, len(text)))


def _cut(text: str, ends: Iterable[int], folder: Path) -> int:
    """Judge every beginning against the whole; how many of them are a configuration at all."""
    whole = _parsed(text, folder)
    assert isinstance(whole, Config)
    halves = [half for end in ends if end < len(text) and isinstance(half := _parsed(text[:end], folder), Config)]
    for half in halves:
        _none_looser(weigh(Kept(whole), half, START)[0].config, whole)
    return len([half for half in halves if half != whole])


def _parsed(text: str, folder: Path) -> Config | ConfigError:
    try:
        return parse(text.encode(), "config.yaml", folder)
    except ConfigError as refused:
        return refused


def _none_looser(merged: Config, whole: Config) -> None:
    assert set(whole.entries) <= set(merged.entries)
    assert (merged.uncertain, merged.archive, merged.region) == (whole.uncertain, whole.archive, whole.region)
    assert merged.max_per_pass >= whole.max_per_pass
    assert merged.loosening_delay >= whole.loosening_delay
    by_name = {source.name: source for source in merged.mail}
    for before in whole.mail:
        after = by_name[before.name]
        assert after.folders is None or (before.folders is not None and set(before.folders) <= set(after.folders))
        assert set(after.never_touch) <= set(before.never_touch)
        assert after.every <= before.every
        same: Callable[..., object] = lambda s: (s.host, s.port, s.user, s.security, s.ca_file, s.secret)  # noqa: E731
        assert same(after) == same(before)
    numbers = {source.name: source for source in merged.phone}
    for number in whole.phone:
        assert replace(numbers[number.name], relay_to=None, every=number.every) == replace(number, relay_to=None)
        assert numbers[number.name].every <= number.every


def test_what_is_kept_comes_back_exactly(place: Place) -> None:
    place.accept()
    place.edit("ex@abuser.example, ", "")
    place.accept()
    kept = in_force._kept(place.state)
    text = (place.state / state.ACCEPTED).read_text()
    assert kept is not None
    in_force._write(place.state, kept)
    assert (place.state / state.ACCEPTED).read_text() == text
    assert json.loads(text)["waiting"][0]["due"] == (START + WEEK).isoformat()

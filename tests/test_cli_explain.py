"""Words for every reason; the corpus through the command as it is run, in one process."""

import json
import re
from pathlib import Path

import pytest

from nocontactd.cli import main
from nocontactd.cli.explain import MOST_TEXT, OUTBOUND, WHY
from nocontactd.decide import Reason
from nocontactd.headers import authors
from tests.transcripts import run


def test_every_reason_has_its_words() -> None:
    assert set(WHY) == {*Reason, OUTBOUND}


def test_a_header_at_the_end_of_a_long_message_is_still_read(tmp_path: Path) -> None:
    padding = b"X-Filler: " + b"x" * 70 + b"\r\n"
    (tmp_path / "long.eml").write_bytes(padding * 3000 + b"From: ex@abuser.example\r\n\r\n" + b"body\r\n" * 100_000)
    done = run("nocontact explain --json --blocked ex@abuser.example long.eml", tmp_path)
    assert json.loads(done.out)["disposition"] == "seal"


def test_a_resource_longer_than_any_is_refused(tmp_path: Path) -> None:
    (tmp_path / "long.json").write_text(json.dumps({"from": "+447700900123", "body": "x" * MOST_TEXT}))
    done = run("nocontact explain --sms --blocked +447700900123 long.json", tmp_path)
    assert (done.code, done.out) == (2, "")


@pytest.mark.parametrize("text", ["[" * 200_000, '{"from": ' + "9" * 10_000 + "}", "\x00", "nul"])
def test_json_made_to_hurt_is_refused_and_nothing_else(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    done = run("nocontact explain --sms --blocked +447700900123 a.json", tmp_path)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("nocontact: error: a.json:")


def test_file_names_cannot_act_on_the_screen(tmp_path: Path) -> None:
    name = "a\x1b[2J.eml"
    (tmp_path / name).write_text("From: a@b.example\n\n")
    for options in ("", "--json"):
        done = run(f"nocontact explain {options} --blocked a@b.example '{name}'", tmp_path)
        assert done.code == 0
        assert "\x1b" not in done.out


@pytest.mark.parametrize("entry", ["", " ", "@", '"'])
def test_an_entry_that_names_nobody_is_refused_and_not_explained_as_a_pass(entry: str, tmp_path: Path) -> None:
    (tmp_path / "a.eml").write_text("From: a@b.example\n\n")
    assert main(["explain", "--blocked", entry, str(tmp_path / "a.eml")]) == 2


def test_the_manual_lists_every_code_with_its_disposition() -> None:
    manual = (Path(__file__).parent.parent / "docs" / "EXPLAIN.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| (seal|hold|pass) \|", manual, re.MULTILINE))
    assert set(rows) == {*Reason, OUTBOUND}
    assert [code for code in rows if rows[code] == "hold"] == ["address-in-name", "look-alike", "listed-name"]
    assert {code for code in rows if rows[code] == "seal"} == {
        code for code in Reason if code.startswith("listed-")
    } - {"listed-name"}


def test_the_manual_names_every_author_field() -> None:
    manual = (Path(__file__).parent.parent / "docs" / "EXPLAIN.md").read_text("utf-8")
    fields = re.findall(r"`([A-Z][A-Za-z-]+)`", manual.partition("## Fields")[2])
    raw = "".join(f"{name}: a@b.example\r\n" for name in fields).encode() + b"\r\n"
    assert {author.field for author in authors(raw)} == set(fields) - {"Subject"}

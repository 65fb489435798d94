"""The configuration: read as written, wrong in every place at once, and never half-believed."""

import os
import re
import time
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nocontactd import config
from nocontactd.config import Config, MailSource, Microsoft, Person, PhoneSource, Secret
from nocontactd.config.document import MAX_OCTETS
from nocontactd.config.durations import seconds
from nocontactd.config.keys import KEYS
from nocontactd.errors import ConfigError
from nocontactd.model import Disposition, Kind, Rule

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "config.example.yaml"
BAD = sorted((ROOT / "tests" / "bad_configs").iterdir())

SMALL = """\
archive: {path: archive}
mail:
  - source: home
    host: imap.example.org
    user: me@example.org
blocked:
  - person: A.
    mail:
      - ex@abuser.example
      - "@abuser-business.example"
    phone:
      - +44 7700 900123
    names:
      - Alex Example
  - person: B.
    mail:
      - other@abuser.example
"""
"""Everything needed, with the entries last: the order in which a cut does most harm."""


def parsed(text: str) -> Config:
    return config.parse(text.encode(), "config.yaml")


def problems(text: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as refused:
        parsed(text)
    return refused.value.problems


def with_mail(line: str) -> str:
    """The small file with one more line in its mailbox."""
    return SMALL.replace("    user: me", f"    {line}\n    user: me")


def write(folder: Path, text: str, mode: int = 0o600) -> Path:
    file = folder / "config.yaml"
    file.write_text(text)
    file.chmod(mode)
    return file


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.name)
def test_a_bad_configuration_fails_for_its_own_reason(
    case: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "config.yaml"
    file.write_bytes((case / "config.yaml").read_bytes())
    mode = case / "mode"  # of the file when it is read, where it is another than 600
    file.chmod(int(mode.read_text(), 8) if mode.exists() else 0o600)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as refused:
        config.load(Path("config.yaml"))
    assert str(refused.value) + "\n" == (case / "expected-error").read_text()
    assert refused.value.exit_code == 78


def test_there_are_enough_bad_configurations_and_no_two_expect_the_same() -> None:
    assert len(BAD) >= 30
    expected = {(case / "expected-error").read_text() for case in BAD}
    assert len(expected) >= len(BAD) - 2  # nothing and comments alone are both empty; << is a key like any other


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.name)
def test_no_problem_repeats_what_the_file_says(case: Path) -> None:
    said = (case / "expected-error").read_text()
    assert not re.search("abuser|900123|5550|me@|Alex |imap\\.example|nobody-of|colour|correct|Court", said)
    assert all(re.match(r"config\.yaml:[1-9]\d*:[1-9]\d*: [a-z`]", line) for line in said.splitlines())


def test_the_example_loads(tmp_path: Path) -> None:
    example = config.load(write(tmp_path, EXAMPLE.read_text()))
    assert [person.label for person in example.people] == ["A."]
    assert example.entries == (
        Rule(Kind.ADDRESS, "ex@abuser.example"),
        Rule(Kind.DOMAIN, "@abuser-business.example"),
        Rule(Kind.NUMBER, "+44 7700 900123"),
        Rule(Kind.NAME, "Alex Example"),
    )
    assert [source.name for source in (*example.mail, *example.phone)] == ["home", "number"]


@pytest.mark.parametrize(("section", "key"), [(section, key) for section, keys in KEYS.items() for key in keys])
def test_the_example_explains_every_key(section: str, key: str) -> None:
    assert re.search(rf"^[ #-]*({section}: \{{.*)?\b{key}: ?", EXAMPLE.read_text(), re.MULTILINE)


WORDS = "|".join(key for keys in KEYS.values() for key in keys)
OPTIONAL = [n for n, line in enumerate(EXAMPLE.read_text().splitlines()) if re.match(rf" *# ({WORDS}): \S+", line)]


@pytest.mark.parametrize("number", OPTIONAL)
def test_every_line_that_the_example_offers_may_be_switched_on(number: int) -> None:
    lines = EXAMPLE.read_text().splitlines()
    before = parsed("\n".join(lines))
    lines[number] = lines[number].replace("# ", "", 1)
    assert parsed("\n".join(lines)) != before


def test_the_example_offers_what_it_leaves_out() -> None:
    assert len(OPTIONAL) >= 11


def cuts(text: bytes) -> list[Config]:
    """What the beginnings of a file come to; none may end otherwise than in a ConfigError.

    The file is cut at every octet; within a comment once, for none of the others is read.
    """
    loaded = []
    for end in range(len(text)):
        if text[:end].rpartition(b"\n")[2].strip().startswith(b"# "):
            continue
        try:
            loaded.append(config.parse(text[:end], "config.yaml"))
        except ConfigError:
            continue
    return loaded


def test_the_example_cut_off_anywhere_never_loads_with_less_in_it() -> None:
    """The archive stands last in it, in braces, so only the last newline can be missing."""
    whole = config.parse(EXAMPLE.read_bytes(), "config.yaml")
    assert cuts(EXAMPLE.read_bytes()) == [whole]


def test_a_cut_in_a_file_with_its_entries_last_does_load_with_fewer() -> None:
    """Which is why a file that lets more through than the rules in force is never simply the truth."""
    whole = parsed(SMALL)
    loaded = cuts(SMALL.encode())
    fewer = [cut for cut in loaded if not set(cut.entries) >= set(whole.entries)]
    assert len(loaded) > len(fewer) >= 60


def test_scalars_are_read_as_they_are_written() -> None:
    """YAML would make of them a number without its plus, False, 83 and 1000.0."""
    text = SMALL.replace("+44 7700 900123", "+15550100123").replace("Alex Example", "no")
    text = text.replace("user: me@example.org", "user: 0123").replace("source: home", "source: 1e3")
    read = parsed(text)
    assert {rule.entry for rule in read.entries} >= {"+15550100123", "no"}
    assert (read.mail[0].user, read.mail[0].name) == ("0123", "1e3")


def test_norway_is_a_country() -> None:
    assert parsed(SMALL + "region: no\n").region == "NO"


def test_what_the_file_leaves_out_has_its_default() -> None:
    read = parsed(SMALL)
    assert read.mail == (
        MailSource("home", "imap.example.org", "me@example.org", 993, "tls", None, (), 60.0, None, None, Secret()),
    )
    assert (read.phone, read.state, read.region) == ((), None, None)
    assert (read.loosening_delay, read.uncertain, read.max_per_pass) == (604800.0, Disposition.PASS, 1000)


def test_everything_that_may_stand_in_a_file_is_read() -> None:
    read = config.parse(
        b"""\
blocked: [{names: [Alex]}]
mail:
  - {source: home, host: 127.0.0.1, port: 1143, security: none, user: me, folders: [INBOX, Junk, INBOX],
     never_touch: [Court, " a "], every: 0.1s, ca_file: ca.pem, authserv_id: mx.example.org, token_command: "t \\"x\\""}
phone:
  - {source: number, account: AC0, number: 020 7946 0000, relay_to: "+14155550199", api_key: SK0, region: gb,
     api_base: "http://127.0.0.1:8080", every: 5 Minutes, password_file: /run/token}
archive: {path: sealed}
state: {path: ../state}
loosening: {delay: 30 days}
region: US
uncertain: seal
max_per_pass: 7
""",
        "config.yaml",
        Path("/etc/nocontactd"),
    )
    here = Path("/etc/nocontactd")
    token = Secret(token_command='t "x"')
    assert read == Config(
        people=(Person("", (Rule(Kind.NAME, "Alex"),)),),
        mail=(
            MailSource(
                "home", "127.0.0.1", "me", 1143, "none", ("INBOX", "Junk"), ("Court", " a "), 0.1, here / "ca.pem",
                "mx.example.org", token,
            ),
        ),
        phone=(
            PhoneSource(
                "number", "AC0", "020 7946 0000", 300.0, "+14155550199", "SK0", "GB", "http://127.0.0.1:8080",
                Secret(Path("/run/token")),
            ),
        ),
        archive=here / "sealed",
        state=here / "../state",
        loosening_delay=2592000.0,
        uncertain=Disposition.SEAL,
        region="US",
        max_per_pass=7,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("60s", 60), ("60 seconds", 60), ("1 second", 1), ("5m", 300), ("5 minutes", 300), ("1 minute", 60),
        ("1 h", 3600), ("2 hours", 7200), ("1hour", 3600), ("7 days", 604800), ("1 day", 86400), ("7d", 604800),
        ("0.1s", 0.1), ("1.5 H", 5400), ("7 DAYS", 604800), ("0s", 0),
        ("60", None), ("s", None), ("-1s", None), ("+1s", None), ("1 month", None), ("1h30m", None), ("", None),
        ("1e3s", None), ("inf s", None), ("nan s", None), ("1,5h", None), (".5s", None), ("\u0661s", None),
        ("1s ", None), ("1\ns", None), ("9999999999s", None), ("1 day s", None), ("1 dayss", None),
    ],
)  # fmt: skip
def test_a_duration_is_a_number_and_a_unit(text: str, length: float | None) -> None:
    assert seconds(text) == length


@pytest.mark.parametrize("every", ["0s", "0.001s", "999999999 days"])
def test_a_length_of_time_that_cannot_be_meant_is_a_problem(every: str) -> None:
    assert problems(with_mail(f"every: {every}")) == ("config.yaml:5:12: `every` is too short or too long to be meant",)


def test_paths_begin_at_the_folder_of_the_file_and_a_tilde_at_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    read = config.load(write(tmp_path, with_mail("password_file: ~/secret")))
    assert (read.archive, read.mail[0].secret.file) == (tmp_path / "archive", Path("/home/me/secret"))
    monkeypatch.chdir(tmp_path)
    assert config.load(Path("config.yaml")).archive == tmp_path / "archive"


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o640, 0o440, 0o700])
def test_a_file_that_only_its_owner_may_change_and_only_its_group_may_read_is_taken(tmp_path: Path, mode: int) -> None:
    assert config.load(write(tmp_path, SMALL, mode)) == config.parse(SMALL.encode(), str(tmp_path / "config.yaml"))


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o620, 0o644, 0o660, 0o666])
def test_a_file_that_others_may_read_or_change_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(ConfigError, match=r"config\.yaml:1:1: .*chmod 600"):
        config.load(write(tmp_path, SMALL, mode))


def test_a_file_that_is_not_there_is_a_problem_with_a_hint(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no configuration here") as refused:
        config.load(tmp_path / "config.yaml")
    assert "--config" in refused.value.hint


def test_a_folder_and_a_pipe_are_no_configuration_and_nobody_waits_for_them(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(ConfigError, match=r":1:1: this cannot be read: "):
            config.load(path)


def test_problems_come_in_the_order_of_the_file_and_not_without_end() -> None:
    text = SMALL + "".join(f"wrong{n}: 1\n" for n in range(500))
    told = problems(text)
    assert len(told) == 101
    assert told[0].startswith("config.yaml:18:1: ")
    assert told[-1] == "config.yaml:118:1: and more problems from here on"


def test_the_column_counts_characters_and_not_octets() -> None:
    assert problems(SMALL.replace("A.", "Ä").replace("person: Ä", "{person: ÄÄ, colour: x}")) != ()
    assert problems("{archive: {path: ä}, colour: x, blocked: [{names: [ä]}], mail: []}")[0].startswith(
        "config.yaml:1:22: "
    )


def test_a_byte_order_mark_is_no_text() -> None:
    assert config.parse(b"\xef\xbb\xbf" + SMALL.encode(), "config.yaml") == parsed(SMALL)


def test_windows_line_ends_change_nothing() -> None:
    assert parsed(SMALL.replace("\n", "\r\n")) == parsed(SMALL)
    assert problems(with_mail("colour: x").replace("\n", "\r\n")) == problems(with_mail("colour: x"))


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x, x, x, x]\n" + "".join(f"b{n}: &b{n} [*a, *a, *a, *a, *a, *a, *a, *a, *a]\n" for n in range(200)),
        "[" * 200_000, "{" * 200_000, "- " * 200_000, "? " * 100_000, "[a," * 100_000, "a: " * 100_000,
        "%a\n" * 10_000, '"' + "\\x41" * 100_000 + '"', "!" * 10_000, "\n" * 200_000, "#" * 1_000_000,
        'a: "\\UFFFFFFFF"', "%YAML 1." + "9" * 5000 + "\n---\na: b", '"\\uD800"', "\x85", "\ufeff" * 9, "*", "&", "!",
        "!<%ff>", "a: !<tag:yaml.org,2002:python/object/apply:os.system> [x]", "? {a: b}\n: c\n", "- - - a: b", "...",
        "---", "--- |\n a", "a: b\n...\nc: d", "a:\n- b\n -c", "'", '"', "`", "@", "%", "\t", "a: \t", "{a, b: c}",
    ],
    ids=range(37),
)  # fmt: skip
def test_hostile_text_is_refused_at_once(text: str) -> None:
    began = time.perf_counter()
    problems(text)
    assert time.perf_counter() - began < 5


def test_a_file_that_is_too_large_is_not_even_parsed(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"config\.yaml:1:1: the file is too large"):
        config.load(write(tmp_path, SMALL + "#" * MAX_OCTETS))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300))
def test_any_octets_are_a_configuration_or_a_config_error(data: bytes) -> None:
    with pytest.raises(ConfigError):
        config.parse(data, "config.yaml")


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_a_file_altered_anywhere_is_a_configuration_or_a_config_error(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(SMALL)))
    end = data.draw(st.integers(start, min(len(SMALL), start + 30)))
    inserted = data.draw(st.text(max_size=8) | st.sampled_from(list("[]{}:-#&*!|>'\"%@\t\n,?")))
    text = SMALL[:start] + inserted + SMALL[end:]
    try:
        read = config.parse(text.encode(errors="surrogatepass"), "config.yaml")
    except ConfigError as refused:
        assert refused.problems
        return
    assert config.restore(config.dump(read)) == read


def test_ten_thousand_entries_are_read_in_seconds() -> None:
    entries = "".join(f"      - person{n}@abuser{n}.example\n" for n in range(10_000))
    began = time.perf_counter()
    assert len(parsed(SMALL + entries).entries) == 10_005
    assert time.perf_counter() - began < 15


@pytest.mark.parametrize(
    "entry",
    ["ex@abuser.example", "EX@Münchner.example", '"a b"@abuser.example', "ex@[192.0.2.1]", "foo.@docomo.ne.jp",
     "root@localhost", "ex+tag@abuser.example"],
)  # fmt: skip
def test_an_address_may_have_any_form_that_mail_has(entry: str) -> None:
    assert parsed(SMALL.replace("ex@abuser.example", f"'{entry}'")).entries[0] == Rule(Kind.ADDRESS, entry)


@pytest.mark.parametrize(
    "entry", ["ex@1.2.3.4", "ex@" + "a." * 126 + "example", "@1.2.3.4", "@ex_ample..org", "ex @a.b"]
)
def test_what_no_mail_can_come_from_is_a_problem(entry: str) -> None:
    assert problems(SMALL.replace("ex@abuser.example", f"'{entry}'"))[0].startswith("config.yaml:9:9: ")


@pytest.mark.parametrize("entry", ["@abuser.de", "@co.example", "@co.ab.example", "@abuser.co.uk", "@münchner.example"])
def test_a_domain_may_be_anybodys_own(entry: str) -> None:
    assert parsed(SMALL.replace("ex@abuser.example", f"'{entry}'")).entries[0] == Rule(Kind.DOMAIN, entry)


@pytest.mark.parametrize("entry", ["@nhs.net", "@Met.Police.UK", "@bücher.police.uk", "@THEHOTLINE.org."])
def test_nobody_is_cut_off_from_a_court_or_a_hotline(entry: str) -> None:
    assert problems(SMALL.replace("ex@abuser.example", f"'{entry}'"))[0].startswith("config.yaml:9:9: this is a court")


@pytest.mark.parametrize("entry", ["@govt.nz", "@interieur.gouv.fr", "@notpolice.uk", "@police.uk.example"])
def test_a_domain_above_or_beside_a_protected_one_may_be_listed(entry: str) -> None:
    """Protection goes before a listed domain."""
    assert Rule(Kind.DOMAIN, entry) in parsed(SMALL.replace("ex@abuser.example", f"'{entry}'")).entries


def test_one_person_at_a_court_or_a_hotline_may_be_listed_with_a_warning(tmp_path: Path) -> None:
    file = write(tmp_path, SMALL.replace("ex@abuser.example", "Pc.Ex@kent.police.uk"))
    read, warnings = config.examine(file)
    assert read.entries[0] == Rule(Kind.ADDRESS, "Pc.Ex@kent.police.uk")
    [told] = warnings
    assert told.startswith(f"{file}:9:9: warning: this address is at a court, police, a hotline or the like; ")
    assert config.examine(write(tmp_path, SMALL))[1] == ()


def test_a_warning_is_not_told_among_problems() -> None:
    assert len(problems(SMALL.replace("ex@abuser.example", "ex@police.uk") + "colour: x\n")) == 1


def test_a_handle_is_of_a_service_whose_notices_are_known() -> None:
    [told] = problems(SMALL.replace("    names:", "    handles: ['nowhere:some.handle']\n    names:"))
    assert told.startswith("config.yaml:13:15: handles are known of these services: ") and "instagram" in told
    assert "nowhere" not in told and "some" not in told


def test_handles_are_entries() -> None:
    read = parsed(
        SMALL.replace("    names:", "    handles: ['instagram:some.handle', 'Facebook: @Some.Handle']\n    names:")
    )
    assert read.entries[-4:-1] == (
        Rule(Kind.NAME, "Alex Example"),
        Rule(Kind.HANDLE, "instagram:some.handle"),
        Rule(Kind.HANDLE, "Facebook: @Some.Handle"),
    )
    assert config.restore(config.dump(read)) == read


@pytest.mark.parametrize("entry", ["12", "--", "a" * 31, "§§", "5550199"])
def test_what_sends_no_text_is_a_problem(entry: str) -> None:
    assert problems(SMALL.replace("+44 7700 900123", f"'{entry}'"))[0].startswith("config.yaml:12:9: ")


@pytest.mark.parametrize(
    "entry", ["+44 7700 900123", "447700900123", "62226", "HMRC", "Santander", "whatsapp:+447700900123"]
)
def test_a_number_may_be_whole_a_short_code_or_a_senders_name(entry: str) -> None:
    assert Rule(Kind.NUMBER, entry) in parsed(SMALL.replace("+44 7700 900123", entry)).entries


def test_a_number_without_a_country_needs_a_region() -> None:
    text = SMALL.replace("+44 7700 900123", "07700 900123")
    assert problems(text)[0].startswith("config.yaml:12:9: a number without its country")
    assert Rule(Kind.NUMBER, "07700 900123") in parsed(text + "region: GB\n").entries


def test_a_region_of_one_source_is_not_the_region_of_the_entries() -> None:
    """Entries are compared with what comes to every source."""
    text = SMALL.replace("+44 7700 900123", "07700 900123")
    text += "phone: [{source: n, account: AC0, number: +14155550100, region: GB}]\n"
    assert problems(text)[0].startswith("config.yaml:12:9: a number without its country")


SOURCE = "{{source: {0}, host: imap.example.org, user: me, folders: {1}}}"


def two(first: str, second: str) -> str:
    """A file with two sources on one line, each its name and its folders."""
    sources = ", ".join(SOURCE.format(*words.split(" ", 1)) for words in (first, second))
    return f"archive: {{path: a}}\nblocked: [{{names: [Alex]}}]\nmail: [{sources}]\n"


@pytest.mark.parametrize(
    ("first", "second"), [("a all", "b [X]"), ("a [X]", "b all"), ("a all", "b all"), ("a [X, Y]", "b [Y]")]
)
def test_two_sources_do_not_look_at_the_same_folder(first: str, second: str) -> None:
    assert "looks at the same messages" in problems(two(first, second))[0]


def test_two_sources_may_share_a_mailbox_without_a_folder_in_common() -> None:
    assert len(parsed(two("a [X]", "b [Y]")).mail) == 2


def test_two_sources_of_one_name_are_found_on_one_line_too() -> None:
    assert "a source of this name" in problems(two("a [X]", "A [Y]"))[0]


def test_one_number_is_looked_at_once() -> None:
    source = "{source: %s, account: AC0, number: +14155550100}"
    text = f"archive: {{path: a}}\nblocked: [{{names: [Alex]}}]\nphone: [{source % 'a'}, {source % 'b'}]\n"
    assert "looks at the same messages" in problems(text)[0]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.8.8", "::1", "LOCALHOST"])
def test_plain_text_is_allowed_to_this_machine(host: str) -> None:
    text = SMALL.replace("imap.example.org", f"'{host}'").replace("    user: me", "    security: none\n    user: me")
    assert parsed(text).mail[0].security == "none"


@pytest.mark.parametrize("host", ["localhost.example.org", "128.0.0.1", "0.0.0.0", "127.0.0.1.example.org", "::2"])
def test_plain_text_is_allowed_to_no_other_machine(host: str) -> None:
    text = SMALL.replace("imap.example.org", f"'{host}'").replace("    user: me", "    security: none\n    user: me")
    assert len(problems(text)) == 1


@pytest.mark.parametrize(
    "host",
    ["a b", "-a.example", "a..example", "u@a.example", "a.example/x", "1.2.3", "a" * 64, "a." * 126 + "example"],
)
def test_what_cannot_be_a_server_is_a_problem(host: str) -> None:
    assert "not the name of a server" in problems(SMALL.replace("imap.example.org", f"'{host}'"))[0]


@pytest.mark.parametrize(
    "url",
    ["ftp://127.0.0.1", "http://[::1", "https://u@api.example.org", "https://api.example.org:x", "https://", "api",
     "https://api.example.org?x", "https://api.example.org#x", "http://10.0.0.1"],
)  # fmt: skip
def test_what_cannot_be_the_address_of_an_api_is_a_problem(url: str) -> None:
    text = f"phone: [{{source: n, account: AC0, number: +14155550100, api_base: '{url}'}}]\n"
    assert len(problems(SMALL + text)) == 1


def test_another_address_of_the_api_is_taken_with_tls() -> None:
    text = "phone: [{source: n, account: AC0, number: +14155550100, api_base: 'https://api.example.org:8443/x'}]\n"
    assert parsed(SMALL + text).phone[0].api_base == "https://api.example.org:8443/x"


@pytest.mark.parametrize("number", ["0", "-1", "1.5", "1e3", "²", "\u0661", "9" * 5000, "1_000", "0x10"])
def test_what_is_no_whole_number_is_a_problem(number: str) -> None:
    assert "a whole number from 1" in problems(SMALL + f"max_per_pass: {number}\n")[0]


@pytest.mark.parametrize("line", ["state: *x", "state: {path: *x}", "phone: *x", "phone: [*x]", "region: *x", "*x : y"])
def test_what_is_told_of_an_alias_is_told_once(line: str) -> None:
    assert len(problems(SMALL + line + "\n")) == 1


def test_a_key_is_one_text_and_what_is_wrong_with_it_is_told_once() -> None:
    assert problems(SMALL + "? [a, b]\n: c\n") == ("config.yaml:18:3: a key is a single word",)
    assert problems(SMALL + '"a\\0": c\n"b\\0": c\n') == (
        "config.yaml:18:1: a control character stands in this text",
        "config.yaml:19:1: a control character stands in this text",
    )


def test_a_key_in_capitals_or_with_dashes_is_known_again() -> None:
    assert "did you mean `password_file`" in problems(with_mail("Password-File: x"))[0]


def test_a_command_may_go_over_several_lines_and_a_name_may_not() -> None:
    block = parsed(SMALL.replace("    user: me", "    password_command: |\n      a\n      b\n    user: me"))
    assert block.mail[0].secret.command == "a\nb\n"
    assert parsed(with_mail('password_command: "a\\nb"')).mail[0].secret.command == "a\nb"
    assert "several lines" in problems(SMALL.replace("Alex Example", '"a\\nb"'))[0]


def test_white_space_around_a_text_is_a_problem() -> None:
    assert "white space" in problems(SMALL.replace("me@example.org", '" me@example.org"'))[0]


@pytest.mark.parametrize("name", ["4155550100", "me@home", ".home", "-home", "a/b", "a:b", "x" * 65, "a\u2028b"])
def test_a_source_is_named_by_a_word(name: str) -> None:
    assert "a word of your own" in problems(SMALL.replace("source: home", f"source: '{name}'"))[0]


@pytest.mark.parametrize("name", ["my home", "work-2", "a.b_c", "Büro"])
def test_the_word_is_free_otherwise(name: str) -> None:
    assert parsed(SMALL.replace("source: home", f"source: {name}")).mail[0].name == name


@pytest.mark.parametrize("account", ["AC", "AC-1", "ACé", "ac1"])
def test_an_account_at_twilio_is_a_sid(account: str) -> None:
    assert len(problems(SMALL + f"phone: [{{source: n, account: {account}, number: +14155550100}}]\n")) == 1


def test_the_region_of_the_file_is_that_of_a_number_without_its_own() -> None:
    text = SMALL + "region: US\nphone: [{source: n, account: AC0, number: 415 555 0100, relay_to: %s}]\n"
    assert parsed(text % "415 555 0199").phone[0].number == "415 555 0100"
    assert "the number itself" in problems(text % "+14155550100")[0]
    text = SMALL + "region: US\nphone: [{source: n, account: AC0, number: 020 7946 0000, region: GB, relay_to: %s}]\n"
    assert "the number itself" in problems(text % "+442079460000")[0]
    assert "the number itself" in problems(text.replace("020 7946 0000", "+442079460000") % "020 7946 0000")[0]


def test_what_is_missing_is_told_once() -> None:
    """Not also as two sources of one name, or of one mailbox, or as plain text to nowhere."""
    text = SMALL.replace("    host: imap.example.org\n", "    security: none\n").replace("source: home", "every: 1s")
    text = text.replace("blocked:", "  - every: 1s\n    security: none\n    user: me@example.org\nblocked:")
    assert [line.split(": ", 1)[1] for line in problems(text)] == [
        "`host` is missing here", "`source` is missing here", "`host` is missing here", "`source` is missing here",
    ]  # fmt: skip


# The accepted configuration in the state.

EVERYTHING = replace(
    parsed(EXAMPLE.read_text()),
    state=Path("/var/lib/nocontactd"),
    uncertain=Disposition.SEAL,
    mail=(
        MailSource(
            "home", "imap.example.org", "mé", 993, "tls", ("INBOX", "Ärger \ud800"), ("Court",), 0.1, Path("/ca"),
            "mx", Secret(Path("/s"), "c", "t"),
        ),
    ),
)  # fmt: skip


AT_MICROSOFT = replace(EVERYTHING, mail=(replace(EVERYTHING.mail[0], secret=Secret(microsoft=Microsoft("1", "t"))),))


@pytest.mark.parametrize("whole", [EVERYTHING, parsed(EXAMPLE.read_text()), parsed(SMALL), AT_MICROSOFT])
def test_what_was_dumped_is_restored_exactly(whole: Config) -> None:
    again = config.restore(config.dump(whole))
    assert again == whole
    for old, new in zip(whole.mail, again.mail, strict=True):
        assert [type(getattr(old, f.name)) for f in fields(old)] == [type(getattr(new, f.name)) for f in fields(new)]


def test_a_dump_that_was_cut_short_is_never_restored() -> None:
    text = config.dump(EVERYTHING)
    for end in range(len(text) - 1):  # the last octet is the newline
        with pytest.raises(ConfigError):
            config.restore(text[:end])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"version": 1', '"version": 2'), ('"uncertain": "seal"', '"uncertain": "maybe"'),
        ('"kind": "name"', '"kind": []'), ('"kind": "name"', '"kind": "address "'),
        ('"max_per_pass": 1000', '"max_per_pass": true'), ('"max_per_pass": 1000', '"max_per_pass": 1000.0'),
        ('"port": 993', '"port": "993"'), ('"region": "GB"', '"region": 1'), ('"every": 0.1', '"every": null'),
        ('"people": [', '"later": 1, "people": ['), ('"host": "imap.example.org",', ""), ('"people"', '"persons"'),
        ('"entry": "ex@abuser.example"', '"entry": null'),
    ],
)  # fmt: skip
def test_a_dump_that_was_altered_into_something_else_is_not_restored(old: str, new: str) -> None:
    text = config.dump(EVERYTHING)
    assert old in text
    with pytest.raises(ConfigError) as refused:
        config.restore(text.replace(old, new, 1))
    assert "accepted" in str(refused.value)
    assert "abuser" not in str(refused.value)


@pytest.mark.parametrize(
    "text", ["", "null", "[]", "{}", '{"version": 1}', '{"version": 1, "config": null}', "[" * 99999], ids=range(7)
)
def test_what_is_no_dump_is_not_restored(text: str) -> None:
    with pytest.raises(ConfigError):
        config.restore(text)


def test_a_value_that_a_later_version_added_with_a_default_may_be_missing() -> None:
    text = re.sub(r'"token_command": "t"', '"file": "/s"', config.dump(EVERYTHING).replace('"file": "/s",', "", 1))
    assert config.restore(text).mail[0].secret == Secret(Path("/s"), "c")


def test_a_whole_number_of_seconds_is_a_length_of_time() -> None:
    assert config.restore(config.dump(EVERYTHING).replace('"every": 0.1', '"every": 5')).mail[0].every == 5.0

"""Whatever octets come, they come to a verdict, soon: by Hypothesis, and in `make soak` guided by coverage."""

import importlib.util
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nocontactd.address import comparable, comparable_in_full
from nocontactd.decide import Reason
from nocontactd.model import Kind, Rule
from nocontactd.number import keys
from nocontactd.rules import name_keys, name_keys_in_full
from tests.recognition import blocked, text_verdict, verdict

HERE = Path(__file__).parent
CORPUS = [
    json.loads(line)["raw_message"].encode("latin-1")
    for name in ("mail.jsonl", "own_mail.jsonl")
    for line in (HERE / "corpus" / name).read_text("utf-8").splitlines()
]
RULES = blocked(
    Rule(Kind.ADDRESS, "ex@abuser.example"),
    Rule(Kind.DOMAIN, "@bücher.example"),
    Rule(Kind.NUMBER, "+447700900123"),
    Rule(Kind.NAME, "Alex Example"),
    region="GB",
)
SYNTAX = st.sampled_from(
    [b"From: ", b"Reply-To:", b"Content-Type: text/calendar", b"\r\n", b"\r\n\r\n", b"\r", b"\n ", b"\0", b"<", b">",
     b"(", b")", b'"', b"\\", b"@", b",", b";", b":", b"=?utf-8?b?", b"?=", b"=40", b"\xff", b"\xe2\x80\xae",
     b"ORGANIZER:mailto:", b"ex@abuser.example", b"b\xc3\xbccher.example", b"+447700900123", b"Alex Example"]
)  # fmt: skip
BROKEN = st.tuples(st.sampled_from([raw for raw in CORPUS if len(raw) < 2000]), st.integers(0, 2000), SYNTAX).map(
    lambda drawn: drawn[0][: drawn[1]] + drawn[2] + drawn[0][drawn[1] + 1 :]
)
OCTETS = st.binary(max_size=300) | st.lists(SYNTAX, max_size=60).map(b"".join) | BROKEN


@given(OCTETS)
def test_any_octets_come_to_a_verdict_in_the_time_of_a_blink(octets: bytes) -> None:
    began = time.process_time()
    assert verdict(octets, RULES).reason in set(Reason)
    assert time.process_time() - began < 0.5


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_text_message_comes_to_a_verdict(sender: str, body: str) -> None:
    assert text_verdict(sender, RULES, body).reason in set(Reason)


ADDRESS = st.from_regex(r"[0-9A-Za-z_.+-]{1,12}@([0-9A-Za-z_.-]{1,12}|gmail.com|GoogleMail.com\.?)", fullmatch=True)


@given(ADDRESS | st.text('aA0.+-_@ "', max_size=12))
def test_the_short_way_to_a_comparable_address_is_as_good_as_the_long_one(address: str) -> None:
    assert comparable(address) == comparable_in_full(address)


@given(st.text("aBvViIaA .'", max_size=16))
def test_the_short_way_to_a_comparable_name_is_as_good_as_the_long_one(name: str) -> None:
    assert name_keys(name) == name_keys_in_full(name)


@given(
    st.integers(10**9, 10**10 - 1), st.lists(st.sampled_from(" -.()/\u00a0\u2011\u200e"), max_size=11), st.booleans()
)
def test_two_spellings_of_a_number_that_differ_only_in_what_separates_digits_are_one(
    digits: int, marks: list[str], wide: bool
) -> None:
    plain = f"+44{digits}"
    spelt = "".join(each + mark for each, mark in zip(plain, [*marks, *[""] * len(plain)], strict=False))
    if wide:
        spelt = spelt.translate({48 + n: 0xFF10 + n for n in range(10)})
    assert keys(spelt, None) == keys(plain, None)


GROWING = [
    b"a%d@b.example, ", b'"A %d" <a%d@b.example>, ', b'"(', b"(a)", b'"a" ', b"<", b"@a", b"a@", b"=?utf-8?q?a%d?= ",
    b'\xff"a@b\x00,', b"%d\xe2\x80\xae", b"mailto:a%%40b%d ", b'"x@y%d" <', b"a:b%d;", b"\xc3\xbc%d@\xc3\xbc.example,",
]  # fmt: skip


def grown(piece: bytes, octets: int) -> bytes:
    pieces = []
    while octets > 0:
        pieces.append(piece.replace(b"%d", b"%d" % len(pieces)).replace(b"%%", b"%"))
        octets -= len(pieces[-1])
    return b"From: " + b"".join(pieces) + b"\r\n\r\n"


@pytest.mark.parametrize("piece", GROWING)
def test_twice_the_header_takes_about_twice_the_time(piece: bytes) -> None:
    def cost(raw: bytes) -> float:
        began = time.process_time()
        verdict(raw, RULES)
        return time.process_time() - began

    small, large = grown(piece, 15_000), grown(piece, 30_000)
    pairs = ((cost(small), cost(large)) for _ in range(6))
    assert any(twice < 2.5 * once + 0.01 for once, twice in pairs)


@pytest.mark.soak
def test_a_mebibyte_of_anything_is_decided_in_seconds() -> None:
    for piece in GROWING:
        began = time.process_time()
        verdict(grown(piece, 1 << 20), RULES)
        assert time.process_time() - began < 20, piece


@pytest.mark.soak
def test_guided_by_coverage_no_octets_are_found_that_raise_or_take_long(tmp_path: Path) -> None:
    """By atheris where it is installed (the `soak` extra), else by Hypothesis for as long."""
    seconds = 120
    if importlib.util.find_spec("atheris") is None:
        by_hypothesis(seconds)
        return
    for number, raw in enumerate(raw for raw in CORPUS if len(raw) < 20_000):
        (tmp_path / f"{number}").write_bytes(raw)
    options = [f"-max_total_time={seconds}", "-max_len=4000", f"-artifact_prefix={tmp_path}/found-"]
    command = [sys.executable, "-m", "tests.fuzz.any_octets", *options, str(tmp_path)]
    done = subprocess.run(command, cwd=HERE.parent, capture_output=True, text=True, check=False, timeout=seconds + 300)
    assert done.returncode == 0, done.stderr[-4000:]


def by_hypothesis(seconds: float) -> None:
    until = time.monotonic() + seconds

    @settings(max_examples=2000, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(OCTETS)
    def once(octets: bytes) -> None:
        assert verdict(octets, RULES).reason in set(Reason)

    while time.monotonic() < until:
        once()

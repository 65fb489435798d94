"""The one comparable form of a mail address."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nocontactd.address import comparable, domain, folded, joined, parents, unquoted

SAME = [
    ("Ex@Abuser.Example", "ex@abuser.example"),
    ("ex@abuser.example.", "ex@abuser.example"),
    ('"ex"@abuser.example', "ex@abuser.example"),
    (r'"e\x"@abuser.example', "ex@abuser.example"),
    ("ex+tag@abuser.example", "ex@abuser.example"),
    ('"ex+tag"@abuser.example', "ex@abuser.example"),
    ("ex+a+b@abuser.example", "ex@abuser.example"),
    ("ex@bücher.example", "ex@xn--bcher-kva.example"),
    ("ex@BÜCHER.example", "ex@xn--bcher-kva.example"),
    ("ex@bu\u0308cher.example", "ex@xn--bcher-kva.example"),
    ("ex@XN--BCHER-KVA.example", "ex@xn--bcher-kva.example"),
    ("ex@ａｂｕｓｅｒ.example", "ex@abuser.example"),
    ("ex@abuser\u3002example", "ex@abuser.example"),
    ("ex@abuser\uff0eexample\uff61", "ex@abuser.example"),
    ("ex@abu\u200bser.example", "ex@abuser.example"),
    ("e\u00adx@abuser.example", "ex@abuser.example"),
    ("ｅｘ@abuser.example", "ex@abuser.example"),
    ("zoe\u0308@abuser.example", "zoë@abuser.example"),
    ("e.x.p@gmail.com", "exp@gmail.com"),
    ("exp+shop@GoogleMail.com.", "exp@gmail.com"),
    ('"e.x.p"@gmail.com', "exp@gmail.com"),
    ("ex@☃.example", "ex@xn--n3h.example"),
    ("ex@[192.0.2.1]", "ex@[192.0.2.1]"),
]
DIFFERENT = [
    ("e.x@abuser.example", "ex@abuser.example"),
    ("ex-wife@abuser.example", "ex@abuser.example"),
    ("ex2@abuser.example", "ex@abuser.example"),
    ("ex@mail.abuser.example", "ex@abuser.example"),
    ("ex@abuser.example.org", "ex@abuser.example"),
    ('"ex@abuser.example"@ok.example', "ex@abuser.example"),
    ("ex%abuser.example@relay.example", "ex@abuser.example"),
    ("exp@gmail.com.example", "exp@gmail.com"),
    ("e.x@googlemail.example", "ex@googlemail.example"),
    ("ex@straße.example", "ex@strasse.example"),
    ("ex@bucher.example", "ex@bücher.example"),
    ("+ex@abuser.example", "ex@abuser.example"),
    ("+ex@abuser.example", "+why@abuser.example"),
]


@pytest.mark.parametrize(("spelling", "form"), SAME)
def test_what_is_insignificant_is_folded_away(spelling: str, form: str) -> None:
    assert comparable(spelling) == form == comparable(form)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_what_makes_another_mailbox_stays(one: str, other: str) -> None:
    assert comparable(one) != comparable(other)


def test_a_domain_is_followed_by_each_it_lies_under() -> None:
    assert list(parents("a.b.example")) == ["a.b.example", "b.example", "example"]


def test_a_domain_longer_than_any_host_is_compared_as_it_stands() -> None:
    long = "ü" * 300 + ".example"
    assert domain(long.upper()) == domain(long)


@given(st.text(max_size=60))
@example("＠")
@example("x@ex＠abuser.example")
def test_the_comparable_form_of_any_text_is_settled(text: str) -> None:
    assert comparable(comparable(text)) == comparable(text)


HOSTS = st.sampled_from(["gmail.com", "abuser.example", "bücher.example", "日本。example", "x" * 70])


@given(st.text(max_size=40), HOSTS)
def test_the_comparable_form_of_any_mailbox_is_settled(local: str, host: str) -> None:
    form = comparable(joined(local, host))
    assert comparable(form) == form


@given(st.text(max_size=40))
def test_a_domain_and_folded_text_are_settled(text: str) -> None:
    assert domain(domain(text)) == domain(text)
    assert folded(folded(text)) == folded(text)


@given(st.text(max_size=30))
def test_a_quoted_local_part_means_what_was_quoted(local: str) -> None:
    quoted = joined(local, "x.example").removesuffix("@x.example")
    assert unquoted(quoted) == local


ATOM = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_", min_size=1, max_size=12)
LABEL = st.from_regex(r"[a-z]([a-z0-9]{0,8}[a-z0-9])?", fullmatch=True)


@given(
    st.lists(ATOM, min_size=1, max_size=3).map(".".join),
    st.lists(LABEL, min_size=1, max_size=3).map(".".join),
    st.data(),
)
def test_two_spellings_that_differ_in_nothing_significant_are_one(local: str, host: str, data: st.DataObject) -> None:
    cased = "".join(data.draw(st.sampled_from((each, each.upper()))) for each in f"{local}@{host}")
    before, _, after = cased.rpartition("@")
    quoted = '"' + "".join(data.draw(st.sampled_from((each, "\\" + each))) for each in before) + '"'
    spelt = data.draw(st.sampled_from((before, quoted, before + "+tag"))) + "@" + after
    seen = spelt + data.draw(st.sampled_from(("", ".", "\u200b")))
    assert comparable(seen) == comparable(f"{local}@{host}")

"""The block list on a server: what is planned for each state that a server may be in."""

import json
import re
import xml.etree.ElementTree as ElementTree

import pytest

from nocontactd import gmail, server_rule, sieve
from nocontactd.rules import rule
from nocontactd.server_rule import FIRST, OURS, Activate, Delete, Put, Standing, Step
from nocontactd.sources.imap.look import AUTHOR_FIELDS

ENTRIES = [rule("ex@abuser.example"), rule("@biz.example"), rule("Alex Example")]
ALL = frozenset({"fileinto", "envelope", "mailbox", "include"})
PLAIN = ALL - {"include"}
OWN = '# my own\nrequire ["fileinto"];\nrequire "vacation";\n\nif header :is "x" "y" { discard; }\n'


def after(standing: Standing, steps: tuple[Step, ...]) -> Standing:
    """The server once these steps are done."""
    active, scripts = standing.active, dict(standing.scripts)
    for step in steps:
        if isinstance(step, Put):
            scripts[step.name] = step.text
        elif isinstance(step, Activate):
            assert step.name is None or step.name in scripts
            active = step.name
        else:
            assert step.name != active
            del scripts[step.name]
    return Standing(active, scripts, standing.extensions)


STATES = {
    "nothing there": Standing(None, {}, ALL),
    "a script that does not run": Standing(None, {"own": OWN}, ALL),
    "a script of the owner's": Standing("own", {"own": OWN, "other": "keep;"}, ALL),
    "the same without include": Standing("own", {"own": OWN}, PLAIN),
    "no require in it": Standing("own", {"own": "keep;\n"}, PLAIN),
    'a name with a " and a \\': Standing('o"w\\n', {'o"w\\n': OWN}, ALL),
}


@pytest.mark.parametrize("before", STATES.values(), ids=STATES)
def test_what_is_installed_is_installed_once_and_an_undo_leaves_what_was_there(before: Standing) -> None:
    installed = after(before, server_rule.install(ENTRIES, "nocontact", before))
    assert installed.active and installed != before
    assert server_rule.install(ENTRIES, "nocontact", installed) == ()
    assert after(installed, server_rule.remove(installed)) == before
    assert server_rule.remove(before) == ()


@pytest.mark.parametrize("before", STATES.values(), ids=STATES)
def test_a_changed_list_changes_our_rule_and_nothing_else(before: Standing) -> None:
    installed = after(before, server_rule.install(ENTRIES, "nocontact", before))
    longer = [*ENTRIES, rule("second@abuser.example")]
    (step,) = server_rule.install(longer, "nocontact", installed)
    assert isinstance(step, Put) and "second@abuser.example" in step.text
    changed = after(installed, (step,))
    assert after(changed, server_rule.remove(changed)) == before


def test_with_include_the_owners_script_is_not_written_to() -> None:
    before = STATES["a script of the owner's"]
    steps = server_rule.install(ENTRIES, "nocontact", before)
    assert [step.name for step in steps] == [OURS, FIRST, FIRST]
    assert after(before, steps).scripts["own"] == OWN


def test_a_script_that_another_program_made_active_meanwhile_is_taken_along() -> None:
    before = STATES["a script of the owner's"]
    installed = after(before, server_rule.install(ENTRIES, "nocontact", before))
    webmail = Standing("other", installed.scripts, ALL)
    again = after(webmail, server_rule.install(ENTRIES, "nocontact", webmail))
    assert again.active == FIRST and 'include :personal "other";' in again.scripts[FIRST]


def test_an_owner_who_includes_our_script_by_hand_keeps_the_script_that_runs() -> None:
    own = 'require ["include"];\ninclude :personal "nocontact";\nkeep;\n'
    before = Standing("own", {"own": own}, ALL)
    assert [step.name for step in server_rule.install(ENTRIES, "nocontact", before)] == [OURS]
    installed = after(before, server_rule.install(ENTRIES, "nocontact", before))
    assert Delete(OURS) not in server_rule.remove(installed), "a script that is included cannot be deleted"


def test_a_block_goes_after_every_require_and_before_every_action() -> None:
    text = sieve.with_block(OWN, sieve.block(ENTRIES, "nocontact"))
    assert text.startswith('# my own\nrequire ["fileinto"];\nrequire "vacation";\n')
    assert text.index(sieve.BEGIN) < text.index("discard")
    assert text.rindex("require [") < text.index(sieve.BEGIN)
    assert text.endswith(OWN[OWN.index("\nif header") :])


def test_a_name_alone_files_nothing_away() -> None:
    text = sieve.script([rule("Alex Example")], "nocontact")
    assert "Alex" not in text and "fileinto :create" not in text


def test_the_rule_tests_every_field_that_a_look_reads_and_no_other() -> None:
    """Or a look could pass what the rule has filed, and put it back, for want of the field that names its author."""
    lists = re.findall(r"\[(.*?)\]", sieve.script(ENTRIES, "x"))
    tested = {name for each in lists for name in re.findall(r'"([a-z-]+)"', each)}
    assert tested == {name.lower() for name in AUTHOR_FIELDS} - {"message-id"} | {
        "envelope",
        "fileinto",
        "mailbox",
        "regex",
    }


def test_what_a_pattern_means_stands_for_itself_in_an_entry() -> None:
    text = sieve.script([rule("e*x?@abuser.example"), rule('"a\\"b"@abuser.example')], 'no"contact')
    assert r'"e\\*x\\?+*@abuser.example"' in text
    assert r'fileinto :create "no\"contact";' in text
    with pytest.raises(ValueError, match="line break"):
        sieve.script([rule("ex@abuser.example")], "no\ncontact")


def test_what_an_expression_means_stands_for_itself_in_an_entry() -> None:
    local = "a.b*c?d^e$f|g{h}i"
    text = sieve.script([rule(f"{local}@[192.0.2.1]"), rule("@x.y-z.example")], "x")
    patterns = [json.loads(f'"{each}"') for each in re.findall(r'"((?:[^"\\]|\\.)*)"', text) if "]+" in each]
    (pattern,) = (re.sub(r"\[\^\]", r"[^\\]", each) for each in patterns if "192" in each)  # as Python spells it
    assert re.search(pattern, f"<{local}@[192.0.2.1]")
    assert not re.search(pattern, "<axb*c?d^e$f|g{h}i@[192.0.2.1]")


def test_without_expressions_and_marks_the_rule_wants_neither() -> None:
    text = sieve.script(ENTRIES, "x", ())
    assert "regex" not in text and sieve.MARK not in text and '"imap4flags"' not in text
    assert all(test in sieve.script(ENTRIES, "x") for test in text.splitlines() if test.startswith("    address"))


def test_a_server_is_told_what_it_lacks() -> None:
    assert server_rule.missing(Standing(None, {}, frozenset({"fileinto"}))) == ("envelope", "mailbox")


def test_gmail_is_given_a_file_that_skips_inbox_and_spam_in_searches_of_bounded_length() -> None:
    many = [rule(f"person{n}@abuser.example") for n in range(200)]
    feed = ElementTree.fromstring(gmail.filters([*ENTRIES, *many, rule('"a&<b"@abuser.example')], "no contact"))
    apps = "{http://schemas.google.com/apps/2006}property"
    said = [{p.get("name"): p.get("value") for p in entry.iter(apps)} for entry in feed]
    filters = [each for each in said if each]
    assert filters[0]["from"].startswith("ex@abuser.example OR ") and "Alex Example" not in str(said)
    assert sum(each["from"].count("person") for each in filters) == 200
    both = gmail.filters([rule("ex@bücher.example")], "x")
    assert '"ex@bücher.example OR ex@xn--bcher-kva.example"' in both
    assert '"-ex@abuser.example"' in gmail.filters([rule("-ex@abuser.example")], "x").replace("&quot;", '"')
    assert all(len(each["from"]) <= 1000 for each in filters)
    assert all(
        {**each, "from": ""} == {"from": "", "label": "no contact", "shouldArchive": "true", "shouldNeverSpam": "true"}
        for each in filters
    )

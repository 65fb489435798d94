"""`nocontact keys rehearse`: once a year people try that what they have opens the archive, and one alone does not."""

from argparse import ArgumentParser, Namespace

from nocontactd.archive.change import changing
from nocontactd.archive.durable import Disk
from nocontactd.archive.holders import ROLES
from nocontactd.archive.keys import add_ahead
from nocontactd.archive.unlock import TOGETHER, identities
from nocontactd.assemble import LOG_KEY
from nocontactd.cli import passphrases, situation
from nocontactd.cli.asking import ask_holder, yes
from nocontactd.cli.rehearsing import enter, in_words, seal_test_record, try_out
from nocontactd.errors import CredentialError

HELP = """\
Try the keys, once a year, and once by people where they were made from files: a test record is
sealed, the owner and the therapist open it, and it is shown that it stays shut for one of them. A
witness who is there takes part. No message is opened and none is shown. The log keeps that the
rehearsal was held; where day keys are made ahead, those that are missing are made, too.

With passphrase files nothing is asked, and it does not count as a rehearsal by people.
"""


def describe(parser: ArgumentParser) -> None:
    situation.text(parser, HELP)
    passphrases.describe(parser)


def run(args: Namespace) -> int:
    rules = situation.load(args)
    archive, log_key = rules.config.archive, rules.state / LOG_KEY
    given = passphrases.from_files(args)
    phrases = {role: phrase for role in ROLES if (phrase := getattr(given, role))} if given else _asked()
    if "owner" not in phrases or len(phrases) < 2:
        raise CredentialError(
            "a rehearsal takes two: the owner, and the therapist or the witness; nothing was tried",
            "give the passphrases of both",
        )
    found = identities(archive, phrases)
    if found.keys() != phrases.keys():
        who = in_words(tuple(phrases))
        raise CredentialError(f"the passphrases of {who} do not open the archive together; nothing was tried", TOGETHER)
    day = seal_test_record(archive, log_key)
    try_out(archive, day, found, explain=given is None)
    with changing(archive, log_key, situation.now) as change:
        add_ahead(archive, change.law, change.leaves, Disk(), change.moment)
        if given is None:
            change.rehearsed()
    enter(archive, log_key, ("rehearsed", "from files" if given else "by people"))
    print("the keys are as they must be" + ("" if given else "; the log says that people tried them"))
    return 0


def _asked() -> dict[str, str]:
    print("The owner and the therapist try their keys. It takes five minutes; no message is opened.\n")
    roles = ["owner"]
    roles += ["therapist"] if yes("Is the therapist here?") else []
    roles += ["witness"] if yes("Is the witness here?") else []
    return {role: ask_holder(role) for role in roles}

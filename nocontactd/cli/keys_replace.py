"""`nocontact keys replace`: another therapist or witness, by somebody who still opens the outer layer."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from nocontactd.archive.cards import fingerprint
from nocontactd.archive.charter import Charter
from nocontactd.archive.holders import Holder, create, file_of
from nocontactd.archive.pinned import places
from nocontactd.archive.replace import Replaced, replace
from nocontactd.archive.unlock import identities, law
from nocontactd.assemble import LOG_KEY
from nocontactd.cli import UsageError, cards, complain, passphrases, situation
from nocontactd.cli.asking import ask_holder, yes
from nocontactd.cli.progress import Bar
from nocontactd.cli.rehearsing import enter
from nocontactd.errors import CredentialError, DamagedError

HELP = """\
Put another therapist or witness in the place of the one there is; or a witness where there was none.

The therapist or the witness, whoever still has a card, takes the outer lock off each day key, and
it is locked for the new one instead. The owner's own lock stays on and the owner need not be there;
no message is touched. What was copied elsewhere before (a backup) still opens with the old card and
the owner's passphrase.

If it is broken off before it took effect, nothing has changed and the new card is void; if after,
it is brought to its end by whatever comes next: this command, or the daemon's next start.
"""


def describe(parser: ArgumentParser) -> None:
    situation.text(parser, HELP)
    parser.add_argument("role", choices=["therapist", "witness"], help="who is replaced")
    passphrases.describe(parser, "therapist", "witness")
    passphrases.option(parser, "--new-passphrase-file", "new holder's passphrase")
    cards.describe(parser)


def run(args: Namespace) -> int:
    rules = situation.load(args)
    archive, log_key = rules.config.archive, rules.state / LOG_KEY
    given = _given(args)
    by, phrase = given or _asked(args.role, law(archive))
    found = identities(archive, {by: phrase})
    if not found:
        raise CredentialError(f"this is not what the {by} has; nothing was changed", _HINT)
    holder = _holder(args, archive, given is None)
    with Bar("locking the days anew") as bar:
        done = replace(archive, log_key, holder, found[by], situation.now, progress=bar)
    enter(archive, log_key, ("replaced", args.role), ("by", by))
    print(f"the {args.role} is another one now; fingerprint of the new card: {fingerprint(holder.recipient)}")
    print("Try it soon, with the owner: nocontact keys rehearse")
    return _tell(done, by)


def _given(args: Namespace) -> tuple[str, str] | None:
    """Who opens, and with what; None: nothing was given in files."""
    files = {role: getattr(args, f"{role}_passphrase_file") for role in ("therapist", "witness")}
    named = [role for role, file in files.items() if file]
    if not named and not args.new_passphrase_file:
        return None
    if len(named) != 1 or not args.new_passphrase_file:
        raise UsageError(
            "without questions it takes one who opens, and the new one's passphrase; nothing was changed",
            "--therapist-passphrase-file F or --witness-passphrase-file F, and --new-passphrase-file F",
        )
    return named[0], passphrases.read(files[named[0]], f"{named[0]}'s passphrase") or ""


def _asked(role: str, holders: Charter) -> tuple[str, str]:
    recipient = holders.therapist if role == "therapist" else holders.witness
    if recipient:
        print(f"The {role} there is now has a card with the fingerprint: {fingerprint(recipient)}")
        print("If that is the new card already, an earlier start has done all of this: end with Ctrl-C.\n")
    by = "therapist" if not holders.witness or yes("Does the therapist open, with the present card?") else "witness"
    return by, ask_holder(by)


def _holder(args: Namespace, archive: Path, attended: bool) -> Holder:
    if attended:
        holder, _words = cards.deal(args.role, lambda words: create(args.role, words), args.cards, situation.now())
        return holder
    phrase = passphrases.read(args.new_passphrase_file, "new holder's passphrase") or ""
    refuse_anothers(archive, args.role, phrase)
    return create(args.role, phrase)


def refuse_anothers(archive: Path, role: str, phrase: str) -> None:
    """CredentialError: another holder has this passphrase, who could then open alone what is to open for two."""
    others = [other for other in ("owner", "therapist", "witness") if other != role]
    there = [other for other in others if any(file.is_file() for file in places(archive, file_of(other)))]
    if identities(archive, dict.fromkeys(there, phrase)):
        raise CredentialError(
            "two holders would have the same passphrase; nothing was changed",
            "one person could then open alone what is to open for two",
        )


def _tell(done: Replaced, by: str) -> int:
    """The days that stayed as they were."""
    problems = [
        DamagedError(f"{name}: the {by} does not open the key of this day; it was left as it was") for name in done.shut
    ]
    for problem in problems:
        complain(problem)
    return problems[0].exit_code if problems else 0


_HINT = "the words stand on the card in their order; is it the card of the one whom the archive knows?"

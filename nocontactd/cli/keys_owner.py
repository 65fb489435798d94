"""`nocontact keys owner-passphrase`: the owner's identity stays, and what locks it changes; no day key does."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from nocontactd.archive.holders import RECOVERY, Holder, locked_again
from nocontactd.archive.replace import relock_owner
from nocontactd.archive.unlock import identities, law
from nocontactd.assemble import LOG_KEY
from nocontactd.cli import UsageError, cards, passphrases, situation
from nocontactd.cli.asking import owners_passphrase, yes
from nocontactd.cli.keys_replace import refuse_anothers
from nocontactd.cli.rehearsing import enter
from nocontactd.errors import CredentialError

HELP = """\
Give the owner another passphrase. The old one is asked for; where it is lost, the recovery card that
may have been made at the ceremony takes its place. Without either nobody can give the owner another
one: that is what keeps everybody else out.

A backup that was made before still opens with the old passphrase and the therapist's card.
"""


def describe(parser: ArgumentParser) -> None:
    situation.text(parser, HELP)
    passphrases.describe(parser, "owner")
    passphrases.option(parser, "--recovery-card-file", "recovery card's words")
    passphrases.option(parser, "--new-passphrase-file", "new passphrase")
    cards.describe(parser)


def run(args: Namespace) -> int:
    rules = situation.load(args)
    archive, log_key = rules.config.archive, rules.state / LOG_KEY
    given = _given(args)
    role, phrase = given or _asked(archive)
    found = identities(archive, {role: phrase})
    if not found:
        what = "the recovery card" if role == RECOVERY else "the owner's passphrase"
        raise CredentialError(f"this is not {what}; nothing was changed", _HINT)
    identity = found[role]
    if given:
        new = passphrases.read(args.new_passphrase_file, "new passphrase") or ""
        refuse_anothers(archive, "owner", new)
    else:
        new = owners_passphrase("new passphrase of the owner: ")
    relock_owner(archive, log_key, "owner", locked_again("owner", identity, new), situation.now)
    if not given and role != RECOVERY and yes("Make a new recovery card, too?"):
        _recovery(archive, log_key, identity, args.cards)
    enter(archive, log_key, ("owner", "another passphrase"), ("by", role))
    print("the owner's passphrase is another one now")
    return 0


def _given(args: Namespace) -> tuple[str, str] | None:
    named = [file for file in (args.owner_passphrase_file, args.recovery_card_file) if file]
    if not named and not args.new_passphrase_file:
        return None
    if len(named) != 1 or not args.new_passphrase_file:
        raise UsageError(
            "without questions it takes the old passphrase or the recovery card, and the new one; nothing was changed",
            "--owner-passphrase-file F or --recovery-card-file F, and --new-passphrase-file F",
        )
    if args.recovery_card_file:
        return RECOVERY, passphrases.read(args.recovery_card_file, "recovery card") or ""
    return "owner", passphrases.read(args.owner_passphrase_file, "owner's passphrase") or ""


def _asked(archive: Path) -> tuple[str, str]:
    if (archive / f"holders/{RECOVERY}.age").is_file() and not yes("Does the owner still know the passphrase?"):
        return RECOVERY, passphrases.ask_card("words of the recovery card: ")
    return "owner", passphrases.ask("present passphrase of the owner: ")


def _recovery(archive: Path, log_key: Path, identity: str, folder: Path | None) -> None:
    recipient = law(archive).owner

    def make(words: str) -> Holder:
        return Holder("owner", recipient, b"", locked_again("owner", identity, words))

    holder, _words = cards.deal(RECOVERY, make, folder, situation.now())
    relock_owner(archive, log_key, RECOVERY, holder.recovery, situation.now)


_HINT = "capitals and spaces count, and the order of a card's words; is it the owner's own?"

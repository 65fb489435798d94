"""The ceremony: two people make the keys, and try them there and then. Nothing secret is written anywhere.

Attended, each holder is asked and each card typed back; unattended, the passphrases come from
files, and the log's first leaf says so for ever.
"""

import secrets
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path

from nocontactd import config, state, whereabouts
from nocontactd.archive import keys
from nocontactd.archive.seal import Archive
from nocontactd.archive.unseal import unlock
from nocontactd.assemble import LOG_KEY
from nocontactd.cli import as_service_user, passphrases, situation
from nocontactd.cli.passphrases import Passphrases
from nocontactd.errors import CredentialError, DamagedError, NocontactError, NoKeysError, SealError

HELP = """\
nocontact keys init: make the archive and its keys, for two people. It takes about twenty minutes.

The owner chooses a passphrase. The therapist, and a backup witness if there is one, each get a
card of seven words, shown once, to be written on paper. From then on the archive opens for the
owner and the therapist together, or for the owner and the witness, and for nobody else: not for
one of them alone, not for this machine, not for its administrator. Then it is tried.

With passphrase files nothing is asked; the archive's log then says that its ceremony was
unattended. An archive that is there already is never replaced.
"""
WEAK = 16
"""Characters below which a passphrase of the owner's is called short."""


def describe(parser: ArgumentParser) -> None:
    situation.text(parser, HELP)
    parser.add_argument("what", choices=["init"], help="make the archive and its keys")
    passphrases.describe(parser)


def run(args: Namespace) -> int:
    place = situation.place(args)
    archive = config.load(situation.config_file(args)).archive
    if (archive / "archive.json").exists():
        raise SealError(f"{archive}: there are keys here already; nothing was changed")
    _refuse_as_root(place)
    _refuse_where_one_was(place, archive)
    given = passphrases.from_files(args)
    holders = _complete(given) if given else _ceremony(archive)
    state.directory(place)
    keys.make(
        archive,
        place / LOG_KEY,
        holders.owner or "",
        holders.therapist or "",
        holders.witness,
        unattended=given is not None,
        now=situation.now,
    )
    whereabouts.note(place, archive)
    if given is None:
        _rehearse(archive, place / LOG_KEY, holders)
    print(f"the archive {archive} is ready; it opens for {_for_whom(holders)}")
    return 0


def _refuse_as_root(place: Path) -> None:
    """What root makes the daemon's own user could not write."""
    if place.exists() and place.owner() != "root" and Path("/proc/self").owner() == "root":
        raise NocontactError(f"{place}: belongs to another user; nothing was made", as_service_user())


def _refuse_where_one_was(place: Path, archive: Path) -> None:
    """Where a disk is not mounted, a second archive would hide the first."""
    try:
        whereabouts.look(place, archive)
    except NoKeysError:
        return
    except DamagedError as gone:
        hint = f"{gone.hint}; or, if it is lost for good, name another place under `archive:`"
        raise SealError(f"archive {archive}: there was one here already; nothing was made", hint) from None


def _complete(given: Passphrases) -> Passphrases:
    if given.owner is None or given.therapist is None:
        raise CredentialError(
            "the owner's and the therapist's passphrase are both needed; nothing was made",
            "give --owner-passphrase-file F and --therapist-passphrase-file F",
        )
    return given


def _ceremony(archive: Path) -> Passphrases:
    """Ask the people; nothing is made before all of them have answered."""
    print(f"This makes the archive {archive} and its keys. You need two people, paper and a pen.\n")
    owner = _owners()
    therapist = _card("therapist")
    print("A backup witness (a friend, a lawyer) can stand in for the therapist beside you.")
    witness = _card("witness") if _yes("Is there a backup witness?") else None
    if witness is None:
        print("Without a witness, a lost card or a therapist's death closes the archive for ever.")
        if not _yes("Go on without a witness?"):
            raise NocontactError("the ceremony was ended; nothing was made")
    return Passphrases(owner, therapist, witness)


def _owners() -> str:
    print("Owner: choose a passphrase that only you know and that you will still know in years.")
    print("Five or more words that do not belong together are good; a name or a date is not.")
    while True:
        chosen = passphrases.ask("passphrase of the owner: ")
        if not chosen:
            print("It cannot be empty.")
        elif len(chosen) < WEAK and not _yes("It is short, and could be guessed. Keep it all the same?"):
            continue
        elif passphrases.ask("once more: ") == chosen:
            return chosen
        else:
            print("These two were not the same.")


def _card(holder: str) -> str:
    """Seven words, shown once, typed back from the paper."""
    card = keys.words(secrets.randbelow)
    print(f"\nThe {holder}'s card. Only the {holder} looks now, writes it on paper and keeps it:\n\n    {card}\n")
    passphrases.ask("press Enter when it is written down; then it is wiped from this screen ")
    print("\033[H\033[2J\033[3J", end="", flush=True)  # the screen and what was scrolled off it
    while _typed(passphrases.ask(f"{holder}: type the words from the paper: ")) != card:
        print("That is not what the card says. Compare the paper, or end with Ctrl-C and begin anew.")
    return card


def _typed(words: str) -> str:
    return " ".join(words.lower().split())


def _yes(question: str) -> bool:
    while True:
        try:
            answer = input(f"{question} [yes/no] ").strip().lower()
        except EOFError:
            raise NocontactError("the ceremony was ended; nothing was made") from None
        if answer in ("yes", "no"):
            return answer == "yes"


def _rehearse(archive: Path, log_key: Path, holders: Passphrases) -> None:
    """Seal a test record; it must open for each right pair, and for nobody else."""
    sealer = Archive(archive, log_key, situation.now)
    try:
        sealer.enter("keys", (("rehearsal", "a test record"),))
    finally:
        sealer.close()
    owner, therapist, witness = holders.owner, holders.therapist, holders.witness
    _opens("the owner and the therapist", lambda: _open(archive, owner, therapist, None))
    _refused("the owner alone", lambda: _open(archive, owner, owner, None))
    if witness is not None:
        _opens("the owner and the witness", lambda: _open(archive, owner, None, witness))
        _refused("the therapist and the witness", lambda: _open(archive, therapist, None, witness))
    else:
        _refused("the therapist alone", lambda: _open(archive, therapist, therapist, None))


def _open(archive: Path, owner: str | None, therapist: str | None, witness: str | None) -> None:
    opener = unlock(archive, owner=owner, therapist=therapist, witness=witness)
    found = [item for item in opener.messages(opener.days()) if not isinstance(item, DamagedError)]
    if not any(("rehearsal", "a test record") in item.meta.facts for item in found):
        raise DamagedError("the test record is not there")


def _opens(who: str, attempt: Callable[[], None]) -> None:
    attempt()
    print(f"rehearsal: opened by {who}", file=sys.stderr)


def _refused(who: str, attempt: Callable[[], None]) -> None:
    try:
        attempt()
    except CredentialError:
        print(f"rehearsal: refused to {who}, as it must be", file=sys.stderr)
    else:
        raise DamagedError(f"the rehearsal failed: the test record opened for {who}; do not use this archive")


def _for_whom(holders: Passphrases) -> str:
    return "the owner and the therapist" + ("" if holders.witness is None else ", or for the owner and the witness")

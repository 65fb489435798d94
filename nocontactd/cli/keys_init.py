"""`nocontact keys init`: two people make the keys, and try them there and then.

Attended, each holder is asked and each card typed back, and an interrupted ceremony goes on where it
was; unattended, the passphrases come from files, and the log's first leaf says so for ever.
"""

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from pathlib import Path

from nocontactd import config, state, whereabouts
from nocontactd.archive import keys
from nocontactd.archive.ceremony import Ceremony
from nocontactd.archive.holders import Holder
from nocontactd.assemble import LOG_KEY
from nocontactd.cli import UsageError, as_service_user, cards, passphrases, situation
from nocontactd.cli.asking import Steps, Told, yes
from nocontactd.cli.passphrases import Passphrases
from nocontactd.cli.rehearsing import in_words, seal_test_record, try_out
from nocontactd.errors import CredentialError, DamagedError, NocontactError, NoKeysError, SealError

HELP = """\
Make the archive and its keys, for two people. It takes about twenty minutes.

The owner chooses a passphrase. The therapist, and a backup witness if there is one, each get a card
of seven words, to be written on paper (or printed: --cards). Then it is tried: the archive must
open for the owner and the therapist, for the owner and the witness, and for nobody else. Only an
archive that was tried is ever used. A ceremony that was broken off, at any step, goes on when this
command is given again.

With passphrase files nothing is asked; the archive's log then says that its ceremony was
unattended. An archive that is there already is never replaced.

With --days-ahead the keys of the next N days are made now, and no process of the daemon's ever
makes one: for whoever does not trust this machine's memory even for a moment. When they run out,
all further days share the last key, and `status` and `check` say so long before.
"""
MOST_AHEAD = 3660
_INTRODUCTION = """\
This makes the archive {archive} and its keys.
You need: two people (the owner and the therapist; a backup witness is welcome), paper, a pen,
about twenty minutes, and nobody looking over a shoulder. There are five steps. If you must stop,
press Ctrl-C: the next `nocontact keys init` goes on where you were.
"""
_SWAP = """\
Note: this machine puts memory on its disk when it runs short (swap). For this hour it is better
without: an administrator types `swapoff -a`, and afterwards `swapon -a`.
"""


def describe(parser: ArgumentParser) -> None:
    situation.text(parser, HELP)
    passphrases.describe(parser)
    cards.describe(parser)
    parser.add_argument("--days-ahead", type=_days_ahead, metavar="N", help="make the keys of N days now")


def run(args: Namespace) -> int:
    place = situation.place(args)
    archive = config.load(situation.config_file(args)).archive
    ceremony = Ceremony(archive, situation.now, days_ahead=args.days_ahead)
    if (archive / "archive.json").exists() and not ceremony.begun:
        raise SealError(f"{archive}: there are keys here already; nothing was changed", _AGAIN)
    _refuse_as_root(place)
    if not ceremony.begun:
        _refuse_where_one_was(place, archive)
    given = passphrases.from_files(args)
    if given:
        if args.cards:
            raise UsageError("--cards is for new cards; with passphrase files there are none")
        roles = _from_files(_complete(given), archive, place, args.days_ahead or 0)
    else:
        roles = _guided(ceremony, archive, place, args)
    whereabouts.note(place, archive)
    print(f"the archive {archive} is ready; it opens for {_for_whom(roles)}")
    return 0


def _from_files(given: Passphrases, archive: Path, place: Path, days_ahead: int) -> tuple[str, ...]:
    state.directory(place)
    keys.make(
        archive,
        place / LOG_KEY,
        given.owner or "",
        given.therapist or "",
        given.witness,
        unattended=True,
        now=situation.now,
        days_ahead=days_ahead,
    )
    return ("owner", "therapist") if given.witness is None else ("owner", "therapist", "witness")


def _guided(ceremony: Ceremony, archive: Path, place: Path, args: Namespace) -> tuple[str, ...]:
    """Ask the people; each step is kept as soon as it is done."""
    if not ceremony.moving:
        ceremony.expect_room()
        print(_INTRODUCTION.format(archive=archive))
        if _swaps():
            print(_SWAP)
        told = Told()
        holders = _holders(ceremony, told, args.cards)
        state.directory(place)
        ceremony.make(place / LOG_KEY, holders)
        _rehearse(ceremony, place / LOG_KEY, holders, told)
    ceremony.finish()
    print("\nWhat you typed is written nowhere. Keep the cards apart from this machine, and from each other.")
    return tuple(role for role in ("owner", "therapist", "witness") if (archive / f"holders/{role}.age").exists())


def _holders(ceremony: Ceremony, told: Told, folder: Path | None) -> list[Holder]:
    steps = Steps(ceremony, told, folder, situation.now)
    print("Step 1 of 5: the owner's passphrase.")
    owner = steps.owner()
    print("\nStep 2 of 5: the therapist's card.")
    therapist = steps.card("therapist")
    print("\nStep 3 of 5: a backup witness (a friend, a lawyer) can stand in for the therapist beside you.")
    witness = steps.card("witness") if ceremony.holder("witness") or yes("Is there a backup witness?") else None
    if witness is None:
        print("Without a witness, a lost card or a therapist's death closes the archive for ever.")
        if not yes("Go on without a witness?"):
            raise NocontactError(
                "the ceremony was ended; nothing was made", "what was done so far is kept: begin again"
            )
    print("\nStep 4 of 5: a recovery card, in case the owner forgets the passphrase. It is the owner's alone.")
    owner = steps.recovery(owner)
    return [holder for holder in (owner, therapist, witness) if holder]


def _rehearse(ceremony: Ceremony, log_key: Path, holders: list[Holder], told: Told) -> None:
    """Seal a test record; it must open for each right pair, and for nobody else."""
    print("\nStep 5 of 5: it is tried, before it is used.")
    identities = {holder.role: told.identity(holder) for holder in holders}
    day = seal_test_record(ceremony.archive, log_key)
    try_out(ceremony.archive, day, identities, explain=True)


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


def _swaps() -> bool:
    """Whether this machine puts memory on a disk."""
    try:
        return len(Path("/proc/swaps").read_text().splitlines()) > 1
    except OSError:
        return False


def _days_ahead(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MOST_AHEAD:
        raise ArgumentTypeError(f"a number of days from 1 to {MOST_AHEAD}")
    return int(text)


def _for_whom(roles: tuple[str, ...]) -> str:
    return ", or for ".join(in_words(("owner", role)) for role in roles if role != "owner")


_AGAIN = "to try them: `nocontact keys rehearse`; for another holder: `nocontact keys replace`"

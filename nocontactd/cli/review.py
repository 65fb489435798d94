"""Opens the archive for the owner and a second holder, and says what it does before it does it.

One message at a time; on a terminal the words stay hidden until they are asked for. Whatever a
sender wrote goes through `visible` or JSON escapes, never to the screen as it is.
"""

import os
import re
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import BinaryIO

from nocontactd.archive.seal import Archive
from nocontactd.archive.unseal import Opened, Opener, unlock
from nocontactd.assemble import LOG_KEY
from nocontactd.cli import complain, passphrases, situation, unusable
from nocontactd.cli.passphrases import Passphrases
from nocontactd.cli.progress import Bar
from nocontactd.errors import CredentialError, DamagedError, NocontactError
from nocontactd.in_force import InForce
from nocontactd.model import Channel
from nocontactd.review.rows import Row, as_json, rows, timestamp, words
from nocontactd.review.visible import visible, visible_lines

MOST_SHOWN = 20_000
"""Characters of one body on the screen."""
GENUINE = {
    True: "yes, proven by your provider at arrival",
    False: "not proven, perhaps forged: do not attribute",
    None: "not known",
}
HELP = """\
Read what was sealed. It opens for the owner and the therapist together, or for the owner and the
backup witness; not for one of them alone. The opening itself is entered in the archive's log.

Messages come one at a time, each once, as plain text: control characters are written out, nothing
is rendered and nothing is fetched. On a terminal the words stay hidden until you ask for them.

DAY is the UTC day of sealing: 2026-11-22, 2026-11-01..2026-11-30, or all. With --originals the
exact octets go to DIR as DAY-NNNNNN.eml or DAY-NNNNNN.json (pictures and files of a text to the
folder DAY-NNNNNN), readable by you alone; a file that is there already is left as it is.

"genuine" says whether your mail provider vouched for the sender's address when the message came. Where
it did not, somebody else may have written it in their name: do not attribute it.

With --json one object a message: record, received, channel, sender, subject, sha256, reason,
rule, authenticated. Exit code 65 when a record is damaged or missing; the others are shown all the same.
"""


def describe(parser: ArgumentParser) -> None:
    situation.text(parser, HELP)
    parser.add_argument("--text", action="store_true", help="plain text (the only way to read for now)")
    parser.add_argument("--json", action="store_true", help="one object on one line a message")
    parser.add_argument("--days", type=_days, default=("", "9"), metavar="all|DAY|DAY..DAY", help="default: all")
    parser.add_argument("--originals", type=Path, metavar="DIR", help="write the exact octets of each message there")
    passphrases.describe(parser)


def run(args: Namespace) -> int:
    rules = situation.load(args)
    given = passphrases.from_files(args) or _asked()
    _need_two(given)
    _say(
        f"opening the archive {rules.config.archive} for {_who(given)}; "
        "no message in it is changed; the opening is entered in its log"
    )
    opener = unlock(rules.config.archive, owner=given.owner, therapist=given.therapist, witness=given.witness)
    days = [day for day in opener.days() if args.days[0] <= day[:10] <= args.days[1]]
    _record(rules, given, days)
    originals = _Originals(opener, args.originals) if args.originals else None
    return _show(opener, days, originals, args.json)


def _asked() -> Passphrases:
    owner = passphrases.ask("passphrase of the owner: ")
    therapist = passphrases.ask("words of the therapist's card (leave empty for the witness's): ")
    if therapist:
        return Passphrases(owner, therapist, None)
    return Passphrases(owner, None, passphrases.ask("words of the witness's card: "))


def _need_two(given: Passphrases) -> None:
    if given.owner is None or (given.therapist is None and given.witness is None):
        raise CredentialError(
            "the archive opens for two: the owner, and the therapist or the witness; nothing was opened",
            "give the passphrases of both",
        )


def _who(given: Passphrases) -> str:
    return "the owner and the therapist" if given.therapist is not None else "the owner and the witness"


def _record(rules: InForce, given: Passphrases, days: list[str]) -> None:
    """Every opening is in the log; but evidence on a read-only disk must open all the same."""
    _say("this opening is being entered in the archive's log")
    facts = (("by", _who(given)), ("days", f"{days[0]}..{days[-1]}" if days else "none"))
    try:
        archive = Archive(rules.config.archive, rules.state / LOG_KEY, situation.now)
        try:
            archive.enter("opening", facts)
        finally:
            archive.close()
    except (NocontactError, OSError) as problem:
        reason = problem.message if isinstance(problem, NocontactError) else unusable(problem).message
        _say(f"warning: this opening could not be entered in the log ({reason}); going on without")


def _show(opener: Opener, days: list[str], originals: "_Originals | None", json: bool) -> int:
    code, empty = 0, True
    notes: list[Row] = []
    screen = sys.stdin.isatty() and sys.stdout.isatty() and not json
    for item in rows(_opened(opener, days, quiet=screen or sys.stdout.isatty())):
        empty = False
        if isinstance(item, DamagedError):
            code = complain(item)
        elif item.note:
            notes.append(item)
        else:
            if originals and not originals.write(item):
                code = code or 1
            if json:
                print(as_json(item))
            elif not _one(item, screen):
                return code
    if not json:
        _tell_notes(notes)
    if empty:
        _say("nothing was sealed on these days")
    return code


def _opened(opener: Opener, days: list[str], *, quiet: bool) -> Iterator[Opened | DamagedError]:
    """Every record of these days, with a bar where nothing else is written to the terminal."""
    order = {day: number for number, day in enumerate(days)}
    with Bar("opening") as bar:
        for item in opener.messages(days):
            if isinstance(item, Opened) and not quiet:
                bar(order.get(item.record[:10], 0), len(days))
            yield item


def _one(row: Row, screen: bool) -> bool:
    """Show one message; False when the reader has had enough."""
    print("\n".join(_head(row)))
    if not screen:
        print("\n".join(_words(row)) + "\n")
        return True
    while True:
        answer = _key("Enter: next   w: words   q: end > ")
        if answer in ("q", None):
            return False
        if answer != "w":
            print()
            return True
        print("\n".join(_words(row)))


def _key(prompt: str) -> str | None:
    try:
        return input(prompt).strip().lower()[:1]
    except (EOFError, UnicodeDecodeError):
        return None


def _head(row: Row) -> Iterator[str]:
    where = f" in {row.field}" if row.field else ""
    rule = f", entry {row.rule}" if row.rule else ""
    yield visible(f"{row.record}  {row.channel.value}  {row.source}")
    yield f"  received  {timestamp(row.received)}"
    yield visible(f"  from      {row.sender}", 500)
    if row.channel is Channel.MAIL:
        yield visible(f"  subject   {row.subject}", 1000)
    yield visible(f"  why       {row.reason}{where}{rule}", 500)
    if row.channel is Channel.MAIL:
        yield f"  genuine   {GENUINE[row.authenticated]}"
    yield f"  sha256    {row.sha256}"


def _words(row: Row) -> Iterator[str]:
    said = words(row)
    for line in visible_lines(said.text, MOST_SHOWN):
        yield f"  | {line}"
    if said.others:
        yield visible(f"  besides   {', '.join(said.others)}", 500)


def _tell_notes(notes: list[Row]) -> None:
    if notes:
        print("let pass, though perhaps a listed person in disguise (only this note was kept):")
    for row in notes:
        rule = f", entry {row.rule}" if row.rule else ""
        print(visible(f"  {row.record}  {timestamp(row.received)}  {row.sender}  ({row.reason}{rule})", 800))


class _Originals:
    """A folder that takes the exact octets, each under a name of its own; it never replaces a file."""

    def __init__(self, opener: Opener, folder: Path) -> None:
        self._opener = opener
        self._folder = folder
        _say(f"the originals are being written to {folder}, readable for whoever can read that folder")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def write(self, row: Row) -> bool:
        """Whether it was written, whole and checked."""
        made: list[Path] = []
        try:
            self._opener.originals(row.record, lambda name: self._file(row, name, made))
        except (NocontactError, OSError) as problem:
            for path in made:
                path.unlink(missing_ok=True)
            reason = problem.message if isinstance(problem, NocontactError) else unusable(problem).message
            complain(NocontactError(f"{row.record}: the original was not written: {reason}"))
            return False
        return True

    def _file(self, row: Row, member: str, made: list[Path]) -> BinaryIO:
        path = self._folder / _named(row, member)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        made.append(path)
        return os.fdopen(descriptor, "wb")


def _named(row: Row, member: str) -> str:
    stem = row.record.replace("/", "-")
    if member == row.parts[0]:
        return stem + (".eml" if row.channel is Channel.MAIL else ".json")
    safe = re.sub("[^A-Za-z0-9._-]", "_", member.removeprefix("media/")).lstrip(".")
    return f"{stem}/{safe or 'part'}"


def _days(text: str) -> tuple[str, str]:
    if text == "all":
        return "", "9"
    first, dots, last = text.partition("..")
    last = last if dots else first
    if not _real(first) or not _real(last):
        raise ArgumentTypeError("not a day: write all, 2026-11-22 or 2026-11-01..2026-11-30")
    if first > last:
        raise ArgumentTypeError("the first day comes after the last")
    return first, last


def _real(day: str) -> bool:
    """Whether this is a day, written as it is in the archive: fromisoformat takes 20261122 and 2026-W47-7, too."""
    try:
        return date.fromisoformat(day).isoformat() == day
    except ValueError:
        return False


def _say(text: str) -> None:
    print(f"nocontact: {visible(text)}", file=sys.stderr, flush=True)

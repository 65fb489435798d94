"""Reads the archive to its owner and a second holder, one message at a time; what it lists, it lists from the index.

On a terminal the words stay hidden until they are asked for. Whatever a sender wrote goes through
`visible` or JSON escapes, never to the screen as it is.
"""

import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from pathlib import Path

from nocontactd.archive.unseal import Opener
from nocontactd.cli import complain, opening, situation, unusable
from nocontactd.cli.opening import Opening, say
from nocontactd.errors import DamagedError, NocontactError
from nocontactd.export.folder import Folder, write_originals
from nocontactd.model import Channel
from nocontactd.review.body import MOST_OCTETS
from nocontactd.review.rows import Row, as_json, folded, timestamp, words
from nocontactd.review.signed import signed
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
folder DAY-NNNNNN), readable by you alone; a file that is there already is left as it is. With
--marks you can mark messages on a terminal: the name of each record, and nothing else of it, is
added to FILE, for `nocontact export --records @FILE`. With --signatures the DKIM signatures that
were checked at arrival are checked once more, with the keys that were sealed with the message:
nothing is asked of any network, and nothing of it changes when a provider changes its keys.

"genuine" says whether your mail provider vouched for the sender's address when the message came. Where
it did not, somebody else may have written it in their name: do not attribute it.

With --json one object a message: record, received, channel, sender, subject, sha256, reason,
rule, authenticated. Exit code 65 when a record is damaged or missing; the others are shown all the
same. The first time that a day is opened each of its records is; later listings come from an
index that is sealed as the records are, and open only what is new or was touched.
"""


def describe(parser: ArgumentParser) -> None:
    situation.text(parser, HELP)
    parser.add_argument("--text", action="store_true", help="plain text (the only way to read for now)")
    parser.add_argument("--json", action="store_true", help="one object on one line a message")
    parser.add_argument("--originals", type=Path, metavar="DIR", help="write the exact octets of each message there")
    parser.add_argument("--marks", type=Path, metavar="FILE", help="where the messages that you mark are noted")
    parser.add_argument("--signatures", action="store_true", help="check each mail's DKIM signatures again, offline")
    opening.describe(parser)


def run(args: Namespace) -> int:
    originals = Folder(args.originals) if args.originals else None  # what cannot be written to is no reason to open
    if args.marks:
        _mark(args.marks)
    done = opening.opened(args, "review")
    if originals:
        say(f"the originals are being written to {args.originals}, readable for whoever can read that folder")
    screen = sys.stdin.isatty() and sys.stdout.isatty() and not args.json
    show = _Show(done.opener, screen, args.marks, signatures=args.signatures) if not args.json else None
    return _list(done, originals, show)


def _list(done: Opening, originals: Folder | None, show: "_Show | None") -> int:
    """Every message of these days, as JSON where nothing else shows it."""
    code, empty = done.code, True
    notes: list[Row] = []
    with opening.bar(quiet=sys.stdout.isatty()) as bar:
        for item in folded(done.listing.rows(done.days, bar)):
            empty = False
            if isinstance(item, DamagedError):
                code = complain(item)
            elif item.note:
                notes.append(item)
            else:
                if originals and not _written(done.opener, originals, item):
                    code = code or 1
                if not show:
                    print(as_json(item))
                elif not show.one(item):
                    return code or show.code
    if show:
        _tell_notes(notes)
        code = code or show.code
    if empty:
        say("nothing was sealed on these days")
    return code


def _written(opener: Opener, folder: Folder, row: Row) -> bool:
    """Whether the original was written, whole and checked."""
    try:
        write_originals(opener, folder, row.record)
    except (DamagedError, OSError) as problem:
        reason = unusable(problem).message if isinstance(problem, OSError) else problem.message
        complain(NocontactError(f"{row.record}: the original was not written: {reason}"))
        return False
    return True


class _Show:
    """Messages for people, one at a time; on a screen each waits until its reader goes on."""

    def __init__(self, opener: Opener, screen: bool, marks: Path | None, *, signatures: bool = False) -> None:
        self.code = 0
        self._opener = opener
        self._screen = screen
        self._marks = marks
        self._signatures = signatures

    def one(self, row: Row) -> bool:
        """Show one message; False when the reader has had enough."""
        print("\n".join([*_head(row), *self._signed(row)]))
        if not self._screen:
            print("\n".join([*self._words(row), ""]))
            return True
        mark = "   m: mark" if self._marks else ""
        while True:
            answer = _key(f"Enter: next   w: words{mark}   q: end > ")
            if answer in ("q", None):
                return False
            if answer == "w":
                print("\n".join(self._words(row)))
            elif answer == "m" and self._marks:
                _mark(self._marks, row.record)
                print(visible(f"marked in {self._marks}"))
            else:
                print()
                return True

    def _signed(self, row: Row) -> Iterator[str]:
        if self._signatures and row.channel is Channel.MAIL:
            try:
                for line in signed(self._opener, row.record):
                    yield visible(f"  signed    {line}", 500)
            except DamagedError as problem:
                self.code = complain(problem)

    def _words(self, row: Row) -> Iterator[str]:
        try:
            said = words(self._opener.message(row.record, MOST_OCTETS))
        except DamagedError as problem:  # since it was listed, or its time did not tell
            self.code = complain(problem)
            return
        for line in visible_lines(said.text, MOST_SHOWN):
            yield f"  | {line}"
        if said.others:
            yield visible(f"  besides   {', '.join(said.others)}", 500)


def _key(prompt: str) -> str | None:
    try:
        return input(prompt).strip().lower()[:1]
    except (EOFError, UnicodeDecodeError):
        return None


def _mark(file: Path, *records: str) -> None:
    """Add names of records to the file, which is for its owner alone."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.writelines(f"{record}\n" for record in records)


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
    if not row.logged:
        yield "  caution   the log does not vouch for it: left by an interrupted pass, or put there by somebody"


def _tell_notes(notes: list[Row]) -> None:
    if notes:
        print("let pass, though perhaps a listed person in disguise (only this note was kept):")
    for row in notes:
        rule = f", entry {row.rule}" if row.rule else ""
        print(visible(f"  {row.record}  {timestamp(row.received)}  {row.sender}  ({row.reason}{rule})", 800))

"""A card is seen by its holder alone: shown once, written only where that was asked for, typed back from the paper."""

import os
import secrets
from argparse import ArgumentParser
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from nocontactd.archive import cards
from nocontactd.archive.cards import Card
from nocontactd.archive.holders import RECOVERY, Holder
from nocontactd.cli import complain, passphrases
from nocontactd.cli.writing import write_new
from nocontactd.errors import NocontactError

_CLEAR = "\033[H\033[2J\033[3J"
"""The screen, and what was scrolled off it."""
OF = {"therapist": "therapist", "witness": "witness", RECOVERY: "owner"}
"""Whose a card is."""


def describe(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--cards",
        metavar="DIR",
        type=Path,
        help="write cards there too, as text and PDF, to be printed: best in memory (/dev/shm) or on a stick",
    )


def deal(role: str, make: Callable[[str], Holder], folder: Path | None, now: datetime) -> tuple[Holder, str]:
    """Give a holder a new card, until it is on paper; the holder that `make` makes of its words, and the words."""
    words = cards.words(secrets.randbelow)
    print("One moment …")
    holder = make(words)
    card = Card(role, words, holder.recipient, now.strftime("%Y-%m-%d"))
    files = _written(card, folder, now) if folder else []
    who = OF[role]
    print(f"\n{card.title.capitalize()}. Only the {who} looks now, writes it on paper and keeps it:\n")
    print(f"    {words}\n\n    fingerprint (no secret): {cards.fingerprint(holder.recipient)}\n")
    try:
        passphrases.ask("press Enter when it is on paper; then it is wiped from this screen ")
    finally:
        print(_CLEAR, end="", flush=True)
        _destroy(files)
    while passphrases.ask_card(f"{who}: type the words from the paper: ") != words:
        print("That is not what the card says. Compare the paper, or end with Ctrl-C and begin anew.")
    return holder, words


def _written(card: Card, folder: Path, now: datetime) -> list[Path]:
    """The card as text and, where fpdf2 is installed, as PDF."""
    from nocontactd.export.paper import pdf

    written = [_new(folder / f"{card.role}-card.txt", card.text().encode())]
    try:
        entries = [(line,) for line in card.lines if line]
        written.append(_new(folder / f"{card.role}-card.pdf", pdf(card.title, (), entries, now, notice="")))
    except NocontactError as problem:
        complain(problem)
    names = " ".join(map(str, written))
    print(f"\nThe card is in {names} until Enter is pressed: print it now. Should this be broken off: shred -u {names}")
    return written


def _new(path: Path, data: bytes) -> Path:
    write_new(path, data)
    return path


def _destroy(files: list[Path]) -> None:
    """Overwrite and remove: what a disk or a backup remembers by itself is out of reach."""
    for path in files:
        with path.open("r+b") as file:
            file.write(bytes(path.stat().st_size))
            file.flush()
            os.fsync(file.fileno())
        path.unlink()

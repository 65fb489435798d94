"""One bundle: the messages that were chosen, what proves each, and the papers. Of any other message, nothing.

A message that cannot be read is an error in its place and the others are written. SHA256SUMS comes
last: a bundle without it was not finished.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from nocontactd import __version__
from nocontactd.archive.contents import Contents
from nocontactd.archive.durable import digest
from nocontactd.archive.examined import KEPT, MAIL
from nocontactd.archive.unseal import Opener
from nocontactd.errors import DamagedError, NocontactError
from nocontactd.export.folder import Folder, is_original_name, original_name
from nocontactd.export.incidents import as_csv, incidents
from nocontactd.export.occasion import Exhibit, Occasion
from nocontactd.export.paper import pdf
from nocontactd.export.proofs import Proofs
from nocontactd.export.texts import certificate, custody, readme
from nocontactd.review.rows import Row, timestamp
from nocontactd.review.signed import checked_again

FORMAT = "nocontactd-evidence/1"
SUMS = "SHA256SUMS"
_CHECK = Path(__file__).with_name("check.py")


class Bundle:
    """A new folder that takes the evidence."""

    def __init__(self, opener: Opener, archive: Path, path: Path, made: datetime, by: str) -> None:
        """NocontactError: `path` is neither new nor empty."""
        expect_room(path)
        self._opener = opener
        self._archive = archive
        self._path = path
        self._made = made
        self._by = by

    def write(self, rows: Sequence[Row], progress: Callable[[int, int], None]) -> tuple[NocontactError, ...]:
        """Write all of it; what could not be, or without its proof, is returned.

        `progress(done, all)` is called with counts of messages. DamagedError: nothing can be proven
        at all, and nothing was written. OSError: it is not finished.
        """
        rows = sorted(rows, key=lambda row: (row.received, row.record))
        proofs = Proofs(self._archive, [row.record for row in rows])
        folder = Folder(self._path)
        exhibits: list[tuple[Row, Exhibit]] = []
        problems: list[NocontactError] = []
        for done, row in enumerate(rows, 1):
            try:
                exhibits.append((row, self._exhibit(row, folder, proofs)))
            except DamagedError as problem:
                problems.append(problem)
            progress(done, len(rows))
        problems += _unproven(exhibits)
        problems += self._anchors(folder, proofs, [exhibit.record for _, exhibit in exhibits])
        problems += self._papers(folder, proofs, exhibits)
        folder.put(SUMS, "".join(_sums(self._path)).encode())
        return tuple(problems)

    def _exhibit(self, row: Row, folder: Folder, proofs: Proofs) -> Exhibit:
        stem = f"proofs/{row.record.replace('/', '-')}"
        names: dict[str, str] = {}
        with folder.whole() as create:

            def into(member: str) -> BinaryIO:
                original = is_original_name(member)
                name = f"originals/{original_name(row.record, member)}" if original else f"{stem}/{member}"
                names[member] = name
                return create(name)

            contents = self._opener.extract(row.record, into)
            proof = proofs.of(row.record, contents)
            if proof:
                with create(f"{stem}.json") as file:
                    file.write(proof)
        return replace(
            _exhibit(row, contents, names, f"{stem}.json" if proof else None, proofs),
            signed=self._signed(contents, names),
        )

    def _signed(self, contents: Contents, names: Mapping[str, str]) -> tuple[str, ...]:
        """What its signatures are worth, checked once more on the very files of the bundle."""
        files = {}
        for member, name in names.items():
            with (self._path / name).open("rb") as file:
                files[member] = file.read(KEPT)
        size = next((member.size for member in contents.members if member.name == MAIL), 0)
        return tuple(checked_again(files, size, contents.meta.sealed))

    def _anchors(self, folder: Folder, proofs: Proofs, records: Sequence[str]) -> Iterator[NocontactError]:
        folder.put("log/checkpoint", proofs.signed.note.encode())
        try:
            for anchor in proofs.anchors(records):
                folder.put(f"log/anchors/{anchor.name}.note", anchor.note)
                folder.put(f"log/anchors/{anchor.name}.json", anchor.extends)
                if anchor.stamp:
                    folder.put(f"log/anchors/{anchor.name}.tsr", anchor.stamp)
        except DamagedError as problem:
            yield problem

    def _papers(
        self, folder: Folder, proofs: Proofs, exhibits: Sequence[tuple[Row, Exhibit]]
    ) -> Iterator[NocontactError]:
        signed = proofs.signed
        program = f"nocontactd {__version__}"
        occasion = Occasion(self._made, self._by, program, signed.checkpoint.origin, signed.key)
        shown = [exhibit for _, exhibit in exhibits]
        log = incidents([row for row, _ in exhibits], [exhibit.file for exhibit in shown])
        folder.put("README.txt", readme(occasion).encode())
        folder.put("custody.txt", custody(occasion, shown).encode())
        folder.put("certificate.txt", certificate(occasion, shown).encode())
        folder.put("incidents.csv", as_csv(log))
        folder.put("manifest.json", _manifest(occasion, exhibits))
        folder.put("check.py", _CHECK.read_bytes())
        words = (
            f"Made {timestamp(self._made)} by {program}. All times are UTC.",
            f"Log: {occasion.origin}. The files named here are in the bundle that this page belongs to.",
        )
        try:
            folder.put("incidents.pdf", pdf("Incident log", words, (incident.lines for incident in log), self._made))
        except NocontactError as problem:
            yield problem


def expect_room(path: Path) -> None:
    """NocontactError: there is something already. OSError: nobody can say."""
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise NocontactError(f"{path}: is not an empty folder; nothing was written", "name a new one")


def _exhibit(row: Row, contents: Contents, names: dict[str, str], proof: str | None, proofs: Proofs) -> Exhibit:
    leaf = proofs.leaf(row.record) if proof else None
    return Exhibit(
        record=row.record,
        received=row.received,
        file=next(file for member, file in names.items() if is_original_name(member)),
        sha256=row.sha256,
        files=tuple(names.items()),
        proof=proof,
        place=leaf.index if leaf else None,
        sealed=contents.sealed,
        meta=contents.meta,
    )


def _unproven(exhibits: Sequence[tuple[Row, Exhibit]]) -> Iterator[NocontactError]:
    for row, exhibit in exhibits:
        if not exhibit.proof:
            why = "no checkpoint is signed for it yet" if row.logged else "it was never acknowledged"
            yield NocontactError(f"{row.record}: is in the bundle without a proof: {why}")


def _manifest(occasion: Occasion, exhibits: Sequence[tuple[Row, Exhibit]]) -> bytes:
    fields = {
        "format": FORMAT,
        "made": timestamp(occasion.made),
        "by": occasion.by,
        "program": occasion.program,
        "origin": occasion.origin,
        "log_key": occasion.key,
        "messages": [
            {
                "record": row.record,
                "received": timestamp(row.received),
                "channel": row.channel,
                "source": row.source,
                "sender": row.sender,
                "subject": row.subject,
                "size": row.size,
                "sha256": row.sha256,
                "reason": row.reason,
                "rule": row.rule,
                "sealed": exhibit.sealed,
                "proof": exhibit.proof,
                "signed": exhibit.signed,
                "files": dict(exhibit.files),
            }
            for row, exhibit in exhibits
        ],
    }
    return json.dumps(fields, indent=1).encode() + b"\n"


def _sums(path: Path) -> Iterator[str]:
    """As sha256sum writes it."""
    for file in sorted(path.rglob("*")):
        if file.is_file():
            yield f"{digest(file)}  {file.relative_to(path).as_posix()}\n"

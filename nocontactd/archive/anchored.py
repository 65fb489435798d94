"""What lies in log/anchors is checked like the rest of the archive: each note's signatures, each time-stamp's note.

What a note signs the log must still begin with; that is for whoever has read the log to say. A stamp
that cannot be checked here, for want of a library, is no fault of the archive.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nocontactd.archive.anchors import FOLDER
from nocontactd.archive.charter import Charter
from nocontactd.archive.history import listed
from nocontactd.archive.log import Checkpoint, read_checkpoint
from nocontactd.archive.regular import octets
from nocontactd.archive.stamp import Authority
from nocontactd.archive.witness import witnesses

UNCHECKED = "time-stamps were not checked: rfc3161-client is not installed (pip install 'nocontactd[evidence]')"

UNTRUSTED = "time-stamps were not checked: the file of certificates to believe (`ca_file`) cannot be used"


@dataclass(slots=True)
class Anchored:
    """What was found. Names are paths inside the archive."""

    checkpoints: dict[str, Checkpoint] = field(default_factory=dict)
    """What each sound note says."""
    damaged: set[str] = field(default_factory=set)
    missing: set[str] = field(default_factory=set)
    remarks: list[str] = field(default_factory=list)


def anchored(archive: Path, laws: Sequence[Charter], ca_file: Path | None) -> Anchored:
    """Check every note and every time-stamp. `ca_file`: whose stamps are believed. PermissionError."""
    found = Anchored()
    stamps = {}
    for path in sorted(listed(archive / FOLDER)):
        name = f"{FOLDER}/{path.name}"
        try:
            data = octets(path)
        except PermissionError:
            raise
        except OSError:
            if path.suffix in (".note", ".tsr"):
                found.damaged.add(name)
            continue
        if path.suffix == ".tsr":
            stamps[path] = data
        elif path.suffix == ".note" and (said := read_note(data, laws)):
            found.checkpoints[name] = said
        elif path.suffix == ".note":
            found.damaged.add(name)
    _examine(stamps, found, ca_file)
    return found


def read_note(note: bytes, laws: Sequence[Charter]) -> Checkpoint | None:
    """What a note says; None: this archive's log did not sign it, or a countersignature is false."""
    for law in laws:
        try:
            said = read_checkpoint(note, law.origin, law.log_keys)
            list(witnesses(note))
        except ValueError:
            continue
        return said
    return None


def _examine(stamps: dict[Path, bytes], found: Anchored, ca_file: Path | None) -> None:
    """Each stamp must be of its note as it stands there."""
    if not stamps:
        return
    try:
        authority = Authority(ca_file)
    except ImportError:
        found.remarks.append(UNCHECKED)
        return
    except (ValueError, OSError):
        found.remarks.append(UNTRUSTED)
        return
    for path, response in stamps.items():
        note, name = path.with_suffix(".note"), f"{FOLDER}/{path.name}"
        try:
            authority.examine(response, octets(note))
        except FileNotFoundError:
            found.missing.add(f"{FOLDER}/{note.name}")
        except PermissionError:
            raise
        except OSError:
            found.damaged.add(f"{FOLDER}/{note.name}")
        except ValueError as problem:
            found.damaged.add(name)
            found.remarks.append(f"{name}: {problem}")

"""Is there an archive at a path? One that lost its archive.json is damaged, not one that was never made."""

from pathlib import Path

from nocontactd.archive import charter
from nocontactd.archive.durable import refusals
from nocontactd.errors import DamagedError, NoKeysError


def expect(path: Path) -> None:
    """An archive stands there. DamagedError: its remains do. NoKeysError: nothing does. SealError: who knows."""
    with refusals(path):
        if any((path / folder / charter.NAME).exists() for folder in (".", "keys/copy")):
            return
        remains = [part for folder in ("mail", "keys") for part in _listed(path / folder) if part != "copy"]
    if remains:
        raise DamagedError(
            f"archive {path}: its archive.json is gone; nothing was sealed or removed",
            "put archive.json back from a backup; without it nobody knows for whom to seal",
        )
    raise NoKeysError(
        f"archive {path}: there are no key holders yet, so nothing can be sealed",
        "run `nocontact keys init`, owner and therapist together",
    )


def _listed(folder: Path) -> list[str]:
    try:
        return [path.name for path in folder.iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []

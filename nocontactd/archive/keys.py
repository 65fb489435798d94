"""An archive is made for its key holders, and day keys for them; nothing is opened here.

Until archive.json is there, and it comes last, there is no archive, and making it can begin anew.
"""

import hashlib
import secrets
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyrage  # type: ignore[import-untyped]  # published without types

from nocontactd.archive import charter, history, pinned, trusted
from nocontactd.archive.charter import Charter
from nocontactd.archive.copies import Copies
from nocontactd.archive.daykeys import DayKeys
from nocontactd.archive.durable import Disk, put, refusals
from nocontactd.archive.holders import Holder, Lock, create, tell_apart
from nocontactd.archive.leaves import Leaves
from nocontactd.archive.log import ORPHAN, Leaf, Signer
from nocontactd.archive.logkey import LogKey
from nocontactd.archive.minted import minted
from nocontactd.archive.readme import README
from nocontactd.errors import SealError

FOLDERS = ("holders", "keys", "keys/copy", "incoming", "mail", "index", "log", "log/copy", "log/anchors")


def make(
    path: Path,
    log_key: Path,
    owner: str,
    therapist: str,
    witness: str | None,
    *,
    unattended: bool,
    now: Callable[[], datetime],
    disk: Disk | None = None,
    entropy: Callable[[int], bytes] = secrets.token_bytes,
    lock: Lock = pyrage.passphrase.encrypt,
    days_ahead: int = 0,
) -> None:
    """Create the archive at `path` for these holders' passphrases, and the log's private key at `log_key`.

    SealError: there is one already, or it cannot be written; nothing was changed.
    CredentialError: a passphrase is empty, or two holders have the same.
    """
    phrases = {"owner": owner, "therapist": therapist} | ({} if witness is None else {"witness": witness})
    tell_apart(phrases.values())
    with refusals(path):
        _clear(path)
    holders = [create(role, phrase, lock) for role, phrase in phrases.items()]
    ceremony = "unattended" if unattended else "attended"
    found(path, log_key, holders, ceremony, now, disk, entropy, days_ahead)


def found(
    path: Path,
    log_key: Path,
    holders: Sequence[Holder],
    ceremony: str,
    now: Callable[[], datetime],
    disk: Disk | None = None,
    entropy: Callable[[int], bytes] = secrets.token_bytes,
    days_ahead: int = 0,
) -> None:
    """Create the archive for holders that are there already. `ceremony`: attended or unattended. SealError."""
    disk, moment = disk or Disk(), now().astimezone(UTC)
    files = {name: data for holder in holders for name, data in holder.files.items()} | {"README.txt": README.encode()}
    with refusals(path):
        _clear(path)
        _lay_out(path, disk, moment)
        law = _law({holder.role: holder.recipient for holder in holders}, moment, entropy, days_ahead)
        signer = LogKey(log_key, disk, entropy).signer(law.origin, moment)
        law = law.signed_by(signer.verifier)
        trusted.trust(log_key, law, disk, moment)
        for name, data in files.items():
            pinned.place(path, name, data, disk, moment)
        _begin_log(path, disk, law, signer, files, ceremony, moment)
        pinned.place(path, charter.NAME, law.dump(), disk, moment)


def mint(owner: str, others: Sequence[str]) -> tuple[str, bytes]:
    """A new day key: its recipient, and its identity locked so that it takes the owner and one of the others."""
    identity = pyrage.x25519.Identity.generate()
    recipient = str(identity.to_public())
    inner = pyrage.encrypt(f"# public key: {recipient}\n{identity}\n".encode(), _recipients([owner]))
    return recipient, wrap(inner, others)


def wrap(inner: bytes, others: Sequence[str]) -> bytes:
    """The outer layer of a day key, of which each of these (age recipients) can take it out again."""
    locked: bytes = pyrage.encrypt(inner, _recipients(others))
    return locked


def add_ahead(archive: Path, law: Charter, leaves: Leaves, disk: Disk, moment: datetime) -> None:
    """Make a key for each day from today on that has none, as far ahead as this archive's law says. Needs the turn."""
    known = {name[:10] for name, _leaf in leaves.day_keys()}
    days = ((moment + timedelta(days=n)).strftime("%Y-%m-%d") for n in range(law.days_ahead))
    missing = [day for day in days if day not in known]
    if missing:
        made = dict(zip(missing, minted(archive, law, len(missing)), strict=True))
        DayKeys(archive, disk).add(made, leaves, moment)


def _clear(path: Path) -> None:
    """Refuse to make an archive over anything but what a ceremony that was broken off has left."""
    if (path / charter.NAME).exists():
        raise SealError(
            f"archive {path}: there is one already; nothing was changed",
            "choose another place under `archive:`; an archive is never replaced",
        )
    ours = {"README.txt", *(folder.split("/")[0] for folder in FOLDERS)}
    there = {entry.name for entry in path.iterdir()} if path.exists() else set()
    if there - ours or any(path.glob("mail/*")) or (_day_keys(path) and not _nothing_sealed(path)):
        raise SealError(
            f"archive {path}: that folder is not empty; nothing was changed",
            "choose an empty one; are these the remains of an archive? then put its archive.json back",
        )


def _day_keys(path: Path) -> list[Path]:
    return [*path.glob("keys/**/*.pub"), *path.glob("keys/**/*.key.age")]


def _nothing_sealed(path: Path) -> bool:
    """By the log no record was ever sealed: these keys were made ahead, and nothing needs them."""
    told: list[Leaf | None] = []
    try:
        history.read(path / "log" / "leaves", (), lambda _index, leaf: told.append(leaf))
    except OSError:
        return False
    return bool(told) and not any(leaf is None or leaf.day for leaf in told)


def _lay_out(path: Path, disk: Disk, moment: datetime) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    for folder in (path, *(path / name for name in FOLDERS)):
        disk.make_folder(folder)
    path.chmod(0o700)
    for old in (*_day_keys(path), path / "log" / "copy" / "leaves", path / "log" / "leaves"):
        disk.remove(old)
    put(disk, b"", path / "log" / "leaves", incoming=path / "incoming", moment=moment)


def _begin_log(
    path: Path, disk: Disk, law: Charter, signer: Signer, files: dict[str, bytes], ceremony: str, moment: datetime
) -> None:
    """Leaf 0 is archive.json and how the ceremony was held; then every other named file, and keys made ahead."""
    first = Leaf(charter.NAME, hashlib.sha256(law.dump()).hexdigest(), f"ceremony:{ceremony}")
    others = [Leaf(name, hashlib.sha256(data).hexdigest(), ORPHAN) for name, data in files.items()]
    leaves = Leaves(path, disk)
    with leaves.turn():
        leaves.append([first, *others], moment)
        add_ahead(path, law, leaves, disk, moment)
        Copies(path, disk).settle(leaves, signer, law.origin, moment)
    leaves.close()


def _law(recipients: dict[str, str], moment: datetime, entropy: Callable[[int], bytes], days_ahead: int) -> Charter:
    origin = f"nocontactd.invalid/{entropy(8).hex()}"
    day = moment.strftime("%Y-%m-%d")
    others = recipients["therapist"], recipients.get("witness")
    return Charter(origin, day, recipients["owner"], *others, (), days_ahead)


def _recipients(written: Sequence[str]) -> list[pyrage.x25519.Recipient]:
    return [pyrage.x25519.Recipient.from_str(one) for one in written]

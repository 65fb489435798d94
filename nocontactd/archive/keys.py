"""Key holders and day keys: made here, locked here, opened nowhere here."""

import hashlib
import secrets
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pyrage  # type: ignore[import-untyped]  # published without types

from nocontactd.archive import charter, pinned
from nocontactd.archive.charter import Charter
from nocontactd.archive.copies import Copies
from nocontactd.archive.durable import Disk, put, refusals
from nocontactd.archive.leaves import Leaves
from nocontactd.archive.log import ORPHAN, Leaf, Signer
from nocontactd.archive.logkey import LogKey
from nocontactd.archive.phrase import normal
from nocontactd.archive.readme import README
from nocontactd.errors import CredentialError, SealError

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
    lock: Callable[[bytes, str], bytes] = pyrage.passphrase.encrypt,
) -> None:
    """Create the archive at `path` for these holders' passphrases, and the log's private key at `log_key`.

    `lock` locks an identity with a passphrase: scrypt, about a second, by pyrage's own choice of work.
    Until archive.json is there, and it comes last, there is no archive, and making it can begin anew.
    SealError: there is one already, or it cannot be written; nothing was changed.
    CredentialError: a passphrase is empty, or two holders have the same.
    """
    given = {"owner": owner, "therapist": therapist} | ({} if witness is None else {"witness": witness})
    phrases = {role: normal(phrase) for role, phrase in given.items()}
    _tell_apart(list(phrases.values()))
    disk, moment = disk or Disk(), now().astimezone(UTC)
    with refusals(path):
        _clear(path)
    holders = {role: pyrage.x25519.Identity.generate() for role in phrases}
    locked = {role: lock(_written(role, holders[role]), phrase) for role, phrase in phrases.items()}
    with refusals(path):
        _lay_out(path, disk, moment)
        law = _law({role: str(holder.to_public()) for role, holder in holders.items()}, moment, entropy)
        signer = LogKey(log_key, disk, entropy).signer(law.origin, moment)
        law = law.signed_by(signer.verifier)
        files = {f"holders/{role}.age": data for role, data in locked.items()} | {"README.txt": README.encode()}
        for name, data in files.items():
            pinned.place(path, name, data, disk, moment)
        _begin_log(path, disk, law, signer, files, "unattended" if unattended else "attended", moment)
        pinned.place(path, charter.NAME, law.dump(), disk, moment)


def mint(owner: str, others: Sequence[str]) -> tuple[str, bytes]:
    """A new day key: its recipient, and its identity locked so that it takes the owner and one of the others."""
    identity = pyrage.x25519.Identity.generate()
    recipient = str(identity.to_public())
    inner = pyrage.encrypt(f"# public key: {recipient}\n{identity}\n".encode(), _recipients([owner]))
    locked: bytes = pyrage.encrypt(inner, _recipients(others))
    return recipient, locked


def words(choice: Callable[[int], int], count: int = 7) -> str:
    """A card: `count` words with a space between, 11 bits each. `choice(n)`: a random number below n."""
    from nocontactd.archive.wordlist import WORDS

    return " ".join(WORDS[choice(len(WORDS))] for _ in range(count))


def _tell_apart(phrases: Sequence[str]) -> None:
    if not all(phrases):
        raise CredentialError("a passphrase is empty; no archive was made", "each holder needs one of their own")
    if len(set(phrases)) < len(phrases):
        raise CredentialError(
            "two holders have the same passphrase; no archive was made",
            "one person could then open alone what is to open for two",
        )


def _clear(path: Path) -> None:
    """Refuse to make an archive over anything but what a ceremony that was broken off has left."""
    if (path / charter.NAME).exists():
        raise SealError(
            f"archive {path}: there is one already; nothing was changed",
            "choose another place under `archive:`; an archive is never replaced",
        )
    ours = {"README.txt", *(folder.split("/")[0] for folder in FOLDERS)}
    there = {entry.name for entry in path.iterdir()} if path.exists() else set()
    sealed = [*path.glob("mail/*"), *path.glob("keys/**/*.pub"), *path.glob("keys/**/*.key.age")]
    if there - ours or sealed:
        raise SealError(
            f"archive {path}: that folder is not empty; nothing was changed",
            "choose an empty one; are these the remains of an archive? then put its archive.json back",
        )


def _lay_out(path: Path, disk: Disk, moment: datetime) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    for folder in (path, *(path / name for name in FOLDERS)):
        disk.make_folder(folder)
    path.chmod(0o700)
    for old in (path / "log" / "copy" / "leaves", path / "log" / "leaves"):
        disk.remove(old)
    put(disk, b"", path / "log" / "leaves", incoming=path / "incoming", moment=moment)


def _begin_log(
    path: Path, disk: Disk, law: Charter, signer: Signer, files: dict[str, bytes], ceremony: str, moment: datetime
) -> None:
    """Leaf 0 is archive.json and how the ceremony was held; then every other named file."""
    first = Leaf(charter.NAME, hashlib.sha256(law.dump()).hexdigest(), f"ceremony:{ceremony}")
    others = [Leaf(name, hashlib.sha256(data).hexdigest(), ORPHAN) for name, data in files.items()]
    leaves = Leaves(path, disk)
    with leaves.turn():
        leaves.append([first, *others], moment)
        Copies(path, disk).settle(leaves, signer, law.origin, moment)
    leaves.close()


def _law(recipients: dict[str, str], moment: datetime, entropy: Callable[[int], bytes]) -> Charter:
    origin = f"nocontactd.invalid/{entropy(8).hex()}"
    day = moment.strftime("%Y-%m-%d")
    return Charter(origin, day, recipients["owner"], recipients["therapist"], recipients.get("witness"), ())


def _written(role: str, identity: pyrage.x25519.Identity) -> bytes:
    return f"# nocontactd: the {role}'s key\n# public key: {identity.to_public()}\n{identity}\n".encode()


def _recipients(written: Sequence[str]) -> list[pyrage.x25519.Recipient]:
    return [pyrage.x25519.Recipient.from_str(one) for one in written]

"""What a verification's findings mean and what to do about them, for people who never saw an archive from inside."""

from collections.abc import Iterator
from pathlib import PurePath

from nocontactd.archive.findings import Verification

LOG = (
    "neither copy of the log can be believed: without it nobody can say which records were altered or are missing; "
    "they still open for two. Put log/ back from a backup, and keep this one as it is for whoever examines it"
)
SIGNATURE = (
    "no signature over the log can be believed, or archive.json, which says whose it must be, is not what it was: "
    "put log/checkpoint and archive.json back from a backup"
)
KEY = "both copies of a day's key are gone: its records do not open without it. Put one back from a backup"
HOLDER = "both copies of a holder's locked key are gone: that person cannot open. Put one back from a backup"
RECORD = "a record has one copy alone: put it back from a backup. The other records are not touched by this"
TWIN = "where one of two copies is sound, `nocontact verify --repair` mends the other, as the daemon does at its start"
EXTRA = "what is extra was put there by something else than nocontactd, which reads none of it"
UNCHANGED = "verifying has changed nothing; nothing was deleted"


def advice(found: Verification) -> Iterator[str]:
    """A sentence for each kind of fault; nothing where all is well."""
    bad = {*found.damaged, *found.missing}
    lost = {name for name in bad if _twin(name) in bad}
    if "log/leaves" in lost:
        yield LOG
    elif lost.intersection(("log/checkpoint", "archive.json")):
        yield SIGNATURE
    if any(name.endswith(".key.age") for name in lost):
        yield KEY
    if any(name.startswith("holders/") for name in lost):
        yield HOLDER
    if any(name.startswith("mail/") for name in bad):
        yield RECORD
    if any(_twin(name) and name not in lost for name in bad) and not found.remarks:
        yield TWIN  # with a remark it is about what is kept elsewhere, which no copy mends
    if found.extra:
        yield EXTRA
    if not found.ok:
        yield UNCHANGED


def _twin(name: str) -> str:
    """Where the other copy lies; "" where there is none, or it cannot be known from the name alone."""
    top, _, file = name.rpartition("/")
    if top in ("keys", "log"):
        return f"{top}/copy/{file}"
    if top == "log/copy" or (top == "keys/copy" and name.endswith((".pub", ".key.age"))):
        return f"{top.removesuffix('/copy')}/{file}"
    if top == "keys/copy":
        return file if PurePath(file).suffix != ".age" else f"holders/{file}"
    return f"keys/copy/{file}" if top in ("", "holders") else ""

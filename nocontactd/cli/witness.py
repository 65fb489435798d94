"""`nocontact keys countersign`: the therapist's device signs for what extends what it has seen, and for nothing else.

Three steps, two machines: the archive's asks (`ask`), the therapist's device signs (`sign`), the
archive's keeps what was signed (`keep`). What travels between them is no secret.
"""

import os
import secrets
import sys
from argparse import ArgumentParser, Namespace
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from nocontactd.archive import charter
from nocontactd.archive.anchored import read_note
from nocontactd.archive.anchors import countersigned, keep, seen
from nocontactd.archive.current import current, leaves_under
from nocontactd.archive.durable import Disk, put, refusals
from nocontactd.archive.history import charters, reading
from nocontactd.archive.witness import Memory, Request, ask, asked, countersign, introduced, remembered, witnesses
from nocontactd.cli import situation
from nocontactd.errors import DamagedError, NocontactError, SealError

HELP = """\
At each session the therapist's own device countersigns the archive's log. It keeps 104 octets and
refuses whatever does not extend what it signed last: so nobody can rewrite or roll back what was
there, not even with the log's own key.

  on the archive's machine:    nocontact keys countersign ask REQUEST
  on the therapist's device:   nocontact keys countersign sign REQUEST ANSWER
  on the archive's machine:    nocontact keys countersign keep ANSWER

Neither file is a secret; any channel will do. The answer is a checkpoint: whoever has it can say
`nocontact verify --checkpoint ANSWER`.
"""
_MOST = 64 * 1024


def describe(parser: ArgumentParser) -> None:
    situation.text(parser, HELP)
    parser.add_argument("step", choices=["ask", "sign", "keep"], help="which of the three steps this is")
    parser.add_argument("file", metavar="FILE", type=Path, help="the request, or for `keep` the answer")
    parser.add_argument("answer", metavar="ANSWER", type=Path, nargs="?", help="sign: where to write the answer")
    parser.add_argument("--since", metavar="N", type=int, help="ask: begin where the device says that it signed last")
    parser.add_argument("--memory", metavar="F", type=Path, help="sign: where the device keeps its 104 octets")
    parser.add_argument("--new-log-key", action="store_true", help="sign: accept that the log has another key now")


def run(args: Namespace) -> int:
    return {"ask": _ask, "sign": _sign, "keep": _keep}[args.step](args)


def _ask(args: Namespace) -> int:
    archive = situation.load(args).config.archive
    with reading(archive):
        now = current(archive)
        since = seen(archive) if args.since is None else args.since
        if since > now.checkpoint.size:
            raise DamagedError(
                f"archive {archive}: its log is shorter than what was countersigned; nothing was asked",
                "it is an older copy: look for the newer one, and run `nocontact verify`",
            )
        request = ask(leaves_under(archive, now.checkpoint), since, now.log_key, now.note)
    args.file.write_bytes(request.dump())
    print(f"take {args.file} to the therapist's device, and there: nocontact keys countersign sign {args.file} ANSWER")
    return 0


def _sign(args: Namespace) -> int:
    if args.answer is None:
        raise NocontactError("where the answer is to be written was not said; nothing was countersigned")
    request = _request(args.file)
    place = args.memory or _place(request.log_key)
    memory = _remembered(place)
    first = memory is None
    memory = memory or introduced(secrets.token_bytes(32), request.log_key)
    if args.new_log_key:
        memory = replace(memory, log=introduced(memory.seed, request.log_key).log)
    later, answer = countersign(memory, request, situation.now())
    _remember(place, later)
    args.answer.write_bytes(answer)
    if first:
        print(f"this device had not seen this archive before; what it keeps of it is in {place}", file=sys.stderr)
    print(f"countersigned; take {args.answer} back: nocontact keys countersign keep {args.answer}")
    return 0


def _request(file: Path) -> Request:
    with file.open("rb") as stream:
        data = stream.read(_MOST)
    try:
        return asked(data)
    except ValueError:
        raise NocontactError(f"{file}: this is no request for a countersignature; nothing was countersigned") from None


def _place(log_key: str) -> Path:
    """Of one archive: a therapist may be witness to several."""
    home = os.environ.get("XDG_STATE_HOME") or Path("~/.local/state").expanduser()
    name = log_key.split("+")[0].rsplit("/", 1)[-1]
    return Path(home) / "nocontactd" / f"witness-{sha256(name.encode()).hexdigest()[:16]}"


def _remembered(place: Path) -> Memory | None:
    try:
        return remembered(place.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError:
        raise DamagedError(
            f"{place}: this is not what a device keeps of an archive; nothing was countersigned",
            "put it back from a backup; without it this device knows nothing of what it has seen",
        ) from None


def _remember(place: Path, memory: Memory) -> None:
    """Durable, before anything is signed for. SealError."""
    with refusals(place.parent, "folder"):
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        put(Disk(), memory.dump(), place, incoming=place.parent, moment=situation.now())


def _keep(args: Namespace) -> int:
    archive = situation.load(args).config.archive
    with args.file.open("rb") as stream:
        note = stream.read(_MOST)
    with reading(archive, SealError):
        laws = [charter.parse(data) for data in charters(archive)]
    if read_note(note, laws) is None or not any(witnesses(note)):
        raise NocontactError(
            f"{args.file}: this is no countersigned checkpoint of this archive; nothing was kept",
            "give the file that the therapist's device wrote",
        )
    keep(archive, {countersigned(note): note}, situation.now())
    print("kept; `nocontact verify` holds the archive against it from now on")
    return 0

"""The papers of a bundle that people read and sign: what it is, who had it, and a draft for the court. Pure.

They say what the program did and leave a blank for whatever only a person can know. Texts of a
sender appear nowhere in them.
"""

from collections.abc import Iterable
from datetime import datetime

from nocontactd.archive.format import Meta
from nocontactd.export.occasion import Exhibit, Occasion
from nocontactd.review.rows import timestamp
from nocontactd.review.visible import visible

_RULE = "-" * 78


def readme(occasion: Occasion) -> str:
    """What lies in the bundle, and how to check it."""
    return f"""\
EVIDENCE FROM A SEALED ARCHIVE

Made {timestamp(occasion.made)} by {occasion.program}, from the archive whose log
is named {occasion.origin}. It was opened by {occasion.by}.

What is here
  originals/        each message, octet for octet as the provider handed it over
  proofs/           of each message: DAY-NNNNNN.json, which proves it; and in the folder
                    DAY-NNNNNN what was recorded when it was sealed (meta.json; auth.json: whose
                    signatures it bore; dns/: the DNS answers with the keys of these)
  incidents.csv     one line a message: when, by which way, what
  incidents.pdf     the same on paper (not there where the PDF library was missing)
  custody.txt       where each message stood, when it was sealed, and who had it since
  certificate.txt   a draft under FRE 902(13) and (14), to be completed by a qualified person
  manifest.json     the same for programs
  log/checkpoint    the signature over the archive's log; log/anchors: earlier ones that were
                    shown to somebody outside, with their time-stamps, where there are any
  SHA256SUMS        the SHA-256 of each of these files
  check.py          checks all of this

How to check it, on any computer with Python 3.9 and openssl (no key, no network, nothing installed)
  sha256sum -c SHA256SUMS
  python3 -I check.py
  python3 -I check.py proofs/DAY-NNNNNN.json originals/DAY-NNNNNN.eml      one message alone
Compare the key that it prints with one that you have from elsewhere:
  {occasion.key}

What it proves: these messages, with what was recorded at their arrival, stand at these places in a
log that the holder of that key signed, and not one octet was changed since. With a time-stamp: that
they stood there before that time. What it does not prove: who wrote them; that nothing was taken
out before it was sealed; that there were no other messages. Other messages are not in here, and
nothing here opens them.
"""


def custody(occasion: Occasion, exhibits: Iterable[Exhibit]) -> str:
    """Each message from the provider to this bundle, and blanks for everybody who has it after."""
    lines = [
        "CHAIN OF CUSTODY",
        "",
        "All times are UTC. Each message was copied octet for octet from the provider by an unattended program,",
        "sealed at once to a key that the program does not have, entered in an append-only log, and then removed",
        "from the provider. It takes two key holders to open it, and each opening is an entry of the log.",
        "",
    ]
    for exhibit in exhibits:
        lines += [_RULE, *_handed(exhibit)]
    lines += [
        _RULE,
        f"{timestamp(occasion.made)}  written to this bundle by {occasion.program}, opened by {occasion.by}",
        "",
        "From here on:",
        "",
        f"{'date and time':22}{'handed over by (name, signature)':38}received by (name, signature)",
        *(["", f"{'_' * 18}    {'_' * 34}    {'_' * 34}"] * 6),
        "",
    ]
    return "\n".join(lines)


def certificate(occasion: Occasion, exhibits: Iterable[Exhibit]) -> str:
    """A draft; the blanks are for the person who certifies."""
    files = "\n".join(f"  {exhibit.sha256}  {exhibit.file}" for exhibit in exhibits)
    return _CERTIFICATE.format(
        program=occasion.program,
        origin=occasion.origin,
        key=occasion.key,
        made=timestamp(occasion.made),
        by=occasion.by,
        files=files,
    )


def _handed(exhibit: Exhibit) -> Iterable[str]:
    meta = exhibit.meta
    yield f"record            {exhibit.record}"
    yield f"file              {exhibit.file}"
    yield f"sha256            {exhibit.sha256}"
    if meta.envelope:
        ref = meta.envelope.ref
        where = f"folder {ref.folder}, UIDVALIDITY {ref.uidvalidity}, UID {ref.uid}" if ref.folder else f"SID {ref.uid}"
        yield visible(f"stood at          {ref.source}: {where}")
        yield f"arrived there     {timestamp(exhibit.received)}  (as the provider says)"
    yield f"sealed            {_time(meta)}  by nocontactd {visible(meta.daemon)}"
    for name, value in meta.facts:
        yield visible(f"  {name:16}{value}", 500)
    for line in exhibit.signed:
        yield visible(f"signed by         {line}", 500)
    place = "not in the log as acknowledged: no proof" if exhibit.place is None else f"entry {exhibit.place} of the log"
    yield f"logged            {place}"
    yield f"sealed file       sha256 {exhibit.sealed}"


def _time(meta: Meta) -> str:
    moment: datetime = meta.sealed
    return timestamp(moment)


_CERTIFICATE = """\
DRAFT, NOT LEGAL ADVICE: to be read, corrected, completed and signed by a qualified person,
with the advice of counsel. What stands in brackets only that person can state.

CERTIFICATION OF RECORDS GENERATED BY AN ELECTRONIC PROCESS OR SYSTEM
AND OF DATA COPIED FROM AN ELECTRONIC DEVICE, STORAGE MEDIUM OR FILE
(Federal Rules of Evidence 902(13) and 902(14))

Case: [______________________________]        Court: [______________________________]

1. I, [name], am [occupation, employer]. My qualification to make this certification is:
   [training and experience with the system described below] ______________________________

2. The process. The program {program} ran unattended on [machine, place, operated by].
   It read the mailboxes and telephone numbers that its owner named [over TLS with verified
   certificates]. Each message from a listed sender was copied octet for octet, sealed, read back
   and compared by SHA-256, entered in an append-only log (a Merkle tree after RFC 6962 with
   signed checkpoints), and only then removed from the provider. The program holds no key that
   opens what it sealed. An entry that was altered after a checkpoint was signed does not agree
   with that checkpoint; [such a checkpoint was kept by (whom, where), or time-stamped].

3. The system produces an accurate result. I base this on: [inspection of the system; its
   published tests; `nocontact verify` run on (date) with the result (result)] ______________

4. The copies. On {made} the archive whose log is named
   {origin}
   was opened by {by}, and the files listed below were copied from it.
   The SHA-256 of each was compared with the hash that was sealed with it at its arrival; they
   are the same. A file with the same SHA-256 is an exact duplicate.

5. Each entry can be checked by anybody with the program check.py of this bundle, Python and
   openssl, against the log key
   {key}

6. The records were [made at or near the time by the process described; kept in the course of
   a regularly conducted activity; made as a regular practice] (where Rule 902(11) is relied on).

I certify under penalty of perjury under the laws of [jurisdiction] that the foregoing is true
and correct.

Date: [________________]   Place: [________________]   Signature: [______________________]

Reasonable written notice, and the record and this certification for inspection, must be given
to an adverse party before the trial or hearing (Rule 902(11)).

Files:
{files}
"""

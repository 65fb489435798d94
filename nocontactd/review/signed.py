"""The signatures of a sealed mail checked once more, with the DNS answers that were sealed with it, and in words.

No network is used: the key is the one that the DNS gave at arrival, whatever it gives today.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from io import BytesIO
from typing import BinaryIO

from nocontactd.archive.examined import KEPT, MAIL, read_findings
from nocontactd.archive.format import AUTH, DNS
from nocontactd.archive.unseal import Opener
from nocontactd.examiner import examine_again, installed
from nocontactd.signatures import PART, UNCHECKED, Finding

_BODY = {PART: "; only the beginning of its text is signed", UNCHECKED: "; its text was not checked"}


def signed(opener: Opener, record: str) -> Iterator[str]:
    """A line for each signature of a record's mail that was checked at arrival. DamagedError, NocontactError."""
    held: dict[str, _Held] = {}

    def into(name: str) -> BinaryIO | None:
        if name in (MAIL, AUTH) or name.startswith(DNS):
            held[name] = _Held()
        return held.get(name)

    contents = opener.extract(record, into)
    size = next((member.size for member in contents.members if member.name == MAIL), 0)
    files = {name: file.octets for name, file in held.items()}
    yield from checked_again(files, size, contents.meta.sealed)


def checked_again(files: Mapping[str, bytes], size: int, sealed: datetime) -> Iterator[str]:
    """The same of files by their names in the record: the beginning of message.eml, auth.json, dns/N.wire."""
    try:
        findings = read_findings(files.get(AUTH, b""))
    except ValueError:
        yield "what was sealed of its signatures cannot be read"
        return
    if findings and not installed():
        again: Sequence[Finding] | None = None
    else:
        again = examine_again(files.get(MAIL, b""), size, findings, files, sealed) if findings else ()
    for finding in findings:
        yield _line(finding, again)


def _line(finding: Finding, again: Sequence[Finding] | None) -> str:
    why = f" ({finding.why})" if finding.why else ""
    at_arrival = f"{finding.signature.domain}: {finding.result}{why} at arrival{_BODY.get(finding.body, '')}"
    if finding.answer is None:
        return f"{at_arrival}; no key was kept"
    if again is None:
        return f"{at_arrival}; not checked again: pip install 'nocontactd[evidence]'"
    same = any(
        (other.signature, other.result, other.body) == (finding.signature, finding.result, finding.body)
        for other in again
    )
    told = "checked again with the key as it was then: the same" if same else "CHECKED AGAIN: IT IS NOT THE SAME"
    return f"{at_arrival}; {told}"


class _Held(BytesIO):
    """The beginning of a file, which outlives its closing."""

    octets = b""

    def write(self, data: bytes, /) -> int:  # type: ignore[override]  # only bytes come
        super().write(data[: max(0, KEPT - self.tell())])
        return len(data)

    def close(self) -> None:
        self.octets = self.octets or self.getvalue()
        super().close()

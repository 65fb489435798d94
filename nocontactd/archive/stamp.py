"""A time-stamp by an authority outside (RFC 3161), asked for in a process that ends with it, and checked as any other.

The daemon starts it (`python -m nocontactd.archive.stamp URL [CA_FILE]`, the note on standard input), so
that an authority that never answers holds up nothing, and its libraries cost the daemon no memory. The
only file that knows rfc3161-client, which is behind the extra `evidence`.
"""

import hashlib
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from nocontactd.errors import SourceError

if TYPE_CHECKING:
    from cryptography.x509 import Certificate, Name
    from rfc3161_client import SignedData

_PATIENCE = 60.0
"""Seconds for one time-stamp, with everything."""
_SILENCE = 20.0
"""Seconds for one answer of the network."""
_MOST = 256 * 1024
"""Octets of a response; they have a few thousand."""
_GRANTED = 0
_MISSING = "rfc3161-client is not installed: pip install 'nocontactd[evidence]'"
_AGAIN = "it is tried again every hour; `openssl s_client` or curl show more of what the authority says"


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a sound time-stamp says: at this moment these octets were there."""

    moment: datetime
    """UTC."""


def stamped(note: bytes, url: str, ca_file: Path | None) -> bytes:
    """The authority's response for these octets, checked. SourceError: there is none now."""
    command = [sys.executable, "-m", "nocontactd.archive.stamp", url, *([str(ca_file)] if ca_file else [])]
    try:
        child = subprocess.run(
            command,
            input=note,
            capture_output=True,
            cwd=Path(__file__).parents[2],  # where -m looks first: this very package
            timeout=_PATIENCE,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        raise SourceError("time-stamp: the authority does not come to an end of its answer", _AGAIN) from None
    if child.returncode:
        said = child.stderr.decode("utf-8", "replace").strip().splitlines()
        raise SourceError(f"time-stamp: {said[-1] if said else 'the process that asks for it was ended'}", _AGAIN)
    return child.stdout


class Authority:
    """Whom to believe: the certificates in a file, else those that this system trusts."""

    def __init__(self, ca_file: Path | None) -> None:
        """ImportError: rfc3161-client is not installed. ValueError, OSError: `ca_file` cannot be used."""
        import rfc3161_client
        from cryptography import x509

        self._library, self._x509 = rfc3161_client, x509
        self._trusted: dict[Name, list[Certificate]] = {}
        for certificate in _trusted(ca_file):
            self._trusted.setdefault(certificate.subject, []).append(certificate)

    def examine(self, response: bytes, note: bytes, nonce: int | None = None) -> Stamp:
        """What a response says of these octets. ValueError: nothing, and why."""
        try:
            found = self._library.decode_timestamp_response(_in_order(response))
        except ValueError:
            raise ValueError("it is no time-stamp") from None
        if found.status != _GRANTED:
            raise ValueError("the authority refused to make a time-stamp")
        hashed = hashlib.sha256(note).digest()
        if found.tst_info.message_imprint.message != hashed:
            raise ValueError("it is about something else")
        if nonce not in (None, found.tst_info.nonce):
            raise ValueError("it answers another request")
        try:
            roots = self._above(found.signed_data)
            self._library.VerifierBuilder(roots=roots).build().verify(found, hashed)
        except (self._library.VerificationError, ValueError, self._x509.InvalidVersion):
            raise ValueError("it is signed by nobody who is trusted here") from None
        return Stamp(found.tst_info.gen_time)

    def _above(self, signed: "SignedData") -> "list[Certificate]":
        """Those whom to trust that can be above this signature; with all of a system's it takes ten times as long.

        ValueError, InvalidVersion: its certificates cannot be read.
        """
        names = [self._x509.load_der_x509_certificate(der).issuer for der in signed.certificates]
        found: dict[Name, list[Certificate]] = {}
        while names:
            name = names.pop()
            if name in self._trusted and name not in found:
                found[name] = self._trusted[name]
                names += [certificate.issuer for certificate in found[name]]
        return [certificate for certificates in found.values() for certificate in certificates]


def _trusted(ca_file: Path | None) -> "list[Certificate]":
    """ValueError, OSError."""
    import ssl
    import warnings

    from cryptography import x509

    if ca_file:
        try:
            return x509.load_pem_x509_certificates(ca_file.read_bytes())
        except ValueError:
            raise ValueError("`ca_file` holds no certificates") from None
    found = []
    with warnings.catch_warnings(action="ignore"):  # an old root with a serial number of zero is in every system
        for der in ssl.create_default_context().get_ca_certs(binary_form=True):
            with suppress(ValueError):
                found.append(x509.load_der_x509_certificate(der))
    return found


def _in_order(response: bytes) -> bytes:
    """The same, with its certificates in the order of DER, which the library wants and openssl's own authority lacks.

    No signature covers that order. What is not DER stays as it is.
    """
    try:
        at = 0
        for skipped in (1, 1, 0, 3):  # into the response, its token, that one's content, the SignedData in it
            at = _element(response, at)[0]
            for _sibling in range(skipped):
                at = _element(response, at)[1]
        start, end = _element(response, at)
        at, certificates = start, []
        while at < end:
            certificates.append(response[at : (at := _element(response, at)[1])])
    except IndexError:
        return response
    return response[:start] + b"".join(sorted(certificates)) + response[end:]


def _element(der: bytes, at: int) -> tuple[int, int]:
    """Where the content of the element at `at` begins and ends (X.690, 8.1). IndexError: there is none."""
    length, start = der[at + 1], at + 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(der[at + 2 : start], "big")
    if start + length > len(der):
        raise IndexError("it goes on behind the end")
    return start, start + length


def _ask(note: bytes, url: str, ca_file: Path | None) -> bytes:
    """One request. ValueError, OSError, HTTPException, ImportError."""
    from urllib.request import Request, urlopen

    from rfc3161_client import HashAlgorithm, TimestampRequestBuilder

    wanted = TimestampRequestBuilder().data(note).hash_algorithm(HashAlgorithm.SHA256).build()
    headers = {"Content-Type": "application/timestamp-query", "User-Agent": "nocontactd"}
    request = Request(url, wanted.as_bytes(), headers)
    with urlopen(request, timeout=_SILENCE) as answer:
        response: bytes = answer.read(_MOST)
    Authority(ca_file).examine(response, note, wanted.nonce)
    return response


def main(arguments: Sequence[str]) -> int:
    """Ask for one time-stamp; the reason why there is none goes to standard error, without any value."""
    from http.client import HTTPException
    from urllib.error import HTTPError

    url, *ca_file = arguments
    try:
        response = _ask(sys.stdin.buffer.read(), url, Path(ca_file[0]) if ca_file else None)
    except ImportError:
        reason = _MISSING
    except HTTPError as problem:
        reason = f"the authority answered with status {problem.code}"
    except ValueError as problem:
        reason = f"the answer is no good: {problem}"
    except (OSError, HTTPException) as problem:
        reason = f"the authority cannot be reached, or `ca_file` not be read ({type(problem).__name__})"
    else:
        sys.stdout.buffer.write(response)
        return 0
    sys.stderr.write(f"{reason}\n")
    return 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

"""A certificate authority for a test, made with the openssl program."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.peers import missing


@dataclass(frozen=True)
class Certificate:
    """PEM files."""

    authority: Path
    chain: Path
    key: Path


def certify(folder: Path, names: str = "DNS:localhost,IP:127.0.0.1") -> Certificate:
    """Make an authority, and a certificate by it for these names (as in subjectAltName)."""
    if shutil.which("openssl") is None:
        missing("openssl is not installed")
    folder.mkdir(parents=True, exist_ok=True)
    found = Certificate(folder / "authority.pem", folder / "server.pem", folder / "server.key")
    (folder / "names").write_text(f"subjectAltName={names}\nbasicConstraints=CA:FALSE\n")
    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    _openssl(
        folder,
        "req",
        "-x509",
        *new,
        "-keyout",
        "authority.key",
        "-out",
        "authority.pem",
        "-days",
        "2",
        "-subj",
        "/CN=an authority of the tests",
        "-addext",
        "keyUsage=critical,keyCertSign",
    )
    _openssl(folder, "req", *new, "-keyout", "server.key", "-out", "request.pem", "-subj", "/CN=a server of the tests")
    _openssl(
        folder,
        "x509",
        "-req",
        "-in",
        "request.pem",
        "-CA",
        "authority.pem",
        "-CAkey",
        "authority.key",
        "-CAcreateserial",
        "-extfile",
        "names",
        "-days",
        "2",
        "-out",
        "server.pem",
    )
    found.key.chmod(0o644)  # Dovecot may run as somebody else
    return found


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

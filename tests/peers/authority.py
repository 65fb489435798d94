"""A certificate authority for a test, made with the openssl program, and certificates that no authority made."""

import shutil
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

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


def self_signed(folder: Path, names: str = "localhost", valid: tuple[int, int] = (-1, 2)) -> Certificate:
    """Make a certificate that only itself vouches for; `valid`: from and until so many days from now."""
    folder.mkdir(parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a server of the tests")])
    since, until = (datetime.now(UTC) + timedelta(days=days) for days in valid)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), since, until)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(names)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, SHA256())
    )
    found = Certificate(folder / "server.pem", folder / "server.pem", folder / "server.key")
    found.chain.write_bytes(made.public_bytes(Encoding.PEM))
    found.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return found


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

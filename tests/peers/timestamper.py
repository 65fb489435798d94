"""A time-stamping authority for a test, made with the openssl program, which answers over HTTP on loopback."""

import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.peers import missing

CONFIG = """\
[tsa]
default_tsa = authority
[authority]
serial = serial
signer_cert = signer.pem
signer_key = signer.key
default_policy = 1.2.3.4.1
digests = sha256
signer_digest = sha256
ess_cert_id_alg = sha256
accuracy = secs:1
ordering = no
tsa_name = no
"""


@dataclass
class Timestamper:
    """What it has made, and how it behaves."""

    folder: Path
    root: Path
    """PEM: the certificate to trust."""
    url: str = ""
    asked: list[bytes] = field(default_factory=list)
    """Every request that came."""
    answer: bytes | None = None
    """Given instead of a stamp, if set."""
    status: int = 200

    def reply(self, request: bytes) -> bytes:
        """The response to one request, made by `openssl ts -reply`."""
        with threading.Lock():
            (self.folder / "request.tsq").write_bytes(request)
            _openssl(
                self.folder, "ts", "-reply", "-config", "tsa.cnf", "-queryfile", "request.tsq", "-out", "reply.tsr"
            )
            return (self.folder / "reply.tsr").read_bytes()


def make(folder: Path, days: str = "3650") -> Timestamper:
    """A root, and a signer by it that may stamp and nothing else (RFC 3161, 2.3)."""
    if shutil.which("openssl") is None:
        missing("openssl is not installed")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tsa.cnf").write_text(CONFIG)
    (folder / "serial").write_text("01\n")
    (folder / "may").write_text("extendedKeyUsage=critical,timeStamping\nbasicConstraints=CA:FALSE\n")
    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    root = ["-days", days, "-subj", "/CN=a root of the tests", "-addext", "keyUsage=critical,keyCertSign"]
    _openssl(folder, "req", "-x509", *new, "-keyout", "root.key", "-out", "root.pem", *root)
    _openssl(folder, "req", *new, "-keyout", "signer.key", "-out", "asked.pem", "-subj", "/CN=a clock of the tests")
    signed = ["-CA", "root.pem", "-CAkey", "root.key", "-CAcreateserial", "-extfile", "may", "-days", days]
    _openssl(folder, "x509", "-req", "-in", "asked.pem", *signed, "-out", "signer.pem")
    return Timestamper(folder, folder / "root.pem")


@contextmanager
def serving(authority: Timestamper) -> Iterator[Timestamper]:
    """It answers at `url` until the context is left."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = self.rfile.read(int(self.headers["Content-Length"]))
            authority.asked.append(request)
            body = authority.reply(request) if authority.answer is None else authority.answer
            self.send_response(authority.status)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    authority.url = f"http://127.0.0.1:{server.server_port}/tsr"
    try:
        yield authority
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

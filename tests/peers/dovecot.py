"""A private Dovecot in a folder of its own: any user may start one, and nothing of the system's is touched."""

import ctypes
import grp
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.peers import missing

USER, PASSWORD = "me@home.example", 'a"secret"of\\many-käräktêrs'

LIBEXEC = ("/usr/lib/dovecot", "/usr/libexec/dovecot")

CONFIG = """\
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
protocols = {protocols}
listen = 127.0.0.1
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
first_valid_uid = 0
first_valid_gid = 0
auth_failure_delay = 0
auth_mechanisms = {mechanisms}
disable_plaintext_auth = no
mail_location = {location}
mail_fsync = never
lock_method = fcntl
{ssl}
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={folder}/home/%u
}}
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service imap-login {{
  chroot =
  service_count = 0
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = {tls_port}
  }}
}}
service stats {{
  chroot =
}}
namespace inbox {{
  inbox = yes
  prefix = {prefix}
  separator = {separator}
  mailbox Sent {{
    special_use = \\Sent
    auto = create
  }}
  mailbox Entwurf {{
    special_use = \\Drafts
    auto = create
  }}
  mailbox Trash {{
    special_use = \\Trash
    auto = create
  }}
  mailbox Junk {{
    special_use = \\Junk
    auto = create
  }}
}}
{sieve}
protocol imap {{
  imap_capability = {capability}
  mail_max_userip_connections = 500
}}
"""

SIEVE = """\
service managesieve-login {{
  chroot =
  inet_listener sieve {{
    port = {sieve_port}
  }}
}}
service lmtp {{
  chroot =
  inet_listener lmtp {{
    port = {lmtp_port}
  }}
}}
protocol lmtp {{
  mail_plugins = sieve
}}
protocol lda {{
  mail_plugins = sieve
}}
{capability}
plugin {{
  sieve = file:~/sieve;active=~/.dovecot.sieve
  {sieve_settings}
}}
"""


@dataclass(frozen=True)
class Dovecot:
    """A running server; every user name is a mailbox of its own, with this password."""

    folder: Path
    port: int
    tls_port: int
    sieve_port: int = 0
    lmtp_port: int = 0
    user: str = USER
    password: str = PASSWORD
    host: str = "127.0.0.1"

    def hand_over(self, user: str, octets: bytes, sender: str = "bounce@relay.example") -> None:
        """Deliver by dovecot-lda, which writes no Return-Path."""
        command = [_lda(), "-c", f"{self.folder}/dovecot.conf", "-d", user, "-f", sender]
        subprocess.run(command, input=octets, capture_output=True, check=True)

    def log(self) -> str:
        """What it has logged so far."""
        return (self.folder / "log").read_text()


@contextmanager
def dovecot(
    *,
    location: str = "maildir:~/Maildir",
    prefix: str = "",
    separator: str = "/",
    capability: str = "",
    certificate: tuple[Path, Path] | None = None,
    sieve: bool = False,
    sieve_capability: str = "",
    sieve_settings: str = "",
    password: str = PASSWORD,
    mechanisms: str = "plain login",
) -> Iterator[Dovecot]:
    """Start one (0.1 s), and stop it in the end. `capability`: what it says instead of the truth.

    `certificate`: PEM files of the certificate and its key; without them there is no TLS.
    `sieve`: with ManageSieve, and delivery over LMTP and by dovecot-lda by the owner's script.
    """
    program = _program()
    # It serves no mailbox as root, so a root's server runs as nobody, in a folder that nobody can reach.
    account = pwd.getpwnam("nobody") if os.getuid() == 0 else pwd.getpwuid(os.getuid())
    with tempfile.TemporaryDirectory(prefix="dovecot-") as name:
        server = Dovecot(Path(name), free_port(), free_port(), free_port(), free_port(), password=password)
        ssl = "ssl = no"
        if certificate:
            for file in certificate:
                shutil.copy(file, server.folder)
            ssl = f"ssl = yes\nssl_cert = <{name}/{certificate[0].name}\nssl_key = <{name}/{certificate[1].name}"
        settings = CONFIG.format(
            folder=name,
            user=account.pw_name,
            group=grp.getgrgid(account.pw_gid).gr_name,
            uid=account.pw_uid,
            gid=account.pw_gid,
            location=location,
            prefix=prefix,
            separator=separator,
            capability=capability,
            ssl=ssl,
            port=server.port,
            tls_port=server.tls_port if certificate else 0,
            password=password,
            mechanisms=mechanisms,
            protocols="imap sieve lmtp" if sieve else "imap",
            sieve=_sieve(server, sieve_capability, sieve_settings) if sieve else "",
        )
        (server.folder / "dovecot.conf").write_text(settings)
        for path in (server.folder, *server.folder.iterdir()):
            os.chown(path, account.pw_uid, account.pw_gid)
        with _running([program, "-F", "-c", f"{name}/dovecot.conf"], server, account.pw_uid, account.pw_gid):
            yield server


@contextmanager
def _running(command: list[str], server: Dovecot, uid: int, gid: int) -> Iterator[None]:
    as_whom = {"user": uid, "group": gid, "extra_groups": []} if os.getuid() == 0 else {}
    with (server.folder / "said").open("wb") as said:
        process = subprocess.Popen(
            command, stdout=said, stderr=said, start_new_session=True, preexec_fn=_end_with_parent, **as_whom
        )
    try:
        _wait_for(server, process)
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # its own session, so none but its own; a SIGTERM takes it over a second
        process.wait(10)


def _sieve(server: Dovecot, capability: str, settings: str) -> str:
    if not any((Path(home) / "managesieve").exists() and (Path(home) / "lmtp").exists() for home in LIBEXEC):
        missing("Pigeonhole is not installed (Debian: dovecot-sieve, dovecot-managesieved, dovecot-lmtpd)")
    said = f"protocol sieve {{\n  managesieve_sieve_capability = {capability}\n}}" if capability else ""
    ports = {"sieve_port": server.sieve_port, "lmtp_port": server.lmtp_port}
    return SIEVE.format(**ports, capability=said, sieve_settings=settings)


def _lda() -> str:
    return next(str(path) for home in LIBEXEC if (path := Path(home) / "dovecot-lda").exists())


def _end_with_parent() -> None:
    """A test run that is killed takes its servers along."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def free_port() -> int:
    """A port on loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _program() -> str:
    program = shutil.which("dovecot", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if program is None:
        missing("dovecot is not installed (Debian: dovecot-imapd)")
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    if not version.startswith("2.3."):
        missing(f"Dovecot 2.3 is wanted, its configuration has changed since; there is {version.split()[0]}")
    return program


def _wait_for(server: Dovecot, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with socket.create_connection((server.host, server.port), 5) as probe:
                if probe.recv(4) == b"* OK":
                    return
        except OSError:
            time.sleep(0.01)
    said = "".join(path.read_text() for name in ("said", "log") if (path := server.folder / name).exists())
    raise RuntimeError(f"Dovecot did not start: {said[-2000:]}")

"""A source's secret, by the first way that is there. Every failure is a CredentialError that lists the ways.

A way that is written in the configuration and fails is an error at once: falling through to
another would log in with something that the owner did not choose. Nothing that a command or a
keyring says besides the secret is read: it may quote what was asked. The keyring is asked in a
process of its own, under a time limit: on a machine without a desktop its backends hang on a
prompt, raise whatever they please, and cost the daemon 15 MB.
"""

import json
import os
import select
import shlex
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import NoReturn, Protocol

from nocontactd.errors import CredentialError

SERVICE = "nocontactd"
"""In the keyring; the name of an item is the source's."""
MAX_OCTETS = 64 * 1024
"""OAuth tokens reach a few thousand."""


class Ways(Protocol):
    """What the configuration says of one secret: at most one of these."""

    @property
    def file(self) -> Path | None: ...
    @property
    def command(self) -> str | None: ...
    @property
    def token_command(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds that others are given to answer."""

    command: float = 60.0
    keyring: float = 10.0


def secret(
    source: str,
    user: str,
    ways: Ways,
    *,
    environment: Mapping[str, str],
    prompt: Callable[[str], str] | None = None,
    patience: Patience = Patience(),
) -> str:
    """The password, key or token of a source; `prompt` (a question to its answer) is the last way of all.

    With `token_command` it is what that prints and nothing else: a password is not a token. Else
    a systemd credential named for the source comes first, then password_file or
    password_command, then the keyring. CredentialError: there is none, or it cannot be had.
    """
    if ways.token_command:
        return _printed(source, "token_command", ways.token_command, environment, patience)
    loaded = credential(source, environment)
    if loaded is not None:
        return loaded
    if ways.file:
        return _read(source, "password_file", ways.file, guarded=True)
    if ways.command:
        return _printed(source, "password_command", ways.command, environment, patience)
    try:
        return _in_keyring(source, environment, patience)
    except CredentialError:
        if prompt is None:
            raise
    return _one_line(source, "the answer", prompt(f"secret of {source} ({user}): ").encode(errors="surrogateescape"))


def store(
    source: str,
    secret: str,
    *,
    environment: Mapping[str, str],
    patience: Patience = Patience(),
) -> None:
    """Keep a secret in the keyring. CredentialError: it was not kept, or is not what was given."""
    _one_line(source, "the secret given", secret.encode(errors="surrogatepass"))
    _ask_keyring(source, {"secret": secret}, environment, patience)
    if _ask_keyring(source, {}, environment, patience) != secret:
        _fail(source, "the keyring took the secret and did not keep it")


def kept(source: str, environment: Mapping[str, str], patience: Patience = Patience()) -> str | None:
    """What the keyring has for a source, None where it has nothing. CredentialError: it cannot be asked."""
    return _ask_keyring(source, {}, environment, patience)


def log_in_again(source: str) -> str:
    """The hint where a login has to be made anew."""
    return f"nocontact login {shlex.quote(source)}"


def answer() -> None:
    """The other process: what the keyring says to the question on standard input, as JSON."""
    import keyring

    asked = json.load(sys.stdin)
    backend = keyring.get_keyring()
    if "secret" in asked:
        backend.set_password(SERVICE, asked["source"], asked["secret"])
    found = backend.get_password(SERVICE, asked["source"])
    forgets = type(backend).__module__ == "keyring.backends.null"  # it takes what it is given, and says nothing
    json.dump({"forgets": forgets, "secret": found}, sys.stdout)


def credential(source: str, environment: Mapping[str, str]) -> str | None:
    """What systemd gives this service for a source, None where it gives nothing. CredentialError: it is no text.

    systemd.exec(5), LoadCredential: the file was made for this service alone, whatever its mode.
    """
    folder = environment.get("CREDENTIALS_DIRECTORY")
    if not folder:
        return None
    path = Path(folder) / source
    try:
        path.stat()
    except FileNotFoundError:
        return None
    except OSError:
        pass  # it is there, and reading it will tell why it cannot be
    return _read(source, "the systemd credential", path, guarded=False)


def _read(source: str, way: str, path: Path, *, guarded: bool) -> str:
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            status = os.fstat(file.fileno())
            data = file.read(MAX_OCTETS + 1) if stat.S_ISREG(status.st_mode) else b""
    except OSError as error:
        _fail(source, f"{way} cannot be read: {error.strerror}")
    if not stat.S_ISREG(status.st_mode):
        _fail(source, f"{way} is not a file")
    if guarded and status.st_mode & 0o077:
        _fail(source, f"{way} is open to others on this machine: `chmod 600` it")
    return _one_line(source, way, data)


def _printed(source: str, way: str, command: str, environment: Mapping[str, str], patience: Patience) -> str:
    """What a command for the shell prints."""
    try:
        said = _output(["/bin/sh", "-c", command], b"", environment, patience.command)
    except TimeoutError:
        _fail(source, f"{way} did not end in {patience.command:g} seconds")
    except OSError:
        _fail(source, f"{way} cannot be run")
    if said is None:
        _fail(source, f"{way} failed")
    return _one_line(source, way, said)


def _in_keyring(source: str, environment: Mapping[str, str], patience: Patience) -> str:
    found = kept(source, environment, patience)
    if found is None:
        _fail(source, "none is given, and the keyring has none")
    return _one_line(source, "the keyring", found.encode(errors="surrogatepass"))


def _ask_keyring(
    source: str, request: Mapping[str, str], environment: Mapping[str, str], patience: Patience
) -> str | None:
    path = os.pathsep.join(folder for folder in sys.path if folder)
    program = f"import {__name__} as it; it.answer()"
    question = json.dumps({"source": source, **request}).encode()  # on a pipe: arguments are for everybody to see
    try:
        said = _output(
            [sys.executable, "-P", "-c", program], question, {**environment, "PYTHONPATH": path}, patience.keyring
        )
    except TimeoutError:
        _fail(source, "the keyring did not answer; it may be locked, or ask somebody who is not there")
    except OSError:
        _fail(source, "the keyring cannot be asked")
    try:
        told = json.loads(said or b"")
        forgets, found = told["forgets"], told["secret"]
    except (ValueError, LookupError, TypeError):
        _fail(source, "the keyring cannot be used on this machine")
    if forgets:
        _fail(source, "the keyring is switched off (keyring.backends.null): it forgets what it is given")
    return found if isinstance(found, str) else None


def _output(command: Sequence[str], question: bytes, environment: Mapping[str, str], limit: float) -> bytes | None:
    """What a process prints, None where it failed. TimeoutError, and everything it started is ended; OSError."""
    deadline = monotonic() + limit
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=dict(environment),
        start_new_session=True,  # no terminal to ask at, and one group to end
    ) as process:
        try:
            assert process.stdin
            with suppress(BrokenPipeError), process.stdin:  # it ended without asking: its answer will tell
                process.stdin.write(question)
            said = _until_end(process, deadline)
            process.wait(max(0.0, deadline - monotonic()))
        except subprocess.TimeoutExpired:
            raise TimeoutError from None
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
    return said if process.returncode == 0 else None


def _until_end(process: subprocess.Popen[bytes], deadline: float) -> bytes:
    """All that is printed, or the first MAX_OCTETS and a little: then it is ended."""
    assert process.stdout
    waiting = select.poll()
    waiting.register(process.stdout, select.POLLIN | select.POLLHUP)
    said = b""
    while len(said) <= MAX_OCTETS:
        if not waiting.poll(max(0.0, deadline - monotonic()) * 1000):
            raise TimeoutError
        chunk = os.read(process.stdout.fileno(), MAX_OCTETS)
        if not chunk:
            return said
        said += chunk
    os.killpg(process.pid, signal.SIGKILL)
    return said


def _one_line(source: str, way: str, data: bytes) -> str:
    """A secret without its newline. Two lines would be two commands to an IMAP server that takes them literally."""
    text = data.removesuffix(b"\n").removesuffix(b"\r")
    if not text:
        _fail(source, f"{way} gives nothing")
    if len(text) > MAX_OCTETS or any(octet < 32 or octet == 127 for octet in text):
        _fail(source, f"{way} gives more than one line of text")
    try:
        return text.decode()
    except UnicodeDecodeError:
        _fail(source, f"{way} gives no UTF-8 text")


def _fail(source: str, why: str) -> NoReturn:
    raise CredentialError(
        f"{source}: no secret: {why}",
        f"a secret comes from a systemd credential named {source}, from password_file, password_command or "
        f"(mail) token_command in the configuration, or from the keyring: `keyring set {SERVICE} '{source}'`",
    ) from None

"""Real HTTP on loopback, on which a request may come to grief in every way a network knows."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True, slots=True)
class Request:
    """One request, as it came."""

    place: str
    """The name of the server it came to."""
    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    form: tuple[tuple[str, str], ...]
    headers: tuple[tuple[str, str], ...]
    port: int
    """The client's: one for each connection."""

    def header(self, name: str) -> str:
        """The value of a header; "" where there is none."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Fault:
    """What befalls a request."""

    drop: str = ""
    """`before` or `after`: the connection ends before, or after, the request has taken effect."""
    answer: Answer | None = None
    """Sent instead; the request does not take effect."""
    cut: int | None = None
    """The connection ends after so many octets of the body."""
    length: bool = True
    """False: the answer has no Content-Length, and ends with the connection."""
    delay: float = 0.0
    """Seconds before anything happens."""


class HangUpError(Exception):
    """Ends the connection without an answer; `before` and `after` may raise it."""


@dataclass(slots=True)
class _Trap:
    method: str
    path: str
    skip: int
    times: int
    fault: Fault

    def springs(self, request: Request) -> bool:
        """Whether this request is the one; counts those that are let by."""
        if not self.times or self.method not in ("", request.method) or self.path not in request.path:
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.times -= 1
        return True


class Loopback:
    """HTTP servers on 127.0.0.1, one for each name. `before` and `after` are called around each request, for a fuse."""

    def __init__(
        self, places: tuple[str, ...], respond: Callable[[Request], Answer], now: Callable[[], datetime]
    ) -> None:
        self.now = now
        self.requests: list[Request] = []
        """Everything that came, also what was never answered."""
        self.exchanges: list[tuple[Request, Answer]] = []
        """Everything that took effect."""
        self.before: Callable[[Request], None] = lambda _: None
        self.after: Callable[[Request], None] = lambda _: None
        self._respond = respond
        self._traps: list[_Trap] = []
        self._lock = threading.Lock()
        self._servers = {place: _Server(place, self) for place in places}

    def start(self) -> None:
        for server in self._servers.values():
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        for server in self._servers.values():
            server.shutdown()
            server.server_close()

    def url(self, place: str) -> str:
        """The address of one server, without a slash at its end."""
        return f"http://127.0.0.1:{self._servers[place].server_port}"

    def fail(self, fault: Fault, *, method: str = "", path: str = "", skip: int = 0, times: int = 1) -> None:
        """Spring `fault` on the next `times` requests of this method whose path holds `path`, after `skip` of them."""
        self._traps.append(_Trap(method, path, skip, times, fault))

    def serve(self, request: Request) -> tuple[Answer, Fault]:
        """The answer to one request, and how it is to be spoilt. HangUpError: none at all."""
        with self._lock:
            self.requests.append(request)
            fault = next((trap.fault for trap in self._traps if trap.springs(request)), Fault())
        time.sleep(fault.delay)
        self.before(request)
        if fault.drop == "before":
            raise HangUpError
        with self._lock:
            answer = fault.answer or self._respond(request)
            self.exchanges.append((request, answer))
        self.after(request)
        if fault.drop == "after":
            raise HangUpError
        return answer, fault


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, place: str, loopback: Loopback) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.place = place
        self.loopback = loopback

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hung up is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # header and body leave together
    timeout = 60
    server: _Server

    def do_GET(self) -> None:
        """Any method: http.server asks for one by the name of each."""
        url = urlsplit(self.path)
        form = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        query = tuple(parse_qsl(url.query, keep_blank_values=True))
        fields = tuple(parse_qsl(form, keep_blank_values=True))
        headers, port = tuple(self.headers.items()), self.client_address[1]
        request = Request(self.server.place, self.command, url.path, query, fields, headers, port)
        try:
            self._send(*self.server.loopback.serve(request))
        except HangUpError:
            self._hang_up()

    do_POST = do_DELETE = do_GET  # noqa: N815  # as http.server spells them

    def _send(self, answer: Answer, fault: Fault) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers:
            self.send_header(name, value)
        if answer.status != HTTPStatus.NO_CONTENT:
            self.send_header("Content-Type", answer.content_type)
            self.send_header(*(("Content-Length", str(len(answer.body))) if fault.length else ("Connection", "close")))
        self.end_headers()
        self.wfile.write(answer.body[: fault.cut])
        self.wfile.flush()
        if fault.cut is not None:
            self._hang_up()

    def _hang_up(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(2)

    def date_time_string(self, timestamp: float | None = None) -> str:
        """The Date header, by the clock this world goes by."""
        return super().date_time_string(timestamp or self.server.loopback.now().timestamp())

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is printed."""

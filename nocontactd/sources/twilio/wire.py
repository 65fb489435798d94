"""The HTTP beneath Twilio's SDK: silent, bounded in time, forgetful; and the one place where its failures become ours.

The SDK's own client waits for ever, tries nothing twice, guesses the encoding of an answer, keeps
the last body in memory and logs numbers at INFO.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from requests.exceptions import ConnectTimeout
from twilio.base.exceptions import TwilioException
from twilio.base.version import Version
from urllib3.exceptions import NewConnectionError

from nocontactd.errors import CredentialError, NocontactError, SourceError, UnknownOutcomeError, UnreachableError

TIMEOUT = (10.0, 30.0)
"""Seconds to connect, and for each read."""
WAITS = (1.0, 3.0, 9.0)
"""Seconds before a request that met a 429 is made again; Retry-After may lengthen each to the last."""
HOPS = 5

Login = tuple[str, str]

_TALKATIVE = (
    "twilio.http_client",
    "urllib3.connection",
    "urllib3.connectionpool",  # the path of each request, with the numbers in it, at DEBUG
    "urllib3.response",
    "urllib3.util.retry",
)


class GoneError(SourceError):
    """Twilio itself says that there is no such message."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the SDK takes for a response. JSON is UTF-8 (RFC 8259, 8.1), whatever the header says or omits."""

    status_code: int
    content: bytes
    headers: Mapping[str, str]

    @property
    def text(self) -> str:
        return self.content.decode()


class Wire:
    """An `http_client` for the SDK, and the way to octets that the SDK has no call for."""

    is_async = False

    def __init__(self, sleep: Callable[[float], None]) -> None:
        self.earliest: datetime | None = None
        """Twilio's clock (UTC) at the first answer since `renew`."""
        self._sleep = sleep
        self._session = requests.Session()
        for name in _TALKATIVE:
            logging.getLogger(name).addFilter(_never)

    def renew(self) -> None:
        """Begin on new connections: an idle one may be ended by the server just as it is used."""
        self.earliest = None
        self._session.close()

    def request(
        self,
        method: str,
        url: str,
        params: dict[str, Any] | None = None,
        data: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        auth: Login | None = None,
        timeout: float | None = None,
        allow_redirects: bool = False,
    ) -> Answer:
        """One request of the SDK, whose own `timeout` and `allow_redirects` are not asked."""
        heard = self._send(method, url, params=params, data=data, headers=headers, auth=auth)
        return Answer(heard.status_code, heard.content, heard.headers)

    @contextmanager
    def stream(self, url: str, login: Login) -> Iterator[requests.Response]:
        """The octets at the end of a redirect. The login goes to the host it was meant for, and to no other."""
        home = urlsplit(url)
        for _ in range(HOPS):
            place = urlsplit(url)
            if home.scheme == "https" != place.scheme:
                raise ValueError("a redirect to plain text")
            known = (place.scheme, place.netloc) == (home.scheme, home.netloc)
            heard = self._send("GET", url, auth=login if known else _nobody, stream=True, headers=_AS_IT_IS)
            with heard:
                if not heard.is_redirect:
                    if heard.status_code != 200:
                        raise refusal(Answer(heard.status_code, b"", {}))
                    yield heard
                    return
            url = urljoin(url, heard.headers["Location"])
        raise ValueError("redirects without end")

    def _send(self, method: str, url: str, **more: Any) -> requests.Response:
        for wait in (*WAITS, None):
            heard = self._session.request(method, url, timeout=TIMEOUT, allow_redirects=False, **more)
            self.earliest = self.earliest or _date(heard)
            if heard.status_code != 429 or wait is None:
                break
            heard.close()
            self._sleep(_pause(heard, wait))
        return heard


_AS_IT_IS = {"Accept": "*/*", "Accept-Encoding": "identity"}


def refusal(answer: Answer) -> TwilioException:
    """What the SDK raises for an answer like this one."""
    return Version.exception("", "", answer, "")


@contextmanager
def translated(name: str, undone: str, *, sending: bool = False) -> Iterator[None]:
    """Turn every failure of the SDK, and beneath it, into one of errors.py; `undone` says what was not done.

    `sending`: where the request may have taken effect, the outcome is unknown.
    """
    what = f"{name}: {undone}"
    try:
        yield
    except requests.RequestException as failure:
        raise _unheard(failure, what, sending) from None
    except TwilioException as failure:
        raise _refused(failure, what, sending) from None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):  # as the SDK meets what is not JSON
        problem = UnknownOutcomeError if sending else SourceError
        raise problem(f"{what}: the answer cannot be read") from None


def _unheard(failure: requests.RequestException, what: str, sending: bool) -> NocontactError:
    if sending and not _never_written(failure):
        return UnknownOutcomeError(f"{what}, or its outcome is not known: the connection broke")
    return UnreachableError(f"{what}: Twilio cannot be reached ({type(failure).__name__})")


def _never_written(failure: requests.RequestException) -> bool:
    reason = getattr(failure.args[0], "reason", None) if failure.args else None
    return isinstance(failure, ConnectTimeout) or isinstance(reason, NewConnectionError)


def _refused(failure: TwilioException, what: str, sending: bool) -> NocontactError:
    status, code = _status(failure)
    if status in (401, 403):
        return CredentialError(
            f"{what}: Twilio refused the account and its secret", "the auth token, or the API key and its secret"
        )
    if (status, code) == (404, 20404):
        return GoneError(f"{what}: there is no such text")
    why = f"Twilio answered {status}" + (f" (error {code})" if code not in (0, status) else "")
    if sending and (status == 408 or not 300 <= status < 500):
        return UnknownOutcomeError(f"{what}, or its outcome is not known: {why}")
    hint = f"https://www.twilio.com/docs/errors/{code}" if code not in (0, status) else ""
    return SourceError(f"{what}: {why}", hint)


def _status(failure: TwilioException) -> tuple[int, int]:
    """HTTP status and Twilio's own code, 0 where unknown. Of a list that failed the SDK raises but a bare exception."""
    bare = next((each for each in failure.args if isinstance(each, Answer)), None)
    status = bare.status_code if bare else getattr(failure, "status", None)
    code = getattr(failure, "code", None)
    return (status if isinstance(status, int) else 0, code if isinstance(code, int) else 0)


def _pause(heard: requests.Response, wait: float) -> float:
    asked = heard.headers.get("Retry-After", "")
    return min(max(wait, float(asked)), WAITS[-1]) if asked.isascii() and asked.isdigit() else wait


def _date(heard: requests.Response) -> datetime | None:
    try:
        return parsedate_to_datetime(heard.headers["Date"])
    except (KeyError, ValueError):
        return None


def _nobody(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """No login at all, not even one from ~/.netrc."""
    return request


def _never(_record: logging.LogRecord) -> bool:
    return False

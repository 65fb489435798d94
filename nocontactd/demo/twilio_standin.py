"""Twilio on loopback: one account, and of its API what the daemon touches.

What it answers is held against Twilio's published description by tests/test_twilio_standin.py.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Self
from urllib.parse import urlencode

from nocontactd.demo import twilio_resource as resource
from nocontactd.demo.loopback import Answer, Fault, Loopback, Request
from nocontactd.demo.twilio_resource import API, Resource

LONGEST = 1600
"""UTF-16 units that one message may have."""


@dataclass(slots=True)
class _Text:
    described: Resource
    order: tuple[datetime, int]
    listed_from: datetime
    media: dict[str, tuple[Resource, bytes]] = field(default_factory=dict)


class TwilioStandin:
    """One account. Enter it to listen; `url` is then what a phone source takes as `api_base`."""

    def __init__(
        self,
        *,
        account: str = "AC" + "0" * 32,
        token: str = "token",
        api_key: str | None = None,
        numbers: Iterable[str] = (),
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        lag: timedelta = timedelta(0),
    ) -> None:
        self.account = account
        self.user = api_key or account
        self.token = token
        self.now = now
        self.lag = lag
        """How long it takes until a message shows in the list."""
        self.numbers = {each: resource.number(account, each, now()) for each in numbers}
        """Of this account; none: any number may send."""
        self.services: dict[str, tuple[Resource, tuple[str, ...]]] = {}
        """Messaging Services by SID, each with the numbers in it."""
        self.http = Loopback(("api", "media"), self._respond, now)
        self._texts: dict[str, _Text] = {}
        self._orders: dict[str, tuple[datetime, int]] = {}

    def __enter__(self) -> Self:
        self.http.start()
        return self

    def __exit__(self, *_failure: object) -> None:
        self.http.stop()

    @property
    def url(self) -> str:
        """The address of the API."""
        return self.http.url("api")

    def arrives(
        self,
        *,
        from_: str,
        to: str,
        body: str = "",
        media: Iterable[tuple[bytes, str]] = (),
        date: datetime | None = None,
        status: str = "received",
        dated: bool = True,
        announced: int | None = None,
    ) -> str:
        """Somebody's text arrives; its SID. `media` are octets and content type.

        Not `dated`: date_sent is null. `announced`: num_media, where it is not the truth.
        """
        when = (date or self.now()).replace(microsecond=0)
        files = list(media)
        facts = {"direction": "inbound", "sender": from_, "to": to, "body": body, "status": status}
        sent = when if dated else None
        sid = self._add(when, sent, media=len(files) if announced is None else announced, **facts)
        for octets, content_type in files:
            me = "ME" + _hex(sid, len(self._texts[sid].media))
            described = resource.medium(self.account, sid, me, content_type, when)
            self._texts[sid].media[me] = described, octets
        return sid

    def alter(self, sid: str, **fields: object) -> None:
        """Change fields of a message's resource, as time does (`status`, `date_sent`, `num_media`)."""
        self._texts[sid].described.update(fields)

    def messages(self) -> list[Resource]:
        """Every message's resource, newest first."""
        return [dict(text.described) for text in self._newest_first()]

    def snapshot(self) -> dict[str, tuple[bytes, ...]]:
        """All there is: by SID the resource's octets and those of its media."""
        return {
            sid: (_json(text.described), *(octets for _, octets in text.media.values()))
            for sid, text in list(self._texts.items())
        }

    def fail(self, fault: Fault, *, method: str = "", path: str = "", skip: int = 0, times: int = 1) -> None:
        """See `Loopback.fail`."""
        self.http.fail(fault, method=method, path=path, skip=skip, times=times)

    def _respond(self, request: Request) -> Answer:
        if request.place == "media":
            return self._octets(request)
        if not self._knows(request):
            return error(401, 20003, "Authenticate")
        if request.path.startswith("/v1/"):
            return self._messaging(request)
        rest = request.path.removeprefix(f"{API}/{self.account}/").removesuffix(".json").split("/")
        match request.method, rest:
            case "GET", ["Messages"]:
                return self._list(request)
            case "POST", ["Messages"]:
                return self._create(dict(request.form))
            case "GET", ["IncomingPhoneNumbers"]:
                return self._list_numbers(request)
            case _, ["Messages", sid, *more] if sid in self._texts:
                return self._message(request, self._texts[sid], more)
        return _missing(request)

    def _message(self, request: Request, text: _Text, rest: list[str]) -> Answer:
        sid = text.described["sid"]
        match request.method, rest:
            case "GET", []:
                return _answer(text.described)
            case "DELETE", []:
                del self._texts[sid]
                return Answer(204)
            case "GET", ["Media"]:
                return _page(request, "media_list", [each for each, _ in text.media.values()], 50)
            case "GET", ["Media", me] if me in text.media and request.path.endswith(".json"):
                return _answer(text.media[me][0])
            case "GET", ["Media", me] if me in text.media:
                there = f"{self.http.url('media')}/{self.account}/{sid}/{me}?Signature=s"
                return Answer(307, headers=(("Location", there),))
        return _missing(request)

    def _knows(self, request: Request) -> bool:
        expected = base64.b64encode(f"{self.user}:{self.token}".encode()).decode()
        return request.header("Authorization") == f"Basic {expected}"

    def _octets(self, request: Request) -> Answer:
        _, sid, me = request.path.strip("/").split("/")
        if sid not in self._texts or me not in self._texts[sid].media:
            return Answer(404, b"<Error><Code>AccessDenied</Code></Error>", "application/xml")
        described, octets = self._texts[sid].media[me]
        return Answer(200, octets, described["content_type"])

    def _list(self, request: Request) -> Answer:
        query = dict(request.query)
        try:
            matching = [text for text in self._newest_first() if _matches(text.described, query)]
        except ValueError:
            return error(400, 20001, "Invalid date")
        wanted = [text for text in matching if text.listed_from <= self.now()]
        if after := self._orders.get(query.get("PageToken", "").removeprefix("PA")):
            wanted = [text for text in wanted if text.order < after]
        return _page(request, "messages", [text.described for text in wanted], int(query.get("PageSize", 50)))

    def _list_numbers(self, request: Request) -> Answer:
        wanted = dict(request.query).get("PhoneNumber")
        found = [each for number, each in self.numbers.items() if wanted in (None, number)]
        return _page(request, "incoming_phone_numbers", found, 50)

    def _messaging(self, request: Request) -> Answer:
        match request.path.removeprefix("/v1/").split("/"):
            case ["Services"]:
                services = [each for each, _ in self.services.values()]
                return _answer(resource.service_page(self.url, "services", services))
            case ["Services", sid, "PhoneNumbers"] if sid in self.services:
                members = [resource.member(self.account, sid, each, self.now()) for each in self.services[sid][1]]
                return _answer(resource.service_page(self.url, "phone_numbers", members))
        return _missing(request)

    def _create(self, form: dict[str, str]) -> Answer:
        to, sender, body = (form.get(key, "") for key in ("To", "From", "Body"))
        if not to:
            return error(400, 21604, "A 'To' phone number is required.")
        if not body:
            return error(400, 21602, "Message body is required.")
        if len(body.encode("utf-16-le")) > 2 * LONGEST:
            return error(400, 21617, "The concatenated message body exceeds the 1600 character limit")
        if sender == to:
            return error(400, 21266, "'To' and 'From' number cannot be the same")
        if self.numbers and sender not in self.numbers:
            return error(400, 21606, "The 'From' phone number provided is not a valid message-capable phone number")
        facts = {"direction": "outbound-api", "sender": sender, "to": to, "body": body, "status": "queued"}
        return _answer(self._texts[self._add(self.now(), None, media=0, **facts)].described, 201)

    def _add(self, when: datetime, sent: datetime | None, *, media: int, **facts: str) -> str:
        when = when.replace(microsecond=0)
        sid = ("MM" if media else "SM") + _hex(facts["direction"], len(self._orders))
        self._orders[sid] = order = (when, len(self._orders))
        described = resource.message(self.account, sid, when, media=media, sent=sent, **facts)
        self._texts[sid] = _Text(described, order, self.now() + self.lag)
        return sid

    def _newest_first(self) -> list[_Text]:
        return sorted(self._texts.values(), key=lambda text: text.order, reverse=True)


def _matches(described: Resource, query: dict[str, str]) -> bool:
    """Whether a list with these filters shows it. A null date_sent is on no date."""
    if query.get("To", described["to"]) != described["to"] or query.get("From", described["from"]) != described["from"]:
        return False
    filters = {key.removeprefix("DateSent"): _when(value) for key, value in query.items() if key.startswith("DateSent")}
    sent = resource.moment(described["date_sent"])
    return not filters or (sent is not None and all(_within(sent, how, when) for how, when in filters.items()))


def _within(sent: datetime, how: str, when: datetime | date) -> bool:
    """Both ends belong to the range; a bare date is the whole day, in GMT."""
    given = sent if isinstance(when, datetime) else sent.date()
    return {"": given == when, ">": given >= when, "<": given <= when}[how]


def _when(text: str) -> datetime | date:
    if len(text) == len("2009-07-06"):
        return date.fromisoformat(text)
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


def _page(request: Request, key: str, items: list[Resource], size: int) -> Answer:
    query = dict(request.query)
    at = int(query.pop("Page", 0))
    query.pop("PageToken", None)
    shown = items[:size]
    more = {**query, "Page": at + 1, "PageToken": f"PA{shown[-1]['sid']}"} if len(items) > size else None
    here, first, following = (
        f"{request.path}?{urlencode(each)}" if each else None
        for each in (request.query or {"Page": 0}, {**query, "PageSize": size, "Page": 0}, more)
    )
    return _answer(resource.page(here, key, shown, at, size, following, first))


def _hex(kind: str, count: int) -> str:
    return hashlib.sha256(f"{kind}/{count}".encode()).hexdigest()[:32]


def _json(described: Resource) -> bytes:
    return json.dumps(described, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _answer(described: Resource, status: int = 200) -> Answer:
    return Answer(status, _json(described))


def _missing(request: Request) -> Answer:
    return error(404, 20404, f"The requested resource {request.path} was not found")


def error(status: int, code: int, text: str, *headers: tuple[str, str]) -> Answer:
    """What Twilio answers instead, in its own shape; with `Retry-After` among the headers if given."""
    return Answer(status, _json(resource.error(status, code, text)), headers=headers)

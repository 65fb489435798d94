"""The stand-in against Twilio's published description, tightened: each described field there, none besides."""

import json
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from openapi_core import OpenAPI
from openapi_core.exceptions import OpenAPIError
from openapi_core.testing import MockRequest, MockResponse
from twilio.rest import Client

from nocontactd.demo import twilio_resource
from nocontactd.demo.loopback import Answer, Fault, HangUpError, Request
from nocontactd.demo.twilio_standin import TwilioStandin, error
from tests.peers import missing

NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
MINE = "+14155550100"
OWNER = "+14155550199"
FRIEND = "+14155550142"
PICTURE = (b"\xff\xd8\xff\xe0 a picture", "image/jpeg")
ACCOUNT = "AC" + "0" * 32
HOSTS = {"api_v2010_subset.json": "https://api.twilio.com", "messaging_v1_subset.json": "https://messaging.twilio.com"}
RFC_2822 = re.compile(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d \+0000")
ISO_8601 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def described(name: str) -> dict[str, Any]:
    places = [os.environ.get("NOCONTACT_TWILIO_SPEC"), Path(__file__).parents[2] / "shared" / "twilio"]
    found = [Path(place) / name for place in places if place and (Path(place) / name).is_file()]
    if found:
        document: dict[str, Any] = json.loads(found[0].read_text())
        return document
    return missing(f"Twilio's description {name}: neither in ../shared/twilio nor in NOCONTACT_TWILIO_SPEC")


def tightened(node: Any, name: str = "") -> Any:
    """Every described property required and none besides, but for the faults that are known by name."""
    if isinstance(node, list):
        return [tightened(each) for each in node]
    if not isinstance(node, dict):
        return node
    node = {key: tightened(value, key) for key, value in node.items()}
    if name.endswith("_uri") and node.get("format") == "uri":
        del node["format"]  # fault 1: they are relative
    if name in ("sms_application_sid", "voice_application_sid"):
        node["pattern"] = f"^$|{node['pattern']}"  # fault 2: an unset one is ""
        node["minLength"] = 0
    if node.get("type") == "object" and isinstance(node.get("properties"), dict):
        node["additionalProperties"] = False
        if not node.get("title", "").endswith("Request"):
            node["required"] = sorted(node["properties"])
    return node


@pytest.fixture(scope="module")
def descriptions() -> dict[str, OpenAPI]:
    return {host: OpenAPI.from_dict(tightened(described(name))) for name, host in HOSTS.items()}


@pytest.fixture
def twilio() -> Iterator[TwilioStandin]:
    with TwilioStandin(account=ACCOUNT, numbers=[MINE], now=lambda: NOW) as standin:
        yield standin


@pytest.fixture
def client(twilio: TwilioStandin) -> Client:
    client = Client(ACCOUNT, "token", environment={"-": ""})
    client.api.base_url = client.messaging.base_url = twilio.url
    return client


def get(twilio: TwilioStandin, path: str, token: str = "token") -> requests.Response:
    return requests.get(twilio.url + path, auth=(ACCOUNT, token), timeout=10, allow_redirects=False)


def everything(twilio: TwilioStandin, client: Client) -> None:
    """One of each request that is described."""
    sid = twilio.arrives(from_=FRIEND, to=MINE, body="Ünïcode 🙂", media=[PICTURE, (b"BEGIN:VCARD", "text/vcard")])
    for hour in range(5):
        twilio.arrives(from_=f"whatsapp:{FRIEND}", to=f"whatsapp:{MINE}", date=NOW - timedelta(hours=hour), dated=False)
    client.messages.create(to=OWNER, from_=MINE, body="From somebody: hi")
    assert len(client.messages.list(page_size=2)) == 7
    client.messages.list(to=MINE, from_=FRIEND, date_sent_after=NOW, date_sent_before=NOW, page_size=1000)
    client.messages.list(date_sent=NOW)
    client.messages(sid).fetch()
    [me, _] = client.messages(sid).media.list()
    client.messages(sid).media(me.sid).fetch()
    client.messages(sid).delete()
    client.incoming_phone_numbers.list(phone_number=MINE)
    service = twilio_resource.service(ACCOUNT, 7, NOW)
    twilio.services[service["sid"]] = service, (MINE,)
    [found] = client.messaging.v1.services.list()
    client.messaging.v1.services(found.sid).phone_numbers.list()


def judged(descriptions: dict[str, OpenAPI], request: Request, answer: Answer) -> None:
    """Raises where a request or its answer is not as described."""
    host = HOSTS["messaging_v1_subset.json" if request.path.startswith("/v1/") else "api_v2010_subset.json"]
    body = "&".join(f"{key}={requests.utils.quote(value)}" for key, value in request.form).encode() or None
    asked = MockRequest(
        host,
        request.method.lower(),
        request.path,
        args=dict(request.query),
        headers=dict(request.headers),
        data=body,
        content_type="application/x-www-form-urlencoded" if body else "",
    )
    descriptions[host].validate_request(asked)
    answered = MockResponse(answer.body, answer.status, content_type=answer.content_type)
    descriptions[host].validate_response(asked, answered)


def test_every_request_and_every_answer_is_as_twilio_describes_it(
    twilio: TwilioStandin, client: Client, descriptions: dict[str, OpenAPI]
) -> None:
    everything(twilio, client)
    assert len({(each.method, len(each.path.split("/"))) for each, _ in twilio.http.exchanges}) >= 6
    for request, answer in twilio.http.exchanges:
        judged(descriptions, request, answer)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda each: each.pop("num_segments"),
        lambda each: each.update(surplus="x"),
        lambda each: each.update(num_media=0),
        lambda each: each.update(sid="SM1"),
        lambda each: each.update(direction="incoming"),
    ],
)
def test_the_description_is_tight_enough_to_notice(
    twilio: TwilioStandin, client: Client, descriptions: dict[str, OpenAPI], spoil: Any
) -> None:
    client.messages(twilio.arrives(from_=FRIEND, to=MINE)).fetch()
    request, answer = twilio.http.exchanges[-1]
    altered = json.loads(answer.body)
    spoil(altered)
    with pytest.raises(OpenAPIError):
        judged(descriptions, request, Answer(200, json.dumps(altered).encode()))


def test_dates_are_of_the_described_format_and_no_query_parameter_is_unknown(
    twilio: TwilioStandin, client: Client
) -> None:
    """The two things that the description's checker does not look at."""
    everything(twilio, client)
    told = [each for _, answer in twilio.http.exchanges for each in fields(answer)]
    dates = [(name, value) for name, value in told if name.startswith("date_")]
    assert {name for name, _ in dates} == {"date_created", "date_updated", "date_sent"}
    for _, value in dates:
        assert value is None or RFC_2822.fullmatch(value) or ISO_8601.fullmatch(value)
    for name in ("api_v2010_subset.json", "messaging_v1_subset.json"):
        paths = described(name)["paths"]
        known = {each["name"] for path in paths.values() for each in path["get"].get("parameters", ())}
        for request, _ in twilio.http.exchanges:
            if request.path.startswith("/v1/") == (name == "messaging_v1_subset.json"):
                assert {key for key, _ in request.query} <= known


def fields(answer: Answer) -> Iterator[tuple[str, Any]]:
    waiting = [json.loads(answer.body)] if answer.body else []
    while waiting:
        node = waiting.pop()
        for key, value in node.items() if isinstance(node, dict) else ():
            yield key, value
            waiting += value if isinstance(value, list) else [value]


def test_a_wrong_secret_meets_twilios_own_401(twilio: TwilioStandin) -> None:
    answer = get(twilio, f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json", "wrong")
    assert answer.status_code == 401
    assert answer.json()["code"] == 20003
    assert set(answer.json()) == {"code", "message", "more_info", "status"}


def test_what_is_not_there_meets_twilios_own_404(twilio: TwilioStandin) -> None:
    answer = get(twilio, f"/2010-04-01/Accounts/{ACCOUNT}/Messages/SM{'0' * 32}.json")
    assert (answer.status_code, answer.json()["code"]) == (404, 20404)


def test_octets_of_a_file_lie_behind_a_307_on_another_host_that_wants_no_login(twilio: TwilioStandin) -> None:
    sid = twilio.arrives(from_=FRIEND, to=MINE, media=[PICTURE])
    [me] = get(twilio, f"/2010-04-01/Accounts/{ACCOUNT}/Messages/{sid}/Media.json").json()["media_list"]
    redirect = get(twilio, me["uri"].removesuffix(".json"))
    assert redirect.status_code == 307
    assert not redirect.headers["Location"].startswith(twilio.url)
    octets = requests.get(redirect.headers["Location"], timeout=10)
    assert (octets.content, octets.headers["Content-Type"]) == PICTURE


def test_deleting_a_message_deletes_its_files(twilio: TwilioStandin, client: Client) -> None:
    sid = twilio.arrives(from_=FRIEND, to=MINE, media=[PICTURE])
    [me] = client.messages(sid).media.list()
    there = get(twilio, me.uri.removesuffix(".json")).headers["Location"]
    client.messages(sid).delete()
    assert requests.get(there, timeout=10).status_code == 404
    assert twilio.snapshot() == {}


def test_a_list_is_newest_first_by_pages_and_filtered_by_day_or_second(twilio: TwilioStandin, client: Client) -> None:
    hours = [twilio.arrives(from_=FRIEND, to=MINE, date=NOW - timedelta(hours=hour)) for hour in range(30)]
    assert [each.sid for each in client.messages.list(page_size=7)] == hours
    since = client.messages.list(date_sent_after=NOW - timedelta(hours=2))
    assert [each.sid for each in since] == hours[:3]
    day = [each["sid"] for each in get(twilio, messages("DateSent>=2026-03-04&PageSize=50")).json()["messages"]]
    assert day == hours[:13]


def messages(query: str) -> str:
    return f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json?{query}"


def test_a_null_date_sent_is_on_no_date(twilio: TwilioStandin, client: Client) -> None:
    sid = twilio.arrives(from_=FRIEND, to=MINE, dated=False)
    assert client.messages.list(date_sent_after=NOW - timedelta(days=1)) == []
    assert [each.sid for each in client.messages.list()] == [sid]


def test_a_page_goes_on_where_it_ended_even_if_that_message_was_deleted(twilio: TwilioStandin, client: Client) -> None:
    sids = [twilio.arrives(from_=FRIEND, to=MINE, date=NOW - timedelta(hours=hour)) for hour in range(4)]
    page = client.messages.page(page_size=2)
    client.messages(sids[1]).delete()
    assert [each.sid for each in page.next_page()] == sids[2:]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ({"To": "", "From": MINE, "Body": "x"}, 21604),
        ({"To": OWNER, "From": MINE, "Body": ""}, 21602),
        ({"To": OWNER, "From": MINE, "Body": "x" * 1601}, 21617),
        ({"To": MINE, "From": MINE, "Body": "x"}, 21266),
        ({"To": OWNER, "From": FRIEND, "Body": "x"}, 21606),
    ],
)
def test_a_message_that_twilio_would_refuse_is_refused(twilio: TwilioStandin, words: dict[str, str], code: int) -> None:
    url = twilio.url + messages("").rstrip("?")
    answer = requests.post(url, data=words, auth=(ACCOUNT, "token"), timeout=10)
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert twilio.messages() == []


def test_a_message_shows_in_the_list_only_after_the_lag(client: Client, twilio: TwilioStandin) -> None:
    twilio.lag = timedelta(minutes=1)
    sent = client.messages.create(to=OWNER, from_=MINE, body="x")
    assert client.messages.list() == []
    assert client.messages(sent.sid).fetch().body == "x"
    twilio.now = lambda: NOW + timedelta(minutes=1)
    assert [each.sid for each in client.messages.list()] == [sent.sid]


@pytest.mark.parametrize(("drop", "standing"), [("before", 1), ("after", 0)])
def test_a_dropped_connection_is_dropped_before_or_after_the_request_acts(
    twilio: TwilioStandin, drop: str, standing: int
) -> None:
    sid = twilio.arrives(from_=FRIEND, to=MINE)
    twilio.fail(Fault(drop=drop), method="DELETE")
    url = f"{twilio.url}/2010-04-01/Accounts/{ACCOUNT}/Messages/{sid}.json"
    with pytest.raises(requests.ConnectionError):
        requests.delete(url, auth=(ACCOUNT, "token"), timeout=10)
    assert len(twilio.snapshot()) == standing


def test_a_fault_meets_the_request_it_was_meant_for_and_then_no_more(twilio: TwilioStandin) -> None:
    twilio.fail(Fault(answer=error(429, 20429, "Too Many Requests", ("Retry-After", "1"))), path="Messages", skip=1)
    statuses = [get(twilio, messages("PageSize=5")) for _ in range(3)]
    assert [each.status_code for each in statuses] == [200, 429, 200]
    assert statuses[1].headers["Retry-After"] == "1"


def test_hooks_stand_around_each_request_and_may_hang_up(twilio: TwilioStandin) -> None:
    seen: list[str] = []

    def after(request: Request) -> None:
        seen.append(f"after {request.method}")
        raise HangUpError

    twilio.http.before = lambda request: seen.append(f"before {request.method}")
    twilio.http.after = after
    with pytest.raises(requests.ConnectionError):
        get(twilio, messages("PageSize=5"))
    assert seen == ["before GET", "after GET"]

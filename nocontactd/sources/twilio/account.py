"""One account through Twilio's SDK: each call asks for one thing, is bounded, and fails as errors.py says."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import requests
from twilio.rest import Client
from twilio.rest.api.v2010.account.message import MessageInstance

from nocontactd.errors import CredentialError, SourceError, UnreachableError
from nocontactd.sources.twilio.settings import shortcomings
from nocontactd.sources.twilio.text import MESSAGE, File, Text, checked, file, text
from nocontactd.sources.twilio.wire import Answer, Wire, refusal, translated

PAGE = 200
CHUNK = 64 * 1024
UNSTATED = 64 * 1024 * 1024
"""Octets of a file whose size is not announced: such a one is held in memory, and a larger one is refused."""


class Account:
    """What can be asked of one account. `undone` is what to say was not done, if it fails."""

    def __init__(
        self,
        name: str,
        account: str,
        user: str,
        secret: Callable[[], str],
        api_base: str | None,
        sleep: Callable[[float], None],
    ) -> None:
        self.wire = Wire(sleep)
        self._name = name
        self._account = account
        self._user = user
        self._secret = secret
        self._api_base = api_base
        self._session: Client | None = None

    def close(self) -> None:
        """Let go of connections and of the secret."""
        self._session = None
        self.wire.renew()

    def pages(self, undone: str, **filters: Any) -> Iterator[list[Text]]:
        """The list of messages, newest first, in pieces; `filters` are the SDK's."""
        page = None
        more = True
        while more:
            with self._asked(undone):
                page = page.next_page() if page else self._client().messages.page(page_size=PAGE, **filters)
                texts = [text(each) for each in page]
                more = bool(page.next_page_url)
            yield texts

    def read(self, sid: str, undone: str) -> tuple[Answer, Text]:
        """One message, octet by octet, and what is read of it. GoneError: there is none."""
        with self._asked(undone):
            answer = self._octets(f"/Messages/{checked(MESSAGE, sid)}.json")
            return answer, text(MessageInstance(self._client().api.v2010, json.loads(answer.content), self._account))

    def files(self, sid: str, undone: str) -> list[File]:
        """What belongs to a message. GoneError: there is no such message."""
        with self._asked(undone):
            return [file(each) for each in self._client().messages(sid).media.stream(page_size=PAGE)]

    def described(self, sid: str, each: File, undone: str) -> bytes:
        """The resource of one file, octet by octet."""
        with self._asked(undone):
            return self._octets(f"/Messages/{sid}/Media/{each.sid}.json").content

    def content(self, sid: str, each: File, undone: str) -> tuple[int, Iterator[bytes]]:
        """The size of one file and its octets, as they come. SourceError, then too: not as many as announced."""
        with ExitStack() as stack:
            with self._asked_of_a_file(undone):
                url = self._client().api.v2010.absolute_url(f"{self._path}/Messages/{sid}/Media/{each.sid}")
                heard = stack.enter_context(self.wire.stream(url, (self._user, self._client().password)))
                size = _announced(heard)
            if size is None:
                whole = self._whole(heard, undone)
                return len(whole), iter((whole,))
            return size, self._pieces(heard, undone, stack.pop_all())

    def delete(self, sid: str, undone: str) -> None:
        """Delete one message, its files with it. GoneError: there was none."""
        with self._asked(undone):
            self._client().messages(checked(MESSAGE, sid)).delete()

    def create(self, undone: str, *, to: str, from_: str, body: str) -> str:
        """Send one message; its SID. UnknownOutcomeError: perhaps; any other SourceError: certainly not."""
        with self._asked(undone, sending=True):
            return checked(MESSAGE, self._client().messages.create(to=to, from_=from_, body=body).sid)

    def shortcomings(self, number: str, undone: str) -> tuple[str, ...]:
        """See settings.py."""
        with self._asked(undone):
            return shortcomings(self._client(), number)

    @property
    def _path(self) -> str:
        return f"/Accounts/{self._account}"

    def _octets(self, path: str) -> Answer:
        answer: Answer = self._client().api.v2010.request("GET", self._path + path)
        if answer.status_code != 200:
            raise refusal(answer)
        return answer

    def _client(self) -> Client:
        if self._session is None:
            # an empty environment would fall back to os.environ, and with it perhaps to another account
            client = Client(self._user, self._secret(), self._account, http_client=self.wire, environment={"-": ""})
            if self._api_base:
                client.api.base_url = client.messaging.base_url = self._api_base
            self._session = client
        return self._session

    def _whole(self, heard: requests.Response, undone: str) -> bytes:
        whole = bytearray()
        with self._asked_of_a_file(undone):
            for chunk in heard.iter_content(CHUNK):
                whole += chunk
                if len(whole) > UNSTATED:
                    raise SourceError(f"{self._name}: {undone}: a picture or file of unstated size is too large")
        return bytes(whole)

    def _pieces(self, heard: requests.Response, undone: str, stack: ExitStack) -> Iterator[bytes]:
        with stack, self._asked_of_a_file(undone):
            yield from heard.iter_content(CHUNK)  # raises where there is less than Content-Length says

    @contextmanager
    def _asked(self, undone: str, *, sending: bool = False) -> Iterator[None]:
        try:
            with translated(self._name, undone, sending=sending):
                yield
        except CredentialError:
            self.close()  # the next look asks for the secret anew: it may have been changed
            raise

    @contextmanager
    def _asked_of_a_file(self, undone: str) -> Iterator[None]:
        """Files lie on another host: where that one fails, texts without files can still be sealed."""
        try:
            with self._asked(undone):
                yield
        except UnreachableError as problem:
            raise SourceError(problem.message, problem.hint) from None


def _announced(heard: requests.Response) -> int | None:
    """Content-Length; None where there is none, or where it counts what is to be decoded first."""
    length = heard.headers.get("Content-Length", "")
    coded = heard.headers.get("Content-Encoding", "identity") != "identity"
    return None if coded or not length.isdigit() else int(length)

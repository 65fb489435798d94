"""A number: only what came in to it is looked at, only what was sealed is deleted, nothing that was sent is touched.

Twilio's list promises no consistency, its dates may be null, and its filters compare them with
UTC. So each look goes back to 48 hours before the last one began, takes each message once by its
SID, and goes by the earlier of two clocks, ours and Twilio's.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from nocontactd.errors import CredentialError, NocontactError, SourceError, UnknownOutcomeError, UnreachableError
from nocontactd.model import (
    Cursor,
    Envelope,
    Look,
    MessageRef,
    Original,
    Part,
    PutBack,
    Receipt,
    Removal,
    Stretch,
    Written,
)
from nocontactd.number import keys
from nocontactd.ports import Concerns
from nocontactd.reading import Reader
from nocontactd.sources.twilio.account import Account
from nocontactd.sources.twilio.passing import came_round, compose, plain
from nocontactd.sources.twilio.text import File, Text
from nocontactd.sources.twilio.wire import Answer, GoneError

OVERLAP = timedelta(hours=48)
"""How far each look goes back before the last one began."""
SETTLING = timedelta(hours=1)
"""How long a message may be `receiving` before it is taken as it is."""
SKEW = timedelta(minutes=5)
"""How far our clock may be ahead of Twilio's for a sent message to be found again."""

_NOT_SENT = frozenset({"failed", "undelivered", "canceled"})


class Number:
    """One number of one account: a `Source`, and with `relay_to` a `Relay`.

    `number` and `relay_to` are E.164; `secret` gives the auth token or, with `api_key`, that key's
    secret. `relay_since` is the first start: what came before is never passed on, and is a sweep
    to the first look. `api_base` is another address of the API, for tests.
    """

    def __init__(
        self,
        *,
        name: str,
        account: str,
        number: str,
        secret: Callable[[], str],
        relay_since: datetime,
        now: Callable[[], datetime],
        api_key: str | None = None,
        relay_to: str | None = None,
        api_base: str | None = None,
        reader: Reader = Reader(),  # noqa: B008  # frozen
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._name = name
        self._number = number
        self._addresses = (number, f"whatsapp:{number}")  # an RCS agent has an id of its own, not a number
        self._relay_to = relay_to
        self._relay_since = relay_since.replace(microsecond=0)  # Twilio's dates are whole seconds
        self._now = now
        self._reader = reader
        self._account = Account(name, account, api_key or account, secret, api_base, sleep)

    @property
    def name(self) -> str:
        return self._name

    def scan(self, cursors: Mapping[str, Cursor], rules: str) -> Iterator[Envelope | Look]:
        """Everything that came in since the first start, or since 48 hours before the cursor; see `ports.Source`."""
        known = cursors.get("")
        since = datetime.fromtimestamp(known.next_uid, UTC) - OVERLAP if known else self._relay_since
        began = self._now()
        self._account.wire.renew()
        seen: set[str] = set()
        for text in self._came(since):
            if text.sid not in seen and _settled(text, began):
                seen.add(text.sid)
                yield self._envelope(text, since)
        # a clock that runs ahead must not carry the next look past what comes meanwhile
        began = min(began, self._account.wire.earliest or began)
        yield Look("", 0, int(began.timestamp()), len(seen))

    def older(self, cursor: Cursor, concerns: Concerns) -> Iterator[Stretch]:
        """All of it in one stretch: Twilio keeps texts for 13 months; see `ports.Source`."""
        began = self._now()
        texts = {text.sid: text for text in self._came(None) if _settled(text, began)}
        yield Stretch(tuple(map(self._older, texts.values())), 0, len(texts), 0)

    def envelopes(self, refs: Sequence[MessageRef]) -> Iterator[Envelope]:
        """See `ports.Source`."""
        for ref in refs:
            with suppress(GoneError):
                _, text = self._read(ref, "texts were not looked at")
                yield self._older(text)

    def written(self, _cursors: Mapping[str, Cursor]) -> Iterator[Written | Look]:
        """Nothing: whom the owner texts is not known here; see `ports.Source`."""
        return iter(())

    def expect(self, _refs: Sequence[MessageRef]) -> None:
        """They are asked for one by one; see `ports.Source`."""

    def fetch(self, ref: MessageRef) -> Original | None:
        """`message.json`, then of each file its resource and its octets; see `ports.Source`.

        SourceError also while files are missing that Twilio counted, until the text is two days old.
        """
        undone = "a text was not sealed"
        try:
            answer, text = self._read(ref, undone)
            files = self._account.files(text.sid, undone)
        except GoneError:
            return None
        if len(files) < text.files and self._now() - text.when < OVERLAP:
            raise SourceError(f"{self._name}: {undone}: its pictures or files are not there yet")
        facts = tuple((name, answer.headers[name]) for name in ("Date", "Twilio-Request-Id") if name in answer.headers)
        return Original(self._envelope(text, self._relay_since), self._parts(answer, text, files), facts)

    def remove(self, receipts: Sequence[Receipt]) -> Removal:
        """Delete each, its files with it, and ask for it again; see `ports.Source`."""
        gone: list[Receipt] = []
        problems: list[Exception] = []
        for receipt in receipts:
            try:
                self._remove(receipt.ref.uid)
                gone.append(receipt)
            except (UnreachableError, CredentialError) as problem:
                problems.append(problem)
                break
            except SourceError as problem:
                problems.append(problem)
        return Removal(tuple(gone), (), tuple(problems))

    def put_back(self, steps: Sequence[PutBack]) -> frozenset[MessageRef]:
        """See ports.Source. A number has no rule of ours and no folders, so there is never such a step."""
        raise SourceError(f"{self._name}: a text cannot be put back")

    def close(self) -> None:
        self._account.close()

    def send(self, ref: MessageRef, *, repeat: bool) -> str | None:
        """Pass one text on as the message, or the messages, that `compose` makes of it; see `ports.Relay`."""
        undone = "a text was not passed on"
        try:
            _, text = self._read(ref, undone)
        except GoneError:
            return None
        if not self._relay_to or came_round(text.body, self._number):
            return None
        sid = None
        for part in _composed(text, repeat=repeat):
            try:
                sid = self._account.create(undone, to=self._relay_to, from_=self._number, body=part)
            except NocontactError as problem:
                if sid is None:
                    raise
                raise UnknownOutcomeError(f"{problem.message} (not the whole of it)", problem.hint) from None
        return sid

    def find(self, ref: MessageRef, since: datetime, claimed: frozenset[str]) -> str | None:
        """The SID of the last of the messages by which this text was passed on; see `ports.Relay`.

        What Twilio could not deliver does not count as passed on.
        """
        try:
            _, text = self._read(ref, "a text was not looked for among what was passed on")
        except GoneError:
            return None
        sent = {plain(each.body): each.sid for each in self._sent(since - SKEW) if each.sid not in claimed}
        for repeat in (False, True):
            sids = [sent.get(plain(part)) for part in _composed(text, repeat=repeat)]
            if all(sids):
                return sids[-1]
        return None

    def check(self) -> tuple[str, ...]:
        """What in the number's settings at Twilio answers a listed person or loses evidence, a sentence each."""
        return self._account.shortcomings(self._number, "its settings were not read")

    def _came(self, since: datetime | None) -> Iterator[Text]:
        """All that came in; with `since`, what was sent since then, and the newest of whatever date.

        A null date_sent is on no date: only a list that asks for none shows it.
        """
        undone = "texts were not looked at"
        for address in self._addresses:
            if since:
                for texts in self._account.pages(undone, to=address, date_sent_after=since):
                    yield from (text for text in texts if text.inbound)
            for texts in self._account.pages(undone, to=address):
                yield from (text for text in texts if text.inbound and not (since and text.when < since))
                if since:
                    break

    def _sent(self, since: datetime) -> Iterator[Text]:
        """What was passed on since then. No date is asked for: what is queued has none yet."""
        undone = "what was passed on was not looked at"
        for texts in self._account.pages(undone, to=self._relay_to, from_=self._number):
            late = [text for text in texts if text.created >= since]
            yield from (text for text in late if not text.inbound and text.status not in _NOT_SENT)
            if not late:
                break

    def _read(self, ref: MessageRef, undone: str) -> tuple[Answer, Text]:
        answer, text = self._account.read(ref.uid, undone)
        if text.sid != ref.uid or not text.inbound or text.to not in self._addresses:
            raise SourceError(f"{self._name}: {undone}: it did not come in to this number")
        return answer, text

    def _envelope(self, text: Text, fresh: datetime) -> Envelope:
        """What is sent since `fresh` was covered by no earlier look; only that can still have to be passed on."""
        relay = bool(self._relay_to) and text.when >= max(fresh, self._relay_since) and not self._owners(text)
        return text.envelope(self._name, self._reader, arrival=text.when >= fresh, relay=relay)

    def _older(self, text: Text) -> Envelope:
        return replace(self._envelope(text, self._relay_since), arrival=False, relay=False)

    def _owners(self, text: Text) -> bool:
        """Whether the owner's own phone sent it, or this number itself: passed on, it would come round again."""
        own = {key for each in (self._relay_to, self._number) if each for key in keys(each, None)}
        return not own.isdisjoint(keys(text.sender, None))

    def _parts(self, answer: Answer, text: Text, files: Sequence[File]) -> Iterator[Part]:
        undone = "a text was not sealed"
        yield Part("message.json", len(answer.content), (answer.content,))
        for file in files:
            described = self._account.described(text.sid, file, undone)
            yield Part(f"media/{file.sid}.json", len(described), (described,))
            size, chunks = self._account.content(text.sid, file, undone)
            yield Part(f"media/{file.sid}.{file.extension}", size, chunks)

    def _remove(self, sid: str) -> None:
        undone = "a sealed text was not removed"
        try:
            self._account.delete(sid, undone)
            self._account.read(sid, undone)
        except GoneError:
            return
        raise SourceError(f"{self._name}: {undone}: Twilio still has it")


def _settled(text: Text, at: datetime) -> bool:
    """Not one whose files are still on their way; that one is left to a later look, 48 hours being long enough."""
    return text.status != "receiving" or at - text.when >= SETTLING


def _composed(text: Text, *, repeat: bool) -> tuple[str, ...]:
    return compose(text.sender, text.body, files=text.files > 0, tag=text.sid[-4:], repeat=repeat)

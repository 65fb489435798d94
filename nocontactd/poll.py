"""One pass over one source. The order in `poll` is the whole safety argument.

A message is removed only with a receipt in hand; a receipt exists only once its record is
durable; and it is in the ledger before the source is touched. Whichever line this process dies
on, each message is still at the source, or in the archive, or in both:

    after 1 to 4   nothing has happened, and the next pass begins anew
    after 5        in both; `_settle` takes the receipt up, or it is sealed again and folded later
    after 6 to 8   `_settle` removes what is left of it, whether a scan still shows it or not

Nobody else's message is touched but one that our own rule on the server filed by mistake: `_put_back`
moves it to the inbox. Whatever is in doubt about it, it stays in that folder, and a look says so.

What is new comes first, however much it is. What is older is taken out only when all of it was
looked through and the guard has agreed; a pass goes on with it for seconds and leaves the rest
to the next (docs/adr/0018-what-is-older.md).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial

from nocontactd.decide import Policy, decide, guard, plan
from nocontactd.errors import CredentialError, NocontactError, SealError, SourceError, UnreachableError
from nocontactd.model import Cursor, Envelope, Look, MessageRef, Note, Progress, PutBack, Receipt, Report, Seal, Steps
from nocontactd.older import look_further
from nocontactd.ports import Ledger, Relay, Sealer, Source
from nocontactd.relay import pass_on

GROUP_MESSAGES = 1000
GROUP_OCTETS = 32 * 1024 * 1024
LARGE = 1024 * 1024
"""Octets of a message that others need not wait for."""
LONGEST = timedelta(seconds=2)
"""So long a pass goes on with what is older, before another one looks at what has come meanwhile."""


def poll(
    source: Source,
    sealer: Sealer,
    ledger: Ledger,
    policy: Policy,
    now: Callable[[], datetime],
    relay: Relay | None = None,
    *,
    only_new: bool = False,
) -> Report:
    """One look: what listed people sent is sealed, then removed; what our rule misfiled goes back to the inbox.

    `only_new`: what is older is left to the next pass.
    SourceError, CredentialError: it could not be looked at. SealError: the ledger cannot be
    written. In either case nothing was removed that is not durable.
    """
    looks: list[Look] = []
    problems = _settle(source, sealer, ledger)  # what an earlier pass left between 5 and 9
    ledger.begin(source.name, policy.digest)  # by other rules, everything but what is new is older once more
    cursors = ledger.cursors(source.name)
    new = plan(_scan(source, cursors, policy.digest, looks), policy, _taken(source, ledger))  # 1 scan, 2 plan
    left, failures = _take_out(new, source, sealer, ledger, policy)  # 4 fetch, 5 seal, 6 note, 7, 8 remove, 9 close
    filed, troubles = _put_back((step for step in new.put_backs if step.envelope.ref not in left), source)
    waiting = pass_on(new.relays, relay, ledger, now) if relay else []
    stuck = {ref.folder for ref in left | filed} | ({""} if waiting else set())
    ledger.advance(source.name, _advanced(looks, cursors, stuck, policy.digest))
    problems += [*failures, *troubles, *waiting, *_unlooked(source, looks)]
    matches, more = len(new.seals), None
    try:
        if not (only_new or any(map(_ends, failures))):
            taken, more, failures = _go_on(source, sealer, ledger, policy, looks, now)  # 3 guard, and all of it again
            matches, problems = matches + taken, problems + failures
    except NocontactError as problem:
        problems.append(problem)
    return Report(source.name, tuple(looks), matches, tuple(problems), more)


def _go_on(
    source: Source, sealer: Sealer, ledger: Ledger, policy: Policy, looks: Sequence[Look], now: Callable[[], datetime]
) -> tuple[int, Progress | None, list[Exception]]:
    """What is older: how much of it was taken out, how far it is if another pass may go on, what went wrong."""
    until = now() + LONGEST
    older = look_further(source, ledger, policy, looks, partial(_note, sealer, ledger), lambda: now() >= until)
    problems: list[Exception] = list(older.problems)
    found = ledger.found(source.name)
    if guard(len(found), policy):
        return 0, None, [*problems, _too_many(source)]
    taken, tried, done = 0, 0, 0
    for group in _by_folder(found) if older.whole else ():
        matched, left, failures = _take_found(group, source, sealer, ledger, policy)
        taken, tried, done = taken + matched, tried + len(group), done + len(group) - len(left)
        problems += failures
        if any(map(_ends, failures)):
            return taken, None, problems
        if now() >= until:
            break
    again = not older.whole or (tried < len(found) and done > 0)
    return taken, older.progress if again else None, problems


def _take_found(
    group: Sequence[MessageRef], source: Source, sealer: Sealer, ledger: Ledger, policy: Policy
) -> tuple[int, set[MessageRef], list[Exception]]:
    """Messages of one folder, judged once more as they stand now; how many matched, what is left, and why."""
    left: set[MessageRef] = set(group)
    failures: list[Exception] = []
    matched = 0
    try:
        steps = plan(source.envelopes(group), policy, _taken(source, ledger))
        matched = len(steps.seals)
        left, failures = _take_out(steps, source, sealer, ledger, policy)
    except SourceError as problem:
        failures.append(problem)
    ledger.advance(source.name, (), [ref for ref in group if ref in left])  # behind all others: it holds up none
    ledger.forget(set(group) - left)
    return matched, left, failures


def _settle(source: Source, sealer: Sealer, ledger: Ledger) -> list[Exception]:
    """Finish what an earlier pass began: reservations become receipts or nothing, receipts end."""
    for ref, record in ledger.reserved(source.name):
        receipt = sealer.recall(record, ref)
        if receipt:
            ledger.note([receipt])
        else:
            ledger.release([ref])
    return _remove(ledger.open(source.name), source, ledger)


def _taken(source: Source, ledger: Ledger) -> frozenset[MessageRef]:
    """What is sealed already: it is left to its receipt."""
    return frozenset(receipt.ref for receipt in ledger.open(source.name))


def _scan(source: Source, cursors: Mapping[str, Cursor], rules: str, looks: list[Look]) -> Iterator[Envelope]:
    for item in source.scan(cursors, rules):
        if isinstance(item, Look):
            looks.append(item)
        else:
            yield item


def _take_out(
    steps: Steps, source: Source, sealer: Sealer, ledger: Ledger, policy: Policy
) -> tuple[set[MessageRef], list[Exception]]:
    """Seal and remove, a group at a time; what is left undone, and why."""
    left = {step.envelope.ref for step in steps.seals} | {step.envelope.ref for step in steps.notes}
    problems: list[Exception] = []
    try:
        for group in _groups(steps.seals):
            done, failures = _seal(group, source, sealer, ledger, policy)  # 4 fetch, 5 seal, 6 note
            problems += failures
            problems += _remove(done, source, ledger)  # 7 remove, 8 confirm, 9 close
            left -= {step.envelope.ref for step in group} if not failures else {receipt.ref for receipt in done}
            if any(isinstance(failure, UnreachableError) for failure in failures):
                break
        _note(sealer, ledger, steps.notes)
        left -= {step.envelope.ref for step in steps.notes}
    except SealError as problem:  # the archive is full or gone: other people's texts still go on
        problems.append(problem)
    return left, problems


def _seal(
    group: Sequence[Seal], source: Source, sealer: Sealer, ledger: Ledger, policy: Policy
) -> tuple[tuple[Receipt, ...], list[Exception]]:
    """Fetch, decide once more on the very octets, seal, note. One that fails holds up no other."""
    failures: list[Exception] = []
    refs = [step.envelope.ref for step in group]
    with sealer.batch(refs) as batch:
        ledger.reserve(zip(refs, batch.records, strict=True))
        source.expect(refs)
        for ref, record in zip(refs, batch.records, strict=True):
            try:
                original = source.fetch(ref)
                if original and policy.seals(verdict := decide(original.envelope, policy)):
                    batch.add(record, original, verdict)
            except UnreachableError as failure:
                failures.append(failure)
                break
            except SourceError as failure:
                failures.append(failure)
        receipts = batch.commit()
    ledger.note(receipts)
    ledger.release(set(refs) - {receipt.ref for receipt in receipts})
    return receipts, failures


def _remove(receipts: Sequence[Receipt], source: Source, ledger: Ledger) -> list[Exception]:
    """Remove what receipts prove to be sealed: from its folder, and from the Trash it may go to."""
    problems: list[Exception] = []
    for _place in ("its folder", "its Trash"):
        if not receipts:
            break
        try:
            removal = source.remove(receipts)
        except SourceError as problem:
            return [*problems, problem]
        ledger.move(removal.moved)
        ledger.close(removal.gone)
        problems += removal.problems
        receipts = removal.moved
    return problems


def _put_back(steps: Iterable[PutBack], source: Source) -> tuple[set[MessageRef], list[Exception]]:
    """What our rule filed and may pass goes to the inbox; what did not go, and why."""
    steps = tuple(steps)
    refs = {step.envelope.ref for step in steps}
    try:
        return refs - source.put_back(steps) if steps else refs, []
    except (SourceError, CredentialError) as problem:
        return refs, [problem]


def _note(sealer: Sealer, ledger: Ledger, notes: Iterable[Note]) -> None:
    for step in notes:
        if not ledger.noted(step.envelope.ref):
            sealer.note(step.envelope, step.verdict)
            ledger.remember_note(step.envelope.ref)


def _groups(seals: Sequence[Seal]) -> Iterator[Sequence[Seal]]:
    """Pieces that are sealed and removed together, so that neither time nor memory grows with their number.

    Large messages last: while one is fetched no other stands in sight.
    """
    group: list[Seal] = []
    octets = 0
    for step in sorted(seals, key=_is_large):
        end = len(group) == GROUP_MESSAGES or octets + step.envelope.size > GROUP_OCTETS
        if group and (end or _is_large(step) != _is_large(group[0])):
            yield group
            group, octets = [], 0
        group.append(step)
        octets += step.envelope.size
    if group:
        yield group


def _is_large(step: Seal) -> bool:
    return step.envelope.size > LARGE


def _by_folder(refs: Sequence[MessageRef]) -> Iterator[Sequence[MessageRef]]:
    places: dict[tuple[str, int], list[MessageRef]] = {}
    for ref in refs:
        places.setdefault((ref.folder, ref.uidvalidity), []).append(ref)
    for standing in places.values():
        yield from (standing[at : at + GROUP_MESSAGES] for at in range(0, len(standing), GROUP_MESSAGES))


def _advanced(looks: Iterable[Look], before: Mapping[str, Cursor], stuck: set[str], digest: str) -> Iterator[Cursor]:
    """What is new no longer; of a folder that was not known, all that it holds is older."""
    for look in looks:
        if look.problem or look.folder in stuck:
            continue
        known = before.get(look.folder)
        same = known if known and known.uidvalidity == look.uidvalidity else None
        lower = same.lower if same else look.next_uid if look.next_uid > 1 else 0
        yield Cursor(look.folder, look.uidvalidity, look.next_uid, digest, lower)


def _ends(problem: Exception) -> bool:
    """Whether nothing more can be done in this pass."""
    return isinstance(problem, UnreachableError | CredentialError | SealError)


def _unlooked(source: Source, looks: Iterable[Look]) -> Iterator[Exception]:
    for look in looks:
        if look.problem:
            yield SourceError(f"{source.name}: a folder was not looked through: {look.problem}")


def _too_many(source: Source) -> NocontactError:
    return NocontactError(
        f"{source.name}: what is older was left alone: more matches than max_per_pass allows",
        "see `nocontact plan`; if the entries are right, raise max_per_pass; new messages are taken out regardless",
    )

"""One pass over one source. The order in `poll` is the whole safety argument.

A message is removed only with a receipt in hand; a receipt exists only once its record is
durable; and it is in the ledger before the source is touched. Whichever line this process dies
on, each message is still at the source, or in the archive, or in both:

    after 1 to 4   nothing has happened, and the next pass begins anew
    after 5        in both; `_settle` takes the receipt up, or it is sealed again and folded later
    after 6 to 8   `_settle` removes what is left of it, whether a scan still shows it or not

Nobody else's message is touched but one that our own rule on the server filed by mistake: `_put_back`
moves it to the inbox. Whatever is in doubt about it, it stays in that folder, and a look says so.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from nocontactd.decide import Policy, decide, plan
from nocontactd.errors import CredentialError, NocontactError, SealError, SourceError, UnreachableError
from nocontactd.model import Cursor, Envelope, Look, MessageRef, PutBack, Receipt, Report, Seal, Steps
from nocontactd.ports import Ledger, Relay, Sealer, Source
from nocontactd.relay import pass_on

GROUP_MESSAGES = 500
GROUP_OCTETS = 32 * 1024 * 1024


def poll(
    source: Source,
    sealer: Sealer,
    ledger: Ledger,
    policy: Policy,
    now: Callable[[], datetime],
    relay: Relay | None = None,
) -> Report:
    """One look: what listed people sent is sealed, then removed; what our rule misfiled goes back to the inbox.

    SourceError, CredentialError: it could not be looked at. SealError: the ledger cannot be
    written. In either case nothing was removed that is not durable.
    """
    looks: list[Look] = []
    cursors = ledger.cursors(source.name)
    problems = _settle(source, sealer, ledger)  # what an earlier pass left between 5 and 9
    taken = frozenset(receipt.ref for receipt in ledger.open(source.name))
    envelopes = _scan(source, cursors, policy.digest, looks)  # 1 scan
    steps = plan(envelopes, policy, taken)  # 2 plan, 3 guard
    unsealed = {step.envelope.ref for step in steps.seals}
    try:
        for group in _groups(steps.seals):
            done, failures = _seal(group, source, sealer, ledger, policy)  # 4 fetch, 5 seal, 6 note
            problems += failures
            problems += _remove(done, source, ledger)  # 7 remove, 8 confirm, 9 close
            unsealed -= {step.envelope.ref for step in group} if not failures else {r.ref for r in done}
            if any(isinstance(failure, UnreachableError) for failure in failures):
                break
        _note(steps, sealer, ledger)
    except SealError as problem:  # the archive is full or gone: other people's texts still go on
        problems.append(problem)
        unsealed |= {step.envelope.ref for step in steps.notes}
    left, failures = _put_back([step for step in steps.put_backs if step.envelope.ref not in unsealed], source)
    problems += failures
    waiting = pass_on(steps.relays, relay, ledger, now) if relay else []
    stuck = {ref.folder for ref in unsealed | left} | ({""} if waiting else set())
    ledger.advance(source.name, _advanced(looks, cursors, stuck, steps, policy.digest))
    return Report(source.name, tuple(looks), len(steps.seals), (*problems, *waiting, *_unlooked(source, looks, steps)))


def _settle(source: Source, sealer: Sealer, ledger: Ledger) -> list[Exception]:
    """Finish what an earlier pass began: reservations become receipts or nothing, receipts end."""
    for ref, record in ledger.reserved(source.name):
        receipt = sealer.recall(record, ref)
        if receipt:
            ledger.note([receipt])
        else:
            ledger.release([ref])
    return _remove(ledger.open(source.name), source, ledger)


def _scan(source: Source, cursors: Mapping[str, Cursor], rules: str, looks: list[Look]) -> Iterator[Envelope]:
    for item in source.scan(cursors, rules):
        if isinstance(item, Look):
            looks.append(item)
        else:
            yield item


def _seal(
    group: Sequence[Seal], source: Source, sealer: Sealer, ledger: Ledger, policy: Policy
) -> tuple[tuple[Receipt, ...], list[Exception]]:
    """Fetch, decide once more on the very octets, seal, note. One that fails holds up no other."""
    failures: list[Exception] = []
    refs = [step.envelope.ref for step in group]
    with sealer.batch(refs) as batch:
        ledger.reserve(zip(refs, batch.records, strict=True))
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


def _put_back(steps: Sequence[PutBack], source: Source) -> tuple[set[MessageRef], list[Exception]]:
    """What our rule filed and may pass goes to the inbox; what did not go, and why."""
    refs = {step.envelope.ref for step in steps}
    try:
        return refs - source.put_back(steps) if steps else refs, []
    except (SourceError, CredentialError) as problem:
        return refs, [problem]


def _note(steps: Steps, sealer: Sealer, ledger: Ledger) -> None:
    for step in steps.notes:
        if not ledger.noted(step.envelope.ref):
            sealer.note(step.envelope, step.verdict)
            ledger.remember_note(step.envelope.ref)


def _groups(seals: Sequence[Seal]) -> Iterator[Sequence[Seal]]:
    """Pieces that are sealed and removed together, so that neither time nor memory grows with the sweep."""
    group: list[Seal] = []
    octets = 0
    for step in seals:
        if group and (len(group) == GROUP_MESSAGES or octets + step.envelope.size > GROUP_OCTETS):
            yield group
            group, octets = [], 0
        group.append(step)
        octets += step.envelope.size
    if group:
        yield group


def _advanced(
    looks: Iterable[Look], before: Mapping[str, Cursor], stuck: set[str], steps: Steps, digest: str
) -> Iterator[Cursor]:
    """How far each folder is done with; one where anything waits is looked through again."""
    for look in looks:
        if look.problem or look.folder in stuck:
            continue
        rules = digest
        if steps.too_many:
            known = before.get(look.folder)
            rules = known.rules if known and known.uidvalidity == look.uidvalidity else ""
        yield Cursor(look.folder, look.uidvalidity, look.next_uid, rules)


def _unlooked(source: Source, looks: Iterable[Look], steps: Steps) -> Iterator[Exception]:
    for look in looks:
        if look.problem:
            yield SourceError(f"{source.name}: a folder was not looked through: {look.problem}")
    if steps.too_many:
        yield NocontactError(
            f"{source.name}: what is older was left alone: more matches than max_per_pass allows",
            "see `nocontact plan`; if the entries are right, raise max_per_pass; new messages are taken out regardless",
        )

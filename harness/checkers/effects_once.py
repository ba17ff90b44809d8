from collections import Counter

from msgspec import Struct

from harness.checkers.base import Finding, cannot_judge, named, plural
from harness.contract import AtLeastOnce, EffectivelyOnce, Extractor, Header
from harness.events import BaselineRecorded, EffectApplied, Event, JobId
from harness.history import History, extract
from harness.verdict import held, unknown, violated

# What receivers deduplicate on where nobody has told: providers' own header, and a mail's.
KNOWN_KEYS = (Header("Idempotency-Key"), Header("X-Idempotency-Key"), Header("Message-ID"))


class EffectsOnce(Struct, frozen=True):
    """No effect of a job was applied more often than in the fault-free run, by count and by key.

    By count: how often the downstream changed. By key: how many different keys it changed under, which is what a
    receiver that deduplicates would see. Without a baseline each request of other content is expected once.
    """

    guarantee: str = "effects-once"
    sentence: str = "No effect was applied twice, neither by count nor by key."

    def check(self, history: History) -> Finding:
        doubled: list[str] = []
        under_one_key: list[str] = []
        witnesses: list[Event] = []
        keyed: list[Event] = []
        baseline = history.of(BaselineRecorded)
        for job, applied in history.effects.items():
            usual = Counter(label for label, _ in baseline[-1].effects.get(job, ())) if baseline else None
            for label in dict.fromkeys(event.label for event in applied):
                events = [event for event in applied if event.label == label]
                contents = {history.content(job, event) for event in events}
                expected = len(contents) if usual is None else max(usual[label], 1)
                by_count, (by_key, name) = len(events), _by_key(history, job, events)
                if _allowed(history, job, by_count=by_count, by_key=by_key, expected=expected):
                    continue
                if _is_untold(history, job) and by_key is not None and by_key <= expected:
                    under_one_key.append(
                        f"{label} of {job} was applied {by_count} times by count, {by_key} by key: it carried the same "
                        f"{name} each time, and whether its receiver deduplicates on that is not told; if it does, "
                        f"say honours_key=Header({name!r})"
                    )
                    keyed += [history.requests[event.request] for event in events]
                    continue
                keys = "it carried no key" if by_key is None else f"{plural(by_key, 'different key')} by key"
                doubled.append(f"{label} of {job} was applied {by_count} times by count, {keys}; {expected} expected")
                witnesses += [history.requests[event.request] for event in events]
                witnesses += events
        if doubled:
            return violated(named(doubled), *witnesses)
        if unjudged := cannot_judge(history):
            return unjudged
        if under_one_key:
            return unknown(named(under_one_key), *keyed)
        if history.unattributed:
            return unknown(
                f"{plural(len(history.unattributed), 'applied effect')} could not be attributed to any job: say in the "
                f"contract to which job {history.unattributed[0].label} belongs",
                *history.unattributed,
            )
        total = sum(len(applied) for applied in history.effects.values())
        return held(f"{plural(total, 'effect')} applied, none twice by count, none twice by key")


def _by_key(history: History, job: JobId, events: list[EffectApplied]) -> tuple[int | None, str]:
    """How many different keys the effects carried, None if one of them carried none; and where it stands."""
    for key in _keys_of(history, job):
        keys = [extract(key, history.requests[event.request]) for event in events]
        if None not in keys:
            return len(set(keys)), key.name if isinstance(key, Header) else str(key)
    return None, ""


def _keys_of(history: History, job: JobId) -> tuple[Extractor, ...]:
    """Where the contract says that its key stands; where it says nothing, where keys are known to stand."""
    if _is_untold(history, job):
        return KNOWN_KEYS
    task = history.task(job)
    if task is None or not isinstance(task.promise, EffectivelyOnce | AtLeastOnce) or task.promise.key is None:
        return ()
    return (task.promise.key,)


def _is_untold(history: History, job: JobId) -> bool:
    task = history.task(job)
    return task is not None and task.promise is None


def _allowed(history: History, job: JobId, *, by_count: int, by_key: int | None, expected: int) -> bool:
    task = history.task(job)
    if by_count <= expected:
        return True
    if task is not None and isinstance(task.promise, AtLeastOnce):
        return task.promise.key is None or (by_key is not None and by_key <= expected)
    return False

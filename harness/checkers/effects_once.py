from collections import Counter

from msgspec import Struct

from harness.checkers.base import Finding, cannot_judge, named, plural
from harness.contract import AtLeastOnce, EffectivelyOnce, Extractor
from harness.events import BaselineRecorded, EffectApplied, Event, JobId
from harness.history import History, extract
from harness.verdict import held, unknown, violated


class EffectsOnce(Struct, frozen=True):
    """No effect of a job was applied more often than in the fault-free run, by count and by key.

    By count: how often the downstream changed. By key: how many different keys it changed under, which is what a
    receiver that deduplicates would see. Without a baseline each request of other content is expected once.
    """

    guarantee: str = "effects-once"
    sentence: str = "No effect was applied twice, neither by count nor by key."

    def check(self, history: History) -> Finding:
        doubled: list[str] = []
        witnesses: list[Event] = []
        baseline = history.of(BaselineRecorded)
        for job, applied in history.effects.items():
            usual = Counter(label for label, _ in baseline[-1].effects.get(job, ())) if baseline else None
            for label in dict.fromkeys(event.label for event in applied):
                events = [event for event in applied if event.label == label]
                contents = {history.requests[event.request].fingerprint for event in events}
                expected = len(contents) if usual is None else max(usual[label], 1)
                by_count, by_key = len(events), self._by_key(history, job, events)
                if _allowed(history, job, by_count=by_count, by_key=by_key, expected=expected):
                    continue
                keys = "it carried no key" if by_key is None else f"{plural(by_key, 'different key')} by key"
                doubled.append(f"{label} of {job} was applied {by_count} times by count, {keys}; {expected} expected")
                witnesses += [history.requests[event.request] for event in events]
                witnesses += events
        if doubled:
            return violated(named(doubled), *witnesses)
        if unjudged := cannot_judge(history):
            return unjudged
        if history.unattributed:
            return unknown(
                f"{plural(len(history.unattributed), 'applied effect')} could not be attributed to any job: say in the "
                f"contract to which job {history.unattributed[0].label} belongs",
                *history.unattributed,
            )
        total = sum(len(applied) for applied in history.effects.values())
        return held(f"{plural(total, 'effect')} applied, none twice by count, none twice by key")

    @staticmethod
    def _by_key(history: History, job: JobId, events: list[EffectApplied]) -> int | None:
        """How many different keys the effects carried; None if one of them carried none."""
        key = _key_of(history, job)
        if key is None:
            return None
        keys = [extract(key, history.requests[event.request]) for event in events]
        return None if None in keys else len(set(keys))


def _key_of(history: History, job: JobId) -> Extractor | None:
    task = history.task(job)
    if task is None or not isinstance(task.promise, EffectivelyOnce | AtLeastOnce):
        return None
    return task.promise.key


def _allowed(history: History, job: JobId, *, by_count: int, by_key: int | None, expected: int) -> bool:
    task = history.task(job)
    if by_count <= expected:
        return True
    if task is not None and isinstance(task.promise, AtLeastOnce):
        return task.promise.key is None or (by_key is not None and by_key <= expected)
    return False

from collections import Counter

from msgspec import Struct

from harness.checkers.base import Finding, cannot_judge, named, plural
from harness.events import Event, MessageDoubled
from harness.history import History
from harness.verdict import held, unknown, violated


class AttemptsBounded(Struct, frozen=True):
    """The body of a job starts at most `attempts_max` times, and once more for each copy that the harness added.

    Submitting the same work again makes no new job, and so no new budget.
    """

    guarantee: str = "attempts-bounded"
    sentence: str = "No job was attempted more often than its contract allows."

    def check(self, history: History) -> Finding:
        over: list[str] = []
        witnesses: list[Event] = []
        most = 0
        copies = Counter(event.job for event in history.of(MessageDoubled))
        for job, starts in history.attempts.items():
            task = history.task(job)
            most = max(most, len(starts))
            allowed = copies[job] + (task.attempts_max if task is not None else 0)
            if task is not None and len(starts) > allowed:
                over.append(f"the body of {job} started {len(starts)} times; {allowed} are allowed")
                witnesses += starts
        if over:
            return violated(named(over), *witnesses)
        if unjudged := cannot_judge(history):
            return unjudged
        if unseen := [job for job, starts in history.attempts.items() if not starts and history.effects[job]]:
            return unknown(f"the probe saw no attempt of {named(unseen)}, which had its effect: its log is incomplete")
        return held(f"at most {plural(most, 'attempt')} of one job")

from collections import Counter

from msgspec import Struct

from harness.checkers.base import Finding, cannot_judge, named
from harness.events import Delivered, Event, JobId
from harness.history import History
from harness.verdict import held, unknown, violated


class AttemptsBounded(Struct, frozen=True):
    """The body of a job starts at most `attempts_max` times, whatever happens to it."""

    guarantee: str = "attempts-bounded"
    sentence: str = "No job was attempted more often than its contract allows."

    def check(self, history: History) -> Finding:
        over: list[str] = []
        witnesses: list[Event] = []
        most = 0
        for job, starts in history.attempts.items():
            task = history.task(job)
            most = max(most, len(starts))
            if task is not None and len(starts) > task.attempts_max:
                over.append(f"the body of {job} started {len(starts)} times; {task.attempts_max} are allowed")
                witnesses += starts
        if over:
            return violated(named(over), *witnesses)
        if unjudged := cannot_judge(history):
            return unjudged
        if unseen := _delivered_without_attempt(history):
            return unknown(
                f"the probe saw no attempt of {named(list(unseen))}, although the broker delivered it: "
                f"its log is incomplete"
            )
        return held(f"at most {most} attempts of one job")


def _delivered_without_attempt(history: History) -> list[JobId]:
    """Jobs whose effect is in the ledger but of which the probe recorded no attempt: its counting proves nothing."""
    deliveries = Counter(history.job_of(event.message) for event in history.of(Delivered))
    return [job for job, starts in history.attempts.items() if not starts and deliveries[job] and history.effects[job]]

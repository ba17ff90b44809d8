from collections import Counter
from collections.abc import Iterator, Sequence

from msgspec import Struct

from harness.checkers.base import Finding, cannot_judge, named, plural
from harness.contract import Task
from harness.events import AttemptEnded, AttemptStarted, Event, MessageDoubled
from harness.history import History
from harness.verdict import held, unknown, violated

RETRY = "RETRY"  # the state in which the probe saw an attempt end that is to be tried again


class AttemptsBounded(Struct, frozen=True):
    """The body of a job starts at most `attempts_max` times, and once more for each copy that the harness added.

    Submitting the same work again makes no new job, and so no new budget. A retry begins no sooner after the attempt
    before it than `backoffs_seconds_min` says: a machine that is busy makes waits longer, never shorter.
    """

    guarantee: str = "attempts-bounded"
    sentence: str = "No job was attempted more often, or again sooner, than its contract allows."

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
            for early, sooner in _too_soon(history, starts, task):
                over.append(f"{job}: {sooner}")
                witnesses += early
        if over:
            return violated(named(over), *witnesses)
        if unjudged := cannot_judge(history):
            return unjudged
        if unseen := [job for job, starts in history.attempts.items() if not starts and history.effects[job]]:
            return unknown(f"the probe saw no attempt of {named(unseen)}, which had its effect: its log is incomplete")
        return held(f"at most {plural(most, 'attempt')} of one job")


def _too_soon(
    history: History, starts: Sequence[AttemptStarted], task: Task | None
) -> Iterator[tuple[tuple[Event, ...], str]]:
    """Each retry that began too soon after the attempt before it had ended, with the two events that prove it.

    Only of a job whose attempts are one plain row of retries: after a crash or a second delivery an attempt need not be
    the one before the next.
    """
    if task is None or [start.retries for start in starts] != list(range(len(starts))):
        return
    for start, least in zip(starts[1:], task.backoffs_seconds_min, strict=False):
        ended = [
            event
            for event in history.of(AttemptEnded)
            if event.message == start.message and event.state == RETRY and event.at <= start.at
        ]
        if len(ended) == start.retries and (waited := start.at - ended[-1].at) < least:
            yield (
                (ended[-1], start),
                f"retry {start.retries} began {waited:.3f} s after the attempt before it; {least:g} s are the least",
            )

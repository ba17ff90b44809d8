from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise

from msgspec import Struct

from harness.checkers.base import Finding, cannot_judge, named, plural
from harness.contract import UNTOLD, Task
from harness.events import AttemptStarted, CountdownShortened, Event, MessageDoubled, MessageId
from harness.history import History
from harness.verdict import held, unknown, violated


class AttemptsBounded(Struct, frozen=True):
    """The body of a job starts at most `attempts_max` times, and once more for each copy that the harness added.

    Submitting the same work again makes no new job, and so no new budget. A retry begins no sooner after the attempt
    before it has begun than `backoffs_seconds_min` says: a machine that is busy makes waits longer, never shorter. A
    wait that the harness has shortened is not compared.
    """

    guarantee: str = "attempts-bounded"
    sentence: str = "No job was attempted more often, or again sooner, than its contract allows."

    def check(self, history: History) -> Finding:
        over: list[str] = []
        witnesses: list[Event] = []
        unbounded: list[str] = []
        most = 0
        copies = Counter(event.job for event in history.of(MessageDoubled))
        shortened = {(event.message, event.retries) for event in history.of(CountdownShortened)}
        for job, starts in history.attempts.items():
            task = history.task(job)
            most = max(most, len(starts))
            bound = task.attempts_max if task is not None else UNTOLD
            allowed = copies[job] + bound
            if bound == UNTOLD:
                unbounded.append(job)
            elif len(starts) > allowed:
                over.append(f"the body of {job} started {len(starts)} times; {allowed} are allowed")
                witnesses += starts
            for early, sooner in _too_soon(starts, task, shortened):
                over.append(f"{job}: {sooner}")
                witnesses += early
        if over:
            return violated(named(over), *witnesses)
        if unjudged := cannot_judge(history):
            return unjudged
        if unseen := [job for job, starts in history.attempts.items() if not starts and history.effects[job]]:
            return unknown(f"the probe saw no attempt of {named(unseen)}, which had its effect: its log is incomplete")
        if unbounded and len(unbounded) == len(history.attempts):
            return unknown("nobody has told how often a job may be attempted, and the application does not bound it")
        rest = f"; no bound is told for {named(unbounded)}" if unbounded else ""
        return held(f"at most {plural(most, 'attempt')} of one job{rest}")


def _too_soon(
    starts: Sequence[AttemptStarted], task: Task | None, shortened: Collection[tuple[MessageId, int]]
) -> Iterator[tuple[tuple[Event, ...], str]]:
    """Each retry that began too soon after the attempt before it had begun, with the two events that prove it.

    From start to start: when exactly an attempt asked for the next is not seen from outside, but not before it began.
    Only of a job whose attempts are one plain row of retries: after a crash or a second delivery an attempt need not be
    the one before the next.
    """
    if task is None or [start.retries for start in starts] != list(range(len(starts))):
        return
    for (before, start), least in zip(pairwise(starts), task.backoffs_seconds_min, strict=False):
        if (waited := start.at - before.at) < least and (start.message, start.retries) not in shortened:
            yield (
                (before, start),
                f"retry {start.retries} began {waited:.3f} s after the attempt before it; {least:g} s are the least",
            )

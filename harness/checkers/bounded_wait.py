from msgspec import Struct

from harness.checkers.base import Finding, cannot_judge, named, plural
from harness.events import DeadLettered, EffectApplied, Event, FaultEnded, JobId, QueueDrained
from harness.history import History
from harness.verdict import held, unknown, violated


class BoundedWait(Struct, frozen=True):
    """From enqueued, or the last fault healed before it, to the first effect or the dead letter: the contract's bound.

    Measured on the harness's and the ledger's clock. A dead letter is taken to have been written when the queues were
    drained, which is an upper bound. A job that never ended is nothing-lost's to judge; here it is named, not measured.
    """

    guarantee: str = "bounded-wait"
    sentence: str = "Every job ended within its bound after the faults were over."

    def check(self, history: History) -> Finding:
        if unjudged := cannot_judge(history):
            return unjudged
        late: list[str] = []
        witnesses: list[Event] = []
        unended: list[JobId] = []
        longest = 0.0
        for job, accepted in history.accepted.items():
            end = self._end(history, job)
            if end is None:
                unended.append(job)
                continue
            ended_at = end.at if isinstance(end, EffectApplied) else history.of(QueueDrained)[-1].at
            healed = max((event.at for event in history.of(FaultEnded) if event.at <= ended_at), default=0.0)
            waited = ended_at - max(accepted.at, healed)
            longest = max(longest, waited)
            task = history.task(job)
            bound = task.wait_seconds_max if task is not None else 0.0
            if waited > bound:
                late.append(f"{job} took {waited:.1f} s; {bound:g} s are allowed")
                witnesses += [accepted, end]
        if late:
            return violated(named(late), *witnesses)
        if len(unended) == len(history.accepted):
            return unknown("no job ended, so there is no wait to measure")
        rest = f"; {plural(len(unended), 'job')} never ended and so has no wait" if unended else ""
        return held(f"the longest wait was {longest:.1f} s{rest}")

    @staticmethod
    def _end(history: History, job: JobId) -> EffectApplied | DeadLettered | None:
        if history.effects[job]:
            return history.effects[job][0]
        letters = (letter for letter in history.of(DeadLettered) if history.job_of(letter.message) == job)
        return next(letters, None)

from msgspec import Struct

from harness.checkers.base import Finding, cannot_judge, named, plural
from harness.events import CountdownShortened, DeadLettered, EffectApplied, Event, FaultEnded, JobId, QueueDrained
from harness.history import History
from harness.verdict import held, unknown, violated


class BoundedWait(Struct, frozen=True):
    """From enqueued, or the last fault healed, to the job's first effect or its dead letter: the contract's bound.

    A job that was enqueued with a bound of its own has the tighter of the two. A fault that lasted until all was over
    excuses nothing: jobs have to get through it. What the harness has cut off a countdown is added again. Measured on
    the harness's and the ledger's clock. When a dead letter was written is not known, only that it was by the time the
    queues were drained: within the bound it is held, beyond it unknown. A job that never ended is nothing-lost's to
    judge.
    """

    guarantee: str = "bounded-wait"
    sentence: str = "Every job ended within its bound after the faults were over."

    def check(self, history: History) -> Finding:
        drained = max((event.at for event in history.of(QueueDrained)), default=float("inf"))
        healed = max((event.at for event in history.of(FaultEnded) if event.at <= drained), default=0.0)
        late: list[str] = []
        perhaps: list[str] = []
        witnesses: list[Event] = []
        unended: list[JobId] = []
        unpromised: list[JobId] = []
        longest = 0.0
        for job, accepted in history.accepted.items():
            end = self._end(history, job)
            task = history.task(job)
            own = history.enqueued[job].wait_seconds_max
            if task is not None and own is None and not task.gives("wait_seconds_max"):
                unpromised.append(job)
                continue
            if end is None or task is None:
                unended.append(job)
                continue
            ended_at = end.at if isinstance(end, EffectApplied) else drained
            waited = max(0.0, ended_at - max(accepted.at, healed))
            waited += _cut(history, job, ended_at)
            longest = max(longest, waited)
            allowed = task.wait_seconds_max if own is None else min(own, task.wait_seconds_max)
            if waited > allowed:
                told = late if isinstance(end, EffectApplied) else perhaps
                told.append(f"{job} took {waited:.1f} s; {allowed:g} s are allowed")
                witnesses += [accepted, end]
        if late:
            return violated(named(late), *witnesses)
        if unjudged := cannot_judge(history):
            return unjudged
        if perhaps:
            return unknown(f"when the dead letter was written is only known to within: {named(perhaps)}", *witnesses)
        if len(unpromised) == len(history.accepted):
            return unknown("nobody has told how long a job may wait")
        if len(unended) + len(unpromised) == len(history.accepted):
            return unknown("no job ended, so there is no wait to measure")
        rest = f"; {plural(len(unended), 'job')} never ended and so has no wait" if unended else ""
        rest += f"; no bound is told for {named(unpromised)}" if unpromised else ""
        return held(f"the longest wait was {longest:.1f} s{rest}")

    @staticmethod
    def _end(history: History, job: JobId) -> EffectApplied | DeadLettered | None:
        if history.effects[job]:
            return history.effects[job][0]
        return next(iter(history.letters[job]), None)


def _cut(history: History, job: JobId, until: float) -> float:
    """How much sooner the job ended than it would have by itself, in seconds; a redelivery waits for the same time."""
    found: dict[object, float] = {}
    for event in history.of(CountdownShortened):
        if event.at <= until and history.job_of(event.message) == job:
            wait = (event.message, event.retries)
            found[wait] = max(found.get(wait, 0.0), event.seconds - event.to_seconds)
    return sum(found.values())

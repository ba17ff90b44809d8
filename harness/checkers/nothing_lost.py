from msgspec import Struct

from harness.checkers.base import Finding, cannot_judge, named, plural
from harness.contract import AtMostOnce
from harness.events import Acknowledged, DeadLettered, Event, FaultLanded, JobId, NodeExited
from harness.history import History
from harness.verdict import held, violated


class NothingLost(Struct, frozen=True):
    """Every accepted job, by identity, has its effect or a dead letter. A task's own word counts for nothing."""

    guarantee: str = "nothing-lost"
    sentence: str = "Every accepted job has had its effect or is a dead letter."

    def check(self, history: History) -> Finding:
        dead = {history.job_of(letter.message) for letter in history.of(DeadLettered)}
        lost = [
            job
            for job in history.accepted
            if not history.effects[job] and job not in dead and not _may_be_missing(history, job)
        ]
        # What is missing may still come until the queues are drained: only then is it lost.
        if unjudged := cannot_judge(history):
            return unjudged
        if not lost:
            return held(f"{plural(len(history.accepted), 'accepted job')}, each with its effect or a dead letter")
        return violated(
            f"{plural(len(lost), 'accepted job')} without any effect and without a dead letter: {named(list(lost))}; "
            f"the queues are empty, so it will never come",
            *(event for job in lost for event in _story(history, job)),
        )


def _may_be_missing(history: History, job: JobId) -> bool:
    """At most once permits a loss, but not of a job that was to end as a dead letter."""
    task = history.task(job)
    return task is not None and isinstance(task.promise, AtMostOnce) and job in history.expected_done()


def _story(history: History, job: JobId) -> list[Event]:
    message = history.accepted[job].message
    acknowledged = [event for event in history.of(Acknowledged) if event.message == message]
    met = [event for event in history.of(FaultLanded) if job in event.jobs]
    exits = list(history.of(NodeExited)) if not met else []
    return [history.accepted[job], *history.attempts.get(job, ()), *met, *exits, *acknowledged]

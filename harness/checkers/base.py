"""What every checker is, and the two questions that most of them ask first."""

from collections.abc import Sequence
from typing import Protocol, TypeAlias

from harness.contract import AtMostOnce
from harness.events import DrainTimedOut, EnqueueReturned, Event, FaultLanded, JobId
from harness.history import History
from harness.verdict import Status, unknown

Finding: TypeAlias = tuple[Status, str, tuple[Event, ...]]


class Checker(Protocol):
    @property
    def guarantee(self) -> str: ...

    @property
    def sentence(self) -> str: ...

    def check(self, history: History) -> Finding: ...


def cannot_judge(history: History) -> Finding | None:
    """Unknown where nothing can be concluded from what is *not* there: nothing was accepted, things may still happen,
    or the record ends before what was left behind had been read. What is proven by what is there needs none of this.
    """
    if not history.accepted:
        return unknown("no job was accepted, so nothing was put to the test")
    if not history.drained:
        timed_out = history.of(DrainTimedOut)
        left = f" ({timed_out[-1].left})" if timed_out else ""
        return unknown(f"the queues never drained{left}, so what is missing may still come", *timed_out)
    if not history.complete:
        return unknown("the record ends before what was left behind had been read")
    return None


def may_be_missing(history: History, job: JobId) -> bool:
    """At most once permits a loss: after a fault, and of a job that was not to end as a dead letter.

    Not of one that was accepted a second time: who asks again because nothing came of it must not be turned away.
    """
    task = history.task(job)
    permits = task is not None and isinstance(task.promise, AtMostOnce)
    accepted = [event for event in history.of(EnqueueReturned) if event.job == job and event.outcome == "ok"]
    return permits and len(accepted) == 1 and bool(history.of(FaultLanded)) and job not in history.expected_dead()


def plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def named(items: Sequence[str], limit: int = 3) -> str:
    """The first few of a list, for a sentence."""
    shown = ", ".join(items[:limit])
    return shown if len(items) <= limit else f"{shown} and {len(items) - limit} more"

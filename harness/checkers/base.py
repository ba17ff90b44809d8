"""What every checker is, and the two questions that most of them ask first."""

from typing import Protocol, TypeAlias

from harness.events import DrainTimedOut, Event
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
    """Unknown where no guarantee could speak: nothing was accepted, or things may still happen."""
    if not history.accepted:
        return unknown("no job was accepted, so nothing was put to the test")
    if not history.drained:
        timed_out = history.of(DrainTimedOut)
        left = f" ({timed_out[-1].left})" if timed_out else ""
        return unknown(f"the queues never drained{left}, so what is missing may still come", *timed_out)
    return None


def plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def named(items: list[str], limit: int = 3) -> str:
    """The first few of a list, for a sentence."""
    shown = ", ".join(items[:limit])
    return shown if len(items) <= limit else f"{shown} and {len(items) - limit} more"

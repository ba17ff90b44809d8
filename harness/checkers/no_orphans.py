from msgspec import Struct

from harness.checkers.base import Finding, cannot_judge, named
from harness.events import LeftBehind
from harness.history import History
from harness.verdict import held, violated


class NoOrphans(Struct, frozen=True):
    """No process outlived the worker that started it, and no file stayed in a directory that was to be empty."""

    guarantee: str = "no-orphans"
    sentence: str = "Nothing was left behind: no process, no file."

    def check(self, history: History) -> Finding:
        if left := history.of(LeftBehind):
            told = [f"the {event.kind} {event.name}" + (f" of {event.node}" if event.node else "") for event in left]
            return violated(f"left behind: {named(told)}", *left)
        if unjudged := cannot_judge(history):
            return unjudged
        return held("no process and no file was left behind")

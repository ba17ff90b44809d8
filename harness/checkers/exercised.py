from msgspec import Struct

from harness.checkers.base import Finding, cannot_judge, named, plural
from harness.events import CanarySent, FaultLanded, FaultMissed
from harness.history import History
from harness.verdict import held, unknown


class Exercised(Struct, frozen=True):
    """Every planned fault landed, and met at least one job in flight. Otherwise the run says nothing: unknown.

    A fault that was to meet idle workers has canaries instead, which were sent after it.
    """

    guarantee: str = "exercised"
    sentence: str = "Every planned fault landed on a job in flight."

    def check(self, history: History) -> Finding:
        if unjudged := cannot_judge(history):
            return unjudged
        landed = {event.step: event for event in history.of(FaultLanded)}
        missed = {event.step: event for event in history.of(FaultMissed)}
        canaries = {event.job for event in history.of(CanarySent)}
        failures: list[str] = []
        for step, sentence in enumerate(history.began.steps):
            if step in missed:
                failures.append(f"step {step + 1} ({sentence}) did not land: {missed[step].because}")
            elif step not in landed:
                failures.append(f"step {step + 1} ({sentence}) was never reached")
            elif not landed[step].jobs and not (landed[step].idle and canaries):
                failures.append(f"step {step + 1} ({sentence}) landed, but met no job in flight")
        if failures:
            return unknown(named(failures), *missed.values())
        if not history.began.steps:
            return unknown("no fault was planned, so nothing was put to the test")
        met = sorted({job for event in landed.values() for job in event.jobs} or canaries)
        return held(f"{plural(len(landed), 'fault')} landed, on {named(met)}")

from collections import Counter

from msgspec import Struct

from harness.checkers.base import Finding, cannot_judge, named, plural
from harness.contract import AtMostOnce
from harness.events import BaselineRecorded, EffectApplied, JobId, StateRecorded
from harness.history import History
from harness.verdict import held, unknown, violated


class SameOutcome(Struct, frozen=True):
    """What the faulted run left behind equals what its fault-free twin left behind.

    Compared are the content of each job's effects (as a set: how often is the business of effects-once) and the rows
    of the tables that the contract names. Jobs that were to end as dead letters are expected to have had no effect.
    """

    guarantee: str = "same-outcome"
    sentence: str = "The end is the same as in the fault-free run."

    def check(self, history: History) -> Finding:
        if unjudged := cannot_judge(history):
            return unjudged
        baselines = history.of(BaselineRecorded)
        if not baselines:
            return unknown("there is no fault-free run of this workload to compare with")
        baseline = baselines[-1]
        if not baseline.drained:
            return unknown("the fault-free run itself never drained, so there is nothing to compare with", baseline)

        differences: list[str] = []
        witnesses: list[EffectApplied | StateRecorded] = []
        for job in history.accepted:
            usual = set(baseline.effects.get(job, ())) if job in history.expected_done() else set()
            found = {(event.label, history.requests[event.request].fingerprint) for event in history.effects[job]}
            if found == usual or (not found and _may_be_missing(history, job)):
                continue
            differences.append(_difference(job, found, usual))
            witnesses += history.effects[job]
        if not history.expected_dead():
            # A job that is made to fail leaves other rows behind than the twin's; its effects were compared above.
            for recorded in history.of(StateRecorded):
                usual_rows = baseline.state.get(recorded.table, ())
                if Counter(recorded.rows) != Counter(usual_rows):
                    differences.append(_rows_difference(recorded, usual_rows))
                    witnesses.append(recorded)
        if differences:
            return violated(named(differences), *witnesses)
        tables = len(history.of(StateRecorded)) if not history.expected_dead() else 0
        return held(f"effects of {plural(len(history.accepted), 'job')} and {plural(tables, 'table')} equal the twin's")


def _may_be_missing(history: History, job: JobId) -> bool:
    task = history.task(job)
    return task is not None and isinstance(task.promise, AtMostOnce)


def _difference(job: JobId, found: set[tuple[str, str]], usual: set[tuple[str, str]]) -> str:
    missing = sorted({label for label, _ in usual - found})
    extra = sorted({label for label, _ in found - usual})
    if missing and missing == extra:
        return f"{job}: {', '.join(missing)} was sent with other content than in the fault-free run"
    parts = [f"{label} is missing" for label in missing] + [f"{label} was not in the fault-free run" for label in extra]
    return f"{job}: {', '.join(parts)}"


def _rows_difference(recorded: StateRecorded, usual: tuple[tuple[object, ...], ...]) -> str:
    extra = list((Counter(recorded.rows) - Counter(usual)).elements())
    missing = list((Counter(usual) - Counter(recorded.rows)).elements())
    parts = [f"has {extra[0]!r}"] * bool(extra) + [f"lacks {missing[0]!r}"] * bool(missing)
    return f"table {recorded.table} {' and '.join(parts)} ({len(extra)} rows more, {len(missing)} missing)"

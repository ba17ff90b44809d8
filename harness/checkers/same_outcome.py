from collections import Counter
from math import inf

from msgspec import Struct

from harness.checkers.base import Finding, cannot_judge, may_be_missing, named, plural
from harness.events import BaselineRecorded, DrainTimedOut, Event, FilesRecorded, JobId, StateRecorded
from harness.history import History
from harness.left_files import compare_files
from harness.verdict import held, unknown, violated


class SameOutcome(Struct, frozen=True):
    """What the faulted run left behind equals what its fault-free twin left behind.

    Compared are the content of each job's effects (as a set: how often is the business of effects-once), the rows of
    the tables, and the files of the folders that the contract names. Jobs that were to end as dead letters are expected
    to have had no effect; where being done and being given up were both open, no effect but the twin's. Once the
    harness has given up waiting it heals what was to last until the end, and what the job then does is the outcome of
    no fault: it is not compared. Nor is a job that the twin itself gave up, and what then lies in tables and folders.
    """

    guarantee: str = "same-outcome"
    sentence: str = "The end is the same as in the fault-free run."

    def check(self, history: History) -> Finding:
        baselines = history.of(BaselineRecorded)
        if not baselines:
            return unknown("there is no fault-free run of this workload to compare with")
        baseline = baselines[-1]
        if not baseline.drained:
            return unknown("the fault-free run itself never drained, so there is nothing to compare with", baseline)
        unjudged = cannot_judge(history)

        gave_up_at = min((event.at for event in history.of(DrainTimedOut)), default=inf)
        differences: list[str] = []
        witnesses: list[Event] = []
        for job in history.accepted:
            if job in baseline.given_up:
                continue
            usual = set() if job in history.expected_dead() else set(baseline.effects.get(job, ()))
            effects = [event for event in history.effects[job] if event.at <= gave_up_at]
            found = {(event.label, history.content(job, event)) for event in effects}
            if unjudged or job in history.expected_either():
                usual &= (
                    found  # what is missing may still come or was given up; what was not so in the twin's is proven
                )
            if found == usual or (not found and may_be_missing(history, job)):
                continue
            differences.append(_difference(job, found, usual))
            witnesses += effects
        ends_alike = not unjudged and not baseline.given_up
        tables, unread = self._compare_tables(history, baseline, differences, witnesses) if ends_alike else (0, [])
        folders = _compare_folders(history, baseline) if ends_alike else _Folders()
        differences += folders.differences
        witnesses += folders.witnesses
        if differences:
            return violated(named(differences), *witnesses)
        if unjudged := unjudged or _gave_up(baseline):
            return unjudged
        unread = [f"table {name}" for name in unread] + [f"folder {name}" for name in folders.unread]
        if unread:
            return unknown(f"{named(unread)} of the contract was not read in this run and in its twin")
        compared = [f"effects of {plural(len(history.accepted), 'job')}", plural(tables, "table")]
        compared += [plural(folders.files, "file")] if history.contract.folders else []
        litter = f"; left unfinished, and not compared: {named(folders.litter)}" if folders.litter else ""
        return held(f"{', '.join(compared[:-1])} and {compared[-1]} equal the twin's{litter}")

    @staticmethod
    def _compare_tables(
        history: History, baseline: BaselineRecorded, differences: list[str], witnesses: list[Event]
    ) -> tuple[int, list[str]]:
        """How many tables were compared, and those of the contract that could not be."""
        if _leaves_others_behind(history):
            return 0, []
        recorded = {event.table: event for event in history.of(StateRecorded)}
        unread = []
        for table in history.contract.state:
            state = recorded.get(table.table)
            if state is None or table.table not in baseline.state:
                unread.append(table.table)
            elif Counter(state.rows) != Counter(baseline.state[table.table]):
                differences.append(_rows_difference(state, baseline.state[table.table]))
                witnesses.append(state)
        return len(history.contract.state) - len(unread), unread


def _gave_up(baseline: BaselineRecorded) -> Finding | None:
    """Unknown where the twin itself did not do what it should have done."""
    if not baseline.given_up:
        return None
    what = f"the fault-free run itself gave up {named(baseline.given_up)}"
    return unknown(f"{what}, and what that left behind is nothing to compare with", baseline)


class _Folders(Struct):
    files: int = 0
    differences: list[str] = []
    witnesses: list[Event] = []
    unread: list[str] = []
    litter: list[str] = []


def _compare_folders(history: History, baseline: BaselineRecorded) -> _Folders:
    result = _Folders()
    if _leaves_others_behind(history):
        return result
    recorded = {event.folder: event for event in history.of(FilesRecorded)}
    for folder in history.contract.folders:
        found, usual = recorded.get(folder.path), baseline.files.get(folder.path)
        if found is None or usual is None:
            result.unread.append(folder.path)
            continue
        compared = compare_files(folder.path, found.files, usual)
        result.files += len(usual)
        result.litter += compared.litter
        if compared.differences:
            result.differences += compared.differences
            result.witnesses.append(found)
    return result


def _leaves_others_behind(history: History) -> bool:
    """A job that is given up leaves other rows and files behind than the twin's; its effects are compared."""
    return bool(history.expected_dead() or history.expected_either())


def _difference(job: JobId, found: set[tuple[str, str]], usual: set[tuple[str, str]]) -> str:
    missing = sorted({label for label, _ in usual - found})
    extra = sorted({label for label, _ in found - usual})
    if missing and missing == extra:
        return f"{job}: {', '.join(missing)} was sent with other content than in the fault-free run"
    parts = [f"{label} is missing" for label in missing]
    parts += [f"{label} was not so in the fault-free run" for label in extra]
    return f"{job}: {', '.join(parts)}"


def _rows_difference(recorded: StateRecorded, usual: tuple[tuple[object, ...], ...]) -> str:
    extra = list((Counter(recorded.rows) - Counter(usual)).elements())
    missing = list((Counter(usual) - Counter(recorded.rows)).elements())
    parts = [f"has {row!r}" for row in extra[:1]] + [f"lacks {row!r}" for row in missing[:1]]
    return (
        f"table {recorded.table} {' and '.join(parts)} ({plural(len(extra), 'row')} too many, {len(missing)} missing)"
    )

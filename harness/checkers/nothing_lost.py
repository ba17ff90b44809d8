from collections import Counter

from msgspec import Struct

from harness.checkers.base import Finding, cannot_judge, may_be_missing, named, plural
from harness.contract import AtLeastOnce
from harness.events import DONE, Acknowledged, BaselineRecorded, Event, FaultLanded, JobId, NodeExited
from harness.history import History
from harness.verdict import held, unknown, violated


class NothingLost(Struct, frozen=True):
    """Every accepted job, by identity, has its effects or a dead letter. A task's own word counts for nothing.

    How many effects a job has is learnt from the fault-free run; without one it must have at least one.
    """

    guarantee: str = "nothing-lost"
    sentence: str = "Every accepted job has had its effects or is a dead letter."

    def check(self, history: History) -> Finding:
        if unjudged := cannot_judge(history):
            return unjudged
        unburied = [job for job in history.accepted if not history.letters[job] and not _is_unseen(history, job)]
        missing = {job: what for job in unburied if (what := _missing(history, job))}
        excused = [job for job in missing if may_be_missing(history, job)]
        lost = [job for job in missing if job not in excused]
        if lost and history.unattributed:
            return unknown(
                f"{named(lost)} without effect, but {plural(len(history.unattributed), 'effect')} could not be "
                f"attributed to any job and may be theirs",
                *history.unattributed,
            )
        given_up = {*history.expected_dead(), *history.expected_either()}
        if lost and history.contract.dead_letters is None and set(lost) <= given_up:
            return unknown(f"{named(lost)} may have been given up, and the contract does not say where dead letters go")
        if lost:
            told = [f"{job} ({missing[job]})" for job in lost]
            return violated(
                f"{plural(len(lost), 'accepted job')} lost: {named(told)}; no dead letter shows it, "
                f"and the queues are drained, so it will never come",
                *(event for job in lost for event in _story(history, job)),
            )
        if excused:
            return held(
                f"{plural(len(history.accepted), 'accepted job')}; {named(excused)} without effect, "
                f"which at-most-once permits after a fault"
            )
        return _nothing_missing(history)


def _nothing_missing(history: History) -> Finding:
    unseen = [job for job in history.accepted if _is_unseen(history, job)]
    kept = [name for name, is_there in _kept(history).items() if is_there]
    if unseen and not kept:
        return unknown(
            f"{named(unseen)}: no effect of it can be seen from outside, so a loss could not be seen either; name the "
            f"databases or the files that it writes, or point it at the played downstream"
        )
    what = " and ".join(kept)
    rest = f"; {named(unseen)} have none that the ledger sees, and are judged by {what} alone" if unseen else ""
    return held(f"{plural(len(history.accepted), 'accepted job')}, each with its effects or a dead letter{rest}")


def _kept(history: History) -> dict[str, bool]:
    return {"rows": bool(history.contract.state), "files": bool(history.contract.folders)}


def _is_unseen(history: History, job: JobId) -> bool:
    """Whether it was seen to have no effect at the ledger in fault-free runs: what it does is in its tables.

    Of a job that has to be given up a dead letter is due in any case.
    """
    task = history.task(job)
    call = history.enqueued[job]
    return task is not None and call.expected == DONE and not task.effects_of(call.identity)


def _missing(history: History, job: JobId) -> str:
    """What the job should have done and did not, in words; empty if nothing."""
    applied = [event.label for event in history.effects[job]]
    if not applied:
        return "no effect at all"
    baselines = history.of(BaselineRecorded)
    task = history.task(job)
    if not baselines or task is None or job in history.expected_dead():
        return ""
    effects = baselines[-1].effects.get(job, ())
    if isinstance(task.promise, AtLeastOnce):
        # A slow machine may have made the fault-free run itself repeat one, which then is nobody's due.
        effects = tuple(dict.fromkeys(effects))
    usual = [label for label, _ in effects]
    # Counted by the contract's rule and not by the label: a path may hold what differs from run to run.
    due = Counter(rule.request for rule in task.effects for label in usual if rule.matches(label))
    done = Counter(rule.request for rule in task.effects for label in applied if rule.matches(label))
    return ", ".join(f"{request} {count} times too few" for request, count in (due - done).items())


def _story(history: History, job: JobId) -> list[Event]:
    message = history.accepted[job].message
    acknowledged = [event for event in history.of(Acknowledged) if event.message == message]
    met = [event for event in history.of(FaultLanded) if job in event.jobs]
    exits = list(history.of(NodeExited)) if not met else []
    return [history.accepted[job], *history.attempts.get(job, ()), *met, *exits, *acknowledged]

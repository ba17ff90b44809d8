"""From a failing plan to the smallest one that still fails, within a budget of runs.

Greedy and deterministic: first the fewest steps, then the fewest jobs, then the simplest parameters. What is tried next
depends on what failed before, and nothing is tried twice. A plan is not the machine's scheduling, so one run proves
little: a smaller plan is taken only after it has failed each of several times, and the last one is run again and
counted.
"""

from collections.abc import Callable, Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from harness.codec import encode
from harness.explore.course import settled
from harness.faults import Fault, KillWorker, SubmitAgain, Together
from harness.faults.deliver_again import DeliverAgain
from harness.faults.downstream_rule import DownstreamFault
from harness.plan import AfterStep, AtCrashPoint, Plan, Step
from harness.system import PlannedJob, Target

BUDGET_RUNS = 40
KEPT_AFTER = 2
CONFIRMED_BY = 3

Fails = Callable[[Plan], bool]
"""Runs a plan once; whether it fails in the way that is to be kept."""


class Shrunk(Struct, frozen=True, kw_only=True):
    """The smallest plan that was found, and that `failed` of the last `of` runs of it failed.

    `exhausted`: the budget of runs ended before everything smaller had been tried.
    """

    plan: Plan
    failed: int
    of: int
    runs: int
    exhausted: bool


class _OutOfRuns(Exception):  # noqa: N818 - it ends a search, and is no error
    pass


def shrink(
    plan: Plan,
    fails: Fails,
    *,
    budget_runs: int = BUDGET_RUNS,
    kept_after: int = KEPT_AFTER,
    confirmed_by: int = CONFIRMED_BY,
) -> Shrunk:
    """The smallest plan that still fails, of those that `plan` can be made into by leaving out and simplifying.

    `kept_after`: how many times in a row a smaller plan has to fail; `confirmed_by`: how often the last one is run at
    the end, which is part of the budget. That `plan` itself has failed is taken for granted.
    """
    search = _Search(plan, fails, budget_runs=budget_runs - confirmed_by, kept_after=kept_after)
    exhausted = False
    try:
        search.fewest_steps()
        search.fewest_jobs()
        search.simplest_parameters()
    except _OutOfRuns:
        exhausted = True
    of = max(min(confirmed_by, budget_runs - search.runs), 0)
    failed = sum(fails(search.best) for _ in range(of))
    return Shrunk(plan=search.best, failed=failed, of=of, runs=search.runs + of, exhausted=exhausted)


class _Search:
    def __init__(self, plan: Plan, fails: Fails, *, budget_runs: int, kept_after: int) -> None:
        self.best = plan
        self.runs = 0
        self._fails = fails
        self._budget_runs = budget_runs
        self._kept_after = kept_after
        self._tried = {_identity(plan)}

    # --- passes ---

    def fewest_steps(self) -> None:
        """One alone, if one is enough; else one after the other is left out, as long as any can be.

        Steps that wait for another by its number stay together.
        """
        if any(isinstance(step.until, AfterStep) for step in self.best.steps):
            return
        count = len(self.best.steps)
        if count > 1 and any(self._takes_steps(_only(self.best.steps, number)) for number in range(count)):
            return
        while len(self.best.steps) > 1 and any(
            self._takes_steps(_without(self.best.steps, number)) for number in reversed(range(len(self.best.steps)))
        ):
            pass

    def fewest_jobs(self) -> None:
        """All that no step names at once, then halves of them, down to each alone."""
        told = encode(self.best.steps)
        spare = [job for job in self.best.workload if f'"{job.job}"'.encode() not in told]
        if len(spare) == len(self.best.workload):
            spare = spare[1:]  # a plan without any job runs nothing
        size = len(spare)
        while size:
            for start in range(0, len(spare), size):
                chunk = spare[start : start + size]
                if self._takes(_without_jobs(self.best, chunk)):
                    spare = [job for job in spare if job not in chunk]
                    break
            else:
                size //= 2
            size = min(size, len(spare))

    def simplest_parameters(self) -> None:
        """Each step as simple as it can be, until none can be made simpler."""
        while any(
            self._takes_steps(_instead(self.best.steps, number, step))
            for number in range(len(self.best.steps))
            for step in simpler(self.best.steps[number])
        ):
            pass

    # --- candidates ---

    def _takes_steps(self, kept: Sequence[Step | None]) -> bool:
        """Try what is left of the steps: placed anew, and as they were written where that is something else."""
        best = self.best
        placed = settled(best.contract, best.workload, best.steps, kept)
        as_written = tuple(step for step in kept if step is not None)
        candidates = (as_written,) if placed is None else (placed, as_written)
        return any(self._takes(replace(best, steps=steps)) for steps in candidates)

    def _takes(self, candidate: Plan) -> bool:
        """Whether the candidate failed as often as it must, and so is the best now.

        :raises _OutOfRuns: it could not be run that often
        """
        identity = _identity(candidate)
        if identity in self._tried:
            return False
        for _ in range(self._kept_after):
            if self.runs >= self._budget_runs:
                raise _OutOfRuns
            self.runs += 1
            if not self._fails(candidate):
                self._tried.add(identity)
                return False
        self._tried.add(identity)
        self.best = candidate
        return True


def simpler(step: Step) -> Iterator[Step]:
    """The same step with something simpler about it, the simplest first."""
    for fault in _simpler_faults(step.fault):
        yield replace(step, fault=fault)
    if isinstance(step.when, AtCrashPoint):
        for occurrence in dict.fromkeys((1, step.when.occurrence - 1)):
            if 0 < occurrence < step.when.occurrence:
                yield replace(step, when=replace(step.when, occurrence=occurrence))


def _simpler_faults(fault: Fault) -> Iterator[Fault]:
    match fault:
        case KillWorker(target=target, waiting_min=waiting):
            order = (Target.CHILD, Target.MAIN, Target.GROUP)
            yield from (replace(fault, target=each) for each in order[: order.index(target)])
            if waiting:
                yield replace(fault, waiting_min=0)
        case Together(faults=faults):
            yield from faults
        case SubmitAgain(again=again):
            yield DeliverAgain(job=again.job)
        case DownstreamFault(times=times, skip=skip):
            if times != 1:
                yield replace(fault, times=1)
            if skip:
                yield replace(fault, skip=0)
            if times is not None and times > 2:  # noqa: PLR2004 - from there on less is more than once
                yield replace(fault, times=times - 1)


def _only(steps: Sequence[Step], number: int) -> tuple[Step | None, ...]:
    return tuple(step if each == number else None for each, step in enumerate(steps))


def _without(steps: Sequence[Step], number: int) -> tuple[Step | None, ...]:
    return tuple(None if each == number else step for each, step in enumerate(steps))


def _instead(steps: Sequence[Step], number: int, step: Step) -> tuple[Step | None, ...]:
    return (*steps[:number], step, *steps[number + 1 :])


def _without_jobs(plan: Plan, jobs: Sequence[PlannedJob]) -> Plan:
    gone = {job.job for job in jobs}
    return replace(
        plan,
        workload=tuple(job for job in plan.workload if job.job not in gone),
        canaries=tuple(job for job in plan.canaries if job not in gone),
    )


def _identity(plan: Plan) -> bytes:
    return encode((plan.steps, plan.workload, plan.canaries))

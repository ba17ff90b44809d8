"""What came of running schedules, as a value, and how it is told."""

from collections.abc import Iterator, Sequence

from msgspec import Struct

from harness.checkers.base import plural
from harness.plan import Plan
from harness.result import GuaranteeResult, Outcome, Result, ScenarioResult
from harness.sampling import sample

EXERCISED = "exercised"


class Smallest(Struct, frozen=True, kw_only=True):
    """What a failing schedule could be shrunk to; `failed` of the last `of` runs of it violated `guarantee`.

    * `found`: what the last of those runs says, with the witnesses
    * `runs`, `twins`: what it took; a twin is the fault-free run that a smaller workload is compared with
    * `exhausted`: the budget of runs ended before everything smaller had been tried
    * `replay`: the one command that repeats it
    """

    schedule: str
    guarantee: str
    plan: Plan
    found: ScenarioResult
    failed: int
    of: int
    runs: int
    twins: int
    exhausted: bool
    replay: str


class CombineResult(Struct, frozen=True, kw_only=True):
    """`asked` for so many schedules; `schedules` are those that could be drawn, in their order, without the twin."""

    seed: int
    asked: int
    outcome: Outcome
    schedules: tuple[ScenarioResult, ...]
    smallest: tuple[Smallest, ...]
    result: Result
    harness_failures: tuple[str, ...] = ()

    @property
    def exercised(self) -> int:
        """In how many schedules every fault landed."""
        return sum(_status(schedule, EXERCISED) == "held" for schedule in self.schedules)

    @property
    def violated(self) -> tuple[str, ...]:
        return tuple(schedule.name for schedule in self.schedules if schedule.outcome == "violated")


def outcome_of_schedules(twin: Outcome, schedules: tuple[ScenarioResult, ...]) -> Outcome:
    """Violated if one is; held if nothing else is unknown than whether some faults landed, and some schedule was
    exercised. A schedule whose faults did not land says nothing, neither for nor against.
    """
    outcomes = {schedule.outcome for schedule in schedules}
    if "violated" in {twin, *outcomes}:
        return "violated"
    exercised = [schedule for schedule in schedules if _status(schedule, EXERCISED) == "held"]
    beside = [
        guarantee.status
        for schedule in schedules
        for guarantee in schedule.guarantees
        if guarantee.guarantee != EXERCISED
    ]
    return "held" if twin == "held" and exercised and set(beside) == {"held"} else "unknown"


def violated_in(schedule: ScenarioResult) -> tuple[GuaranteeResult, ...]:
    return tuple(guarantee for guarantee in schedule.guarantees if guarantee.status == "violated")


def simplest_failures(schedules: Sequence[ScenarioResult]) -> dict[str, ScenarioResult]:
    """By the first guarantee that they violate, the schedules with the fewest steps: each may be a bug of its own."""
    found: dict[str, ScenarioResult] = {}
    for schedule in sorted(schedules, key=lambda schedule: len(schedule.steps)):
        for guarantee in violated_in(schedule)[:1]:
            found.setdefault(guarantee.guarantee, schedule)
    return found


def told(result: CombineResult) -> Iterator[str]:
    """The end in sentences, one a line; what comes from the subject is not escaped."""
    drawn = len(result.schedules)
    fewer = f" (of {result.asked} asked for; there are no more)" if drawn < result.asked else ""
    yield f"{result.exercised} of {drawn} schedules were exercised{fewer}, {len(result.violated)} violated a guarantee"
    if drawn == result.asked:  # fewer are all that there are: they were enumerated
        failed = sum(_status(each, EXERCISED) == "held" and each.outcome != "held" for each in result.schedules)
        of = "of the schedules of one to four faults that could be drawn"
        yield sample("schedules that were drawn and exercised", draws=result.exercised, failed=failed, of=of).told
    for smallest in result.smallest:
        yield from _told(smallest)


def _told(smallest: Smallest) -> Iterator[str]:
    yield (
        f"{smallest.guarantee}: the smallest failing schedule, from {smallest.schedule}, "
        f"failed {smallest.failed} of {smallest.of} times ({plural(smallest.runs, 'run')} to shrink and confirm it, "
        f"{plural(smallest.twins, 'fault-free run')})"
        + ("; the budget ended before everything smaller had been tried" if smallest.exhausted else "")
    )
    yield f"  jobs: {', '.join(job.job for job in smallest.plan.workload)}"
    for step in smallest.plan.steps:
        yield f"  step: {step.sentence}"
    for guarantee in violated_in(smallest.found):
        yield f"  {guarantee.guarantee} violated: {guarantee.because}"
    yield f"  repeat with: {smallest.replay}"


def _status(schedule: ScenarioResult, guarantee: str) -> Outcome | None:
    return next((each.status for each in schedule.guarantees if each.guarantee == guarantee), None)

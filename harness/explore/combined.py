"""What came of running schedules, as a value, and how it is told."""

from collections.abc import Iterator

from msgspec import Struct

from harness.plan import Plan
from harness.result import GuaranteeResult, Outcome, Result, ScenarioResult

EXERCISED = "exercised"


class Smallest(Struct, frozen=True, kw_only=True):
    """What a failing schedule could be shrunk to; `failed` of the last `of` runs of it failed.

    * `guarantees`: those that are violated, with their witnesses
    * `runs`, `twins`: what it took; a twin is the fault-free run that a smaller workload is compared with
    * `exhausted`: the budget of runs ended before everything smaller had been tried
    * `replay`: the one command that repeats it
    """

    schedule: str
    plan: Plan
    guarantees: tuple[GuaranteeResult, ...]
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
    smallest: Smallest | None
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


def told(result: CombineResult) -> Iterator[str]:
    """The end in sentences, one a line; what comes from the subject is not escaped."""
    drawn = len(result.schedules)
    fewer = f" (of {result.asked} asked for; there are no more)" if drawn < result.asked else ""
    yield f"{result.exercised} of {drawn} schedules were exercised{fewer}, {len(result.violated)} violated a guarantee"
    smallest = result.smallest
    if smallest is None:
        return
    yield (
        f"smallest failing schedule, from {smallest.schedule}, confirmed {smallest.failed} of {smallest.of}, "
        f"after {smallest.runs} runs and {smallest.twins} fault-free ones"
        + ("; the budget ended before everything smaller had been tried" if smallest.exhausted else "")
    )
    jobs = ", ".join(job.job for job in smallest.plan.workload)
    yield f"  jobs: {jobs}"
    for step in smallest.plan.steps:
        yield f"  step: {step.sentence}"
    for guarantee in smallest.guarantees:
        yield f"  {guarantee.guarantee} violated: {guarantee.because}"
    yield f"  repeat with: {smallest.replay}"


def _status(schedule: ScenarioResult, guarantee: str) -> Outcome | None:
    return next((each.status for each in schedule.guarantees if each.guarantee == guarantee), None)

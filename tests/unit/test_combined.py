"""What several schedules say together, and how the end is told."""

from typing import Literal

import pytest
from msgspec.structs import replace

from harness.explore.combined import CombineResult, Smallest, outcome_of_schedules, simplest_failures, told
from harness.explore.schedules import schedules
from harness.result import SCHEMA_VERSION, GuaranteeResult, Outcome, Result, ScenarioResult, worst_outcome
from tests.unit.test_plans import CONTRACT

Said = tuple[str, Outcome]
HELD: Said = ("nothing-lost", "held")
EXERCISED: Said = ("exercised", "held")
MISSED: Said = ("exercised", "unknown")


def schedule(*said: Said, name: str = "schedule-0001", steps: int = 1) -> ScenarioResult:
    guarantees = tuple(
        GuaranteeResult(guarantee=guarantee, status=status, because=f"so it was: {status}", witnesses=())
        for guarantee, status in said
    )
    return ScenarioResult(
        name=name,
        story="",
        outcome=worst_outcome([status for _, status in said]),
        seconds=1.0,
        covers=(),
        steps=("a step",) * steps,
        guarantees=guarantees,
        replay="",
    )


@pytest.mark.parametrize(
    ("found", "outcome"),
    [
        pytest.param([schedule(HELD, EXERCISED)], "held", id="exercised and held"),
        pytest.param([schedule(HELD, EXERCISED), schedule(HELD, MISSED)], "held", id="one that missed is no failure"),
        pytest.param([schedule(HELD, MISSED)], "unknown", id="nothing was exercised"),
        pytest.param([], "unknown", id="nothing was drawn"),
        pytest.param(
            [schedule(HELD, EXERCISED), schedule(("nothing-lost", "unknown"), EXERCISED)],
            "unknown",
            id="what could not be judged never passes",
        ),
        pytest.param(
            [schedule(HELD, EXERCISED), schedule(("nothing-lost", "violated"), MISSED)],
            "violated",
            id="what is proven stands, though another fault missed",
        ),
    ],
)
def test_schedules_together(found: list[ScenarioResult], outcome: Literal["held", "unknown", "violated"]) -> None:
    assert outcome_of_schedules("held", tuple(found)) == outcome


@pytest.mark.parametrize("twin", ["violated", "unknown"])
def test_without_a_twin_that_held_nothing_is_held(twin: Outcome) -> None:
    assert outcome_of_schedules(twin, (schedule(HELD, EXERCISED),)) == twin


def test_of_each_violated_guarantee_the_schedule_with_the_fewest_steps_is_taken() -> None:
    lost = ("nothing-lost", "violated")
    twice = ("effects-once", "violated")
    long = schedule(lost, name="long", steps=3)  # type: ignore[arg-type]
    short = schedule(lost, ("same-outcome", "violated"), name="short", steps=2)  # type: ignore[arg-type]
    other = schedule(HELD, twice, name="other", steps=4)  # type: ignore[arg-type]
    assert simplest_failures([long, schedule(HELD, EXERCISED), other, short]) == {
        "nothing-lost": short,
        "effects-once": other,
    }


def test_the_end_is_told_with_what_is_smallest_how_often_it_failed_and_what_repeats_it() -> None:
    (plan,) = schedules(CONTRACT, seed=1, count=1)
    bad = schedule(("effects-once", "violated"), EXERCISED)
    smallest = Smallest(
        schedule="schedule-0001",
        guarantee="effects-once",
        plan=plan,
        found=bad,
        failed=2,
        of=3,
        runs=17,
        twins=1,
        exhausted=True,
        replay="jobproof replay out/smallest/effects-once",
    )
    result = CombineResult(
        seed=1,
        asked=3,
        outcome="violated",
        schedules=(bad, schedule(HELD, MISSED, name="schedule-0002")),
        smallest=(smallest,),
        result=Result(
            schema_version=SCHEMA_VERSION,
            outcome="violated",
            subject="c",
            bug="",
            seed=1,
            began="",
            seconds=1.0,
            versions={},
            scenarios=(),
            replay="",
        ),
    )
    lines = list(told(result))
    assert lines[0] == ("1 of 2 schedules were exercised (of 3 asked for; there are no more), 1 violated a guarantee")
    assert lines[1].startswith("effects-once: the smallest failing schedule, from schedule-0001, failed 2 of 3 times")
    assert "17 runs to shrink and confirm it, 1 fault-free run" in lines[1]
    assert "the budget ended" in lines[1]
    assert [line for line in lines if "step:" in line] == [f"  step: {step.sentence}" for step in plan.steps]
    assert "  effects-once violated: so it was: violated" in lines
    assert lines[-1] == "  repeat with: jobproof replay out/smallest/effects-once"
    assert "budget" not in list(told(replace(result, smallest=(replace(smallest, exhausted=False),))))[1]

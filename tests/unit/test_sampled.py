"""Of a certification the inputs that were drawn are counted that a fault has struck."""

from harness.certify.sampled import samples_of
from harness.contract import Contract, Task, Worker
from harness.plan import Plan, Plans
from harness.result import GuaranteeResult, Outcome, Result, ScenarioResult
from harness.scenario import workload_of

COUNT = 40
CONTRACT = Contract(
    app="shop:app",
    workers=(Worker(name="w"),),
    tasks=(
        Task(name="shop.send", inputs=tuple({"n": number} for number in range(COUNT)), drawn=COUNT),
        Task(name="shop.told", inputs=({"n": 1},)),
    ),
)
PLANS = Plans(
    seed=7,
    plans=(
        Plan(
            scenario="s",
            story="",
            seed=7,
            contract=CONTRACT,
            workload=workload_of(CONTRACT),
            steps=(),
            guarantees=(),
        ),
    ),
)


def scenario(job: int, *, outcome: Outcome = "held", exercised: Outcome = "held") -> ScenarioResult:
    vacuity = GuaranteeResult(guarantee="exercised", status=exercised, because="", witnesses=())
    return ScenarioResult(
        name=f"strikes-{job}",
        story="",
        outcome=outcome,
        seconds=1.0,
        covers=(),
        steps=(f"SIGKILL the pool child when job-{job} stands at effect-applied",),
        guarantees=(vacuity,),
        replay="",
    )


def told(*scenarios: ScenarioResult) -> tuple[int, int, float | None]:
    result = Result(
        schema_version=1,
        outcome="held",
        subject="",
        bug="",
        seed=7,
        began="",
        seconds=1.0,
        versions={},
        scenarios=scenarios,
        replay="",
    )
    (sample,) = samples_of(CONTRACT, PLANS, result)
    return sample.draws, sample.failed, sample.bound


def test_each_drawn_input_that_was_struck_counts_once() -> None:
    assert told(*(scenario(number) for number in range(1, 31)), scenario(1)) == (30, 0, 0.1)


def test_an_input_that_no_fault_has_met_and_one_that_was_told_do_not_count() -> None:
    assert told(scenario(1), scenario(2, exercised="unknown"), scenario(COUNT + 1)) == (1, 0, None)


def test_an_input_that_did_not_hold_leaves_no_bound() -> None:
    assert told(*(scenario(number) for number in range(1, 31)), scenario(1, outcome="unknown")) == (30, 1, None)

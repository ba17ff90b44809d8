"""Schedules against the real worker: what is planted is found and shrunk, and who is right is left alone."""

from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from harness.codec import pretty, read
from harness.contract import Contract
from harness.contract_file import compile_contract
from harness.explore.combine import combine, plans_for
from harness.explore.combined import CombineResult, told
from harness.faults import DeliverAgain, KillWorker
from harness.plan import AtCrashPoint, Plan, Plans, Step
from harness.result import ScenarioResult
from harness.run import TRIGGER_SECONDS_MAX
from harness.services.broker import resolve
from harness.session import Session
from harness.system import Target
from tests.conftest import ROOT, JobproofCommand

Combined = Callable[..., CombineResult]


@pytest.fixture(scope="module")
def contract() -> Contract:
    return compile_contract(ROOT / "reference_worker" / "contract.py")


@pytest.fixture
def combined(session: Session, contract: Contract, tmp_path: Path) -> Combined:
    """Runs schedules of the reference worker in two lanes; its folder is `tmp_path / "out"`."""

    def call(**words: object) -> CombineResult:
        (tmp_path / "out").mkdir()
        given: dict[str, object] = {"budget_runs": 12, "listener": ignore, **words}
        return combine(
            contract,
            directory=tmp_path / "out",
            session=session,
            server=resolve(),
            cwd=ROOT,
            lanes=2,
            **given,  # type: ignore[arg-type]
        )

    return call


def ignore(name: str, result: ScenarioResult | None) -> None:
    del name, result


def faults(plan: Plan) -> list[type]:
    return [type(step.fault) for step in plan.steps]


def test_a_second_delivery_between_sending_and_recording_is_found_and_is_all_that_is_left(
    combined: Combined, tmp_path: Path, jobproof: JobproofCommand
) -> None:
    result = combined(job="send_invoice_email", bug="check-then-send", seed=31, count=1)

    assert result.outcome == "violated"
    assert len(result.schedules[0].steps) == 3
    (smallest,) = result.smallest
    assert smallest.guarantee == "effects-once"
    assert faults(smallest.plan) == [DeliverAgain]
    assert len(smallest.plan.workload) == 1
    assert (smallest.failed, smallest.of, smallest.exhausted) == (3, 3, False)
    assert smallest.runs <= 12
    (proven,) = (each for each in smallest.found.guarantees if each.guarantee == "effects-once")
    assert sum(witness.event == "EffectApplied" for witness in proven.witnesses) == 2

    directory = tmp_path / "out" / "smallest" / "effects-once"
    assert smallest.replay == f"jobproof replay {directory}"
    assert read(directory / "plan.json", Plans).plans[1] == smallest.plan
    replayed = jobproof("replay", str(directory), "--out", str(tmp_path / "again"))
    assert replayed.code == 1, replayed.out + replayed.err
    assert smallest.replay in "".join(told(result))


def test_a_holder_that_is_overtaken_is_found_and_shrunk_to_the_one_delivery_that_overtakes(combined: Combined) -> None:
    result = combined(job="generate_export", bug="claim-without-fencing", seed=3, count=1)

    assert result.outcome == "violated"
    assert len(result.schedules[0].steps) == 3
    smallest = next(each for each in result.smallest if each.guarantee == "effects-once")
    assert faults(smallest.plan) == [DeliverAgain]
    assert len(smallest.plan.workload) == 1


def test_the_worker_without_a_bug_holds_in_every_schedule(combined: Combined) -> None:
    result = combined(seed=5, count=6)

    assert result.outcome == "held", list(told(result))
    assert (result.exercised, len(result.schedules), result.violated) == (6, 6, ())
    assert result.smallest == ()
    assert not result.harness_failures
    exercised, bound = told(result)
    assert exercised == "6 of 6 schedules were exercised, 0 violated a guarantee"
    assert bound.startswith("none of 6 schedules that were drawn and exercised failed, which are too few for a bound")


def test_a_crash_point_that_nobody_will_come_to_is_given_up_once_all_is_over(
    tmp_path: Path, jobproof: JobproofCommand
) -> None:
    """The job is done in one body; nothing is left that could come by a second time."""
    pings = ROOT / "tests" / "subjects" / "pings" / "pings_contract.py"
    contract = compile_contract(pings)
    plans = plans_for(contract, job="", bug="", count=1, seed=1, directory=tmp_path / "plan", contract_file=str(pings))
    twin, plan = plans.plans
    when = AtCrashPoint(point="body-began", job=plan.workload[0].job, occurrence=2)
    never = replace(plan, steps=(Step(when=when, fault=KillWorker(target=Target.CHILD)),))
    (tmp_path / "plan").mkdir()
    (tmp_path / "plan" / "plan.json").write_bytes(pretty(replace(plans, plans=(twin, never))))

    ran = jobproof("replay", str(tmp_path / "plan"), out=True)

    assert ran.code == 3, ran.out + ran.err
    _, scenario = ran.result["scenarios"]
    (exercised,) = (each for each in scenario["guarantees"] if each["guarantee"] == "exercised")
    assert "did not reach body-began for the 2. time" in exercised["because"]
    assert scenario["seconds"] < TRIGGER_SECONDS_MAX

"""Schedules are drawn from a seed alone, and only such as can be met: a model of a job's course says where."""

from collections import Counter

import msgspec
import pytest
from hypothesis import given
from msgspec.structs import replace

from harness.checkers import GUARANTEES
from harness.codec import encode
from harness.contract import Contract, ContractError, Worker
from harness.events import JobId
from harness.explore.course import Course, settled
from harness.explore.schedules import KINDS, STEPS_MAX, Strike, schedules, workload_for
from harness.explore.strategies import plans
from harness.faults import (
    AnswerErrors,
    DeliverAgain,
    Fault,
    FreezeWorker,
    KillWorker,
    LoseReply,
    ResetConnection,
    SubmitAgain,
    Together,
)
from harness.plan import DRAINED, AfterJob, AtCrashPoint, AtStart, Plan, Step
from harness.scenario import workload_of
from harness.system import Target
from tests.unit.test_plans import CONTRACT, SEEDS, SILENT, task

WORKLOAD = workload_of(CONTRACT)
JOB = WORKLOAD[0].job
CHILD = KillWorker(target=Target.CHILD)


def at(point: str, fault: Fault = CHILD, *, occurrence: int = 1, job: JobId = JOB, until: str = "struck") -> Step:
    return Step(when=AtCrashPoint(point=point, job=job, occurrence=occurrence), fault=fault, until=until)


def from_the_start(fault: Fault) -> Step:
    return Step(when=AtStart(), fault=fault, until=DRAINED)


def errors(times: int = 1, skip: int = 0, job: JobId = JOB) -> Step:
    return from_the_start(AnswerErrors(job=job, times=times, skip=skip))


def told(steps: tuple[Step, ...] | None) -> list[str] | None:
    return None if steps is None else [step.sentence for step in steps]


# --- drawing ---


@given(seed=SEEDS)
def test_a_seed_gives_the_same_schedules_each_time(seed: int) -> None:
    assert list(schedules(CONTRACT, seed=seed, count=5)) == list(schedules(CONTRACT, seed=seed, count=5))


def test_a_schedule_is_the_same_however_many_are_asked_for() -> None:
    assert list(schedules(CONTRACT, seed=7, count=40))[:10] == list(schedules(CONTRACT, seed=7, count=10))


def test_schedules_are_named_by_their_number_and_no_two_are_alike() -> None:
    drawn = list(schedules(CONTRACT, seed=1, count=300))
    assert [plan.scenario for plan in drawn] == [f"schedule-{number:04}" for number in range(1, 301)]
    assert len({encode(plan.steps) for plan in drawn}) == 300


def test_other_seeds_give_other_schedules() -> None:
    firsts = {encode(next(schedules(CONTRACT, seed=seed, count=1)).steps) for seed in range(20)}
    assert len(firsts) > 10


@given(seed=SEEDS)
def test_a_schedule_has_one_to_four_steps_and_is_the_same_after_it_was_stored(seed: int) -> None:
    for plan in schedules(CONTRACT, seed=seed, count=3, bug="b"):
        assert 1 <= len(plan.steps) <= STEPS_MAX
        assert (plan.seed, plan.bug) == (seed, "b")
        assert set(plan.guarantees) <= set(GUARANTEES)
        assert msgspec.json.decode(encode(plan), type=Plan) == plan


def test_every_kind_of_fault_is_drawn_alone_and_with_others() -> None:
    drawn = list(schedules(CONTRACT, seed=1, count=400))
    kinds = {AnswerErrors, DeliverAgain, FreezeWorker, KillWorker, LoseReply, ResetConnection, SubmitAgain, Together}
    for size in (1, 2, 3):
        found = {type(step.fault) for plan in drawn if len(plan.steps) == size for step in plan.steps}
        assert kinds <= found
    assert len({len(plan.steps) for plan in drawn}) == STEPS_MAX


def test_a_crash_during_the_recovery_from_another_is_drawn() -> None:
    def crashes(plan: Plan) -> Counter[str]:
        return Counter(
            step.when.job
            for step in plan.steps
            if isinstance(step.fault, KillWorker) and isinstance(step.when, AtCrashPoint)
        )

    assert any(max(crashes(plan).values(), default=0) > 1 for plan in schedules(CONTRACT, seed=1, count=100))


@given(seed=SEEDS)
def test_steps_stand_where_they_are_met(seed: int) -> None:
    for plan in schedules(CONTRACT, seed=seed, count=5):
        assert settled(plan.contract, plan.workload, plan.steps) == plan.steps


@given(seed=SEEDS)
def test_what_comes_after_a_job_was_done_comes_last_and_jobs_come_one_after_the_other(seed: int) -> None:
    for plan in schedules(CONTRACT, seed=seed, count=5):
        after = [isinstance(step.when, AfterJob) for step in plan.steps]
        assert after == sorted(after)
        jobs = [step.when.job for step in plan.steps if isinstance(step.when, AtCrashPoint)]
        assert jobs == sorted(jobs, key=jobs.index)


@given(seed=SEEDS)
def test_a_canary_is_no_job_that_a_step_strikes(seed: int) -> None:
    for plan in schedules(CONTRACT, seed=seed, count=5):
        text = encode(plan.steps).decode()
        assert plan.canaries
        assert all(f'"{canary}"' not in text for canary in plan.canaries)


def test_the_jobs_of_one_task_can_be_struck_alone() -> None:
    for plan in schedules(CONTRACT, "call", seed=1, count=20):
        assert {job.task for job in plan.workload} == {"call"}
    dotted = replace(CONTRACT, tasks=(task("shop.mail"), task("shop.call")))
    assert {job.task for job in workload_for(dotted, "call")} == {"shop.call"}
    with pytest.raises(ContractError, match=r"'fax'.*there are: mail, call"):
        workload_for(CONTRACT, "fax")


def test_a_contract_that_tells_nothing_of_retries_gets_no_failures_of_its_downstream_and_one_death() -> None:
    drawn = list(schedules(SILENT, seed=1, count=60))
    assert drawn
    for plan in drawn:
        assert not any(isinstance(step.fault, AnswerErrors | ResetConnection | LoseReply) for step in plan.steps)
        assert sum(isinstance(step.fault, KillWorker) for step in plan.steps) <= 1


def test_where_there_are_no_more_schedules_there_are_fewer_than_asked_for() -> None:
    contract = replace(SILENT, tasks=(task("mail", retries_max=0, inputs=({"id": "1"},)),))
    assert 0 < len(list(schedules(contract, seed=1, count=5000))) < 5000


def test_a_worker_with_a_single_slot_is_not_crashed_with_a_second_delivery_inside() -> None:
    slow: Contract = replace(CONTRACT, workers=(Worker(name="w", queues=("quick", "bulky"), concurrency=1),))
    assert not any(
        isinstance(step.fault, Together) for plan in schedules(slow, seed=1, count=200) for step in plan.steps
    )


@given(plans(CONTRACT))
def test_hypothesis_draws_plans_that_a_seed_could_have_drawn(plan: Plan) -> None:
    assert 1 <= len(plan.steps) <= STEPS_MAX
    assert settled(plan.contract, plan.workload, plan.steps) == plan.steps


# --- the course of a job ---


@pytest.mark.parametrize(
    ("steps", "sentences"),
    [
        pytest.param(
            (at("body-began"), at("body-began")),
            ["at body-began", "at body-began for the 2. time"],
            id="a crash is met again in the body after it",
        ),
        pytest.param(
            (at("effect-received"), at("effect-applied")),
            ["at effect-received", "at effect-applied"],
            id="a request that was never applied is sent again, and applied for the first time",
        ),
        pytest.param(
            (errors(2), at("effect-received")),
            ["2 times from the start", "at effect-received for the 3. time"],
            id="each failure of the downstream is a body",
        ),
        pytest.param(
            (at("effect-received"), errors()),
            ["at effect-received", "once from the start"],
            id="a request that was given up at the gate meets no rule",
        ),
        pytest.param(
            (errors(), at("body-ended")),
            ["once from the start", "at body-ended for the 2. time"],
            id="a body that failed has ended",
        ),
        pytest.param(
            (at("effect-applied"), at("body-ended")),
            ["at effect-applied", "at body-ended"],
            id="after an effect every body still comes by its end",
        ),
    ],
)
def test_a_step_is_met_where_those_before_it_have_left_its_job(steps: tuple[Step, ...], sentences: list[str]) -> None:
    placed = settled(CONTRACT, WORKLOAD, steps)
    assert placed is not None
    for sentence, end in zip(told(placed) or [], sentences, strict=True):
        assert sentence.endswith(end)


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param((at("effect-applied"), at("effect-applied")), id="whether it is sent again is not certain"),
        pytest.param((from_the_start(LoseReply(job=JOB, times=1)), errors()), id="nor after a reply was lost"),
        pytest.param((at("body-ended"), at("effect-received")), id="nor once a body has ended well"),
        pytest.param((at("effect-applied", FreezeWorker()), at("body-began")), id="two bodies beside each other"),
        pytest.param((at("body-began"),) * 3, id="more deaths than the task survives"),
        pytest.param(
            (at("body-began"), at("body-began"), at("body-began", job=WORKLOAD[1].job)),
            id="more deaths than a task of the same queue survives",
        ),
        pytest.param((errors(4),), id="more failures than retries"),
        pytest.param((errors(3), errors(1)), id="more failures than retries, together"),
        pytest.param((errors(3), at("body-began")), id="more bodies than the contract allows"),
        pytest.param(
            (at("body-began"), at("effect-received", FreezeWorker())), id="no room for the bodies beside each other"
        ),
        pytest.param(
            (errors(3), Step(when=AfterJob(job=JOB), fault=SubmitAgain(again=WORKLOAD[0]))), id="no room for one more"
        ),
        pytest.param((at("effect-received", occurrence=2), at("nowhere")), id="a crash point that nobody knows"),
        pytest.param(
            (Step(when=AfterJob(job=JOB), fault=DeliverAgain(job=JOB)),) * 2, id="done and delivered again, twice"
        ),
    ],
)
def test_a_step_that_cannot_be_met_for_certain_is_not_placed(steps: tuple[Step, ...]) -> None:
    assert settled(CONTRACT, WORKLOAD, steps) is None


def test_what_is_held_beside_another_body_may_need_a_retry_that_must_be_left() -> None:
    roomy = replace(CONTRACT, tasks=(task("mail", attempts_max=20, worker_losses_max=2),))
    frozen = at("effect-received", FreezeWorker())
    assert settled(roomy, workload_of(roomy), (errors(2), frozen)) is not None
    assert settled(roomy, workload_of(roomy), (errors(3), frozen)) is None


def test_a_job_that_may_be_killed_beside_another_has_room_for_that() -> None:
    tight = replace(CONTRACT, tasks=(task("mail", attempts_max=4, worker_losses_max=2, queue="quick"),))
    other = WORKLOAD[1].job
    assert settled(tight, workload_of(tight), (errors(2), at("body-began", job=other))) is not None
    assert settled(tight, workload_of(tight), (errors(3), at("body-began", job=other))) is None


def test_another_queue_has_deaths_of_its_own() -> None:
    other = next(job.job for job in WORKLOAD if job.task == "call")
    steps = (at("body-began"), at("body-began"), at("body-began", job=other), at("body-began", job=other))
    assert settled(CONTRACT, WORKLOAD, steps) is not None


def test_what_is_left_after_others_were_left_out_moves_to_where_it_is_met_now() -> None:
    steps = (errors(), at("effect-received", occurrence=2), at("effect-applied"))
    assert settled(CONTRACT, WORKLOAD, steps) == steps
    assert settled(CONTRACT, WORKLOAD, steps, (None, steps[1], steps[2])) == (at("effect-received"), steps[2])


def test_a_later_effect_of_a_body_stays_the_later_one() -> None:
    two = replace(CONTRACT, tasks=(task("mail", effects=CONTRACT.tasks[0].effects * 2, worker_losses_max=2),))
    workload = workload_of(two)
    steps = (at("effect-received"), at("effect-received", occurrence=3))
    assert settled(two, workload, steps) == steps
    assert settled(two, workload, steps, (None, steps[1])) == (at("effect-received", occurrence=2),)


def test_a_rule_lets_those_requests_pass_that_met_none_before_it() -> None:
    two = replace(CONTRACT, tasks=(task("mail", effects=CONTRACT.tasks[0].effects * 2, worker_losses_max=2),))
    course = Course.of(two, workload_of(two))
    crashed = course.take(at("effect-received"), 2)
    assert crashed is not None
    assert (crashed[1].life(JOB).answered, crashed[1].life(JOB).sends) == (1, False)


def test_a_step_that_the_model_does_not_know_stays_as_it_is() -> None:
    stranger = at("effect-applied", occurrence=9, job=JobId("job-99"))
    assert settled(CONTRACT, WORKLOAD, (stranger,)) == (stranger,)


def test_every_kind_has_a_way_to_strike_where_the_contract_tells_all() -> None:
    for kind in KINDS:
        found: list[Strike] = list(kind.strikes(CONTRACT, CONTRACT.tasks[0], WORKLOAD[0]))
        assert found, kind.name
        assert len({encode(strike) for strike in found}) == len(found)

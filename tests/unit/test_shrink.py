"""The shrinker on simulated oracles: what fails is known, so the smallest is known, too."""

from collections.abc import Callable
from random import Random

import pytest
from msgspec.structs import replace

from harness.events import JobId
from harness.explore.schedules import plan_of
from harness.explore.shrink import Shrunk, shrink, simpler
from harness.faults import AnswerErrors, DeliverAgain, KillWorker, LoseReply, SubmitAgain, Together
from harness.plan import DRAINED, AfterJob, AfterStep, AtCrashPoint, AtStart, Plan, Step
from harness.scenario import workload_of
from harness.system import Target
from tests.unit.test_plans import CONTRACT

WORKLOAD = workload_of(CONTRACT)
JOB = WORKLOAD[0].job


def crash(
    point: str = "effect-applied", *, occurrence: int = 1, target: Target = Target.CHILD, job: JobId = JOB
) -> Step:
    when = AtCrashPoint(point=point, job=job, occurrence=occurrence)
    return Step(when=when, fault=KillWorker(target=target))


ERRORS = Step(when=AtStart(), fault=AnswerErrors(job=JOB, times=2), until=DRAINED)
REPLY_LOST = Step(when=AtStart(), fault=LoseReply(job=WORKLOAD[1].job, times=1), until=DRAINED)
AGAIN = Step(when=AfterJob(job=JOB), fault=DeliverAgain(job=JOB), until=DRAINED)


def plan(*steps: Step) -> Plan:
    return plan_of(CONTRACT, WORKLOAD, steps, name="schedule-0001", seed=1)


class Oracle:
    """Fails if `is_bad`; counts how often it was asked, and for what."""

    def __init__(self, is_bad: Callable[[Plan], bool]) -> None:
        self.is_bad = is_bad
        self.asked: list[Plan] = []

    def __call__(self, candidate: Plan) -> bool:
        self.asked.append(candidate)
        return self.is_bad(candidate)


def has(candidate: Plan, *faults: type) -> bool:
    return set(faults) <= {type(step.fault) for step in candidate.steps}


def faults_in(shrunk: Shrunk) -> list[type]:
    return [type(step.fault) for step in shrunk.plan.steps]


def test_one_fault_among_others_is_found_and_its_job_is_the_only_one_left() -> None:
    oracle = Oracle(lambda candidate: has(candidate, LoseReply))
    shrunk = shrink(plan(ERRORS, crash(occurrence=1), REPLY_LOST, AGAIN), oracle)
    assert faults_in(shrunk) == [LoseReply]
    assert [job.job for job in shrunk.plan.workload] == [WORKLOAD[1].job]
    assert shrunk.plan.canaries == ()
    assert (shrunk.failed, shrunk.of, shrunk.exhausted) == (3, 3, False)
    assert shrunk.runs == len(oracle.asked) <= 12


def test_a_failing_pair_hidden_among_noise_is_what_is_left() -> None:
    oracle = Oracle(lambda candidate: has(candidate, AnswerErrors, DeliverAgain))
    shrunk = shrink(plan(ERRORS, crash(), REPLY_LOST, AGAIN), oracle)
    assert faults_in(shrunk) == [AnswerErrors, DeliverAgain]
    assert shrunk.plan.steps[0].fault == AnswerErrors(job=JOB, times=1)
    assert [job.job for job in shrunk.plan.workload] == [JOB]
    assert shrunk.runs <= 23


def test_what_is_left_out_before_a_step_moves_the_step_to_where_it_is_met_now() -> None:
    """Two failed bodies before it made the third body the one that is struck; without them it is the first."""
    oracle = Oracle(lambda candidate: candidate.steps == (crash(),))
    shrunk = shrink(plan(ERRORS, crash("effect-received", occurrence=3), crash(occurrence=1)), oracle)
    assert shrunk.plan.steps == (crash(),)
    alone = [candidate.steps for candidate in oracle.asked if len(candidate.steps) == 1]
    assert (crash("effect-received", occurrence=1),) in alone


def test_a_job_that_the_failure_needs_beside_it_stays() -> None:
    needed = WORKLOAD[3].job
    oracle = Oracle(lambda candidate: needed in {job.job for job in candidate.workload})
    shrunk = shrink(plan(crash()), oracle)
    assert [job.job for job in shrunk.plan.workload] == [JOB, needed]


def test_parameters_become_as_simple_as_the_failure_allows() -> None:
    shrunk = shrink(plan(crash("body-began", target=Target.GROUP)), Oracle(lambda _: True))
    assert shrunk.plan.steps == (crash("body-began"),)
    needs_main = Oracle(lambda candidate: candidate.steps[0].fault != KillWorker(target=Target.CHILD))
    shrunk = shrink(plan(crash("body-began", target=Target.GROUP)), needs_main)
    assert shrunk.plan.steps == (crash("body-began", target=Target.MAIN),)


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (crash(target=Target.GROUP, occurrence=3), ["child", "main", "occurrence 1", "occurrence 2"]),
        (crash(), []),
    ],
)
def test_a_crash_is_simpler_in_a_smaller_target_and_at_an_earlier_occurrence(step: Step, words: list[str]) -> None:
    assert isinstance(step.fault, KillWorker)
    told = []
    for each in simpler(step):
        assert isinstance(each.fault, KillWorker)
        assert isinstance(each.when, AtCrashPoint)
        told.append(
            str(each.fault.target) if each.fault.target != step.fault.target else f"occurrence {each.when.occurrence}"
        )
    assert told == words


@pytest.mark.parametrize(
    ("fault", "simplest"),
    [
        (AnswerErrors(job=JOB), AnswerErrors(job=JOB, times=1)),
        (AnswerErrors(job=JOB, times=4), AnswerErrors(job=JOB, times=1)),
        (AnswerErrors(job=JOB, times=1, skip=2), AnswerErrors(job=JOB, times=1)),
        (SubmitAgain(again=WORKLOAD[0]), DeliverAgain(job=JOB)),
        (
            Together(faults=(KillWorker(target=Target.CHILD), DeliverAgain(job=JOB))),
            KillWorker(target=Target.CHILD),
        ),
    ],
)
def test_a_fault_is_simpler_once_than_always_and_alone_than_with_others(fault: object, simplest: object) -> None:
    step = replace(ERRORS, fault=fault)
    assert next(simpler(step)).fault == simplest


def test_a_smaller_plan_that_fails_only_sometimes_is_not_taken_for_one_lucky_run() -> None:
    answers = iter([True, False])
    shrunk = shrink(plan(crash(), REPLY_LOST), Oracle(lambda _: next(answers, False)))
    assert len(shrunk.plan.steps) == 2
    assert shrunk.failed == 0  # and the plan that was given did not fail again either, which is said


@pytest.mark.parametrize("seed", range(10))
def test_an_oracle_that_is_right_half_of_the_time_never_shrinks_away_what_fails(seed: int) -> None:
    random = Random(seed)  # noqa: S311 - it must repeat
    oracle = Oracle(lambda candidate: has(candidate, LoseReply) and random.random() < 0.5)
    shrunk = shrink(plan(ERRORS, crash(), REPLY_LOST, AGAIN), oracle)
    assert LoseReply in faults_in(shrunk)
    assert shrunk.of == 3
    assert shrunk.runs == len(oracle.asked) <= 40


def test_a_budget_that_runs_out_gives_the_best_so_far_and_says_so() -> None:
    oracle = Oracle(lambda candidate: has(candidate, LoseReply))
    shrunk = shrink(plan(ERRORS, crash(), REPLY_LOST, AGAIN), oracle, budget_runs=8)
    assert shrunk.exhausted
    assert faults_in(shrunk) == [LoseReply]
    assert len(shrunk.plan.workload) == len(WORKLOAD)
    assert (shrunk.failed, shrunk.of) == (3, 3)
    assert shrunk.runs == len(oracle.asked) <= 8


@pytest.mark.parametrize("budget", range(4))
def test_a_budget_that_is_next_to_nothing_is_kept(budget: int) -> None:
    oracle = Oracle(lambda _: True)
    given = plan(ERRORS, REPLY_LOST)
    shrunk = shrink(given, oracle, budget_runs=budget)
    assert shrunk == Shrunk(plan=given, failed=budget, of=budget, runs=budget, exhausted=True)


def test_nothing_that_did_not_fail_is_tried_again() -> None:
    oracle = Oracle(lambda candidate: len(candidate.steps) == 4)
    shrink(plan(ERRORS, crash(), REPLY_LOST, AGAIN), oracle)
    smaller = [candidate.steps for candidate in oracle.asked if len(candidate.steps) < 4]
    assert len(smaller) == len(set(map(repr, smaller)))


def test_the_same_answers_lead_to_the_same_plan_in_the_same_runs() -> None:
    given = plan(ERRORS, crash(), REPLY_LOST, AGAIN)
    asked = []
    for _ in range(2):
        oracle = Oracle(lambda candidate: has(candidate, AnswerErrors, LoseReply))
        shrink(given, oracle)
        asked.append(oracle.asked)
    assert asked[0] == asked[1]


def test_steps_that_wait_for_one_another_stay_together() -> None:
    waiting = replace(ERRORS, until=AfterStep(step=1))
    shrunk = shrink(plan(waiting, REPLY_LOST), Oracle(lambda _: True))
    assert len(shrunk.plan.steps) == 2

from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.checkers import GUARANTEES
from harness.codec import digest, encode
from harness.contract import AtMostOnce, Contract, Effect, JsonField, Task, Worker
from harness.downstream import Rule
from harness.events import DEAD_LETTERED, DONE, EnqueueCalled
from harness.faults import CATALOGUE as FAULTS
from harness.faults import (
    AnswerErrors,
    DeliverAgain,
    DripReply,
    FeedPoison,
    KillWorker,
    LateReply,
    LoseReply,
    ResetConnection,
    Silence,
    SubmitAgain,
    Together,
)
from harness.plan import AfterJob, AtCrashPoint, AtStart, Plan, Step
from harness.scenario import Scenario, dead, victims, workload_of
from harness.system import Capability, Impact, PlannedJob, Target
from scenarios import CATALOGUE, FAULT_FREE

SCENARIOS = (FAULT_FREE, *CATALOGUE)
SEEDS = st.integers(0, 2**32 - 1)


def task(name: str, **changes: Any) -> Task:
    fields = {
        "name": name,
        "inputs": tuple({"id": f"{name}-{number}"} for number in range(5)),
        "identity": "{id}",
        "effects": (Effect(request=f"POST /{name}", belongs_to=JsonField("/id")),),
        "promise": AtMostOnce(),
        "attempts_max": 4,
        "retries_max": 3,
        "wait_seconds_max": 1.0,
    }
    return Task(**{**fields, **changes})


CONTRACT = Contract(
    name="c", app="a:a", workers=(Worker(name="w"),), tasks=(task("mail"), task("call", wrong_arguments={"nr": "1"}))
)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
class TestEveryScenario:
    @given(seed=SEEDS)
    def test_makes_the_same_plan_of_the_same_seed(self, scenario: Scenario, seed: int) -> None:
        assert scenario.plan(CONTRACT, seed=seed) == scenario.plan(CONTRACT, seed=seed)

    @given(seed=SEEDS)
    def test_makes_a_plan_that_is_the_same_after_it_was_stored(self, scenario: Scenario, seed: int) -> None:
        plan = scenario.plan(CONTRACT, seed=seed, bug="b")
        again = msgspec.json.decode(encode(plan), type=Plan)
        assert again == plan
        assert digest(again) == digest(plan)

    def test_asks_for_guarantees_that_exist(self, scenario: Scenario) -> None:
        assert set(scenario.guarantees) <= set(GUARANTEES)

    def test_tells_each_step_in_a_sentence(self, scenario: Scenario) -> None:
        plan = scenario.plan(CONTRACT, seed=1)
        assert all(step.sentence.strip() == step.sentence != "" for step in plan.steps)

    def test_gives_the_jobs_of_the_workload_the_same_ids_as_every_other(self, scenario: Scenario) -> None:
        plan = scenario.plan(CONTRACT, seed=1)
        assert [(job.job, job.identity) for job in plan.workload] == [
            (job.job, job.identity) for job in workload_of(CONTRACT)
        ]

    def test_strikes_every_kind_of_job(self, scenario: Scenario) -> None:
        plan = scenario.plan(CONTRACT, seed=1)
        assert len(plan.steps) == (0 if scenario is FAULT_FREE else len(CONTRACT.tasks))


def test_no_two_scenarios_have_one_name() -> None:
    assert len({scenario.name for scenario in SCENARIOS}) == len(SCENARIOS)


def test_every_fault_in_the_catalogue_can_be_stored_in_a_step() -> None:
    job = PlannedJob(job="poison-1", task="mail", arguments={"x": [1, None]}, identity="p", checked=False)
    faults = (
        KillWorker(target=Target.GROUP),
        DeliverAgain(job="job-1"),
        FeedPoison(kind="wrong arguments", poison=job),
        AnswerErrors(job="job-1", status=503, times=2),
        LoseReply(job="job-1", reset=False),
        Silence(job="job-1", times=1),
        DripReply(job="job-1", seconds=1.5),
        LateReply(job="job-1", seconds=1.5, times=1),
        ResetConnection(job="job-1"),
        SubmitAgain(again=job),
        Together(faults=(KillWorker(target=Target.MAIN), LoseReply(job="job-1"))),
    )
    assert {type(fault) for fault in faults} == set(FAULTS)
    for fault in faults:
        for when in (AtStart(), AtCrashPoint(point="p", job="job-1", occurrence=2), AfterJob(job="job-1")):
            step = Step(when=when, fault=fault)
            assert msgspec.json.decode(encode(step), type=Step) == step


def test_different_seeds_strike_different_jobs() -> None:
    scenario = next(scenario for scenario in CATALOGUE if scenario.name == "delivered-twice")
    struck = {tuple(step.sentence for step in scenario.plan(CONTRACT, seed=seed).steps) for seed in range(20)}
    assert len(struck) > 5


def test_the_draws_of_a_scenario_depend_on_its_name() -> None:
    plans = [scenario.plan(CONTRACT, seed=7) for scenario in CATALOGUE if "job" not in scenario.name]
    drawn = {tuple(getattr(step.when, "job", getattr(step.fault, "job", "")) for step in plan.steps) for plan in plans}
    assert len(drawn) > 1


def test_the_workload_is_every_input_of_every_task_in_the_contracts_order() -> None:
    jobs = workload_of(CONTRACT)
    assert [job.job for job in jobs] == [f"job-{number}" for number in range(1, 11)]
    assert [job.identity for job in jobs] == [f"{name}-{number}" for name in ("mail", "call") for number in range(5)]
    assert all(job.expected == DONE and job.checked for job in jobs)


@given(st.randoms(use_true_random=False))
def test_one_job_of_each_task_is_drawn(random: Any) -> None:
    drawn = victims(workload_of(CONTRACT), random)
    assert Counter(job.task for job in drawn) == {"mail": 1, "call": 1}


def test_the_doomed_are_expected_to_end_dead_and_nothing_else_changes() -> None:
    workload = (
        PlannedJob(job="job-1", task="mail", arguments={}, identity="1", checked=False),
        PlannedJob(job="job-2", task="mail", arguments={}, identity="2"),
    )
    first, second = dead(workload, workload[:1])
    assert first == msgspec.structs.replace(workload[0], expected=DEAD_LETTERED)
    assert second == workload[1]


def poisons(contract: Contract) -> list[PlannedJob]:
    scenario = next(scenario for scenario in CATALOGUE if scenario.name == "job-with-wrong-arguments")
    return [step.fault.poison for step in scenario.plan(contract, seed=1).steps if isinstance(step.fault, FeedPoison)]


def test_poison_is_no_job_of_the_workload_and_nobody_checks_its_arguments() -> None:
    plan_ids = {job.job for job in workload_of(CONTRACT)}
    identities = {job.identity for job in workload_of(CONTRACT)}
    for job in poisons(CONTRACT):
        assert job.job not in plan_ids
        assert job.identity not in identities
        assert (job.expected, job.checked) == (DEAD_LETTERED, False)


def test_poison_has_the_wrong_arguments_that_the_contract_names_or_one_that_nobody_knows() -> None:
    first, second = poisons(CONTRACT)
    assert set(first.arguments) == {"jobproof_unknown_argument"}
    assert second.arguments == {"nr": "1"}


def test_no_arguments_at_all_can_be_the_wrong_arguments() -> None:
    contract = msgspec.structs.replace(CONTRACT, tasks=(task("mail", wrong_arguments={}),))
    (job,) = poisons(contract)
    assert job.arguments == {}


# --- faults ---


class Downstream:
    def __init__(self) -> None:
        self.rules: dict[str, Rule] = {}
        self.met = 0

    def add(self, rule: Rule) -> None:
        self.rules[rule.name] = rule

    def lift(self, name: str) -> None:
        del self.rules[name]

    def uses(self, name: str) -> int:
        return self.met


class Lane:
    """A system that only notes what is done to it."""

    contract = CONTRACT
    capabilities = frozenset(Capability)
    jobs = (EnqueueCalled(job="job-1", task="mail", identity="mail-0"),)

    def __init__(self) -> None:
        self.downstream = Downstream()
        self.delivered = 0
        self.done: list[str] = []

    def enqueue(self, job: PlannedJob) -> None:
        self.done.append(f"enqueue {job.job}")

    def deliveries(self, job: str) -> int:
        return self.delivered

    def double(self, job: str) -> None:
        self.done.append(f"double {job}")

    def kill(self, target: Target, arrival: object) -> Impact:
        self.done.append(f"kill {target}")
        return Impact(targets=(str(target),), jobs=("job-1",))

    def recover(self) -> None:
        self.done.append("recover")


def test_killing_a_worker_is_healed_even_if_what_comes_between_fails() -> None:
    lane = Lane()
    with pytest.raises(ZeroDivisionError), KillWorker(target=Target.MAIN).applied_to(lane, None):
        raise ZeroDivisionError
    assert lane.done == ["kill main", "recover"]


@pytest.mark.parametrize(
    "fault",
    [AnswerErrors(job="job-1"), LoseReply(job="job-1")],
    ids=lambda fault: type(fault).__name__,
)
def test_a_rule_of_the_downstream_has_landed_once_a_request_has_met_it_and_is_lifted_at_the_end(fault: Any) -> None:
    lane = Lane()
    with fault.applied_to(lane, None) as evidence:
        (rule,) = lane.downstream.rules.values()
        assert rule.identity == "mail-0"
        assert evidence() is None
        lane.downstream.met = 1
        assert evidence().jobs == ("job-1",)
    assert lane.downstream.rules == {}


@pytest.mark.parametrize(
    "fault",
    [
        DeliverAgain(job="job-1"),
        FeedPoison(kind="k", poison=PlannedJob(job="poison-1", task="mail", arguments={}, identity="p")),
    ],
    ids=lambda fault: type(fault).__name__,
)
def test_a_message_that_was_added_has_landed_once_a_worker_took_it(fault: Any) -> None:
    lane = Lane()
    with fault.applied_to(lane, None) as evidence:
        assert evidence() is None
        lane.delivered = 1
        assert evidence() is not None


def test_faults_that_come_together_have_landed_when_each_has_and_are_all_healed() -> None:
    lane = Lane()
    both = Together(faults=(KillWorker(target=Target.CHILD), LoseReply(job="job-1")))
    with both.applied_to(lane, None) as evidence:
        assert evidence() is None
        lane.downstream.met = 1
        assert evidence() == Impact(targets=("child", "requests of job-1"), jobs=("job-1",))
    assert lane.done == ["kill child", "recover"]
    assert lane.downstream.rules == {}


def test_faults_that_come_together_need_what_each_needs_and_say_what_each_says() -> None:
    both = Together(faults=(KillWorker(target=Target.CHILD), LoseReply(job="job-1")))
    assert both.needs == {Capability.KILL_POOL_CHILD, Capability.SCRIPT_DOWNSTREAM}
    assert " and " in both.sentence


def test_when_one_of_several_faults_cannot_strike_those_before_it_are_healed() -> None:
    lane = Lane()
    both = Together(faults=(KillWorker(target=Target.CHILD), LoseReply(job="job-99")))
    with pytest.raises(ValueError, match="job-99"), ExitStack() as stack:
        stack.enter_context(both.applied_to(lane, None))
    assert lane.done == ["kill child", "recover"]


def describe(step: Step) -> str:
    return step.sentence


@pytest.mark.parametrize(
    ("when", "words"),
    [
        (AtStart(), "from the start"),
        (AtCrashPoint(point="effect-applied", job="job-1"), "when job-1 stands at effect-applied"),
        (AtCrashPoint(point="effect-applied", job="job-1", occurrence=2), "for the 2. time"),
        (AfterJob(job="job-1"), "after job-1 was acknowledged"),
    ],
)
def test_a_step_says_what_strikes_and_when(when: Any, words: str) -> None:
    told: Callable[[Step], str] = describe
    sentence = told(Step(when=when, fault=KillWorker(target=Target.CHILD)))
    assert sentence.startswith("SIGKILL the pool child ")
    assert words in sentence

from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.checkers import CATALOGUE as CHECKERS
from harness.codec import digest, encode
from harness.contract import (
    Alerts,
    AtMostOnce,
    Contract,
    DeadLetterTable,
    Effect,
    JsonField,
    Poison,
    Release,
    Sidecar,
    Task,
    Worker,
)
from harness.events import DEAD_LETTERED, DONE
from harness.faults import CATALOGUE as FAULTS
from harness.faults import (
    AnswerErrors,
    CrashHost,
    CrashLoop,
    CutOffHost,
    DeliverAgain,
    Deploy,
    DoubleSidecar,
    DripReply,
    EnqueueAsBefore,
    ExhaustFiles,
    ExhaustMemory,
    ExhaustProcesses,
    FeedPoison,
    FeedSpoilt,
    FillDisk,
    FreezeChild,
    FreezeWorker,
    HideDeadLetters,
    HideNames,
    KillSidecar,
    KillWorker,
    LateReply,
    LoseReply,
    MoveClock,
    ProtectDisk,
    RefuseConnections,
    ResetConnection,
    RestartBroker,
    Silence,
    SlowBroker,
    StarveHost,
    StopDraining,
    SubmitAgain,
    Together,
    WorkAsBefore,
)
from harness.plan import (
    AfterAlert,
    AfterAttempt,
    AfterJob,
    AfterSeconds,
    AfterStep,
    AfterWorkload,
    AtCrashPoint,
    AtStart,
    Plan,
    Step,
)
from harness.poison import PoisonKind
from harness.scenario import Scenario, dead, queue_of, victims, workload_of
from harness.system import Direction, PlannedJob, Target
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


TOLD = {"worker_losses_max": 2, "patience_seconds": 1, "hard_limit_seconds": 5}
# It tells all that a scenario may need to know.
CONTRACT = Contract(
    name="c",
    app="a:a",
    previous=Release(directory="before"),
    workers=(Worker(name="fast", queues=("quick",)), Worker(name="slow", queues=("bulky",))),
    tasks=(
        task(
            "mail",
            queue="quick",
            effects=tuple(Effect(request=f"POST /{name}", belongs_to=JsonField("/id")) for name in ("mail", "bill")),
            isolated_wait_seconds_max=1.0,
            **TOLD,
        ),
        task(
            "call",
            queue="bulky",
            wrong_arguments={"nr": "1"},
            poisons=(Poison(kind="no such person", arguments={"id": "nobody"}),),
            **TOLD,
        ),
    ),
    sidecars=(Sidecar(name="relay", command=("relay",), recovers_within_seconds=1),),
    alerts=Alerts(
        request="POST /alerts",
        queue=JsonField("/queue"),
        status=JsonField("/status"),
        age_seconds_max=2,
        fires_within_seconds=2,
        clears_within_seconds=2,
    ),
    dead_letters=DeadLetterTable(
        url="sqlite:///x", table="letters", message="message", reason="reason", body="body", spool="{directory}/spool"
    ),
)
SILENT = Contract(name="c", app="a:a", workers=(Worker(name="w"),), tasks=(task("mail", retries_max=0),))


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
        assert set(scenario.guarantees) <= {checker.guarantee for checker in CHECKERS}

    def test_tells_each_step_in_a_sentence(self, scenario: Scenario) -> None:
        plan = scenario.plan(CONTRACT, seed=1)
        assert all(step.sentence.strip() == step.sentence != "" for step in plan.steps)

    def test_gives_the_jobs_of_the_workload_the_same_ids_as_every_other(self, scenario: Scenario) -> None:
        plan = scenario.plan(CONTRACT, seed=1)
        of_the_contract = {(job.job, job.identity) for job in workload_of(CONTRACT)}
        assert {(job.job, job.identity) for job in plan.workload} <= of_the_contract

    @given(seed=SEEDS)
    def test_has_something_to_hurt_where_the_contract_tells_all(self, scenario: Scenario, seed: int) -> None:
        assert bool(scenario.plan(CONTRACT, seed=seed).steps) == (scenario is not FAULT_FREE)

    def test_makes_a_plan_of_a_contract_that_tells_next_to_nothing(self, scenario: Scenario) -> None:
        plan = scenario.plan(SILENT, seed=1)
        assert all(step.sentence for step in plan.steps)

    @given(seed=SEEDS)
    def test_keeps_a_canary_for_each_queue_that_no_step_is_about(self, scenario: Scenario, seed: int) -> None:
        plan = scenario.plan(CONTRACT, seed=seed)
        text = "\n".join(encode(step).decode() for step in plan.steps)
        assert all(f'"{canary}"' not in text for canary in plan.canaries)
        of = {job.job: job for job in plan.workload}
        queues = [queue_of(CONTRACT, of[canary].task) for canary in plan.canaries]
        assert sorted(queues) == (
            [] if scenario is FAULT_FREE else sorted({"quick", "bulky"} if whole(plan) else queues)
        )
        assert all(of[canary].expected == DONE for canary in plan.canaries)


def whole(plan: Plan) -> bool:
    """Whether some job of each queue is left that no step is about."""
    return not any("LateReply" in type(step.fault).__name__ for step in plan.steps)


STRIKE_EVERY_TASK = {
    *("worker-killed-child", "worker-killed-main", "worker-killed-group", "killed-between-effect-and-record"),
    *("delivered-twice", "delivered-twice-at-once", "delivered-twice-overtaken", "submitted-twice-at-once"),
    *("job-that-always-fails", "job-with-wrong-arguments", "reply-lost", "downstream-fails-then-works"),
    *("downstream-resets", "downstream-refuses-for-good", "downstream-silent", "downstream-slow", "downstream-drips"),
}


@pytest.mark.parametrize("name", sorted(STRIKE_EVERY_TASK))
def test_a_fault_of_one_job_strikes_every_kind_of_job(name: str) -> None:
    plan = next(scenario for scenario in CATALOGUE if scenario.name == name).plan(CONTRACT, seed=1)
    assert len(plan.steps) == len(CONTRACT.tasks)


STRIKE_EVERY_WORKER = {
    *("frozen-past-the-visibility-timeout", "deploy-with-time", "deploy-with-short-grace"),
    *("disk-full", "disk-read-only", "files-exhausted"),
}


@pytest.mark.parametrize("name", sorted(STRIKE_EVERY_WORKER))
def test_a_fault_of_a_whole_worker_strikes_every_worker(name: str) -> None:
    plan = next(scenario for scenario in CATALOGUE if scenario.name == name).plan(CONTRACT, seed=1)
    assert len(plan.steps) == len(CONTRACT.workers)


def test_poisoned_messages_are_of_every_kind() -> None:
    plan = next(scenario for scenario in CATALOGUE if scenario.name == "poisoned-messages").plan(CONTRACT, seed=1)
    assert [step.fault.kind for step in plan.steps if isinstance(step.fault, FeedSpoilt)] == list(PoisonKind)
    assert len(PoisonKind) >= 10


def test_a_job_that_kills_its_worker_does_so_once_more_than_its_budget_allows() -> None:
    scenario = next(scenario for scenario in CATALOGUE if scenario.name == "job-that-kills-its-worker")
    plan = scenario.plan(CONTRACT, seed=1)
    assert [step.when.occurrence for step in plan.steps if isinstance(step.when, AtCrashPoint)] == [1, 2, 3]
    assert [job.expected for job in plan.workload].count(DEAD_LETTERED) == 1


def test_scenarios_about_a_brokers_outage_start_workers_as_people_do() -> None:
    for scenario in CATALOGUE:
        if scenario.name.startswith("broker-restarted"):
            assert all(worker.arguments == () for worker in scenario.plan(CONTRACT, seed=1).contract.workers)


@pytest.mark.parametrize("name", ["delivered-twice-at-once", "delivered-twice-overtaken"])
def test_the_same_message_at_once_meets_two_workers(name: str) -> None:
    scenario = next(scenario for scenario in CATALOGUE if scenario.name == name)
    of_commands = msgspec.structs.replace(CONTRACT, workers=(Worker(name="one", command=("work",)),))
    longest = msgspec.structs.replace(CONTRACT, workers=(Worker(name="x" * 40),))

    workers = scenario.plan(CONTRACT, seed=1).contract.workers
    assert Counter(worker.queues for worker in workers) == {worker.queues: 2 for worker in CONTRACT.workers}
    assert len({worker.name for worker in workers}) == len(workers)
    assert len(scenario.plan(longest, seed=1).contract.workers) == 2
    assert [worker.name for worker in scenario.plan(of_commands, seed=1).contract.workers] == ["one"]


def test_no_two_scenarios_have_one_name() -> None:
    assert len({scenario.name for scenario in SCENARIOS}) == len(SCENARIOS)


def test_every_fault_in_the_catalogue_can_be_stored_in_a_step() -> None:
    job = PlannedJob(job="poison-1", task="mail", arguments={"x": [1, None]}, identity="p", checked=False)
    faults: tuple[Any, ...] = (
        KillWorker(target=Target.GROUP, waiting_min=2),
        Deploy(grace_seconds=1.5, target=Target.GROUP),
        FeedSpoilt(kind=PoisonKind.NOT_JSON, template="job-1", poison=job),
        CrashHost(),
        CutOffHost(direction=Direction.TO),
        CrashLoop(times=4),
        MoveClock(seconds=-60.0),
        EnqueueAsBefore(jobs=("job-1",)),
        WorkAsBefore(jobs=("job-1",)),
        ExhaustFiles(),
        ExhaustMemory(target=Target.CHILD),
        ExhaustProcesses(),
        FillDisk(),
        ProtectDisk(),
        HideNames(),
        StarveHost(cpus=0.05),
        FreezeChild(seconds=3.0),
        FreezeWorker(),
        HideDeadLetters(jobs=("job-1",), spool_too=True),
        LateReply(job="job-1", seconds=1.5),
        RefuseConnections(),
        ResetConnection(job="job-1", times=2),
        RestartBroker(outage_seconds=0.5, idle=True),
        SlowBroker(latency_milliseconds=60, jitter_milliseconds=40),
        StopDraining(queue="quick"),
        DeliverAgain(job="job-1"),
        FeedPoison(kind="wrong arguments", poison=job),
        AnswerErrors(job="job-1", status=503, times=2),
        LoseReply(job="job-1", reset=False),
        Silence(job="job-1", times=1),
        DripReply(job="job-1", seconds=1.5),
        SubmitAgain(again=job),
        KillSidecar(sidecar="relay"),
        DoubleSidecar(sidecar="relay"),
        Together(faults=(KillWorker(target=Target.MAIN), LoseReply(job="job-1"))),
    )
    assert {type(fault) for fault in faults} == set(FAULTS)
    for fault in faults:
        for when in (
            AtStart(),
            AtCrashPoint(point="p", job="job-1", occurrence=2),
            AfterJob(job="job-1"),
            AfterWorkload(),
        ):
            step = Step(when=when, fault=fault)
            assert msgspec.json.decode(encode(step), type=Step) == step


@pytest.mark.parametrize(
    "until",
    [
        "struck",
        "drained",
        AfterJob(job="j"),
        AfterAttempt(job="j"),
        AfterAlert(queue="q"),
        AfterSeconds(seconds=1.5, once_met=True),
        AfterStep(step=1),
    ],
)
def test_until_when_a_fault_lasts_can_be_stored_in_a_step(until: Any) -> None:
    step = Step(when=AtStart(), fault=FreezeWorker(), until=until)
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

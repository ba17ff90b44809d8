"""What faults do to a system, and when they say that they have landed."""

from contextlib import ExitStack
from typing import Any

import pytest

from harness.contract import AtMostOnce, Contract, Effect, JsonField, Task, Worker
from harness.downstream import Rule
from harness.events import EnqueueCalled
from harness.faults import (
    AnswerErrors,
    CrashLoop,
    DeliverAgain,
    Deploy,
    EnqueueAsBefore,
    FeedPoison,
    FeedSpoilt,
    FreezeChild,
    FreezeWorker,
    HideDeadLetters,
    KillWorker,
    LateReply,
    LoseReply,
    RefuseConnections,
    ResetConnection,
    RestartBroker,
    SlowBroker,
    StopDraining,
    Together,
    WorkAsBefore,
)
from harness.poison import PoisonKind
from harness.system import Capability, Impact, PlannedJob, Target

CONTRACT = Contract(
    name="c",
    app="a:a",
    workers=(Worker(name="w"),),
    tasks=(
        Task(
            name="mail",
            inputs=({"id": "mail-0"},),
            identity="{id}",
            effects=(Effect(request="POST /mail", belongs_to=JsonField("/id")),),
            promise=AtMostOnce(),
            attempts_max=4,
            wait_seconds_max=1.0,
        ),
    ),
)


POISON = PlannedJob(job="poison-1", task="mail", arguments={}, identity="p")


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

    def refuse(self) -> None:
        self.rules["refuse"] = Rule(name="refuse", answer=None)  # type: ignore[arg-type] # only that it is there

    def accept(self) -> None:
        del self.rules["refuse"]


class Lane:
    """A system that only notes what is done to it."""

    contract = CONTRACT
    capabilities = frozenset(Capability)
    jobs = (EnqueueCalled(job="job-1", task="mail", identity="mail-0"),)

    def __init__(self) -> None:
        self.downstream = Downstream()
        self.messages = self.workers = self.broker = self.stores = self.releases = self
        self.delivered = 0
        self.done: list[str] = []

    def enqueue(self, job: PlannedJob) -> None:
        self.done.append(f"enqueue {job.job}")

    def deliveries(self, job: str) -> int:
        return self.delivered

    def double(self, job: str) -> None:
        self.done.append(f"double {job}")

    def was_taken(self, job: str) -> bool:
        return self.delivered > 0

    def waiting(self, queue: str) -> tuple[str, ...]:
        return ("job-1",) * self.delivered

    def feed(self, kind: PoisonKind, template: str, poison: PlannedJob) -> None:
        self.done.append(f"feed {kind} made of {template}")

    def wait_attempt_ended(self, *jobs: str, within: float) -> tuple[str, ...]:
        return jobs if self.delivered else ()

    def freeze(self, arrival: object) -> Impact:
        self.done.append("freeze")
        return Impact(targets=("group",), jobs=("job-1",))

    def thaw(self) -> None:
        self.done.append("thaw")

    def freeze_child(self, arrival: object, *, within: float) -> Impact | None:
        return Impact(targets=("child",), jobs=("job-1",)) if self.delivered else None

    def terminate(self, arrival: object, target: Target) -> Impact:
        self.done.append(f"terminate {target}")
        return Impact(targets=("main",), jobs=("job-1",))

    def finish_termination(self, *, grace_seconds: float) -> None:
        self.done.append(f"finish after {grace_seconds:g} s")

    def stop_serving(self, queue: str) -> Impact:
        self.done.append(f"stop {queue}")
        return Impact(targets=("group",), jobs=())

    def restart(self, *, outage_seconds: float, with_data: bool = True) -> tuple[str, ...]:
        self.done.append(f"restart broker, {outage_seconds:g} s{'' if with_data else ', empty'}")
        return ()

    def slow_down(self, *, latency_milliseconds: int, jitter_milliseconds: int) -> None:
        self.done.append(f"slow down by {latency_milliseconds} ± {jitter_milliseconds} ms")

    def speed_up(self) -> None:
        self.done.append("speed up")

    def give_back_stranded(self) -> None:
        self.done.append("give back")

    def hide_dead_letters(self) -> None:
        self.done.append("hide")

    def show_dead_letters(self) -> None:
        self.done.append("show")

    def block_spool(self) -> None:
        self.done.append("block")

    def unblock_spool(self) -> None:
        self.done.append("unblock")

    def kill(self, target: Target, arrival: object, *, waiting_min: int = 0) -> Impact:
        self.done.append(f"kill {target}")
        return Impact(targets=(str(target),), jobs=("job-1",))

    def loop(self, arrival: object, *, times: int) -> Impact:
        self.done.append(f"loop {times}")
        return Impact(targets=("worker",), jobs=("job-1",))

    def enqueue_as_before(self, jobs: tuple[str, ...]) -> None:
        self.done.append("enqueue as before")

    def enqueue_as_now(self) -> None:
        self.done.append("enqueue as now")

    def work_as_before(self) -> None:
        self.done.append("work as before")

    def work_as_now(self) -> None:
        self.done.append("work as now")

    def recover(self) -> None:
        self.done.append("recover")


def test_killing_a_worker_is_healed_even_if_what_comes_between_fails() -> None:
    lane = Lane()
    with pytest.raises(ZeroDivisionError), KillWorker(target=Target.MAIN).applied_to(lane, None):
        raise ZeroDivisionError
    assert lane.done == ["kill main", "recover"]


@pytest.mark.parametrize(
    "fault",
    [
        AnswerErrors(job="job-1"),
        LoseReply(job="job-1"),
        LateReply(job="job-1", seconds=1),
        ResetConnection(job="job-1"),
    ],
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
        FeedPoison(kind="k", poison=POISON),
        FeedSpoilt(kind=PoisonKind.NOT_JSON, template="job-1", poison=POISON),
        RefuseConnections(),
        StopDraining(queue="q"),
        HideDeadLetters(jobs=("poison-1",)),
        SlowBroker(latency_milliseconds=9),
        EnqueueAsBefore(jobs=("job-1",)),
        WorkAsBefore(jobs=("job-1",)),
    ],
    ids=lambda fault: type(fault).__name__,
)
def test_a_fault_that_needs_somebody_to_meet_it_has_landed_once_somebody_has(fault: Any) -> None:
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


@pytest.mark.parametrize(
    ("fault", "done"),
    [
        (FreezeWorker(), ["freeze", "thaw"]),
        (Deploy(grace_seconds=2), ["terminate main", "finish after 2 s"]),
        (StopDraining(queue="q"), ["stop q", "recover"]),
        (RestartBroker(outage_seconds=0.5), ["restart broker, 0.5 s", "give back"]),
        (RestartBroker(outage_seconds=0.5, with_data=False), ["restart broker, 0.5 s, empty", "give back"]),
        (CrashLoop(times=3), ["loop 3", "recover"]),
        (EnqueueAsBefore(jobs=("job-1",)), ["enqueue as before", "enqueue as now"]),
        (WorkAsBefore(jobs=("job-1",)), ["work as before", "work as now"]),
        (SlowBroker(latency_milliseconds=9, jitter_milliseconds=1), ["slow down by 9 ± 1 ms", "speed up"]),
        (HideDeadLetters(jobs=()), ["hide", "show"]),
        (HideDeadLetters(jobs=(), spool_too=True), ["hide", "block", "unblock", "show"]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_hurts_is_healed_even_if_what_comes_between_fails(fault: Any, done: list[str]) -> None:
    lane = Lane()
    with pytest.raises(ZeroDivisionError), fault.applied_to(lane, None):
        raise ZeroDivisionError
    assert lane.done == done


def test_a_child_that_nobody_killed_in_time_was_not_put_to_the_test() -> None:
    lane = Lane()
    with FreezeChild(seconds=1.0).applied_to(lane, None) as evidence:
        assert evidence() is None
    lane.delivered = 1
    with FreezeChild(seconds=1.0).applied_to(lane, None) as evidence:
        assert evidence() is not None


def test_a_restart_of_an_idle_broker_says_that_it_was_meant_to_meet_nobody() -> None:
    with RestartBroker(outage_seconds=0.5, idle=True).applied_to(Lane(), None) as evidence:
        impact = evidence()
    assert impact == Impact(targets=("the broker",), jobs=(), idle=True)


def test_rules_of_one_kind_for_one_job_stand_beside_each_other_where_they_let_other_requests_pass() -> None:
    lane = Lane()
    first, third = AnswerErrors(job="job-1", times=1), AnswerErrors(job="job-1", times=1, skip=1)
    with first.applied_to(lane, None), third.applied_to(lane, None):
        assert sorted((rule.skip, rule.times) for rule in lane.downstream.rules.values()) == [(0, 1), (1, 1)]
    assert lane.downstream.rules == {}
    assert third.sentence == "the downstream answers 500 to job-1, once, from its request 2 on"

"""Two releases of one subject, a folder each: who enqueues and who works is of the one that is asked for."""

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from harness.contract import Contract, ContractError, Release, Task
from harness.contract_file import compile_contract
from harness.events import JobId
from harness.faults import EnqueueAsBefore, WorkAsBefore
from harness.system import PlannedJob, SubjectError
from scenarios.two_releases import NEW_MESSAGES_TO_OLD_CODE, OLD_MESSAGES_TO_NEW_CODE
from tests.contract.greetings import GREETINGS, Deployed, bodies, drained, events

A, B, C = JobId("job-1"), JobId("job-2"), JobId("job-3")


def asked(system: Any, job: JobId, **arguments: str) -> PlannedJob:
    (planned,) = (each for each in system.plan.workload if each.job == job)
    return replace(planned, arguments=arguments) if arguments else planned


def test_jobs_that_are_enqueued_as_before_are_the_previous_release_s_and_the_others_are_not(
    greetings: Deployed, tmp_path: Path
) -> None:
    with greetings() as system:
        with EnqueueAsBefore(jobs=(A, C)).applied_to(system, None) as evidence:
            assert evidence() is None
            system.messages.enqueue(asked(system, A))  # with a tone, which the old code's producer refuses
            system.messages.enqueue(asked(system, B))
            system.messages.enqueue(asked(system, C))
            drained(system)
            assert evidence().jobs == (C,)
        system.messages.enqueue(asked(system, A))
        drained(system)
    returned = [event for event in events(tmp_path, "harness") if event["event"] == "EnqueueReturned"]
    assert [event["outcome"] for event in returned] == ["failed", "ok", "ok", "ok"]
    assert "tone" in returned[0]["error"]
    assert sorted((body["whom"], body["tone"]) for body in bodies(tmp_path)) == [
        ("a", "plain"),
        ("b", "warm"),
        ("c", "plain"),
    ]


def test_workers_are_of_the_previous_release_and_then_of_this_one_again(greetings: Deployed, tmp_path: Path) -> None:
    with greetings() as system:
        first = system.workers.nodes["w"].pid
        with WorkAsBefore(jobs=(C,)).applied_to(system, None) as evidence:
            assert system.lane.exit_of(first) == "exit 0"
            assert evidence() is None
            system.messages.enqueue(asked(system, C))
            drained(system)
            assert evidence().jobs == (C,)
        system.messages.enqueue(asked(system, A))
        drained(system)
    assert [body["by"] for body in bodies(tmp_path)] == ["before", "now"]


def test_of_a_contract_that_tells_no_previous_release_none_is_asked_for() -> None:
    contract = compile_contract(GREETINGS)
    silent = replace(contract, previous=None, tasks=tuple(replace(each, previous_inputs=()) for each in contract.tasks))
    for scenario in (OLD_MESSAGES_TO_NEW_CODE, NEW_MESSAGES_TO_OLD_CODE):
        assert scenario.plan(silent, seed=1).steps == ()


def test_a_previous_release_that_is_not_there_is_said_to_be_missing(greetings: Deployed) -> None:
    contract = replace(compile_contract(GREETINGS), previous=Release(directory="long-gone"))
    with greetings(contract=contract) as system, pytest.raises(SubjectError, match="long-gone is not there"):
        system.releases.enqueue_as_before((A,))


def test_what_the_previous_release_cannot_ask_for_is_asked_for_by_this_one() -> None:
    plan = OLD_MESSAGES_TO_NEW_CODE.plan(compile_contract(GREETINGS), seed=1)
    (step,) = plan.steps
    assert step.fault == EnqueueAsBefore(jobs=(A,))
    assert [job.arguments for job in plan.workload] == [{"whom": "a"}, {"whom": "b", "tone": "warm"}, {"whom": "c"}]


def test_what_old_code_is_not_asked_for_as_before_it_may_set_aside() -> None:
    plan = NEW_MESSAGES_TO_OLD_CODE.plan(compile_contract(GREETINGS), seed=1)
    assert {job.job: job.expected for job in plan.workload} == {A: "either", B: "either", C: "done"}


@pytest.mark.parametrize(
    ("previous", "previous_inputs", "words"),
    [
        (Release(), ({"whom": "a"},), "previous_inputs has 1 entries and inputs 3"),
        (None, ({"whom": "a"}, None, None), "Contract.previous is not"),
        (Release(environment={"X": "{nothing}"}), (), "unknown placeholder {nothing}"),
    ],
)
def test_a_previous_release_that_cannot_be_meant_is_refused(
    previous: Release | None, previous_inputs: tuple[Any, ...], words: str
) -> None:
    contract = compile_contract(GREETINGS)

    def told(task: Task) -> Contract:
        return replace(contract, previous=previous, tasks=(replace(task, previous_inputs=previous_inputs),))

    with pytest.raises(ContractError, match=words):
        told(contract.tasks[0])

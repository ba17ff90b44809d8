"""Which job system a contract is for, what that system asks of it, and what cannot be covered there."""

from pathlib import Path
from typing import Any

import pytest

from harness.checkers import GUARANTEES
from harness.contract import (
    AtLeastOnce,
    Contract,
    ContractError,
    DeadLetterTable,
    Effect,
    JsonField,
    Task,
    Worker,
)
from harness.contract_file import compile_contract
from harness.coverage import covered
from harness.plan import Plan
from harness.system import Capability
from harness.systems import SYSTEMS, system_of
from scenarios import CATALOGUE, FAULT_FREE
from tests.conftest import ROOT

EVERYTHING = frozenset(Capability)
LETTERS = DeadLetterTable(url="sqlite:///x", table="t", message="m", reason="r", body="b")


def task(**changes: Any) -> Task:
    fields: dict[str, Any] = {
        "name": "email",
        "queue": "emails",
        "identity": "{to}",
        "inputs": ({"to": "a"}, {"to": "b"}, {"to": "c"}, {"to": "d"}),
        "effects": (Effect(request="POST /v1/emails", belongs_to=JsonField("/to")),),
        "promise": AtLeastOnce(),
        "attempts_max": 3,
        "wait_seconds_max": 5.0,
        "hard_limit_seconds": 2.0,
    }
    return Task(**{**fields, **changes})


def on_lists(**changes: Any) -> Contract:
    fields: dict[str, Any] = {
        "name": "c",
        "system": "redis-list",
        "workers": (Worker(name="w", queues=("emails",), command=("worker",)),),
        "tasks": (task(),),
    }
    return Contract(**{**fields, **changes})


def on_celery(**changes: Any) -> Contract:
    fields: dict[str, Any] = {
        "name": "c",
        "app": "a:a",
        "workers": (Worker(name="w"),),
        "tasks": (task(),),
        "dead_letters": LETTERS,
    }
    return Contract(**{**fields, **changes})


def plans(contract: Contract) -> list[Plan]:
    planned = [scenario.plan(contract, seed=1) for scenario in (FAULT_FREE, *CATALOGUE)]
    return [plan for plan in planned if plan.steps or plan.scenario == FAULT_FREE.name]


@pytest.mark.parametrize("contract", [on_lists(), on_celery()], ids=lambda contract: contract.system)
def test_a_contract_that_says_what_its_system_needs_is_taken(contract: Contract) -> None:
    assert system_of(contract) is SYSTEMS[contract.system]


@pytest.mark.parametrize(
    ("contract", "words"),
    [
        (on_lists(system="redis-lists"), "did you mean 'redis-list'"),
        (on_lists(system="???"), "there are: celery, redis-list"),
        (on_lists(workers=(Worker(name="w"),)), "command is empty"),
        (on_lists(tasks=(task(queue=""),)), "queue is empty"),
        (on_lists(prepare="a:b"), "prepare is called in the subject's Python"),
        (on_celery(app=""), "app is empty"),
        (on_celery(workers=(Worker(name="w", command=("sh",)),)), "command is for other job systems"),
    ],
)
def test_what_its_system_cannot_do_anything_with_is_refused(contract: Contract, words: str) -> None:
    with pytest.raises(ContractError, match=words.replace("?", r"\?")):
        system_of(contract)


def test_a_workers_command_may_hold_placeholders_and_no_others() -> None:
    assert on_lists(workers=(Worker(name="w", command=("run", "{broker_url}")),))
    with pytest.raises(ContractError, match="brocker_url"):
        on_lists(workers=(Worker(name="w", command=("run", "{brocker_url}")),))


def test_a_mistake_about_the_system_names_the_contracts_file(tmp_path: Path) -> None:
    text = (ROOT / "tests" / "subjects" / "shell_worker" / "naive_contract.py").read_text()
    path = tmp_path / "contract.py"
    path.write_text(text.replace('"redis-list"', '"redis-lst"'))
    with pytest.raises(ContractError, match=r"contract\.py: .*did you mean 'redis-list'"):
        compile_contract(path)


def test_for_celery_nothing_is_left_out() -> None:
    planned = plans(on_celery())
    assert covered(planned, on_celery(), EVERYTHING) == (tuple(planned), ())


def test_for_celery_what_needs_a_place_for_dead_letters_is_left_out_where_none_is_told() -> None:
    contract = on_celery(dead_letters=None)
    _, left_out = covered(plans(contract), contract, EVERYTHING)
    assert {each.name for each in left_out} >= {"job-that-always-fails", "poisoned-messages"}
    assert all("where dead letters go" in each.because for each in left_out)


def test_for_a_list_what_needs_a_probe_a_sweep_a_format_or_a_place_is_left_out_with_its_reason() -> None:
    kept, left_out = covered(plans(on_lists()), on_lists(), EVERYTHING)
    assert {each.name: each.because.partition(":")[0] for each in left_out} == {
        "backlog-of-a-dead-worker": "needs see-bodies",
        "worker-in-a-crash-loop": "needs see-bodies",
        "worker-clock-ahead": "needs move-clock",
        "frozen-past-the-visibility-timeout": "needs freeze-worker",
        "hard-limit-inside-an-effect": "needs freeze-pool-child",
        "names-hidden": "needs see-bodies",
        "disk-read-only": "needs see-bodies",
        "files-exhausted": "needs see-bodies",
        "poisoned-messages": "needs feed-raw-message",
        "job-that-always-fails": "needs find-dead-letters",
        "job-with-wrong-arguments": "needs find-dead-letters",
        "downstream-refuses-for-good": "needs find-dead-letters",
        "attempts-bounded": "cannot be judged",
    }
    assert {plan.scenario for plan in kept} >= {"worker-killed-main", "reply-lost", "deploy-with-time"}


def test_no_plan_asks_for_a_guarantee_that_cannot_be_judged_and_for_every_other_all_do() -> None:
    kept, _ = covered(plans(on_lists()), on_lists(), EVERYTHING)
    rest = set(GUARANTEES) - {"attempts-bounded"}
    assert {plan.scenario for plan in kept if not rest <= set(plan.guarantees)} == {"fault-free"}
    assert not any("attempts-bounded" in plan.guarantees for plan in kept)


def test_with_a_place_for_dead_letters_a_list_is_covered_further() -> None:
    contract = on_lists(dead_letters=LETTERS)
    _, left_out = covered(plans(contract), contract, EVERYTHING)
    assert not any("find-dead-letters" in each.because for each in left_out)


def test_what_a_runtime_cannot_do_is_left_out_whatever_the_system() -> None:
    kept, left_out = covered(plans(on_celery()), on_celery(), EVERYTHING - {Capability.RESTART_BROKER})
    assert {each.name.rpartition("-")[0] for each in left_out} == {
        "broker-restarted-idle",
        "broker-restarted-busy",
        "broker-restarted",
    }
    assert {each.because for each in left_out} == {"needs restart-broker: this runtime cannot do that"}
    assert not any("broker-restarted" in plan.scenario for plan in kept)

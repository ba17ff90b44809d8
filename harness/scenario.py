"""A scenario: one story, and how it becomes a plan for a given contract. Pure; all chance is drawn here."""

from collections.abc import Callable
from random import Random
from typing import Any, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from harness.contract import Contract, Task
from harness.events import DEAD_LETTERED, JobId
from harness.plan import Plan, Step
from harness.system import PlannedJob

Workload: TypeAlias = tuple[PlannedJob, ...]


class Script(Struct, frozen=True, kw_only=True):
    """The part of a plan that is the scenario's own."""

    workload: Workload
    steps: tuple[Step, ...]


class Scenario(Struct, frozen=True, kw_only=True):
    """`explore` takes the contract's workload and a source of chance; the same seed gives the same plan.

    `watched`: the contract's sidecars, such as its monitor, run beside its workers.
    """

    name: str
    story: str
    covers: tuple[str, ...]  # ids of docs/failure-modes
    guarantees: tuple[str, ...]
    explore: Callable[[Contract, Workload, Random], Script]
    watched: bool = False

    def plan(self, contract: Contract, *, seed: int, bug: str = "") -> Plan:
        # A scenario's draws depend on its name and the seed, not on which other scenarios run beside it.
        random = Random(f"{seed}/{self.name}")  # noqa: S311 - a plan must repeat; nothing here is secret
        script = self.explore(contract, workload_of(contract), random)
        return Plan(
            scenario=self.name,
            story=self.story,
            seed=seed,
            contract=contract,
            workload=script.workload,
            steps=script.steps,
            guarantees=self.guarantees,
            covers=self.covers,
            bug=bug,
            watched=self.watched,
        )


def workload_of(contract: Contract) -> Workload:
    """Every input of every task, in the contract's order, with the same job ids in every scenario."""
    numbered = [(task, arguments) for task in contract.tasks for arguments in task.inputs]
    return tuple(
        PlannedJob(
            job=JobId(f"job-{number}"), task=task.name, arguments=arguments, identity=task.identity_of(arguments)
        )
        for number, (task, arguments) in enumerate(numbered, start=1)
    )


def victims(workload: Workload, random: Random) -> Workload:
    """One job of each task, drawn: a fault that strikes one job strikes every kind of job."""
    by_task: dict[str, list[PlannedJob]] = {}
    for job in workload:
        by_task.setdefault(job.task, []).append(job)
    return tuple(random.choice(jobs) for jobs in by_task.values())


def budgets(contract: Contract, jobs: Workload) -> dict[JobId, int]:
    """How many failures of its downstream each job's task promises to survive, of those that promise any."""
    found = {job.job: task.retries_max for job in jobs if (task := contract.task(job.task)) is not None}
    return {job: retries for job, retries in found.items() if retries > 0}


def dead(workload: Workload, doomed: Workload) -> Workload:
    """The workload, with some jobs expected to end as dead letters."""
    ids = {job.job for job in doomed}
    return tuple(replace(job, expected=DEAD_LETTERED) if job.job in ids else job for job in workload)


def poison(task: Task, number: int, kind: str, arguments: dict[str, Any]) -> PlannedJob:
    return PlannedJob(
        job=JobId(f"poison-{number}"),
        task=task.name,
        arguments=arguments,
        identity=f"poison:{kind}:{number}",
        expected=DEAD_LETTERED,
        checked=False,
    )

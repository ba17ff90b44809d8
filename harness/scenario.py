"""A scenario: one story, and how it becomes a plan for a given contract. Pure; all chance is drawn here."""

from collections.abc import Callable, Iterator
from random import Random
from typing import Any, TypeAlias

from msgspec import Struct, to_builtins
from msgspec.structs import replace

from harness.contract import UNTOLD, Contract, Task, Worker
from harness.events import DEAD_LETTERED, DONE, EITHER, JobId
from harness.plan import AfterStep, Plan, Step
from harness.system import Capability, PlannedJob

Workload: TypeAlias = tuple[PlannedJob, ...]


class Script(Struct, frozen=True, kw_only=True):
    """The part of a plan that is the scenario's own."""

    workload: Workload
    steps: tuple[Step, ...]


UNKNOWN_ARGUMENT: dict[str, Any] = {"jobproof_unknown_argument": 1}


def always(contract: Contract) -> bool:
    del contract
    return True


# The guarantees that only some contracts give; one that nobody gave is not judged.
GIVEN: dict[str, Callable[[Contract], bool]] = {
    "alerts-fire": lambda contract: contract.alerts is not None,
    "attempts-bounded": lambda contract: any(task.attempts_max != UNTOLD for task in contract.tasks),
    "bounded-wait": lambda contract: any(task.gives("wait_seconds_max") for task in contract.tasks),
}
CORE, FULL = "core", "full"


class Scenario(Struct, frozen=True, kw_only=True):
    """`explore` takes the contract's workload and a source of chance; the same seed gives the same plan.

    * `profile`: "core" runs on every change; "full" is what takes longer, or varies what a core scenario has shown
    * `watched`: the subject's sidecars run too
    * `proxied`: a fault proxy stands between the subject and its broker
    * `asks`: what the contract has to tell for it to have something to hurt
    * `shape`: which workers this scenario has for one of the contract's
    """

    name: str
    story: str
    covers: tuple[str, ...]  # ids of docs/failure-modes
    guarantees: tuple[str, ...]
    explore: Callable[[Contract, Workload, Random], Script]
    profile: str = CORE
    watched: bool = False
    proxied: bool = False
    asks: str = ""
    shape: Callable[[Worker], tuple[Worker, ...]] | None = None

    def plan(self, contract: Contract, *, seed: int, bug: str = "") -> Plan:
        # A scenario's draws depend on its name and the seed, not on which other scenarios run beside it.
        random = Random(f"{seed}/{self.name}")  # noqa: S311 - a plan must repeat; nothing here is secret
        if self.shape is not None:
            workers = tuple(shaped for worker in contract.workers for shaped in self.shape(worker))
            contract = replace(contract, workers=workers)
        script = within_reach(contract, self.explore(contract, workload_of(contract), random))
        return Plan(
            scenario=self.name,
            story=self.story,
            seed=seed,
            contract=contract,
            workload=script.workload,
            steps=script.steps,
            guarantees=tuple(name for name in self.guarantees if GIVEN.get(name, always)(contract)),
            canaries=canaries(contract, script) if script.steps else (),
            watched=self.watched,
            proxied=self.proxied,
            covers=self.covers,
            bug=bug,
        )


def within_reach(contract: Contract, script: Script) -> Script:
    """Without the steps that need an effect of a job that has none at the ledger: nobody would ever come there."""
    blind = {job.job for job in script.workload if not task_of(contract, job).effects_of(job.identity)}
    kept = []
    spared = set()
    for step in script.steps:
        point = getattr(step.when, "point", "")
        job = getattr(step.when, "job", None) if point else getattr(step.fault, "job", None)
        if job in blind and (point.startswith("effect-") or Capability.SCRIPT_DOWNSTREAM in step.needs):
            spared.add(job)
        else:
            kept.append(step)
    if spared and any(isinstance(step.until, AfterStep) for step in script.steps):
        kept = []  # what they wait for has another number now, or is not there
    as_planned = {job.job: job for job in workload_of(contract)}
    workload = tuple(as_planned.get(job.job, job) if job.job in spared else job for job in script.workload)
    return Script(workload=workload, steps=tuple(kept))


def workload_of(contract: Contract) -> Workload:
    """Every input of every task, in the contract's order, with the same job ids in every scenario."""
    numbered = [(task, arguments) for task in contract.tasks for arguments in task.inputs]
    return tuple(
        PlannedJob(
            job=JobId(f"job-{number}"), task=task.name, arguments=arguments, identity=task.identity_of(arguments)
        )
        for number, (task, arguments) in enumerate(numbered, start=1)
    )


def canaries(contract: Contract, script: Script) -> tuple[JobId, ...]:
    """For each queue the last job that no step is about, to be enqueued once the steps have been taken.

    It shows that somebody still listens there. A queue with a single job has none.
    """
    used = set(_text_of(script.steps))
    by_queue: dict[str, list[PlannedJob]] = {}
    for job in script.workload:
        by_queue.setdefault(queue_of(contract, job.task), []).append(job)
    found = []
    for jobs in by_queue.values():
        free = [job for job in jobs if job.job not in used and job.expected == DONE]
        if free and len(jobs) > 1:
            found.append(free[-1].job)
    return tuple(found)


def _text_of(value: Any) -> Iterator[str]:
    """Every string in a plain value: the jobs that a step names are among them, wherever it names them."""
    match to_builtins(value):
        case str() as text:
            yield text
        case dict() as fields:
            for each in fields.values():
                yield from _text_of(each)
        case list() | tuple() as items:
            for each in items:
                yield from _text_of(each)
        case _:
            return


def queue_of(contract: Contract, task: str) -> str:
    """The queue of a task as the contract tells it; of one that does not tell, a name that is its own."""
    found = contract.task(task)
    return (found.queue if found is not None else "") or f"(of {task})"


def either(workload: Workload, doubtful: Workload) -> Workload:
    """The workload, with some jobs of which it is open whether they are done or given up."""
    return _expecting(workload, doubtful, EITHER)


def victims(workload: Workload, random: Random) -> Workload:
    """One job of each task, drawn: a fault that strikes one job strikes every kind of job."""
    by_task: dict[str, list[PlannedJob]] = {}
    for job in workload:
        by_task.setdefault(job.task, []).append(job)
    return tuple(random.choice(jobs) for jobs in by_task.values())


def one_of_each_queue(contract: Contract, workload: Workload, random: Random) -> Workload:
    """One job for each queue, drawn: a fault that strikes a whole worker strikes every kind of worker."""
    by_queue: dict[str, list[PlannedJob]] = {}
    for job in victims(workload, random):
        by_queue.setdefault(queue_of(contract, job.task), []).append(job)
    return tuple(random.choice(jobs) for jobs in by_queue.values())


def task_of(contract: Contract, job: PlannedJob) -> Task:
    """:raises KeyError: the job is of another contract"""
    return {task.name: task for task in contract.tasks}[job.task]


def patience(contract: Contract, jobs: Workload) -> dict[JobId, float]:
    """How long each job's client waits for its downstream, of those whose contract tells."""
    return {job.job: seconds for job in jobs if (seconds := task_of(contract, job).patience_seconds) > 0}


def wrong_arguments(task: Task) -> dict[str, Any]:
    """Keyword arguments that the task cannot take."""
    return UNKNOWN_ARGUMENT if task.wrong_arguments is None else task.wrong_arguments


def budgets(contract: Contract, jobs: Workload) -> dict[JobId, int]:
    """How many failures of its downstream each job's task promises to survive, of those that promise any."""
    found = {job.job: task.retries_max for job in jobs if (task := contract.task(job.task)) is not None}
    return {job: retries for job, retries in found.items() if retries > 0}


def dead(workload: Workload, doomed: Workload) -> Workload:
    """The workload, with some jobs expected to end as dead letters."""
    return _expecting(workload, doomed, DEAD_LETTERED)


def _expecting(workload: Workload, jobs: Workload, end: str) -> Workload:
    ids = {job.job for job in jobs}
    return tuple(replace(job, expected=end) if job.job in ids else job for job in workload)


def poison(task: Task, number: int, kind: str, arguments: dict[str, Any]) -> PlannedJob:
    return PlannedJob(
        job=JobId(f"poison-{number}"),
        task=task.name,
        arguments=arguments,
        identity=f"poison:{kind}:{number}",
        expected=DEAD_LETTERED,
        checked=False,
    )

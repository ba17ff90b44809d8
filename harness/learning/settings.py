"""What a contract leaves out and the application's own settings tell. Pure."""

import difflib

from msgspec.structs import replace

from harness.audit.facts import Facts, TaskFacts
from harness.contract import UNTOLD, Contract, Task, Worker
from harness.system import SubjectError

# Over all faults of a scenario: one death of the worker, and one more delivery that comes of a restart.
WORKER_LOSSES = 2
# For a hard limit that a scenario has to wait for.
LIMIT_SECONDS_MAX = 15.0
WORKER = "worker"


def from_settings(contract: Contract, facts: Facts) -> Contract:
    """The contract with queues, limits, attempts and a worker, as far as nobody has told them.

    :raises SubjectError: it names a task that the application does not have
    """
    known = {task.name: task for task in facts.tasks}
    tasks = tuple(_filled(task, known.get(task.name), known, contract.app) for task in contract.tasks)
    workers = contract.workers or (Worker(name=WORKER, queues=queues_of(facts)),)
    return replace(contract, tasks=tasks, workers=workers)


def queues_of(facts: Facts) -> tuple[str, ...]:
    """Where the application's tasks are routed to; none where that is not known of one of them."""
    if any(task.queue_error for task in facts.tasks):
        return ()
    return tuple(sorted({task.queue for task in facts.tasks if task.queue}))


def attempts_of(task: TaskFacts) -> int:
    """How often a body may start by the task's own settings; UNTOLD where its retries have no bound."""
    retries = task.options.get("max_retries")
    if not isinstance(retries, int) or isinstance(retries, bool):
        return UNTOLD
    return 1 + max(retries, 0) + WORKER_LOSSES


def limit_of(task: TaskFacts) -> float:
    """Its hard limit where a scenario can wait for it; 0: not told."""
    seconds = task.seconds("time_limit") or 0.0
    return seconds if seconds <= LIMIT_SECONDS_MAX else 0.0


def _filled(task: Task, facts: TaskFacts | None, known: dict[str, TaskFacts], app: str) -> Task:
    if facts is None:
        near = difflib.get_close_matches(task.name, known, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]!r}?" if near else f"it has: {', '.join(known) or 'none'}"
        raise SubjectError(f"{app!r} has no task {task.name!r}; {hint}")
    learnt = list(task.learnt)
    attempts = task.attempts_max
    if attempts == UNTOLD:
        attempts = attempts_of(facts)
        learnt.append("attempts_max")
    return replace(
        task,
        queue=task.queue or (facts.queue if not facts.queue_error else ""),
        attempts_max=attempts,
        hard_limit_seconds=task.hard_limit_seconds or limit_of(facts),
        learnt=tuple(learnt),
    )

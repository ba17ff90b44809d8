"""A contract that says little becomes one that a run can be planned from."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from harness.audit.facts import Facts
from harness.contract import UNTOLD, Contract, Task
from harness.countdowns import not_waited_for
from harness.learning.effects import Known, learn_effects
from harness.learning.folders import learn_folders
from harness.learning.rehearsal import Rehearsal, rehearse
from harness.learning.settings import from_settings
from harness.learning.tables import learn_tables
from harness.runtimes.runtime import Runtime
from harness.scenario import workload_of
from harness.session import Session
from harness.system import SubjectError

# How long a job may take that was slowed down by a fault, for one that nobody has told a bound of: it decides how long
# is waited before a run is given up, and is held against nobody.
WAIT_SECONDS_MIN, WAIT_SECONDS_MAX = 15.0, 60.0
_LONGER = 5.0
LEARNING = "learning"
NAMES = ("rehearsal", "rehearsal-backwards")


class Completed(Struct, frozen=True, kw_only=True):
    """`doubts`: what could not be learnt, in sentences."""

    contract: Contract
    doubts: tuple[str, ...] = ()


def complete(
    contract: Contract,
    facts: Callable[[], Facts],
    *,
    session: Session,
    runtime: Runtime,
    directory: Path,
    homes: tuple[Any, ...],
) -> Completed:
    """What nobody has told is taken from the settings, and learnt from two fault-free runs, at once on two lanes.

    The records of these runs are kept in `directory`/learning. One that tells everything is left as it is.

    :raises SubjectError: the application lacks a task, or a job fails without any fault
    """
    if contract.is_told:
        return Completed(contract=contract)
    contract = from_settings(contract, facts())
    is_stored = bool(contract.databases or contract.untold_files)
    if all(task.effects for task in contract.tasks) and not is_stored:
        return Completed(contract=_with_waits(contract, 0.0))

    own = directory / LEARNING
    (own / "events").mkdir(parents=True)

    def one(number: int) -> Rehearsal:
        return rehearse(
            contract,
            NAMES[number],
            backwards=bool(number),
            runtime=runtime,
            directory=own,
            home=homes[number % len(homes)],
        )

    pool = ThreadPoolExecutor(min(len(homes), len(NAMES)), thread_name_prefix="lane")
    try:
        first, second = pool.map(one, range(len(NAMES)))
    except BaseException:
        # Ctrl-C, or a subject that does not do its jobs: nobody should have to wait for the other lane.
        pool.shutdown(wait=False, cancel_futures=True)
        session.close()
        raise
    pool.shutdown()
    return _learnt(contract, first, second)


def _learnt(contract: Contract, first: Rehearsal, second: Rehearsal) -> Completed:
    untold = {task.name for task in contract.tasks if not task.effects}
    jobs = [job for job in workload_of(contract) if job.task in untold]
    known = learn_effects(jobs, first.requests, second.requests)
    tables, doubts = learn_tables(first.tables, second.tables)
    folders, doubtful = learn_folders(first.files, second.files, (first.writers, second.writers))
    tasks = tuple(_with_effects(task, known) if task.name in untold else task for task in contract.tasks)
    contract = replace(contract, tasks=tasks, state=(*contract.state, *tables), databases=())
    contract = replace(contract, folders=(*contract.folders, *folders))
    for task in contract.tasks:
        if not task.effects and not contract.state and not any(first.files.values()):
            raise SubjectError(
                f"{task.name} ran, and nothing of what it did can be seen: no request reached the played downstream "
                f"({{ledger_url}}, {{smtp_url}}), and the contract names no databases, and no files that it left"
            )
    waits = [each.because for each in not_waited_for((*first.shortened, *second.shortened))]
    slowest = max(first.seconds_max, second.seconds_max)
    return Completed(contract=_with_waits(contract, slowest), doubts=(*known.doubts, *doubts, *doubtful, *waits))


def _with_effects(task: Task, known: Known) -> Task:
    return replace(task, effects=known.by_task.get(task.name, ()), learnt=(*task.learnt, "effects"))


def _with_waits(contract: Contract, slowest_seconds: float) -> Contract:
    wait = min(max(WAIT_SECONDS_MIN, _LONGER * slowest_seconds), WAIT_SECONDS_MAX)
    tasks = tuple(
        replace(task, wait_seconds_max=wait, learnt=(*task.learnt, "wait_seconds_max"))
        if task.wait_seconds_max == UNTOLD
        else task
        for task in contract.tasks
    )
    return replace(contract, tasks=tasks)

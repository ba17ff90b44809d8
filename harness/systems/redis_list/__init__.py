"""Workers of any language that take JSON objects from a Redis list, the way naive and careful ones do."""

from harness.contract import Contract, ContractError
from harness.system import Capability
from harness.systems.driver import NO_PLACE, JobSystem
from harness.systems.redis_list.driver import ListDriver

NO_PROBE = "there is no probe in the worker that could tell when a body begins, or what its clock shows"
NO_SWEEP = "a list gives back nothing of itself, however long a worker keeps it"
NO_LIMIT = "there is no hard limit that would end a body"
NO_FORMAT = "what is in a message is between the worker and its producer, so there is no format to spoil"


def check(contract: Contract) -> None:
    """:raises ContractError: a worker without a command, a task without a queue, or what needs the subject's Python"""
    if contract.prepare:
        raise ContractError("Contract: prepare is called in the subject's Python, and a list's worker may have none")
    if not contract.is_told:
        raise ContractError("Contract: workers, effects and bounds are learnt of Celery only; tell them here")
    for worker in contract.workers:
        if not worker.command:
            raise ContractError(f"Worker({worker.name!r}): command is empty; say how this worker is started")
    for task in contract.tasks:
        if not task.queue:
            raise ContractError(f"Task({task.name!r}): queue is empty; name the list that its jobs are pushed to")


def cannot(contract: Contract) -> dict[Capability, str]:
    found = {
        Capability.SEE_BODIES: NO_PROBE,
        Capability.MOVE_CLOCK: NO_PROBE,
        Capability.FREEZE_WORKER: NO_SWEEP,
        Capability.FREEZE_POOL_CHILD: NO_LIMIT,
        Capability.FEED_RAW_MESSAGE: NO_FORMAT,
    }
    return found if contract.dead_letters is not None else {**found, Capability.FIND_DEAD_LETTERS: NO_PLACE}


REDIS_LIST = JobSystem(
    check=check,
    drive=ListDriver,
    cannot=cannot,
    unjudged={"attempts-bounded": NO_PROBE},
)

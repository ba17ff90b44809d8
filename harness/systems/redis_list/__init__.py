"""Workers of any language that take JSON objects from a Redis list, the way naive and careful ones do."""

from harness.contract import Contract, ContractError
from harness.system import Capability
from harness.systems.driver import JobSystem
from harness.systems.redis_list.driver import ListDriver

NO_PROBE = "it needs a probe in the worker, which would tell when a body begins"

# A list has no visibility timeout, no hard limit and no format that could be spoilt: what is in a message, and what
# becomes of one that its worker keeps too long, is between the worker and its producer.
WITHOUT = frozenset(
    {
        Capability.SEE_BODIES,
        Capability.FREEZE_WORKER,
        Capability.FREEZE_POOL_CHILD,
        Capability.FEED_RAW_MESSAGE,
    }
)


def check(contract: Contract) -> None:
    """:raises ContractError: a worker without a command, a task without a queue, or what needs the subject's Python"""
    if contract.prepare:
        raise ContractError("Contract: prepare is called in the subject's Python, and a list's worker may have none")
    for worker in contract.workers:
        if not worker.command:
            raise ContractError(f"Worker({worker.name!r}): command is empty; say how this worker is started")
    for task in contract.tasks:
        if not task.queue:
            raise ContractError(f"Task({task.name!r}): queue is empty; name the list that its jobs are pushed to")


def capabilities(contract: Contract) -> frozenset[Capability]:
    """Where jobs go that are given up is known only where the contract names the place."""
    unknown = WITHOUT if contract.dead_letters is not None else WITHOUT | {Capability.FIND_DEAD_LETTERS}
    return frozenset(Capability) - unknown


REDIS_LIST = JobSystem(
    check=check,
    drive=ListDriver,
    capabilities=capabilities,
    unjudged={"attempts-bounded": NO_PROBE},
)

"""The job systems that subjects may be written for, one package each. To add one, write it and add it to `SYSTEMS`."""

from harness.contract import Contract, ContractError
from harness.nearest import hint
from harness.systems.celery import CELERY
from harness.systems.driver import JobSystem
from harness.systems.redis_list import REDIS_LIST

SYSTEMS: dict[str, JobSystem] = {"celery": CELERY, "redis-list": REDIS_LIST}


def system_of(contract: Contract) -> JobSystem:
    """The system of a contract, which has what that system needs.

    :raises ContractError: there is no such system, or the contract says what cannot be meant for it
    """
    system = SYSTEMS.get(contract.system)
    if system is None:
        raise ContractError(f"Contract: no job system is called {contract.system!r}; {hint(contract.system, SYSTEMS)}")
    system.check(contract)
    return system


__all__ = ["SYSTEMS", "system_of"]

"""Celery, on Redis."""

from harness.contract import Contract, ContractError
from harness.system import Capability
from harness.systems.celery.driver import CeleryDriver
from harness.systems.driver import NO_PLACE, JobSystem


def check(contract: Contract) -> None:
    """:raises ContractError: there is no application, or a worker brings its own command"""
    if not contract.app:
        raise ContractError("Contract: app is empty; for Celery it is the value of `celery -A`")
    for worker in contract.workers:
        if worker.command:
            raise ContractError(f"Worker({worker.name!r}): command is for other job systems; Celery's is known")


def cannot(contract: Contract) -> dict[Capability, str]:
    return {} if contract.dead_letters is not None else {Capability.FIND_DEAD_LETTERS: NO_PLACE}


CELERY = JobSystem(check=check, drive=CeleryDriver, cannot=cannot)

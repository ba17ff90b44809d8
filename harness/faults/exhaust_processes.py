from contextlib import AbstractContextManager
from typing import ClassVar

from msgspec import Struct

from harness.services.gate import Arrival
from harness.system import Capability, Evidence, System


class ExhaustProcesses(Struct, frozen=True, tag="exhaust-processes", kw_only=True):
    """Where the job runs no process and no thread more can be started; those that run go on.

    It landed when somebody there was to start one and could not.
    """

    summary: ClassVar[str] = "let a worker start no more processes or threads"

    @property
    def sentence(self) -> str:
        return "the worker can start no more processes"

    @property
    def needs(self) -> frozenset[Capability]:
        return frozenset({Capability.EXHAUST_PROCESSES})

    def applied_to(self, system: System, arrival: Arrival | None) -> AbstractContextManager[Evidence]:
        return system.hosts.exhaust_processes(arrival)

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from msgspec import Struct

from harness.services.gate import Arrival
from harness.system import Capability, Evidence, System


class FreezeWorker(Struct, frozen=True, tag="freeze-worker", kw_only=True):
    """SIGSTOP a worker in the middle of a job until a second worker has been given its messages and has done the job.

    Healing lets it go on where it stood: with a job that has been done without it.
    """

    summary: ClassVar[str] = "SIGSTOP a worker past the visibility timeout, then let it go on"

    @property
    def sentence(self) -> str:
        return "freeze the worker past the visibility timeout, and let it go on,"

    @property
    def needs(self) -> frozenset[Capability]:
        return frozenset({Capability.FREEZE_WORKER})

    @contextmanager
    def applied_to(self, system: System, arrival: Arrival | None) -> Iterator[Evidence]:
        try:
            impact = system.workers.freeze(arrival)
            yield lambda: impact
        finally:
            system.workers.thaw()

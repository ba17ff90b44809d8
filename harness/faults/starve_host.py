from contextlib import AbstractContextManager
from typing import ClassVar

from msgspec import Struct

from harness.services.gate import Arrival
from harness.system import Capability, Evidence, System


class StarveHost(Struct, frozen=True, tag="starve-host", kw_only=True):
    """The worker that runs the job has a part of a processor's time.

    It landed when somebody there had to wait for it.
    """

    summary: ClassVar[str] = "leave a worker a small part of a processor's time"
    cpus: float

    @property
    def sentence(self) -> str:
        return f"the worker has {self.cpus:g} of a processor"

    @property
    def needs(self) -> frozenset[Capability]:
        return frozenset({Capability.STARVE_HOST})

    def applied_to(self, system: System, arrival: Arrival | None) -> AbstractContextManager[Evidence]:
        return system.hosts.starve(arrival, cpus=self.cpus)

from contextlib import AbstractContextManager
from typing import ClassVar

from msgspec import Struct

from harness.services.gate import Arrival
from harness.system import Capability, Evidence, System, Target

_WHOM = {Target.CHILD: "the pool child", Target.MAIN: "the main process", Target.GROUP: "the main process"}


class ExhaustMemory(Struct, frozen=True, tag="exhaust-memory", kw_only=True):
    """There is no memory left where the job runs, and the kernel kills the pool child or the main process for it.

    A kill alone is not one: it landed when whoever counts memory told so.
    """

    summary: ClassVar[str] = "let the kernel kill a pool child or a main process for want of memory"
    target: Target

    @property
    def sentence(self) -> str:
        return f"memory runs out, and the kernel kills {_WHOM[self.target]},"

    @property
    def needs(self) -> frozenset[Capability]:
        return frozenset({Capability.EXHAUST_MEMORY})

    def applied_to(self, system: System, arrival: Arrival | None) -> AbstractContextManager[Evidence]:
        return system.hosts.exhaust_memory(arrival, self.target)

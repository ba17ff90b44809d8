from contextlib import AbstractContextManager
from typing import ClassVar

from msgspec import Struct

from harness.services.gate import Arrival
from harness.system import Capability, Evidence, System


class CrashHost(Struct, frozen=True, tag="crash-host", kw_only=True):
    """The host of the worker that runs the job is gone, and no peer is told that its connections are.

    Other than after a kill of its processes, a request that had left is carried out, and nobody hears the reply.
    Healing starts the worker again, and its messages are redelivered, at once instead of after the visibility timeout.
    """

    summary: ClassVar[str] = "the host of a worker is gone, and its peers are not told that its connections are"

    @property
    def sentence(self) -> str:
        return "the host of the worker crashes"

    @property
    def needs(self) -> frozenset[Capability]:
        return frozenset({Capability.CRASH_HOST})

    def applied_to(self, system: System, arrival: Arrival | None) -> AbstractContextManager[Evidence]:
        return system.hosts.crash(arrival)

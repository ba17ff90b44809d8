from contextlib import AbstractContextManager
from typing import ClassVar

from msgspec import Struct

from harness.services.gate import Arrival
from harness.system import Capability, Evidence, System


class CutOffHost(Struct, frozen=True, tag="cut-off-host", kw_only=True):
    """Nothing passes to or from the worker that runs the job. Healed, its connections go on where they were."""

    summary: ClassVar[str] = "cut one worker off from everybody, then let its connections go on"

    @property
    def sentence(self) -> str:
        return "the worker is cut off from everybody"

    @property
    def needs(self) -> frozenset[Capability]:
        return frozenset({Capability.CUT_OFF_HOST})

    def applied_to(self, system: System, arrival: Arrival | None) -> AbstractContextManager[Evidence]:
        return system.hosts.cut_off(arrival)

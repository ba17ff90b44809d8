from contextlib import AbstractContextManager
from typing import ClassVar

from msgspec import Struct

from harness.services.gate import Arrival
from harness.system import Capability, Direction, Evidence, System


class CutOffHost(Struct, frozen=True, tag="cut-off-host", kw_only=True):
    """Nothing passes to or from the worker that runs the job, or only in one direction.

    Healed, its connections go on where they were.
    """

    summary: ClassVar[str] = "cut one worker off from everybody, or in one direction, then let its connections go on"
    direction: Direction = Direction.BOTH

    @property
    def sentence(self) -> str:
        return {
            Direction.BOTH: "the worker is cut off from everybody",
            Direction.TO: "nothing reaches the worker, and what it sends arrives,",
            Direction.FROM: "nothing that the worker sends arrives, and it is reached,",
        }[self.direction]

    @property
    def needs(self) -> frozenset[Capability]:
        return frozenset({Capability.CUT_OFF_HOST})

    def applied_to(self, system: System, arrival: Arrival | None) -> AbstractContextManager[Evidence]:
        return system.hosts.cut_off(arrival, self.direction)

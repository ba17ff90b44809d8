from contextlib import AbstractContextManager
from typing import ClassVar

from msgspec import Struct

from harness.services.gate import Arrival
from harness.system import Capability, Evidence, System


class MoveClock(Struct, frozen=True, tag="move-clock", kw_only=True):
    """The clock of the worker that runs the job jumps, ahead or (below 0) back; healed, it jumps to the right time.

    Every other clock is right. How much time passes is seen as before: only what time it is is another.
    """

    summary: ClassVar[str] = "let the clock of a worker jump, and jump back"
    seconds: float

    @property
    def sentence(self) -> str:
        return f"the clock of the worker jumps {abs(self.seconds):g} s {'ahead' if self.seconds > 0 else 'back'}"

    @property
    def needs(self) -> frozenset[Capability]:
        return frozenset({Capability.MOVE_CLOCK})

    def applied_to(self, system: System, arrival: Arrival | None) -> AbstractContextManager[Evidence]:
        return system.clocks.move(arrival, seconds=self.seconds)

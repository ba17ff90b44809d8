from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from msgspec import Struct

from harness.events import JobId
from harness.services.gate import Arrival
from harness.system import Capability, Evidence, Impact, System


class DeliverAgain(Struct, frozen=True, tag="deliver-again", kw_only=True):
    """Queue the job's message a second time, byte for byte, after the first was acknowledged."""

    summary: ClassVar[str] = "queue a finished job's message again, byte for byte"
    job: JobId

    @property
    def sentence(self) -> str:
        return f"deliver {self.job} again"

    @property
    def needs(self) -> frozenset[Capability]:
        return frozenset({Capability.DOUBLE_MESSAGE})

    @contextmanager
    def applied_to(self, system: System, arrival: Arrival | None) -> Iterator[Evidence]:
        del arrival
        before = system.deliveries(self.job)
        system.double(self.job)
        impact = Impact(targets=(f"message of {self.job}",), jobs=(self.job,))
        yield lambda: impact if system.deliveries(self.job) > before else None

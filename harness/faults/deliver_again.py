from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from msgspec import Struct

from harness.events import JobId
from harness.services.gate import Arrival
from harness.system import Capability, Evidence, Impact, System

SECOND_SECONDS_MAX = 3.0


class DeliverAgain(Struct, frozen=True, tag="deliver-again", kw_only=True):
    """Queue the job's message a second time, byte for byte.

    At a crash point the first stays held until the second has run to its end, so that both are in the body at the same
    time; a worker with a single slot runs them one after the other.
    """

    summary: ClassVar[str] = "queue a job's message again, byte for byte"
    job: JobId

    @property
    def sentence(self) -> str:
        return f"deliver {self.job} again"

    @property
    def needs(self) -> frozenset[Capability]:
        return frozenset({Capability.DOUBLE_MESSAGE})

    @contextmanager
    def applied_to(self, system: System, arrival: Arrival | None) -> Iterator[Evidence]:
        before = system.messages.deliveries(self.job)
        system.messages.double(self.job)
        if arrival is not None:
            system.messages.wait_body_ended(self.job, within=SECOND_SECONDS_MAX)
        impact = Impact(targets=(f"message of {self.job}",), jobs=(self.job,))
        yield lambda: impact if system.messages.deliveries(self.job) > before else None

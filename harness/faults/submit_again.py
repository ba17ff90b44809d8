from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from msgspec import Struct

from harness.services.gate import Arrival
from harness.system import Capability, Evidence, Impact, PlannedJob, System

SECOND_SECONDS_MAX = 3.0


class SubmitAgain(Struct, frozen=True, tag="submit-again", kw_only=True):
    """Enqueue the same work again as another message, as a producer does that has not heard the answer.

    At a crash point the first stays held until the second has run to its end, so that both are in the body at the same
    time; a worker with a single slot runs them one after the other.
    """

    summary: ClassVar[str] = "enqueue the same work again as another message"
    again: PlannedJob

    @property
    def sentence(self) -> str:
        return f"enqueue {self.again.job} again as another message"

    @property
    def needs(self) -> frozenset[Capability]:
        return frozenset()

    @contextmanager
    def applied_to(self, system: System, arrival: Arrival | None) -> Iterator[Evidence]:
        job = self.again.job
        before = system.messages.deliveries(job)
        system.messages.enqueue(self.again)
        if arrival is not None:
            system.messages.wait_body_ended(job, within=SECOND_SECONDS_MAX)
        impact = Impact(targets=(f"a second message of {job}",), jobs=(job,))
        yield lambda: impact if system.messages.deliveries(job) > before else None

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from msgspec import Struct

from harness.services.gate import Arrival
from harness.system import Capability, Evidence, Impact, PlannedJob, System


class FeedPoison(Struct, frozen=True, tag="feed-poison", kw_only=True):
    """Enqueue a job that cannot be done, such as one with arguments that its task does not take."""

    summary: ClassVar[str] = "enqueue a job that cannot be done"
    kind: str
    poison: PlannedJob

    @property
    def sentence(self) -> str:
        return f"feed poison ({self.kind}) as {self.poison.job}"

    @property
    def needs(self) -> frozenset[Capability]:
        return frozenset({Capability.FIND_DEAD_LETTERS})

    @contextmanager
    def applied_to(self, system: System, arrival: Arrival | None) -> Iterator[Evidence]:
        del arrival
        system.messages.enqueue(self.poison)
        job = self.poison.job
        yield lambda: Impact(targets=(f"message of {job}",), jobs=(job,)) if system.messages.deliveries(job) else None

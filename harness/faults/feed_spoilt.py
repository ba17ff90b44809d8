from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from msgspec import Struct

from harness.events import JobId
from harness.poison import PoisonKind
from harness.services.gate import Arrival
from harness.system import Capability, Evidence, Impact, PlannedJob, System


class FeedSpoilt(Struct, frozen=True, tag="feed-spoilt", kw_only=True):
    """Put a message into a queue, past every producer, that was made from a good one and spoilt."""

    summary: ClassVar[str] = "put a spoilt message into a queue, past every producer"
    kind: PoisonKind
    template: JobId
    poison: PlannedJob

    @property
    def sentence(self) -> str:
        return f"feed poison ({self.kind}) as {self.poison.job}"

    @property
    def needs(self) -> frozenset[Capability]:
        return frozenset({Capability.FEED_RAW_MESSAGE, Capability.FIND_DEAD_LETTERS})

    @contextmanager
    def applied_to(self, system: System, arrival: Arrival | None) -> Iterator[Evidence]:
        del arrival
        system.messages.feed(self.kind, self.template, self.poison)
        job = self.poison.job
        yield lambda: Impact(targets=(f"message of {job}",), jobs=(job,)) if system.messages.was_taken(job) else None

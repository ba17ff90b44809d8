from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from msgspec import Struct

from harness.events import JobId
from harness.services.gate import Arrival
from harness.system import Capability, Evidence, Impact, System


class EnqueueAsBefore(Struct, frozen=True, tag="enqueue-as-before", kw_only=True):
    """Some jobs are enqueued by the previous release of the subject, and met by the workers of this one.

    It landed once a worker has taken one of them. Healed, this release enqueues them all.
    """

    summary: ClassVar[str] = "let the previous release enqueue jobs: old messages meet new code"
    jobs: tuple[JobId, ...]

    @property
    def sentence(self) -> str:
        return f"the previous release enqueues {', '.join(self.jobs)}"

    @property
    def needs(self) -> frozenset[Capability]:
        return frozenset({Capability.RUN_PREVIOUS_RELEASE})

    @contextmanager
    def applied_to(self, system: System, arrival: Arrival | None) -> Iterator[Evidence]:
        del arrival

        def met() -> Impact | None:
            taken = tuple(job for job in self.jobs if system.messages.was_taken(job))
            return Impact(targets=("messages of the previous release",), jobs=taken) if taken else None

        system.releases.enqueue_as_before(self.jobs)
        try:
            yield met
        finally:
            system.releases.enqueue_as_now()

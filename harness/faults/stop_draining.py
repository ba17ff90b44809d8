from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from msgspec import Struct

from harness.services.gate import Arrival
from harness.system import Capability, Evidence, Impact, System


class StopDraining(Struct, frozen=True, tag="stop-draining", kw_only=True):
    """No worker serves a queue; what is put into it waits. Healing starts its workers again."""

    summary: ClassVar[str] = "kill every worker of a queue, so that nobody drains it"
    queue: str

    @property
    def sentence(self) -> str:
        return f"let nobody drain queue {self.queue}"

    @property
    def needs(self) -> frozenset[Capability]:
        return frozenset({Capability.STOP_WORKER})

    @contextmanager
    def applied_to(self, system: System, arrival: Arrival | None) -> Iterator[Evidence]:
        del arrival
        hit = system.workers.stop_serving(self.queue)

        def evidence() -> Impact | None:
            jobs = tuple(dict.fromkeys((*hit.jobs, *system.messages.waiting(self.queue))))
            return Impact(targets=hit.targets, jobs=jobs) if jobs else None

        try:
            yield evidence
        finally:
            system.workers.recover()

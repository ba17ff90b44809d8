from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from msgspec import Struct

from harness.events import JobId
from harness.services.gate import Arrival
from harness.system import Capability, Evidence, Impact, System


class WorkAsBefore(Struct, frozen=True, tag="work-as-before", kw_only=True):
    """The workers are of the previous release of the subject, and meet messages of this one.

    It landed once one of them has taken a message of one of `jobs`. Healing is the deploy: SIGTERM, and new workers.
    """

    summary: ClassVar[str] = "let workers of the previous release work: new messages meet old code"
    jobs: tuple[JobId, ...]

    @property
    def sentence(self) -> str:
        return "the workers are of the previous release"

    @property
    def needs(self) -> frozenset[Capability]:
        return frozenset({Capability.RUN_PREVIOUS_RELEASE})

    @contextmanager
    def applied_to(self, system: System, arrival: Arrival | None) -> Iterator[Evidence]:
        del arrival

        def met() -> Impact | None:
            taken = tuple(job for job in self.jobs if system.messages.was_taken(job))
            return Impact(targets=("workers of the previous release",), jobs=taken) if taken else None

        system.releases.work_as_before()
        try:
            yield met
        finally:
            system.releases.work_as_now()

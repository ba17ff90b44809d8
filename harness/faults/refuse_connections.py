from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from msgspec import Struct

from harness.events import JobId
from harness.services.gate import Arrival
from harness.system import Capability, Evidence, Impact, System


class RefuseConnections(Struct, frozen=True, tag="refuse-connections", kw_only=True):
    """The whole downstream refuses connections. It landed when an attempt of `job` has ended meanwhile."""

    summary: ClassVar[str] = "the downstream refuses every connection"
    job: JobId

    @property
    def sentence(self) -> str:
        return "the downstream refuses connections"

    @property
    def needs(self) -> frozenset[Capability]:
        return frozenset({Capability.SCRIPT_DOWNSTREAM})

    @contextmanager
    def applied_to(self, system: System, arrival: Arrival | None) -> Iterator[Evidence]:
        del arrival
        system.downstream.refuse()
        impact = Impact(targets=("the downstream",), jobs=(self.job,))
        try:
            yield lambda: impact if system.messages.wait_attempt_ended(self.job, within=0.0) else None
        finally:
            system.downstream.accept()

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from msgspec import Struct

from harness.services.gate import Arrival
from harness.system import Capability, Evidence, Impact, System


class RefuseConnections(Struct, frozen=True, tag="refuse-connections", kw_only=True):
    """The whole downstream refuses connections. It landed when an attempt of a job has ended meanwhile."""

    summary: ClassVar[str] = "the downstream refuses every connection"

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

        def evidence() -> Impact | None:
            met = system.messages.wait_attempt_ended(*(call.job for call in system.jobs), within=0.0)
            return Impact(targets=("the downstream",), jobs=met) if met else None

        try:
            yield evidence
        finally:
            system.downstream.accept()

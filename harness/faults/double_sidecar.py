from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from msgspec import Struct

from harness.services.gate import Arrival
from harness.system import Capability, Evidence, Impact, System


class DoubleSidecar(Struct, frozen=True, tag="double-sidecar", kw_only=True):
    """Run a second one of what recovers jobs, as a deploy that overlaps does; healing ends it."""

    summary: ClassVar[str] = "run a second one of a process of the subject's that recovers jobs"
    sidecar: str

    @property
    def sentence(self) -> str:
        return f"run the sidecar {self.sidecar} twice"

    @property
    def needs(self) -> frozenset[Capability]:
        return frozenset()

    @contextmanager
    def applied_to(self, system: System, arrival: Arrival | None) -> Iterator[Evidence]:
        del arrival
        second = system.sidecars.double(self.sidecar)
        has_run: list[bool] = []

        def evidence() -> Impact | None:
            has_run.append(system.sidecars.end_double(self.sidecar))
            met = tuple(call.job for call in system.jobs if system.messages.was_taken(call.job))
            return Impact(targets=(second,), jobs=met) if has_run[-1] else None

        try:
            yield evidence
        finally:
            if not has_run:
                system.sidecars.end_double(self.sidecar)

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from msgspec import Struct

from harness.services.gate import Arrival
from harness.system import Capability, Evidence, Impact, System


class KillSidecar(Struct, frozen=True, tag="kill-sidecar", kw_only=True):
    """SIGKILL what recovers jobs; healing starts it again, as its supervisor would."""

    summary: ClassVar[str] = "SIGKILL a process of the subject's that recovers jobs"
    sidecar: str

    @property
    def sentence(self) -> str:
        return f"SIGKILL the sidecar {self.sidecar}"

    @property
    def needs(self) -> frozenset[Capability]:
        return frozenset()

    @contextmanager
    def applied_to(self, system: System, arrival: Arrival | None) -> Iterator[Evidence]:
        job = arrival.job if arrival is not None else None
        target = system.sidecars.kill(self.sidecar)
        try:
            yield lambda: Impact(targets=(target,), jobs=(job,) if job is not None else ())
        finally:
            system.sidecars.start()

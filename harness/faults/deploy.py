from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from msgspec import Struct

from harness.services.gate import Arrival
from harness.system import Capability, Evidence, System, Target


class Deploy(Struct, frozen=True, tag="deploy", kw_only=True):
    """SIGTERM to a worker that has a job in flight; after the grace SIGKILL to its group; then a new worker.

    Healed while the job is still held, the grace is shorter than the job; healed after it, the job has its time.
    """

    summary: ClassVar[str] = "SIGTERM a worker, SIGKILL it after a grace, start a new one"
    grace_seconds: float
    target: Target = Target.MAIN

    @property
    def sentence(self) -> str:
        whom = {Target.GROUP: "process group"}.get(self.target, "main process")
        return f"SIGTERM the {whom}, with a grace of {self.grace_seconds:g} s,"

    @property
    def needs(self) -> frozenset[Capability]:
        return frozenset({Capability.STOP_WORKER})

    @contextmanager
    def applied_to(self, system: System, arrival: Arrival | None) -> Iterator[Evidence]:
        impact = system.workers.terminate(arrival, self.target)
        try:
            yield lambda: impact
        finally:
            system.workers.finish_termination(grace_seconds=self.grace_seconds)

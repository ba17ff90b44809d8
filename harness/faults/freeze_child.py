from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from msgspec import Struct

from harness.services.gate import Arrival
from harness.system import Capability, Evidence, System


class FreezeChild(Struct, frozen=True, tag="freeze-child", kw_only=True):
    """SIGSTOP the pool child that runs a job, so that nothing but the worker's hard time limit can end the body.

    It landed when the worker has killed the child within `seconds`; if it has not, the child is let go on.
    """

    summary: ClassVar[str] = "SIGSTOP a pool child until its worker's hard time limit has killed it"
    seconds: float

    @property
    def sentence(self) -> str:
        return "freeze the pool child until the hard time limit has killed it,"

    @property
    def needs(self) -> frozenset[Capability]:
        return frozenset({Capability.FREEZE_POOL_CHILD})

    @contextmanager
    def applied_to(self, system: System, arrival: Arrival | None) -> Iterator[Evidence]:
        impact = system.workers.freeze_child(arrival, within=self.seconds)
        yield lambda: impact

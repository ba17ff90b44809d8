from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import ClassVar

from msgspec import Struct

from harness.faults.single import SingleFault
from harness.services.gate import Arrival
from harness.system import Capability, Evidence, Impact, System


class Together(Struct, frozen=True, tag="together", kw_only=True):
    """Several faults at once, healed in reverse order; it landed when each of them did."""

    summary: ClassVar[str] = "several faults at once"
    faults: tuple[SingleFault, ...]

    @property
    def sentence(self) -> str:
        return " and ".join(fault.sentence for fault in self.faults)

    @property
    def needs(self) -> frozenset[Capability]:
        return frozenset().union(*(fault.needs for fault in self.faults))

    @contextmanager
    def applied_to(self, system: System, arrival: Arrival | None) -> Iterator[Evidence]:
        with ExitStack() as stack:
            evidence = [stack.enter_context(fault.applied_to(system, arrival)) for fault in self.faults]
            yield lambda: _all(evidence)


def _all(evidence: list[Evidence]) -> Impact | None:
    impacts = [impact for ask in evidence if (impact := ask()) is not None]
    if len(impacts) < len(evidence):
        return None
    return Impact(
        targets=tuple(target for impact in impacts for target in impact.targets),
        jobs=tuple(dict.fromkeys(job for impact in impacts for job in impact.jobs)),
    )

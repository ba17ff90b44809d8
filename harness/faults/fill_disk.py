from contextlib import AbstractContextManager
from typing import ClassVar

from msgspec import Struct

from harness.services.gate import Arrival
from harness.system import Capability, Evidence, System


class FillDisk(Struct, frozen=True, tag="fill-disk", kw_only=True):
    """The worker that runs the job has no room for one more file: no journal, no scratch file, no spooled letter.

    What is there it can read, and write in place.
    """

    summary: ClassVar[str] = "leave a worker no room for one more file"

    @property
    def sentence(self) -> str:
        return "the disk of the worker is full"

    @property
    def needs(self) -> frozenset[Capability]:
        return frozenset({Capability.FILL_DISK})

    def applied_to(self, system: System, arrival: Arrival | None) -> AbstractContextManager[Evidence]:
        return system.hosts.fill_disk(arrival)

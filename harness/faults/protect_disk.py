from contextlib import AbstractContextManager
from typing import ClassVar

from msgspec import Struct

from harness.services.gate import Arrival
from harness.system import Capability, Evidence, System


class ProtectDisk(Struct, frozen=True, tag="protect-disk", kw_only=True):
    """The worker that runs the job can write nothing to its file systems, as after an error of the disk."""

    summary: ClassVar[str] = "make the file systems of a worker read-only"

    @property
    def sentence(self) -> str:
        return "the disk of the worker is read-only"

    @property
    def needs(self) -> frozenset[Capability]:
        return frozenset({Capability.PROTECT_DISK})

    def applied_to(self, system: System, arrival: Arrival | None) -> AbstractContextManager[Evidence]:
        return system.hosts.protect_disk(arrival)

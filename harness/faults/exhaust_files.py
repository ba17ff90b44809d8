from contextlib import AbstractContextManager
from typing import ClassVar

from msgspec import Struct

from harness.services.gate import Arrival
from harness.system import Capability, Evidence, System


class ExhaustFiles(Struct, frozen=True, tag="exhaust-files", kw_only=True):
    """No process of the worker that runs the job can open one more file or connection."""

    summary: ClassVar[str] = "let a worker open no more files or connections"

    @property
    def sentence(self) -> str:
        return "the worker can open no more files"

    @property
    def needs(self) -> frozenset[Capability]:
        return frozenset({Capability.EXHAUST_FILES})

    def applied_to(self, system: System, arrival: Arrival | None) -> AbstractContextManager[Evidence]:
        return system.hosts.exhaust_files(arrival)

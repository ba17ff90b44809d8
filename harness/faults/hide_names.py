from contextlib import AbstractContextManager
from typing import ClassVar

from msgspec import Struct

from harness.services.gate import Arrival
from harness.system import Capability, Evidence, System


class HideNames(Struct, frozen=True, tag="hide-names", kw_only=True):
    """Where the job runs no name can be looked up; connections that are open stay."""

    summary: ClassVar[str] = "let a worker look up no name"

    @property
    def sentence(self) -> str:
        return "no name can be looked up on the host of the worker"

    @property
    def needs(self) -> frozenset[Capability]:
        return frozenset({Capability.HIDE_NAMES})

    def applied_to(self, system: System, arrival: Arrival | None) -> AbstractContextManager[Evidence]:
        return system.hosts.hide_names(arrival)

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from msgspec import Struct

from harness.services.gate import Arrival
from harness.system import Capability, Evidence, Impact, System


class RestartBroker(Struct, frozen=True, tag="restart-broker", kw_only=True):
    """The broker is stopped and started again with its data, or without it, `outage_seconds` later.

    Healing does what time would do: messages whose connections are gone are given back, as after the visibility
    timeout, once nothing runs of them any more. Where nothing was in flight,
    `idle` says that this is what was meant: the canaries after it are what it met.
    """

    summary: ClassVar[str] = "stop the broker and start it again, with its data or without"
    outage_seconds: float
    idle: bool = False
    with_data: bool = True

    @property
    def sentence(self) -> str:
        empty = "" if self.with_data else ", without its data,"
        return f"restart the broker with an outage of {self.outage_seconds:g} s{empty}"

    @property
    def needs(self) -> frozenset[Capability]:
        return frozenset({Capability.RESTART_BROKER})

    @contextmanager
    def applied_to(self, system: System, arrival: Arrival | None) -> Iterator[Evidence]:
        del arrival
        jobs = system.broker.restart(outage_seconds=self.outage_seconds, with_data=self.with_data)
        try:
            yield lambda: Impact(targets=("the broker",), jobs=jobs, idle=self.idle)
        finally:
            system.broker.give_back_stranded()

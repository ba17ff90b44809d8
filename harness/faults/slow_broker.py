from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from msgspec import Struct

from harness.services.gate import Arrival
from harness.system import Capability, Evidence, Impact, System


class SlowBroker(Struct, frozen=True, tag="slow-broker", kw_only=True):
    """All that passes between the subject and its broker is late, each way, by Toxiproxy's `latency` and `jitter`.

    It landed when a job has been handed over meanwhile.
    """

    summary: ClassVar[str] = "delay all that passes between the subject and its broker"
    latency_milliseconds: int
    jitter_milliseconds: int = 0

    @property
    def sentence(self) -> str:
        return f"the broker is late by {self.latency_milliseconds} ± {self.jitter_milliseconds} ms each way,"

    @property
    def needs(self) -> frozenset[Capability]:
        return frozenset({Capability.SLOW_BROKER})

    @contextmanager
    def applied_to(self, system: System, arrival: Arrival | None) -> Iterator[Evidence]:
        del arrival
        system.broker.slow_down(
            latency_milliseconds=self.latency_milliseconds, jitter_milliseconds=self.jitter_milliseconds
        )
        before = {call.job: system.messages.deliveries(call.job) for call in system.jobs}

        def evidence() -> Impact | None:
            met = tuple(job for job, count in before.items() if system.messages.deliveries(job) > count)
            return Impact(targets=("the subject's connections to the broker",), jobs=met) if met else None

        try:
            yield evidence
        finally:
            system.broker.speed_up()

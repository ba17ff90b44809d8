from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from msgspec import Struct

from harness.services.gate import Arrival
from harness.system import Capability, Evidence, System


class CrashLoop(Struct, frozen=True, tag="crash-loop", kw_only=True):
    """SIGKILL the worker that runs the job, and each that its supervisor starts, `times` in all.

    The first dies in the middle of the job. The others die when they have just come up: with messages that they have
    taken, and of which they have begun none. So one death is the job's at most, and the others are nobody's.
    Healing is a worker that stays up.
    """

    summary: ClassVar[str] = "SIGKILL a worker, and each that takes its place as soon as it has taken messages"
    times: int

    @property
    def sentence(self) -> str:
        return f"SIGKILL the worker {self.times} times, each time as soon as it is up again,"

    @property
    def needs(self) -> frozenset[Capability]:
        return frozenset({Capability.KILL_PROCESS_GROUP, Capability.SEE_BODIES})

    @contextmanager
    def applied_to(self, system: System, arrival: Arrival | None) -> Iterator[Evidence]:
        try:
            impact = system.workers.loop(arrival, times=self.times)
            yield lambda: impact
        finally:
            system.workers.recover()

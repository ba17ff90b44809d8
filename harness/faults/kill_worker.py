from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from msgspec import Struct

from harness.services.gate import Arrival
from harness.system import Capability, Evidence, System, Target


class KillWorker(Struct, frozen=True, tag="kill-worker", kw_only=True):
    """SIGKILL the pool child, the main process or the whole process group of the worker that runs the job.

    Healing does what a supervisor and time would do: a dead main process is restarted, and its unacknowledged messages
    are redelivered, at once instead of after the visibility timeout.
    """

    summary: ClassVar[str] = "SIGKILL the pool child, the main process or the process group of a worker"
    target: Target
    waiting_min: int = 0  # first wait until the worker holds that many messages of other jobs

    @property
    def sentence(self) -> str:
        what = {Target.CHILD: "the pool child", Target.MAIN: "the main process", Target.GROUP: "the process group"}
        backlog = f", with {self.waiting_min} more messages taken," if self.waiting_min else ""
        return f"SIGKILL {what[self.target]}{backlog}"

    @property
    def needs(self) -> frozenset[Capability]:
        return frozenset(
            {
                Target.CHILD: {Capability.KILL_POOL_CHILD},
                Target.MAIN: {Capability.KILL_MAIN_PROCESS},
                Target.GROUP: {Capability.KILL_PROCESS_GROUP},
            }[self.target]
        )

    @contextmanager
    def applied_to(self, system: System, arrival: Arrival | None) -> Iterator[Evidence]:
        impact = system.workers.kill(self.target, arrival, waiting_min=self.waiting_min)
        try:
            yield lambda: impact
        finally:
            system.workers.recover()

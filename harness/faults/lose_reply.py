from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from msgspec import Struct

from harness.downstream import ReplyLost
from harness.events import JobId
from harness.faults.downstream_rule import rule_for
from harness.services.gate import Arrival
from harness.system import Capability, Evidence, System


class LoseReply(Struct, frozen=True, tag="lose-reply", kw_only=True):
    """The downstream applies a job's request, and the reply is lost to a reset of the connection."""

    summary: ClassVar[str] = "the downstream applies one job's request and the reply is lost"
    job: JobId
    times: int = 1
    reset: bool = True

    @property
    def sentence(self) -> str:
        return f"the downstream applies {self.job}'s request and its reply is lost"

    @property
    def needs(self) -> frozenset[Capability]:
        return frozenset({Capability.SCRIPT_DOWNSTREAM})

    @contextmanager
    def applied_to(self, system: System, arrival: Arrival | None) -> Iterator[Evidence]:
        del arrival
        with rule_for(system, self.job, ReplyLost(reset=self.reset), self.times) as evidence:
            yield evidence

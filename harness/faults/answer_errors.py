from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from msgspec import Struct

from harness.downstream import ErrorStatus
from harness.events import JobId
from harness.faults.downstream_rule import rule_for
from harness.services.gate import Arrival
from harness.system import Capability, Evidence, System


class AnswerErrors(Struct, frozen=True, tag="answer-errors", kw_only=True):
    """The downstream applies nothing of one job and answers an HTTP error, `times` times or always."""

    summary: ClassVar[str] = "the downstream answers one job's requests with an HTTP error"
    job: JobId
    status: int = 500
    times: int | None = None

    @property
    def sentence(self) -> str:
        often = "always" if self.times is None else f"{self.times} times"
        return f"the downstream answers {self.status} to {self.job}, {often}"

    @property
    def needs(self) -> frozenset[Capability]:
        return frozenset({Capability.SCRIPT_DOWNSTREAM})

    @contextmanager
    def applied_to(self, system: System, arrival: Arrival | None) -> Iterator[Evidence]:
        del arrival
        with rule_for(system, self.job, ErrorStatus(status=self.status), self.times) as evidence:
            yield evidence

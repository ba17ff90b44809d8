from typing import ClassVar

from harness.downstream import Answer, Silent
from harness.faults.downstream_rule import DownstreamFault


class Silence(DownstreamFault, frozen=True, tag="silence", kw_only=True):
    """The downstream takes a job's request, applies nothing and never answers."""

    summary: ClassVar[str] = "the downstream takes one job's requests and never answers"

    @property
    def answer(self) -> Answer:
        return Silent()

    @property
    def sentence(self) -> str:
        return f"the downstream is silent to {self.job}, {self.often}"

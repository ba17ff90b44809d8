from typing import ClassVar

from harness.downstream import Answer, ErrorStatus
from harness.faults.downstream_rule import DownstreamFault


class AnswerErrors(DownstreamFault, frozen=True, tag="answer-errors", kw_only=True):
    """The downstream applies nothing of one job and answers an HTTP error."""

    summary: ClassVar[str] = "the downstream answers one job's requests with an HTTP error"
    status: int = 500

    @property
    def answer(self) -> Answer:
        return ErrorStatus(status=self.status)

    @property
    def sentence(self) -> str:
        return f"the downstream answers {self.status} to {self.job}, {self.often}"

from typing import ClassVar

from harness.downstream import Answer, Reset
from harness.faults.downstream_rule import DownstreamFault


class ResetConnection(DownstreamFault, frozen=True, tag="reset-connection", kw_only=True):
    """The downstream takes a job's request, applies nothing and resets the connection."""

    summary: ClassVar[str] = "the downstream resets the connection of one job's requests and applies nothing"

    @property
    def answer(self) -> Answer:
        return Reset()

    @property
    def sentence(self) -> str:
        return f"the downstream resets the connection of {self.job} before it applies anything, {self.often}"

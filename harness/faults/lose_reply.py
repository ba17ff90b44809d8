from typing import ClassVar

from harness.downstream import Answer, ReplyLost
from harness.faults.downstream_rule import DownstreamFault


class LoseReply(DownstreamFault, frozen=True, tag="lose-reply", kw_only=True):
    """The downstream applies a job's request, and the reply is lost: to a reset, or to a plain close."""

    summary: ClassVar[str] = "the downstream applies one job's request and the reply is lost"
    reset: bool = True

    @property
    def answer(self) -> Answer:
        return ReplyLost(reset=self.reset)

    @property
    def sentence(self) -> str:
        return f"the downstream applies {self.job}'s request and its reply is lost, {self.often}"

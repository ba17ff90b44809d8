from typing import ClassVar

from harness.downstream import Answer, Late
from harness.faults.downstream_rule import DownstreamFault


class LateReply(DownstreamFault, frozen=True, tag="late-reply", kw_only=True):
    """The downstream applies a job's request at once and answers late, to whoever is still there."""

    summary: ClassVar[str] = "the downstream applies one job's requests at once and answers late"
    seconds: float

    @property
    def answer(self) -> Answer:
        return Late(seconds=self.seconds)

    @property
    def sentence(self) -> str:
        return f"the downstream answers {self.job} {self.seconds:g} s late, {self.often}"

from typing import ClassVar

from harness.downstream import Answer, Dripping
from harness.faults.downstream_rule import DownstreamFault


class DripReply(DownstreamFault, frozen=True, tag="drip-reply", kw_only=True):
    """The downstream answers a byte at a time, so that no read ever times out, and applies only at the end of that."""

    summary: ClassVar[str] = "the downstream answers one job's requests so slowly that no read times out"
    seconds: float

    @property
    def answer(self) -> Answer:
        return Dripping(seconds=self.seconds)

    @property
    def sentence(self) -> str:
        return f"the downstream drips its answer to {self.job} for {self.seconds:g} s, {self.often}"

"""What an exploration found, as the value behind every report: `explore.json`."""

from typing import Literal

from msgspec import Struct

from harness.plan import NotCovered
from harness.result import GuaranteeResult, Outcome, worst_outcome

SCHEMA_VERSION = 1

Fate = Literal["survived", "failed", "unknown"]


class BoundaryResult(Struct, frozen=True, kw_only=True):
    """A boundary of the job, in the order of the clean run."""

    name: str
    process: str  # "child" or "main"
    dependency: str
    where: str = ""  # file and line of the subject's code that caused it, where that is known


class PointResult(Struct, frozen=True, kw_only=True):
    """One crash and what came of it.

    * `name`: what `--only` takes: boundary, side, target
    * `of_the_broker`: it lies between the broker's pop and its bookkeeping, where no job can do anything about it
    * `same_as`: crashes that leave the same behind, and were not tried themselves
    * `because`: why it failed or is unknown, in one sentence
    * `failed`, `tried`: how often it failed, of how many trials that were like the recorded run
    * `story`: what had left by then, what came after, what to do about it
    * `trial`: the name under which the trial's events are kept; empty if they are not
    """

    name: str
    boundary: str
    side: str
    target: str
    outcome: Outcome
    of_the_broker: bool
    same_as: tuple[str, ...]
    because: str
    failed: int
    tried: int
    story: tuple[str, ...]
    guarantees: tuple[GuaranteeResult, ...]
    seconds: float
    trial: str
    replay: str

    @property
    def fate(self) -> Fate:
        return FATES[self.outcome]


FATES: dict[Outcome, Fate] = {"held": "survived", "violated": "failed", "unknown": "unknown"}


class CleanResult(Struct, frozen=True, kw_only=True):
    """What the runs without a crash showed. `because` says why no crash was tried, if none was."""

    runs: int
    outcome: Outcome
    because: str
    boundaries: tuple[BoundaryResult, ...]
    unstable: tuple[str, ...]


class Exploration(Struct, frozen=True, kw_only=True):
    schema_version: int
    outcome: Outcome
    subject: str
    task: str
    bug: str
    began: str  # ISO 8601, UTC
    seconds: float
    seconds_exploring: float  # without the start of the lanes
    seconds_to_failure: float | None  # of those: until the first failure of the job's own was confirmed
    trials: int  # that were played, clean runs and confirmations included
    lanes: int
    versions: dict[str, str]
    interception: str
    cannot_see: tuple[str, ...]
    notes: tuple[str, ...]
    not_covered: tuple[NotCovered, ...] = ()
    strict: bool
    clean: CleanResult
    points: tuple[PointResult, ...]
    replay: str

    @property
    def counted(self) -> tuple[PointResult, ...]:
        """The crash points of the job itself: the denominator."""
        return tuple(point for point in self.points if not point.of_the_broker)

    @property
    def survived(self) -> int:
        return sum(point.outcome == "held" for point in self.counted)

    @property
    def of_the_broker(self) -> tuple[PointResult, ...]:
        return tuple(point for point in self.points if point.of_the_broker)


def outcome_of(clean: CleanResult, points: tuple[PointResult, ...], *, strict: bool) -> Outcome:
    """The worst of the job's own; of the broker's too only if that is asked for. Nothing tried is unknown."""
    outcomes = [point.outcome for point in points if strict or not point.of_the_broker]
    if clean.outcome != "held":
        outcomes.append(clean.outcome)
    return worst_outcome(outcomes)

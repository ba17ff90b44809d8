"""What a run found, as the value behind every report. `docs/result.schema.json` is its published JSON Schema."""

from typing import Literal

from msgspec import Struct

from harness.plan import NotCovered
from harness.report.words import sentence
from harness.verdict import Status, Verdict, worst

SCHEMA_VERSION = 1

Outcome = Literal["held", "violated", "unknown"]


class Witness(Struct, frozen=True, kw_only=True):
    """One event that proves a verdict; `source` and `seq` find it in `events/<scenario>.<source>.jsonl`."""

    event: str
    source: str
    seq: int
    at: float
    says: str


class GuaranteeResult(Struct, frozen=True, kw_only=True):
    guarantee: str
    status: Outcome
    because: str
    witnesses: tuple[Witness, ...]


class ScenarioResult(Struct, frozen=True, kw_only=True):
    """`covers` holds ids of `docs/failure-modes.md`; `replay` is the one command that repeats this scenario."""

    name: str
    story: str
    outcome: Outcome
    seconds: float
    covers: tuple[str, ...]
    steps: tuple[str, ...]
    guarantees: tuple[GuaranteeResult, ...]
    replay: str


class Result(Struct, frozen=True, kw_only=True):
    schema_version: int
    outcome: Outcome
    subject: str
    bug: str
    seed: int
    began: str  # ISO 8601, UTC
    seconds: float
    versions: dict[str, str]
    scenarios: tuple[ScenarioResult, ...]
    replay: str
    not_covered: tuple[NotCovered, ...] = ()


def guarantee_result(verdict: Verdict) -> GuaranteeResult:
    return GuaranteeResult(
        guarantee=verdict.guarantee,
        status=outcome(verdict.status),
        because=verdict.because,
        witnesses=tuple(
            Witness(event=type(event).__name__, source=event.source, seq=event.seq, at=event.at, says=sentence(event))
            for event in verdict.witnesses
        ),
    )


def outcome(status: Status) -> Outcome:
    match status:
        case Status.HELD:
            return "held"
        case Status.VIOLATED:
            return "violated"
        case _:
            return "unknown"


def outcome_of(verdicts: tuple[Verdict, ...]) -> Outcome:
    return outcome(worst(verdicts))


def worst_outcome(outcomes: list[Outcome]) -> Outcome:
    """Of none: unknown."""
    order: list[Outcome] = ["held", "unknown", "violated"]
    return max(outcomes, key=order.index, default="unknown")

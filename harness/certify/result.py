"""What a certification found, as the value behind every report: `certify.json`."""

from typing import Any, Literal

from msgspec import Struct

from harness.plan import NotCovered
from harness.result import Outcome
from harness.sampling import Sample

SCHEMA_VERSION = 1
CERTIFY_JSON = "certify.json"

Part = Literal["audit", "run"]


class Window(Struct, frozen=True, kw_only=True):
    """Where it broke: a crash point of a job, or the steps of a scenario.

    * `kind`: "crash point" or "scenario"
    * `name`: of the crash point, with how often it failed of how often it was tried; of the scenario
    * `told`: what was done, in a sentence
    * `where`: the line of the subject's code that stood there, where that is known
    * `replay`: the one command that repeats it
    * `proof`: the report with witnesses and timeline, below the folder of the certification
    """

    kind: Literal["crash point", "scenario"]
    name: str
    told: str
    where: str
    replay: str
    proof: str


class Finding(Struct, frozen=True, kw_only=True):
    """One thing that is wrong, or could not be judged: what, where, in which windows, and what to do about it.

    * `part`: "audit": it can be seen without running a job; "run": it was seen to happen
    * `name`: the rule, or the guarantee
    * `task`: empty where it is about the application
    * `where`: file and line
    * `hurts`: what comes of it, where that does not go without saying
    """

    part: Part
    status: Outcome
    name: str
    task: str
    where: str
    because: str
    hurts: str
    windows: tuple[Window, ...]
    fix: str
    failure_modes: tuple[str, ...]


class TaskResult(Struct, frozen=True, kw_only=True):
    """One task of the contract. `survived` of `tried` crash points; none were tried where `explored` is false.

    `drawn`: the inputs that came of a strategy.
    """

    name: str
    where: str
    outcome: Outcome
    explored: bool
    survived: int
    tried: int
    learnt: tuple[str, ...]
    drawn: tuple[dict[str, Any], ...] = ()


class Coverage(Struct, frozen=True, kw_only=True):
    """Ids of failure modes: those that were put to the test, those that were only audited, and the rest."""

    tested: tuple[str, ...]
    audited: tuple[str, ...]
    not_covered: tuple[str, ...]


class Certification(Struct, frozen=True, kw_only=True):
    """`left_out`: tasks, scenarios and guarantees of which nothing is known, and why. `scenarios`: how each ended.

    `sampled`: what was drawn, and what follows from it for all that was not.
    """

    schema_version: int
    outcome: Outcome
    subject: str
    app: str
    profile: str
    seed: int
    began: str  # ISO 8601, UTC
    seconds: float
    versions: dict[str, str]
    tasks: tuple[TaskResult, ...]
    scenarios: dict[str, Outcome]
    findings: tuple[Finding, ...]
    accepted: tuple[str, ...]  # findings of the audit that a baseline accepts, with their reasons
    left_out: tuple[NotCovered, ...]
    coverage: Coverage
    replay: str
    contained: bool = False  # whether the subject could reach nothing but what the harness played
    image: str = ""  # the digest of the image that it ran from; empty: from none
    sampled: tuple[Sample, ...] = ()

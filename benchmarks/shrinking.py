"""How many runs it takes to shrink a failing schedule: this project's shrinker beside Hypothesis's own.

    python benchmarks/shrinking.py [--seeds N] [--json FILE]

No worker runs: each oracle is a function that says which plans fail, as a planted bug would. Both start from the same
failing plan, the first that Hypothesis drew. A run is a question to the oracle; the same plan asked twice counts once
for Hypothesis, as a cache would have it, and how often it asked in all stands beside it. Ours leaves out jobs as well,
takes nothing that has not failed twice, and runs the last plan three times more, all of which is counted; Hypothesis
does none of that.
"""

import argparse
import json
import platform
import statistics
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any

import hypothesis
from hypothesis import HealthCheck, Phase, settings
from msgspec.structs import replace

from harness.codec import encode
from harness.explore.shrink import BUDGET_RUNS, shrink
from harness.explore.strategies import plans
from harness.faults import AnswerErrors, DeliverAgain, FreezeWorker, KillWorker, LoseReply, ResetConnection, SubmitAgain
from harness.plan import AtCrashPoint, Plan
from harness.system import Target
from reference_worker.contract import CONTRACT

Fails = Callable[[Plan], bool]
DRAWS_MAX = 20_000


def _has(plan: Plan, *faults: type) -> bool:
    return set(faults) <= {type(step.fault) for step in plan.steps}


def _crashes_at(plan: Plan, point: str, *targets: Target) -> int:
    return sum(
        isinstance(step.when, AtCrashPoint)
        and step.when.point == point
        and isinstance(step.fault, KillWorker)
        and step.fault.target in (targets or tuple(Target))
        for step in plan.steps
    )


ORACLES: dict[str, Fails] = {
    "crash between effect and record": lambda plan: _crashes_at(plan, "effect-applied") > 0,
    "whole worker killed before the effect": lambda plan: (
        _crashes_at(plan, "effect-received", Target.MAIN, Target.GROUP) > 0
    ),
    "lost reply": lambda plan: _has(plan, LoseReply),
    "freeze, or a second delivery inside": lambda plan: any(
        isinstance(step.when, AtCrashPoint) and isinstance(step.fault, FreezeWorker | DeliverAgain)
        for step in plan.steps
    ),
    "crash during the recovery from another": lambda plan: _crashes_at(plan, "body-began") > 1,
    "error, and the work submitted again": lambda plan: _has(plan, AnswerErrors, SubmitAgain),
    "reset and error, four failures in all": lambda plan: (
        _has(plan, AnswerErrors, ResetConnection)
        and sum(getattr(step.fault, "times", None) or 0 for step in plan.steps) > 3  # noqa: PLR2004 - four
    ),
}


@dataclass(frozen=True, kw_only=True)
class Shrinking:
    runs: int
    asked: int
    steps: int
    jobs: int


@dataclass(frozen=True, kw_only=True)
class Compared:
    oracle: str
    seed: int
    steps_before: int
    ours: Shrinking
    hypothesis: Shrinking


class Asked:
    """An oracle that remembers the first plan that failed, and how many different ones it was asked for since."""

    def __init__(self, fails: Fails) -> None:
        self.fails = fails
        self.first: Plan | None = None
        self.since: set[bytes] = set()
        self.count = 0

    def __call__(self, plan: Plan) -> bool:
        has_failed = self.fails(plan)
        if self.first is not None:
            self.count += 1
            self.since.add(encode((plan.steps, plan.workload)))
        elif has_failed:
            self.first = plan
        return has_failed


def compared(name: str, fails: Fails, seed: int) -> Compared | None:
    """None if no failing plan was drawn."""
    asked = Asked(fails)
    try:
        theirs = hypothesis.find(
            plans(CONTRACT),
            asked,
            settings=settings(
                max_examples=DRAWS_MAX,
                database=None,
                phases=(Phase.generate, Phase.shrink),
                suppress_health_check=list(HealthCheck),
                deadline=None,
            ),
            random=Random(seed),  # noqa: S311 - it must repeat
        )
    except hypothesis.errors.NoSuchExample:
        return None
    if asked.first is None:
        return None
    given = replace(asked.first, scenario="given")
    ours = shrink(given, fails)
    return Compared(
        oracle=name,
        seed=seed,
        steps_before=len(given.steps),
        ours=Shrinking(runs=ours.runs, asked=ours.runs, steps=len(ours.plan.steps), jobs=len(ours.plan.workload)),
        hypothesis=Shrinking(
            runs=len(asked.since), asked=asked.count, steps=len(theirs.steps), jobs=len(theirs.workload)
        ),
    )


def _median(rows: list[Compared], way: str, what: str) -> float:
    return statistics.median(getattr(getattr(row, way), what) for row in rows)


def table(found: list[Compared]) -> str:
    columns = [*(("ours", what) for what in ("runs", "steps", "jobs"))]
    columns += [("hypothesis", what) for what in ("runs", "asked", "steps", "jobs")]
    head = "".join(f"{what:>7}" for _, what in columns)
    lines = [f"{'':46}{'ours':>21}{'Hypothesis':>28}", f"{'what fails':39}{'before':>7}{head}"]
    for name in (*ORACLES, "all"):
        rows = [row for row in found if name in {row.oracle, "all"}]
        if rows:
            cells = [statistics.median(row.steps_before for row in rows)]
            cells += [_median(rows, way, what) for way, what in columns]
            lines.append(f"{name:39.39}" + "".join(f"{cell:7g}" for cell in cells))
    worst = {way: max(getattr(row, way).runs for row in found) for way in ("ours", "hypothesis")}
    lines.append(f"at most {worst['ours']} runs (budget {BUDGET_RUNS}) and {worst['hypothesis']}; all else is medians")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="runs that it takes to shrink a failing schedule")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write everything here as well")
    arguments = parser.parse_args()
    found = [
        row
        for name, fails in ORACLES.items()
        for seed in range(arguments.seeds)
        if (row := compared(name, fails, seed)) is not None
    ]
    sys.stdout.write(table(found) + "\n")
    if arguments.json is not None:
        versions = {"python": platform.python_version(), "hypothesis": hypothesis.__version__}
        rows: list[dict[str, Any]] = [asdict(row) for row in found]
        arguments.json.write_text(json.dumps({"versions": versions, "shrinkings": rows}, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()

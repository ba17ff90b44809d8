"""Runs seeded schedules of several faults, and shrinks one that fails.

<directory>/             plan.json, events, reports: the fault-free twin and every schedule, as `jobproof run` has it
<directory>/shrinking/   a folder for each workload that was tried: its twin, and every run of the shrinker
<directory>/smallest/    the smallest failing schedule as a run of its own, for `jobproof replay` and `check`
"""

import shlex
import shutil
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from msgspec.structs import replace

from harness.campaign import FAULT_FREE, Campaign, Listener, finish, judge_scenario
from harness.codec import digest, pretty
from harness.contract import Contract
from harness.coverage import covered
from harness.explore.combined import (
    EXERCISED,
    CombineResult,
    Smallest,
    outcome_of_schedules,
    simplest_failures,
    violated_in,
)
from harness.explore.schedules import plan_of, schedules, workload_for
from harness.explore.shrink import BUDGET_RUNS, shrink
from harness.plan import Plan, Plans
from harness.result import ScenarioResult
from harness.runtimes.home import LaneHome, open_homes
from harness.runtimes.lane_system import CAPABILITIES
from harness.runtimes.process import LocalRuntime
from harness.services.broker import BrokerServer
from harness.session import Session

SHRINKING, SMALLEST = "shrinking", "smallest"
SHRUNK_MAX = 3
SAME_OUTCOME = "same-outcome"


def combine(
    contract: Contract,
    *,
    job: str = "",
    bug: str = "",
    count: int,
    seed: int,
    directory: Path,
    session: Session,
    server: BrokerServer,
    cwd: Path,
    lanes: int,
    listener: Listener,
    contract_file: str = "",
    budget_runs: int = BUDGET_RUNS,
) -> CombineResult:
    """Draw, run and judge `count` schedules, and shrink of each violated guarantee the one with the fewest steps.

    :param job: the task to strike, by its name or its last part; empty: all of the contract
    :param directory: an empty folder; everything is written there
    :param listener: told of each schedule, and of each run of the shrinker
    :param budget_runs: for all the shrinking together, fault-free runs of smaller workloads not counted
    :param contract_file: as the command line named it, for the command that repeats; empty: the reference worker's
    :raises ContractError: the contract has no such task
    :raises SubjectError: the subject cannot even be started without a fault
    """
    began, start = datetime.now(UTC), time.monotonic()
    plans = plans_for(
        contract, job=job, bug=bug, count=count, seed=seed, directory=directory, contract_file=contract_file
    )
    runner = _Runner(session=session, server=server, cwd=cwd, listener=listener)
    with open_homes(session, max(1, min(lanes, len(plans.plans)))) as homes:
        runner.run(plans, directory, homes)
        result = finish(directory, plans, began=began, seconds=time.monotonic() - start)
        twin, *found = result.scenarios
        smallest: list[Smallest] = []
        if twin.outcome == "held":
            shrinking = _Shrinking(runner, plans, directory, homes)
            for guarantee, failing in list(simplest_failures(found).items())[:SHRUNK_MAX]:
                left = budget_runs - sum(each.runs for each in smallest)
                smallest.append(shrinking.carry_out(failing, guarantee, budget_runs=left))
    return CombineResult(
        seed=seed,
        asked=count,
        outcome=outcome_of_schedules(twin.outcome, tuple(found)),
        schedules=tuple(found),
        smallest=tuple(smallest),
        result=result,
        harness_failures=tuple(runner.failures),
    )


def plans_for(
    contract: Contract, *, job: str, bug: str, count: int, seed: int, directory: Path, contract_file: str
) -> Plans:
    """What `combine` runs at first: the fault-free twin and the schedules. Pure; the folder is only named.

    :raises ContractError: the contract has no such task
    """
    twin = twin_of(plan_of(contract, workload_for(contract, job), (), name=FAULT_FREE, seed=seed, bug=bug))
    drawn = schedules(contract, job, seed=seed, count=count, bug=bug)
    plans, not_covered = covered((twin, *drawn), contract, CAPABILITIES)
    return Plans(
        seed=seed,
        plans=plans,
        not_covered=not_covered,
        contract_file=contract_file,
        bug=bug,
        replay=_replay(directory),
    )


class _Runner:
    def __init__(self, *, session: Session, server: BrokerServer, cwd: Path, listener: Listener) -> None:
        self.failures: list[str] = []
        self._session = session
        self._server = server
        self._cwd = cwd
        self._listener = listener

    def run(self, plans: Plans, directory: Path, homes: Sequence[LaneHome]) -> None:
        (directory / "events").mkdir(parents=True, exist_ok=True)
        (directory / "plan.json").write_bytes(pretty(plans))
        campaign = Campaign(
            plans,
            directory=directory,
            session=self._session,
            runtime=LocalRuntime(self._session, self._server, cwd=self._cwd),
            lanes=len(homes),
            fail_fast=False,
            listener=self._listener,
        )
        campaign.carry_out(homes)
        self.failures += campaign.harness_failures


class _Shrinking:
    """Shrinks failing schedules; what counts is that a run violates the same guarantee."""

    def __init__(self, runner: _Runner, plans: Plans, directory: Path, homes: Sequence[LaneHome]) -> None:
        self._runner = runner
        self._plans = plans
        self._directory = directory
        self._homes = homes
        self._runs = 0
        # Where the twin of a workload, by its digest, is recorded; of one that does not hold without a fault: None.
        self._twins: dict[str, Path | None] = {digest(plans.plans[0].workload): directory}

    def carry_out(self, failing: ScenarioResult, guarantee: str, *, budget_runs: int) -> Smallest:
        twins = len(self._twins)
        (given,) = (plan for plan in self._plans.plans if plan.scenario == failing.name)
        # Of each plan its last failing run: in which folder, and under which name.
        failed: dict[str, tuple[Path, Plan]] = {_digest(given): (self._directory, given)}

        def fails(candidate: Plan) -> bool:
            if (ran := self._run(candidate, failing.name, guarantee)) is not None:
                failed[_digest(candidate)] = ran
            return ran is not None

        shrunk = shrink(given, fails, budget_runs=budget_runs)
        source, plan = failed[_digest(shrunk.plan)]
        found, replay = self._written(source, plan, guarantee)
        return Smallest(
            schedule=failing.name,
            guarantee=guarantee,
            plan=plan,
            found=found,
            failed=shrunk.failed,
            of=shrunk.of,
            runs=shrunk.runs,
            twins=len(self._twins) - twins,
            exhausted=shrunk.exhausted,
            replay=replay,
        )

    def _run(self, candidate: Plan, schedule: str, guarantee: str) -> tuple[Path, Plan] | None:
        """Run a plan once; where, and under which name, if it has violated the guarantee."""
        self._runs += 1
        folder = self._with_twin(candidate)
        if folder is None:
            return None  # without its twin nothing could be judged
        plan = replace(candidate, scenario=f"{schedule}-run-{self._runs:02}")
        plans = replace(self._plans, plans=(plan,))
        run = self._directory / SHRINKING / f"run-{self._runs:02}"
        _copy_logs(folder, run, FAULT_FREE)
        self._runner.run(plans, run, self._homes[:1])
        violated = {each.guarantee for each in violated_in(judge_scenario(run, plan, plans))}
        return (run, plan) if guarantee in violated else None

    def _with_twin(self, candidate: Plan) -> Path | None:
        """Where the fault-free run of the candidate's workload is recorded; run now if it has not been."""
        workload = digest(candidate.workload)
        if workload not in self._twins:
            folder = self._directory / SHRINKING / f"twin-{len(self._twins)}"
            twin = twin_of(candidate)
            plans = replace(self._plans, plans=(twin,))
            self._runner.run(plans, folder, self._homes[:1])
            has_held = judge_scenario(folder, twin, plans).outcome == "held"
            self._twins[workload] = folder if has_held else None
        return self._twins[workload]

    def _written(self, source: Path, plan: Plan, guarantee: str) -> tuple[ScenarioResult, str]:
        """A plan and its recorded run as a run of its own, judged and reported like any other; what repeats it."""
        directory = self._directory / SMALLEST / guarantee
        began, start = datetime.now(UTC), time.monotonic()
        plans = replace(self._plans, plans=(twin_of(plan), plan), replay=_replay(directory))
        _copy_logs(source, directory, FAULT_FREE, plan.scenario)
        (directory / "plan.json").write_bytes(pretty(plans))
        result = finish(directory, plans, began=began, seconds=time.monotonic() - start)
        return result.scenarios[1], plans.replay


def twin_of(plan: Plan) -> Plan:
    """The same workload without a fault; what compares with a twin, or asks for a fault, is not asked of it."""
    guarantees = tuple(name for name in plan.guarantees if name not in {EXERCISED, SAME_OUTCOME})
    return replace(
        plan,
        scenario=FAULT_FREE,
        story="Nothing goes wrong. How this run ends is what the others are compared with.",
        steps=(),
        canaries=(),
        guarantees=guarantees,
    )


def _copy_logs(source: Path, target: Path, *scenarios: str) -> None:
    (target / "events").mkdir(parents=True)
    for scenario in scenarios:
        for log in (source / "events").glob(f"{scenario}.*.jsonl"):
            shutil.copyfile(log, target / "events" / log.name)


def _replay(directory: Path) -> str:
    here = Path.cwd()
    return shlex.join(
        ["jobproof", "replay", str(directory.relative_to(here) if directory.is_relative_to(here) else directory)]
    )


def _digest(plan: Plan) -> str:
    return digest(replace(plan, scenario=""))

"""Scenarios of one contract, run one by one as they are asked for, beside one fault-free twin."""

import os
import tempfile
from contextlib import ExitStack
from pathlib import Path

from harness.campaign import Campaign, judge_scenario
from harness.contract import Contract
from harness.contract_file import working_directory
from harness.coverage import covered
from harness.plan import Plan, Plans
from harness.result import ScenarioResult
from harness.runtimes.home import open_homes
from harness.runtimes.lane_system import CAPABILITIES
from harness.runtimes.process import LocalRuntime
from harness.scenario import Scenario
from harness.services.broker import resolve
from harness.session import open_session


class ScenarioRunner:
    """Keeps what it needs running until `close`; each scenario is run once."""

    def __init__(
        self, contract: Contract, path: Path, *, seed: int, twin: Scenario, catalogue: tuple[Scenario, ...]
    ) -> None:
        """:raises NoBrokerError: there is no broker to run with"""
        plans = tuple(each.plan(contract, seed=seed) for each in (twin, *catalogue))
        kept, left_out = covered(plans, contract, CAPABILITIES)
        self._twin = twin.name
        self._plans = {plan.scenario: plan for plan in kept}
        self._left_out = {each.name: each.because for each in left_out}
        self._asks = {each.name: each.asks for each in catalogue}
        self._seed = seed
        self._path = path
        self._results: dict[str, ScenarioResult] = {}
        self._server = resolve()
        self._stack = ExitStack()
        self._directory = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="jobproof-")))
        (self._directory / "events").mkdir()
        self._session = self._stack.enter_context(open_session(in_memory=True))
        self._homes = self._stack.enter_context(open_homes(self._session, 1))

    def left_out(self, scenario: str) -> str:
        """Why it cannot be run; empty if it can."""
        plan = self._plans.get(scenario)
        if plan is None:
            return self._left_out.get(scenario, "there is no such scenario")
        if not plan.steps and scenario != self._twin:
            return f"the contract does not tell {self._asks.get(scenario) or 'anything that it could hurt'}"
        return ""

    def result_of(self, scenario: str) -> ScenarioResult:
        """:raises SubjectError: the subject cannot be started"""
        if self._twin not in self._results:
            self._run(self._plans[self._twin])
        if scenario not in self._results:
            self._run(self._plans[scenario])
        return self._results[scenario]

    def _run(self, plan: Plan) -> None:
        plans = Plans(seed=self._seed, plans=(plan,), contract_file=os.path.relpath(self._path))
        campaign = Campaign(
            plans,
            directory=self._directory,
            session=self._session,
            runtime=LocalRuntime(self._session, self._server, cwd=working_directory(self._path)),
            lanes=1,
            fail_fast=False,
            listener=lambda _name, _result: None,
        )
        campaign.carry_out(self._homes)
        self._results[plan.scenario] = judge_scenario(self._directory, plan, plans)

    def close(self) -> None:
        self._stack.close()

"""A certification from beginning to end: audit, learn what is not told, scenarios, crash points, one verdict.

What it leaves in its folder: audit.json, and the records below learning/, scenarios/ and crash-points/<task>/. The
value that it returns is written by `harness.certify.files`.
"""

import re
import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from harness import __version__
from harness.audit.facts import Facts
from harness.audit.finding import Accepted, Audit, Rule
from harness.audit.make import audit_of
from harness.campaign import Campaign, finish, python_words
from harness.certify.coverage import coverage_of
from harness.certify.findings import CRASH_POINTS, SCENARIOS, Where, findings_of, unexplored, where_of
from harness.certify.profiles import CELERY, Profile
from harness.certify.result import SCHEMA_VERSION, Certification, Finding, TaskResult
from harness.certify.sampled import samples_of
from harness.codec import pretty
from harness.contract import Contract, Task
from harness.countdowns import COUNTDOWNS
from harness.coverage import covered
from harness.events import AttemptStarted
from harness.explore.exploration import Choice, Explorer
from harness.explore.files import finish as finish_exploration
from harness.explore.result import Exploration, PointResult
from harness.explore.stage import plan_of
from harness.learning.complete import complete
from harness.learning.surveying import surveyed
from harness.plan import NotCovered, Plan, Plans, RuntimeChoice
from harness.result import Outcome, Result, ScenarioResult, worst_outcome
from harness.runtimes.runtime import Runtime
from harness.scenario import Scenario
from harness.session import Session, open_session
from harness.store import read_history
from harness.system import SubjectError

Again: TypeAlias = Callable[[Session], AbstractContextManager[Runtime]]
"""The same runtime for another session."""

_UNPLAIN = re.compile(r"[^A-Za-z0-9_.-]+")


class Asked(Struct, frozen=True, kw_only=True):
    """What a person asked for. `twin`, `catalogue`, `rules`: all that there is to ask."""

    contract_file: str
    profile: Profile
    seed: int
    lanes: int
    import_seconds: float
    accepted: dict[str, Accepted]
    twin: Scenario
    catalogue: tuple[Scenario, ...]
    rules: tuple[Rule, ...]
    runtime: RuntimeChoice = RuntimeChoice()


class Listener(Protocol):
    """Told what is being done, from any thread."""

    def began(self, what: str) -> None: ...

    def scenario(self, name: str, result: ScenarioResult | None) -> None: ...

    def crash(self, task: str, result: PointResult) -> None: ...


class Certifier:
    """One certification of one contract; the folder holds all of it afterwards."""

    def __init__(
        self,
        contract: Contract,
        asked: Asked,
        *,
        directory: Path,
        session: Session,
        runtime: Runtime,
        again: Again,
        listener: Listener,
    ) -> None:
        self.contract = contract
        self.asked = asked
        self.directory = directory
        self.session = session
        self.runtime = runtime
        self.again = again
        self.listener = listener
        self.audit: Audit | None = None
        self.harness_failures: list[str] = []
        self.left_out: list[NotCovered] = []
        self.unexplored: dict[str, str] = {}  # task -> why its crash points could not be tried

    def carry_out(self) -> Certification:
        """:raises SubjectError: the subject cannot be used, or does not do its jobs even without a fault"""
        began, start = datetime.now(UTC), time.monotonic()
        with self.runtime.open_homes(self.asked.lanes) as homes:
            if self.contract.system == CELERY:
                self._make_audit(homes[0])
            told = self._learn(homes)
            plans = self._plans(told)
            result = self._run(plans, homes, began=began)
        explorations = {}
        if result.scenarios[0].outcome == "held":  # what does not hold without a fault says nothing with one
            explorations = dict(self._explore(told, began=began))
        return self._certification(told, plans, result, explorations, began=began, seconds=time.monotonic() - start)

    # --- what is read ---

    def _make_audit(self, home: Any) -> None:
        self.listener.began("audit")
        found = surveyed(self.contract, self.runtime, home, seconds=self.asked.import_seconds)
        self.audit = audit_of(self.contract.app, found.facts, folder=found.folder, accepted=self.asked.accepted)
        (self.directory / "audit.json").write_bytes(pretty(self.audit))

    def _pool(self) -> str:
        return str(self.audit.facts.settings.get("worker_pool") or "") if self.audit is not None else ""

    def _facts(self) -> Facts:
        if self.audit is None:
            raise SubjectError(f"what is not told of a {self.contract.system} job cannot be learnt")
        return self.audit.facts

    def _learn(self, homes: tuple[Any, ...]) -> Contract:
        if not self.contract.is_told:
            self.listener.began("fault-free runs of each job alone")
        learnt = complete(
            self.contract,
            self._facts,
            session=self.session,
            runtime=self.runtime,
            directory=self.directory,
            homes=homes,
        )
        self.left_out += [NotCovered(name="learning", because=doubt) for doubt in learnt.doubts]
        return learnt.contract

    # --- what is run ---

    def _plans(self, contract: Contract) -> Plans:
        asked = self.asked
        chosen = asked.profile.chosen(asked.catalogue)
        planned = [each.plan(contract, seed=asked.seed) for each in chosen]
        self.left_out += [
            NotCovered(
                name=each.name, because=f"the contract does not tell {each.asks or 'anything that it could hurt'}"
            )
            for each, plan in zip(chosen, planned, strict=True)
            if not plan.steps
        ]
        twin = asked.twin.plan(contract, seed=asked.seed)
        kept, left_out = covered((twin, *(plan for plan in planned if plan.steps)), contract, self.runtime.capabilities)
        self.left_out += left_out
        unpromised = [name for name in ("attempts-bounded", "bounded-wait") if name not in twin.guarantees]
        self.left_out += [NotCovered(name=name, because="nobody has told a bound") for name in unpromised]
        return Plans(
            seed=asked.seed, plans=kept, not_covered=left_out, contract_file=asked.contract_file, runtime=asked.runtime
        )

    def _run(self, plans: Plans, homes: tuple[Any, ...], *, began: datetime) -> Result:
        self.listener.began("scenarios")
        directory = self.directory / SCENARIOS
        (directory / "events").mkdir(parents=True)
        (directory / "plan.json").write_bytes(pretty(plans))
        start = time.monotonic()
        campaign = Campaign(
            plans,
            directory=directory,
            session=self.session,
            runtime=self.runtime,
            lanes=self.asked.lanes,
            fail_fast=False,
            listener=self.listener.scenario,
        )
        campaign.carry_out(homes)
        self._note_other_tasks(directory)
        self.harness_failures += campaign.harness_failures
        return finish(directory, plans, began=began, seconds=time.monotonic() - start)

    def _note_other_tasks(self, directory: Path) -> None:
        """The application's tasks that the contract does not name; what a job enqueues is judged as a part of it."""
        twin = read_history(directory, self.asked.twin.name)
        ran = {event.task for event in twin.of(AttemptStarted)} if twin is not None else set()
        known = {task.name for task in self.contract.tasks}
        for task in self.audit.facts.tasks if self.audit is not None else ():
            if task.own and task.name not in known:
                because = "judged as a part of other jobs only" if task.name in ran else "the contract has no such task"
                self.left_out.append(NotCovered(name=task.name, because=because))

    def _explore(self, contract: Contract, *, began: datetime) -> Iterator[tuple[str, Exploration]]:
        """Each task's exploration, by its folder below this one's."""
        names: set[str] = set()
        for number, task in enumerate(contract.tasks, start=1):
            self.listener.began(f"crash points of {task.name}")
            name = _UNPLAIN.sub("_", task.name)[:80].strip(".") or "task"
            folder = f"{CRASH_POINTS}/{name if name not in names else f'{name}-{number}'}"
            names.add(name)
            try:
                plan = plan_of(contract, task.name, bug="", seed=self.asked.seed)
            except LookupError as error:
                self.left_out.append(NotCovered(name=f"crash points of {task.name}", because=str(error.args[0])))
                continue
            directory = self.directory / folder
            (directory / "events").mkdir(parents=True)
            plan = replace(plan, guarantees=_given(plan.guarantees, self.asked.twin, contract))
            found = self._explore_one(plan, directory, began=began)
            if found is None:
                continue
            finish_exploration(directory, found)
            if lost := [point.name for point in found.of_the_broker if point.outcome == "violated"]:
                because = (
                    f"the broker has handed the message out and nobody has booked it, so it is lost ({found.task})"
                )
                self.left_out.append(NotCovered(name=", ".join(lost), because=because))
            yield folder, found

    def _explore_one(self, plan: Plan, directory: Path, *, began: datetime) -> Exploration | None:
        """None where the subject did not let itself be explored, which is noted as unknown."""
        task = plan.workload[0].task
        choice = Choice(
            targets=self.asked.profile.targets_of(plan.contract, self._pool()),
            lanes=self.asked.lanes,
            budget_seconds=self.asked.profile.budget_seconds,
            contract_file=self.asked.contract_file,
            runtime=self.asked.runtime,
        )
        # A session of its own: an exploration that fails ends every process of the one that it is in.
        with open_session(in_memory=True) as session, self.again(session) as runtime:
            explorer = Explorer(
                plan,
                choice,
                directory=directory,
                session=session,
                runtime=runtime,
                listener=lambda result: self.listener.crash(task, result),
            )
            try:
                found = explorer.carry_out(began=began)
            except SubjectError as error:
                self.unexplored[task] = str(error)
                return None
        self.harness_failures += explorer.harness_failures
        return found

    # --- what is said ---

    def _certification(
        self,
        contract: Contract,
        plans: Plans,
        result: Result,
        explorations: dict[str, Exploration],
        *,
        began: datetime,
        seconds: float,
    ) -> Certification:
        facts = self.audit.facts.tasks if self.audit is not None else ()
        where = where_of({task.name: f"{task.file}:{task.line}" for task in facts if task.file}, explorations.values())
        findings = findings_of(self.audit, plans, result, explorations, where)
        findings += tuple(unexplored(task, because, where) for task, because in self.unexplored.items())
        outcomes = [result.outcome, *(found.outcome for found in explorations.values())]
        outcomes += ["unknown"] * len(self.unexplored)
        if self.audit is not None:
            outcomes.append(self.audit.outcome)
        by_task = {found.task: found for found in explorations.values()}
        return Certification(
            schema_version=SCHEMA_VERSION,
            outcome=worst_outcome(outcomes),
            subject=contract.name,
            app=contract.app,
            profile=self.asked.profile.name,
            seed=self.asked.seed,
            began=began.isoformat(timespec="seconds"),
            seconds=round(seconds, 3),
            versions={"jobproof": __version__, **_versions_for(contract), **result.versions},
            tasks=tuple(_task_result(task, where, findings, by_task.get(task.name)) for task in contract.tasks),
            scenarios={scenario.name: scenario.outcome for scenario in result.scenarios},
            findings=findings,
            accepted=tuple(
                f"{each.rule}: {each.what}: {each.accepted}"
                for each in (self.audit.findings if self.audit is not None else ())
                if each.accepted
            ),
            left_out=(*self.left_out, *_not_waited_for(plans, result, explorations)),
            contained=self.runtime.contained,
            image=self.runtime.image,
            coverage=coverage_of(result.scenarios, explorations.values(), self.audit, self.asked.rules),
            replay=self._command(),
            sampled=samples_of(contract, plans, result),
        )

    def _command(self) -> str:
        words = ["jobproof", "certify", self.asked.contract_file, "--profile", self.asked.profile.name]
        return shlex.join(
            [*words, *python_words(self.contract), *self.asked.runtime.words, "--seed", str(self.asked.seed)]
        )


def _given(guarantees: tuple[str, ...], twin: Scenario, contract: Contract) -> tuple[str, ...]:
    """Without the bounds that nobody has given."""
    there = twin.plan(contract, seed=0).guarantees
    bounds = {"attempts-bounded", "bounded-wait"}
    return tuple(name for name in guarantees if name in there or name not in bounds)


def _not_waited_for(plans: Plans, result: Result, explorations: dict[str, Exploration]) -> Iterator[NotCovered]:
    """The countdowns that were shortened, in scenarios and in crash points."""
    yield from (each for each in result.not_covered if each not in plans.not_covered)
    for found in explorations.values():
        for each in found.not_covered:
            if each.name == COUNTDOWNS:
                yield NotCovered(name=f"{COUNTDOWNS} in crash points of {found.task}", because=each.because)


def _versions_for(contract: Contract) -> dict[str, str]:
    """What the same seed depends on, where inputs were drawn."""
    drawn = any(task.drawn for task in contract.tasks)
    return {"hypothesis": metadata.version("hypothesis")} if drawn else {}


def _task_result(task: Task, where: Where, findings: tuple[Finding, ...], found: Exploration | None) -> TaskResult:
    own: list[Outcome] = [finding.status for finding in findings if finding.task == task.name]
    if found is not None:
        own.append(found.outcome)
    return TaskResult(
        name=task.name,
        where=where.tasks.get(task.name, ""),
        outcome=worst_outcome(own),
        explored=found is not None,
        survived=found.survived if found is not None else 0,
        tried=len(found.counted) if found is not None else 0,
        learnt=task.learnt,
        drawn=task.inputs if task.drawn else (),
    )

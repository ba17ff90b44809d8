"""One deployed system on which trial follows trial: a trial costs no new broker, ledger, agent or supervisor.

Between two trials everything outside of the worker is made as it was in the beginning. The worker that survived one
trial is the victim of the next, unless a fresh one is asked for, or it has files of the subject's directory open.
"""

import dataclasses
import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import sqlalchemy as sa
from msgspec import Struct
from msgspec.structs import replace

from harness import __version__
from harness.boundaries import processes
from harness.boundaries.clients import runs
from harness.codec import digest
from harness.contract import Contract, fill
from harness.events import (
    FORMAT_VERSION,
    BaselineRecorded,
    DrainTimedOut,
    FaultBegan,
    FaultEnded,
    FaultLanded,
    FaultMissed,
    QueueDrained,
    RunBegan,
    SubjectDescribed,
)
from harness.explore.interception import Interception, Strike, Watched
from harness.explore.naming import Naming
from harness.explore.notebook import Notebook
from harness.explore.points import CrashPoint, Run
from harness.explore.proxied import Proxied, proxies_of
from harness.history import History
from harness.plan import Plan
from harness.runtimes.lane_system import LaneSystem
from harness.runtimes.remains import record_remains
from harness.runtimes.runtime import Runtime
from harness.scenario import workload_of
from harness.store import HARNESS
from harness.system import SubjectError, Target
from harness.systems.exploring import ExplorableDriver, Exploring
from harness.waiting import WaitedInVainError, wait_until

POSTGRESQL_PORT = 5432
GUARANTEES = (
    "nothing-lost",
    "effects-once",
    "same-outcome",
    "attempts-bounded",
    "dead-letters-exact",
    "bounded-wait",
    "no-orphans",
    "exercised",
)
GONE_SECONDS_MAX = 10.0
ORPHAN_SECONDS_MAX = 5.0
DRAIN_SLACK_SECONDS = 15.0
STRUCK_POLL_SECONDS = 0.2
STRIKE_SECONDS_MAX = 20.0  # from when the boundary was seen: to send, to hear the answer, to kill and see them gone
CLEAN = "clean"
NEMESIS = "nemesis"
BASELINE = "baseline"


class Performed(Struct, frozen=True, kw_only=True):
    """A trial as it went. `strike` is None where nobody came to the crash point, or none was armed."""

    history: History
    seen: Run
    strike: Strike | None
    unseen: tuple[str, ...]


class Stage:
    """See `open_stage`. Not thread-safe: one thread plays on it."""

    def __init__(
        self,
        system: LaneSystem[Any],
        notebook: Notebook,
        interception: Interception,
        *,
        real: bool,
        versions: Mapping[str, str],
    ) -> None:
        self.system = system
        self.notebook = notebook
        self.interception = interception
        self.described: SubjectDescribed | None = None
        self._real = real
        self._versions = {"jobproof": __version__, **versions}
        (self._node,) = system.workers.nodes.values()
        self._is_clean = True  # nothing has run here since the last preparation

    @property
    def exploring(self) -> Exploring:
        return _explorable(self.system).exploring

    @property
    def redelivery_seconds_max(self) -> float:
        """How long the system itself may take to give back what a dead worker held."""
        settings = self.described.settings if self.described is not None else {}
        return _explorable(self.system).redelivery_seconds_max(settings)

    # --- one trial ---

    def play(
        self,
        point: CrashPoint | None,
        *,
        scenario: str,
        within: float,
        fresh: bool = False,
        baseline: BaselineRecorded | None = None,
        lines: bool = False,
    ) -> Performed:
        """Run the job once, with one crash or none, until all is over or `within` seconds have passed.

        `lines`: ask for the line of each boundary, which makes the job slow: such a run proves nothing else.

        :raises SubjectError: the subject's worker does not start, or its preparation fails
        :raises HarnessError: a part of the harness has ended
        """
        self._set_the_scene(fresh=fresh)
        notebook, plan = self.notebook, self.system.plan
        notebook.begin()
        steps = () if point is None else (sentence_of(point),)
        notebook.record(
            HARNESS,
            RunBegan(
                format_version=FORMAT_VERSION,
                scenario=scenario,
                guarantees=_put_to_the_test(plan.guarantees, point, baseline),
                contract=plan.contract,
                plan_digest=digest(plan),
                seed=plan.seed,
                steps=steps,
                bug=plan.bug,
                versions=self._versions,
            ),
        )
        if self.described is not None:
            notebook.record(HARNESS, self.described)
        self.interception.begin(lines=lines)
        self._is_clean = False
        (job,) = plan.workload
        strike = None
        if point is not None:
            tree = self._tree()
            self.interception.arm(point)
            self.system.messages.enqueue(job)
            strike = self._await_strike(point, within)
            self._record_strike(point, strike, tree)
        else:
            self.system.messages.enqueue(job)
        self._drain(within)
        self.interception.disarm()
        self._record_what_is_left_behind()
        record_remains(self.system, notebook)
        self.system.check_services()
        seen, unseen = self.interception.seen(), self.interception.unseen()
        if baseline is not None:
            notebook.record(BASELINE, baseline)
        return Performed(history=notebook.end(), seen=seen, strike=strike, unseen=unseen)

    def _await_strike(self, point: CrashPoint, within: float) -> Strike | None:
        key = point.boundary.key
        deadline = self.notebook.now() + within
        while self.notebook.now() < deadline:
            if (strike := self.interception.struck(within=STRUCK_POLL_SECONDS)) is not None:
                return strike
            if not self.system.left():
                # The crash itself may have ended the job: killed right after the acknowledgement, say.
                is_there = any(each.boundary.key == key for each in self.interception.seen())
                return self.interception.struck(within=STRIKE_SECONDS_MAX if is_there else 0)
        return None

    def _record_strike(self, point: CrashPoint, strike: Strike | None, tree: list[int]) -> None:
        sentence = sentence_of(point)
        notebook = self.notebook
        (job,) = self.system.plan.workload
        notebook.record(NEMESIS, FaultBegan(step=0, fault=sentence))
        if strike is None or strike.error:
            because = strike.error if strike is not None else "the job did not come there"
            notebook.record(NEMESIS, FaultMissed(step=0, fault=sentence, because=because))
        else:
            targets = tuple(f"process {pid}" for pid in strike.killed)
            notebook.record(NEMESIS, FaultLanded(step=0, fault=sentence, targets=targets, jobs=(job.job,)))
        if strike is not None and self._node.pid in strike.killed:
            self._recover(tree, real=self._real)
        notebook.record(NEMESIS, FaultEnded(step=0, fault=sentence))

    def _drain(self, within: float) -> None:
        def drained() -> bool:
            if not self.system.left():
                return True
            if not self._node.down and self.system.lane.exit_of(self._node.pid) is not None:
                self._recover(self._tree(), real=self._real)  # as a process manager would
            return False

        try:
            wait_until(drained, within=within, or_else="not drained")
        except WaitedInVainError:
            self.notebook.record(HARNESS, DrainTimedOut(after_seconds=within, left=self.system.left()))
        else:
            self.notebook.record(HARNESS, QueueDrained())

    # --- deaths ---

    def _tree(self) -> list[int]:
        return [self._node.pid, *processes.descendants(self._node.pid)]

    def _recover(self, tree: list[int], *, real: bool) -> None:
        """After the main process has died: until it is gone entirely; then its messages are given back to a new one."""
        self._await_gone(tree)
        driver = _explorable(self.system)
        driver.wait_parted(within=GONE_SECONDS_MAX)
        if not real:
            driver.bury()
        self._node.down = True
        if real:
            self.system.workers.revive()
        else:
            self._node.dead_clients = driver.stranded()
            self.system.workers.recover()

    def _await_gone(self, tree: list[int]) -> None:
        """Until what a main process leaves behind when it dies is gone, too; what does not end is recorded and ended.

        A child that goes on has its parent's messages and would meet the next worker's.
        """

        def gone() -> bool:
            return not any(map(runs, tree)) and not self._strays()

        with suppress(WaitedInVainError):
            wait_until(gone, within=ORPHAN_SECONDS_MAX, or_else="orphans")
            return
        self.system.record_what_is_left_behind()
        self._end_strays()
        wait_until(lambda: not any(map(runs, tree)), within=GONE_SECONDS_MAX, or_else="the killed were still there")

    def _end_worker(self) -> None:
        tree = self._tree()
        with suppress(ProcessLookupError):
            os.killpg(self._node.pid, signal.SIGKILL)
        for pid in tree[1:]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)  # what has left the group
        wait_until(lambda: not any(map(runs, tree)), within=GONE_SECONDS_MAX, or_else="the killed were still there")
        _explorable(self.system).wait_parted(within=GONE_SECONDS_MAX)
        self._node.down = True

    # --- between two trials ---

    def _set_the_scene(self, *, fresh: bool) -> None:
        driver = _explorable(self.system)
        alive = self.system.lane.exit_of(self._node.pid) is None
        if not alive:
            self._node.down = True
        elif fresh or (not self._is_clean and (self.system.left() or self._holds_files())):
            self._end_worker()
        if not self._is_clean:
            self._end_strays()
            self.system.sidecars.end()
            driver.remove_all_but_queues()
            _empty(self.system.home.directory)
            self.system.downstream.reset()
            driver.forget()
            driver.prepare()
            self.system.sidecars.start()
        self.system.workers.revive()
        self._is_clean = True

    def _holds_files(self) -> bool:
        """Whether the worker has something open that is about to be taken away from under it."""
        below = f"{self.system.home.directory}/"
        for pid in self._tree():
            with suppress(OSError):
                if any(str(each.readlink()).startswith(below) for each in Path(f"/proc/{pid}/fd").iterdir()):
                    return True
        return False

    def _record_what_is_left_behind(self) -> None:
        """To ask every process of the machine takes long, so it is asked only where the kernel's lists show a stray."""
        if self._strays():
            self.system.record_what_is_left_behind()
        else:
            self.system.record_files_left_behind()

    def _strays(self) -> set[int]:
        """What runs in this lane and descends from nothing that was started in it; perhaps one that was."""
        running = self.system.lane.running()
        known = {child for pid in running for child in (pid, *processes.descendants(pid))}
        found: set[int] = self.system.home.unknown(known)
        return found

    def _end_strays(self) -> None:
        if not self._strays():
            return
        for process in self.system.home.stray_processes(self.system.lane.descendants()):
            with suppress(psutil.Error):
                process.kill()
                process.wait(GONE_SECONDS_MAX)


def sentence_of(point: CrashPoint) -> str:
    """What a crash does, as the steps of a scenario are told."""
    moment = "before it left" if point.side.value == "before" else "after it was applied, before the worker knew"
    return f"SIGKILL the {_SPOKEN[point.target]} at {point.boundary.told}, {moment}"


def _put_to_the_test(
    guarantees: tuple[str, ...], point: CrashPoint | None, baseline: BaselineRecorded | None
) -> tuple[str, ...]:
    left_out = {*(["exercised"] if point is None else []), *(["same-outcome"] if baseline is None else [])}
    return tuple(each for each in guarantees if each not in left_out)


_SPOKEN = {
    Target.CHILD: "child process",
    Target.MAIN: "main process",
    Target.GROUP: "whole process group",
}


def _empty(directory: Path) -> None:
    """Every file below it is removed; folders stay, for whoever is alive and has made them."""
    for path in directory.rglob("*"):
        if path.is_symlink() or not path.is_dir():
            with suppress(OSError):
                path.unlink()


def _explorable(system: LaneSystem[Any]) -> ExplorableDriver:
    """:raises SubjectError: the subject's job system cannot be explored so far"""
    if not isinstance(system.driver, ExplorableDriver):
        raise SubjectError(f"jobs of system {system.contract.system!r} cannot be explored")
    return system.driver


def databases_of(contract: Contract, placeholders: dict[str, str]) -> dict[str, str]:
    """The SQLite databases that the contract names, by the names of their files."""
    found: dict[str, str] = {}
    for url in _urls(contract, placeholders):
        if url.get_backend_name() == "sqlite" and url.database:
            found.setdefault(Path(url.database).stem, url.database)
    return found


def servers_of(contract: Contract, placeholders: dict[str, str]) -> dict[str, int | str]:
    """The PostgreSQL servers that the contract names, each by its port or the path of its Unix socket."""
    found: dict[str, int | str] = {}
    for url in _urls(contract, placeholders):
        if url.get_backend_name() != "postgresql":
            continue
        host = str(url.query.get("host", "") or url.host or "")
        port = int(str(url.query.get("port", "") or url.port or POSTGRESQL_PORT))
        address = f"{host}/.s.PGSQL.{port}" if host.startswith("/") else port
        if address not in found.values():
            found[f"postgresql-{len(found) + 1}" if found else "postgresql"] = address
    return found


def folders_of(contract: Contract, placeholders: dict[str, str]) -> dict[str, str]:
    """The folders in which the contract calls changes of names effects, by their own names."""
    found: dict[str, str] = {}
    for template in contract.files:
        path = Path(fill(template, placeholders, where="files"))
        found[path.name if path.name not in found else str(path)] = str(path)
    return found


def _urls(contract: Contract, placeholders: dict[str, str]) -> list[sa.URL]:
    return [sa.make_url(fill(table.url, placeholders, where=f"table {table.table}")) for table in contract.tables()]


def _watched(system: LaneSystem[Any], notebook: Notebook, naming: Naming) -> Watched:
    """A supervisor that runs, and workers that come under it when they are started."""
    watched = Watched(system.lane, origin=notebook.origin, own=notebook.directory, naming=naming)
    ports = system.home.ports
    watched.start(
        dependencies={
            **servers_of(system.contract, system.placeholders),
            "broker": ports.broker,
            "ledger": ports.http,
            "smtp": ports.smtp,
        },
        databases=databases_of(system.contract, system.placeholders),
        folders=folders_of(system.contract, system.placeholders),
    )
    watched.wait_ready()
    if _explorable(system).exploring.joins_by_itself:
        _start_with(system, watched.environment)
    else:
        system.workers.wrapper = watched.wrapper
    return watched


def _start_with(system: LaneSystem[Any], more: Mapping[str, str]) -> None:
    launch = system.workers.launch
    system.workers.launch = dataclasses.replace(launch, environment={**launch.environment, **more})


@contextmanager
def open_stage(
    plan: Plan, *, runtime: Runtime, directory: Path, name: str, home: Any, real_redelivery: bool, unwatched: str
) -> Iterator[Stage]:
    """A deployed system with one worker whose messages are seen, and can be held.

    `directory` is a new one. `unwatched`: why that is not done by a supervisor of its sends, but by proxies; empty: it
    is.

    :raises SubjectError: the subject cannot be started
    :raises HarnessError: a part of the harness cannot be started
    """
    with ExitStack() as stack:
        notebook = Notebook(directory)
        system = stack.enter_context(
            runtime.assemble(plan, name=name, recorder=notebook, home=home, behind=bool(unwatched))
        )
        driver = _explorable(system)
        _start_with(system, driver.exploring.environment)
        (job,) = plan.workload
        naming = Naming(driver, job)
        stopper: Interception = (
            Proxied(stack.enter_context(proxies_of(system)), naming=naming)
            if unwatched
            else _watched(system, notebook, naming)
        )
        system.start()
        stage = Stage(system, notebook, stopper, real=real_redelivery, versions=runtime.versions)
        stage.described = next(
            (event for event in notebook.sources()[HARNESS] if isinstance(event, SubjectDescribed)), None
        )
        yield stage


def plan_of(contract: Contract, task: str, *, bug: str, seed: int = 0) -> Plan:
    """One job of the task, its first input, for one worker with one slot: which child runs it is then no chance.

    :raises LookupError: it is not known which worker would take it
    """
    found = next(each for each in contract.tasks if each.name == task)
    workers = [worker for worker in contract.workers if not worker.queues or found.queue in worker.queues]
    if not workers or (not found.queue and len(contract.workers) > 1):
        raise LookupError(f"which worker takes {task} is not known: name its queue in the contract")
    # What is prepared is what the workload needs: one input, prepared anew for each trial.
    contract = replace(
        contract,
        workers=(replace(workers[0], concurrency=1),),
        tasks=(replace(found, inputs=found.inputs[:1], previous_inputs=(), poisons=()),),
    )
    (job,) = workload_of(contract)
    return Plan(
        scenario=CLEAN,
        story="the job runs once and nothing happens to it",
        seed=seed,
        contract=contract,
        workload=(job,),
        steps=(),
        guarantees=GUARANTEES,
        bug=bug,
    )

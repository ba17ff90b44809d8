"""The local runtime: broker, ledger and workers as real processes, each in its own process group."""

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from harness.contract import Contract, Sidecar, Worker, fill
from harness.events import EnqueueCalled, LeftBehind, NodeExited, NodeStarted, SubjectDescribed
from harness.plan import Plan
from harness.runtimes.home import Forker, LaneHome, open_homes
from harness.runtimes.log_tail import tail
from harness.runtimes.outage import LocalBroker
from harness.runtimes.stores import LocalStores
from harness.runtimes.subject import subject_environment, subject_python
from harness.runtimes.workers import LocalWorkers
from harness.services.broker import Broker, BrokerServer, start_broker
from harness.services.gate import Gate
from harness.services.ledger import LedgerClient, Settings
from harness.services.proxy.client import ProxyHandle, Toxiproxy
from harness.services.proxy.server import Settings as ProxySettings
from harness.session import HarnessError, Lane, Session
from harness.store import HARNESS, OBSERVER, Recorder
from harness.system import Capability, PlannedJob
from harness.systems import system_of
from harness.systems.driver import Driver
from harness.waiting import WaitedInVainError, wait_until

CAPABILITIES = frozenset(Capability)  # of the runtime: what can be done to local processes
READY_SECONDS_MAX = 60.0
STRAY_SECONDS_MAX = 2.0
LEDGER_PROGRAM = Path(__file__).parents[1] / "services" / "ledger" / "__main__.py"


class LocalSystem:
    """A deployed lane of local processes; see `harness.system.System`."""

    def __init__(
        self,
        *,
        plan: Plan,
        lane: Lane,
        recorder: Recorder,
        cwd: Path,
        broker: Broker,
        home: LaneHome,
        is_ledger_behind: bool = False,
    ) -> None:
        """`is_ledger_behind`: somebody else stands where the subject looks for it."""
        self.plan = plan
        self.lane = lane
        self.recorder = recorder
        self.directory = lane.directory  # of logs and sockets; the subject's own is the home's
        self.home = home
        self._ledger_ports = home.behind if is_ledger_behind else home.ports
        self.cwd = cwd
        self.broker_server = broker
        self.python = subject_python(plan.contract, cwd)
        self.driver = system_of(plan.contract).drive(plan.contract, broker, lane, recorder, plan.workload)
        self.gate = Gate(lane.directory / "gate.sock", self.driver.hear)
        self.downstream = LedgerClient(lane.directory / "ledger.sock")
        self.placeholders = {**home.placeholders, "python": self.python}
        self.environment = self._subject_environment()
        self.ledger_pid = 0
        imports = self.driver.forker_command(self.python)
        self.forker = (
            home.forker(imports, environment=self.environment, cwd=cwd)
            if imports
            else Forker(lane, 0, "its workers are programs of their own")
        )
        self.workers = LocalWorkers(
            needed_workers(plan),
            lane=lane,
            recorder=recorder,
            driver=self.driver,
            gate=self.gate,
            forker=self.forker,
            placeholders=self.placeholders,
            environment=self.environment,
            cwd=cwd,
        )
        self.broker = LocalBroker(plan.contract, self.driver, self.workers)
        self.stores = LocalStores(plan.contract, self.placeholders)

    @property
    def contract(self) -> Contract:
        return self.plan.contract

    @property
    def capabilities(self) -> frozenset[Capability]:
        return CAPABILITIES - system_of(self.contract).cannot(self.contract).keys()

    @property
    def messages(self) -> Driver:
        return self.driver

    @property
    def jobs(self) -> tuple[EnqueueCalled, ...]:
        return tuple(self.driver.jobs.values())

    # --- start ---

    def start(self) -> None:
        """:raises SubjectError: the subject does not import, prepare, or become ready"""
        self._start_ledger()
        if self.plan.proxied:
            self.broker.link = self._start_proxy()
        is_warm = self.forker.ready(unless=self.home.directory)
        # A preparation may create what workers read when they start, so it comes before them; the imports of the
        # workers and of the agent would compete for the same cores anyway.
        described = self.driver.start_agent(
            self.environment, self.cwd, self.python, forker=self.forker.pid if is_warm else 0
        )
        boot = "forked after one import" if is_warm else f"each from the start: {self.forker.why_not}"
        self.recorder.record(
            HARNESS,
            SubjectDescribed(versions={**described["versions"], "boot": boot}, settings=described["settings"]),
        )
        self.driver.prepare()
        if self.plan.watched:
            for sidecar in self.contract.sidecars:
                self._spawn_sidecar(sidecar)
        self.workers.start()

    def _subject_environment(self) -> dict[str, str]:
        """The same in every scenario of a lane, so that one import of the subject serves them all."""
        bug = next((bug for bug in self.contract.planted_bugs if bug.name == self.plan.bug), None)
        templates = {**self.contract.environment, **(bug.environment if bug is not None else {})}
        own = {name: fill(text, self.placeholders, where=name) for name, text in templates.items()}
        own |= self.driver.environment()
        return self.home.marked(subject_environment(own))

    def _start_ledger(self) -> None:
        settings = Settings(
            events=str(self.recorder.log_of("ledger")),
            gate=str(self.gate.path),
            control=str(self.directory / "ledger.sock"),
            origin=self.recorder.origin,
            honours_key=self.contract.honours_key,
            honours_fence=self.contract.honours_fence,
            port=self._ledger_ports.http,
            smtp_port=self._ledger_ports.smtp,
        )
        forker = self.home.ledgers.pid if self.home.ledgers.ready() else 0
        words = [str(LEDGER_PROGRAM)] if forker else ["-P", "-m", "harness.services.ledger"]
        pid = self.ledger_pid = self.lane.spawn(
            [sys.executable, *words, msgspec.json.encode(settings).decode()],
            environment=dict(os.environ),
            cwd=self.directory,
            log="ledger.log",
            forker=forker,
        )
        self._answer_of("ledger", pid)

    def _start_proxy(self) -> ProxyHandle:
        """Put the fault proxy on the port where the subject expects the broker."""
        settings = ProxySettings(seed=self.plan.seed, origin=self.recorder.origin, gate=str(self.gate.path))
        pid = self.lane.spawn(
            [sys.executable, "-P", "-m", "harness.services.proxy", msgspec.json.encode(settings).decode()],
            environment=dict(os.environ),
            cwd=self.directory,
            log="proxy.log",
        )
        port = self._answer_of("proxy", pid)["port"]
        listen, upstream = (f"127.0.0.1:{each}" for each in (self.home.ports.broker, self.broker_server.port))
        return Toxiproxy(f"http://127.0.0.1:{port}").create("broker", listen=listen, upstream=upstream)

    def _answer_of(self, service: str, pid: int) -> dict[str, Any]:
        """What a service of ours says once it is ready.

        :raises HarnessError: it has ended
        """

        def answered() -> dict[str, Any] | None:
            if status := self.lane.exit_of(pid):
                raise HarnessError(f"the {service} ended with {status}: {tail(self.directory / f'{service}.log')}")
            return self.gate.notice(f"{service}-ready", service, within=0.05)

        return wait_until(answered, within=READY_SECONDS_MAX, or_else=f"the {service} was not ready")

    def _spawn_sidecar(self, sidecar: Sidecar) -> None:
        """A program like any other: nothing is known of when it is ready."""
        name = sidecar.name
        pid = self.lane.spawn(
            [fill(word, self.placeholders, where=f"sidecar {name!r}") for word in sidecar.command],
            environment=self.environment,
            cwd=self.cwd,
            log=f"{name}.log",
            on_exit=lambda pid, status: self._exited(name, pid, status),
        )
        self.recorder.record(HARNESS, NodeStarted(node=name, pid=pid))

    def _exited(self, name: str, pid: int, status: str) -> None:
        with suppress(OSError):  # the run may be over and its directory full or gone
            self.recorder.record(HARNESS, NodeExited(node=name, pid=pid, status=status))

    # --- the end ---

    def record_what_is_left_behind(self) -> None:
        """Files in directories that were to be empty, and processes that belong to no worker that is up."""
        self.record_files_left_behind()
        # What is known is looked up before what is there: a child that its pool has just made is no stray, and is known
        # the next time. What outlives its worker is still there then.
        try:
            wait_until(
                lambda: not self.home.strays(self.lane.descendants()), within=STRAY_SECONDS_MAX, or_else="strays"
            )
        except WaitedInVainError:
            there = set(self.home.strays(self.lane.descendants()))
        else:
            return
        for name in sorted(there & set(self.home.strays(self.lane.descendants()))):
            self.recorder.record(OBSERVER, LeftBehind(kind="process", name=name))

    def record_files_left_behind(self) -> None:
        for name in self.stores.left_behind():
            self.recorder.record(OBSERVER, LeftBehind(kind="file", name=name))

    def left(self) -> str:
        """:raises HarnessError: the broker or the ledger has ended, which no fault asked for"""
        self.check_services()
        left = self.driver.left()
        if not left and (spooled := self.stores.spooled()):
            return f"{spooled} dead letters in the spool"
        return left

    def check_services(self) -> None:
        """:raises HarnessError: as `left`; what the subject did without them is nothing to judge it by"""
        for name, pid in (("broker", self.broker_server.pid), ("ledger", self.ledger_pid)):
            if status := self.lane.exit_of(pid):
                raise HarnessError(f"the {name} of the lane ended ({status}) although no fault asked for it")

    def close(self) -> None:
        self.gate.close()
        self.driver.close()


def needed_workers(plan: Plan) -> tuple[Worker, ...]:
    """Those that a job of the plan's could need: of a task whose queue is not told, every one.

    A worker without queues takes the subject's default, which nobody has told, and is always needed.
    """
    names = {job.task for job in (*plan.workload, *jobs_of_steps(plan))}
    tasks = [task for task in plan.contract.tasks if task.name in names]
    queues = {task.queue for task in tasks}
    if "" in queues or len(tasks) < len(names):
        return plan.contract.workers
    return tuple(worker for worker in plan.contract.workers if not worker.queues or queues & set(worker.queues))


def jobs_of_steps(plan: Plan) -> tuple[PlannedJob, ...]:
    """The jobs that the plan's faults enqueue themselves, wherever they carry them."""
    found: list[PlannedJob] = []

    def look(value: object) -> None:
        if isinstance(value, PlannedJob):
            found.append(value)
        elif isinstance(value, msgspec.Struct):
            for name in value.__struct_fields__:
                look(getattr(value, name))
        elif isinstance(value, tuple):
            for each in value:
                look(each)

    look(plan.steps)
    return tuple(found)


@contextmanager
def deploy(
    plan: Plan,
    *,
    session: Session,
    server: BrokerServer,
    recorder: Recorder,
    name: str,
    cwd: Path,
    home: LaneHome | None = None,
) -> Iterator[LocalSystem]:
    """A started lane for one plan: its own broker, ledger, agent, workers and an empty directory for the subject.

    Without a `home`, in which a run's scenarios follow each other, the lane has one for this plan alone.

    :raises SubjectError: the subject cannot be started
    :raises HarnessError: a part of the harness cannot be started
    """
    with ExitStack() as stack:
        if home is None:
            (home,) = stack.enter_context(open_homes(session, 1))
        home.make_ready()
        lane = stack.enter_context(session.lane(name))
        port = home.behind.broker if plan.proxied else home.ports.broker
        broker = start_broker(lane, server, port, home.ports.broker)
        system = LocalSystem(plan=plan, lane=lane, recorder=recorder, cwd=cwd, broker=broker, home=home)
        stack.callback(system.close)
        system.start()
        yield system

"""The local runtime: broker, ledger and workers as real processes, each in its own process group."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import psutil

from harness.contract import Contract, Sidecar, Worker, fill
from harness.events import EnqueueCalled, JobId, NodeExited, NodeStarted, SubjectDescribed
from harness.plan import Plan
from harness.runtimes.home import Forker, LaneHome, open_homes
from harness.services import ledger
from harness.services.broker import Broker, BrokerServer, start_broker
from harness.services.gate import Arrival, Gate
from harness.services.ledger import LedgerClient, Settings
from harness.session import HarnessError, Lane, Session
from harness.store import HARNESS, Recorder
from harness.system import Capability, Impact, PlannedJob, SubjectError, Target
from harness.systems.celery.driver import CeleryDriver, subject_environment, subject_python
from harness.waiting import WaitedInVainError, wait_until

READY_SECONDS_MAX = 60.0
GONE_SECONDS_MAX = 15.0


@dataclass(kw_only=True)
class Node:
    """One worker as the runtime runs it; `dead_clients` are the broker connections of what was killed of it."""

    worker: Worker
    pid: int = 0
    down: bool = False
    dead_clients: set[str] = field(default_factory=set)


class LocalSystem:
    """A deployed lane of local processes; see `harness.system.System`."""

    capabilities = frozenset(Capability)

    def __init__(
        self,
        *,
        plan: Plan,
        lane: Lane,
        recorder: Recorder,
        cwd: Path,
        broker: Broker,
        home: LaneHome,
    ) -> None:
        self.plan = plan
        self.lane = lane
        self.recorder = recorder
        self.directory = lane.directory  # of logs and sockets; the subject's own is the home's
        self.home = home
        self.cwd = cwd
        self.broker = broker
        self.python = subject_python()
        self.driver = CeleryDriver(plan.contract, broker, lane, recorder, plan.workload)
        self.gate = Gate(lane.directory / "gate.sock", self.driver.hear)
        self._downstream = LedgerClient(lane.directory / "ledger.sock")
        self.placeholders = {**home.placeholders, "python": self.python}
        self.environment = self._subject_environment()
        self.ledger_pid = 0
        self.forker: Forker = home.forker(
            self.driver.forker_command(self.python), environment=self.environment, cwd=cwd
        )
        self.nodes = {worker.name: Node(worker=worker) for worker in needed_workers(plan)}

    @property
    def contract(self) -> Contract:
        return self.plan.contract

    @property
    def downstream(self) -> LedgerClient:
        return self._downstream

    @property
    def jobs(self) -> tuple[EnqueueCalled, ...]:
        return tuple(self.driver.jobs.values())

    # --- start ---

    def start(self) -> None:
        """:raises SubjectError: the subject does not import, prepare, or become ready"""
        self._start_ledger()
        is_warm = self.forker.ready(unless=self.home.directory)
        # A preparation may create what workers read when they start, so it comes before them; the imports of the
        # workers and of the agent would compete for the same cores anyway.
        described = self.driver.start_agent(
            self.environment, self.cwd, self.python, forker=self.forker.pid if is_warm else 0
        )
        boot = "forked after one import" if is_warm else f"each imports the subject: {self.forker.why_not}"
        self.recorder.record(
            HARNESS,
            SubjectDescribed(versions={**described["versions"], "boot": boot}, settings=described["settings"]),
        )
        self.driver.prepare()
        for node in self.nodes.values():
            self._spawn(node)
        if self.plan.watched:
            for sidecar in self.contract.sidecars:
                self._spawn_sidecar(sidecar)
        for node in self.nodes.values():
            self._await_ready(node)

    def _subject_environment(self) -> dict[str, str]:
        """The same in every scenario of a lane, so that one import of the subject serves them all."""
        bug = next((bug for bug in self.contract.planted_bugs if bug.name == self.plan.bug), None)
        templates = {**self.contract.environment, **(bug.environment if bug is not None else {})}
        own = {name: fill(text, self.placeholders, where=name) for name, text in templates.items()}
        # Celery itself reads these before its configuration, in every version supported here.
        own |= dict.fromkeys(
            ("CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL"), self.broker.url
        )
        return self.home.marked(subject_environment(own))

    def _start_ledger(self) -> None:
        settings = Settings(
            events=str(self.recorder.log_of("ledger")),
            gate=str(self.gate.path),
            control=str(self.directory / "ledger.sock"),
            origin=self.recorder.origin,
            honours_key=self.contract.honours_key,
            port=self.home.ports.http,
            smtp_port=self.home.ports.smtp,
        )
        forker = self.home.ledgers.pid if self.home.ledgers.ready() else 0
        words = [ledger.__file__] if forker else ["-P", "-m", ledger.__name__]
        pid = self.ledger_pid = self.lane.spawn(
            [sys.executable, *words, msgspec.json.encode(settings).decode()],
            environment=dict(os.environ),
            cwd=self.directory,
            log="ledger.log",
            forker=forker,
        )

        def answered() -> dict[str, Any] | None:
            if status := self.lane.exit_of(pid):
                raise HarnessError(f"the ledger ended with {status}: {_tail(self.directory / 'ledger.log')}")
            return self.gate.notice("ledger-ready", "ledger", within=0.05)

        wait_until(answered, within=READY_SECONDS_MAX, or_else="the ledger was not ready")

    def _spawn(self, node: Node) -> None:
        name = node.worker.name
        is_forked = self.forker.ready() and self.driver.can_fork(node.worker)
        node.pid = self.lane.spawn(
            self.driver.worker_command(node.worker, self.python),
            environment={
                **self.environment,
                "JOBPROOF_EVENTS": str(self.recorder.log_of(name)),
                "JOBPROOF_GATE": str(self.gate.path),
                "JOBPROOF_NODE": name,
                "JOBPROOF_ORIGIN": repr(self.recorder.origin),
            },
            cwd=self.cwd,
            log=f"{name}.log",
            on_exit=lambda pid, status: self._exited(name, pid, status),
            forker=self.forker.pid if is_forked else 0,
        )
        self.recorder.record(HARNESS, NodeStarted(node=name, pid=node.pid))

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

    def _await_ready(self, node: Node) -> None:
        name, log = node.worker.name, self.directory / f"{node.worker.name}.log"

        def ready() -> bool:
            if self.gate.notice("worker-ready", name, within=0.05) is not None:
                return True
            if status := self.lane.exit_of(node.pid):
                raise SubjectError(f"worker {name!r} ended with {status} before it was ready: {_tail(log)}")
            return False

        try:
            wait_until(ready, within=READY_SECONDS_MAX, or_else=f"worker {name!r} was not ready")
        except WaitedInVainError as error:
            raise SubjectError(f"{error}: {_tail(log)}") from error

    # --- what faults may do ---

    def enqueue(self, job: PlannedJob) -> None:
        self.driver.enqueue(job)

    def deliveries(self, job: JobId) -> int:
        return self.driver.deliveries(job)

    def wait_acknowledged(self, job: JobId, *, within: float) -> bool:
        return self.driver.wait_acknowledged(job, within=within)

    def wait_body_ended(self, job: JobId, *, within: float) -> bool:
        return self.driver.wait_body_ended(job, within=within)

    def double(self, job: JobId) -> None:
        self.driver.double(job)

    def kill(self, target: Target, arrival: Arrival | None) -> Impact:
        node, child = self._victim(arrival)
        if target is Target.CHILD and child == node.pid:
            target = Target.MAIN  # a pool without children: its main process is what runs the job
        main = psutil.Process(node.pid)
        below = main.children(recursive=True)
        match target:
            case Target.CHILD:
                if child is None or child not in {process.pid for process in below}:
                    raise SubjectError(
                        "it is not known which pool child runs the job: the probe did not see its body begin"
                    )
                doomed = [process for process in below if process.pid == child]
                doomed += doomed[0].children(recursive=True)
            case Target.MAIN | Target.GROUP:
                doomed = [main, *below]
        name = node.worker.name
        arrived = (arrival.job,) if arrival is not None and arrival.job is not None else ()
        for job in arrived:
            self.driver.let_the_body_stand_alone(job)
        with self.driver.nothing_in_between() if target is not Target.CHILD else nullcontext():
            clients = self.driver.connections_of([process.pid for process in doomed])
            held = self.driver.in_flight(clients) if target is not Target.CHILD else ()
            match target:
                case Target.CHILD:
                    os.kill(child or 0, signal.SIGKILL)
                    hit = (f"pool child {child} of worker {name!r}",)
                case Target.MAIN:
                    os.kill(node.pid, signal.SIGKILL)
                    hit = (f"main process {node.pid} of worker {name!r}",)
                case Target.GROUP:
                    os.killpg(node.pid, signal.SIGKILL)
                    hit = (f"process group {node.pid} of worker {name!r} ({len(doomed)} processes)",)
            met = tuple(dict.fromkeys((*arrived, *held)))
            self._await_gone(doomed, clients)
        if target is not Target.CHILD:
            node.down = True
            node.dead_clients |= clients
        return Impact(targets=hit, jobs=met)

    def _victim(self, arrival: Arrival | None) -> tuple[Node, int | None]:
        """The node to strike and the pool child that runs the arrived job.

        :raises SubjectError: nobody arrived, or the probe did not see who runs the job and there are several nodes
        """
        ran_on = self.driver.ran_on(arrival.job) if arrival is not None and arrival.job is not None else None
        if ran_on is not None and ran_on[0] in self.nodes:
            return self.nodes[ran_on[0]], ran_on[1]
        if len(self.nodes) > 1:
            raise SubjectError("it is not known which worker runs the job: the probe did not see its body begin")
        return next(iter(self.nodes.values())), None

    def _await_gone(self, doomed: list[psutil.Process], clients: set[str]) -> None:
        """Until every process has ended and the broker has noticed that its connections are closed.

        What a dead worker's orphan pops from the broker is lost, and the job would be blamed for it. On Linux pool
        children die with their parent; whatever does not is ended here. A zombie is gone: it has no sockets left, and
        how soon its parent asks for it is the parent's business.
        """
        with suppress(WaitedInVainError):
            wait_until(
                lambda: not any(_runs(process) for process in doomed), within=GONE_SECONDS_MAX / 3, or_else="not gone"
            )
        for process in doomed:
            with suppress(psutil.Error):
                process.kill()
        wait_until(
            lambda: not any(_runs(process) for process in doomed) and not clients & self.driver.clients(),
            within=GONE_SECONDS_MAX,
            or_else="the killed worker's processes or broker connections were still there",
        )

    def recover(self) -> None:
        for node in self.nodes.values():
            if node.down:
                node.down = False
                clients, node.dead_clients = node.dead_clients, set()
                self.driver.redeliver(clients)
                self._spawn(node)
                self._await_ready(node)

    def left(self) -> str:
        """:raises HarnessError: the broker or the ledger has ended, which no fault asked for"""
        self.check_services()
        return self.driver.left()

    def check_services(self) -> None:
        """:raises HarnessError: as `left`; what the subject did without them is nothing to judge it by"""
        for name, pid in (("broker", self.broker.pid), ("ledger", self.ledger_pid)):
            if status := self.lane.exit_of(pid):
                raise HarnessError(f"the {name} of the lane ended ({status}) although no fault asked for it")

    def close(self) -> None:
        self.gate.close()
        self.driver.close()


def _runs(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False


def _tail(log: Path, characters: int = 600) -> str:
    """The end of a log, on one line."""
    try:
        text = log.read_text(errors="replace").strip()
    except OSError:
        text = ""
    return " / ".join(line.strip() for line in text[-characters:].splitlines()[-4:]) or "it printed nothing"


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
        broker = start_broker(lane, server, home.ports.broker)
        system = LocalSystem(plan=plan, lane=lane, recorder=recorder, cwd=cwd, broker=broker, home=home)
        stack.callback(system.close)
        system.start()
        yield system

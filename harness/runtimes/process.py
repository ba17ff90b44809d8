"""The local runtime: broker, ledger and workers as real processes, each in its own process group."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import psutil
from msgspec.structs import replace

from harness.contract import Contract, DeadLetterTable, Sidecar, Worker, fill
from harness.events import EnqueueCalled, JobId, LeftBehind, NodeExited, NodeStarted, SubjectDescribed
from harness.plan import Plan
from harness.poison import PoisonKind
from harness.runtimes.home import Forker, LaneHome, open_homes
from harness.services.broker import Broker, BrokerServer, start_broker
from harness.services.gate import Arrival, Gate
from harness.services.ledger import LedgerClient, Settings
from harness.services.tables import HIDDEN, Tables
from harness.session import HarnessError, Lane, Session
from harness.store import HARNESS, OBSERVER, Recorder
from harness.system import Capability, Impact, PlannedJob, SubjectError, Target
from harness.systems.celery.driver import CeleryDriver, subject_environment, subject_python
from harness.waiting import WaitedInVainError, wait_until

READY_SECONDS_MAX = 60.0
LEDGER_PROGRAM = Path(__file__).parents[1] / "services" / "ledger" / "__main__.py"
GONE_SECONDS_MAX = 15.0
BACKLOG_SECONDS_MAX = 5.0
SECOND_RUN_SECONDS_MAX = 15.0
# Celery waits 2 s before its second try to connect, and 2 s longer each time.
RECONNECT_SECONDS_MAX = 20.0


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
        self._frozen: list[Node] = []
        self._terminated: Node | None = None

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
            honours_fence=self.contract.honours_fence,
            port=self.home.ports.http,
            smtp_port=self.home.ports.smtp,
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
        return self.driver.wait_attempts_ended(job, self.driver.attempts_ended(job) + 1, within=within)

    def wait_attempt_ended(self, job: JobId, *, within: float) -> bool:
        return self.driver.wait_attempts_ended(job, 1, within=within)

    def wait_alert(self, queue: str, *, within: float) -> bool:
        return self.driver.wait_alert(queue, within=within)

    def was_taken(self, job: JobId) -> bool:
        return self.driver.was_taken(job)

    def waiting(self, queue: str) -> tuple[JobId, ...]:
        return self.driver.waiting(queue)

    def double(self, job: JobId) -> None:
        self.driver.double(job)

    def feed(self, kind: PoisonKind, template: JobId, poison: PlannedJob) -> None:
        self.driver.feed(kind, template, poison)

    # --- deaths ---

    def kill(self, target: Target, arrival: Arrival | None, *, waiting_min: int = 0) -> Impact:
        node, child = self._victim(arrival)
        if target is Target.CHILD and child == node.pid:
            target = Target.MAIN  # a pool without children: its main process is what runs the job
        arrived = (arrival.job,) if arrival is not None and arrival.job is not None else ()
        for job in arrived:
            self.driver.let_the_body_stand_alone(job)
        if waiting_min:
            self._await_backlog(node, len(arrived) + waiting_min)
        if target is not Target.CHILD:
            return self._kill_whole(node, target, arrived)
        below = psutil.Process(node.pid).children(recursive=True)
        doomed = [process for process in below if process.pid == child]
        if not doomed:
            raise SubjectError("it is not known which pool child runs the job: the probe did not see its body begin")
        doomed += doomed[0].children(recursive=True)
        clients = self.driver.connections_of([process.pid for process in doomed])
        os.kill(doomed[0].pid, signal.SIGKILL)
        self._await_gone(node, doomed, clients)
        return Impact(targets=(f"pool child {child} of worker {node.worker.name!r}",), jobs=arrived)

    def _kill_whole(self, node: Node, target: Target, arrived: tuple[JobId, ...] = ()) -> Impact:
        """Kill a main process, whose children die with it, or a whole group."""
        main = psutil.Process(node.pid)
        doomed = [main, *main.children(recursive=True)]
        name = node.worker.name
        with self.driver.nothing_in_between():
            clients = self.driver.connections_of([process.pid for process in doomed])
            held = self.driver.in_flight(clients)
            if target is Target.MAIN:
                os.kill(node.pid, signal.SIGKILL)
                hit = f"main process {node.pid} of worker {name!r}"
            else:
                os.killpg(node.pid, signal.SIGKILL)
                hit = f"process group {node.pid} of worker {name!r} ({len(doomed)} processes)"
            self._await_gone(node, doomed, clients)
        node.down = True
        node.dead_clients |= clients
        return Impact(targets=(hit,), jobs=tuple(dict.fromkeys((*arrived, *held))))

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

    def _tree(self, node: Node) -> list[psutil.Process]:
        main = psutil.Process(node.pid)
        return [main, *main.children(recursive=True)]

    def _clients_of(self, node: Node) -> set[str]:
        return self.driver.connections_of([process.pid for process in self._tree(node)])

    def _await_backlog(self, node: Node, count: int) -> None:
        """:raises SubjectError: the worker does not hold that many messages"""
        try:
            wait_until(
                lambda: len(self.driver.in_flight(self._clients_of(node))) >= count,
                within=BACKLOG_SECONDS_MAX,
                or_else=f"worker {node.worker.name!r} did not hold {count} messages",
            )
        except WaitedInVainError as error:
            raise SubjectError(str(error)) from error

    def _await_gone(self, node: Node, doomed: list[psutil.Process], clients: set[str]) -> None:
        """Until every process has ended and the broker has noticed that its connections are closed.

        What a dead worker's orphan pops from the broker is lost, and the job would be blamed for it. On Linux pool
        children die with their parent; whatever does not is recorded and ended here. A zombie is gone: it has no
        sockets left, and how soon its parent asks for it is the parent's business.
        """
        with suppress(WaitedInVainError):
            wait_until(
                lambda: not any(_runs(process) for process in doomed), within=GONE_SECONDS_MAX / 3, or_else="not gone"
            )
        for process in doomed:
            if _runs(process):
                self.recorder.record(OBSERVER, LeftBehind(kind="process", name=_named(process), node=node.worker.name))
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

    # --- freezes ---

    def freeze(self, arrival: Arrival | None) -> Impact:
        node, _ = self._victim(arrival)
        if arrival is None or arrival.job is None:
            raise SubjectError("nobody stands at a crash point, so it is not known which worker to freeze")
        before = self.driver.attempts_ended(arrival.job)
        clients = self._clients_of(node)
        os.killpg(node.pid, signal.SIGSTOP)
        self._frozen.append(node)
        self.driver.wait_not_popping(clients, within=GONE_SECONDS_MAX)
        second = Node(worker=replace(node.worker, name=f"{node.worker.name}-2"))
        self.nodes[second.worker.name] = second
        self._spawn(second)
        self._await_ready(second)
        held = self.driver.in_flight(clients)
        self.driver.redeliver(clients)
        self.driver.wait_attempts_ended(arrival.job, before + 1, within=SECOND_RUN_SECONDS_MAX)
        return Impact(
            targets=(f"process group {node.pid} of worker {node.worker.name!r}",),
            jobs=tuple(dict.fromkeys((arrival.job, *held))),
        )

    def thaw(self) -> None:
        while self._frozen:
            os.killpg(self._frozen.pop().pid, signal.SIGCONT)

    def freeze_child(self, arrival: Arrival | None, *, within: float) -> Impact | None:
        node, child = self._victim(arrival)
        if child is None or child == node.pid:
            raise SubjectError("it is not known which pool child runs the job, so it cannot be frozen alone")
        process = psutil.Process(child)
        process.suspend()
        try:
            wait_until(lambda: not _runs(process), within=within, or_else="the frozen child was still there")
        except WaitedInVainError:
            process.resume()
            return None
        jobs = (arrival.job,) if arrival is not None and arrival.job is not None else ()
        return Impact(targets=(f"pool child {child} of worker {node.worker.name!r}",), jobs=jobs)

    # --- deploys ---

    def terminate(self, arrival: Arrival | None, target: Target) -> Impact:
        node, _ = self._victim(arrival)
        self._terminated = node
        node.dead_clients |= self._clients_of(node)
        arrived = (arrival.job,) if arrival is not None and arrival.job is not None else ()
        held = self.driver.in_flight(node.dead_clients)
        if target is Target.GROUP:
            os.killpg(node.pid, signal.SIGTERM)
            hit = f"process group {node.pid} of worker {node.worker.name!r}"
        else:
            os.kill(node.pid, signal.SIGTERM)
            hit = f"main process {node.pid} of worker {node.worker.name!r}"
        return Impact(targets=(hit,), jobs=tuple(dict.fromkeys((*arrived, *held))))

    def finish_termination(self, *, grace_seconds: float) -> None:
        node, self._terminated = self._terminated, None
        if node is None:
            return
        with suppress(WaitedInVainError):
            wait_until(lambda: self.lane.exit_of(node.pid), within=grace_seconds, or_else="it did not end")
        if self.lane.exit_of(node.pid) is None:
            self._kill_whole(node, Target.GROUP)
        node.down = True
        self.recover()

    def stop_workers(self, queue: str) -> tuple[str, ...]:
        serving = [node for node in self.nodes.values() if queue in node.worker.queues]
        if not serving:
            raise SubjectError(f"no worker of the contract says that it serves queue {queue!r}")
        return tuple(hit for node in serving for hit in self._kill_whole(node, Target.GROUP).targets)

    # --- the broker's outage ---

    def restart_broker(self, *, outage_seconds: float) -> tuple[JobId, ...]:
        jobs = self.driver.stop_broker()
        threading.Event().wait(outage_seconds)  # how long it is away is what the fault is about
        self.driver.start_broker()
        for node in self.nodes.values():
            with suppress(WaitedInVainError, psutil.Error):
                pids = [process.pid for process in self._tree(node)]
                wait_until(
                    lambda pids=pids: self.driver.connected(pids),  # type: ignore[misc]
                    within=RECONNECT_SECONDS_MAX,
                    or_else="it did not come back",
                )
        return jobs

    def give_back_stranded(self) -> None:
        clients = self.driver.stranded()
        longest = max((task.hard_limit_seconds for task in self.contract.tasks), default=0.0) + GONE_SECONDS_MAX
        with suppress(WaitedInVainError):
            wait_until(lambda: not self.driver.runs_any(clients), within=longest, or_else="a body still ran")
        self.driver.redeliver(self.driver.stranded())

    # --- the subject's stores ---

    @cached_property
    def tables(self) -> Tables:
        return Tables(self.placeholders)

    def hide_dead_letters(self) -> None:
        self.tables.hide(self._dead_letters.as_table())

    def show_dead_letters(self) -> None:
        self.tables.show(self._dead_letters.as_table())

    @property
    def _dead_letters(self) -> DeadLetterTable:
        if self.contract.dead_letters is None:
            raise SubjectError("the contract does not say where dead letters go, so they cannot be taken away")
        return self.contract.dead_letters

    @property
    def _spool(self) -> Path:
        if not self._dead_letters.spool:
            raise SubjectError("the contract names no spool, so it cannot be taken away")
        return Path(fill(self._dead_letters.spool, self.placeholders, where="spool"))

    def block_spool(self) -> None:
        spool = self._spool
        if spool.exists():
            spool.rename(spool.with_name(spool.name + HIDDEN))
        spool.write_bytes(b"")  # a file where a directory has to be: root cannot write below it either

    def unblock_spool(self) -> None:
        spool = self._spool
        spool.unlink()
        if (kept := spool.with_name(spool.name + HIDDEN)).exists():
            kept.rename(spool)

    def record_what_is_left_behind(self) -> None:
        """Files in directories that the contract wants empty."""
        for template in self.contract.scratch:
            directory = Path(fill(template, self.placeholders, where="scratch"))
            for path in sorted(directory.rglob("*")) if directory.is_dir() else ():
                if not path.is_dir():
                    name = f"{directory.name}/{path.relative_to(directory)}"
                    self.recorder.record(OBSERVER, LeftBehind(kind="file", name=name))

    def _spooled(self) -> int:
        place = self.contract.dead_letters
        if place is None or not place.spool:
            return 0
        directory = self._spool
        return sum(1 for path in directory.iterdir() if path.is_file()) if directory.is_dir() else 0

    def left(self) -> str:
        """:raises HarnessError: the broker or the ledger has ended, which no fault asked for"""
        self.check_services()
        left = self.driver.left()
        if not left and (spooled := self._spooled()):
            return f"{spooled} dead letters in the spool"
        return left

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


def _named(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return f"{process.pid} ({' '.join(process.cmdline())[:120]})"
    return str(process.pid)


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

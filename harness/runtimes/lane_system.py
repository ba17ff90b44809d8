"""A deployed lane, whatever runs it: how the parts of a run are started, known by, and looked after."""

from pathlib import Path
from typing import Generic, TypeVar

import msgspec
from msgspec.structs import replace

from harness.contract import Contract, Release, Worker, fill
from harness.events import EnqueueCalled, LeftBehind, SubjectDescribed
from harness.lane import Lane
from harness.plan import Plan
from harness.runtimes import faketime
from harness.runtimes.clocks import LaneClocks
from harness.runtimes.forker import Forker
from harness.runtimes.ground import BROKER, LEDGER, Home, Listening, named, ready
from harness.runtimes.launch import Launch
from harness.runtimes.outage import LaneBroker
from harness.runtimes.releases import LaneReleases
from harness.runtimes.sidecars import LaneSidecars
from harness.runtimes.stores import LaneStores
from harness.runtimes.workers import LaneWorkers
from harness.services.broker import Broker
from harness.services.gate import Gate
from harness.services.ledger import LedgerClient, Settings
from harness.session import HarnessError
from harness.store import HARNESS, OBSERVER, Recorder
from harness.system import OF_HOSTS, Capability, Hosts, PlannedJob, SubjectError
from harness.systems import system_of
from harness.systems.driver import Driver
from harness.waiting import WaitedInVainError, wait_until

# What can be done to processes that this machine runs.
CAPABILITIES = frozenset(Capability) - OF_HOSTS - (frozenset() if faketime.library() else {Capability.MOVE_CLOCK})
STRAY_SECONDS_MAX = 2.0
H = TypeVar("H", bound=Home)


class LaneSystem(Generic[H]):
    """See `harness.system.System`.

    `lane` is where the subject's processes are started, `services` where the harness's own are.
    """

    def __init__(
        self,
        *,
        plan: Plan,
        lane: Lane,
        services: Lane,
        recorder: Recorder,
        cwd: Path,
        broker: Broker,
        home: H,
        listening: Listening | None = None,
    ) -> None:
        """`listening`: where the ledger does, if somebody else stands where the subject looks for it."""
        self.plan = plan
        self.lane = lane
        self.services = services
        self.recorder = recorder
        self.directory = lane.directory  # of logs and sockets; the subject's own is the home's
        self.home = home
        self._listening = listening or home.listening
        self.cwd = cwd
        self.broker_server = broker
        self.python = home.python_of(plan.contract, cwd)
        self.driver = system_of(plan.contract).drive(plan.contract, broker, lane, recorder, plan.workload)
        self.gate = Gate(lane.directory / "gate.sock", self.driver.hear)
        self.downstream = LedgerClient(lane.directory / "ledger.sock")
        self.ledger_pid = 0
        launch = self._launch(self.python, cwd)
        self.placeholders = launch.placeholders
        self.environment = launch.environment
        self.forker = launch.forker
        self.workers = LaneWorkers(
            needed_workers(plan),
            lane=lane,
            recorder=recorder,
            driver=self.driver,
            gate=self.gate,
            launch=launch,
            movable_clocks=Capability.MOVE_CLOCK in plan.needs,
        )
        self.clocks = LaneClocks(lane.directory, self.workers, self.driver)
        self.releases = LaneReleases(self.driver, self.workers, now=launch, before=self._launch_before)
        self.broker = LaneBroker(plan.contract, self.driver, self.workers)
        self.sidecars = LaneSidecars(
            self.contract.sidecars if plan.watched else self.contract.recoverers(),
            lane=lane,
            recorder=recorder,
            placeholders=self.placeholders,
            environment=self.environment,
            cwd=cwd,
        )
        self.stores = LaneStores(plan.contract, self.placeholders)

    @property
    def contract(self) -> Contract:
        return self.plan.contract

    @property
    def capabilities(self) -> frozenset[Capability]:
        return CAPABILITIES - system_of(self.contract).cannot(self.contract).keys()

    @property
    def hosts(self) -> Hosts:
        raise SubjectError("the workers share this machine: it cannot be taken from one of them")

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
            self._start_proxy()
        is_warm = self.forker.ready(unless=self.home.directory)
        # A preparation may create what workers read when they start, so it comes before them; the imports of the
        # workers and of the agent would compete for the same cores anyway.
        described = self.driver.start_agent(self.releases.now)
        boot = "forked after one import" if is_warm else f"each from the start: {self.forker.why_not}"
        self.recorder.record(
            HARNESS,
            SubjectDescribed(versions={**described["versions"], "boot": boot}, settings=described["settings"]),
        )
        self.driver.prepare()
        self.sidecars.start()
        self.workers.start()
        if restless := self.sidecars.wait_started():
            self.recorder.record(HARNESS, SubjectDescribed(versions={"sidecars": restless}, settings={}))

    def _launch(self, python: str, cwd: Path, release: Release | None = None) -> Launch:
        """The same in every scenario of a lane, so that one import of the subject serves them all."""
        release = release or Release()
        placeholders = {**self.home.placeholders, "python": python}
        bug = next((bug for bug in self.contract.planted_bugs if bug.name == self.plan.bug), None)
        planted = bug.environment if bug is not None else {}
        templates = {**self.contract.environment, **release.environment, **planted}
        own = {name: fill(text, placeholders, where=name) for name, text in templates.items()}
        own |= self.driver.environment()
        environment = self.home.subject_environment(own)
        imports = self.driver.forker_command(python)
        return Launch(
            placeholders=placeholders,
            environment=environment,
            cwd=cwd,
            image=release.image,
            forker=self.home.forker(imports, environment=environment, cwd=cwd)
            if imports
            else Forker(self.lane, 0, "its workers are programs of their own"),
        )

    def _launch_before(self) -> Launch:
        """:raises SubjectError: the contract tells of no previous release, or it is not where it is said to be"""
        release = self.contract.previous
        if release is None:
            raise SubjectError("the contract does not tell of a previous release")
        cwd = self.home.directory_of(release, self.cwd)
        contract = replace(self.contract, python=release.python) if release.python else self.contract
        python = self.home.python_of(contract, self.cwd)
        return self._launch(python, cwd, release)

    def _start_ledger(self) -> None:
        settings = Settings(
            events=str(self.recorder.log_of("ledger")),
            gate=str(self.gate.path),
            control=str(self.directory / "ledger.sock"),
            origin=self.recorder.origin,
            honours_key=self.contract.honours_key,
            honours_fence=self.contract.honours_fence,
            host=self._listening.host,
            port=self._listening.http,
            smtp_port=self._listening.smtp,
        )
        service = self.home.service(LEDGER, settings)
        self.ledger_pid = self.services.spawn(
            service.argv,
            environment=service.environment,
            cwd=self.directory,
            log="ledger.log",
            forker=service.forker,
            writes=(self.recorder.log_of("ledger"),),
        )
        ready(self.services, self.gate, "ledger", self.ledger_pid)

    def _start_proxy(self) -> None:
        """Put the fault proxy where the subject expects what the home's links lead to."""
        proxy = self.home.start_proxy(self.services, self.gate, seed=self.plan.seed, origin=self.recorder.origin)
        for link in self.home.links:
            handle = proxy.create(link.name, listen=link.listen, upstream=link.upstream)
            if link.name == BROKER:
                self.broker.link = handle

    # --- the end ---

    def record_what_is_left_behind(self) -> None:
        """Files in directories that were to be empty, and processes that belong to no worker that is up."""
        self.record_files_left_behind()
        # What is known is looked up before what is there: a child that its pool has just made is no stray, and is known
        # the next time. What outlives its worker is still there then.
        try:
            wait_until(
                lambda: not self.home.stray_processes(self.lane.descendants()),
                within=STRAY_SECONDS_MAX,
                or_else="strays",
            )
        except WaitedInVainError:
            there = set(self._strays())
        else:
            return
        for name in sorted(there & set(self._strays())):
            self.recorder.record(OBSERVER, LeftBehind(kind="process", name=name))

    def _strays(self) -> list[str]:
        return named(self.home.stray_processes(self.lane.descendants()))

    def record_files_left_behind(self) -> None:
        for name in self.stores.left_behind():
            self.recorder.record(OBSERVER, LeftBehind(kind="file", name=name))

    def left(self) -> str:
        """:raises HarnessError: the broker or the ledger has ended, which no fault asked for"""
        self.check_services()
        left = self.driver.left()
        if not left and (spooled := self.stores.spooled()):
            left = f"{spooled} dead letters in the spool"
        if left:
            self.sidecars.stir()
        return left or self.sidecars.awaited(self.recorder.now())

    def check_services(self) -> None:
        """:raises HarnessError: as `left`; what the subject did without them is nothing to judge it by"""
        for name, exited, pid in (
            ("broker", self.broker_server.lane.exit_of, self.broker_server.pid),
            ("ledger", self.services.exit_of, self.ledger_pid),
        ):
            if status := exited(pid):
                raise HarnessError(f"the {name} of the lane ended ({status}) although no fault asked for it")

    def close(self) -> None:
        self.gate.close()
        self.driver.close()
        self.broker_server.client.close()


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

"""What a fault may do to a deployed subject, whatever runs it and whatever job library it uses."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from enum import StrEnum
from typing import Any, Protocol, TypeAlias

from msgspec import Struct

from harness.contract import Contract
from harness.downstream import Rule
from harness.events import DONE, EnqueueCalled, JobId
from harness.poison import PoisonKind
from harness.services.gate import Arrival


class Capability(StrEnum):
    """What a runtime and a driver together can do; a fault names what it needs."""

    KILL_POOL_CHILD = "kill-pool-child"
    KILL_MAIN_PROCESS = "kill-main-process"
    KILL_PROCESS_GROUP = "kill-process-group"
    DOUBLE_MESSAGE = "double-message"
    SCRIPT_DOWNSTREAM = "script-downstream"
    FREEZE_WORKER = "freeze-worker"
    FREEZE_POOL_CHILD = "freeze-pool-child"
    STOP_WORKER = "stop-worker"
    RESTART_BROKER = "restart-broker"
    SLOW_BROKER = "slow-broker"
    FEED_RAW_MESSAGE = "feed-raw-message"
    HIDE_TABLE = "hide-table"
    BLOCK_DIRECTORY = "block-directory"
    SEE_BODIES = "see-bodies"  # a probe in the worker tells when a body begins and ends
    RUN_PREVIOUS_RELEASE = "run-previous-release"
    MOVE_CLOCK = "move-clock"
    FIND_DEAD_LETTERS = "find-dead-letters"  # it is known where a job goes that has to be given up
    CRASH_HOST = "crash-host"
    CUT_OFF_HOST = "cut-off-host"
    STARVE_HOST = "starve-host"
    HIDE_NAMES = "hide-names"
    EXHAUST_MEMORY = "exhaust-memory"
    EXHAUST_FILES = "exhaust-files"
    EXHAUST_PROCESSES = "exhaust-processes"
    FILL_DISK = "fill-disk"
    PROTECT_DISK = "protect-disk"


# What takes a machine, or what plays one, for each worker.
OF_HOSTS = frozenset(
    {
        Capability.CRASH_HOST,
        Capability.CUT_OFF_HOST,
        Capability.STARVE_HOST,
        Capability.HIDE_NAMES,
        Capability.EXHAUST_MEMORY,
        Capability.EXHAUST_FILES,
        Capability.EXHAUST_PROCESSES,
        Capability.FILL_DISK,
        Capability.PROTECT_DISK,
    }
)


class Target(StrEnum):
    """The exact target of a signal."""

    CHILD = "child"
    MAIN = "main"
    GROUP = "group"


class Direction(StrEnum):
    """Which packets do not pass."""

    BOTH = "both"
    TO = "to"  # what is sent to the host; what it sends arrives
    FROM = "from"  # what the host sends; what is sent to it arrives


class PlannedJob(Struct, frozen=True, kw_only=True):
    """One requested unit of work, with the identity that outlives messages, retries and resubmission."""

    job: JobId
    task: str
    arguments: dict[str, Any]
    identity: str
    expected: str = DONE
    checked: bool = True  # False: enqueued without the producer's own check of the arguments
    wait_seconds_max: float | None = None  # a tighter bound than the contract's, where the scenario has reason for it


class Impact(Struct, frozen=True, kw_only=True):
    """What a fault hit: the exact targets, and the jobs that it met in flight.

    `idle`: it was to meet workers without a job; the canaries after it show what came of it.
    `late`: why it does not count as landed, although something was hit; empty if it does.
    """

    targets: tuple[str, ...]
    jobs: tuple[JobId, ...]
    idle: bool = False
    late: str = ""


Evidence: TypeAlias = Callable[[], Impact | None]
"""Asked before a fault is healed: what it hit, or None if it has not landed."""


class SubjectError(RuntimeError):
    """The subject could not be started or used; the message is for whoever wrote its contract."""


class Downstream(Protocol):
    """The played downstream services, which can be told to misbehave."""

    def add(self, rule: Rule) -> None: ...

    def lift(self, name: str) -> None: ...

    def uses(self, name: str) -> int:
        """How many requests a rule has met."""
        ...

    def refuse(self) -> None:
        """Until `accept`, whoever connects is refused; who was connected has been reset."""
        ...

    def accept(self) -> None: ...


class Messages(Protocol):
    """The jobs of the lane and their messages, as they are seen from outside the subject."""

    def enqueue(self, job: PlannedJob) -> None:
        """Ask the subject to enqueue a job; what came of it is recorded, not raised."""
        ...

    def deliveries(self, job: JobId) -> int:
        """How often a worker took a message of the job's own."""
        ...

    def was_taken(self, job: JobId) -> bool:
        """Whether a worker took a message of the job's, or at least popped what no worker can book."""
        ...

    def waiting(self, queue: str) -> tuple[JobId, ...]:
        """The jobs whose messages wait in a queue."""
        ...

    def wait_acknowledged(self, job: JobId, *, within: float) -> bool:
        """Until every message of the job has been acknowledged; False if that did not happen in time."""
        ...

    def wait_body_ended(self, job: JobId, *, within: float) -> bool:
        """Until one more execution of the job's body than had ended at the call has ended; False if not in time."""
        ...

    def wait_attempt_ended(self, *jobs: JobId, within: float) -> tuple[JobId, ...]:
        """Until an execution of the body of one of the jobs has ended; those of which one has, none if not in time."""
        ...

    def wait_alert(self, queue: str, *, within: float) -> bool:
        """Until the subject has told that an alert for the queue is firing; False if it has not in time."""
        ...

    def wait_alerts_cleared(self, *, within: float) -> bool:
        """Until the subject has taken back every alert that it has told of; False if it has not in time."""
        ...

    def double(self, job: JobId) -> None:
        """Queue the job's message once more, byte for byte, where a worker takes it next.

        :raises SubjectError: its message was never seen in the broker
        """
        ...

    def feed(self, kind: PoisonKind, template: JobId, poison: PlannedJob) -> None:
        """Put a message into the queue that a job's message went through, made from it and spoilt as `kind` says.

        :raises SubjectError: the message of the template was never seen in the broker
        """
        ...


class Workers(Protocol):
    """The processes that run the jobs."""

    def kill(self, target: Target, arrival: Arrival | None, *, waiting_min: int = 0) -> Impact:
        """SIGKILL what `target` names of the worker that runs the arrived job, and wait until it is gone entirely.

        In a pool without children (solo, threads) the main process is what runs the job, and is the child's stand-in.
        Gone: every descendant has ended, and the broker sees none of its connections.
        `waiting_min`: first wait until the worker holds that many messages of other jobs that have not begun.
        """
        ...

    def loop(self, arrival: Arrival | None, *, times: int) -> Impact:
        """SIGKILL the process group of the worker that runs the arrived job, and then of each that takes its place.

        Each of these lives until it has taken messages, and is killed before it begins any. `times` is of all of them;
        the last one is down afterwards.
        """
        ...

    def freeze(self, arrival: Arrival | None) -> Impact:
        """SIGSTOP the process group of the worker that runs the arrived job.

        Then do what the broker would do once the visibility timeout had passed: give its messages back, and let a
        second worker, started for this, take them; return when that one has run the arrived job to an end.
        """
        ...

    def thaw(self) -> None:
        """SIGCONT what was frozen."""
        ...

    def freeze_child(self, arrival: Arrival | None, *, within: float) -> Impact | None:
        """SIGSTOP the pool child that runs the arrived job, and wait until its worker has got rid of it.

        None if that did not happen in time; then the child is let go on.
        """
        ...

    def terminate(self, arrival: Arrival | None, target: Target) -> Impact:
        """SIGTERM the main process, or the whole group, of the worker that runs the arrived job: a deploy begins."""
        ...

    def finish_termination(self, *, grace_seconds: float) -> None:
        """Once the terminated worker has ended, or been killed with its group after the grace, start a new one."""
        ...

    def stop_serving(self, queue: str) -> Impact:
        """Kill every worker that serves the queue; `recover` starts them again.

        :raises SubjectError: no worker of the contract serves it
        """
        ...

    def recover(self) -> None:
        """Bring the broker's bookkeeping of dead workers to where its own sweep would bring it, and restart them."""
        ...


class BrokerControl(Protocol):
    """The lane's broker, as something that can be away."""

    def restart(self, *, outage_seconds: float, with_data: bool = True) -> tuple[JobId, ...]:
        """Stop the broker, leave it away for that long, start it again; the jobs that were in flight.

        With its data or empty: then nobody has told it of any queue.

        Returns once every worker that was connected is connected again, or has had its time to be.
        """
        ...

    def slow_down(self, *, latency_milliseconds: int, jitter_milliseconds: int) -> None:
        """Delay all that passes between the subject and the broker, each way; only where a proxy stands in between.

        :raises SubjectError: none does
        """
        ...

    def speed_up(self) -> None: ...

    def give_back_stranded(self) -> None:
        """Do what the broker would do once the visibility timeout of messages had passed whose connections are gone.

        First what still runs of them is waited for: a visibility timeout is longer than any body may run.
        """
        ...


class Sidecars(Protocol):
    """The subject's processes beside its workers, by the contract's names."""

    def start(self) -> None:
        """Those that do not run."""
        ...

    def kill(self, name: str) -> str:
        """SIGKILL it with its process group, and wait until it is gone; who was hit, in words.

        :raises SubjectError: it had ended by itself
        """
        ...

    def double(self, name: str) -> str:
        """Start a second one; who that is, in words."""
        ...

    def end_double(self, name: str) -> bool:
        """End the second one; whether it had run until now."""
        ...


class Stores(Protocol):
    """What the subject keeps of its own, as something that can be away."""

    def hide_dead_letters(self) -> None:
        """Take the contract's table of dead letters away.

        :raises SubjectError: the contract names none, or it cannot be taken away
        """
        ...

    def show_dead_letters(self) -> None: ...

    def block_spool(self) -> None:
        """Let nothing be written to the directory where dead letters wait that could not be written to their table."""
        ...

    def unblock_spool(self) -> None: ...


class Releases(Protocol):
    """Which release of the subject is where: this one everywhere, until told otherwise.

    :raises SubjectError: the contract tells of no previous release, or it cannot be started
    """

    def enqueue_as_before(self, jobs: tuple[JobId, ...]) -> None:
        """These jobs are enqueued by the previous release from here on, and the others as before by this one."""
        ...

    def enqueue_as_now(self) -> None: ...

    def work_as_before(self) -> None:
        """Every worker is ended, with time for what it does, and one of the previous release takes its place."""
        ...

    def work_as_now(self) -> None:
        """The same, back again; first what is there is left some time to be worked off."""
        ...


class Clocks(Protocol):
    """What the workers' clocks show. Monotonic time, by which the record is kept, is the harness's at all times."""

    def move(self, arrival: Arrival | None, *, seconds: float) -> AbstractContextManager[Evidence]:
        """The clock of the worker that runs the arrived job jumps, ahead or (below 0) back, and at the end back again.

        It landed when the worker has told a time that is so far from the harness's.
        """
        ...


class Hosts(Protocol):
    """The machines that workers run on, each on one of its own. The host that is hurt is that of the arrived job.

    Entering hurts and yields the evidence, leaving heals.
    """

    def crash(self, arrival: Arrival | None) -> AbstractContextManager[Evidence]:
        """It is gone from one moment to the next: its processes end, and nobody is told that its connections have.

        Healing starts the worker again, after what it held has been given back.
        """
        ...

    def cut_off(self, arrival: Arrival | None, direction: Direction) -> AbstractContextManager[Evidence]:
        """Nothing passes to it or from it, or only in one direction.

        Its connections stay, and go on where they were once it is healed. In one direction it has landed when a packet
        was lost that way.
        """
        ...

    def starve(self, arrival: Arrival | None, *, cpus: float) -> AbstractContextManager[Evidence]:
        """It has that part of a processor's time. It landed when somebody there had to wait for his turn."""
        ...

    def hide_names(self, arrival: Arrival | None) -> AbstractContextManager[Evidence]:
        """No name can be looked up there. Connections stay."""
        ...

    def exhaust_memory(self, arrival: Arrival | None, target: Target) -> AbstractContextManager[Evidence]:
        """There is no memory left, and the kernel kills the pool child or the main process for it.

        It landed when whoever counts memory tells so: a kill alone is none.
        """
        ...

    def exhaust_files(self, arrival: Arrival | None) -> AbstractContextManager[Evidence]:
        """No process of the worker can open one more file or connection."""
        ...

    def exhaust_processes(self, arrival: Arrival | None) -> AbstractContextManager[Evidence]:
        """No process or thread more can be started there. It landed when one was to be, and could not."""
        ...

    def fill_disk(self, arrival: Arrival | None) -> AbstractContextManager[Evidence]:
        """Where the worker writes, in its directory and in those of temporary files, one more file finds no room.

        What is there stays, shared with whoever it was shared with.
        """
        ...

    def protect_disk(self, arrival: Arrival | None) -> AbstractContextManager[Evidence]:
        """Its file systems are read-only, as after an error of the disk."""
        ...


class System(Protocol):
    """A deployed lane: one broker, one ledger, the subject's workers and stores."""

    @property
    def contract(self) -> Contract: ...

    @property
    def capabilities(self) -> frozenset[Capability]: ...

    @property
    def jobs(self) -> tuple[EnqueueCalled, ...]:
        """Every job of the plan, and those enqueued beside it, in order."""
        ...

    @property
    def messages(self) -> Messages: ...

    @property
    def workers(self) -> Workers: ...

    @property
    def broker(self) -> BrokerControl: ...

    @property
    def sidecars(self) -> Sidecars: ...

    @property
    def stores(self) -> Stores: ...

    @property
    def downstream(self) -> Downstream: ...

    @property
    def releases(self) -> Releases: ...

    @property
    def clocks(self) -> Clocks: ...

    @property
    def hosts(self) -> Hosts:
        """:raises SubjectError: the workers have none of their own"""
        ...

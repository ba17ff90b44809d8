"""What a fault may do to a deployed subject, whatever runs it and whatever job library it uses."""

from collections.abc import Callable
from enum import StrEnum
from typing import Any, Protocol, TypeAlias

from msgspec import Struct

from harness.contract import Contract
from harness.downstream import Rule
from harness.events import DONE, EnqueueCalled, JobId
from harness.services.gate import Arrival


class Capability(StrEnum):
    """What a runtime and a driver together can do; a fault names what it needs."""

    KILL_POOL_CHILD = "kill-pool-child"
    KILL_MAIN_PROCESS = "kill-main-process"
    KILL_PROCESS_GROUP = "kill-process-group"
    DOUBLE_MESSAGE = "double-message"
    SCRIPT_DOWNSTREAM = "script-downstream"


class Target(StrEnum):
    """The exact target of a signal."""

    CHILD = "child"
    MAIN = "main"
    GROUP = "group"


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
    """What a fault hit: the exact targets, and the jobs that it met in flight."""

    targets: tuple[str, ...]
    jobs: tuple[JobId, ...]


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


class System(Protocol):
    """A deployed lane: one broker, one ledger, the subject's workers."""

    @property
    def contract(self) -> Contract: ...

    @property
    def capabilities(self) -> frozenset[Capability]: ...

    @property
    def jobs(self) -> tuple[EnqueueCalled, ...]:
        """Every job of the plan, and those enqueued beside it, in order."""
        ...

    def enqueue(self, job: PlannedJob) -> None:
        """Ask the subject to enqueue a job; what came of it is recorded, not raised."""
        ...

    def deliveries(self, job: JobId) -> int:
        """How often a worker took a message of the job's own."""
        ...

    def wait_acknowledged(self, job: JobId, *, within: float) -> bool:
        """Until every message of the job has been acknowledged; False if that did not happen in time."""
        ...

    def wait_body_ended(self, job: JobId, *, within: float) -> bool:
        """Until one more execution of the job's body than had ended at the call has ended; False if not in time."""
        ...

    def double(self, job: JobId) -> None:
        """Queue the job's message once more, byte for byte.

        :raises SubjectError: its message was never seen in the broker
        """
        ...

    def kill(self, target: Target, arrival: Arrival | None) -> Impact:
        """SIGKILL what `target` names of the worker that runs the arrived job, and wait until it is gone entirely.

        In a pool without children (solo, threads) the main process is what runs the job, and is the child's stand-in.
        Gone: every descendant has ended, and the broker sees none of its connections.
        """
        ...

    def recover(self) -> None:
        """Bring the broker's bookkeeping of dead workers to where its own sweep would bring it, and restart them."""
        ...

    @property
    def downstream(self) -> Downstream: ...

"""What a runtime needs of a job system, and nothing else: one driver for each lane."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeAlias

from msgspec import Struct

from harness.contract import Contract, Worker
from harness.events import EnqueueCalled, JobId
from harness.lane import Lane
from harness.runtimes.launch import Launch
from harness.services.broker import Broker
from harness.store import Recorder
from harness.system import Capability, Messages, PlannedJob


class Driver(Messages, Protocol):
    """One lane's subject as a user of its job library: enqueued to, watched from outside, told apart by connections.

    A connection is named by its local address, as the broker names its clients. A node is one worker of the contract,
    by name, with its processes, the main one first.
    """

    jobs: dict[JobId, EnqueueCalled]
    ready_once: str  # how a worker that was started shows that it takes messages, in words

    # --- start ---

    def environment(self) -> dict[str, str]:
        """What the subject is started with besides what its contract says."""
        ...

    def forker_command(self, python: str) -> list[str]:
        """What imports the subject once, for its processes to be forked from; empty: they are executed."""
        ...

    def can_fork(self, worker: Worker) -> bool:
        """Whether a worker is the same when forked."""
        ...

    def start_agent(self, launch: Launch) -> dict[str, Any]:
        """Be ready to enqueue; the `versions` and `settings` of the subject, as far as they are known.

        :raises SubjectError: the subject cannot be used
        """
        ...

    def let_another_enqueue(self, jobs: tuple[JobId, ...], launch: Launch) -> None:
        """These jobs are enqueued by what is launched so, until `let_no_other_enqueue`.

        :raises SubjectError: it cannot be used
        """
        ...

    def let_no_other_enqueue(self) -> None: ...

    def prepare(self) -> None:
        """:raises SubjectError: the subject's own preparation failed"""
        ...

    def worker_command(self, worker: Worker, placeholders: Mapping[str, str]) -> list[str]: ...

    def is_ready(self, node: str, pid: int) -> bool:
        """Whether a worker that was started takes messages by now."""
        ...

    # --- who runs what ---

    def hear(self, question: dict[str, Any]) -> JobId | None:
        """Take note of what is said at a crash point, and tell which job it is about."""
        ...

    def ran_on(self, job: JobId, nodes: Callable[[], Mapping[str, list[int]]]) -> tuple[str, int] | None:
        """The node and the process that last began the job; None if that was not seen.

        `nodes` is asked only where it is needed: to look at every process of a busy machine takes as long as a client's
        patience.
        """
        ...

    def clock_ahead_seconds(self, node: str) -> float | None:
        """How far ahead of the harness's clock a worker's own was when it last told it; None if it never has."""
        ...

    def finished(self, job: JobId) -> int:
        """How many attempts have ended that asked for no other: who retries has not done the job."""
        ...

    def wait_finished(self, job: JobId, count: int, *, within: float) -> bool: ...

    def in_flight(self, clients: set[str]) -> tuple[JobId, ...]:
        """The jobs that the given connections hold."""
        ...

    def runs_any(self, clients: set[str]) -> bool:
        """Whether a body still runs of a message that one of the connections had taken."""
        ...

    # --- connections ---

    def connections_of(self, pids: list[int]) -> set[str]: ...

    def clients(self) -> set[str]:
        """The connections that the broker still sees."""
        ...

    def drop(self, clients: set[str]) -> None:
        """Let the broker close these connections, whoever is at their other end."""
        ...

    def connected(self, pids: list[int]) -> bool:
        """Whether one of the processes has a connection that the broker sees."""
        ...

    def wait_not_popping(self, clients: set[str], *, within: float) -> None:
        """Until none of the connections waits for a message any more.

        :raises WaitedInVainError: one still does
        """
        ...

    # --- deaths ---

    def let_the_body_stand_alone(self, job: JobId) -> None:
        """Until the worker has done what it does of its own accord while the job's body stands at a crash point."""
        ...

    def nothing_in_between(self) -> AbstractContextManager[None]:
        """While this is entered, a kill can lose nothing that is the transport's to lose and not the job's."""
        ...

    def stranded(self) -> set[str]:
        """Connections that do not exist any more and hold what the broker would give back in time."""
        ...

    def redeliver(self, clients: set[str]) -> None:
        """Do now what the system itself would do in time with what dead connections hold."""
        ...

    def stop_broker(self) -> tuple[JobId, ...]:
        """Stop it; the jobs that were in flight."""
        ...

    def start_broker(self, *, with_data: bool = True) -> None:
        """With its data or empty; nothing of what it does from then on goes unheard."""
        ...

    # --- the end ---

    def left(self) -> str:
        """What may still happen, in words; empty once the lane is drained."""
        ...

    def close(self) -> None: ...


NO_PLACE = "the contract does not say where dead letters go"

Jobs: TypeAlias = tuple[PlannedJob, ...]


class JobSystem(Struct, frozen=True, kw_only=True):
    """A job system that subjects may be written for.

    * `check`: raises `ContractError` where a contract lacks what the system needs, or says what it has no use for
    * `drive`: the driver of one lane
    * `cannot`: what a driver cannot do, or let be done, for a contract, and why
    * `unjudged`: the guarantees that cannot be judged here, and why
    """

    check: Callable[[Contract], None]
    drive: Callable[[Contract, Broker, Lane, Recorder, Jobs], Driver]
    cannot: Callable[[Contract], Mapping[Capability, str]]
    unjudged: Mapping[str, str] = {}

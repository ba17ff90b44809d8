"""What the drivers of all job systems on a lane's Redis share: jobs, messages, and connections."""

import threading
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Generic, TypeVar

import redis

from harness.contract import Contract
from harness.events import EffectRequested, EnqueueCalled, JobId, MessageDoubled, MessageId
from harness.history import extract, owner_of
from harness.lane import Lane
from harness.namespaces import connections_to
from harness.services.broker import Broker
from harness.services.ledger import request_in
from harness.services.redis_monitor import RedisMonitor
from harness.store import HARNESS, Recorder
from harness.system import PlannedJob, SubjectError
from harness.systems.tracked import DELIVERED, QUEUED, Tap, Tracked
from harness.waiting import WaitedInVainError, wait_until

# A message that left its list is booked within milliseconds, and an early acknowledged one begins within a second on a
# busy machine; of what has done neither after this long, while nothing else moved, nothing will be seen any more.
VANISHED_SECONDS = 3.0

T = TypeVar("T", bound=Tap)


class RedisDriver(Generic[T]):
    """The half of a `Driver` that is the same whatever the messages look like."""

    def __init__(
        self,
        contract: Contract,
        broker: Broker,
        lane: Lane,
        recorder: Recorder,
        jobs: tuple[PlannedJob, ...],
        tap: T,
    ) -> None:
        self.contract = contract
        self.broker = broker
        self.lane = lane
        self.recorder = recorder
        self.tap = tap
        self.monitor = RedisMonitor(broker.client, tap)
        self.jobs: dict[JobId, EnqueueCalled] = {}
        for job in jobs:
            self._know(job)
        self._messages: dict[MessageId, JobId] = {}
        self._lock = threading.Lock()
        self._firing: set[str] = set()
        self._still: tuple[object, float] = (None, 0.0)

    def _know(self, job: PlannedJob) -> EnqueueCalled:
        call = EnqueueCalled(
            job=job.job,
            task=job.task,
            identity=job.identity,
            expected=job.expected,
            wait_seconds_max=job.wait_seconds_max,
        )
        self.jobs.setdefault(job.job, call)
        return call

    # --- what the ledger says ---

    def _hear_request(self, question: dict[str, Any]) -> JobId | None:
        request = request_in(question)
        self._hear_alert(request)
        return owner_of(self.contract, self.jobs.values(), request)

    def _hear_alert(self, request: EffectRequested) -> None:
        alerts = self.contract.alerts
        if alerts is not None and request.label == alerts.request:
            queue = extract(alerts.queue, request)
            status = extract(alerts.status, request)
            with self._lock:
                if queue is not None and status == alerts.firing:
                    self._firing.add(queue)
                elif queue is not None and status == alerts.resolved:
                    self._firing.discard(queue)

    def wait_alert(self, queue: str, *, within: float) -> bool:
        with suppress(WaitedInVainError):
            return wait_until(lambda: queue in self._firing, within=within, or_else="")
        return False

    def wait_alerts_cleared(self, *, within: float) -> bool:
        with suppress(WaitedInVainError):
            return wait_until(lambda: not self._firing, within=within, or_else="")
        return False

    # --- messages ---

    def in_flight(self, clients: set[str]) -> tuple[JobId, ...]:
        """Jobs that the given connections hold."""
        self.monitor.sync()
        return self._jobs_of(self.tap.held_by(clients))

    def deliveries(self, job: JobId) -> int:
        self.monitor.sync()
        return sum(self.tap.deliveries[message] for message in self._messages_of(job))

    def was_taken(self, job: JobId) -> bool:
        """Whether a worker took a message of the job's, or at least popped what no worker can book."""
        if self.deliveries(job):
            return True
        found = [entry for message in self._messages_of(job) for _, entry in self.tap.by_message(message)]
        return any(self._has_left(entry) for entry in found)

    def waiting(self, queue: str) -> tuple[JobId, ...]:
        """The jobs whose messages wait in a queue."""
        self.monitor.sync()
        entries = [entry for entry in self.tap.pending().values() if entry.state == QUEUED and entry.queue == queue]
        return self._jobs_of(entry.message for entry in entries)

    def wait_acknowledged(self, job: JobId, *, within: float) -> bool:
        def acknowledged() -> bool:
            self.monitor.sync()
            copies = [copy for message in self._messages_of(job) for copy in self.tap.by_message(message)]
            return bool(copies) and all(tag not in self.tap.pending() for tag, _ in copies)

        with suppress(WaitedInVainError):
            return wait_until(acknowledged, within=within, or_else="")
        return False

    def double(self, job: JobId) -> None:
        self.monitor.sync()
        found = [(message, copy) for message in self._messages_of(job) for copy in self.tap.by_message(message)]
        if not found:
            raise SubjectError(f"the message of {job} was never seen in the broker, so it cannot be delivered again")
        message, (_, entry) = found[0]
        self.recorder.record(HARNESS, MessageDoubled(job=job, message=message, queue=entry.queue))
        # Where the client's own redelivery puts it: it is the next to be taken, not the last.
        self.broker.client.rpush(entry.queue, entry.raw)

    def attempts_ended(self, job: JobId) -> int:
        raise NotImplementedError

    def finished(self, job: JobId) -> int:
        raise NotImplementedError

    def wait_finished(self, job: JobId, count: int, *, within: float) -> bool:
        with suppress(WaitedInVainError):
            return wait_until(lambda: self.finished(job) >= count, within=within, or_else="")
        return False

    def wait_body_ended(self, job: JobId, *, within: float) -> bool:
        count = self.attempts_ended(job) + 1
        with suppress(WaitedInVainError):
            return wait_until(lambda: self.attempts_ended(job) >= count, within=within, or_else="")
        return False

    def wait_attempt_ended(self, *jobs: JobId, within: float) -> tuple[JobId, ...]:
        def ended() -> tuple[JobId, ...]:
            return tuple(job for job in jobs if self.attempts_ended(job))

        with suppress(WaitedInVainError):
            return wait_until(ended, within=within, or_else="")
        return ()

    # --- one job after another, on one deployed system ---

    def forget(self) -> None:
        """What was before is over: no job and no message of it is known any more."""
        self.monitor.sync()
        self.tap.forget()
        with self._lock:
            self._messages.clear()
        self._still = (None, 0.0)

    def remove_all_but_queues(self) -> None:
        """Every key but those that say which queues there are."""
        doomed = [key for key in self.broker.client.keys("*") if not self.says_which_queues(key)]
        if doomed:
            self.broker.client.delete(*doomed)

    def says_which_queues(self, key: bytes | str) -> bool:
        """Where none does, queues are there as long as anything lies in them."""
        del key
        return False

    def wait_parted(self, *, within: float) -> None:
        """Once every worker is dead: until the broker has noticed that their connections are closed.

        What a dead worker's connection still waits for would be given to it, and lost.

        :raises WaitedInVainError: it has not
        """

        def parted() -> bool:
            self.monitor.sync()
            holders = {each.client for each in self.tap.pending().values() if each.state == DELIVERED}
            clients = self.broker.client.client_list()
            return not any("b" in str(each["flags"]) or each["addr"] in holders for each in clients)

        wait_until(parted, within=within, or_else="connections of dead workers were still there")

    def _messages_of(self, job: JobId) -> list[MessageId]:
        with self._lock:
            return [message for message, owner in self._messages.items() if owner == job]

    def _jobs_of(self, messages: Iterable[MessageId]) -> tuple[JobId, ...]:
        with self._lock:
            jobs = [self._messages.get(message) for message in messages]
        return tuple(dict.fromkeys(job for job in jobs if job is not None))

    def _has_left(self, entry: Tracked) -> bool:
        """Whether a message is in no list any more, and nobody was seen to have taken it either."""
        return entry.state == QUEUED and not self._is_listed(entry.queue, entry.raw)

    def _is_listed(self, queue: str, raw: bytes) -> bool:
        return raw in self.broker.client.lrange(queue, 0, -1)

    def _once_still(self, picture: object, words: str, *, seconds: float = VANISHED_SECONDS) -> str:
        """`words` until the picture has not changed for long enough to be final."""
        before, since = self._still
        now = self.recorder.now()
        if picture != before:
            self._still = (picture, now)
            return words
        return "" if now - since >= seconds else words

    # --- connections ---

    def connections_of(self, pids: list[int]) -> set[str]:
        """The local addresses of the processes' connections to the broker, as the broker names its clients."""
        return connections_to(self.broker.port, pids)

    def clients(self) -> set[str]:
        """The connections that the broker still sees."""
        return {str(client["addr"]) for client in self.broker.client.client_list()}

    def drop(self, clients: set[str]) -> None:
        for address in clients:
            with suppress(redis.ResponseError):  # it is gone already
                self.broker.client.client_kill(address)

    def connected(self, pids: list[int]) -> bool:
        """Whether one of the processes has a connection that the broker sees."""
        return bool(self.connections_of(pids) & self.clients())

    def wait_not_popping(self, clients: set[str], *, within: float) -> None:
        """Until none of the connections waits for a message any more: what a frozen worker still pops is lost in it.

        :raises WaitedInVainError: one still does
        """

        def popping() -> bool:
            return any(
                "b" in str(each["flags"]) for each in self.broker.client.client_list() if each["addr"] in clients
            )

        wait_until(lambda: not popping(), within=within, or_else="a frozen worker was still waiting for messages")

    # --- the broker ---

    def start_broker(self, *, with_data: bool = True) -> None:
        """With its data or empty; nothing of what it does from then on goes unheard."""

        def before_anybody(client: "redis.Redis") -> None:
            if not with_data:
                client.flushall()
            self.monitor.reopen(client)

        self.broker.start_again(before_anybody)

    def close(self) -> None:
        self.monitor.close()

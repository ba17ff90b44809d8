"""Jobs in Redis lists: enqueued by the harness itself, and watched from outside workers of any language."""

import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psutil
import redis

from harness.contract import Contract, Worker, fill
from harness.events import EnqueueReturned, JobId, MessageId
from harness.lane import Lane
from harness.namespaces import connections_to
from harness.poison import PoisonKind
from harness.runtimes.launch import Launch
from harness.services.broker import Broker
from harness.store import HARNESS, Recorder
from harness.system import PlannedJob, SubjectError
from harness.systems.exploring import Meaning
from harness.systems.redis_driver import RedisDriver
from harness.systems.redis_list.exploring import EXPLORING, meaning_of
from harness.systems.redis_list.tap import ListTap
from harness.systems.tracked import DELIVERED, QUEUED


class ListDriver(RedisDriver[ListTap]):
    """One lane's driver. A job is `{"id": ..., "task": ..., "arguments": {...}}`, pushed to its task's list."""

    def __init__(
        self, contract: Contract, broker: Broker, lane: Lane, recorder: Recorder, jobs: tuple[PlannedJob, ...]
    ) -> None:
        served = [queue for worker in contract.workers for queue in worker.queues]
        self._queue_of = {task.name: task.queue for task in contract.tasks}
        self._queues = frozenset({*served, *self._queue_of.values()})
        self._patience_seconds = max(task.wait_seconds_max for task in contract.tasks)
        self._ready: set[str] = set()  # connections of workers that have been ready
        tap = ListTap(recorder, self._queues, self._connected)
        super().__init__(contract, broker, lane, recorder, jobs, tap)

    # --- start: there is nothing to import, and nobody to ask ---

    def environment(self) -> dict[str, str]:
        return {}

    def forker_command(self, python: str) -> list[str]:
        del python
        return []

    def can_fork(self, worker: Worker) -> bool:
        del worker
        return False

    def start_agent(self, launch: Launch) -> dict[str, Any]:
        del launch
        return {"versions": {}, "settings": {}}

    def clock_ahead_seconds(self, node: str) -> float | None:
        """Nobody in the worker tells."""
        del node
        return None

    def let_another_enqueue(self, jobs: tuple[JobId, ...], launch: Launch) -> None:
        """The harness is every release's producer: what it pushes is in the words that the plan has for it."""

    def let_no_other_enqueue(self) -> None:
        """As above."""

    def prepare(self) -> None:
        """A contract for this system has no preparation."""

    def worker_command(self, worker: Worker, placeholders: Mapping[str, str]) -> list[str]:
        return [fill(word, dict(placeholders), where=f"worker {worker.name!r}") for word in worker.command]

    ready_once = "it is once it has asked for a message"

    def is_ready(self, node: str, pid: int) -> bool:
        """Whether one of its connections has asked for a message.

        One that has ended by now was, if anybody has asked since the last one was: it may do one job and end.

        Behind a proxy the broker sees the proxy's connections: then it is ready once it is connected and anybody asks.
        """
        del node
        asked = set(self.tap.asked)
        try:
            main = psutil.Process(pid)
            own = self.connections_of([pid, *(child.pid for child in main.children(recursive=True))])
            is_ready = bool(own & asked)
            if self.broker.public_port != self.broker.port:
                is_ready = bool(own and asked & self.clients())
        except psutil.Error:
            self.monitor.sync()
            asked = set(self.tap.asked)
            is_ready = bool(asked - self._ready)
        if is_ready:
            self._ready |= asked
        return is_ready

    def connections_of(self, pids: list[int]) -> set[str]:
        found = super().connections_of(pids)
        if self.broker.public_port != self.broker.port:
            found |= connections_to(self.broker.public_port, pids)
        return found

    # --- jobs ---

    def enqueue(self, job: PlannedJob) -> None:
        message = MessageId(str(uuid.uuid4()))
        with self._lock:
            self._messages[message] = job.job
        self.recorder.record(HARNESS, self._know(job))
        body = json.dumps({"id": message, "task": job.task, "arguments": job.arguments})
        try:
            self.broker.client.lpush(self._queue_of[job.task], body)
        except redis.RedisError as error:
            # The broker may or may not have it. The message id tells later.
            returned = EnqueueReturned(job=job.job, outcome="unknown", message=message, error=str(error))
        else:
            returned = EnqueueReturned(job=job.job, outcome="ok", message=message)
        self.recorder.record(HARNESS, returned)

    def feed(self, kind: PoisonKind, template: JobId, poison: PlannedJob) -> None:
        """:raises SubjectError: always: what is in a message is between the worker and its producer"""
        raise SubjectError(f"a message in a list has no format that could be spoilt ({kind}, {template}, {poison.job})")

    # --- who runs what ---

    def hear(self, question: dict[str, Any]) -> JobId | None:
        return self._hear_request(question) if "request" in question else None

    def ran_on(self, job: JobId, nodes: Callable[[], Mapping[str, list[int]]]) -> tuple[str, int] | None:
        """The process that has the connection which last took a message of the job's; of several, the oldest."""
        self.monitor.sync()
        takers = {client for message in self._messages_of(job) if (client := self.tap.taken_by(message))}
        for name, pids in nodes().items():
            for pid in pids:
                if self.connections_of([pid]) & takers:
                    return name, pid
        return None

    def attempts_ended(self, job: JobId) -> int:
        """How many attempts have: their connection asked for more, removed the message, or is gone."""
        self.monitor.sync()
        messages = self._messages_of(job)
        live = self.clients()
        gone = [held for client, held in self.tap.busy().items() if client not in live]
        dead = sum(message in messages for held in gone for message in held)
        return dead + sum(self.tap.ended[message] for message in messages)

    def finished(self, job: JobId) -> int:
        return self.attempts_ended(job)  # a list knows of no retry

    def runs_any(self, clients: set[str]) -> bool:
        return bool(clients & self.tap.busy().keys() & self.clients())

    # --- deaths: a list gives nothing back, so nothing is done in time that could be brought forward ---

    def let_the_body_stand_alone(self, job: JobId) -> None:
        """A worker of a list does one thing at a time."""

    @contextmanager
    def nothing_in_between(self) -> Iterator[None]:
        """What is lost between the broker and a worker that only pops is the job's loss: it could have moved it."""
        yield

    def stranded(self) -> set[str]:
        return set()

    def redeliver(self, clients: set[str]) -> None:
        """Whoever moved a message to a list of its own fetches it from there itself."""

    def stop_broker(self) -> tuple[JobId, ...]:
        jobs = self.in_flight(self.clients())
        self.broker.stop()
        return jobs

    def start_broker(self, *, with_data: bool = True) -> None:
        self.tap.broker_restarted()
        super().start_broker(with_data=with_data)

    # --- one job after another, on one deployed system ---

    exploring = EXPLORING

    def meaning_of(self, sent: str) -> Meaning:
        self.monitor.sync()  # a message has been moved to a list before it is removed from there
        return meaning_of(sent, queues=self._queues, own=self.tap.own())

    def redelivery_seconds_max(self, settings: Mapping[str, Any]) -> float:
        """A list gives nothing back: there is nothing to wait for beyond what the contract allows a worker."""
        del settings
        return 0.0

    def bury(self) -> None:
        """Once every worker is dead: what they had taken for good, or been given unseen, is no more."""
        self.monitor.sync()
        for client in self.tap.busy():
            self.tap.part(client)
        for tag, entry in self.tap.pending().items():
            if self._has_left(entry):
                self.tap.vanish(tag)

    # --- drained ---

    def left(self) -> str:
        """What may still happen, in words; empty once the lane is drained.

        Drained: nothing in a queue, nothing in a worker's own list, no connection busy. What lies in a worker's own
        list while none is busy is waited for as long as the contract lets a job wait, for somebody to fetch it. A
        message that is in no list although nobody was seen to take it, and one whose connection is gone without having
        asked for more, are waited for a while. Then they are where they will stay.
        """
        if not self.monitor.sync():
            return f"the broker's command stream has ended ({self.monitor.ended_by or 'it is too slow'})"
        pending = self.tap.pending()
        live = self.clients()
        busy = self.tap.busy()
        listed = sum(entry.state == QUEUED and self._is_listed(entry.queue, entry.raw) for entry in pending.values())
        delivered = sum(entry.state == DELIVERED for entry in pending.values())
        working = len(busy.keys() & live)
        words = f"{listed} queued, {delivered} in workers' lists, {working} workers busy"
        if listed or working:
            return words
        if delivered:
            return self._once_still(tuple(pending), words, seconds=self._patience_seconds)
        vanished = tuple(pending)
        cut_off = tuple(message for client, held in sorted(busy.items()) if client not in live for message in held)
        if not vanished and not cut_off:
            return ""
        words = f"{len(vanished)} in no list and taken by nobody, {len(cut_off)} taken by connections that are gone"
        return self._once_still((vanished, cut_off), words)

    def _connected(self) -> set[str]:
        """While the broker is being stopped it cannot be asked, and nobody waits for what will not come."""
        try:
            return self.clients()
        except redis.RedisError:
            return set()

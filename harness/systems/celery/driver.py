"""Celery on Redis, driven and watched from outside its own processes."""

import json
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from harness.codec import digest
from harness.contract import Contract, Worker
from harness.events import (
    EnqueueReturned,
    JobId,
    MessageId,
    RedeliveryForced,
)
from harness.lane import Lane
from harness.nearest import hint
from harness.poison import PoisonKind
from harness.runtimes.launch import Launch
from harness.services.broker import Broker
from harness.store import HARNESS, Recorder
from harness.system import PlannedJob, SubjectError
from harness.systems.celery.exploring import EXPLORING, SWEEP_SECONDS, VISIBILITY_SECONDS
from harness.systems.celery.names import meaning_of
from harness.systems.celery.producer import Producer, started
from harness.systems.celery.spoiling import NO_ENVELOPE, spoilt
from harness.systems.celery.tap import Keys, Tap
from harness.systems.exploring import Meaning
from harness.systems.redis_driver import RedisDriver
from harness.systems.tracked import DELIVERED, QUEUED, Tracked
from harness.waiting import wait_until

PAUSE_MILLISECONDS = 30_000
EARLY_ACK_SECONDS_MAX = 3.0
NOT_FINISHED = frozenset({"RETRY", "REJECTED"})  # celery.states: another attempt follows
_HERE = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class Body:
    """An execution of a task body that has begun and has not ended."""

    message: MessageId
    pid: int


class CeleryDriver(RedisDriver[Tap]):
    """One lane's driver: its agent in the subject's environment, its tap on the broker, and who runs what."""

    def __init__(
        self, contract: Contract, broker: Broker, lane: Lane, recorder: Recorder, jobs: tuple[PlannedJob, ...]
    ) -> None:
        super().__init__(contract, broker, lane, recorder, jobs, Tap(recorder))
        self._producer: Producer | None = None
        self._other: tuple[Producer, frozenset[JobId]] | None = None  # and the jobs that it enqueues
        self._bodies: set[Body] = set()
        self._begun: Counter[MessageId] = Counter()
        self._ended: Counter[JobId] = Counter()
        self._finished: Counter[JobId] = Counter()
        self._ran_on: dict[JobId, tuple[str, int]] = {}
        self._acks_early: set[str] = set()
        self._ready: set[str] = set()
        self._clocks: dict[str, float] = {}
        self._hastened: set[MessageId] = set()

    # --- the agent ---

    def forker_command(self, python: str) -> list[str]:
        """What imports the subject once, for agent and workers to be forked from."""
        return [python, str(_HERE / "zygote.py"), self.contract.app, str(_HERE.parents[1] / "forking.py")]

    def can_fork(self, worker: Worker) -> bool:
        """Whether a worker is the same when forked: pools of green threads patch what has been imported by then."""
        return not any(pool in argument for argument in worker.arguments for pool in ("gevent", "eventlet"))

    def start_agent(self, launch: Launch) -> dict[str, Any]:
        """Import the subject in its own environment, or fork what has; what `describe` told.

        :raises SubjectError: it does not import, or not in time, or lacks a task
        """
        self._producer, description = started(self.contract.app, self.lane, launch, name="agent")
        for task in self.contract.tasks:
            if task.name not in description["tasks"]:
                own = [name for name in description["tasks"] if not name.startswith("celery.")]
                raise SubjectError(f"{self.contract.app!r} has no task {task.name!r}; {hint(task.name, own)}")
        self._acks_early = {name for name, task in description["tasks"].items() if not task["acks_late"]}
        self.tap.keys = Keys.of(description["settings"]["broker_transport_options"])
        return description

    def let_another_enqueue(self, jobs: tuple[JobId, ...], launch: Launch) -> None:
        """:raises SubjectError: it does not import, or not in time"""
        producer, _ = started(self.contract.app, self.lane, launch, name="agent-before")
        self._other = producer, frozenset(jobs)

    def let_no_other_enqueue(self) -> None:
        if self._other is not None:
            self._other[0].close()
            self._other = None

    def prepare(self) -> None:
        """:raises SubjectError: the subject's own preparation failed"""
        if not self.contract.prepare:
            return
        arguments = [inputs for task in self.contract.tasks for inputs in task.inputs]
        answer = self._asked().ask({"op": "prepare", "function": self.contract.prepare, "arguments": arguments})
        if "error" in answer:
            raise SubjectError(f"prepare={self.contract.prepare!r} failed: {answer['error']}")

    def enqueue(self, job: PlannedJob) -> None:
        call = self._know(job)
        message = MessageId(str(uuid.uuid4()))
        with self._lock:
            self._messages[message] = job.job
        self.recorder.record(HARNESS, call)
        request = {
            "op": "enqueue",
            "task": job.task,
            "arguments": job.arguments,
            "message": message,
            "checked": job.checked,
        }
        try:
            answer = self._asked(job.job).ask(request)
        except (OSError, ValueError) as error:
            # Nobody answered: the broker may or may not have it. The message id tells later.
            returned = EnqueueReturned(job=job.job, outcome="unknown", message=message, error=str(error))
        else:
            outcome = "failed" if "error" in answer else "ok"
            returned = EnqueueReturned(job=job.job, outcome=outcome, message=message, error=answer.get("error", ""))
        self.recorder.record(HARNESS, returned)

    def _asked(self, job: JobId | None = None) -> Producer:
        """Who enqueues the job.

        :raises SubjectError: nobody has been started
        """
        if self._other is not None and job in self._other[1]:
            return self._other[0]
        if self._producer is None:
            raise SubjectError("the subject has not been started")
        return self._producer

    # --- workers ---

    def environment(self) -> dict[str, str]:
        """Celery itself reads these before its configuration, in every version supported here."""
        names = ("CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL")
        return dict.fromkeys(names, self.broker.url)

    def worker_command(self, worker: Worker, placeholders: Mapping[str, str]) -> list[str]:
        queues = ["-Q", ",".join(worker.queues)] if worker.queues else []
        return [
            *(
                placeholders["python"],
                str(_HERE / "probe.py"),
                "-A",
                self.contract.app,
                "worker",
                "-n",
                f"{worker.name}@jobproof",
            ),
            *("-c", str(worker.concurrency), "--loglevel", "INFO", *queues, *worker.arguments),
        ]

    ready_once = "it is once Celery has said so"

    def is_ready(self, node: str, pid: int) -> bool:
        """Whether the probe has said so; each word of it is taken once."""
        del pid
        with self._lock:
            is_ready = node in self._ready
            self._ready.discard(node)
        return is_ready

    # --- who runs what ---

    def hear(self, question: dict[str, Any]) -> JobId | None:
        """Take note of what the probe or the ledger says at a crash point, and tell which job it is about."""
        if "request" in question:
            return self._hear_request(question)
        message = MessageId(str(question.get("message", "")))
        with self._lock:
            if "clock" in question:
                self._clocks[str(question.get("node"))] = float(question["clock"]) - time.time()
            job = self._messages.get(message)
            body = Body(message=message, pid=int(question.get("pid", 0)))
            if question.get("point") == "body-began":
                self._bodies.add(body)
                self._begun[message] += 1
                # What a job has enqueued (the next link of a chain) does the job's work.
                worked_for = job or self._messages.get(MessageId(str(question.get("root", ""))))
                if worked_for is not None:
                    self._ran_on[worked_for] = (str(question.get("node")), body.pid)
            elif question.get("point") == "countdown-shortened":
                self._hastened.add(message)
            elif question.get("point") == "worker-ready":
                self._ready.add(str(question.get("node")))
            elif question.get("point") == "body-ended":
                self._bodies.discard(body)
                if job is not None:
                    self._ended[job] += 1
                    self._finished[job] += str(question.get("state")) not in NOT_FINISHED
        return job

    def ran_on(self, job: JobId, nodes: Callable[[], Mapping[str, list[int]]]) -> tuple[str, int] | None:
        """The node and the process that last began the job's body or one that it has enqueued, as the probe said."""
        del nodes
        with self._lock:
            return self._ran_on.get(job)

    def clock_ahead_seconds(self, node: str) -> float | None:
        with self._lock:
            return self._clocks.get(node)

    def attempts_ended(self, job: JobId) -> int:
        with self._lock:
            return self._ended[job]

    def finished(self, job: JobId) -> int:
        with self._lock:
            return self._finished[job]

    def feed(self, kind: PoisonKind, template: JobId, poison: PlannedJob) -> None:
        self.monitor.sync()
        found = [copy for message in self._messages_of(template) for copy in self.tap.by_message(message)]
        if not found:
            raise SubjectError(
                f"the message of {template} was never seen in the broker, so no poison can be made of it"
            )
        _, entry = found[0]
        message = MessageId(str(uuid.uuid4()))
        data, body = spoilt(kind, entry.raw, message)
        with self._lock:
            self._messages[message] = poison.job
        self.recorder.record(HARNESS, self._know(poison))
        if kind in NO_ENVELOPE:
            self.tap.expect(entry.queue, data, message)
        self.broker.client.lpush(entry.queue, data)
        returned = EnqueueReturned(job=poison.job, outcome="ok", message=message, body_digest=digest(body))
        self.recorder.record(HARNESS, returned)

    def let_the_body_stand_alone(self, job: JobId) -> None:
        """Until the worker has done what it does of its own accord while the job's body stands at a crash point.

        An early acknowledgement is sent by the main process some time after its child has begun the body. Killed before
        that, a worker that acknowledges early looks like one that acknowledges late, by luck.
        """
        if self.jobs[job].task in self._acks_early:
            self.wait_acknowledged(job, within=EARLY_ACK_SECONDS_MAX)

    @contextmanager
    def nothing_in_between(self) -> Iterator[None]:
        """While this is entered, no message is in the gap between the broker's pop and the worker's booking of it.

        Redis forgets a message when it hands it out, and kombu books it with its next command: a worker that is killed
        in between has lost it for ever (W4). That is the transport's loss and not the job's, so a kill that is about
        something else must not fall there. The broker is told to let every write wait; if a message is in the gap at
        that moment, it is let go on and asked again.

        :raises WaitedInVainError: each time that was looked, a message was in the gap
        """
        self._pause_outside_of_the_gap()
        try:
            yield
        finally:
            self.broker.client.client_unpause()

    def _pause_outside_of_the_gap(self) -> None:
        def paused() -> bool:
            # It ends by itself, should the harness die.
            self.broker.client.client_pause(PAUSE_MILLISECONDS, all=False)
            self.monitor.sync()
            if not any(self._has_left(entry) for entry in self.tap.pending().values()):
                return True
            self.broker.client.client_unpause()
            return False

        wait_until(paused, within=10, or_else="a message was always between its queue and its booking")

    def stop_broker(self) -> tuple[JobId, ...]:
        """Stop it while nothing is in the gap; the jobs that were in flight."""
        self._pause_outside_of_the_gap()
        jobs = self.in_flight(self.clients())
        self.broker.stop()
        return jobs

    def stranded(self) -> set[str]:
        """The connections that hold messages and do not exist any more."""
        self.monitor.sync()
        live = self.clients()
        return {
            each.client for each in self.tap.pending().values() if each.state == DELIVERED and each.client not in live
        }

    def runs_any(self, clients: set[str]) -> bool:
        """Whether a body still runs of a message that one of the connections had taken."""
        held = {entry.message for entry in self.tap.pending().values() if entry.client in clients}
        with self._lock:
            return any(body.message in held and _alive(body.pid) for body in self._bodies)

    def redeliver(self, clients: set[str]) -> None:
        """Do now what kombu's sweep would do once the visibility timeout of dead workers' messages had passed."""
        self.monitor.sync()
        held = {
            tag: entry
            for tag, entry in self.tap.pending().items()
            if entry.state == DELIVERED and entry.client in clients and entry.queue
        }
        keys = self.tap.keys
        pipe = self.broker.client.pipeline()
        for tag, entry in held.items():
            envelope = json.loads(entry.raw)
            envelope.setdefault("headers", {})["redelivered"] = True
            envelope["properties"].setdefault("delivery_info", {})["redelivered"] = True
            pipe.zrem(keys.unacked_index, tag)
            pipe.hdel(keys.unacked, tag)
            pipe.rpush(entry.queue, json.dumps(envelope))
        pipe.delete(keys.unacked_mutex)  # a worker that died in its own sweep would block everybody's for minutes
        pipe.execute()
        messages = tuple(entry.message for entry in held.values())
        self.recorder.record(HARNESS, RedeliveryForced(messages=messages))

    # --- one job after another, on one deployed system ---

    exploring = EXPLORING

    def meaning_of(self, sent: str) -> Meaning:
        return meaning_of(sent, self.tap.keys)

    def redelivery_seconds_max(self, settings: Mapping[str, Any]) -> float:
        options = settings.get("broker_transport_options", {})
        return float(options.get("visibility_timeout", VISIBILITY_SECONDS)) + SWEEP_SECONDS

    def forget(self) -> None:
        """What was before is over: no job, no message and no body of it is known any more."""
        super().forget()
        with self._lock:
            self._bodies.clear()
            self._begun.clear()
            self._ended.clear()
            self._finished.clear()
            self._ran_on.clear()
            self._hastened.clear()

    def says_which_queues(self, key: bytes | str) -> bool:
        """Who has declared a queue does not declare it again."""
        return "_kombu.binding." in (key if isinstance(key, str) else key.decode(errors="replace"))

    def bury(self) -> None:
        """Once every worker is dead: what they had taken and not booked, or acknowledged and not begun, is no more."""
        self.monitor.sync()
        self.tap.settle()
        for tag, entry in self.tap.pending().items():
            if self._has_left(entry):
                self.tap.vanish(tag)
        with self._lock:
            for message, count in self.tap.acknowledged.items():
                self._begun[message] = max(self._begun[message], count)

    # --- drained ---

    def left(self) -> str:
        """What may still happen, in words; empty once the lane is drained.

        Drained: nothing in a queue, nothing unacknowledged (scheduled jobs are), no body running. A message that left
        its queue and was never booked, or was acknowledged and never began, is waited for a while and then has
        vanished: drained says nothing about where it went.
        """
        if not self.monitor.sync():
            return f"the broker's command stream has ended ({self.monitor.ended_by or 'it is too slow'})"
        self.tap.settle()
        pending = self.tap.pending()
        with self._lock:
            self._bodies = {body for body in self._bodies if _alive(body.pid)}
            bodies = len(self._bodies)
            begun = Counter(self._begun)
        listed = sum(
            1 for entry in pending.values() if entry.state == QUEUED and self._is_listed(entry.queue, entry.raw)
        )
        delivered = sum(1 for entry in pending.values() if entry.state == DELIVERED)
        if listed or delivered or bodies:
            words = f"{listed} queued, {delivered} unacknowledged, {bodies} bodies running"
            return f"{words}{self._waiting(pending.values())}"
        vanishing = len(pending)
        unbegun = [message for message, count in self.tap.acknowledged.items() if begun[message] < count]
        if not vanishing and not unbegun:
            return ""
        words = f"{vanishing} popped but not booked, {len(unbegun)} acknowledged but not begun"
        return self._once_still((vanishing, tuple(unbegun), begun.total()), words)

    def _waiting(self, pending: Iterable[Tracked]) -> str:
        """Which jobs wait for a countdown of their own, in words."""
        now = time.time()
        with self._lock:
            found = [entry for entry in pending if entry.due > now and entry.message not in self._hastened]
            jobs = {self._messages.get(entry.message, entry.message): entry.countdown_seconds for entry in found}
        told = [f"{job} still waits for a countdown of {seconds:.0f} s" for job, seconds in jobs.items()]
        return f"; {', '.join(told)}" if told else ""

    def close(self) -> None:
        super().close()
        self.let_no_other_enqueue()
        if self._producer is not None:
            self._producer.close()


def _alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False

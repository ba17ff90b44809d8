"""Celery on Redis, driven and watched from outside its own processes."""

import difflib
import json
import os
import socket
import sys
import threading
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from harness.codec import digest
from harness.contract import Contract, Worker
from harness.events import (
    EffectRequested,
    EnqueueCalled,
    EnqueueReturned,
    JobId,
    MessageDoubled,
    MessageId,
    RedeliveryForced,
)
from harness.history import extract, owner_of
from harness.poison import PoisonKind
from harness.services.broker import Broker
from harness.services.ledger import request_in
from harness.services.redis_monitor import RedisMonitor
from harness.session import Lane
from harness.store import HARNESS, Recorder
from harness.system import PlannedJob, SubjectError
from harness.systems.celery.spoiling import NO_ENVELOPE, spoilt
from harness.systems.celery.tap import DELIVERED, QUEUED, Keys, Tap, Tracked
from harness.waiting import WaitedInVainError, wait_until

IMPORT_SECONDS_MAX = 60.0
REQUEST_SECONDS_MAX = 30.0
# A message that left its list is booked within milliseconds, and an early acknowledged one begins within a second on a
# busy machine; what has done neither after this long while nothing else moves has vanished.
VANISHED_SECONDS = 3.0
PAUSE_MILLISECONDS = 30_000
EARLY_ACK_SECONDS_MAX = 3.0
_HERE = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class Body:
    """An execution of a task body that has begun and has not ended."""

    message: MessageId
    pid: int


class CeleryDriver:
    """One lane's driver: its agent in the subject's environment, its tap on the broker, and who runs what."""

    def __init__(
        self, contract: Contract, broker: Broker, lane: Lane, recorder: Recorder, jobs: tuple[PlannedJob, ...]
    ) -> None:
        self.contract = contract
        self.broker = broker
        self.lane = lane
        self.recorder = recorder
        self.tap = Tap(recorder)
        self.monitor = RedisMonitor(broker.client, self.tap)
        self.jobs: dict[JobId, EnqueueCalled] = {}
        for job in jobs:
            self._know(job)
        self._messages: dict[MessageId, JobId] = {}
        self._link: socket.socket | None = None
        self._lines: Any = None
        self._lock = threading.Lock()
        self._bodies: set[Body] = set()
        self._begun: Counter[MessageId] = Counter()
        self._ended: Counter[JobId] = Counter()
        self._ran_on: dict[JobId, tuple[str, int]] = {}
        self._acks_early: set[str] = set()
        self._firing: set[str] = set()
        self._still: tuple[object, float] = (None, 0.0)

    # --- the agent ---

    def forker_command(self, python: str) -> list[str]:
        """What imports the subject once, for agent and workers to be forked from."""
        return [python, str(_HERE / "zygote.py"), self.contract.app, str(_HERE.parents[1] / "forking.py")]

    def can_fork(self, worker: Worker) -> bool:
        """Whether a worker is the same when forked: pools of green threads patch what has been imported by then."""
        return not any(pool in argument for argument in worker.arguments for pool in ("gevent", "eventlet"))

    def start_agent(self, environment: Mapping[str, str], cwd: Path, python: str, *, forker: int = 0) -> dict[str, Any]:
        """Import the subject in its own environment, or fork what has; what `describe` told.

        :raises SubjectError: it does not import, or not in time
        """
        path = self.lane.directory / "agent.sock"
        log = self.lane.directory / "agent.log"
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(str(path))
            listener.listen(1)
            listener.settimeout(0.05)
            pid = self.lane.spawn(
                [python, str(_HERE / "agent.py"), self.contract.app, str(path)],
                environment=environment,
                cwd=cwd,
                log="agent.log",
                forker=forker,
            )

            def connected() -> socket.socket | None:
                with suppress(TimeoutError):
                    return listener.accept()[0]
                if status := self.lane.exit_of(pid):
                    raise SubjectError(f"the subject's Python ({python}) ended with {status}: {_last_line(log)}")
                return None

            try:
                link = wait_until(connected, within=IMPORT_SECONDS_MAX, or_else="no connection")
            except WaitedInVainError as error:
                raise SubjectError(f"the subject's Python ({python}) did not start: {error}") from error
        self._link, self._lines = link, link.makefile("rb")
        try:
            hello = self._hear(within=IMPORT_SECONDS_MAX)
        except OSError as error:
            raise SubjectError(
                f"{self.contract.app!r} did not import within {IMPORT_SECONDS_MAX:g} s, or its process ended: "
                f"{_last_line(log)}"
            ) from error
        if "error" in hello:
            raise SubjectError(f"{self.contract.app!r} does not import: {hello['error']}")
        description = self._ask({"op": "describe"})
        for task in self.contract.tasks:
            if task.name not in description["tasks"]:
                own = [name for name in description["tasks"] if not name.startswith("celery.")]
                near = difflib.get_close_matches(task.name, own, n=1, cutoff=0.4)
                hint = f"did you mean {near[0]!r}?" if near else f"it has: {', '.join(own) or 'none'}"
                raise SubjectError(f"{self.contract.app!r} has no task {task.name!r}; {hint}")
        self._acks_early = {name for name, task in description["tasks"].items() if not task["acks_late"]}
        self.tap.keys = Keys.of(description["settings"]["broker_transport_options"])
        return description

    def prepare(self) -> None:
        """:raises SubjectError: the subject's own preparation failed"""
        if not self.contract.prepare:
            return
        arguments = [inputs for task in self.contract.tasks for inputs in task.inputs]
        answer = self._ask({"op": "prepare", "function": self.contract.prepare, "arguments": arguments})
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
            answer = self._ask(request)
        except (OSError, ValueError) as error:
            # Nobody answered: the broker may or may not have it. The message id tells later.
            returned = EnqueueReturned(job=job.job, outcome="unknown", message=message, error=str(error))
        else:
            outcome = "failed" if "error" in answer else "ok"
            returned = EnqueueReturned(job=job.job, outcome=outcome, message=message, error=answer.get("error", ""))
        self.recorder.record(HARNESS, returned)

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

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        if self._link is None:
            raise SubjectError("the subject has not been started")
        self._link.sendall(json.dumps(request).encode() + b"\n")
        return self._hear(within=REQUEST_SECONDS_MAX)

    def _hear(self, *, within: float) -> dict[str, Any]:
        if self._link is None:
            raise SubjectError("the subject has not been started")
        self._link.settimeout(within)
        line = self._lines.readline()
        if not line:
            raise ConnectionError("the subject's process ended")
        answer: dict[str, Any] = json.loads(line)
        return answer

    # --- workers ---

    def worker_command(self, worker: Worker, python: str) -> list[str]:
        queues = ["-Q", ",".join(worker.queues)] if worker.queues else []
        return [
            *(python, str(_HERE / "probe.py"), "-A", self.contract.app, "worker", "-n", f"{worker.name}@jobproof"),
            *("-c", str(worker.concurrency), "--loglevel", "INFO", *queues, *worker.arguments),
        ]

    # --- who runs what ---

    def hear(self, question: dict[str, Any]) -> JobId | None:
        """Take note of what the probe or the ledger says at a crash point, and tell which job it is about."""
        if "request" in question:
            request = request_in(question)
            self._hear_alert(request)
            return owner_of(self.contract, self.jobs.values(), request)
        message = MessageId(str(question.get("message", "")))
        with self._lock:
            job = self._messages.get(message)
            body = Body(message=message, pid=int(question.get("pid", 0)))
            if question.get("point") == "body-began":
                self._bodies.add(body)
                self._begun[message] += 1
                if job is not None:
                    self._ran_on[job] = (str(question.get("node")), body.pid)
            elif question.get("point") == "body-ended":
                self._bodies.discard(body)
                if job is not None:
                    self._ended[job] += 1
        return job

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

    def ran_on(self, job: JobId) -> tuple[str, int] | None:
        """The node and the process that last began the job's body."""
        with self._lock:
            return self._ran_on.get(job)

    def in_flight(self, clients: set[str]) -> tuple[JobId, ...]:
        """Jobs that the given connections hold unacknowledged."""
        self.monitor.sync()
        held = [entry for entry in self.tap.pending().values() if entry.state == DELIVERED and entry.client in clients]
        with self._lock:
            jobs = [self._messages.get(entry.message) for entry in held]
        return tuple(dict.fromkeys(job for job in jobs if job is not None))

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
        with self._lock:
            jobs = [self._messages.get(entry.message) for entry in entries]
        return tuple(dict.fromkeys(job for job in jobs if job is not None))

    def attempts_ended(self, job: JobId) -> int:
        with self._lock:
            return self._ended[job]

    def wait_attempts_ended(self, job: JobId, count: int, *, within: float) -> bool:
        with suppress(WaitedInVainError):
            return wait_until(lambda: self.attempts_ended(job) >= count, within=within, or_else="")
        return False

    def wait_body_ended(self, job: JobId, *, within: float) -> bool:
        return self.wait_attempts_ended(job, self.attempts_ended(job) + 1, within=within)

    def wait_attempt_ended(self, job: JobId, *, within: float) -> bool:
        return self.wait_attempts_ended(job, 1, within=within)

    def _messages_of(self, job: JobId) -> list[MessageId]:
        with self._lock:
            return [message for message, owner in self._messages.items() if owner == job]

    # --- messages ---

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
        self.broker.client.lpush(entry.queue, entry.raw)

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

    def connections_of(self, pids: list[int]) -> set[str]:
        """The local addresses of the processes' connections to the broker, as the broker names its clients."""
        found = set()
        for pid in pids:
            with suppress(psutil.Error):
                for connection in psutil.Process(pid).net_connections("tcp"):
                    if connection.raddr and connection.raddr.port == self.broker.port:
                        found.add(f"{connection.laddr.ip}:{connection.laddr.port}")
        return found

    def clients(self) -> set[str]:
        """The connections that the broker still sees."""
        return {str(client["addr"]) for client in self.broker.client.client_list()}

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

    def start_broker(self) -> None:
        """With its data; nothing of what it does from then on goes unheard."""
        self.broker.start_again(self.monitor.reopen)

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

    def _has_left(self, entry: Tracked) -> bool:
        """Whether a message is in no list any more, and not booked as unacknowledged either."""
        return entry.state == QUEUED and not self._is_listed(entry.queue, entry.raw)

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

    def forget(self) -> None:
        """What was before is over: no job, no message and no body of it is known any more."""
        self.monitor.sync()
        self.tap.forget()
        with self._lock:
            self._messages.clear()
            self._bodies.clear()
            self._begun.clear()
            self._ended.clear()
            self._ran_on.clear()
        self._still = (None, 0.0)

    def remove_all_but_queues(self) -> None:
        """Every key but those that say which queues there are: who has declared a queue does not declare it again."""
        keys = self.broker.client.keys("*")
        doomed = [key for key in keys if b"_kombu.binding." not in key]
        if doomed:
            self.broker.client.delete(*doomed)

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
            return f"{listed} queued, {delivered} unacknowledged, {bodies} bodies running"
        vanishing = len(pending)
        unbegun = [message for message, count in self.tap.acknowledged.items() if begun[message] < count]
        if not vanishing and not unbegun:
            return ""
        words = f"{vanishing} popped but not booked, {len(unbegun)} acknowledged but not begun"
        return self._once_still((vanishing, tuple(unbegun), begun.total()), words)

    def _once_still(self, picture: object, words: str) -> str:
        """`words` until the picture has not changed for long enough to be final."""
        before, since = self._still
        now = self.recorder.now()
        if picture != before:
            self._still = (picture, now)
            return words
        return "" if now - since >= VANISHED_SECONDS else words

    def _is_listed(self, queue: str, raw: bytes) -> bool:
        return raw in self.broker.client.lrange(queue, 0, -1)

    def close(self) -> None:
        self.monitor.close()
        for each in (self._lines, self._link):
            if each is not None:
                each.close()


def _alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _last_line(log: Path) -> str:
    """The last thing a process said, for an error of one line."""
    try:
        lines = log.read_text(errors="replace").strip().splitlines()
    except OSError:
        lines = []
    return lines[-1].strip() if lines else "it printed nothing"


def subject_python() -> str:
    return sys.executable


def subject_environment(own: Mapping[str, str]) -> dict[str, str]:
    """The environment that the subject starts with: the caller's, without the harness's own variables."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("JOBPROOF_")}
    return {**inherited, **own}

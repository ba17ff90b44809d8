"""The worker processes of a lane: started, killed, frozen, deployed and started again."""

import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import psutil
from msgspec.structs import replace

from harness.contract import Worker
from harness.events import JobId, LeftBehind, NodeExited, NodeStarted
from harness.lane import Lane
from harness.runtimes import faketime
from harness.runtimes.launch import Launch
from harness.runtimes.log_tail import tail
from harness.services.gate import Arrival, Gate, jobs_of
from harness.store import HARNESS, OBSERVER, Recorder
from harness.system import Impact, SubjectError, Target
from harness.systems.driver import Driver
from harness.waiting import WaitedInVainError, wait_until

READY_SECONDS_MAX = 60.0
GONE_SECONDS_MAX = 15.0
BACKLOG_SECONDS_MAX = 5.0
TOLD_SECONDS_MAX = 5.0
APPLIED_SECONDS_MAX = 0.5  # a request that is refused is waited for as long
SECOND_RUN_SECONDS_MAX = 15.0
TAKEN_SECONDS_MAX, STILL_SECONDS = 5.0, 0.3
READY = "worker-ready"
BODY_ENDED = "body-ended"


@dataclass(kw_only=True)
class Node:
    """One worker as the runtime runs it; `dead_clients` are the broker connections of what was killed of it."""

    worker: Worker
    pid: int = 0
    down: bool = False
    dead_clients: set[str] = field(default_factory=set)


class LaneWorkers:
    """See `harness.system.Workers`; each worker is a process group of its own."""

    def __init__(
        self,
        workers: Sequence[Worker],
        *,
        lane: Lane,
        recorder: Recorder,
        driver: Driver,
        gate: Gate,
        launch: Launch,
        movable_clocks: bool = False,
    ) -> None:
        self.nodes = {worker.name: Node(worker=worker) for worker in workers}
        self.lane = lane
        self.recorder = recorder
        self.driver = driver
        self.gate = gate
        self.launch = launch
        self.movable_clocks = movable_clocks
        self.wrapper: tuple[str, ...] = ()  # a command that becomes the one behind it
        self._frozen: list[Node] = []
        self._terminated: Node | None = None

    def start(self) -> None:
        """:raises SubjectError: a worker does not become ready"""
        nodes = list(self.nodes.values())
        with ThreadPoolExecutor(max(1, len(nodes))) as pool:  # the first ones import while the last ones are made
            list(pool.map(self._spawn, nodes))
        for node in nodes:
            self._await_ready(node)

    def pids(self) -> dict[str, list[int]]:
        """Of each worker that is up its main process and all below it, by name."""
        found = {}
        for name, node in self.nodes.items():
            if self.lane.exit_of(node.pid) is None:
                with suppress(psutil.Error):
                    found[name] = [process.pid for process in self.tree(node)]
        return found

    def _spawn(self, node: Node) -> None:
        name = node.worker.name
        launch = self.launch
        clock = faketime.environment_of(self.lane.directory, name) if self.movable_clocks else {}
        # What is loaded before everything else cannot be had by forking.
        is_forked = not clock and launch.forker.ready() and self.driver.can_fork(node.worker)
        node.pid = self.lane.spawn(
            [*self.wrapper, *self.driver.worker_command(node.worker, launch.placeholders)],
            environment={
                **launch.environment,
                **clock,
                "JOBPROOF_EVENTS": str(self.recorder.log_of(name)),
                "JOBPROOF_GATE": str(self.gate.path),
                "JOBPROOF_NODE": name,
                "JOBPROOF_ORIGIN": repr(self.recorder.origin),
            },
            cwd=launch.cwd,
            image=launch.image,
            log=f"{name}.log",
            on_exit=lambda pid, status: self._exited(name, pid, status),
            forker=launch.forker.pid if is_forked else 0,
            writes=(self.recorder.log_of(name),),
        )
        self.recorder.record(HARNESS, NodeStarted(node=name, pid=node.pid))

    def _exited(self, name: str, pid: int, status: str) -> None:
        with suppress(OSError):  # the run may be over and its directory full or gone
            self.recorder.record(HARNESS, NodeExited(node=name, pid=pid, status=status))

    def _await_ready(self, node: Node) -> None:
        name, log = node.worker.name, self.lane.directory / f"{node.worker.name}.log"

        def ready() -> bool:
            status = self.lane.exit_of(node.pid)  # asked for first: it may become ready, do one job and end at any time
            if self.driver.is_ready(name, node.pid):
                return True
            if status:
                raise SubjectError(f"worker {name!r} ended with {status} before it was ready: {tail(log)}")
            return False

        try:
            wait_until(ready, within=READY_SECONDS_MAX, or_else=f"worker {name!r} was not ready")
        except WaitedInVainError as error:
            raise SubjectError(f"{error} ({self.driver.ready_once}): {tail(log)}") from error

    # --- deaths ---

    def kill(self, target: Target, arrival: Arrival | None, *, waiting_min: int = 0) -> Impact:
        node, child = self.victim(arrival)
        if child == node.pid:
            # A pool without children: its main process is what runs the job.
            target, child = Target.MAIN if target is Target.CHILD else target, None
        with self.standing_alone(arrival, child):
            if waiting_min:
                self._await_backlog(node, len(jobs_of(arrival)) + waiting_min)
            if target is not Target.CHILD:
                return self._kill_whole(node, target, arrival, child)
            hit = f"pool child {child} of worker {node.worker.name!r}"
            return self.end_child(node, child, lambda pid: os.kill(pid, signal.SIGKILL), hit, arrival)

    @contextmanager
    def standing_alone(self, arrival: Arrival | None, child: int | None) -> Iterator[None]:
        """The child stands still at its crash point, and its worker has done what it does by itself meanwhile."""
        with standing_still(() if child is None else (child,)):
            for job in jobs_of(arrival):
                self.driver.let_the_body_stand_alone(job)
            yield

    def end_child(
        self, node: Node, child: int | None, how: Callable[[int], object], hit: str, arrival: Arrival | None
    ) -> Impact:
        """Let `how` end one pool child, until it is gone; the worker goes on.

        :raises SubjectError: the worker has no such child
        """
        below = psutil.Process(node.pid).children(recursive=True)
        doomed = [process for process in below if process.pid == child]
        if not doomed:
            raise SubjectError("it is not known which pool child runs the job: it was not seen to begin")
        doomed += doomed[0].children(recursive=True)
        dying = {process.pid for process in doomed}
        # A child that was forked late has inherited its main process's connections: those do not die with it.
        shared = self.driver.connections_of([each.pid for each in self.tree(node) if each.pid not in dying])
        clients = self.driver.connections_of(list(dying)) - shared
        how(doomed[0].pid)
        self._await_gone(node, doomed, clients)
        return Impact(targets=(hit,), jobs=jobs_of(arrival), late=self._gone_on(arrival, [each.pid for each in below]))

    def _kill_whole(
        self, node: Node, target: Target, arrival: Arrival | None = None, still: int | None = None
    ) -> Impact:
        """Kill a main process, whose children die with it, or a whole group.

        `still`: a child that was made to stand still, and is to be as it was by itself once its main process is dead.
        """

        def kill_main() -> None:
            os.kill(node.pid, signal.SIGKILL)
            if still is not None:
                _let_go_on(still)

        if target is Target.MAIN:
            return self.end(node, kill_main, f"main process {node.pid} of worker {node.worker.name!r}", arrival)
        hit = f"process group {node.pid} of worker {node.worker.name!r} ({len(self.tree(node))} processes)"
        return self.end(node, lambda: os.killpg(node.pid, signal.SIGKILL), hit, arrival)

    def end(self, node: Node, how: Callable[[], object], hit: str, arrival: Arrival | None = None) -> Impact:
        """Let `how` end a whole worker, never while a message is between the broker and its booking, until it is gone.

        `hit` says what it is that is ended. The worker is down afterwards; `recover` starts it again.
        """
        doomed = self.tree(node)
        with self.driver.nothing_in_between():
            clients = self.driver.connections_of([process.pid for process in doomed])
            held = self.driver.in_flight(clients)
            how()
            self._await_gone(node, doomed, clients)
        node.down = True
        node.dead_clients |= clients
        jobs = tuple(dict.fromkeys((*jobs_of(arrival), *held)))
        return Impact(targets=(hit,), jobs=jobs, late=self._gone_on(arrival, [each.pid for each in doomed]))

    def _gone_on(self, arrival: Arrival | None, struck: Iterable[int]) -> str:
        """That who came to the crash point had ended the body before it was struck, in words; empty if it had not.

        Nobody is held there for ever: a client loses its patience. What has gone on was not struck where it should be.
        """
        if arrival is None or arrival.job is None or not self.gate.came_since(arrival, BODY_ENDED, struck):
            return ""
        return f"{arrival.job} had gone on from {arrival.point} before it was struck"

    def victim(self, arrival: Arrival | None) -> tuple[Node, int | None]:
        """The node to strike and the pool child that runs the arrived job.

        :raises SubjectError: nobody arrived, or it was not seen who runs the job and there are several nodes
        """
        ran_on = self._ran_on(arrival.job) if arrival is not None and arrival.job is not None else None
        if ran_on is not None and ran_on[0] in self.nodes:
            return self.nodes[ran_on[0]], ran_on[1]
        if len(self.nodes) > 1:
            raise SubjectError("it is not known which worker runs the job: it was not seen to begin")
        return next(iter(self.nodes.values())), None

    def _ran_on(self, job: JobId) -> tuple[str, int] | None:
        """Who runs the job, or was the last to.

        Who arrived has begun, but that may be told later: till then the last one is dead, or of several none is known.
        """

        def told() -> bool:
            ran_on = self.driver.ran_on(job, self.pids)
            return _lives(ran_on[1]) if ran_on is not None else len(self.nodes) == 1

        with suppress(WaitedInVainError):
            wait_until(told, within=TOLD_SECONDS_MAX, or_else="nobody was seen to begin the job")
        return self.driver.ran_on(job, self.pids)

    def tree(self, node: Node) -> list[psutil.Process]:
        main = psutil.Process(node.pid)
        return [main, *main.children(recursive=True)]

    def _clients_of(self, node: Node) -> set[str]:
        return self.driver.connections_of([process.pid for process in self.tree(node)])

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
                lambda: not any(runs(process) for process in doomed), within=GONE_SECONDS_MAX / 3, or_else="not gone"
            )
        for process in doomed:
            if runs(process):
                self.recorder.record(OBSERVER, LeftBehind(kind="process", name=_named(process), node=node.worker.name))
            with suppress(psutil.Error):
                process.kill()
        wait_until(
            lambda: not any(runs(process) for process in doomed) and not clients & self.driver.clients(),
            within=GONE_SECONDS_MAX,
            or_else="the killed worker's processes or broker connections were still there",
        )

    def revive(self) -> None:
        """Start again what is down; what it held is given back by nobody but the broker."""
        for node in self.nodes.values():
            if node.down:
                node.down = False
                node.dead_clients = set()
                self._spawn(node)
                self._await_ready(node)

    def recover(self) -> None:
        for node in self.nodes.values():
            if node.down:
                self._start_again(node)

    def _start_again(self, node: Node) -> None:
        node.down = False
        clients, node.dead_clients = node.dead_clients, set()
        self.driver.redeliver(clients)
        self._spawn(node)
        self._await_ready(node)

    # --- crash loops ---

    def loop(self, arrival: Arrival | None, *, times: int) -> Impact:
        node, _ = self.victim(arrival)
        impacts = [self._kill_whole(node, Target.GROUP, arrival)]
        while len(impacts) < times:
            impacts.append(self._kill_once_up(node))
        return Impact(
            targets=(f"worker {node.worker.name!r}, {times} times, and {times - 1} of them when it had just come up",),
            jobs=tuple(dict.fromkeys(job for impact in impacts for job in impact.jobs)),
            late=impacts[0].late,
        )

    def _kill_once_up(self, node: Node) -> Impact:
        """Start it, let it take messages and begin none, and kill it.

        It takes none before it has said that it is ready, and is held while it says so; its pool stands still from then
        on. A pool without children of its own is killed with what it has taken by then, which may be nothing.
        """
        ready = self.gate.arm_next(READY)
        try:
            self._start_again(node)
            children = psutil.Process(node.pid).children(recursive=True)
            for child in children:
                child.suspend()
        finally:
            ready.release()
        if children:
            self._await_full(node)
        return self._kill_whole(node, Target.GROUP)

    def _await_full(self, node: Node) -> None:
        """Until a worker whose pool stands still has taken what it can, and has done with it what it does on arrival.

        Another worker of its queue may have been faster, so it may be nothing.
        """
        seen: tuple[JobId, ...] = ()
        since = time.monotonic()

        def full() -> bool:
            nonlocal seen, since
            held = self.driver.in_flight(self._clients_of(node))
            if held != seen:
                seen, since = held, time.monotonic()
            return bool(held) and time.monotonic() - since > STILL_SECONDS

        with suppress(WaitedInVainError):
            wait_until(full, within=TAKEN_SECONDS_MAX, or_else="it took nothing")

    # --- freezes ---

    def freeze(self, arrival: Arrival | None) -> Impact:
        node, _ = self.victim(arrival)
        if arrival is None or arrival.job is None:
            raise SubjectError("nobody stands at a crash point, so it is not known which worker to freeze")
        before = self.driver.finished(arrival.job)
        clients = self._clients_of(node)
        os.killpg(node.pid, signal.SIGSTOP)
        self._frozen.append(node)
        late = self._gone_on(arrival, [process.pid for process in self.tree(node)])
        self.driver.wait_not_popping(clients, within=GONE_SECONDS_MAX)
        second = Node(worker=replace(node.worker, name=f"{node.worker.name}-{len(self.nodes) + 1}"))
        self.nodes[second.worker.name] = second
        self._spawn(second)
        self._await_ready(second)
        held = self.driver.in_flight(clients)
        self.driver.redeliver(clients)
        self.driver.wait_finished(arrival.job, before + 1, within=SECOND_RUN_SECONDS_MAX)
        if arrival.point == "effect-received":
            # What had left is carried out now: once the worker goes on, it may have lost its patience and hang up.
            self.gate.let_go(arrival, until="effect-applied", within=APPLIED_SECONDS_MAX)
        return Impact(
            targets=(f"process group {node.pid} of worker {node.worker.name!r}",),
            jobs=tuple(dict.fromkeys((arrival.job, *held))),
            late=late,
        )

    def thaw(self) -> None:
        while self._frozen:
            os.killpg(self._frozen.pop().pid, signal.SIGCONT)

    def freeze_child(self, arrival: Arrival | None, *, within: float) -> Impact | None:
        node, child = self.victim(arrival)
        if child is None or child == node.pid:
            raise SubjectError("it is not known which pool child runs the job, so it cannot be frozen alone")
        process = psutil.Process(child)
        process.suspend()
        try:
            wait_until(lambda: not runs(process), within=within, or_else="the frozen child was still there")
        except WaitedInVainError:
            process.resume()
            return None
        return Impact(
            targets=(f"pool child {child} of worker {node.worker.name!r}",),
            jobs=jobs_of(arrival),
            late=self._gone_on(arrival, [child]),
        )

    # --- deploys ---

    def terminate(self, arrival: Arrival | None, target: Target) -> Impact:
        node, _ = self.victim(arrival)
        self._terminated = node
        node.dead_clients |= self._clients_of(node)
        held = self.driver.in_flight(node.dead_clients)
        if target is Target.GROUP:
            os.killpg(node.pid, signal.SIGTERM)
            hit = f"process group {node.pid} of worker {node.worker.name!r}"
        else:
            os.kill(node.pid, signal.SIGTERM)
            hit = f"main process {node.pid} of worker {node.worker.name!r}"
        return Impact(targets=(hit,), jobs=tuple(dict.fromkeys((*jobs_of(arrival), *held))))

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

    def replace(self, launch: Launch, *, grace_seconds: float) -> None:
        """A deploy to all at once: SIGTERM, SIGKILL after the grace, then workers that are launched so."""
        up = [node for node in self.nodes.values() if self.lane.exit_of(node.pid) is None]
        for node in up:
            node.dead_clients |= self._clients_of(node)
            os.kill(node.pid, signal.SIGTERM)
        with suppress(WaitedInVainError):
            wait_until(
                lambda: all(self.lane.exit_of(node.pid) for node in up), within=grace_seconds, or_else="one did not end"
            )
        for node in up:
            if self.lane.exit_of(node.pid) is None:
                self._kill_whole(node, Target.GROUP)
        self.launch = launch
        clients = set().union(*(node.dead_clients for node in self.nodes.values()))
        for node in self.nodes.values():
            node.down, node.dead_clients = False, set()
        self.driver.redeliver(clients)
        self.start()

    def stop_serving(self, queue: str) -> Impact:
        serving = [node for node in self.nodes.values() if queue in node.worker.queues]
        if not serving:
            raise SubjectError(f"no worker of the contract says that it serves queue {queue!r}")
        impacts = [self._kill_whole(node, Target.GROUP) for node in serving]
        return Impact(
            targets=tuple(target for impact in impacts for target in impact.targets),
            jobs=tuple(dict.fromkeys(job for impact in impacts for job in impact.jobs)),
        )


def runs(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False


@contextmanager
def standing_still(pids: Iterable[int]) -> Iterator[None]:
    """Keep processes where they stand, for as long as this is entered or until they are let go on or killed.

    A strike at a child has to wait for what is not the child's: messages are booked, the early acknowledgement leaves.
    On a busy machine the child's client could lose its patience meanwhile.
    """
    stopped = tuple(pids)
    for pid in stopped:
        with suppress(psutil.Error):  # it has ended, or is in a container and not ours to stop
            psutil.Process(pid).suspend()
    try:
        yield
    finally:
        for pid in stopped:
            _let_go_on(pid)


def _let_go_on(pid: int) -> None:
    with suppress(psutil.Error):
        psutil.Process(pid).resume()


def _lives(pid: int) -> bool:
    with suppress(psutil.Error):
        return runs(psutil.Process(pid))
    return False


def _named(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return f"{process.pid} ({' '.join(process.cmdline())[:120]})"
    return str(process.pid)

"""Where jobs are stopped: the probe and the ledger ask here at every crash point whether they may go on.

Nearly always the answer is yes at once. Where a step of the plan has armed a crash point, whoever arrives is held until
the harness has struck and releases it, or until the arrival's own process is gone.
"""

import json
import socket
import socketserver
import struct
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.events import JobId

HOLD_SECONDS_MAX = 120.0
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid

Resolver = Callable[[dict[str, Any]], JobId | None]


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """Someone at a crash point. `pid` is the process that asked: of the ledger's points, the ledger."""

    point: str
    job: JobId | None
    pid: int
    occurrence: int
    details: dict[str, Any]
    number: int = 0  # of all questions that the gate has been asked


def jobs_of(arrival: Arrival | None) -> tuple[JobId, ...]:
    """The job that somebody came to a crash point with, where anybody came with one."""
    return (arrival.job,) if arrival is not None and arrival.job is not None else ()


@dataclass(kw_only=True)
class Arm:
    """A crash point that is to stop whoever arrives as the n-th."""

    point: str
    job: JobId | None
    occurrence: int
    arrival: Arrival | None = None
    released: threading.Event = field(default_factory=threading.Event)
    arrived: threading.Event = field(default_factory=threading.Event)

    def wait(self, *, within: float) -> Arrival | None:
        """Who was stopped here, or None if nobody came in time."""
        self.arrived.wait(within)
        return self.arrival

    def release(self) -> None:
        self.released.set()


class Gate:
    """Listens on a Unix socket; one thread for each asker."""

    def __init__(self, path: Path, resolve: Resolver) -> None:
        """`resolve` hears every question, before it is answered, and says which job it is about."""
        self.path = path
        self._resolve = resolve
        self._changed = threading.Condition()
        self._arms: list[Arm] = []
        self._counts: Counter[tuple[str, JobId | None]] = Counter()
        self._notices: dict[tuple[str, str], dict[str, Any]] = {}
        self._asked = 0
        self._last: dict[tuple[str, JobId | None, int], int] = {}  # the number of the last question there of a process
        self._server = _Server(str(path), self)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), name="gate", daemon=True).start()

    def close(self) -> None:
        with self._changed:
            for arm in self._arms:
                arm.release()
        self._server.shutdown()
        self._server.server_close()

    def arm(self, point: str, job: JobId | None = None, occurrence: int = 1) -> Arm:
        arm = Arm(point=point, job=job, occurrence=occurrence)
        with self._changed:
            self._arms.append(arm)
        return arm

    def arm_next(self, point: str) -> Arm:
        """Stop whoever comes there next, however often somebody has been there, of a point that is about no job."""
        with self._changed:
            arm = Arm(point=point, job=None, occurrence=self._counts[point, None] + 1)
            self._arms.append(arm)
        return arm

    def let_go(self, arrival: Arrival, *, until: str, within: float) -> None:
        """Who was held goes on; returns once the same job has come to another point, or after `within` seconds."""
        with self._changed:
            before = self._counts[until, arrival.job]
            for arm in self._arms:
                if arm.arrival is arrival:
                    arm.release()
            self._changed.wait_for(lambda: self._counts[until, arrival.job] > before, timeout=within)

    def came_since(self, arrival: Arrival, point: str, pids: Iterable[int]) -> bool:
        """Whether one of these processes has brought the same job to another point since."""
        with self._changed:
            return any(self._last.get((point, arrival.job, pid), 0) > arrival.number for pid in pids)

    def reset(self) -> None:
        """Nothing is armed, and occurrences count from 1 again."""
        with self._changed:
            for arm in self._arms:
                arm.release()
            self._arms.clear()
            self._counts.clear()

    def notice(self, point: str, node: str, *, within: float) -> dict[str, Any] | None:
        """What a node said at a point that nobody waits behind, such as `worker-ready`; each is taken once."""
        with self._changed:
            self._changed.wait_for(lambda: (point, node) in self._notices, timeout=within)
            return self._notices.pop((point, node), None)

    def answer(self, question: dict[str, Any], hung_up: Callable[[], bool]) -> bool:
        """Hold the asker while a step wants it held; True if it was held."""
        point = str(question.get("point"))
        job = self._resolve(question)
        with self._changed:
            self._notices[point, str(question.get("node"))] = question
            self._counts[point, job] += 1
            pid = int(question.get("pid", 0))
            self._asked += 1
            self._last[point, job, pid] = self._asked
            occurrence = self._counts[point, job]
            arm = next((arm for arm in self._arms if self._meets(arm, point, job, occurrence)), None)
            if arm is not None:
                arm.arrival = Arrival(
                    point=point, job=job, pid=pid, occurrence=occurrence, details=question, number=self._asked
                )
                arm.arrived.set()
            self._changed.notify_all()
        if arm is None:
            return False
        waited = 0.0
        while not arm.released.wait(0.05) and waited < HOLD_SECONDS_MAX and not hung_up():
            waited += 0.05
        return True

    @staticmethod
    def _meets(arm: Arm, point: str, job: JobId | None, occurrence: int) -> bool:
        is_meant = bool(arm.point == point and arm.job in {None, job} and arm.occurrence == occurrence)
        return is_meant and not arm.arrived.is_set()


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, path: str, gate: Gate) -> None:
        self.gate = gate
        super().__init__(path, _Handler)


class _Handler(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        with suppress(OSError, ValueError):  # an asker that dies is what the gate is for
            for line in self.rfile:
                question = {**json.loads(line), **self._asker()}
                held = self.server.gate.answer(question, self._hung_up)
                self.wfile.write(json.dumps({"held": held}).encode() + b"\n")

    def _asker(self) -> dict[str, int]:
        """Who asks, as the kernel numbers it here: in a container a process knows itself by another number."""
        if sys.platform != "linux":
            return {}
        credentials = self.connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        return {"pid": _CREDENTIALS.unpack(credentials)[0]}

    def _hung_up(self) -> bool:
        try:
            return bool(self.connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b"")
        except BlockingIOError:
            return False
        except OSError:
            return True


def ask(path: str, question: dict[str, Any]) -> bool:
    """Stand at the gate until it answers; True if the harness held the asker. A gate that is gone lets all pass."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
            link.connect(path)
            link.sendall(json.dumps(question).encode() + b"\n")
            return bool(json.loads(link.makefile("rb").readline() or b"{}").get("held"))
    except (OSError, ValueError):
        return False

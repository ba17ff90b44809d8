"""The subject's processes beside its workers: monitors, and what recovers its jobs."""

import os
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import psutil

from harness.contract import Sidecar, fill
from harness.events import NodeExited, NodeStarted
from harness.lane import Lane
from harness.store import HARNESS, Recorder
from harness.system import SubjectError
from harness.waiting import WaitedInVainError, wait_until

GONE_SECONDS_MAX = 10.0
STARTED_SECONDS_MAX = 20.0
SLEEPS_SECONDS = 0.1


class LaneSidecars:
    """See `harness.system.Sidecars`. They are programs like any other, and none says when it is ready.

    One is taken to have started once it has slept for a moment: who imports or reads does not sleep, on a busy machine
    either, where it waits for a processor.
    """

    def __init__(
        self,
        sidecars: tuple[Sidecar, ...],
        *,
        lane: Lane,
        recorder: Recorder,
        placeholders: Mapping[str, str],
        environment: Mapping[str, str],
        cwd: Path,
    ) -> None:
        """`sidecars`: those that run in this plan."""
        self._sidecars = {sidecar.name: sidecar for sidecar in sidecars}
        self._lane = lane
        self._recorder = recorder
        self._placeholders = dict(placeholders)
        self._environment = environment
        self._cwd = cwd
        self._pids: dict[str, int] = {}  # by the name of the sidecar, or of its double
        self._slept_since: dict[int, float] = {}
        self._started: set[int] = set()
        self._idle_since: float | None = None

    def start(self) -> None:
        """Those that do not run."""
        for name in self._sidecars:
            if name not in self._pids:
                self._spawn(name)

    def wait_started(self) -> str:
        """Until they have started: a monitor that is still importing misses an age. Who did not, in words; or empty."""
        pids = self._pids.copy()
        with suppress(WaitedInVainError):
            wait_until(self._all_started(tuple(pids.values())), within=STARTED_SECONDS_MAX, or_else="one did not start")
        restless = [name for name, pid in pids.items() if not self._has_started(pid, self._recorder.now())]
        return f"not at rest after {STARTED_SECONDS_MAX:g} s: {', '.join(restless)}" if restless else ""

    def end(self) -> None:
        for name in [*self._pids]:
            self.kill(name)

    def kill(self, name: str) -> str:
        pid = self._pids.pop(name)
        if (status := self._lane.exit_of(pid)) is not None:
            raise SubjectError(f"sidecar {name!r} had ended by itself ({status})")
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        wait_until(lambda: self._lane.exit_of(pid) is not None, within=GONE_SECONDS_MAX, or_else=f"{name} lived on")
        return f"process {pid} of sidecar {name!r}"

    def double(self, name: str) -> str:
        self._spawn(name, second=True)
        second = self._second(name)
        pids = (self._pids[name], self._pids[second])
        with suppress(WaitedInVainError):  # then one alone was there for a while
            wait_until(self._all_started(pids), within=STARTED_SECONDS_MAX, or_else=f"{second} did not start")
        return f"process {self._pids[second]} beside sidecar {name!r}"

    def end_double(self, name: str) -> bool:
        second = self._second(name)
        with suppress(SubjectError):
            self.kill(second)
            return True
        return False

    def stir(self) -> None:
        """Something is still being done, and may leave something to recover."""
        self._idle_since = None

    def awaited(self, now: float) -> str:
        """What may still be recovered, in words, since all else came to rest; empty once there was time enough."""
        seconds = max((each.recovers_within_seconds for each in self._sidecars.values()), default=0.0)
        if seconds and (starting := [name for name, pid in self._pids.items() if not self._has_started(pid, now)]):
            self._idle_since = None
            return f"sidecar {starting[0]} is starting"
        if self._idle_since is None:
            self._idle_since = now
        left = self._idle_since + seconds - now
        return f"what recovers jobs may find one for {left:.1f} s more" if left > 0 else ""

    def _all_started(self, pids: tuple[int, ...]) -> Callable[[], bool]:
        # Each is looked at each time: how long one has slept is known from the looks at it.
        return lambda: all([self._has_started(pid, self._recorder.now()) for pid in pids])  # noqa: C419

    def _has_started(self, pid: int, now: float) -> bool:
        """Or has ended, for which nobody has to wait."""
        if pid in self._started or self._lane.exit_of(pid) is not None:
            return True
        try:
            sleeps = psutil.Process(pid).status() == psutil.STATUS_SLEEPING
        except psutil.Error:
            return True
        if not sleeps:
            self._slept_since.pop(pid, None)
        elif now - self._slept_since.setdefault(pid, now) >= SLEEPS_SECONDS:
            self._started.add(pid)
        return pid in self._started

    @staticmethod
    def _second(name: str) -> str:
        return f"{name}-double"

    def _spawn(self, name: str, *, second: bool = False) -> None:
        node = self._second(name) if second else name
        words = self._sidecars[name].command
        pid = self._lane.spawn(
            [fill(word, self._placeholders, where=f"sidecar {name!r}") for word in words],
            environment=self._environment,
            cwd=self._cwd,
            log=f"{node}.log",
            on_exit=lambda pid, status: self._exited(node, pid, status),
        )
        self._pids[node] = pid
        self._recorder.record(HARNESS, NodeStarted(node=node, pid=pid))

    def _exited(self, node: str, pid: int, status: str) -> None:
        with suppress(OSError):  # the run may be over and its directory full or gone
            self._recorder.record(HARNESS, NodeExited(node=node, pid=pid, status=status))

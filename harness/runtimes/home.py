"""What a lane keeps from one scenario to the next: its ports, the subject's directory, and warmed processes to fork.

Because these stay, the subject's environment is the same in every scenario of a lane, and one import of the subject
serves them all. Broker, ledger, agent and workers are new in each scenario.
"""

import itertools
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from msgspec import Struct

from harness.services.ports import claimed_ports
from harness.session import HarnessError, Lane, Session

BOOT_VARIABLE = "JOBPROOF_BOOT"
WARM, COLD = "warm", "cold"
HOME_MARKER = "JOBPROOF_HOME"
FORKER_SECONDS_MAX = 60.0
_numbers = itertools.count(1)


class Ports(Struct, frozen=True):
    """Of the broker and of the ledger."""

    broker: int
    http: int
    smtp: int


class Forker:
    """A process that imports something once; processes are forked from it when it has said that they can be.

    `pid` is 0 where processes are to be executed instead, and `why_not` says why.
    """

    def __init__(self, lane: Lane, pid: int, why_not: str = "") -> None:
        self._lane = lane
        self._asked = bool(why_not)
        self._lock = threading.Lock()
        self.pid = pid
        self.why_not = why_not

    def ready(self, *, unless: Path | None = None) -> bool:
        """Wait for its imports; whether processes can be forked from it.

        `unless`: a directory that was empty before; what the imports put there would be missing in the next scenario.
        """
        with self._lock:
            if self._asked:
                if not self.why_not and (status := self._lane.exit_of(self.pid)):
                    self.why_not = f"the process that had imported it ended with {status}"
                return not self.why_not
            self._asked = True
            said = self._lane.wait_forker(self.pid, within=FORKER_SECONDS_MAX)
            if said is not None:
                self.why_not = str(said.get("refused", ""))[:200]
            elif status := self._lane.exit_of(self.pid):
                self.why_not = f"its import ended with {status}"
            else:
                self.why_not = f"its import took longer than {FORKER_SECONDS_MAX:g} s"
            if not self.why_not and unless is not None and any(unless.iterdir()):
                self.why_not = "its import writes into the directory, which is another one in each scenario"
            return not self.why_not


class LaneHome:
    """One lane for as long as the run; a scenario at a time."""

    def __init__(
        self, session: Session, scope: Lane, *, name: str, ports: Ports, behind: Ports, ledgers: Forker
    ) -> None:
        self.session = session
        self.name = name
        self.ports = ports  # where the subject finds them
        self.behind = behind  # where they listen while proxies stand on those
        self.ledgers = ledgers
        self.directory = scope.directory / "work"
        self._scope = scope
        self._forkers: dict[tuple[str, ...], Forker] = {}

    @property
    def placeholders(self) -> dict[str, str]:
        """What the subject's environment may name: the same in every scenario of this lane."""
        return {
            "broker_url": f"redis://127.0.0.1:{self.ports.broker}/0",
            "ledger_url": f"http://127.0.0.1:{self.ports.http}",
            "smtp_url": f"smtp://127.0.0.1:{self.ports.smtp}",
            "smtp_host": "127.0.0.1",
            "smtp_port": str(self.ports.smtp),
            "directory": str(self.directory),
            "lane": self.name,
        }

    def make_ready(self) -> None:
        """An empty directory, and nothing alive of the scenario before: it would meet the next one's broker."""
        self._end_stragglers()
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(mode=0o700)

    def forker(self, argv: list[str], *, environment: Mapping[str, str], cwd: Path) -> Forker:
        """The one that imports the subject in this environment, started if there is none yet."""
        key = (*argv, str(cwd), *(f"{name}={value}" for name, value in sorted(environment.items())))
        known = self._forkers.get(key)
        if known is None:
            log = f"zygote-{len(self._forkers) + 1}.log"
            known = start_forker(self._scope, argv, environment=self.marked(environment), cwd=cwd, log=log)
            self._forkers[key] = known
        return known

    def marked(self, environment: Mapping[str, str]) -> dict[str, str]:
        """The environment of what runs in this lane, by which it is recognised if it tries to outlive its scenario."""
        return {**environment, HOME_MARKER: self.name}

    def strays(self, known: set[int]) -> list[str]:
        """What runs in this lane and is not known to it, each in words: it has outlived whoever started it."""
        names = []
        for process in self.stray_processes(known):
            with suppress(psutil.Error):
                names.append(f"{process.pid} ({' '.join(process.cmdline())[:120]})")
        return names

    def stray_processes(self, known: set[int]) -> list[psutil.Process]:
        kept = known | {forker.pid for forker in self._forkers.values()}
        return [process for process in psutil.Process().children(recursive=True) if self._strays(process, kept)]

    def is_stray(self, pid: int) -> bool:
        with suppress(psutil.Error):
            return self._strays(psutil.Process(pid), {forker.pid for forker in self._forkers.values()})
        return False

    def _end_stragglers(self) -> None:
        kept = {forker.pid for forker in self._forkers.values()}
        deadline = time.monotonic() + FORKER_SECONDS_MAX
        while time.monotonic() < deadline:
            found = [process for process in psutil.Process().children(recursive=True) if self._strays(process, kept)]
            for process in found:
                with suppress(psutil.Error):
                    process.kill()
            if not found:
                return
            psutil.wait_procs(found, timeout=1)
        raise HarnessError("what a scenario of this lane had started could not be ended before the next one")

    def _strays(self, process: psutil.Process, kept: set[int]) -> bool:
        try:
            return (
                process.pid not in kept
                and process.status() != psutil.STATUS_ZOMBIE
                and process.environ().get(HOME_MARKER) == self.name
            )
        except psutil.Error:
            return False


def start_forker(lane: Lane, argv: list[str], *, environment: Mapping[str, str], cwd: Path, log: str) -> Forker:
    """Begin the imports; `Forker.ready` waits for them."""
    if sys.platform != "linux":
        return Forker(lane, 0, "this system does not give the keeper its orphans")
    if boot() == COLD:
        return Forker(lane, 0, f"{BOOT_VARIABLE}={COLD}")
    return Forker(lane, lane.spawn(argv, environment=environment, cwd=cwd, log=log, forks=True))


def boot() -> str:
    """:raises HarnessError: the variable holds something else"""
    said = os.environ.get(BOOT_VARIABLE, WARM)
    if said not in {WARM, COLD}:
        raise HarnessError(f"{BOOT_VARIABLE}={said!r}: expected {WARM!r} or {COLD!r}")
    return said


@contextmanager
def open_homes(session: Session, count: int) -> Iterator[tuple[LaneHome, ...]]:
    """The lanes of a run. What they keep warm ends with them.

    :raises HarnessError: no ports are to be had
    """
    first = next(_numbers)
    with (
        session.lane(f"lanes-{first}") as shared,
        claimed_ports(session.directory.parent, 6 * count) as claimed,
    ):
        argv = [sys.executable, "-P", "-m", "harness.services.warm_ledger"]
        ledgers = start_forker(shared, argv, environment=dict(os.environ), cwd=shared.directory, log="ledgers.log")
        scopes = []
        try:
            homes = []
            for number in range(count):
                scope = Lane(session, shared.directory / str(number + 1))
                scope.directory.mkdir(mode=0o700)
                scopes.append(scope)
                own = claimed[6 * number : 6 * number + 6]
                homes.append(
                    LaneHome(
                        session,
                        scope,
                        name=f"jobproof_{session.directory.name}_{first}_{number + 1}",
                        ports=Ports(*own[:3]),
                        behind=Ports(*own[3:]),
                        ledgers=ledgers,
                    )
                )
            yield tuple(homes)
        finally:
            for scope in scopes:
                scope.end()

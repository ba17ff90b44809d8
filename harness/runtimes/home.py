"""What a lane keeps from one scenario to the next: its ports, the subject's directory, and warmed processes to fork.

Because these stay, the subject's environment is the same in every scenario of a lane, and one import of the subject
serves them all. Broker, ledger, agent and workers are new in each scenario.
"""

import itertools
import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from msgspec import Struct

from harness.boundaries import processes
from harness.boundaries.message_proxies import Route
from harness.codec import encode
from harness.contract import Contract, Release
from harness.lane import Lane
from harness.runtimes.forker import FORKER_SECONDS_MAX, Forker
from harness.runtimes.ground import BROKER, LEDGER, PROXY, Link, Listening, Service, ready
from harness.runtimes.subject import subject_environment, subject_python
from harness.services.gate import Gate
from harness.services.ports import claimed_ports
from harness.services.proxy.client import Toxiproxy
from harness.services.proxy.server import Settings as ProxySettings
from harness.session import HarnessError, LocalLane, Session
from harness.system import SubjectError

BOOT_VARIABLE = "JOBPROOF_BOOT"
WARM, COLD = "warm", "cold"
HOME_MARKER = "JOBPROOF_HOME"
_LOOPBACK = "127.0.0.1"
_LEDGER_PROGRAM = Path(__file__).parents[1] / "services" / "ledger" / "__main__.py"
_numbers = itertools.count(1)


class Ports(Struct, frozen=True):
    """Of the broker and of the ledger."""

    broker: int
    http: int
    smtp: int


class LaneHome:
    """One lane for as long as the run; a scenario at a time."""

    def __init__(
        self, session: Session, scope: LocalLane, *, name: str, ports: Ports, behind: Ports, ledgers: Forker
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

    def python_of(self, contract: Contract, cwd: Path) -> str:
        return subject_python(contract, cwd)

    def directory_of(self, release: Release, cwd: Path) -> Path:
        directory = cwd / release.directory
        if not directory.is_dir():
            raise SubjectError(f"the previous release's directory {directory} is not there")
        return directory

    @property
    def listening(self) -> Listening:
        return _listening(self.ports)

    @property
    def listening_behind(self) -> Listening:
        """Where the ledger listens while somebody else stands where the subject looks for it."""
        return _listening(self.behind)

    @property
    def links(self) -> tuple[Link, ...]:
        """The broker only: downstreams that refuse or reset are played better than a proxy passes them on."""
        broker, behind = (f"{_LOOPBACK}:{port}" for port in (self.ports.broker, self.behind.broker))
        return (Link(name=BROKER, listen=broker, upstream=behind),)

    def subject_environment(self, own: Mapping[str, str]) -> dict[str, str]:
        return self.marked(subject_environment(own))

    def service(self, name: str, settings: Struct) -> Service:
        """Forked from what has imported the ledger, where that is possible."""
        forker = self.ledgers.pid if name == LEDGER and self.ledgers.ready() else 0
        words = [str(_LEDGER_PROGRAM)] if forker else ["-P", "-m", f"harness.services.{name}"]
        return Service(
            argv=(sys.executable, *words, encode(settings).decode()), environment=dict(os.environ), forker=forker
        )

    def start_proxy(self, lane: Lane, gate: Gate, *, seed: int, origin: float) -> Toxiproxy:
        service = self.service(PROXY, ProxySettings(seed=seed, origin=origin, gate=str(gate.path)))
        pid = lane.spawn(service.argv, environment=service.environment, cwd=lane.directory, log="proxy.log")
        return Toxiproxy(f"http://{_LOOPBACK}:{ready(lane, gate, PROXY, pid)['port']}")

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

    @contextmanager
    def routes(self, lane: Lane) -> Iterator[dict[str, Route]]:
        """On the ports where the subject looks."""
        del lane
        yield {
            BROKER: _route(self.ports.broker, self.behind.broker),
            LEDGER: _route(self.ports.http, self.behind.http),
            "smtp": _route(self.ports.smtp, self.behind.smtp),
        }

    def unknown(self, known: set[int]) -> set[int]:
        """Whatever is below this process and nobody knows. It may be a child that was just made."""
        # The list of a process whose children come and go while it is read may lack one.
        below = {*processes.descendants(os.getpid()), *processes.descendants(os.getpid())}
        return {pid for pid in below - known if self.is_stray(pid)}

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
                and (process.environ().get(HOME_MARKER) == self.name or self.session.has_disowned(process))
            )
        except psutil.Error:
            return False


def _route(listen: int, upstream: int) -> Route:
    return Route(listen=f"{_LOOPBACK}:{listen}", upstream=f"{_LOOPBACK}:{upstream}")


def _listening(ports: Ports) -> Listening:
    return Listening(host=_LOOPBACK, http=ports.http, smtp=ports.smtp)


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
                scope = LocalLane(session, shared.directory / str(number + 1))
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

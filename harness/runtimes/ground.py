"""What a deployed lane stands on, and what a runtime has to bring along for it."""

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any, Protocol

import psutil
from msgspec import Struct

from harness.boundaries.message_proxies import Route
from harness.contract import Contract, Release
from harness.lane import Lane
from harness.runtimes.forker import Forker
from harness.runtimes.log_tail import tail
from harness.services.gate import Gate
from harness.services.proxy.client import Toxiproxy
from harness.session import HarnessError
from harness.waiting import wait_until

BROKER, LEDGER, PROXY = "broker", "ledger", "proxy"
READY_SECONDS_MAX = 60.0


class Listening(Struct, frozen=True, kw_only=True):
    """Where the ledger listens."""

    host: str
    http: int
    smtp: int


class Link(Struct, frozen=True, kw_only=True):
    """One way from the subject to a server, where a fault proxy stands in between."""

    name: str
    listen: str
    upstream: str


class Service(Struct, frozen=True, kw_only=True):
    """How one of the harness's own servers is started."""

    argv: tuple[str, ...]
    environment: dict[str, str]
    forker: int = 0


class Home(Protocol):
    """One lane for as long as the run, a scenario at a time: what stays the same from one to the next."""

    @property
    def directory(self) -> Path:
        """The subject's own, which the harness can read."""
        ...

    @property
    def placeholders(self) -> dict[str, str]:
        """What the subject's environment may name."""
        ...

    def python_of(self, contract: Contract, cwd: Path) -> str:
        """The one that runs the subject.

        :raises SubjectError: there is none
        """
        ...

    def directory_of(self, release: Release, cwd: Path) -> Path:
        """Where the programs of a release are started, given where those of the contract are.

        :raises SubjectError: there is no such folder, or none can be seen from there
        """
        ...

    @property
    def listening(self) -> Listening: ...

    @property
    def links(self) -> tuple[Link, ...]:
        """What a fault proxy stands in between, in a plan that asks for one."""
        ...

    def routes(self, lane: Lane) -> AbstractContextManager[dict[str, Route]]:
        """Where message-counting proxies are to stand, in a lane that was assembled behind them; by dependency.

        `lane`: where the harness's own programs run.

        :raises HarnessError: nobody can stand there
        """
        ...

    def subject_environment(self, own: Mapping[str, str]) -> dict[str, str]:
        """What the subject's processes start with, given what is meant for this subject."""
        ...

    def forker(self, argv: list[str], *, environment: Mapping[str, str], cwd: Path) -> Forker: ...

    def service(self, name: str, settings: Struct) -> Service:
        """How to start `harness.services.<name>`."""
        ...

    def start_proxy(self, lane: Lane, gate: Gate, *, seed: int, origin: float) -> Toxiproxy:
        """:raises HarnessError: it does not start"""
        ...

    def unknown(self, known: set[int]) -> set[int]:
        """What runs in this lane and is not among these, by the kernel's lists: quick enough for each trial."""
        ...

    def stray_processes(self, known: set[int]) -> list[psutil.Process]:
        """What runs in this lane and is not known to it: it has outlived whoever started it."""
        ...


def named(processes: Iterable[psutil.Process]) -> list[str]:
    """Each in words, if it is still there."""
    names = []
    for process in processes:
        with suppress(psutil.Error):
            names.append(f"{process.pid} ({' '.join(process.cmdline())[:120]})")
    return names


def ready(lane: Lane, gate: Gate, service: str, pid: int) -> dict[str, Any]:
    """What a service of ours says at the gate once it is ready.

    :raises HarnessError: it has ended
    """

    def answered() -> dict[str, Any] | None:
        if status := lane.exit_of(pid):
            raise HarnessError(f"the {service} ended with {status}: {tail(lane.directory / f'{service}.log')}")
        return gate.notice(f"{service}-ready", service, within=0.05)

    return wait_until(answered, within=READY_SECONDS_MAX, or_else=f"the {service} was not ready")

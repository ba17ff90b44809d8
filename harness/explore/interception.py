"""How a worker is stopped at a boundary, and what its boundaries are: one protocol, and what its ways share."""

import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Protocol

import msgspec
from msgspec import Struct

from harness.boundaries import record, user_notify
from harness.boundaries.client import SupervisorClient
from harness.boundaries.record import Part
from harness.boundaries.rules import Kill, Process, Rule, Side
from harness.boundaries.supervisor import Settings
from harness.explore.points import OF_MAIN, WHOM, Boundary, CrashPoint, Run, Sighting
from harness.session import HarnessError, Lane
from harness.systems.celery.names import OF_THE_SYSTEM
from harness.waiting import wait_until

START_SECONDS_MAX = 20.0
CRASH = "the crash"  # the name of the one rule

Namer = Callable[[str, str], str]
"""What people call a message, by its name and the dependency that it goes to."""


class Strike(Struct, frozen=True, kw_only=True):
    """A crash that was carried out: whom it killed, and what had been seen by then, the boundary included."""

    killed: tuple[int, ...]
    seen: Run
    error: str = ""


class Way(StrEnum):
    """The names of those there are."""

    SECCOMP = "seccomp"
    PROXY = "proxy"


class Interception(Protocol):
    """One lane's. A trial begins with `begin`, then at most one crash is armed."""

    @property
    def name(self) -> str: ...

    @property
    def cannot_see(self) -> tuple[str, ...]:
        """What may be a crash point and is not told, in words."""
        ...

    def begin(self) -> None: ...

    def arm(self, point: CrashPoint) -> None: ...

    def struck(self, *, within: float) -> Strike | None: ...

    def disarm(self) -> None: ...

    def seen(self) -> Run:
        """The boundaries of this trial so far."""
        ...

    def unseen(self) -> tuple[str, ...]:
        """What of this trial could not be looked at, in words."""
        ...


class ByRules:
    """What is the same of each way that arms a `Rule`, and tells what it saw as lines of `boundaries.record`."""

    def __init__(self, name_of: Namer) -> None:
        self._name_of = name_of

    def _lines(self) -> Sequence[record.Line]:
        """Those of this trial."""
        raise NotImplementedError

    def seen(self) -> Run:
        return tuple(
            Sighting(boundary=self._boundary(line), pid=line.pid, alone=_is_alone(line), seq=line.seq)
            for line in self._lines()
            if isinstance(line, record.Boundary) and line.part is not Part.END and line.process is not Process.OTHER
        )

    def unseen(self) -> tuple[str, ...]:
        return tuple(line.reason for line in self._lines() if isinstance(line, record.Unseen))

    def _strike(self, struck: record.Struck) -> Strike:
        error = struck.error
        if struck.side is Side.AFTER and struck.sent and not struck.replied and not error:
            error = "nobody answered what was sent, so it is not known whether it was applied"
        seen = tuple(each for each in self.seen() if each.seq <= struck.seq)
        return Strike(killed=struck.killed, seen=seen, error=error)

    def _boundary(self, line: record.Boundary) -> Boundary:
        label = self._name_of(line.name, line.dependency)
        if line.process is Process.MAIN and label not in OF_THE_SYSTEM:
            label = f"{OF_MAIN}{label}"
        return Boundary(
            label=label,
            process=line.process,
            dependency=line.dependency,
            name=line.name,
            occurrence=line.occurrence,
        )


def rule_of(point: CrashPoint) -> Rule:
    boundary = point.boundary
    return Rule(
        rule=CRASH,
        name=boundary.name,
        occurrence=boundary.occurrence,
        side=point.side,
        action=Kill(whom=WHOM[point.target]),
        process=boundary.process,
        dependency=boundary.dependency,
    )


class Watched(ByRules):
    """By seccomp user notification: every message of the whole process tree, in any language."""

    name = "seccomp user notification"
    cannot_see: tuple[str, ...] = (
        "io_uring, sendfile and splice; clear text under TLS; changes of files, but for commits of SQLite databases "
        "that the contract names",
    )

    def __init__(self, lane: Lane, *, origin: float, own: Path, name_of: Namer) -> None:
        super().__init__(name_of)
        self._lane = lane
        self._origin = origin
        self._own = own
        self._record = lane.directory / "boundaries.jsonl"
        self._listeners = lane.directory / "listeners.sock"
        self._control = lane.directory / "supervisor.sock"
        self._client = SupervisorClient(self._control)
        self._begins = 0
        self._pid = 0

    @property
    def environment(self) -> dict[str, str]:
        """What a worker needs to come under it."""
        return {"JOBPROOF_LISTENERS": str(self._listeners), "JOBPROOF_USER_NOTIFY": user_notify.__file__}

    def start(self, *, dependencies: dict[str, int | str], databases: dict[str, str]) -> None:
        """:raises HarnessError: the supervisor does not start"""
        settings = Settings(
            record=str(self._record),
            listeners=str(self._listeners),
            control=str(self._control),
            origin=self._origin,
            dependencies=dependencies,
            databases=databases,
            own=str(self._own),
        )
        self._pid = self._lane.spawn(
            [sys.executable, "-P", "-m", "harness.boundaries.supervisor", msgspec.json.encode(settings).decode()],
            environment=dict(os.environ),
            cwd=self._lane.directory,
            log="supervisor.log",
        )

    def wait_ready(self) -> None:
        """:raises HarnessError: it has ended"""

        def is_up() -> bool:
            if status := self._lane.exit_of(self._pid):
                raise HarnessError(f"the supervisor ended with {status}")
            with contextlib.suppress(OSError):
                return "calls" in self._client.status()
            return False

        wait_until(is_up, within=START_SECONDS_MAX, or_else="the supervisor did not start")

    def begin(self) -> None:
        """:raises HarnessError: the supervisor has ended, and with it every send of the subject fails"""
        if status := self._lane.exit_of(self._pid):
            raise HarnessError(f"the supervisor ended with {status}")
        self._client.disarm(CRASH)
        self._client.reset()
        self._begins = self._record.stat().st_size

    def arm(self, point: CrashPoint) -> None:
        self._client.arm(rule_of(point))

    def disarm(self) -> None:
        self._client.disarm(CRASH)

    def struck(self, *, within: float) -> Strike | None:
        struck = self._client.struck(CRASH, within=within)
        return None if struck is None else self._strike(struck)

    def _lines(self) -> list[record.Line]:
        return record.lines(self._record, offset=self._begins)


def _is_alone(line: record.Boundary) -> bool:
    """With several threads, what the others did in between is not known."""
    return line.unnamed == 0 and line.pid == line.tgid

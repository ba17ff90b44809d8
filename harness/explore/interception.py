"""How a worker is stopped at a boundary, and what its boundaries are: one protocol, and what its ways share."""

import contextlib
import os
import shutil
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Protocol

import msgspec
from msgspec import Struct

from harness.boundaries import clear_text, lines, record, user_notify
from harness.boundaries.client import SupervisorClient
from harness.boundaries.record import Part
from harness.boundaries.rules import Kill, Process, Rule, Side
from harness.boundaries.supervisor import Settings
from harness.explore.naming import Naming
from harness.explore.points import WHOM, CrashPoint, Run, Sighting
from harness.lane import Lane
from harness.session import HarnessError
from harness.waiting import wait_until

START_SECONDS_MAX = 20.0
CRASH = "the crash"  # the name of the one rule


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

    def begin(self, *, lines: bool = False) -> None:
        """`lines`: ask the worker for the line of the subject's code that it is at at each boundary."""
        ...

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

    def __init__(self, naming: Naming) -> None:
        self._naming = naming

    def _lines(self) -> Sequence[record.Line]:
        """Those of this trial."""
        raise NotImplementedError

    def seen(self) -> Run:
        found: list[Sighting] = []
        unnamed: set[int] = set()  # who has sent what is no boundary, since its boundary before that
        for line in self._boundaries():
            if line.process is Process.OTHER:
                continue
            boundary = self._naming.boundary(
                line.name, dependency=line.dependency, process=line.process, occurrence=line.occurrence
            )
            if boundary is None:
                unnamed.add(line.pid)
                continue
            alone = _is_alone(line) and line.pid not in unnamed
            unnamed.discard(line.pid)
            found.append(Sighting(boundary=boundary, pid=line.pid, alone=alone, seq=line.seq, where=line.where))
        return tuple(found)

    def unseen(self) -> tuple[str, ...]:
        left = sorted({line.name for line in self._boundaries() if line.process is Process.OTHER})
        told = [f"{name}, sent by a process whose parent had ended: it is not known whose it is" for name in left]
        return (*told, *(line.reason for line in self._lines() if isinstance(line, record.Unseen)))

    def _strike(self, struck: record.Struck) -> Strike:
        error = struck.error
        if struck.side is Side.AFTER and struck.sent and not struck.replied and not error:
            error = "nobody answered what was sent, so it is not known whether it was applied"
        seen = tuple(each for each in self.seen() if each.seq <= struck.seq)
        return Strike(killed=struck.killed, seen=seen, error=error)

    def _boundaries(self) -> list[record.Boundary]:
        """Each message once, by its beginning."""
        return [line for line in self._lines() if isinstance(line, record.Boundary) and line.part is not Part.END]


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
        "io_uring, sendfile and splice; clear text under TLS, but for Python's ssl; changes of files, but for commits "
        "of SQLite databases and what changes in folders that the contract names",
    )

    def __init__(self, lane: Lane, *, origin: float, own: Path, naming: Naming) -> None:
        super().__init__(naming)
        self._lane = lane
        self._origin = origin
        self._own = own
        self._record = lane.directory / "boundaries.jsonl"
        self._listeners = lane.directory / "listeners.sock"
        self._control = lane.directory / "supervisor.sock"
        self._lines_of = own / "lines"
        self._clear_texts = own / "clear-texts"
        self._client = SupervisorClient(self._control)
        self._begins = 0
        self._pid = 0

    @property
    def environment(self) -> dict[str, str]:
        """What a worker needs that comes under it by itself."""
        return {
            "JOBPROOF_LISTENERS": str(self._listeners),
            "JOBPROOF_USER_NOTIFY": user_notify.__file__,
            "JOBPROOF_CLEAR_TEXTS": str(self._clear_texts),
            "JOBPROOF_CLEAR_TEXT": clear_text.__file__,
            "JOBPROOF_LINES": str(self._lines_of),
            "JOBPROOF_TRACING": lines.__file__,
        }

    @property
    def wrapper(self) -> tuple[str, ...]:
        """What stands before the command of any other worker: it comes under it, and then becomes the worker."""
        return (sys.executable, "-I", "-S", user_notify.__file__, str(self._listeners), "main", "--")

    def start(self, *, dependencies: dict[str, int | str], databases: dict[str, str], folders: dict[str, str]) -> None:
        """:raises HarnessError: the supervisor does not start"""
        self._clear_texts.mkdir(mode=0o700)
        settings = Settings(
            record=str(self._record),
            listeners=str(self._listeners),
            control=str(self._control),
            origin=self._origin,
            dependencies=dependencies,
            databases=databases,
            folders=folders,
            clear_texts=str(self._clear_texts),
            lines=str(self._lines_of),
            own=(str(self._own), str(self._lane.directory)),
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

    def begin(self, *, lines: bool = False) -> None:
        """:raises HarnessError: the supervisor has ended, and with it every send of the subject fails"""
        shutil.rmtree(self._lines_of, ignore_errors=True)
        if lines:
            self._lines_of.mkdir()
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

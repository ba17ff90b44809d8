"""From the boundaries of a few clean runs to the crash points of a job. Pure.

SIGKILL destroys all memory, so what a crash leaves behind is decided by which messages had left. Between two
boundaries of one process in which nothing else left it, there is one crash state: dead after the first is applied and
dead before the second leaves are the same.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import TypeAlias

from msgspec import Struct

from harness.boundaries.rules import Process, Side, Whom
from harness.system import Target

WHOM: dict[Target, Whom] = {Target.CHILD: Whom.SENDER, Target.MAIN: Whom.MAIN, Target.GROUP: Whom.GROUP}


def beside(process: Process) -> str:
    """Begins the label of what a process sends that does not run the jobs, and that the system has no word for."""
    return f"{process.value}: "


Key: TypeAlias = tuple[Process, str, str, int]


class Boundary(Struct, frozen=True, kw_only=True):
    """A place in a job's life, the same in every run. `label` is its name for people, without its occurrence.

    `books`: it books a message that the broker has handed out and forgotten.
    """

    label: str
    process: Process
    dependency: str
    name: str  # as the interception calls it
    occurrence: int
    books: bool = False

    @property
    def key(self) -> Key:
        return self.process, self.dependency, self.name, self.occurrence

    @property
    def told(self) -> str:
        return f"{self.label} #{self.occurrence}"


class Sighting(Struct, frozen=True, kw_only=True):
    """A boundary in one run. `alone`: its process did nothing since its boundary before that was not seen."""

    boundary: Boundary
    pid: int
    alone: bool
    seq: int
    where: str = ""  # the line of the subject's code that it stood at, where that is known


Run: TypeAlias = tuple[Sighting, ...]
"""What one run of the job showed, in order."""


class Recorded(Struct, frozen=True, kw_only=True):
    """What the clean runs have in common, in order, and what only some of them showed or in another order."""

    stable: tuple[Boundary, ...]
    unstable: tuple[Boundary, ...]
    joined: frozenset[int]  # places in `stable` before which nothing happens since the place before, in no run
    runs: int


class Kind(StrEnum):
    JOB = "job"
    BROKER = "broker"  # between the broker's pop and its bookkeeping: no job can do anything about it


class CrashPoint(Struct, frozen=True, kw_only=True):
    """One crash: at which boundary, on which side of it, of whom. `same_as` are others that leave the same behind."""

    boundary: Boundary
    place: int  # of the boundary among those that are stable
    side: Side
    target: Target
    kind: Kind = Kind.JOB
    same_as: tuple[str, ...] = ()

    @property
    def told(self) -> str:
        """The name that `--only` takes."""
        return f"{self.boundary.told} {self.side.value} {self.target.value}"


def recorded(runs: Sequence[Run]) -> Recorded:
    """What is stable: in every run, and of each process in the same order."""
    told = {sighting.boundary.key: sighting.boundary for run in runs for sighting in run}
    keys: set[Key] = set()
    for process in Process:
        sequences = [[each.boundary.key for each in run if each.boundary.process is process] for run in runs]
        common = sequences[0] if sequences else []
        for sequence in sequences[1:]:
            common = _common(common, sequence)
        keys |= set(common)
    stable = [sighting.boundary for sighting in runs[0] if sighting.boundary.key in keys] if runs else []
    joined = {place for place in range(1, len(stable)) if all(_joined(run, stable, place) for run in runs)}
    return Recorded(
        stable=tuple(stable),
        unstable=tuple(boundary for key, boundary in told.items() if key not in keys),
        joined=frozenset(joined),
        runs=len(runs),
    )


def _common(first: list[Key], second: list[Key]) -> list[Key]:
    """The longest sequence that both contain."""
    lengths = [[0] * (len(second) + 1) for _ in range(len(first) + 1)]
    for row in range(len(first) - 1, -1, -1):
        for column in range(len(second) - 1, -1, -1):
            lengths[row][column] = (
                lengths[row + 1][column + 1] + 1
                if first[row] == second[column]
                else max(lengths[row + 1][column], lengths[row][column + 1])
            )
    found, row, column = [], 0, 0
    while row < len(first) and column < len(second):
        if first[row] == second[column]:
            found.append(first[row])
            row, column = row + 1, column + 1
        elif lengths[row + 1][column] >= lengths[row][column + 1]:
            row += 1
        else:
            column += 1
    return found


def _joined(run: Run, stable: list[Boundary], place: int) -> bool:
    """Whether in this run nothing was sent between two neighbours: by their process, or by another for the job.

    What another process sends now and then is its own housekeeping, and would be told apart by chance.
    """
    first, second = stable[place - 1], stable[place]
    keys = {boundary.key for boundary in stable}
    run = tuple(each for each in run if each.boundary.key in keys or each.boundary.process is second.process)
    at = {sighting.boundary.key: index for index, sighting in enumerate(run)}
    before, after = at[first.key], at[second.key]
    return after == before + 1 and run[after].pid == run[before].pid and run[after].alone


def crash_points(
    found: Recorded, *, targets: Iterable[Target], sides: Iterable[Side], merge: bool = True
) -> tuple[CrashPoint, ...]:
    """Every crash there is to try, each state of the world once; in the job's order."""
    points: list[CrashPoint] = []
    sides = tuple(sides)
    for target in targets:
        for place, boundary in enumerate(found.stable):
            if target is Target.CHILD and boundary.process is not Process.CHILD:
                continue  # no child sends it
            for side in (Side.BEFORE, Side.AFTER):
                if side not in sides:
                    continue
                kind = Kind.BROKER if boundary.books and side is Side.BEFORE else Kind.JOB
                point = CrashPoint(boundary=boundary, place=place, side=side, target=target, kind=kind)
                if merge and points and _is_same(points[-1], point, found):
                    points[-1] = _with(points[-1], point)
                else:
                    points.append(point)
    return tuple(sorted(points, key=lambda point: (point.place, point.side is Side.AFTER)))


def _is_same(last: CrashPoint, point: CrashPoint, found: Recorded) -> bool:
    return (
        last.target is point.target
        and last.place == point.place - 1
        and (last.side, point.side) == (Side.AFTER, Side.BEFORE)
        and point.place in found.joined
    )


def _with(point: CrashPoint, other: CrashPoint) -> CrashPoint:
    return CrashPoint(
        boundary=point.boundary,
        place=point.place,
        side=point.side,
        target=point.target,
        kind=point.kind,
        same_as=(*point.same_as, other.told),
    )


def diverged(found: Recorded, point: CrashPoint, seen: Run) -> str:
    """Why what a run showed up to the kill is not what was recorded, in words; empty if it is.

    Compared is the process that stood at the boundary: how the steps of two processes interleave is not in its hands.
    """
    known = {boundary.key for boundary in found.stable}
    process = point.boundary.process
    due = [boundary.told for boundary in found.stable[: point.place + 1] if boundary.process is process]
    there = [each.boundary.told for each in seen if each.boundary.process is process and each.boundary.key in known]
    if there == due:
        return ""
    return f"the schedule diverged: {', '.join(there) or 'nothing'} instead of {', '.join(due)}"

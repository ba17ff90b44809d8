"""Where the seconds of `jobproof run` go, with forked workers and with workers that each import the subject.

    python benchmarks/where_the_seconds_go.py [SCENARIO ...] [--seed N] [--jobs N] [--json FILE]

Both ways run one after the other on this machine, by the command that a person types, and are read from the events that
they recorded. Lanes run beside each other, so the seconds of the scenarios add up to more than the wall clock's.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from harness.checkers import judge
from harness.events import (
    Acknowledged,
    AttemptEnded,
    AttemptStarted,
    EnqueueCalled,
    Event,
    FaultBegan,
    FaultEnded,
    FaultLanded,
    NodeStarted,
    QueueDrained,
    RunEnded,
    SubjectDescribed,
)
from harness.runtimes.home import BOOT_VARIABLE, COLD, WARM
from harness.store import read_history

RUN_SECONDS_MAX = 600


@dataclass(frozen=True, kw_only=True)
class Seconds:
    """Of one scenario; together they are its whole time."""

    services: float  # until the subject has been imported and described: broker, ledger, agent
    prepare: float  # until the first worker is started
    workers: float  # until the workers are ready
    work: float  # a body runs
    striking: float  # no body runs, and a fault is struck and healed: the kill, and the new worker's boot
    waiting: float  # no body runs, and a message waits: for redelivery, for its retry
    draining: float  # until it is certain that nothing is left
    ending: float  # dead letters and tables are read

    @property
    def total(self) -> float:
        return float(sum(asdict(self).values()))


def seconds_of(events: list[Event]) -> Seconds:
    """Read a scenario's events; a moment that never came counts as the end."""
    end = _first(events, RunEnded, otherwise=max(event.at for event in events))
    described = _first(events, SubjectDescribed, otherwise=end)
    started = _first(events, NodeStarted, otherwise=end)
    ready = min(_first(events, EnqueueCalled, otherwise=end), _first(events, FaultBegan, otherwise=end))
    drained = _first(events, QueueDrained, otherwise=end)
    last = max((event.at for event in events if isinstance(event, Acknowledged | AttemptEnded)), default=ready)
    last = min(max(last, ready), drained)
    bodies = _bodies(events, otherwise=drained)
    faults = _struck(events)
    work = _covered(bodies, ready, last)
    striking = _covered([*bodies, *faults], ready, last) - work
    return Seconds(
        services=described,
        prepare=started - described,
        workers=ready - started,
        work=work,
        striking=striking,
        waiting=last - ready - work - striking,
        draining=drained - last,
        ending=end - drained,
    )


def _first(events: list[Event], kind: type[Event], *, otherwise: float) -> float:
    return min((event.at for event in events if isinstance(event, kind)), default=otherwise)


def _bodies(events: list[Event], *, otherwise: float) -> list[tuple[float, float]]:
    """When each body ran; one that was killed ran until the fault had landed."""
    kills = [event.at for event in events if isinstance(event, FaultLanded) and _kills(event)]
    found = []
    for begun in events:
        if isinstance(begun, AttemptStarted):
            ends = [
                event.at
                for event in events
                if isinstance(event, AttemptEnded) and (event.message, event.pid) == (begun.message, begun.pid)
            ]
            later = [at for at in (*ends, *kills) if at >= begun.at]
            found.append((begun.at, min(later, default=otherwise)))
    return found


def _kills(landed: FaultLanded) -> bool:
    return any(target.startswith(("pool child", "main process", "process group")) for target in landed.targets)


def _struck(events: list[Event]) -> list[tuple[float, float]]:
    """When each struck fault was in force; those that last until all is over hide nothing else."""
    drained = _first(events, QueueDrained, otherwise=float("inf"))
    begun = {event.step: event.at for event in events if isinstance(event, FaultBegan)}
    ended = {event.step: event.at for event in events if isinstance(event, FaultEnded)}
    return [(at, ended[step]) for step, at in begun.items() if step in ended and ended[step] < drained]


def _covered(spans: list[tuple[float, float]], begin: float, end: float) -> float:
    """How much of the time from `begin` to `end` lies in at least one span."""
    covered, reached = 0.0, begin
    for first, last in sorted(spans):
        upper = min(last, end)
        if upper > reached:
            covered += upper - max(first, reached)
            reached = upper
    return covered


def measured(boot: str, arguments: argparse.Namespace, directory: Path) -> dict[str, Any]:
    """One run in a way of booting: wall clock and CPU of everything in it, and the seconds of each scenario."""
    words = [*arguments.scenario, "--seed", str(arguments.seed), "--out", str(directory)]
    words += ["--jobs", str(arguments.jobs)] if arguments.jobs else []
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    ran = subprocess.run(
        [sys.executable, "-P", "-m", "harness.cli", "run", *words],
        env={**os.environ, BOOT_VARIABLE: boot},
        stdout=subprocess.PIPE,
        text=True,
        timeout=RUN_SECONDS_MAX,
        check=False,
    )
    wall, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    result = json.loads((directory / "result.json").read_bytes())
    scenarios, judging_began = {}, time.monotonic()
    for scenario in result["scenarios"]:
        if history := read_history(directory, scenario["name"]):
            judge(history)
            scenarios[scenario["name"]] = asdict(seconds_of(list(history.events)))
    judging = time.monotonic() - judging_began
    return {
        "boot": result["versions"].get("boot", ""),
        "exit_code": ran.returncode,
        "wall": wall,
        "cpu": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        # Done again, from the files: all histories are read and judged. In the run, each when its scenario has ended.
        "judging": judging,
        # Of the command itself: its start and the reports.
        "outside_of_the_run": wall - result["seconds"],
        "scenarios": scenarios,
    }


def table(way: str, run: dict[str, Any]) -> str:
    names = [field.name for field in fields(Seconds)]
    lines = [f"{way} ({run['boot']}), exit code {run['exit_code']}"]
    lines.append(f"  {'scenario':34}" + "".join(f"{name:>10}" for name in (*names, "total")))
    rows = {name: Seconds(**seconds) for name, seconds in run["scenarios"].items()}
    rows["all"] = Seconds(**{name: sum(getattr(row, name) for row in rows.values()) for name in names})
    for scenario, row in rows.items():
        lines.append(
            f"  {scenario:34}" + "".join(f"{getattr(row, name):10.2f}" for name in names) + f"{row.total:10.2f}"
        )
    lines.append(
        f"  wall {run['wall']:.1f} s (of it start and reports {run['outside_of_the_run']:.1f} s), CPU "
        f"{run['cpu']:.1f} s; all histories are read and judged in {run['judging']:.2f} s"
    )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="where the seconds of `jobproof run` go")
    parser.add_argument("scenario", nargs="*")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=0, help="lanes in parallel; default: the cores")
    parser.add_argument("--json", type=Path, help="write everything here as well")
    arguments = parser.parse_args()
    runs = {}
    with tempfile.TemporaryDirectory() as directory:
        for way in (WARM, COLD):
            runs[way] = measured(way, arguments, Path(directory) / way)
            sys.stdout.write(table(way, runs[way]) + "\n\n")
    ratio = {name: runs[COLD][name] / runs[WARM][name] for name in ("wall", "cpu")}
    sys.stdout.write(f"{COLD} / {WARM}: wall {ratio['wall']:.2f}, CPU {ratio['cpu']:.2f}\n")
    if arguments.json is not None:
        machine = {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()}
        text = json.dumps({"machine": machine, "seed": arguments.seed, "runs": runs, "cold_by_warm": ratio}, indent=2)
        arguments.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

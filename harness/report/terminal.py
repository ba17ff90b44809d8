"""What a person sees while a campaign runs and when it ends."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness import __version__
from harness.checkers import CATALOGUE
from harness.exit_codes import ExitCode
from harness.plan import Plans
from harness.report.summary import steps_about, told_together
from harness.report.visible import visible
from harness.result import GuaranteeResult, Outcome, Result, ScenarioResult

Listener = Callable[[str, ScenarioResult | None], None]

STYLE: dict[Outcome, str] = {"held": "green", "violated": "bold red", "unknown": "yellow"}
_MEANING: dict[ExitCode, str] = {
    ExitCode.HELD: "every guarantee held",
    ExitCode.VIOLATED: "a guarantee was violated",
    ExitCode.UNKNOWN: "something could not be judged",
    ExitCode.HARNESS_FAILED: "the harness itself failed",
}
_WITNESSES_SHOWN = 8
_WIDTH_WITHOUT_TERMINAL = 118


def console(*, stderr: bool = False) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    # A log file has no width of its own; a narrow default would break the table apart.
    width = None if stream.isatty() else _WIDTH_WITHOUT_TERMINAL
    return Console(stderr=stderr, width=width, highlight=False, soft_wrap=False)


@contextmanager
def progress(plans: Plans, *, runtime: str, lanes: int, quiet: bool) -> Iterator[Listener]:
    """A line for each scenario as it ends, on stderr when stdout is for a program, and what runs now on a terminal."""
    out = console(stderr=quiet)
    subject = plans.plans[0].contract.name
    bug = f" with planted bug {plans.bug}" if plans.bug else ""
    out.print(
        Text(
            f"jobproof {__version__}: {subject}{bug}, {len(plans.plans)} scenarios in {lanes} lanes, "
            f"{runtime}, seed {plans.seed}"
        ),
        soft_wrap=True,
    )
    running: dict[str, float] = {}
    lock = threading.Lock()
    done = 0
    width = max(len(plan.scenario) for plan in plans.plans)
    with out.status("starting") as status:

        def listener(name: str, result: ScenarioResult | None) -> None:
            nonlocal done
            with lock:
                if result is None:
                    running[name] = time.monotonic()
                else:
                    done += 1
                    running.pop(name, None)
                    line = Text(f"  {name:{width}}  ")
                    line.append(f"{result.outcome:8}", style=STYLE[result.outcome])
                    line.append(f"  {result.seconds:5.1f} s")
                    out.print(line)
                status.update(Text(f"{done} of {len(plans.plans)} done; running: {', '.join(running) or 'none'}"))

        yield listener


def show(result: Result, *, directory: Path | None, code: ExitCode) -> None:
    """The table scenario x guarantee, each failure with its witnesses and the command that repeats it, the end."""
    out = console()
    out.print()
    out.print(_table(result))
    for scenario in result.scenarios:
        for alike in told_together(scenario):
            if alike[0].status != "held":
                _explain(out, scenario, alike)
    out.print()
    for each in result.not_covered:
        out.print(Text(f"not covered: {visible(each.name)}: {visible(each.because)}"), soft_wrap=True)
    if directory is not None:
        out.print(Text(f"report: {directory / 'report.html'}"), soft_wrap=True)
    line = Text("exit code ")
    line.append(f"{int(code)}: {_MEANING[code]}", style=STYLE[result.outcome])
    line.append(f" (seed {result.seed}, {result.seconds:.1f} s)" if directory is not None else f" (seed {result.seed})")
    out.print(line)


def _table(result: Result) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("scenario", no_wrap=True)
    judged = {guarantee.guarantee for scenario in result.scenarios for guarantee in scenario.guarantees}
    names = [checker.guarantee for checker in CATALOGUE if checker.guarantee in judged]
    for name in names:
        table.add_column(name.replace("-", "\n"), vertical="bottom")
    for scenario in result.scenarios:
        by_name = {guarantee.guarantee: guarantee for guarantee in scenario.guarantees}
        cells = [
            Text(
                by_name[name].status.upper() if by_name[name].status == "violated" else by_name[name].status,
                style=STYLE[by_name[name].status],
            )
            if name in by_name
            else Text("-", style="dim")
            for name in names
        ]
        table.add_row(Text(scenario.name), *cells)
    return table


def _explain(out: Console, scenario: ScenarioResult, alike: tuple[GuaranteeResult, ...]) -> None:
    guarantee = alike[0]
    head = Text(f"\n{', '.join(each.guarantee for each in alike)} ", style="bold")
    head.append(guarantee.status.upper(), style=STYLE[guarantee.status])
    head.append(f" in {scenario.name}", style="bold")
    out.print(head)
    out.print(Text(f"  {visible(guarantee.because)}"))
    for step in steps_about(guarantee.because, scenario.steps):
        out.print(Text(f"  step: {visible(step)}", style="dim"))
    for witness in guarantee.witnesses[:_WITNESSES_SHOWN]:
        out.print(Text(f"  {witness.at:7.3f} s  {witness.source}:{witness.seq}  {visible(witness.says)}"))
    if len(guarantee.witnesses) > _WITNESSES_SHOWN:
        out.print(Text(f"  and {len(guarantee.witnesses) - _WITNESSES_SHOWN} more witnesses in the report"))
    out.print(Text(f"  repeat with: {scenario.replay}"), soft_wrap=True)

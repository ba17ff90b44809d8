"""What a person sees of an exploration: on the terminal, in Markdown, in one HTML file."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.table import Table
from rich.text import Text

from harness import __version__
from harness.exit_codes import ExitCode
from harness.explore.result import FATES, Exploration, PointResult
from harness.plan import Plan
from harness.report import timeline
from harness.report.markdown import command, escaped, sentence
from harness.report.summary import counted
from harness.report.terminal import STYLE, console
from harness.report.visible import HEADLINE_NAME_LENGTH_MAX, visible
from harness.result import Outcome

TARGETS = ("child", "main", "group")
LINE_LENGTH_MIN = 12  # of room for it on the terminal; with less it is only in the files
_MEANING: dict[ExitCode, str] = {
    ExitCode.HELD: "every crash point was survived",
    ExitCode.VIOLATED: "a crash point was not survived",
    ExitCode.UNKNOWN: "something could not be judged",
    ExitCode.HARNESS_FAILED: "the harness itself failed",
}
_WORST_FIRST: tuple[Outcome, ...] = ("violated", "unknown", "held")

Row = tuple[str, str, list[PointResult | str], str]
"""Boundary, side, for each target the crash, the name of the crash that it is the same as, or nothing; the line."""


def headline(found: Exploration) -> str:
    """The number, in one sentence; visible and short, still to be escaped."""
    task = visible(found.task, HEADLINE_NAME_LENGTH_MAX)
    if found.clean.outcome != "held":
        return f"{task}: no crash was tried. {found.clean.because}"
    return f"{task}: {found.survived} of {counted(len(found.counted), 'crash point')} survived."


def matrix(found: Exploration) -> list[Row]:
    """Boundary and side by target; a crash that was not tried since it is another one says which."""
    tried = {point.name: point for point in found.points}
    same = {name: point.name for point in found.points for name in point.same_as}
    rows: list[Row] = []
    for boundary in found.clean.boundaries:
        for side in ("before", "after"):
            names = [f"{boundary.name} {side} {target}" for target in TARGETS]
            cells: list[PointResult | str] = [tried.get(name) or same.get(name, "") for name in names]
            if any(cells):
                rows.append((boundary.name, side, cells, boundary.where))
    return rows


def worst_first(found: Exploration) -> list[PointResult]:
    return sorted(
        (point for point in found.points if point.outcome != "held"),
        key=lambda point: (point.of_the_broker, _WORST_FIRST.index(point.outcome)),
    )


def facts(found: Exploration) -> list[str]:
    """What the number rests on, and what it does not say."""
    told = [
        f"{counted(found.clean.runs, 'clean run')}; boundaries that were in each: {len(found.clean.boundaries)}",
        f"{counted(found.trials, 'trial')} in {found.seconds_exploring:.1f} s on {counted(found.lanes, 'lane')}",
        f"Workers were stopped by {found.interception}; it cannot see: {'; '.join(found.cannot_see)}.",
        *found.notes,
    ]
    told += [f"not covered: {each.name}: {each.because}" for each in found.not_covered]
    if found.clean.unstable:
        told.append(f"Not the same in every clean run, so not tried: {', '.join(found.clean.unstable)}.")
    return told


# --- terminal ---


@contextmanager
def progress(plan: Plan, *, lanes: int, quiet: bool) -> Iterator[Callable[[PointResult], None]]:
    """A line for each crash that was not survived as it is known, and on a terminal how many were."""
    out = console(stderr=quiet)
    bug = f" with planted bug {plan.bug}" if plan.bug else ""
    out.print(
        Text(
            f"jobproof {__version__}: {visible(plan.contract.name)}{bug}, crash points of "
            f"{visible(plan.workload[0].task)} in {counted(lanes, 'lane')}"
        ),
        soft_wrap=True,
    )
    lock = threading.Lock()
    fates: dict[str, int] = {}
    with out.status("recording") as status:

        def listener(result: PointResult) -> None:
            with lock:
                fates[result.fate] = fates.get(result.fate, 0) + 1
                if result.outcome != "held":
                    line = Text(f"  {visible(result.name)}  ")
                    line.append(result.fate, style=STYLE[result.outcome])
                    out.print(line)
                status.update(Text(", ".join(f"{count} {fate}" for fate, count in fates.items())))

        yield listener


def show(found: Exploration, *, directory: Path | None, code: ExitCode) -> None:
    out = console()
    out.print()
    if rows := matrix(found):
        out.print(_table(rows, width=out.width))
        out.print()
    out.print(Text(headline(found), style="bold"), soft_wrap=True)
    for fact in facts(found):
        out.print(Text(f"  {visible(fact)}", style="dim"), soft_wrap=True)
    for point in worst_first(found):
        head = Text(f"\n{visible(point.name)} ", style="bold")
        head.append(point.fate.upper(), style=STYLE[point.outcome])
        if point.failed:
            head.append(f" {point.failed} of {point.tried} on fresh workers")
        if point.of_the_broker:
            head.append(" (a finding about the broker, outside of the job's number)")
        out.print(head)
        for line in point.story or (point.because,):
            out.print(Text(f"  {visible(line)}"), soft_wrap=True)
        out.print(Text(f"  repeat with: {point.replay}"), soft_wrap=True)
    out.print()
    if directory is not None:
        out.print(Text(f"report: {directory / 'report.html'}"), soft_wrap=True)
    end = Text("exit code ")
    meaning = _MEANING[code] if found.points or code is not ExitCode.VIOLATED else "it does not hold without a crash"
    end.append(f"{int(code)}: {meaning}", style=STYLE[found.outcome])
    end.append(f" ({found.seconds:.1f} s)")
    out.print(end)


def _table(rows: list[Row], *, width: int) -> Table:
    """The lines have what room is left: of a long one the end is shown, where file and number are."""
    names = [visible(boundary) for boundary, *_ in rows]
    columns = {"boundary": max(map(len, ("boundary", *names))), "": len("before"), **dict.fromkeys(TARGETS, 8)}
    left = max(0, width - sum(columns.values()) - 2 * len(columns) - 1)
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", caption="= is the same as the crash above")
    table.caption_justify = "left"
    for title in columns:
        table.add_column(title, no_wrap=True)
    table.add_column("line" if left >= LINE_LENGTH_MIN else "", no_wrap=True)
    for name, (_, side, cells, where) in zip(names, rows, strict=True):
        line = Text(_end(visible(where), left) if left >= LINE_LENGTH_MIN else "", style="dim")
        table.add_row(Text(name), Text(side), *map(_styled, cells), line)
    return table


def _end(text: str, length: int) -> str:
    return text if len(text) <= length else f"\N{HORIZONTAL ELLIPSIS}{text[1 - length :]}"


def _styled(cell: PointResult | str) -> Text:
    if isinstance(cell, str):
        return Text("=" if cell else "-", style="dim")
    return Text(cell.fate.upper() if cell.outcome == "violated" else cell.fate, style=STYLE[cell.outcome])


# --- Markdown ---


def markdown(found: Exploration) -> str:
    """No text of the subject's can end a table cell, start a line, make a link or call a person."""
    lines = [f"# {found.outcome.upper()}: {escaped(headline(found), 700)}", ""]
    if found.bug:
        lines += [f"planted bug {escaped(found.bug)}", ""]
    if rows := matrix(found):
        lines += [f"| boundary | side | {' | '.join(TARGETS)} | line |", "| --- " * (len(TARGETS) + 3) + "|"]
        lines += [
            f"| {escaped(boundary)} | {side} | {' | '.join(map(_cell, cells))} | {escaped(where)} |"
            for boundary, side, cells, where in rows
        ]
        lines += ["", "= leaves the same behind as the crash above · \\- no such crash", ""]
    lines += [f"* {sentence(fact)}" for fact in facts(found)]
    lines.append("")
    for point in worst_first(found):
        lines += [f"## {point.fate.upper()}: {escaped(point.name)}", ""]
        if point.of_the_broker:
            lines += ["A finding about the broker, outside of the job's number.", ""]
        if point.failed:
            lines += [f"{point.failed} of {point.tried} on fresh workers.", ""]
        lines += [f"* {sentence(line)}" for line in point.story or (point.because,)]
        lines += ["", "Repeat it with", "", *command(point.replay), ""]
    return "\n".join([*lines, "## Repeat the whole exploration", "", *command(found.replay)]) + "\n"


def _cell(cell: PointResult | str) -> str:
    if isinstance(cell, str):
        return "=" if cell else "-"
    return {"held": "survived", "violated": "**FAILED**", "unknown": "*unknown*"}[cell.outcome]


# --- HTML ---


def html(found: Exploration) -> str:
    """One file that needs nothing else; all text is escaped, shortened and made visible."""
    return (
        timeline.environment()
        .get_template("exploration.html.j2")
        .render(
            found=found,
            headline=headline(found),
            targets=TARGETS,
            rows=matrix(found),
            numbers={point.name: number for number, point in enumerate(found.points, start=1)},
            points=worst_first(found),
            facts=facts(found),
            fates=FATES,
        )
    )

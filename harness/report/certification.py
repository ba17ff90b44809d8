"""What a person sees of a certification: on the terminal, in Markdown, in one HTML file."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.status import Status
from rich.text import Text

from harness import __version__
from harness.certify.result import Certification, Finding
from harness.contract import Contract
from harness.exit_codes import ExitCode
from harness.explore.result import PointResult
from harness.failure_modes import FAILURE_MODES
from harness.report import timeline
from harness.report.markdown import command, escaped, sentence
from harness.report.summary import counted
from harness.report.terminal import STYLE, console
from harness.report.visible import HEADLINE_NAME_LENGTH_MAX, NAME_LENGTH_MAX, SENTENCE_LENGTH_MAX, visible
from harness.result import Outcome, ScenarioResult

WINDOWS_SHOWN = 4
PLACES_SHOWN = 6
INPUTS_SHOWN = 3
_MEANING: dict[ExitCode, str] = {
    ExitCode.HELD: "nothing was found wrong",
    ExitCode.VIOLATED: "there are findings",
    ExitCode.UNKNOWN: "something could not be judged",
    ExitCode.HARNESS_FAILED: "the harness itself failed",
}
_WORD: dict[Outcome, str] = {"held": "held", "violated": "VIOLATED", "unknown": "unknown"}


def headline(found: Certification) -> str:
    """The verdict in a sentence, visible and short, still to be escaped."""
    subject = visible(found.subject, HEADLINE_NAME_LENGTH_MAX)
    seen = sum(each.status == "violated" and each.part == "run" for each in found.findings)
    read = sum(each.status == "violated" and each.part == "audit" for each in found.findings)
    open_ = sum(each.status == "unknown" for each in found.findings)
    if found.outcome == "held":
        return f"{subject}: {counted(len(found.tasks), 'task')}, and nothing was found wrong."
    told = [f"{counted(seen, 'guarantee')} violated", f"{counted(read, 'finding')} of the audit", f"{open_} unknown"]
    return f"{subject}: {', '.join(told)}."


def tasks_of(found: Certification) -> list[str]:
    """What came of each task, a line each."""
    return [
        f"{task.name}: {_WORD[task.outcome]}"
        + (f", {task.survived} of {counted(task.tried, 'crash point')} survived" if task.explored else "")
        + (f" ({task.where})" if task.where else "")
        for task in found.tasks
    ]


def drawn_of(found: Certification) -> list[str]:
    """What was drawn and not enumerated, and what follows from it, a line each."""
    lines = []
    for task in found.tasks:
        if task.drawn:
            shown = [json.dumps(each) for each in task.drawn[:INPUTS_SHOWN]]
            more = len(task.drawn) - len(shown)
            rest = f" and {more} more" if more else ""
            lines.append(
                f"{counted(len(task.drawn), 'input')} of {task.name} drawn with seed {found.seed}: "
                f"{', '.join(shown)}{rest}"
            )
    return lines + [each.told for each in found.sampled]


def covered(found: Certification) -> list[str]:
    """What was put to the test, what was only audited, and what was not covered, by ids."""
    coverage = found.coverage
    return [
        f"put to the test: {spans(coverage.tested)}",
        f"audited only: {spans(coverage.audited)}",
        f"not covered: {spans(coverage.not_covered)}",
    ]


def spans(modes: tuple[str, ...]) -> str:
    """Ids of failure modes in a line; three or more that follow each other are written as F15-F17."""
    runs: list[list[str]] = []
    for mode in modes:
        follows = runs and (mode[:1], int(mode[1:])) == (runs[-1][-1][:1], int(runs[-1][-1][1:]) + 1)
        runs = [*runs[:-1], [*runs[-1], mode]] if follows else [*runs, [mode]]
    return " ".join(f"{run[0]}-{run[-1]}" if len(run) > 2 else " ".join(run) for run in runs) or "none"  # noqa: PLR2004


def left_out_of(found: Certification) -> dict[str, list[str]]:
    """The names of what was left out, by the reason."""
    groups: dict[str, list[str]] = {}
    for each in found.left_out:
        groups.setdefault(each.because, []).append(each.name)
    return groups


def grouped(found: Certification) -> list[list[Finding]]:
    """The findings in their order; those of the audit's that are of one rule are told together."""
    groups: dict[object, list[Finding]] = {}
    for number, finding in enumerate(found.findings):
        key = (finding.name, finding.status) if finding.part == "audit" else number
        groups.setdefault(key, []).append(finding)
    return list(groups.values())


def _title(alike: list[Finding]) -> str:
    first = alike[0]
    names = list(dict.fromkeys(each.task for each in alike if each.task))
    about = f"{len(names)} tasks" if len(names) > 1 else "".join(names) or "the application"
    return f"{first.name} {_WORD[first.status]}: {about}"


# --- terminal ---


class Progress:
    """See `harness.certify.certify.Listener`."""

    def __init__(self, out: Console, status: Status) -> None:
        self._out = out
        self._status = status
        self._lock = threading.Lock()

    def began(self, what: str) -> None:
        with self._lock:
            self._out.print(Text(f"  {visible(what)}"))
            self._status.update(Text(visible(what)))

    def scenario(self, name: str, result: ScenarioResult | None) -> None:
        if result is not None:
            self._told(name, _WORD[result.outcome], result.outcome)

    def crash(self, task: str, result: PointResult) -> None:
        del task  # it was said when its crashes began
        if result.outcome != "held":
            self._told(result.name, result.fate, result.outcome)

    def _told(self, name: str, word: str, outcome: Outcome) -> None:
        with self._lock:
            self._out.print(Text(f"    {visible(name)}  ").append(word, style=STYLE[outcome]))


@contextmanager
def progress(contract: Contract, profile: str, *, seed: int, quiet: bool) -> Iterator[Progress]:
    """What is done, and what did not hold as it is known; on stderr when stdout is for a program."""
    out = console(stderr=quiet)
    out.print(
        Text(
            f"jobproof {__version__}: certifying {visible(contract.name, NAME_LENGTH_MAX)}, "
            f"{counted(len(contract.tasks), 'task')}, profile {profile}, seed {seed}"
        ),
        soft_wrap=True,
    )
    with out.status("starting") as status:
        yield Progress(out, status)


def show(found: Certification, *, directory: Path, code: ExitCode) -> None:
    out = console()
    for alike in grouped(found):
        _explain(out, alike)
    out.print()
    for line in tasks_of(found):
        out.print(Text(visible(line)), soft_wrap=True)
    for line in drawn_of(found):
        out.print(Text(visible(line), style="dim"), soft_wrap=True)
    for each in found.accepted:
        out.print(Text(f"accepted: {visible(each)}", style="dim"), soft_wrap=True)
    for because, names in left_out_of(found).items():
        out.print(Text(f"not covered: {visible(', '.join(names))}: {visible(because)}", style="dim"), soft_wrap=True)
    for line in covered(found):
        out.print(Text(line, style="dim"), soft_wrap=True)
    out.print(Text(headline(found), style="bold"), soft_wrap=True)
    out.print(Text(f"report: {directory / 'report.html'}"), soft_wrap=True)
    out.print(Text(f"exit code {int(code)}: {_MEANING[code]} ({found.seconds:.1f} s)"))


def _explain(out: Console, alike: list[Finding]) -> None:
    finding = alike[0]
    ids = f" ({', '.join(finding.failure_modes)})" if finding.failure_modes else ""
    out.print(Text(f"\n{visible(_title(alike))}", style=STYLE[finding.status]).append(ids))
    for each in alike[:PLACES_SHOWN]:
        if each.where:
            out.print(Text(f"  line: {visible(each.where)}"), soft_wrap=True)
        out.print(Text(f"  what: {visible(each.because)}"), soft_wrap=True)
    if len(alike) > PLACES_SHOWN:
        out.print(Text(f"  and {len(alike) - PLACES_SHOWN} more in the report"))
    if finding.hurts:
        out.print(Text(f"  why: {visible(finding.hurts)}", style="dim"), soft_wrap=True)
    for window in finding.windows[:WINDOWS_SHOWN]:
        at = f", at {visible(window.where)}" if window.where else ""
        out.print(Text(f"  window: {window.kind} {visible(window.name)}{at}"), soft_wrap=True)
        if window.kind == "scenario":
            out.print(Text(f"          {visible(window.told)}", style="dim"), soft_wrap=True)
    if len(finding.windows) > WINDOWS_SHOWN:
        out.print(Text(f"  and {len(finding.windows) - WINDOWS_SHOWN} more windows in the report"))
    if finding.fix:
        out.print(Text(f"  fix: {visible(finding.fix)}"), soft_wrap=True)
    if finding.windows:
        out.print(Text(f"  repeat with: {visible(finding.windows[0].replay, 2000)}"), soft_wrap=True)


# --- Markdown ---


def markdown(found: Certification) -> str:
    """The report; no text of the subject's can end a table cell, start a line, make a link or call a person."""
    facts = [f"profile {found.profile}", f"seed {found.seed}", *(f"{n} {v}" for n, v in sorted(found.versions.items()))]
    lines = [
        f"# {found.outcome.upper()}: {escaped(headline(found))}",
        "",
        " · ".join(escaped(fact) for fact in (*facts, found.began)),
        "",
        *(f"* {sentence(line)}" for line in tasks_of(found)),
        "",
    ]
    for alike in grouped(found):
        lines += _section(alike)
    if found.accepted:
        lines += ["## Accepted", "", *(f"* {sentence(each)}" for each in found.accepted), ""]
    if found.sampled:
        lines += ["## What was drawn", "", *(f"* {sentence(each)}" for each in drawn_of(found)), ""]
    lines += ["## What was covered", "", *(f"* {sentence(line)}" for line in covered(found)), ""]
    lines += [
        f"* not covered: {escaped(', '.join(names), SENTENCE_LENGTH_MAX)}: {sentence(because)}"
        for because, names in left_out_of(found).items()
    ]
    lines += ["", "Not covered, in words:", ""]
    lines += [f"* {mode}: {escaped(FAILURE_MODES[mode])}" for mode in found.coverage.not_covered]
    lines += ["", "## Repeat it", "", *command(found.replay), ""]
    return "\n".join(lines) + "\n"


def _section(alike: list[Finding]) -> list[str]:
    finding = alike[0]
    lines = [f"## {escaped(_title(alike))}", ""]
    for each in alike:
        at = f" Line: {escaped(each.where)}." if each.where else ""
        lines.append(f"* {sentence(each.because)}.{at}")
    lines += [f"* Why: {sentence(finding.hurts)}"] if finding.hurts else []
    for window in finding.windows:
        at = f", at {escaped(window.where)}" if window.where else ""
        lines.append(f"* Window: {window.kind} {escaped(window.name)}{at}. {sentence(window.told)}")
    lines += [f"* Fix: {sentence(finding.fix)}"] if finding.fix else []
    lines += [f"* Failure modes: {', '.join(finding.failure_modes)}"] if finding.failure_modes else []
    if finding.windows:
        lines += ["", "Repeat it with", "", *command(finding.windows[0].replay)]
    return [*lines, ""]


# --- HTML ---


def html(found: Certification) -> str:
    """One file that needs nothing else; all text is escaped, shortened and made visible."""
    return (
        timeline.environment()
        .get_template("certification.html.j2")
        .render(
            found=found,
            headline=headline(found),
            titled=[(_title(alike), alike[0], alike) for alike in grouped(found)],
            drawn=drawn_of(found),
            left_out=left_out_of(found),
            failure_modes=FAILURE_MODES,
        )
    )

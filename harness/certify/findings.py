"""From what audit, scenarios and crashes showed to one list: what is wrong, on which line, in which window. Pure."""

import re
from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct
from msgspec.structs import replace

from harness.advice import ADVICE
from harness.audit.finding import Audit
from harness.certify.result import Finding, Window
from harness.explore.result import Exploration, PointResult
from harness.plan import Plans
from harness.result import GuaranteeResult, Outcome, Result, ScenarioResult

SCENARIOS, CRASH_POINTS = "scenarios", "crash-points"
_JOB = re.compile(r"\b(?:job|poison)-\d+\b")
_EFFECTS = frozenset({"ledger", "smtp"})
_WORST_FIRST: tuple[Outcome, ...] = ("violated", "unknown", "held")
# What says that nothing was put to the test, where other guarantees say what went wrong.
_VACUOUS = "exercised"


class Where(Struct, frozen=True):
    """Lines of the subject's code: `tasks` by a task's name; `effects` the one that first causes an effect of it."""

    tasks: Mapping[str, str]
    effects: Mapping[str, str]

    def of(self, guarantee: str, task: str) -> str:
        line = self.effects.get(task, "") if guarantee == "effects-once" else ""
        return line or self.tasks.get(task, "")


def where_of(tasks: Mapping[str, str], explorations: Iterable[Exploration]) -> Where:
    effects: dict[str, str] = {}
    for found in explorations:
        for boundary in found.clean.boundaries:
            if boundary.dependency in _EFFECTS and boundary.where:
                effects.setdefault(found.task, boundary.where)
    return Where(tasks, effects)


def findings_of(
    audit: Audit | None,
    plans: Plans | None,
    result: Result | None,
    explorations: Mapping[str, Exploration],
    where: Where,
) -> tuple[Finding, ...]:
    """The worst first, and what was seen to happen before what was only read; `explorations` by their folders."""
    seen = [*_of_scenarios(plans, result, where)] if plans is not None and result is not None else []
    for folder, found in explorations.items():
        seen += _of_crashes(folder, found, where)
    merged: dict[tuple[Outcome, str, str], Finding] = {}
    for finding in seen:
        key = (finding.status, finding.name, finding.task)
        known = merged.get(key)
        merged[key] = finding if known is None else _together(known, finding)
    every = [*map(_at_its_window, merged.values()), *_of_audit(audit)]
    return tuple(sorted(every, key=lambda each: (_WORST_FIRST.index(each.status), each.part != "run")))


def _at_its_window(finding: Finding) -> Finding:
    """The line of the first window that has one says more than where the task begins."""
    line = next((window.where for window in finding.windows if window.where), "")
    return replace(finding, where=line) if line and finding.name != "effects-once" else finding


def _together(known: Finding, more: Finding) -> Finding:
    modes = dict.fromkeys((*known.failure_modes, *more.failure_modes))
    return replace(known, windows=(*known.windows, *more.windows), failure_modes=tuple(modes))


# --- the audit ---


def _of_audit(audit: Audit | None) -> Iterator[Finding]:
    for each in audit.findings if audit is not None else ():
        if not each.accepted:
            yield Finding(
                part="audit",
                status="violated" if each.kind == "found" else "unknown",
                name=each.rule,
                task=each.about.removeprefix("task ") if each.about.startswith("task ") else "",
                where=f"{each.file}:{each.line}",
                because=each.what,
                hurts=each.hurts,
                windows=(),
                fix=each.fix,
                failure_modes=each.failure_modes,
            )


# --- scenarios ---


def _of_scenarios(plans: Plans, result: Result, where: Where) -> Iterator[Finding]:
    task_of = {job.job: job.task for plan in plans.plans for job in plan.workload}
    for scenario in result.scenarios:
        for guarantee in _telling(scenario.guarantees):
            window = _scenario_window(scenario, guarantee)
            # A sentence about files names tasks, one about rows nobody; the steps name those that were hurt.
            named = [task_of[job] for job in _JOB.findall(guarantee.because) if job in task_of]
            named += [task for task in dict.fromkeys(task_of.values()) if _names(guarantee.because, task)]
            hurt = [task_of[job] for job in _JOB.findall(window.told) if job in task_of]
            for task in dict.fromkeys(named or hurt or [""]):
                yield _finding(guarantee, task, where, (window,), scenario.covers)


def _names(sentence: str, task: str) -> bool:
    return re.search(rf"(?<![\w.]){re.escape(task)}(?![\w.])", sentence) is not None


def _scenario_window(scenario: ScenarioResult, guarantee: GuaranteeResult) -> Window:
    jobs = set(_JOB.findall(guarantee.because))
    steps = [step for step in scenario.steps if jobs & set(_JOB.findall(step))] or list(scenario.steps)
    return Window(
        kind="scenario",
        name=scenario.name,
        told="; ".join(steps) or scenario.story,
        where="",
        replay=scenario.replay,
        proof=f"{SCENARIOS}/report.html",
    )


def _telling(guarantees: Iterable[GuaranteeResult]) -> list[GuaranteeResult]:
    """Those that did not hold; of a run that proves something, what could not be judged of it besides is left out."""
    wrong = [each for each in guarantees if each.status != "held"]
    violated = [each for each in wrong if each.status == "violated" and each.guarantee != _VACUOUS]
    return violated or wrong


# --- crash points ---


def _of_crashes(folder: str, found: Exploration, where: Where) -> Iterator[Finding]:
    if found.clean.outcome != "held":
        window = Window(
            kind="crash point",
            name="none was tried",
            told="",
            where="",
            replay=found.replay,
            proof=f"{folder}/report.html",
        )
        told = GuaranteeResult(
            guarantee="fault-free", status=found.clean.outcome, because=found.clean.because, witnesses=()
        )
        yield _finding(told, found.task, where, (window,), ())
    lines = {boundary.name: boundary.where for boundary in found.clean.boundaries}
    for point in found.points:
        if point.outcome == "held" or (point.of_the_broker and not found.strict):
            continue
        window = _crash_window(folder, point, lines.get(point.boundary, ""))
        told = GuaranteeResult(guarantee="crash-survived", status="unknown", because=point.because, witnesses=())
        telling = _telling(point.guarantees) if point.outcome == "violated" else [told]
        for number, guarantee in enumerate(telling):
            # The story ends with what to do about the first; the job system knows that best of its own messages.
            own = guarantee.guarantee == "nothing-lost" and not number and len(point.story) > 1
            fix = point.story[-1] if own else ""
            yield _finding(guarantee, found.task, where, (window,), (), fix=fix)


def unexplored(task: str, because: str, where: Where) -> Finding:
    """That no crash point of a task could be tried."""
    told = GuaranteeResult(guarantee="crash-survived", status="unknown", because=because, witnesses=())
    return _finding(told, task, where, (), ())


def _crash_window(folder: str, point: PointResult, where: str) -> Window:
    often = f" ({point.failed} of {point.tried} on fresh workers)" if point.tried else ""
    return Window(
        kind="crash point",
        name=f"{point.name}{often}",
        told=point.story[0] if point.story else point.because,
        where=where,
        replay=point.replay,
        proof=f"{folder}/report.html",
    )


def _finding(
    guarantee: GuaranteeResult,
    task: str,
    where: Where,
    windows: tuple[Window, ...],
    failure_modes: tuple[str, ...],
    *,
    fix: str = "",
) -> Finding:
    if not fix and guarantee.status == "violated":
        fix = ADVICE.get(guarantee.guarantee, "")
    return Finding(
        part="run",
        status=guarantee.status,
        name=guarantee.guarantee,
        task=task,
        where=where.of(guarantee.guarantee, task),
        because=guarantee.because,
        hurts="",
        windows=windows,
        fix=fix,
        failure_modes=failure_modes,
    )

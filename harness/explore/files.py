"""The folder of an exploration.

    explore.json  events/<trial>.<source>.jsonl  report.html  report.md  trials.html

Kept are the events of the clean run and of each crash that was not survived.
"""

from pathlib import Path

import msgspec

from harness.checkers import judge
from harness.codec import pretty, read
from harness.explore.result import Exploration, PointResult, outcome_of
from harness.explore.stage import CLEAN
from harness.history import History
from harness.report import exploration as report
from harness.report import html
from harness.result import Result, ScenarioResult, guarantee_result, worst_outcome
from harness.result import outcome_of as outcome_of_verdicts
from harness.store import read_history

EXPLORE_JSON = "explore.json"


def finish(directory: Path, found: Exploration) -> None:
    """Write everything that follows the events.

    :raises OSError: a file cannot be written
    """
    (directory / EXPLORE_JSON).write_bytes(pretty(found))
    (directory / "report.md").write_text(report.markdown(found), encoding="utf-8")
    (directory / "report.html").write_text(report.html(found), encoding="utf-8")
    histories = {name: history for name in _kept(found) if (history := read_history(directory, name)) is not None}
    (directory / "trials.html").write_text(html.render(as_result(found, histories), histories), encoding="utf-8")


def checked(directory: Path) -> Exploration:
    """An exploration, with the crashes whose events were kept judged again by today's checkers.

    :raises UnreadableError: a file is damaged
    """
    found = read(directory / EXPLORE_JSON, Exploration)
    points = tuple(_judged_again(directory, point) for point in found.points)
    return msgspec.structs.replace(found, points=points, outcome=outcome_of(found.clean, points, strict=found.strict))


def _judged_again(directory: Path, point: PointResult) -> PointResult:
    history = read_history(directory, point.trial) if point.trial else None
    if history is None:
        return point
    verdicts = judge(history)
    told = outcome_of_verdicts(verdicts)
    because = next((verdict.because for verdict in verdicts if verdict.status.word == told), "")
    if point.outcome == "unknown" and told == "violated":
        return point  # it did not happen again on fresh workers, which no history can tell
    return msgspec.structs.replace(
        point,
        outcome=told,
        because="" if told == "held" else because,
        guarantees=tuple(guarantee_result(verdict) for verdict in verdicts),
    )


def _kept(found: Exploration) -> tuple[str, ...]:
    return (CLEAN, *(point.trial for point in found.points if point.trial))


def as_result(found: Exploration, histories: dict[str, History]) -> Result:
    """The kept trials as the scenarios of a run, for the report that shows timelines and witnesses."""
    told = {point.trial: point for point in found.points if point.trial}
    scenarios = tuple(
        ScenarioResult(
            name=name,
            story=told[name].name if name in told else "the job runs once, and nothing happens to it",
            outcome=told[name].outcome if name in told else found.clean.outcome,
            seconds=round(max((event.at for event in history.events), default=0.0) - history.began.at, 3),
            covers=(),
            steps=history.began.steps,
            guarantees=tuple(guarantee_result(verdict) for verdict in judge(history)),
            replay=told[name].replay if name in told else found.replay,
        )
        for name, history in histories.items()
    )
    return Result(
        schema_version=1,
        outcome=worst_outcome([each.outcome for each in scenarios]),
        subject=found.subject,
        bug=found.bug,
        seed=0,
        began=found.began,
        seconds=found.seconds,
        versions=found.versions,
        scenarios=scenarios,
        replay=found.replay,
    )

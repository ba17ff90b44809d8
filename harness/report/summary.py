"""What every report says first: the outcome in one sentence, the matrix, the worst first."""

import re

from harness.report.visible import HEADLINE_NAME_LENGTH_MAX, visible
from harness.result import GuaranteeResult, Outcome, Result, ScenarioResult

_WORD = re.compile(r"[\w-]+")
_WORST_FIRST: tuple[Outcome, ...] = ("violated", "unknown", "held")


def guarantees_of(result: Result) -> tuple[str, ...]:
    """The columns of the matrix: every guarantee that was put to the test, in the order of the verdicts."""
    longest_first = sorted(result.scenarios, key=lambda scenario: -len(scenario.guarantees))
    return tuple(dict.fromkeys(each.guarantee for scenario in longest_first for each in scenario.guarantees))


def worst_first(result: Result) -> tuple[ScenarioResult, ...]:
    return tuple(sorted(result.scenarios, key=lambda scenario: _WORST_FIRST.index(scenario.outcome)))


def told_together(scenario: ScenarioResult) -> tuple[tuple[GuaranteeResult, ...], ...]:
    """The guarantees, worst first, and those together that have the same verdict for the same reason."""
    groups: dict[object, list[GuaranteeResult]] = {}
    for each in sorted(scenario.guarantees, key=lambda each: _WORST_FIRST.index(each.status)):
        groups.setdefault((each.status, each.because, each.witnesses), []).append(each)
    return tuple(map(tuple, groups.values()))


def steps_about(because: str, steps: tuple[str, ...]) -> tuple[str, ...]:
    """The steps that name a job that a verdict's sentence names; all of them where none does."""
    named = set(_WORD.findall(because))
    about = tuple(
        step for step in steps if named & {word for word in _WORD.findall(step) if any(map(str.isdigit, word))}
    )
    return about or steps


def counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def headline(result: Result) -> str:
    """The outcome in a sentence or two, visible and short, still to be escaped: the subject's name is in it."""
    rest = f" Not covered: {len(result.not_covered)} more, see below." if result.not_covered else ""
    return _outcome(result) + rest


def _outcome(result: Result) -> str:
    subject = visible(result.subject, HEADLINE_NAME_LENGTH_MAX) or "the subject"
    scenarios = counted(len(result.scenarios), "scenario")
    if result.outcome == "held":
        return f"{subject} held every guarantee in {scenarios}."
    found = [scenario for scenario in result.scenarios if scenario.outcome == result.outcome]
    kinds = {each.guarantee for scenario in found for each in scenario.guarantees if each.status == result.outcome}
    where = f"in {len(found)} of {scenarios}"
    if result.outcome == "violated":
        return f"{subject} violated {counted(len(kinds), 'guarantee')} {where}."
    if not found:
        return f"{subject} could not be judged: no scenario was run."
    return f"{subject} could not be judged {where}. Unknown is not a pass."

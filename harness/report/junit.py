"""The report as JUnit XML, for a CI's test tab: a scenario is a testsuite, a guarantee a testcase."""

from typing import Any

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

from harness.report.visible import COMMAND_LENGTH_MAX, NAME_LENGTH_MAX, visible
from harness.result import GuaranteeResult, Result, ScenarioResult

WITNESSES_MAX = 50

# What junitparser makes is held as Any here: its classes are typed, their methods are not.


def render(result: Result) -> str:
    """Well-formed XML 1.0 whatever the subject's text holds. Green only if the whole result held.

    Violated is a failure, unknown an error of type "unknown"; each message ends with the command that repeats it. What
    the subject could not be put to is skipped, with the reason.
    """
    report: Any = JUnitXml(visible(f"jobproof: {result.subject}", NAME_LENGTH_MAX))
    suites = [(_suite(result, scenario), scenario.seconds) for scenario in result.scenarios]
    if result.not_covered:
        suites.append((_left_out(result), 0.0))
    worst = {scenario.outcome for scenario in result.scenarios}
    if result.outcome != "held" and result.outcome not in worst:
        because = "no scenario was judged" if not worst else "the run as a whole did not hold"
        suites.append((_unjudged(because, result.replay), 0.0))
    for suite, _ in suites:
        report.append(suite)  # not add_testsuite, which would merge two that look alike
    report.update_statistics()
    for suite, seconds in suites:
        suite.time = seconds  # of the whole scenario; its guarantees are judged on one and the same run
    report.time = result.seconds
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{report.tostring().decode()}\n'


def _suite(result: Result, scenario: ScenarioResult) -> Any:
    suite: Any = TestSuite(visible(scenario.name, NAME_LENGTH_MAX))
    if result.began:
        suite.timestamp = visible(result.began, NAME_LENGTH_MAX)
    suite.add_property("seed", str(result.seed))
    if result.bug:
        suite.add_property("bug", visible(result.bug, NAME_LENGTH_MAX))
    for name, version in sorted(result.versions.items()):
        suite.add_property(visible(f"version of {name}", NAME_LENGTH_MAX), visible(version, NAME_LENGTH_MAX))
    if scenario.covers:
        suite.add_property("covers", visible(", ".join(scenario.covers), NAME_LENGTH_MAX))
    suite.add_property("replay", visible(scenario.replay, COMMAND_LENGTH_MAX))
    for guarantee in scenario.guarantees:
        suite.append(_case(scenario, guarantee))
    if scenario.outcome not in {"held", *(each.status for each in scenario.guarantees)}:
        suite.append(_not_passed("outcome", scenario.name, "no guarantee was judged", scenario.replay))
    return suite


def _case(scenario: ScenarioResult, guarantee: GuaranteeResult) -> Any:
    case: Any = TestCase(visible(guarantee.guarantee, NAME_LENGTH_MAX), visible(scenario.name, NAME_LENGTH_MAX))
    if guarantee.status == "held":
        return case
    repeat = f"repeat with: {visible(scenario.replay, COMMAND_LENGTH_MAX)}"
    kind, word = (Failure, "violated") if guarantee.status == "violated" else (Error, "unknown")
    finding = kind(f"{visible(guarantee.because)}; {repeat}", word)
    left_out = len(guarantee.witnesses) - WITNESSES_MAX
    finding.text = "\n".join(
        [
            visible(guarantee.because),
            *(f"step: {visible(step)}" for step in scenario.steps),
            *(
                f"{each.at:9.3f} s  {visible(each.source, NAME_LENGTH_MAX)}:{each.seq}  {visible(each.says)}"
                for each in guarantee.witnesses[:WITNESSES_MAX]
            ),
            *([f"{left_out} more witnesses are in result.json"] if left_out > 0 else []),
            repeat,
        ]
    )
    case.append(finding)
    return case


def _left_out(result: Result) -> Any:
    suite: Any = TestSuite("not covered")
    for each in result.not_covered:
        case: Any = TestCase(visible(each.name, NAME_LENGTH_MAX), "not covered")
        case.append(Skipped(visible(each.because)))
        suite.append(case)
    return suite


def _unjudged(because: str, replay: str) -> Any:
    suite: Any = TestSuite("run")
    suite.append(_not_passed("outcome", "run", because, replay))
    return suite


def _not_passed(name: str, of: str, because: str, replay: str) -> Any:
    case: Any = TestCase(name, visible(of, NAME_LENGTH_MAX))
    case.append(Error(f"{because}; repeat with: {visible(replay, COMMAND_LENGTH_MAX)}", "unknown"))
    return case

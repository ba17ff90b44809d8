"""A certification as JUnit XML: each part is a testsuite, each finding and each task that held a testcase."""

from collections.abc import Iterable
from typing import Any

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

from harness.certify.result import Certification, Finding
from harness.report.visible import COMMAND_LENGTH_MAX, NAME_LENGTH_MAX, visible
from harness.result import Outcome

# What junitparser makes is held as Any here: its classes are typed, their methods are not.


def render(found: Certification) -> str:
    """Well-formed XML 1.0 whatever the subject's text holds. Green only if the whole certification held."""
    report: Any = JUnitXml(visible(f"jobproof certify: {found.subject}", NAME_LENGTH_MAX))
    suites = [
        _suite("audit", (_case(each.name, each) for each in found.findings if each.part == "audit")),
        _suite("runs", (_case(each.name, each) for each in found.findings if each.part == "run")),
        _suite("tasks", (_plain(task.name, "task", task.outcome) for task in found.tasks)),
        _suite("scenarios", (_plain(name, "scenario", outcome) for name, outcome in found.scenarios.items())),
        _suite("not covered", (_skipped(each.name, each.because) for each in found.left_out)),
        _suite("verdict", (_plain("outcome", "certification", found.outcome),)),
    ]
    for suite in suites:
        suite.add_property("replay", visible(found.replay, COMMAND_LENGTH_MAX))
        report.append(suite)
    report.update_statistics()
    report.time = found.seconds
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{report.tostring().decode()}\n'


def _suite(name: str, cases: Iterable[Any]) -> Any:
    suite: Any = TestSuite(name)
    for case in cases:
        suite.append(case)
    return suite


def _case(name: str, finding: Finding) -> Any:
    case: Any = TestCase(visible(name, NAME_LENGTH_MAX), visible(finding.task or "application", NAME_LENGTH_MAX))
    kind = Failure if finding.status == "violated" else Error
    told = kind(visible(finding.because), finding.status)
    told.text = "\n".join(
        [
            f"line: {visible(finding.where)}",
            *(f"window: {each.kind} {visible(each.name)}: {visible(each.told)}" for each in finding.windows),
            f"fix: {visible(finding.fix)}",
            *(f"repeat with: {visible(each.replay, COMMAND_LENGTH_MAX)}" for each in finding.windows),
        ]
    )
    case.append(told)
    return case


def _plain(name: str, of: str, outcome: Outcome) -> Any:
    case: Any = TestCase(visible(name, NAME_LENGTH_MAX), of)
    if outcome != "held":
        case.append((Failure if outcome == "violated" else Error)(f"{of} {outcome}", outcome))
    return case


def _skipped(name: str, because: str) -> Any:
    case: Any = TestCase(visible(name, NAME_LENGTH_MAX), "not covered")
    case.append(Skipped(visible(because)))
    return case

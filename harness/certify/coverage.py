"""Which failure modes a certification says something about. Pure."""

from collections.abc import Iterable, Iterator

from harness.audit.finding import Audit, Rule
from harness.certify.result import Coverage
from harness.explore.result import Exploration, PointResult
from harness.failure_modes import FAILURE_MODES
from harness.result import Outcome, ScenarioResult

_OF_TARGET = {"child": "F01", "main": "F02", "group": "F04"}
# What a crash at a boundary falls between, by where the boundary leads or what it is.
_EFFECTS = frozenset({"ledger", "smtp"})
_OF_SIDE = {"before": ("W7",), "after": ("W8", "W9")}
_OF_BOOKKEEPING = {"ack": ("W13",), "result": ("W11",)}
_JUDGED: frozenset[Outcome] = frozenset({"held", "violated"})


def coverage_of(
    scenarios: Iterable[ScenarioResult],
    explorations: Iterable[Exploration],
    audit: Audit | None,
    rules: Iterable[Rule],
) -> Coverage:
    """What was not judged, or not put to the test at all, stands among what is not covered."""
    tested = {mode for scenario in scenarios if scenario.outcome in _JUDGED for mode in scenario.covers}
    for found in explorations:
        dependencies = {boundary.name: boundary.dependency for boundary in found.clean.boundaries}
        for point in found.points:
            if point.outcome in _JUDGED:
                tested.update(_modes_of(point, dependencies.get(point.boundary, "")))
    undecided = (
        {finding.rule for finding in audit.findings if finding.kind == "unknown"} if audit is not None else set()
    )
    asked = [rule for rule in rules if audit is not None and rule.name in audit.rules and rule.name not in undecided]
    audited = {mode for rule in asked for mode in rule.failure_modes} - tested
    return Coverage(
        tested=_in_order(tested),
        audited=_in_order(audited),
        not_covered=_in_order(FAILURE_MODES.keys() - tested - audited),
    )


def _modes_of(point: PointResult, dependency: str) -> Iterator[str]:
    yield _OF_TARGET[point.target]
    if point.of_the_broker:
        yield "W4"
    elif dependency in _EFFECTS:
        yield from _OF_SIDE[point.side]
    elif point.side == "before":
        yield from _OF_BOOKKEEPING.get(point.boundary.partition(" ")[0], ())


def _in_order(ids: Iterable[str]) -> tuple[str, ...]:
    known = list(FAILURE_MODES)
    return tuple(sorted(ids, key=known.index))

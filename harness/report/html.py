"""The report as one HTML file that needs nothing else: no request, no script, light and dark, on paper too."""

from collections.abc import Mapping
from typing import Final

from markupsafe import Markup
from msgspec import Struct

from harness.checkers import CATALOGUE
from harness.history import History
from harness.report import timeline
from harness.report.summary import guarantees_of, headline, steps_about, told_together, worst_first
from harness.report.visible import COMMAND_LENGTH_MAX, visible
from harness.result import GuaranteeResult, Outcome, Result, ScenarioResult, Witness

WITNESSES_MAX: Final = 100
STEPS_MAX: Final = 30

_PROMISES: Final = {checker.guarantee: checker.sentence for checker in CATALOGUE}
_SPOKEN: Final[dict[Outcome, str]] = {"held": "held", "violated": "violated", "unknown": "could not be judged"}


class _Finding(Struct, frozen=True):
    """Guarantees that got the same verdict for the same reason; `anchors` has one place to link to for each."""

    status: Outcome
    guarantees: tuple[str, ...]
    anchors: tuple[str, ...]
    promises: tuple[str, ...]
    because: str
    witnesses: tuple[tuple[int, Witness], ...]
    left_out: int


class _Section(Struct, frozen=True):
    anchor: str
    scenario: ScenarioResult
    findings: tuple[_Finding, ...]
    drawing: Markup | None


def render(result: Result, histories: Mapping[str, History]) -> str:
    """The report; a scenario without a history has no timeline. All text is escaped, shortened and made visible."""
    # Anchors are numbers: a name is hostile, and two may look alike.
    numbers = {id(scenario): number for number, scenario in enumerate(result.scenarios, start=1)}
    columns = guarantees_of(result)
    sections = [
        _section(numbers[id(scenario)], scenario, columns, histories.get(scenario.name))
        for scenario in worst_first(result)
    ]
    return (
        timeline.environment()
        .get_template("report.html.j2")
        .render(
            result=result,
            spoken=_SPOKEN,
            headline=headline(result),
            columns=columns,
            promises=_PROMISES,
            rows=[_row(numbers[id(scenario)], scenario, columns) for scenario in result.scenarios],
            sections=sections,
            first=next(
                (section for section in sections if section.scenario.outcome != "held" and section.findings), None
            ),
            steps_max=STEPS_MAX,
            steps_about=steps_about,
            faithful=lambda command: visible(command, COMMAND_LENGTH_MAX) == command,
        )
    )


def _row(
    number: int, scenario: ScenarioResult, columns: tuple[str, ...]
) -> tuple[str, ScenarioResult, list[tuple[str, Outcome | None]]]:
    status = {each.guarantee: each.status for each in scenario.guarantees}
    return f"s{number}", scenario, [(_anchor(number, columns, name), status.get(name)) for name in columns]


def _anchor(number: int, columns: tuple[str, ...], guarantee: str) -> str:
    return f"s{number}-g{columns.index(guarantee) + 1}"


def _section(number: int, scenario: ScenarioResult, columns: tuple[str, ...], history: History | None) -> _Section:
    told = told_together(scenario)
    shown: dict[tuple[str, int, str], timeline.Ring] = {}
    for together in told:
        for witness in together[0].witnesses[:WITNESSES_MAX]:
            shown.setdefault(_key(witness), timeline.Ring(len(shown) + 1, together[0].status))
    return _Section(
        f"s{number}",
        scenario,
        tuple(_finding(number, columns, together, shown) for together in told),
        timeline.render(history, shown) if history is not None else None,
    )


def _finding(
    number: int,
    columns: tuple[str, ...],
    together: tuple[GuaranteeResult, ...],
    shown: Mapping[tuple[str, int, str], timeline.Ring],
) -> _Finding:
    names = tuple(each.guarantee for each in together)
    witnesses = together[0].witnesses
    return _Finding(
        together[0].status,
        names,
        tuple(_anchor(number, columns, name) for name in names),
        tuple(_PROMISES[name] for name in names if name in _PROMISES),
        together[0].because,
        tuple((shown[_key(witness)].number, witness) for witness in witnesses[:WITNESSES_MAX]),
        max(0, len(witnesses) - WITNESSES_MAX),
    )


def _key(witness: Witness) -> tuple[str, int, str]:
    return witness.source, witness.seq, witness.event

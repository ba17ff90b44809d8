"""From what was seen to one list of findings, what was covered, and reports that nothing of the subject's can break."""

import xml.etree.ElementTree as ET
from typing import Any

import pytest

from harness.audit.rules import CATALOGUE as RULES
from harness.certify.coverage import coverage_of
from harness.certify.findings import Where, findings_of, where_of
from harness.certify.result import SCHEMA_VERSION, Certification, Coverage, Finding, TaskResult, Window
from harness.contract import Contract, Task
from harness.events import JobId
from harness.explore.result import BoundaryResult, CleanResult, Exploration, PointResult
from harness.failure_modes import FAILURE_MODES
from harness.plan import NotCovered, Plan, Plans
from harness.report import certification, certification_junit
from harness.result import GuaranteeResult, Outcome, Result, ScenarioResult
from harness.system import PlannedJob
from scenarios import CATALOGUE

TASK = "shop.mail"
CONTRACT = Contract(app="shop:app", tasks=(Task(name=TASK, inputs=({"order": 1},)),))
JOB = PlannedJob(job=JobId("job-1"), task=TASK, arguments={"order": 1}, identity="1")
PLANS = Plans(
    seed=1, plans=(Plan(scenario="s", story="", seed=1, contract=CONTRACT, workload=(JOB,), steps=(), guarantees=()),)
)
HOSTILE = "<script>alert(1)</script>\x1b[31m\u202e | @everyone \ud800"


def guarantee(name: str, status: Outcome, because: str = "job-1 was hurt") -> GuaranteeResult:
    return GuaranteeResult(guarantee=name, status=status, because=because, witnesses=())


def scenario(*guarantees: GuaranteeResult, name: str = "s", covers: tuple[str, ...] = ("F24",)) -> ScenarioResult:
    worst = max((each.status for each in guarantees), key=("held", "unknown", "violated").index)
    return ScenarioResult(
        name=name,
        story="",
        outcome=worst,
        seconds=1.0,
        covers=covers,
        steps=("deliver job-1 again",),
        guarantees=guarantees,
        replay=f"jobproof run {name}",
    )


def result(*scenarios: ScenarioResult) -> Result:
    return Result(
        schema_version=1,
        outcome="violated",
        subject="shop",
        bug="",
        seed=1,
        began="",
        seconds=1.0,
        versions={},
        scenarios=scenarios,
        replay="",
    )


def point(outcome: Outcome, *guarantees: GuaranteeResult, **fields: Any) -> PointResult:
    told: dict[str, Any] = {
        "name": "POST /mails #1 after child",
        "boundary": "POST /mails #1",
        "side": "after",
        "target": "child",
        "of_the_broker": False,
        "same_as": (),
        "because": "not tried",
        "failed": 2,
        "tried": 2,
        "story": ("Crash: here.", "Do this."),
        "seconds": 1.0,
        "trial": "",
        "replay": "jobproof explore",
    }
    return PointResult(outcome=outcome, guarantees=guarantees, **{**told, **fields})


def exploration(*points: PointResult, clean: Outcome = "held") -> Exploration:
    boundary = BoundaryResult(name="POST /mails #1", process="child", dependency="ledger", where="shop/tasks.py:24")
    return Exploration(
        schema_version=1,
        outcome="violated",
        subject="shop",
        task=TASK,
        bug="",
        began="",
        seconds=1.0,
        seconds_exploring=1.0,
        seconds_to_failure=None,
        trials=1,
        lanes=1,
        versions={},
        interception="seccomp",
        cannot_see=(),
        notes=(),
        strict=False,
        clean=CleanResult(runs=3, outcome=clean, because="without any crash: x", boundaries=(boundary,), unstable=()),
        points=points,
        replay="jobproof explore",
    )


def found(*scenarios: ScenarioResult, crashes: Exploration | None = None) -> tuple[Finding, ...]:
    explorations = {"crash-points/shop": crashes} if crashes is not None else {}
    where = where_of({TASK: "shop/tasks.py:10"}, explorations.values())
    return findings_of(None, PLANS, result(*scenarios), explorations, where)


def test_the_same_guarantee_of_the_same_task_is_one_finding_with_all_of_its_windows() -> None:
    crashes = exploration(point("violated", guarantee("effects-once", "violated")))
    (one,) = found(
        scenario(guarantee("effects-once", "violated"), name="a", covers=("F24",)),
        scenario(guarantee("effects-once", "violated"), name="b", covers=("F25",)),
        crashes=crashes,
    )
    assert [window.name for window in one.windows] == ["a", "b", "POST /mails #1 after child (2 of 2 on fresh workers)"]
    assert one.failure_modes == ("F24", "F25")
    assert one.where == "shop/tasks.py:24"
    assert one.fix


def test_what_could_not_be_judged_beside_a_violation_is_no_finding_of_its_own() -> None:
    told = found(scenario(guarantee("nothing-lost", "violated"), guarantee("bounded-wait", "unknown")))
    assert [(each.name, each.status) for each in told] == [("nothing-lost", "violated")]


def test_a_sentence_that_names_no_job_is_about_the_tasks_that_were_hurt() -> None:
    (one,) = found(scenario(guarantee("same-outcome", "violated", "table t has a row too many")))
    assert one.task == TASK


def test_what_is_the_brokers_own_is_no_finding_about_the_task() -> None:
    crashes = exploration(point("violated", guarantee("nothing-lost", "violated"), of_the_broker=True))
    assert found(crashes=crashes) == ()


def test_a_crash_that_was_not_tried_is_an_unknown() -> None:
    (one,) = found(crashes=exploration(point("unknown")))
    assert (one.name, one.status, one.because) == ("crash-survived", "unknown", "not tried")


def test_a_task_that_does_not_even_hold_without_a_crash_is_told() -> None:
    (one,) = found(crashes=exploration(clean="unknown"))
    assert (one.name, one.status) == ("fault-free", "unknown")


def test_the_violated_come_before_the_unknown() -> None:
    told = found(
        scenario(guarantee("bounded-wait", "unknown"), name="a"),
        scenario(guarantee("effects-once", "violated"), name="b"),
    )
    assert [each.status for each in told] == ["violated", "unknown"]


# --- what was covered ---


def test_what_was_judged_is_covered_and_what_was_unknown_is_not() -> None:
    held, unknown = guarantee("nothing-lost", "held"), guarantee("nothing-lost", "unknown")
    told = coverage_of([scenario(held, covers=("F23",)), scenario(unknown, covers=("F39",))], [], None, RULES)
    assert told.tested == ("F23",)
    assert "F39" in told.not_covered
    assert told.audited == ()


def test_a_crash_covers_its_target_and_its_window() -> None:
    told = coverage_of([], [exploration(point("held"))], None, RULES)
    assert set(told.tested) == {"F01", "W8", "W9"}
    assert coverage_of([], [exploration(point("unknown"))], None, RULES).tested == ()


def test_every_id_stands_in_exactly_one_place() -> None:
    told = coverage_of([scenario(guarantee("x", "held"), covers=("F23", "W8"))], [], None, RULES)
    assert sorted((*told.tested, *told.audited, *told.not_covered)) == sorted(FAILURE_MODES)


def test_every_id_that_is_used_anywhere_has_words() -> None:
    used = {mode for each in CATALOGUE for mode in each.covers} | {
        mode for rule in RULES for mode in rule.failure_modes
    }
    assert used <= set(FAILURE_MODES)


# --- reports ---


def hostile(outcome: Outcome = "violated") -> Certification:
    window = Window(
        kind="crash point", name=HOSTILE, told=HOSTILE, where=HOSTILE, replay="jobproof \x1b`", proof="scenarios/x"
    )
    finding = Finding(
        part="run",
        status="violated",
        name="effects-once",
        task=HOSTILE,
        where=HOSTILE,
        because=HOSTILE,
        hurts=HOSTILE,
        windows=(window,),
        fix="fix it",
        failure_modes=("F24",),
    )
    return Certification(
        schema_version=SCHEMA_VERSION,
        outcome=outcome,
        subject=HOSTILE,
        app=HOSTILE,
        profile="quick",
        seed=1,
        began="",
        seconds=1.0,
        versions={"celery": HOSTILE},
        tasks=(
            TaskResult(name=HOSTILE, where=HOSTILE, outcome="violated", explored=True, survived=1, tried=2, learnt=()),
        ),
        scenarios={HOSTILE: "held"},
        findings=(finding,),
        accepted=(HOSTILE,),
        left_out=(NotCovered(name=HOSTILE, because=HOSTILE),),
        coverage=Coverage(tested=("F24",), audited=(), not_covered=("F01",)),
        replay="jobproof \x1b`",
    )


@pytest.mark.parametrize("render", [certification.html, certification.markdown, certification_junit.render])
def test_nothing_of_the_subjects_text_has_teeth_in_a_report(render: Any) -> None:
    text = render(hostile())
    text.encode()
    assert "<script>" not in text
    assert "\x1b" not in text
    assert "\u202e" not in text


@pytest.mark.parametrize(
    ("modes", "line"),
    [
        ((), "none"),
        (("F01", "F02", "F04"), "F01 F02 F04"),
        (("F09", "F10", "F11", "W0", "W1", "W2"), "F09-F11 W0-W2"),
        (("F99", "F100", "F101", "F111"), "F99-F101 F111"),
    ],
)
def test_ids_that_follow_each_other_are_told_as_a_span(modes: tuple[str, ...], line: str) -> None:
    assert certification.spans(modes) == line


def test_junit_is_green_only_if_everything_held() -> None:
    root = ET.fromstring(certification_junit.render(hostile()))  # noqa: S314 - our own text
    assert int(root.attrib["failures"]) > 0
    verdict = next(suite for suite in root if suite.attrib["name"] == "verdict")
    assert verdict.attrib["failures"] == "1"


def test_where_nothing_is_known_of_a_line_none_is_said() -> None:
    assert Where({}, {}).of("effects-once", TASK) == ""

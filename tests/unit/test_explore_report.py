"""What a person reads of an exploration: the number, the matrix, and no name's markup."""

import re

from harness.explore.result import (
    SCHEMA_VERSION,
    BoundaryResult,
    CleanResult,
    Exploration,
    PointResult,
    outcome_of,
)
from harness.report import exploration as report
from harness.result import Outcome

HOSTILE = "POST /<script>alert(1)</script>|\n# x\u202e"


def point(name: str, outcome: Outcome, *, of_the_broker: bool = False, same_as: tuple[str, ...] = ()) -> PointResult:
    boundary, side, target = name.rsplit(" ", 2)
    return PointResult(
        name=name,
        boundary=boundary,
        side=side,
        target=target,
        outcome=outcome,
        of_the_broker=of_the_broker,
        same_as=same_as,
        because="" if outcome == "held" else f"because of {boundary}",
        failed=int(outcome == "violated"),
        tried=1,
        story=(),
        guarantees=(),
        seconds=0.1,
        trial="" if outcome == "held" else "crash-1",
        replay=f"jobproof explore --only '{name}'",
    )


def clean(*names: str, outcome: Outcome = "held", because: str = "", where: str = "") -> CleanResult:
    boundaries = tuple(BoundaryResult(name=name, process="child", dependency="d", where=where) for name in names)
    return CleanResult(runs=3, outcome=outcome, because=because, boundaries=boundaries, unstable=())


def found(clean: CleanResult, *points: PointResult, strict: bool = False) -> Exploration:
    return Exploration(
        schema_version=SCHEMA_VERSION,
        outcome=outcome_of(clean, points, strict=strict),
        subject="s",
        task="t",
        bug="",
        began="",
        seconds=1.0,
        seconds_exploring=0.5,
        seconds_to_failure=None,
        trials=9,
        lanes=2,
        versions={},
        interception="i",
        cannot_see=("nothing",),
        notes=(),
        strict=strict,
        clean=clean,
        points=points,
        replay="jobproof explore",
    )


def test_the_number_leaves_out_what_is_the_brokers() -> None:
    lost = point("reserve #1 before main", "violated", of_the_broker=True)
    told = found(clean("reserve #1", "a #1"), lost, point("a #1 before child", "held"))
    assert told.outcome == "held"
    assert "1 of 1 crash point survived" in report.headline(told)


def test_strictly_what_is_the_brokers_counts_for_the_outcome() -> None:
    lost = point("reserve #1 before main", "violated", of_the_broker=True)
    assert found(clean("reserve #1"), lost, point("a #1 before child", "held"), strict=True).outcome == "violated"


def test_an_unknown_crash_point_is_no_pass() -> None:
    told = found(clean("a #1"), point("a #1 before child", "held"), point("a #1 after child", "unknown"))
    assert told.outcome == "unknown"
    assert "1 of 2" in report.headline(told)


def test_where_nothing_was_tried_nothing_is_known() -> None:
    assert found(clean()).outcome == "unknown"
    assert found(clean(outcome="violated", because="it never works")).outcome == "violated"
    assert "it never works" in report.headline(found(clean(outcome="violated", because="it never works")))


def test_the_matrix_says_which_crash_another_is_the_same_as() -> None:
    tried = point("a #1 after child", "held", same_as=("b #1 before child",))
    rows = report.matrix(found(clean("a #1", "b #1"), tried))
    assert rows == [("a #1", "after", [tried, "", ""], ""), ("b #1", "before", ["a #1 after child", "", ""], "")]


def test_a_boundarys_name_can_do_nothing_in_any_report() -> None:
    told = found(clean(f"{HOSTILE} #1", where=f"{HOSTILE}.py:3"), point(f"{HOSTILE} #1 before child", "violated"))
    page = report.html(told)
    assert "<script" not in page
    assert "\u202e" not in page
    # A command is itself, within a block of code.
    text = re.sub(r"^```sh\n.*?^```$", "", report.markdown(told), flags=re.DOTALL | re.MULTILINE)
    assert "<script" not in text
    assert "\n# x" not in text
    assert {line.count("|") for line in text.splitlines()} == {0, 7}


def test_a_failure_says_how_it_is_repeated() -> None:
    told = found(clean("a #1"), point("a #1 before child", "violated"))
    for text in (report.html(told), report.markdown(told)):
        assert "jobproof explore --only" in text

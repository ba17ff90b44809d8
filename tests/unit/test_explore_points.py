"""From the boundaries of clean runs to crash points: what is stable, what is merged, what has diverged."""

import pytest
from msgspec.structs import replace

from harness.boundaries.rules import Process, Side
from harness.explore.points import (
    Boundary,
    CrashPoint,
    Kind,
    Recorded,
    Run,
    Sighting,
    crash_points,
    diverged,
    recorded,
)
from harness.system import Target

CHILD, MAIN = Process.CHILD, Process.MAIN


def boundary(label: str, process: Process = CHILD, occurrence: int = 1) -> Boundary:
    return Boundary(label=label, process=process, dependency="d", name=label.upper(), occurrence=occurrence)


RESERVE, ACK = replace(boundary("reserve", MAIN), books=True), boundary("ack", MAIN)
SEND, RECORD, LAST = boundary("POST /a"), boundary("COMMIT b"), boundary("COMMIT b", occurrence=2)


def run_of(*boundaries: Boundary, apart: tuple[Boundary, ...] = (), pids: dict[Boundary, int] | None = None) -> Run:
    """A run that showed these; before those in `apart` something was done that has no name."""
    return tuple(
        Sighting(
            boundary=each,
            pid=(pids or {}).get(each, 1 if each.process is MAIN else 2),
            alone=each not in apart,
            seq=number,
        )
        for number, each in enumerate(boundaries, start=1)
    )


JOB = run_of(RESERVE, SEND, RECORD, LAST, ACK)


def told(points: tuple[CrashPoint, ...]) -> list[str]:
    return [point.told for point in points]


def all_of(found: Recorded, *targets: Target, merge: bool = True) -> tuple[CrashPoint, ...]:
    return crash_points(found, targets=targets, sides=tuple(Side), merge=merge)


def test_what_every_run_shows_in_the_same_order_is_stable() -> None:
    found = recorded([JOB, JOB, JOB])
    assert found.stable == (RESERVE, SEND, RECORD, LAST, ACK)
    assert found.unstable == ()


def test_what_one_run_does_not_show_is_unstable_and_told() -> None:
    found = recorded([JOB, run_of(RESERVE, SEND, LAST, ACK)])
    assert found.stable == (RESERVE, SEND, LAST, ACK)
    assert found.unstable == (RECORD,)


def test_of_two_that_change_places_one_is_unstable() -> None:
    found = recorded([run_of(SEND, RECORD), run_of(RECORD, SEND)])
    assert len(found.stable) == len(found.unstable) == 1


def test_how_two_processes_interleave_makes_nothing_unstable() -> None:
    found = recorded([run_of(RESERVE, ACK, SEND, RECORD), run_of(RESERVE, SEND, ACK, RECORD)])
    assert set(found.stable) == {RESERVE, ACK, SEND, RECORD}


def test_no_run_has_no_boundary() -> None:
    assert recorded([]).stable == ()


def test_after_one_boundary_is_the_same_as_before_the_next_where_nothing_lies_between() -> None:
    points = all_of(recorded([JOB]), Target.CHILD)
    assert told(points) == [
        "POST /a #1 before child",
        "POST /a #1 after child",
        "COMMIT b #1 after child",
        "COMMIT b #2 after child",
    ]
    assert points[1].same_as == ("COMMIT b #1 before child",)


def test_what_has_no_name_in_between_keeps_two_states_apart_even_if_only_one_run_showed_it() -> None:
    points = all_of(recorded([JOB, run_of(RESERVE, SEND, RECORD, LAST, ACK, apart=(RECORD,))]), Target.CHILD)
    assert "COMMIT b #1 before child" in told(points)
    assert "COMMIT b #2 before child" not in told(points)


def test_boundaries_of_two_processes_are_never_the_same_state() -> None:
    points = all_of(recorded([JOB]), Target.GROUP)
    assert {"COMMIT b #2 after group", "ack #1 before group", "POST /a #1 before group"} <= set(told(points))


def test_a_boundary_of_another_process_in_between_keeps_two_states_apart() -> None:
    found = recorded([run_of(RESERVE, SEND, ACK, RECORD), run_of(RESERVE, SEND, RECORD, ACK)])
    assert "COMMIT b #1 before group" in told(all_of(found, Target.GROUP))


def test_housekeeping_of_the_main_process_keeps_nothing_apart() -> None:
    found = recorded([run_of(RESERVE, SEND, boundary("main: SET x", MAIN), RECORD, ACK), JOB])
    assert "COMMIT b #1 before group" not in told(all_of(found, Target.GROUP))


def test_two_pool_children_do_not_share_a_state() -> None:
    found = recorded([run_of(SEND, RECORD, pids={RECORD: 3})])
    assert "COMMIT b #1 before child" in told(all_of(found, Target.CHILD))


def test_without_merging_there_is_every_crash_by_its_name() -> None:
    found = recorded([JOB])
    assert len(all_of(found, *Target, merge=False)) == 2 * (3 + 5 + 5)
    assert not [point for point in all_of(found, *Target, merge=False) if point.same_as]


def test_no_child_dies_at_what_the_main_process_sends() -> None:
    assert not [each for each in all_of(recorded([JOB]), Target.CHILD) if each.boundary.process is MAIN]


def test_only_what_lies_before_the_booking_is_the_brokers() -> None:
    points = all_of(recorded([JOB]), *Target)
    assert [point.told for point in points if point.kind is Kind.BROKER] == [
        "reserve #1 before main",
        "reserve #1 before group",
    ]


def test_one_side_alone_can_be_asked_for() -> None:
    points = crash_points(recorded([JOB]), targets=(Target.CHILD,), sides=(Side.BEFORE,))
    assert told(points) == ["POST /a #1 before child", "COMMIT b #1 before child", "COMMIT b #2 before child"]


@pytest.mark.parametrize(
    ("seen", "has_diverged"),
    [
        (run_of(RESERVE, SEND, RECORD), False),
        (run_of(SEND, RESERVE, RECORD), False),  # the other process is not compared
        (run_of(RESERVE, SEND, boundary("PUT /unknown"), RECORD), False),  # nor what is not stable
        (run_of(RESERVE, RECORD), True),
        (run_of(RESERVE, SEND), True),
        (run_of(RESERVE, SEND, RECORD, LAST), True),
        (run_of(), True),
    ],
)
def test_a_run_has_diverged_if_its_prefix_is_not_the_recorded_one(seen: Run, has_diverged: bool) -> None:
    found = recorded([JOB])
    point = next(each for each in all_of(found, Target.CHILD) if each.told == "COMMIT b #1 after child")
    assert bool(diverged(found, point, seen)) is has_diverged

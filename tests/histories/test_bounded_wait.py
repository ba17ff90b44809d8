import msgspec
import pytest

from harness.checkers import judge
from harness.checkers.bounded_wait import BoundedWait
from harness.events import (
    DEAD_LETTERED,
    CountdownShortened,
    DeadLettered,
    DrainTimedOut,
    EffectApplied,
    EnqueueCalled,
    EnqueueReturned,
    FaultBegan,
    FaultEnded,
    FaultLanded,
    QueueDrained,
    RunEnded,
)
from harness.history import History
from harness.verdict import Status
from tests.histories.scenes import CONTRACT, history, requested

HELD, UNKNOWN, VIOLATED = Status.HELD, Status.UNKNOWN, Status.VIOLATED


def status(told: History) -> Status:
    return BoundedWait().check(told)[0]


def judged(told: History) -> Status:
    return next(verdict.status for verdict in judge(told) if verdict.guarantee == "bounded-wait")


def test_a_job_that_ended_exactly_at_its_bound_was_in_time() -> None:
    told = history(
        EnqueueCalled(at=1, job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(at=1, job="job-1", outcome="ok", message="m1"),
        requested(1, "POST /mails", "mail-a"),
        EffectApplied(at=21, request=1, label="POST /mails", key=""),
        QueueDrained(at=22),
        RunEnded(at=22),
    )
    answer, because, _ = BoundedWait().check(told)
    assert answer is HELD
    assert "20.0 s" in because


def test_a_job_that_ended_one_second_over_its_bound_was_late() -> None:
    told = history(
        EnqueueCalled(at=1, job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(at=1, job="job-1", outcome="ok", message="m1"),
        requested(1, "POST /mails", "mail-a"),
        EffectApplied(at=22, request=1, label="POST /mails", key=""),
        QueueDrained(at=23),
        RunEnded(at=23),
    )
    answer, because, witnesses = BoundedWait().check(told)
    assert answer is VIOLATED
    assert "job-1 took 21.0 s; 20 s are allowed" in because
    assert [type(event) for event in witnesses] == [EnqueueReturned, EffectApplied]


def test_what_was_cut_off_a_countdown_is_added_again_once_for_each_wait() -> None:
    told = history(
        EnqueueCalled(at=1, job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(at=1, job="job-1", outcome="ok", message="m1"),
        CountdownShortened(at=2, message="m1", retries=1, seconds=300, to_seconds=1),
        CountdownShortened(at=3, message="m1", retries=1, seconds=299, to_seconds=1),
        requested(1, "POST /mails", "mail-a"),
        EffectApplied(at=5, request=1, label="POST /mails", key=""),
        QueueDrained(at=6),
        RunEnded(at=6),
    )
    answer, because, _ = BoundedWait().check(told)
    assert answer is VIOLATED
    assert "job-1 took 303.0 s; 20 s are allowed" in because


def test_a_quick_job_does_not_make_up_for_a_late_one() -> None:
    told = history(
        EnqueueCalled(at=0, job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(at=0, job="job-1", outcome="ok", message="m1"),
        EnqueueCalled(at=0, job="job-2", task="mail", identity="mail-b"),
        EnqueueReturned(at=0, job="job-2", outcome="ok", message="m2"),
        requested(1, "POST /mails", "mail-a"),
        EffectApplied(at=1, request=1, label="POST /mails", key=""),
        requested(2, "POST /mails", "mail-b"),
        EffectApplied(at=21, request=2, label="POST /mails", key=""),
        QueueDrained(at=22),
        RunEnded(at=22),
    )
    answer, because, _ = BoundedWait().check(told)
    assert answer is VIOLATED
    assert "job-2" in because
    assert "job-1" not in because


def test_the_wait_begins_when_the_last_fault_was_healed() -> None:
    told = history(
        EnqueueCalled(at=0, job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(at=0, job="job-1", outcome="ok", message="m1"),
        FaultEnded(at=5, step=0, fault="SIGKILL"),
        FaultEnded(at=15, step=1, fault="SIGKILL"),
        requested(1, "POST /mails", "mail-a"),
        EffectApplied(at=35, request=1, label="POST /mails", key=""),
        QueueDrained(at=36),
        RunEnded(at=36),
    )
    assert status(told) is HELD


def test_a_fault_healed_in_time_does_not_excuse_a_wait_over_the_bound() -> None:
    told = history(
        EnqueueCalled(at=0, job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(at=0, job="job-1", outcome="ok", message="m1"),
        FaultEnded(at=15, step=0, fault="SIGKILL"),
        requested(1, "POST /mails", "mail-a"),
        EffectApplied(at=36, request=1, label="POST /mails", key=""),
        QueueDrained(at=37),
        RunEnded(at=37),
    )
    assert status(told) is VIOLATED


def test_a_fault_that_was_over_before_the_job_was_enqueued_does_not_count() -> None:
    told = history(
        FaultEnded(at=1, step=0, fault="SIGKILL"),
        EnqueueCalled(at=10, job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(at=10, job="job-1", outcome="ok", message="m1"),
        requested(1, "POST /mails", "mail-a"),
        EffectApplied(at=30, request=1, label="POST /mails", key=""),
        QueueDrained(at=31),
        RunEnded(at=31),
    )
    assert status(told) is HELD


def test_a_fault_healed_after_the_effect_does_not_lengthen_its_wait() -> None:
    told = history(
        FaultBegan(at=0, step=0, fault="reply lost"),
        EnqueueCalled(at=0, job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(at=0, job="job-1", outcome="ok", message="m1"),
        requested(1, "POST /mails", "mail-a"),
        EffectApplied(at=2, request=1, label="POST /mails", key=""),
        QueueDrained(at=40),
        FaultEnded(at=41, step=0, fault="reply lost"),
        RunEnded(at=41),
    )
    answer, because, _ = BoundedWait().check(told)
    assert answer is HELD
    assert "2.0 s" in because


def test_a_job_that_ended_while_a_fault_still_held_it_up_was_not_late() -> None:
    # "Within its bound after the faults were over"; O4: terminal time - max(publish, fault cleared) <= B.
    told = history(
        EnqueueCalled(at=0, job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(at=0, job="job-1", outcome="ok", message="m1"),
        FaultBegan(at=1, step=0, fault="SIGKILL"),
        FaultLanded(at=1, step=0, fault="SIGKILL", targets=("group 7",), jobs=("job-1",)),
        requested(1, "POST /mails", "mail-a"),
        EffectApplied(at=25, request=1, label="POST /mails", key=""),
        FaultEnded(at=30, step=0, fault="SIGKILL"),
        QueueDrained(at=31),
        RunEnded(at=31),
    )
    assert status(told) is HELD


def test_the_first_effect_ends_the_wait() -> None:
    told = history(
        EnqueueCalled(at=0, job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(at=0, job="job-1", outcome="ok", message="m1"),
        requested(1, "POST /mails", "mail-a"),
        EffectApplied(at=2, request=1, label="POST /mails", key=""),
        requested(2, "POST /mails", "mail-a"),
        EffectApplied(at=50, request=2, label="POST /mails", key=""),
        QueueDrained(at=51),
        RunEnded(at=51),
    )
    assert status(told) is HELD


def test_a_dead_letter_that_stood_when_the_queues_had_drained_in_time_was_in_time() -> None:
    told = history(
        EnqueueCalled(at=0, job="poison-1", task="mail", identity="poison", expected=DEAD_LETTERED),
        EnqueueReturned(at=0, job="poison-1", outcome="ok", message="m1"),
        QueueDrained(at=20),
        DeadLettered(at=21, message="m1", reason="TypeError", body_digest="sha256:1", body_bytes=9),
        RunEnded(at=22),
    )
    assert status(told) is HELD


def test_a_dead_letter_whose_time_is_only_bounded_from_above_does_not_prove_lateness() -> None:
    # The queues drained late for job-2's sake; poison-1 may have been set aside after one second.
    told = history(
        EnqueueCalled(at=0, job="poison-1", task="mail", identity="poison", expected=DEAD_LETTERED),
        EnqueueReturned(at=0, job="poison-1", outcome="ok", message="m1"),
        EnqueueCalled(at=8, job="job-2", task="mail", identity="mail-b"),
        EnqueueReturned(at=8, job="job-2", outcome="ok", message="m2"),
        requested(1, "POST /mails", "mail-b"),
        EffectApplied(at=25, request=1, label="POST /mails", key=""),
        QueueDrained(at=26),
        DeadLettered(at=27, message="m1", reason="TypeError", body_digest="sha256:1", body_bytes=9),
        RunEnded(at=28),
    )
    assert status(told) is UNKNOWN


def test_a_job_that_never_ended_is_named_and_left_to_nothing_lost() -> None:
    told = history(
        EnqueueCalled(at=0, job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(at=0, job="job-1", outcome="ok", message="m1"),
        EnqueueCalled(at=0, job="job-2", task="mail", identity="mail-b"),
        EnqueueReturned(at=0, job="job-2", outcome="ok", message="m2"),
        requested(1, "POST /mails", "mail-a"),
        EffectApplied(at=2, request=1, label="POST /mails", key=""),
        QueueDrained(at=60),
        RunEnded(at=60),
    )
    answer, because, _ = BoundedWait().check(told)
    assert answer is HELD
    assert "1 job never ended" in because


def test_where_no_job_ended_there_is_no_wait_to_measure() -> None:
    told = history(
        EnqueueCalled(at=0, job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(at=0, job="job-1", outcome="ok", message="m1"),
        QueueDrained(at=60),
        RunEnded(at=60),
    )
    assert status(told) is UNKNOWN


def test_a_job_whose_enqueueing_ended_unknown_is_owed_no_bound() -> None:
    told = history(
        EnqueueCalled(at=0, job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(at=0, job="job-1", outcome="unknown", message="m1"),
        EnqueueCalled(at=0, job="job-2", task="mail", identity="mail-b"),
        EnqueueReturned(at=0, job="job-2", outcome="ok", message="m2"),
        requested(1, "POST /mails", "mail-b"),
        EffectApplied(at=1, request=1, label="POST /mails", key=""),
        requested(2, "POST /mails", "mail-a"),
        EffectApplied(at=55, request=2, label="POST /mails", key=""),
        QueueDrained(at=60),
        RunEnded(at=60),
    )
    assert status(told) is HELD


def test_where_nothing_was_accepted_nothing_is_known() -> None:
    told = history(
        EnqueueCalled(at=0, job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(at=0, job="job-1", outcome="failed", error="refused"),
        QueueDrained(at=1),
        RunEnded(at=1),
    )
    assert status(told) is UNKNOWN


def test_before_the_queues_have_drained_a_late_effect_may_still_come() -> None:
    told = history(
        EnqueueCalled(at=0, job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(at=0, job="job-1", outcome="ok", message="m1"),
        DrainTimedOut(at=35, after_seconds=35.0, left="1 queued"),
        RunEnded(at=35),
    )
    assert status(told) is UNKNOWN


def test_a_late_effect_is_proven_even_if_the_queues_never_drained() -> None:
    told = history(
        EnqueueCalled(at=0, job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(at=0, job="job-1", outcome="ok", message="m1"),
        requested(1, "POST /mails", "mail-a"),
        EffectApplied(at=30, request=1, label="POST /mails", key=""),
        DrainTimedOut(at=35, after_seconds=35.0, left="1 queued"),
        RunEnded(at=35),
    )
    assert status(told) is VIOLATED


def test_a_cut_history_is_not_known_to_have_held_but_a_late_effect_stands() -> None:
    early = history(
        EnqueueCalled(at=0, job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(at=0, job="job-1", outcome="ok", message="m1"),
        requested(1, "POST /mails", "mail-a"),
        EffectApplied(at=3, request=1, label="POST /mails", key=""),
        QueueDrained(at=31),
    )
    late = history(
        EnqueueCalled(at=0, job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(at=0, job="job-1", outcome="ok", message="m1"),
        requested(1, "POST /mails", "mail-a"),
        EffectApplied(at=30, request=1, label="POST /mails", key=""),
        QueueDrained(at=31),
    )
    assert judged(early) is UNKNOWN
    assert judged(late) is VIOLATED


@pytest.mark.parametrize(("own", "expected"), [(4.9, VIOLATED), (5.0, HELD), (60.0, HELD)])
def test_a_job_with_a_bound_of_its_own_has_the_tighter_of_the_two(own: float, expected: Status) -> None:
    told = history(
        EnqueueCalled(at=1, job="job-1", task="mail", identity="mail-a", wait_seconds_max=own),
        EnqueueReturned(at=1, job="job-1", outcome="ok", message="m1"),
        requested(1, "POST /mails", "mail-a"),
        EffectApplied(at=6, request=1, label="POST /mails", key=""),
        QueueDrained(at=7),
        RunEnded(at=7),
    )
    assert status(told) is expected


def test_a_bound_of_its_own_does_not_loosen_the_tasks() -> None:
    told = history(
        EnqueueCalled(at=1, job="job-1", task="mail", identity="mail-a", wait_seconds_max=60),
        EnqueueReturned(at=1, job="job-1", outcome="ok", message="m1"),
        requested(1, "POST /mails", "mail-a"),
        EffectApplied(at=22, request=1, label="POST /mails", key=""),
        QueueDrained(at=23),
        RunEnded(at=23),
    )
    assert status(told) is VIOLATED


def test_a_wait_that_nobody_has_told_is_held_against_nobody_and_is_not_held() -> None:
    tasks = tuple(msgspec.structs.replace(task, learnt=("wait_seconds_max",)) for task in CONTRACT.tasks)
    told = history(
        EnqueueCalled(at=1, job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(at=1, job="job-1", outcome="ok", message="m1"),
        requested(1, "POST /mails", "mail-a"),
        EffectApplied(at=500, request=1, label="POST /mails", key=""),
        QueueDrained(at=501),
        RunEnded(at=501),
        contract=msgspec.structs.replace(CONTRACT, tasks=tasks),
    )
    assert BoundedWait().check(told)[:2] == (UNKNOWN, "nobody has told how long a job may wait")

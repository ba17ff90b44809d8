from harness.checkers import judge
from harness.checkers.exercised import Exercised
from harness.events import (
    DrainTimedOut,
    EnqueueCalled,
    EnqueueReturned,
    FaultBegan,
    FaultEnded,
    FaultLanded,
    FaultMissed,
    QueueDrained,
    RunEnded,
)
from harness.history import History
from harness.verdict import Status
from tests.histories.scenes import history

HELD, UNKNOWN = Status.HELD, Status.UNKNOWN


def status(told: History) -> Status:
    return Exercised().check(told)[0]


def test_a_fault_that_landed_on_a_job_in_flight_was_exercised() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        FaultBegan(step=0, fault="SIGKILL"),
        FaultLanded(step=0, fault="SIGKILL", targets=("child 7",), jobs=("job-1",)),
        FaultEnded(step=0, fault="SIGKILL"),
        QueueDrained(),
        RunEnded(),
        steps=("SIGKILL the pool child",),
    )
    answer, because, _ = Exercised().check(told)
    assert answer is HELD
    assert "job-1" in because


def test_a_fault_that_missed_was_not_exercised_and_says_why() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        FaultMissed(step=0, fault="SIGKILL", because="job-1 did not reach the crash point within 20 s"),
        QueueDrained(),
        RunEnded(),
        steps=("SIGKILL the pool child",),
    )
    answer, because, witnesses = Exercised().check(told)
    assert answer is UNKNOWN
    assert "did not reach the crash point" in because
    assert [type(event) for event in witnesses] == [FaultMissed]


def test_a_fault_that_met_no_job_was_not_exercised() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        FaultBegan(step=0, fault="SIGKILL"),
        FaultLanded(step=0, fault="SIGKILL", targets=("child 7",), jobs=()),
        FaultEnded(step=0, fault="SIGKILL"),
        QueueDrained(),
        RunEnded(),
        steps=("SIGKILL the pool child",),
    )
    answer, because, _ = Exercised().check(told)
    assert answer is UNKNOWN
    assert "met no job in flight" in because


def test_a_step_that_was_never_reached_was_not_exercised() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        FaultLanded(step=0, fault="SIGKILL", targets=("child 7",), jobs=("job-1",)),
        QueueDrained(),
        RunEnded(),
        steps=("SIGKILL the pool child", "SIGKILL the pool child once more"),
    )
    answer, because, _ = Exercised().check(told)
    assert answer is UNKNOWN
    assert "step 2 (SIGKILL the pool child once more) was never reached" in because


def test_a_fault_that_began_and_neither_landed_nor_missed_was_not_exercised() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        FaultBegan(step=0, fault="SIGKILL"),
        FaultEnded(step=0, fault="SIGKILL"),
        QueueDrained(),
        RunEnded(),
        steps=("SIGKILL the pool child",),
    )
    assert status(told) is UNKNOWN


def test_one_fault_that_landed_twice_does_not_stand_for_another() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        FaultLanded(step=0, fault="SIGKILL", targets=("child 7",), jobs=("job-1",)),
        FaultLanded(step=0, fault="SIGKILL", targets=("child 8",), jobs=("job-1",)),
        QueueDrained(),
        RunEnded(),
        steps=("SIGKILL the pool child", "lose the reply"),
    )
    assert status(told) is UNKNOWN


def test_a_plan_without_faults_puts_nothing_to_the_test() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        QueueDrained(),
        RunEnded(),
    )
    assert status(told) is UNKNOWN


def test_where_nothing_was_accepted_nothing_is_known() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="unknown", message="m1"),
        FaultLanded(step=0, fault="SIGKILL", targets=("child 7",), jobs=("job-1",)),
        QueueDrained(),
        RunEnded(),
        steps=("SIGKILL the pool child",),
    )
    assert status(told) is UNKNOWN


def test_before_the_queues_have_drained_nothing_is_known() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        FaultLanded(step=0, fault="SIGKILL", targets=("child 7",), jobs=("job-1",)),
        DrainTimedOut(after_seconds=35.0, left="1 queued"),
        RunEnded(),
        steps=("SIGKILL the pool child",),
    )
    assert status(told) is UNKNOWN


def test_a_history_that_was_cut_is_not_known_to_have_been_exercised() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        FaultLanded(step=0, fault="SIGKILL", targets=("child 7",), jobs=("job-1",)),
        QueueDrained(),
        steps=("SIGKILL the pool child",),
    )
    verdict = next(verdict for verdict in judge(told) if verdict.guarantee == "exercised")
    assert verdict.status is UNKNOWN

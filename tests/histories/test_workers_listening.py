import pytest

from harness.checkers.workers_listening import WorkersListening
from harness.events import (
    Acknowledged,
    AttemptStarted,
    CanarySent,
    Delivered,
    DrainTimedOut,
    EffectApplied,
    EnqueueCalled,
    EnqueueReturned,
    Event,
    FaultBegan,
    FaultEnded,
    FaultLanded,
    NodeExited,
    NodeStarted,
    Queued,
    QueueDrained,
    RunEnded,
)
from harness.history import History
from harness.verdict import Status
from tests.histories.scenes import history, requested

HELD, UNKNOWN, VIOLATED = Status.HELD, Status.UNKNOWN, Status.VIOLATED

JOB: tuple[Event, ...] = (
    EnqueueCalled(at=1, job="job-1", task="mail", identity="mail-a"),
    EnqueueReturned(at=1, job="job-1", outcome="ok", message="m1"),
    Queued(at=1, queue="mails", message="m1", delivery_tag="t1", body_digest="d1"),
)
TAKEN: tuple[Event, ...] = (
    Delivered(at=2, message="m1", delivery_tag="t1", client="c"),
    AttemptStarted(at=2, message="m1", task="mail", pid=7),
    Acknowledged(at=3, message="m1", delivery_tag="t1"),
)
CANARY: tuple[Event, ...] = (
    EnqueueCalled(at=5, job="canary-1", task="mail", identity="mail-b"),
    EnqueueReturned(at=5, job="canary-1", outcome="ok", message="m2"),
    CanarySent(at=5, queue="mails", job="canary-1"),
    Queued(at=5, queue="mails", message="m2", delivery_tag="t2", body_digest="d2"),
)
CANARY_TAKEN = Delivered(at=6, message="m2", delivery_tag="t2", client="c")
CANARY_BEGUN = AttemptStarted(at=6, message="m2", task="mail", pid=7)
DRAINED: tuple[Event, ...] = (QueueDrained(at=8), RunEnded(at=8))
NEVER_DRAINED: tuple[Event, ...] = (DrainTimedOut(at=30, after_seconds=25.0, left="1 queued"), RunEnded(at=30))


def status(told: History) -> Status:
    return WorkersListening().check(told)[0]


def test_a_canary_that_was_taken_and_begun_shows_that_somebody_listens() -> None:
    answer, because, _ = WorkersListening().check(history(*JOB, *TAKEN, *CANARY, CANARY_TAKEN, CANARY_BEGUN, *DRAINED))
    assert answer is HELD
    assert "1 canary job" in because


def test_without_a_canary_it_is_held_where_jobs_were_taken_from_every_queue_and_says_so() -> None:
    answer, because, _ = WorkersListening().check(history(*JOB, *TAKEN, *DRAINED))
    assert answer is HELD
    assert "no canary was sent" in because


def test_a_queue_of_which_nothing_was_seen_to_be_taken_is_unknown() -> None:
    told = history(
        *JOB,
        *TAKEN,
        EnqueueCalled(job="job-2", task="page", identity="page-a"),
        EnqueueReturned(job="job-2", outcome="ok", message="m9"),
        *DRAINED,
    )
    answer, because, _ = WorkersListening().check(told)
    assert answer is UNKNOWN
    assert "'page'" in because


@pytest.mark.parametrize("before", [(), TAKEN], ids=["nothing was ever taken", "the queue went deaf later"])
def test_a_canary_that_nobody_took_is_a_violation_where_the_others_cannot_say(before: tuple[Event, ...]) -> None:
    told = history(*JOB, *before, *CANARY, *NEVER_DRAINED)
    answer, because, witnesses = WorkersListening().check(told)
    assert answer is VIOLATED
    assert "'mails'" in because
    assert CANARY[3] in witnesses


def test_an_accepted_job_that_nobody_took_is_a_violation_too() -> None:
    assert status(history(*JOB, *NEVER_DRAINED)) is VIOLATED


def test_a_message_that_waits_in_a_queue_that_is_being_worked_on_proves_nothing() -> None:
    later = Delivered(at=6, message="m1", delivery_tag="t1", client="c")
    assert status(history(*JOB, *CANARY, later, *NEVER_DRAINED)) is UNKNOWN


@pytest.mark.parametrize(("waited", "expected"), [(19.9, UNKNOWN), (20.0, VIOLATED)])
def test_a_message_is_untaken_once_it_has_waited_as_long_as_its_job_may(waited: float, expected: Status) -> None:
    queued = Queued(at=10, queue="mails", message="m1", delivery_tag="t1", body_digest="d1")
    timed_out = DrainTimedOut(at=10 + waited, after_seconds=25.0, left="1 queued")
    assert status(history(*JOB[:2], queued, timed_out, RunEnded())) is expected


def test_a_canary_that_was_taken_and_never_begun_shows_a_worker_that_runs_nothing() -> None:
    answer, because, witnesses = WorkersListening().check(history(*JOB, *TAKEN, *CANARY, CANARY_TAKEN, *NEVER_DRAINED))
    assert answer is VIOLATED
    assert "never began" in because
    assert CANARY_TAKEN in witnesses


def test_a_drained_canary_without_a_seen_attempt_is_unknown() -> None:
    assert status(history(*JOB, *TAKEN, *CANARY, CANARY_TAKEN, *DRAINED)) is UNKNOWN


def test_a_canary_that_had_its_effect_was_begun_by_somebody_though_no_probe_saw_it() -> None:
    effect = (
        requested(1, "POST /mails", "mail-b", key="k"),
        EffectApplied(at=6, request=1, label="POST /mails", key="k"),
    )
    without_a_probe = [event for event in TAKEN if not isinstance(event, AttemptStarted)]
    assert status(history(*JOB, *without_a_probe, *CANARY, CANARY_TAKEN, *effect, *DRAINED)) is HELD


def test_where_no_body_was_ever_seen_a_canary_without_an_effect_accuses_nobody() -> None:
    without_a_probe = [event for event in TAKEN if not isinstance(event, AttemptStarted)]
    assert status(history(*JOB, *without_a_probe, *CANARY, CANARY_TAKEN, *NEVER_DRAINED)) is UNKNOWN


def test_a_worker_that_ended_by_itself_and_stayed_away_is_a_violation() -> None:
    started, exited = NodeStarted(node="only", pid=77), NodeExited(at=4, node="only", pid=77, status="exit 1")
    answer, because, witnesses = WorkersListening().check(history(started, *JOB, *TAKEN, exited, *DRAINED))
    assert answer is VIOLATED
    assert "'only'" in because
    assert witnesses == (exited,)


@pytest.mark.parametrize(
    "excuse",
    [
        FaultLanded(step=0, fault="SIGKILL", targets=("main process 77 of worker 'only'",), jobs=("job-1",)),
        FaultLanded(step=0, fault="SIGTERM", targets=("worker 'only'",), jobs=("job-1",)),
        NodeStarted(node="only", pid=78),
    ],
    ids=["killed by its pid", "ended as a whole", "started again"],
)
def test_a_worker_that_a_fault_hit_or_that_came_back_is_not_missed(excuse: Event) -> None:
    exited = NodeExited(at=4, node="only", pid=77, status="SIGKILL")
    assert status(history(*JOB, *TAKEN, exited, excuse, *DRAINED)) is HELD


def test_a_killed_pool_child_does_not_excuse_the_end_of_its_worker() -> None:
    killed = FaultLanded(step=0, fault="SIGKILL", targets=("pool child 777 of worker 'only'",), jobs=("job-1",))
    exited = NodeExited(at=4, node="only", pid=77, status="exit 1")
    assert status(history(*JOB, killed, *TAKEN, exited, *DRAINED)) is VIOLATED


GONE = NodeExited(at=2, node="only", pid=77, status="SIGKILL")
BEGAN = FaultBegan(at=2, step=0, fault="SIGKILL the main process")


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        pytest.param((BEGAN, GONE), UNKNOWN, id="cut between the kill and the word of it"),
        pytest.param((GONE, BEGAN), VIOLATED, id="it had ended before"),
        pytest.param((BEGAN, FaultEnded(at=3, step=0, fault=BEGAN.fault), GONE), VIOLATED, id="the fault was over"),
        pytest.param((BEGAN, GONE, *NEVER_DRAINED), VIOLATED, id="the record goes on, and no word came"),
    ],
)
def test_who_ended_while_a_fault_was_in_force_is_not_missed_where_the_record_was_cut(
    events: tuple[Event, ...], expected: Status
) -> None:
    assert status(history(*JOB, *TAKEN, *events)) is expected


def test_what_ends_after_the_run_was_ended_by_the_harness() -> None:
    exited = NodeExited(at=9, node="only", pid=77, status="SIGKILL")
    assert status(history(*JOB, *TAKEN, *DRAINED, exited)) is HELD


def test_a_message_without_an_id_is_known_by_its_body() -> None:
    told = history(
        EnqueueCalled(job="garbage", task="mail", identity="?"),
        EnqueueReturned(job="garbage", outcome="ok", body_digest="d9"),
        Queued(queue="mails", message="", delivery_tag="t9", body_digest="d9"),
        Delivered(message="", delivery_tag="t9", client="c"),
        *DRAINED,
    )
    assert status(told) is HELD

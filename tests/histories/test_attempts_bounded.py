import msgspec

from harness.checkers import judge
from harness.checkers.attempts_bounded import AttemptsBounded
from harness.contract import UNTOLD
from harness.events import (
    AttemptStarted,
    CountdownShortened,
    Delivered,
    DrainTimedOut,
    EffectApplied,
    EnqueueCalled,
    EnqueueReturned,
    MessageDoubled,
    Published,
    QueueDrained,
    RunEnded,
)
from harness.history import History
from harness.verdict import Status
from tests.histories.scenes import CONTRACT, history, requested

HELD, UNKNOWN, VIOLATED = Status.HELD, Status.UNKNOWN, Status.VIOLATED


def status(told: History) -> Status:
    return AttemptsBounded().check(told)[0]


def judged(told: History) -> Status:
    return next(verdict.status for verdict in judge(told) if verdict.guarantee == "attempts-bounded")


def test_as_many_attempts_as_allowed_are_within_the_bound() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        AttemptStarted(message="m1", task="mail", pid=7),
        AttemptStarted(message="m1", task="mail", pid=7, retries=1),
        AttemptStarted(message="m1", task="mail", pid=7, retries=2),
        QueueDrained(),
        RunEnded(),
    )
    answer, because, _ = AttemptsBounded().check(told)
    assert answer is HELD
    assert "3" in because


def test_one_attempt_more_is_over_the_bound_and_each_of_them_is_the_proof() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        AttemptStarted(message="m1", task="mail", pid=7),
        AttemptStarted(message="m1", task="mail", pid=7, retries=1),
        AttemptStarted(message="m1", task="mail", pid=7, retries=2),
        AttemptStarted(message="m1", task="mail", pid=7, retries=3),
        QueueDrained(),
        RunEnded(),
    )
    answer, because, witnesses = AttemptsBounded().check(told)
    assert answer is VIOLATED
    assert "job-1 started 4 times; 3 are allowed" in because
    assert len(witnesses) == 4


def test_a_quiet_job_does_not_make_up_for_a_restless_one() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        EnqueueCalled(job="job-2", task="mail", identity="mail-b"),
        EnqueueReturned(job="job-2", outcome="ok", message="m2"),
        AttemptStarted(message="m1", task="mail", pid=7),
        AttemptStarted(message="m1", task="mail", pid=8),
        AttemptStarted(message="m1", task="mail", pid=7),
        AttemptStarted(message="m1", task="mail", pid=8),
        QueueDrained(),
        RunEnded(),
    )
    answer, because, _ = AttemptsBounded().check(told)
    assert answer is VIOLATED
    assert "job-1" in because
    assert "job-2" not in because


def test_the_attempts_of_several_jobs_are_not_added_up() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        EnqueueCalled(job="job-2", task="mail", identity="mail-b"),
        EnqueueReturned(job="job-2", outcome="ok", message="m2"),
        AttemptStarted(message="m1", task="mail", pid=7),
        AttemptStarted(message="m1", task="mail", pid=7),
        AttemptStarted(message="m1", task="mail", pid=7),
        AttemptStarted(message="m2", task="mail", pid=7),
        AttemptStarted(message="m2", task="mail", pid=7),
        AttemptStarted(message="m2", task="mail", pid=7),
        QueueDrained(),
        RunEnded(),
    )
    assert status(told) is HELD


def test_a_retry_that_was_published_under_the_same_id_counts_against_the_same_job() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        AttemptStarted(message="m1", task="mail", pid=7),
        Published(message="m1", root="m1", parent="m1", task="mail"),
        AttemptStarted(message="m1", task="mail", pid=7, retries=1),
        Published(message="m1", root="m1", parent="m1", task="mail"),
        AttemptStarted(message="m1", task="mail", pid=7, retries=2),
        Published(message="m1", root="m1", parent="m1", task="mail"),
        AttemptStarted(message="m1", task="mail", pid=7, retries=3),
        QueueDrained(),
        RunEnded(),
    )
    assert status(told) is VIOLATED


def test_the_attempts_of_a_descendant_are_not_its_ancestors() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        AttemptStarted(message="m1", task="mail", pid=7),
        Published(message="m2", root="m1", parent="m1", task="receipt"),
        AttemptStarted(message="m2", task="receipt", pid=7),
        AttemptStarted(message="m2", task="receipt", pid=7, retries=1),
        AttemptStarted(message="m2", task="receipt", pid=7, retries=2),
        QueueDrained(),
        RunEnded(),
    )
    assert status(told) is HELD


def test_every_message_of_a_job_that_was_submitted_twice_counts() -> None:
    # "Submitting the same work again keeps the JobId", and a job maps to the set of its message ids.
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        AttemptStarted(message="m1", task="mail", pid=7),
        AttemptStarted(message="m1", task="mail", pid=7, retries=1),
        AttemptStarted(message="m1", task="mail", pid=7, retries=2),
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m2"),
        AttemptStarted(message="m2", task="mail", pid=7),
        QueueDrained(),
        RunEnded(),
    )
    assert status(told) is VIOLATED


def test_a_delivery_that_the_harness_itself_added_is_not_charged_to_the_subject() -> None:
    # attempts_max is "1 + retries + worker losses"; a copy that the harness queued is none of them.
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        AttemptStarted(message="m1", task="mail", pid=7),
        AttemptStarted(message="m1", task="mail", pid=7, retries=1),
        AttemptStarted(message="m1", task="mail", pid=7, retries=2),
        MessageDoubled(job="job-1", message="m1", queue="celery"),
        AttemptStarted(message="m1", task="mail", pid=7),
        QueueDrained(),
        RunEnded(),
    )
    assert status(told) is HELD


def test_a_probe_that_saw_no_attempt_of_a_job_that_took_effect_proves_nothing() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        Delivered(message="m1", delivery_tag="t1", client="c1"),
        requested(1, "POST /mails", "mail-a"),
        EffectApplied(request=1, label="POST /mails", key=""),
        QueueDrained(),
        RunEnded(),
    )
    answer, because, _ = AttemptsBounded().check(told)
    assert answer is UNKNOWN
    assert "job-1" in because


def test_a_blind_probe_is_noticed_even_where_the_broker_was_not_watched() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        requested(1, "POST /mails", "mail-a"),
        EffectApplied(request=1, label="POST /mails", key=""),
        QueueDrained(),
        RunEnded(),
    )
    assert status(told) is UNKNOWN


def test_a_message_that_was_refused_before_its_body_has_no_attempt() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        Delivered(message="m1", delivery_tag="t1", client="c1"),
        QueueDrained(),
        RunEnded(),
    )
    assert status(told) is HELD


def test_too_many_attempts_are_proven_even_if_the_queues_never_drained() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        AttemptStarted(message="m1", task="mail", pid=7),
        AttemptStarted(message="m1", task="mail", pid=7, retries=1),
        AttemptStarted(message="m1", task="mail", pid=7, retries=2),
        AttemptStarted(message="m1", task="mail", pid=7, retries=3),
        DrainTimedOut(after_seconds=35.0, left="1 unacknowledged"),
        RunEnded(),
    )
    assert status(told) is VIOLATED


def test_before_the_queues_have_drained_one_attempt_too_many_may_still_come() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        AttemptStarted(message="m1", task="mail", pid=7),
        DrainTimedOut(after_seconds=35.0, left="1 unacknowledged"),
        RunEnded(),
    )
    assert status(told) is UNKNOWN


def test_where_nothing_was_accepted_nothing_is_known() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="unknown", message="m1"),
        AttemptStarted(message="m1", task="mail", pid=7),
        QueueDrained(),
        RunEnded(),
    )
    assert status(told) is UNKNOWN


def test_a_cut_history_is_not_known_to_have_held_but_too_many_attempts_stand() -> None:
    few = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        AttemptStarted(message="m1", task="mail", pid=7),
        QueueDrained(),
    )
    many = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        AttemptStarted(message="m1", task="mail", pid=7),
        AttemptStarted(message="m1", task="mail", pid=7, retries=1),
        AttemptStarted(message="m1", task="mail", pid=7, retries=2),
        AttemptStarted(message="m1", task="mail", pid=7, retries=3),
    )
    assert judged(few) is UNKNOWN
    assert judged(many) is VIOLATED


SPACED = msgspec.structs.replace(
    CONTRACT,
    tasks=tuple(
        msgspec.structs.replace(task, attempts_max=9, backoffs_seconds_min=(0.5, 1)) for task in CONTRACT.tasks
    ),
)


def tried_again(*row: tuple[int, float], shortened: tuple[int, ...] = ()) -> Status:
    """The verdict on attempts of one job, each as (retries, from when); `shortened`: the retries whose wait was."""
    attempts = [AttemptStarted(at=begun, message="m1", task="mail", pid=1, retries=retries) for retries, begun in row]
    return status(
        history(
            EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
            EnqueueReturned(job="job-1", outcome="ok", message="m1"),
            *attempts,
            *(CountdownShortened(message="m1", retries=each, seconds=300, to_seconds=1) for each in shortened),
            QueueDrained(at=9),
            RunEnded(at=9),
            contract=SPACED,
        )
    )


def test_a_retry_begins_no_sooner_than_the_contract_says() -> None:
    assert tried_again((0, 0), (1, 0.5), (2, 1.5), (3, 1.5)) is Status.HELD
    assert tried_again((0, 0), (1, 0.49)) is Status.VIOLATED
    assert tried_again((0, 0), (1, 0.5), (2, 1.49)) is Status.VIOLATED


def test_a_wait_that_the_harness_has_shortened_is_not_held_against_the_job() -> None:
    assert tried_again((0, 0), (1, 0.1), (2, 1.1), shortened=(1,)) is Status.HELD
    assert tried_again((0, 0), (1, 0.1), (2, 1.0), shortened=(1,)) is Status.VIOLATED


def test_the_time_between_attempts_is_not_judged_where_they_are_not_one_row_of_retries() -> None:
    assert tried_again((0, 0), (0, 0.1), (1, 0.2)) is Status.HELD
    assert tried_again((0, 0), (1, 0.5), (1, 0.6)) is Status.HELD


def test_attempts_that_nobody_has_bounded_are_not_held() -> None:
    tasks = tuple(
        msgspec.structs.replace(task, attempts_max=UNTOLD, learnt=("attempts_max",)) for task in CONTRACT.tasks
    )
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        *(AttemptStarted(message="m1", task="mail", pid=1) for _ in range(50)),
        QueueDrained(),
        RunEnded(),
        contract=msgspec.structs.replace(CONTRACT, tasks=tasks),
    )
    assert AttemptsBounded().check(told)[0] is Status.UNKNOWN

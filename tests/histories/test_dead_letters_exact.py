import msgspec

from harness.checkers import judge
from harness.checkers.dead_letters_exact import DeadLettersExact
from harness.events import (
    DEAD_LETTERED,
    EITHER,
    AttemptStarted,
    DeadLettered,
    DrainTimedOut,
    EffectApplied,
    EnqueueCalled,
    EnqueueReturned,
    FaultLanded,
    FaultMissed,
    Published,
    Queued,
    QueueDrained,
    RunAborted,
    RunEnded,
)
from harness.history import History
from harness.verdict import Status
from tests.histories.scenes import CONTRACT, history, requested

HELD, UNKNOWN, VIOLATED = Status.HELD, Status.UNKNOWN, Status.VIOLATED
NO_PLACE = msgspec.structs.replace(CONTRACT, dead_letters=None)


def status(told: History) -> Status:
    return DeadLettersExact().check(told)[0]


def judged(told: History) -> Status:
    return next(verdict.status for verdict in judge(told) if verdict.guarantee == "dead-letters-exact")


def test_one_dead_letter_with_its_payload_for_the_job_that_had_to_be_given_up_is_exact() -> None:
    told = history(
        EnqueueCalled(job="poison-1", task="mail", identity="poison", expected=DEAD_LETTERED),
        EnqueueReturned(job="poison-1", outcome="ok", message="m1"),
        Queued(queue="celery", message="m1", delivery_tag="t1", body_digest="sha256:1"),
        QueueDrained(),
        DeadLettered(message="m1", reason="TypeError", body_digest="sha256:1", body_bytes=9),
        RunEnded(),
    )
    assert status(told) is HELD


def test_no_dead_letter_where_none_was_due_is_exact() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        requested(1, "POST /mails", "mail-a"),
        EffectApplied(request=1, label="POST /mails", key=""),
        QueueDrained(),
        RunEnded(),
    )
    assert status(told) is HELD


def test_poison_that_was_swallowed_is_a_violation_and_its_attempts_are_the_proof() -> None:
    told = history(
        EnqueueCalled(job="poison-1", task="mail", identity="poison", expected=DEAD_LETTERED),
        EnqueueReturned(job="poison-1", outcome="ok", message="m1"),
        AttemptStarted(message="m1", task="mail", pid=7),
        QueueDrained(),
        RunEnded(),
    )
    answer, because, witnesses = DeadLettersExact().check(told)
    assert answer is VIOLATED
    assert "poison-1" in because
    assert [type(event) for event in witnesses] == [EnqueueReturned, AttemptStarted]


KILLS = ("SIGKILL the pool child", "SIGKILL the pool child for the 2. time")


def done_after(*strikes: FaultLanded | FaultMissed) -> History:
    """A job that was to be killed once more than it may be, and that was done in the end."""
    return history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a", expected=DEAD_LETTERED),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        *strikes,
        requested(1, "POST /mails", "mail-a"),
        EffectApplied(request=1, label="POST /mails", key=""),
        QueueDrained(),
        RunEnded(),
        steps=KILLS,
    )


def test_a_job_that_was_done_although_every_planned_kill_landed_had_to_be_given_up() -> None:
    told = done_after(
        FaultLanded(step=0, fault="kill-worker", jobs=("job-1",)),
        FaultLanded(step=1, fault="kill-worker", jobs=("job-1",)),
    )
    assert status(told) is VIOLATED


def test_a_job_is_not_missed_among_the_dead_where_a_planned_kill_did_not_land() -> None:
    landed = FaultLanded(step=0, fault="kill-worker", jobs=("job-1",))
    missed = FaultMissed(step=1, fault="kill-worker", because="it was not seen who runs the job")
    for told in (done_after(landed, missed), done_after(landed)):  # by a word, or never reached
        assert told.expected_either() == ("job-1",)
        assert {verdict.guarantee: verdict.status for verdict in judge(told)}["exercised"] is UNKNOWN
        assert not [verdict for verdict in judge(told) if verdict.status is VIOLATED]


def test_a_job_that_could_be_done_must_not_be_a_dead_letter() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        QueueDrained(),
        DeadLettered(message="m1", reason="WorkerLostError", body_digest="sha256:1", body_bytes=9),
        RunEnded(),
    )
    answer, because, witnesses = DeadLettersExact().check(told)
    assert answer is VIOLATED
    assert "WorkerLostError" in because
    assert len(witnesses) == 1


def test_two_dead_letters_of_one_job_are_one_too_many() -> None:
    told = history(
        EnqueueCalled(job="poison-1", task="mail", identity="poison", expected=DEAD_LETTERED),
        EnqueueReturned(job="poison-1", outcome="ok", message="m1"),
        Queued(queue="celery", message="m1", delivery_tag="t1", body_digest="sha256:1"),
        QueueDrained(),
        DeadLettered(message="m1", reason="TypeError", body_digest="sha256:1", body_bytes=9),
        DeadLettered(message="m1", reason="TypeError", body_digest="sha256:1", body_bytes=9),
        RunEnded(),
    )
    answer, because, witnesses = DeadLettersExact().check(told)
    assert answer is VIOLATED
    assert "2 times" in because
    assert len(witnesses) == 2


def test_the_second_dead_letter_of_one_job_does_not_stand_for_the_missing_one_of_another() -> None:
    told = history(
        EnqueueCalled(job="poison-1", task="mail", identity="poison:1", expected=DEAD_LETTERED),
        EnqueueReturned(job="poison-1", outcome="ok", message="m1"),
        EnqueueCalled(job="poison-2", task="mail", identity="poison:2", expected=DEAD_LETTERED),
        EnqueueReturned(job="poison-2", outcome="ok", message="m2"),
        QueueDrained(),
        DeadLettered(message="m1", reason="TypeError", body_digest="sha256:1", body_bytes=9),
        DeadLettered(message="m1", reason="TypeError", body_digest="sha256:1", body_bytes=9),
        RunEnded(),
    )
    answer, because, _ = DeadLettersExact().check(told)
    assert answer is VIOLATED
    assert "poison-1" in because
    assert "poison-2" in because


def test_a_dead_letter_of_a_stranger_is_a_violation() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        QueueDrained(),
        DeadLettered(message="m9", reason="TypeError", body_digest="sha256:1", body_bytes=9),
        RunEnded(),
    )
    answer, because, witnesses = DeadLettersExact().check(told)
    assert answer is VIOLATED
    assert "'m9'" in because
    assert [event.message for event in witnesses] == ["m9"]


def test_a_dead_letter_with_another_jobs_body_does_not_hold_its_own() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        EnqueueCalled(job="poison-1", task="mail", identity="poison", expected=DEAD_LETTERED),
        EnqueueReturned(job="poison-1", outcome="ok", message="m2"),
        Queued(queue="celery", message="m1", delivery_tag="t1", body_digest="sha256:1"),
        Queued(queue="celery", message="m2", delivery_tag="t2", body_digest="sha256:2"),
        QueueDrained(),
        DeadLettered(message="m2", reason="TypeError", body_digest="sha256:1", body_bytes=9),
        RunEnded(),
    )
    answer, because, _ = DeadLettersExact().check(told)
    assert answer is VIOLATED
    assert "body" in because


def test_a_dead_letter_may_hold_the_body_of_any_retry_of_its_message() -> None:
    told = history(
        EnqueueCalled(job="poison-1", task="mail", identity="poison", expected=DEAD_LETTERED),
        EnqueueReturned(job="poison-1", outcome="ok", message="m1"),
        Queued(queue="celery", message="m1", delivery_tag="t1", body_digest="sha256:1"),
        Published(message="m1", root="m1", parent="m1", task="mail"),
        Queued(queue="celery", message="m1", delivery_tag="t2", body_digest="sha256:1b"),
        QueueDrained(),
        DeadLettered(message="m1", reason="TypeError", body_digest="sha256:1b", body_bytes=9),
        RunEnded(),
    )
    assert status(told) is HELD


def test_where_the_broker_was_not_watched_a_dead_letter_needs_at_least_some_body() -> None:
    some = history(
        EnqueueCalled(job="poison-1", task="mail", identity="poison", expected=DEAD_LETTERED),
        EnqueueReturned(job="poison-1", outcome="ok", message="m1"),
        QueueDrained(),
        DeadLettered(message="m1", reason="TypeError", body_digest="sha256:?", body_bytes=1),
        RunEnded(),
    )
    none = history(
        EnqueueCalled(job="poison-1", task="mail", identity="poison", expected=DEAD_LETTERED),
        EnqueueReturned(job="poison-1", outcome="ok", message="m1"),
        QueueDrained(),
        DeadLettered(message="m1", reason="TypeError", body_digest="sha256:?", body_bytes=0),
        RunEnded(),
    )
    assert status(some) is HELD
    assert status(none) is VIOLATED


def test_a_dead_letter_of_a_descendant_is_its_jobs() -> None:
    told = history(
        EnqueueCalled(job="poison-1", task="mail", identity="poison", expected=DEAD_LETTERED),
        EnqueueReturned(job="poison-1", outcome="ok", message="m1"),
        Published(message="m2", root="m1", parent="m1", task="mail"),
        Published(message="m3", root="", parent="m2", task="mail"),
        QueueDrained(),
        DeadLettered(message="m3", reason="TypeError", body_digest="sha256:?", body_bytes=9),
        RunEnded(),
    )
    assert status(told) is HELD


def test_the_dead_letter_of_a_job_whose_enqueueing_ended_unknown_is_no_strangers() -> None:
    told = history(
        EnqueueCalled(job="poison-1", task="mail", identity="poison", expected=DEAD_LETTERED),
        EnqueueReturned(job="poison-1", outcome="unknown", message="m1"),
        EnqueueCalled(job="job-2", task="mail", identity="mail-b"),
        EnqueueReturned(job="job-2", outcome="ok", message="m2"),
        QueueDrained(),
        DeadLettered(message="m1", reason="TypeError", body_digest="sha256:?", body_bytes=9),
        RunEnded(),
    )
    assert status(told) is HELD


def test_where_the_contract_names_no_place_an_expected_dead_letter_could_not_be_counted() -> None:
    told = history(
        EnqueueCalled(job="poison-1", task="mail", identity="poison", expected=DEAD_LETTERED),
        EnqueueReturned(job="poison-1", outcome="ok", message="m1"),
        QueueDrained(),
        RunEnded(),
        contract=NO_PLACE,
    )
    assert status(told) is UNKNOWN


def test_where_the_contract_names_no_place_and_none_was_due_all_is_well() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        QueueDrained(),
        RunEnded(),
        contract=NO_PLACE,
    )
    assert status(told) is HELD


def test_where_nothing_was_accepted_nothing_is_known() -> None:
    told = history(
        EnqueueCalled(job="poison-1", task="mail", identity="poison", expected=DEAD_LETTERED),
        EnqueueReturned(job="poison-1", outcome="unknown", message="m1"),
        QueueDrained(),
        RunEnded(),
    )
    assert status(told) is UNKNOWN


def test_where_nothing_was_accepted_nothing_is_known_even_if_the_contract_names_no_place() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="failed", error="refused"),
        QueueDrained(),
        RunEnded(),
        contract=NO_PLACE,
    )
    assert status(told) is UNKNOWN


def test_before_the_queues_have_drained_a_dead_letter_may_still_come() -> None:
    told = history(
        EnqueueCalled(job="poison-1", task="mail", identity="poison", expected=DEAD_LETTERED),
        EnqueueReturned(job="poison-1", outcome="ok", message="m1"),
        DrainTimedOut(after_seconds=35.0, left="1 unacknowledged"),
        RunEnded(),
    )
    assert status(told) is UNKNOWN


def test_a_dead_letter_of_a_job_that_could_be_done_is_proven_even_if_the_queues_never_drained() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        DrainTimedOut(after_seconds=35.0, left="1 unacknowledged"),
        DeadLettered(message="m1", reason="WorkerLostError", body_digest="sha256:1", body_bytes=9),
        RunEnded(),
    )
    assert status(told) is VIOLATED


def test_a_second_dead_letter_is_proven_even_if_the_queues_never_drained() -> None:
    told = history(
        EnqueueCalled(job="poison-1", task="mail", identity="poison", expected=DEAD_LETTERED),
        EnqueueReturned(job="poison-1", outcome="ok", message="m1"),
        DrainTimedOut(after_seconds=35.0, left="1 unacknowledged"),
        DeadLettered(message="m1", reason="TypeError", body_digest="sha256:1", body_bytes=9),
        DeadLettered(message="m1", reason="TypeError", body_digest="sha256:1", body_bytes=9),
        RunEnded(),
    )
    assert status(told) is VIOLATED


def test_a_history_cut_before_the_dead_letters_were_read_does_not_prove_that_one_is_missing() -> None:
    told = history(
        EnqueueCalled(job="poison-1", task="mail", identity="poison", expected=DEAD_LETTERED),
        EnqueueReturned(job="poison-1", outcome="ok", message="m1"),
        QueueDrained(),
        RunAborted(because="the subject's table 'letters' cannot be read", blame="subject"),
    )
    assert judged(told) is UNKNOWN


def test_a_cut_history_is_not_known_to_have_held_but_a_wrong_dead_letter_stands() -> None:
    exact = history(
        EnqueueCalled(job="poison-1", task="mail", identity="poison", expected=DEAD_LETTERED),
        EnqueueReturned(job="poison-1", outcome="ok", message="m1"),
        QueueDrained(),
        DeadLettered(message="m1", reason="TypeError", body_digest="sha256:1", body_bytes=9),
    )
    wrong = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        QueueDrained(),
        DeadLettered(message="m1", reason="WorkerLostError", body_digest="sha256:1", body_bytes=9),
    )
    assert judged(exact) is UNKNOWN
    assert judged(wrong) is VIOLATED


def test_a_job_with_both_ends_open_may_have_one_dead_letter_and_not_two() -> None:
    job = (
        EnqueueCalled(job="job-1", task="mail", identity="mail-a", expected=EITHER),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        QueueDrained(),
    )
    letter = DeadLettered(message="m1", reason="WorkerLostError", body_digest="d1", body_bytes=9)
    assert status(history(*job, RunEnded())) is HELD
    assert status(history(*job, letter, RunEnded())) is HELD
    assert status(history(*job, letter, letter, RunEnded())) is VIOLATED
    assert status(history(*job, RunEnded(), contract=NO_PLACE)) is UNKNOWN


def test_what_was_fed_without_a_message_id_is_known_by_its_body_and_must_be_kept_as_it_was_fed() -> None:
    fed = (
        EnqueueCalled(job="poison-1", task="mail", identity="poison", expected=DEAD_LETTERED),
        EnqueueReturned(job="poison-1", outcome="ok", body_digest="d1"),
        Queued(queue="celery", message="", delivery_tag="t1", body_digest="d1"),
        QueueDrained(),
    )
    its = DeadLettered(message="", reason="DecodeError", body_digest="d1", body_bytes=9)
    emptied = DeadLettered(message="", reason="DecodeError", body_digest="d0", body_bytes=0)
    assert status(history(*fed, its, RunEnded())) is HELD
    answer, because, _ = DeadLettersExact().check(history(*fed, emptied, RunEnded()))
    assert answer is VIOLATED
    assert "of no job of this run" in because
    assert "poison-1 had to be given up" in because


def test_the_same_body_fed_twice_needs_two_dead_letters() -> None:
    fed = tuple(
        event
        for job in ("poison-1", "poison-2")
        for event in (
            EnqueueCalled(job=job, task="mail", identity=job, expected=DEAD_LETTERED),
            EnqueueReturned(job=job, outcome="ok", body_digest="d1"),
        )
    )
    letter = DeadLettered(message="", reason="DecodeError", body_digest="d1", body_bytes=9)
    assert status(history(*fed, QueueDrained(), letter, letter, RunEnded())) is HELD
    assert status(history(*fed, QueueDrained(), letter, RunEnded())) is VIOLATED
    assert status(history(*fed, QueueDrained(), letter, letter, letter, RunEnded())) is VIOLATED

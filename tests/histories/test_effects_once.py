import msgspec
import pytest

from harness.checkers import judge
from harness.checkers.effects_once import EffectsOnce
from harness.events import (
    AttemptStarted,
    BaselineRecorded,
    DrainTimedOut,
    EffectApplied,
    EffectDeduplicated,
    EffectRequested,
    EnqueueCalled,
    EnqueueReturned,
    QueueDrained,
    RunEnded,
)
from harness.history import History
from harness.verdict import Status
from tests.histories.scenes import CONTRACT, history, requested

HELD, UNKNOWN, VIOLATED = Status.HELD, Status.UNKNOWN, Status.VIOLATED


def status(told: History) -> Status:
    return EffectsOnce().check(told)[0]


def judged(told: History) -> Status:
    return next(verdict.status for verdict in judge(told) if verdict.guarantee == "effects-once")


def test_one_effect_of_each_job_is_once() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        EnqueueCalled(job="job-2", task="mail", identity="mail-b"),
        EnqueueReturned(job="job-2", outcome="ok", message="m2"),
        requested(1, "POST /mails", "mail-a", key="k1"),
        EffectApplied(request=1, label="POST /mails", key="k1"),
        requested(2, "POST /mails", "mail-b", key="k2"),
        EffectApplied(request=2, label="POST /mails", key="k2"),
        QueueDrained(),
        RunEnded(),
    )
    answer, because, _ = EffectsOnce().check(told)
    assert answer is HELD
    assert "2 effects" in because


def test_the_same_effect_twice_is_a_violation_and_both_requests_are_the_proof() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        requested(1, "POST /mails", "mail-a"),
        EffectApplied(request=1, label="POST /mails", key=""),
        requested(2, "POST /mails", "mail-a"),
        EffectApplied(request=2, label="POST /mails", key=""),
        QueueDrained(),
        RunEnded(),
    )
    answer, because, witnesses = EffectsOnce().check(told)
    assert answer is VIOLATED
    assert "no key" in because
    assert {event.request for event in witnesses if isinstance(event, EffectRequested)} == {1, 2}
    assert {event.request for event in witnesses if isinstance(event, EffectApplied)} == {1, 2}


def test_what_the_receiver_recognised_by_its_key_is_not_applied_again() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        requested(1, "POST /mails", "mail-a", key="k1"),
        EffectApplied(request=1, label="POST /mails", key="k1"),
        requested(2, "POST /mails", "mail-a", key="k1"),
        EffectDeduplicated(request=2, label="POST /mails", key="k1"),
        QueueDrained(),
        RunEnded(),
    )
    assert status(told) is HELD


def test_a_fresh_key_for_each_attempt_defeats_the_receiver() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        requested(1, "POST /mails", "mail-a", key="k1"),
        EffectApplied(request=1, label="POST /mails", key="k1"),
        requested(2, "POST /mails", "mail-a", key="k2"),
        EffectApplied(request=2, label="POST /mails", key="k2"),
        QueueDrained(),
        RunEnded(),
    )
    answer, because, _ = EffectsOnce().check(told)
    assert answer is VIOLATED
    assert "2 different keys" in because


def test_effectively_once_does_not_permit_a_second_effect_under_the_same_key() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        requested(1, "POST /mails", "mail-a", key="k1"),
        EffectApplied(request=1, label="POST /mails", key="k1"),
        requested(2, "POST /mails", "mail-a", key="k1"),
        EffectApplied(request=2, label="POST /mails", key="k1"),
        QueueDrained(),
        RunEnded(),
    )
    assert status(told) is VIOLATED


def test_at_least_once_may_repeat_under_one_key() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="page", identity="page-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        requested(1, "POST /pages", "page-a", key="k1"),
        EffectApplied(request=1, label="POST /pages", key="k1"),
        requested(2, "POST /pages", "page-a", key="k1"),
        EffectApplied(request=2, label="POST /pages", key="k1"),
        QueueDrained(),
        RunEnded(),
    )
    assert status(told) is HELD


def test_at_least_once_may_not_repeat_under_another_key() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="page", identity="page-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        requested(1, "POST /pages", "page-a", key="k1"),
        EffectApplied(request=1, label="POST /pages", key="k1"),
        requested(2, "POST /pages", "page-a", key="k2"),
        EffectApplied(request=2, label="POST /pages", key="k2"),
        QueueDrained(),
        RunEnded(),
    )
    assert status(told) is VIOLATED


def test_at_least_once_with_a_key_may_not_repeat_without_it() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="page", identity="page-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        requested(1, "POST /pages", "page-a", key="k1"),
        EffectApplied(request=1, label="POST /pages", key="k1"),
        requested(2, "POST /pages", "page-a"),
        EffectApplied(request=2, label="POST /pages", key=""),
        QueueDrained(),
        RunEnded(),
    )
    assert status(told) is VIOLATED


def test_at_least_once_without_a_key_may_repeat_freely() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="ping", identity="ping-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        requested(1, "POST /pings", "ping-a"),
        EffectApplied(request=1, label="POST /pings", key=""),
        requested(2, "POST /pings", "ping-a"),
        EffectApplied(request=2, label="POST /pings", key=""),
        requested(3, "POST /pings", "ping-a", key="k3"),
        EffectApplied(request=3, label="POST /pings", key="k3"),
        QueueDrained(),
        RunEnded(),
    )
    assert status(told) is HELD


def test_at_most_once_never_repeats() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="call", identity="call-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        requested(1, "POST /calls", "call-a", key="k1"),
        EffectApplied(request=1, label="POST /calls", key="k1"),
        requested(2, "POST /calls", "call-a", key="k1"),
        EffectApplied(request=2, label="POST /calls", key="k1"),
        QueueDrained(),
        RunEnded(),
    )
    assert status(told) is VIOLATED


def test_at_most_once_may_be_missing() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="call", identity="call-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        QueueDrained(),
        RunEnded(),
    )
    assert status(told) is HELD


def test_the_missing_effect_of_one_job_does_not_make_up_for_the_second_of_another() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        EnqueueCalled(job="job-2", task="mail", identity="mail-b"),
        EnqueueReturned(job="job-2", outcome="ok", message="m2"),
        requested(1, "POST /mails", "mail-a"),
        EffectApplied(request=1, label="POST /mails", key=""),
        requested(2, "POST /mails", "mail-a"),
        EffectApplied(request=2, label="POST /mails", key=""),
        QueueDrained(),
        RunEnded(),
    )
    answer, because, _ = EffectsOnce().check(told)
    assert answer is VIOLATED
    assert "job-1" in because


def test_as_many_effects_as_in_the_fault_free_run_are_allowed() -> None:
    told = history(
        BaselineRecorded(effects={"job-1": (("POST /mails", "x"), ("POST /mails", "y"))}, state={}, drained=True),
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        requested(1, "POST /mails", "mail-a", key="k1", content="x"),
        EffectApplied(request=1, label="POST /mails", key="k1"),
        requested(2, "POST /mails", "mail-a", key="k2", content="y"),
        EffectApplied(request=2, label="POST /mails", key="k2"),
        QueueDrained(),
        RunEnded(),
    )
    assert status(told) is HELD


def test_one_more_effect_than_in_the_fault_free_run_is_a_violation() -> None:
    told = history(
        BaselineRecorded(effects={"job-1": (("POST /mails", "x"), ("POST /mails", "y"))}, state={}, drained=True),
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        requested(1, "POST /mails", "mail-a", key="k1", content="x"),
        EffectApplied(request=1, label="POST /mails", key="k1"),
        requested(2, "POST /mails", "mail-a", key="k2", content="y"),
        EffectApplied(request=2, label="POST /mails", key="k2"),
        requested(3, "POST /mails", "mail-a", key="k3", content="x"),
        EffectApplied(request=3, label="POST /mails", key="k3"),
        QueueDrained(),
        RunEnded(),
    )
    assert status(told) is VIOLATED


def test_what_one_job_did_twice_in_the_fault_free_run_allows_nothing_to_another() -> None:
    told = history(
        BaselineRecorded(effects={"job-1": (("POST /mails", "x"), ("POST /mails", "y"))}, state={}, drained=True),
        EnqueueCalled(job="job-2", task="mail", identity="mail-b"),
        EnqueueReturned(job="job-2", outcome="ok", message="m2"),
        requested(1, "POST /mails", "mail-b", key="k1", content="x"),
        EffectApplied(request=1, label="POST /mails", key="k1"),
        requested(2, "POST /mails", "mail-b", key="k2", content="y"),
        EffectApplied(request=2, label="POST /mails", key="k2"),
        QueueDrained(),
        RunEnded(),
    )
    assert status(told) is VIOLATED


def test_without_a_baseline_requests_of_different_content_are_not_one_effect_done_twice() -> None:
    # "Without a baseline each distinct request is expected once": the fault-free run itself is judged without one,
    # and a job may rightly send two mails.
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        requested(1, "POST /mails", "mail-a", key="k1", content="to the customer"),
        EffectApplied(request=1, label="POST /mails", key="k1"),
        requested(2, "POST /mails", "mail-a", key="k2", content="to the accountant"),
        EffectApplied(request=2, label="POST /mails", key="k2"),
        QueueDrained(),
        RunEnded(),
    )
    assert status(told) is not VIOLATED


def test_two_attempts_with_one_effect_are_once() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        AttemptStarted(message="m1", task="mail", pid=7),
        AttemptStarted(message="m1", task="mail", pid=8, retries=1),
        requested(1, "POST /mails", "mail-a", key="k1"),
        EffectApplied(request=1, label="POST /mails", key="k1"),
        QueueDrained(),
        RunEnded(),
    )
    assert status(told) is HELD


def test_an_effect_that_belongs_to_nobody_leaves_the_question_open() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        requested(1, "POST /mails", "mail-a", key="k1"),
        EffectApplied(request=1, label="POST /mails", key="k1"),
        requested(2, "POST /mails", "who?", key="k2"),
        EffectApplied(request=2, label="POST /mails", key="k2"),
        QueueDrained(),
        RunEnded(),
    )
    answer, because, witnesses = EffectsOnce().check(told)
    assert answer is UNKNOWN
    assert "POST /mails" in because
    assert [event.request for event in witnesses] == [2]


def test_an_effect_whose_request_was_not_recorded_belongs_to_nobody() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        EffectApplied(request=1, label="POST /mails", key="k1"),
        QueueDrained(),
        RunEnded(),
    )
    assert status(told) is UNKNOWN


def test_a_proven_duplicate_outweighs_an_effect_that_belongs_to_nobody() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        requested(1, "POST /mails", "mail-a"),
        EffectApplied(request=1, label="POST /mails", key=""),
        requested(2, "POST /mails", "mail-a"),
        EffectApplied(request=2, label="POST /mails", key=""),
        requested(3, "POST /elsewhere", "who?"),
        EffectApplied(request=3, label="POST /elsewhere", key=""),
        QueueDrained(),
        RunEnded(),
    )
    assert status(told) is VIOLATED


def test_a_duplicate_is_proven_even_if_the_queues_never_drained() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        requested(1, "POST /mails", "mail-a"),
        EffectApplied(request=1, label="POST /mails", key=""),
        requested(2, "POST /mails", "mail-a"),
        EffectApplied(request=2, label="POST /mails", key=""),
        DrainTimedOut(after_seconds=35.0, left="1 queued"),
        RunEnded(),
    )
    assert status(told) is VIOLATED


def test_before_the_queues_have_drained_a_duplicate_may_still_come() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        requested(1, "POST /mails", "mail-a"),
        EffectApplied(request=1, label="POST /mails", key=""),
        DrainTimedOut(after_seconds=35.0, left="1 queued"),
        RunEnded(),
    )
    assert status(told) is UNKNOWN


def test_where_nothing_was_accepted_nothing_is_known() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="failed", error="refused"),
        QueueDrained(),
        RunEnded(),
    )
    assert status(told) is UNKNOWN


def test_a_duplicate_of_a_job_whose_enqueueing_ended_unknown_is_a_duplicate() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="unknown", message="m1", error="no answer"),
        requested(1, "POST /mails", "mail-a"),
        EffectApplied(request=1, label="POST /mails", key=""),
        requested(2, "POST /mails", "mail-a"),
        EffectApplied(request=2, label="POST /mails", key=""),
        QueueDrained(),
        RunEnded(),
    )
    assert status(told) is VIOLATED


def test_a_cut_history_is_not_known_to_have_held_but_its_duplicate_stands() -> None:
    once = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        requested(1, "POST /mails", "mail-a"),
        EffectApplied(request=1, label="POST /mails", key=""),
        QueueDrained(),
    )
    twice = History(
        (
            *once.events,
            msgspec.structs.replace(requested(1, "POST /mails", "mail-a"), request=2),
            EffectApplied(request=2, label="POST /mails", key=""),
        )
    )
    assert judged(once) is UNKNOWN
    assert judged(twice) is VIOLATED


def untold(*keys: str, header: str = "Idempotency-Key") -> History:
    """A job whose task promises nothing, with an effect under each of the keys."""
    contract = msgspec.structs.replace(
        CONTRACT, tasks=tuple(msgspec.structs.replace(task, promise=None) for task in CONTRACT.tasks)
    )
    requests = [requested(number, "POST /mails", "mail-a") for number in range(1, len(keys) + 1)]
    keyed = [
        msgspec.structs.replace(request, headers={header: key} if key else {})
        for request, key in zip(requests, keys, strict=True)
    ]
    return history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        *keyed,
        *(EffectApplied(request=request.request, label="POST /mails", key="") for request in requests),
        QueueDrained(),
        RunEnded(),
        contract=contract,
    )


@pytest.mark.parametrize(
    ("keys", "expected"),
    [(("k",), HELD), (("k", "k"), UNKNOWN), (("k", "l"), VIOLATED), (("", ""), VIOLATED), (("k", ""), VIOLATED)],
)
def test_where_nothing_is_promised_a_duplicate_is_judged_by_count_and_by_key(
    keys: tuple[str, ...], expected: Status
) -> None:
    assert status(untold(*keys)) is expected


def test_a_duplicate_under_one_key_says_what_has_to_be_told() -> None:
    _, because, witnesses = EffectsOnce().check(untold("k", "k", header="Message-ID"))
    assert "2 times by count, 1 by key" in because
    assert "say honours_key=Header('Message-ID')" in because
    assert len(witnesses) == 2

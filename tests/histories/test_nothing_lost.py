import msgspec
import pytest

from harness.checkers import judge
from harness.checkers.nothing_lost import NothingLost
from harness.contract import Effect, JsonField, Learnt
from harness.events import (
    DEAD_LETTERED,
    EITHER,
    Acknowledged,
    AttemptEnded,
    AttemptStarted,
    BaselineRecorded,
    DeadLettered,
    DrainTimedOut,
    EffectAbandoned,
    EffectApplied,
    EffectDeduplicated,
    EnqueueCalled,
    EnqueueReturned,
    FaultLanded,
    NodeExited,
    Published,
    QueueDrained,
    RunAborted,
    RunEnded,
)
from harness.history import History
from harness.verdict import Status
from tests.histories.scenes import CONTRACT, history, requested

HELD, UNKNOWN, VIOLATED = Status.HELD, Status.UNKNOWN, Status.VIOLATED


def status(told: History) -> Status:
    return NothingLost().check(told)[0]


def judged(told: History) -> Status:
    return next(verdict.status for verdict in judge(told) if verdict.guarantee == "nothing-lost")


def test_a_job_with_its_effect_is_not_lost() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        requested(1, "POST /mails", "mail-a"),
        EffectApplied(request=1, label="POST /mails", key=""),
        QueueDrained(),
        RunEnded(),
    )
    assert status(told) is HELD


def test_a_job_with_a_dead_letter_is_not_lost() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        QueueDrained(),
        DeadLettered(message="m1", reason="HTTP 500", body_digest="d", body_bytes=9),
        RunEnded(),
    )
    assert status(told) is HELD


def test_a_job_with_neither_is_lost_and_its_story_is_the_proof() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        AttemptStarted(message="m1", task="mail", pid=7),
        FaultLanded(step=0, fault="SIGKILL", targets=("child 7",), jobs=("job-1",)),
        Acknowledged(message="m1", delivery_tag="t1"),
        QueueDrained(),
        RunEnded(),
    )
    answer, because, witnesses = NothingLost().check(told)
    assert answer is VIOLATED
    assert "job-1" in because
    assert [type(event) for event in witnesses] == [EnqueueReturned, AttemptStarted, FaultLanded, Acknowledged]


def test_of_a_job_that_no_fault_met_the_exits_of_processes_are_part_of_the_story() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        NodeExited(node="only", pid=7, status="SIGKILL"),
        QueueDrained(),
        RunEnded(),
    )
    assert NodeExited(node="only", pid=7, status="SIGKILL") in NothingLost().check(told)[2]


def test_the_tasks_own_word_for_success_counts_for_nothing() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        AttemptStarted(message="m1", task="mail", pid=7),
        AttemptEnded(message="m1", pid=7, state="SUCCESS"),
        QueueDrained(),
        RunEnded(),
    )
    assert status(told) is VIOLATED


def test_a_request_that_was_never_applied_is_no_effect() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        requested(1, "POST /mails", "mail-a"),
        EffectAbandoned(request=1, label="POST /mails"),
        QueueDrained(),
        RunEnded(),
    )
    assert status(told) is VIOLATED


def test_a_request_answered_from_anothers_key_is_no_effect_of_its_own() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        EnqueueCalled(job="job-2", task="mail", identity="mail-b"),
        EnqueueReturned(job="job-2", outcome="ok", message="m2"),
        requested(1, "POST /mails", "mail-a", key="same"),
        EffectApplied(request=1, label="POST /mails", key="same"),
        requested(2, "POST /mails", "mail-b", key="same"),
        EffectDeduplicated(request=2, label="POST /mails", key="same"),
        QueueDrained(),
        RunEnded(),
    )
    answer, because, _ = NothingLost().check(told)
    assert answer is VIOLATED
    assert "job-2" in because
    assert "job-1" not in because


def test_a_duplicate_of_one_job_does_not_hide_the_loss_of_another() -> None:
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
    answer, because, _ = NothingLost().check(told)
    assert answer is VIOLATED
    assert "job-2" in because


def test_a_second_dead_letter_of_one_job_does_not_hide_the_loss_of_another() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        EnqueueCalled(job="job-2", task="mail", identity="mail-b"),
        EnqueueReturned(job="job-2", outcome="ok", message="m2"),
        QueueDrained(),
        DeadLettered(message="m1", reason="gone", body_digest="d", body_bytes=9),
        DeadLettered(message="m1", reason="gone", body_digest="d", body_bytes=9),
        RunEnded(),
    )
    assert status(told) is VIOLATED


def test_the_dead_letter_of_a_stranger_saves_no_job() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        QueueDrained(),
        DeadLettered(message="m9", reason="gone", body_digest="d", body_bytes=9),
        RunEnded(),
    )
    assert status(told) is VIOLATED


def test_the_same_identity_under_another_task_is_not_the_jobs_effect() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        EnqueueCalled(job="job-2", task="page", identity="mail-a"),
        EnqueueReturned(job="job-2", outcome="ok", message="m2"),
        requested(1, "POST /pages", "mail-a"),
        EffectApplied(request=1, label="POST /pages", key=""),
        QueueDrained(),
        RunEnded(),
    )
    answer, because, _ = NothingLost().check(told)
    assert answer is VIOLATED
    assert "job-1" in because


def test_a_dead_letter_of_a_descendant_belongs_to_its_job() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        Published(message="m2", root="m1", parent="m1", task="mail"),
        QueueDrained(),
        DeadLettered(message="m2", reason="gone", body_digest="d", body_bytes=9),
        RunEnded(),
    )
    assert status(told) is HELD


def test_before_the_queues_have_drained_what_is_missing_may_still_come() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        DrainTimedOut(after_seconds=35.0, left="1 queued"),
        RunEnded(),
    )
    answer, because, witnesses = NothingLost().check(told)
    assert answer is UNKNOWN
    assert "1 queued" in because
    assert witnesses == (DrainTimedOut(after_seconds=35.0, left="1 queued"),)


def test_where_nothing_was_accepted_nothing_is_known() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="failed", error="refused"),
        QueueDrained(),
        RunEnded(),
    )
    assert status(told) is UNKNOWN


def test_a_job_whose_enqueueing_ended_unknown_is_not_owed_anything() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="unknown", message="m1", error="no answer"),
        EnqueueCalled(job="job-2", task="mail", identity="mail-b"),
        EnqueueReturned(job="job-2", outcome="ok", message="m2"),
        requested(1, "POST /mails", "mail-b"),
        EffectApplied(request=1, label="POST /mails", key=""),
        QueueDrained(),
        RunEnded(),
    )
    assert status(told) is HELD


def test_poison_that_left_no_trace_is_lost_even_where_the_effect_is_at_most_once() -> None:
    told = history(
        EnqueueCalled(job="poison-1", task="call", identity="poison", expected=DEAD_LETTERED),
        EnqueueReturned(job="poison-1", outcome="ok", message="m1"),
        QueueDrained(),
        RunEnded(),
    )
    assert status(told) is VIOLATED


def test_after_a_fault_an_at_most_once_effect_may_be_missing() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="call", identity="call-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        FaultLanded(step=0, fault="SIGKILL", targets=("child 7",), jobs=("job-1",)),
        QueueDrained(),
        RunEnded(),
    )
    assert status(told) is HELD


def test_an_at_most_once_effect_may_not_be_missing_where_the_work_was_submitted_again_after_the_fault() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="call", identity="call-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        FaultLanded(step=0, fault="SIGKILL", targets=("child 7",), jobs=("job-1",)),
        EnqueueCalled(job="job-1", task="call", identity="call-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m2"),
        QueueDrained(),
        RunEnded(),
    )
    assert status(told) is VIOLATED


def test_without_any_fault_an_at_most_once_effect_may_not_be_missing() -> None:
    # The contract: "the effect may be missing after a fault". A worker that does nothing at all must not pass.
    told = history(
        EnqueueCalled(job="job-1", task="call", identity="call-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        QueueDrained(),
        RunEnded(),
    )
    assert status(told) is VIOLATED


def test_a_loss_is_not_proven_while_an_effect_belongs_to_nobody() -> None:
    # The missing effect may be the one whose body was cut at 64 KiB and so could not be attributed.
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        msgspec.structs.replace(requested(1, "POST /mails", ""), body='{"id": "mail-a", "attachment": "AAAA'),
        EffectApplied(request=1, label="POST /mails", key=""),
        QueueDrained(),
        RunEnded(),
    )
    assert status(told) is UNKNOWN


def test_where_the_contract_names_no_place_for_dead_letters_poison_cannot_be_called_lost() -> None:
    # dead-letters-exact answers unknown to the same history: what could not be looked for is not proven missing.
    told = history(
        EnqueueCalled(job="poison-1", task="mail", identity="poison", expected=DEAD_LETTERED),
        EnqueueReturned(job="poison-1", outcome="ok", message="m1"),
        QueueDrained(),
        RunEnded(),
        contract=msgspec.structs.replace(CONTRACT, dead_letters=None),
    )
    assert status(told) is UNKNOWN


def test_a_history_that_was_cut_is_not_known_to_have_held() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        requested(1, "POST /mails", "mail-a"),
        EffectApplied(request=1, label="POST /mails", key=""),
        QueueDrained(),
    )
    assert judged(told) is UNKNOWN


def test_a_history_cut_before_the_dead_letters_were_read_does_not_prove_a_loss() -> None:
    # They are read after QueueDrained, so between the two a dead-lettered job looks like a lost one.
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        QueueDrained(),
        RunAborted(because="the subject's table 'letters' cannot be read", blame="subject"),
    )
    assert judged(told) is UNKNOWN


def test_a_job_with_both_ends_open_is_lost_only_where_neither_shows() -> None:
    job = (
        EnqueueCalled(job="job-1", task="mail", identity="mail-a", expected=EITHER),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
    )
    done = (requested(1, "POST /mails", "mail-a"), EffectApplied(request=1, label="POST /mails", key=""))
    letter = DeadLettered(message="m1", reason="TypeError", body_digest="d1", body_bytes=9)
    assert status(history(*job, *done, QueueDrained(), RunEnded())) is HELD
    assert status(history(*job, QueueDrained(), letter, RunEnded())) is HELD
    assert status(history(*job, QueueDrained(), RunEnded())) is VIOLATED


def test_half_done_is_not_done_where_being_given_up_was_open_too() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a", expected=EITHER),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        requested(1, "POST /mails", "mail-a"),
        EffectApplied(request=1, label="POST /mails", key=""),
        QueueDrained(),
        RunEnded(),
        BaselineRecorded(effects={"job-1": (("POST /mails", "a"), ("POST /mails", "b"))}, state={}, drained=True),
    )
    assert status(told) is VIOLATED


def test_what_was_fed_without_a_message_id_is_found_again_by_its_body() -> None:
    fed = (
        EnqueueCalled(job="poison-1", task="mail", identity="poison", expected=DEAD_LETTERED),
        EnqueueReturned(job="poison-1", outcome="ok", body_digest="d1"),
        QueueDrained(),
    )
    its = DeadLettered(message="", reason="DecodeError", body_digest="d1", body_bytes=9)
    others = DeadLettered(message="", reason="DecodeError", body_digest="d2", body_bytes=9)
    assert status(history(*fed, its, RunEnded())) is HELD
    assert status(history(*fed, others, RunEnded())) is VIOLATED


def test_what_the_fault_free_run_itself_repeated_is_due_once_where_repeating_is_permitted() -> None:
    def told(task: str, request: str) -> History:
        return history(
            EnqueueCalled(job="job-1", task=task, identity=f"{task}-a"),
            EnqueueReturned(job="job-1", outcome="ok", message="m1"),
            requested(1, request, f"{task}-a", key="k"),
            EffectApplied(request=1, label=request, key="k"),
            QueueDrained(),
            BaselineRecorded(effects={"job-1": ((request, "usual"), (request, "usual"))}, state={}, drained=True),
            RunEnded(),
        )

    assert status(told("page", "POST /pages")) is HELD
    assert status(told("mail", "POST /mails")) is VIOLATED


def unseen(*, state: bool) -> History:
    """A job that ran, of a task that has no effect at the ledger."""
    silent = msgspec.structs.replace(CONTRACT.tasks[0], effects=(), identity="", learnt=("effects",))
    contract = msgspec.structs.replace(CONTRACT, tasks=(silent,), state=CONTRACT.state if state else ())
    return history(
        EnqueueCalled(job="job-1", task="mail", identity="x"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        QueueDrained(),
        RunEnded(),
        contract=contract,
    )


def test_a_job_without_an_effect_to_be_seen_is_never_silently_held() -> None:
    answer, because, _ = NothingLost().check(unseen(state=False))
    assert answer is Status.UNKNOWN
    assert "name the databases or the files that it writes" in because


def test_a_job_whose_rows_are_compared_is_said_to_be_judged_by_these_alone() -> None:
    answer, because, _ = NothingLost().check(unseen(state=True))
    assert answer is Status.HELD
    assert "judged by rows alone" in because


def learnt_of(identity: str, expected: str) -> History:
    """A job of a task whose effects were learnt of another job alone, with none of its own."""
    effect = Effect(request="POST /mails", belongs_to=Learnt(JsonField("/id"), {"a": "mail-a"}))
    task = msgspec.structs.replace(CONTRACT.tasks[0], effects=(effect,), identity="", learnt=("effects",))
    return history(
        EnqueueCalled(job="job-1", task="mail", identity=identity, expected=expected),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        QueueDrained(),
        RunEnded(),
        contract=msgspec.structs.replace(CONTRACT, tasks=(task,), state=()),
    )


@pytest.mark.parametrize(
    ("identity", "expected", "answer"),
    [
        ("mail-a", "done", Status.VIOLATED),
        ("mail-b", "done", Status.UNKNOWN),
        ("poison:1", "dead-lettered", Status.VIOLATED),
    ],
)
def test_only_a_job_that_was_seen_to_have_no_effect_is_excused_from_one(
    identity: str, expected: str, answer: Status
) -> None:
    assert NothingLost().check(learnt_of(identity, expected))[0] is answer

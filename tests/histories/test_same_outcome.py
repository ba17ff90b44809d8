import msgspec

from harness.checkers import judge
from harness.checkers.same_outcome import SameOutcome
from harness.events import (
    DEAD_LETTERED,
    EITHER,
    BaselineRecorded,
    DeadLettered,
    DrainTimedOut,
    EffectApplied,
    EnqueueCalled,
    EnqueueReturned,
    FaultLanded,
    QueueDrained,
    RunEnded,
    StateRecorded,
)
from harness.history import History, baseline_of
from harness.verdict import Status
from tests.histories.scenes import CONTRACT, history, requested

HELD, UNKNOWN, VIOLATED = Status.HELD, Status.UNKNOWN, Status.VIOLATED
NO_TABLES = msgspec.structs.replace(CONTRACT, state=())


def status(told: History) -> Status:
    return SameOutcome().check(told)[0]


def judged(told: History) -> Status:
    return next(verdict.status for verdict in judge(told) if verdict.guarantee == "same-outcome")


def test_the_same_effects_and_the_same_rows_are_the_same_outcome() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        requested(1, "POST /mails", "mail-a"),
        EffectApplied(request=1, label="POST /mails", key=""),
        QueueDrained(),
        StateRecorded(table="invoices", rows=(("mail-a", "sent"),)),
        RunEnded(),
        BaselineRecorded(
            effects={"job-1": (("POST /mails", "usual"),)}, state={"invoices": (("mail-a", "sent"),)}, drained=True
        ),
    )
    answer, because, _ = SameOutcome().check(told)
    assert answer is HELD
    assert "1 table " in because


def test_another_content_is_another_outcome() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        requested(1, "POST /mails", "mail-a", content="half a mail"),
        EffectApplied(request=1, label="POST /mails", key=""),
        QueueDrained(),
        RunEnded(),
        BaselineRecorded(effects={"job-1": (("POST /mails", "usual"),)}, state={}, drained=True),
        contract=NO_TABLES,
    )
    answer, because, witnesses = SameOutcome().check(told)
    assert answer is VIOLATED
    assert "other content" in because
    assert [event.request for event in witnesses] == [1]


def test_a_missing_effect_is_another_outcome() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        QueueDrained(),
        RunEnded(),
        BaselineRecorded(effects={"job-1": (("POST /mails", "usual"),)}, state={}, drained=True),
        contract=NO_TABLES,
    )
    answer, because, _ = SameOutcome().check(told)
    assert answer is VIOLATED
    assert "missing" in because


def test_an_effect_more_is_another_outcome() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        requested(1, "POST /mails", "mail-a"),
        EffectApplied(request=1, label="POST /mails", key=""),
        requested(2, "POST /mails", "mail-a", content="an apology"),
        EffectApplied(request=2, label="POST /mails", key=""),
        QueueDrained(),
        RunEnded(),
        BaselineRecorded(effects={"job-1": (("POST /mails", "usual"),)}, state={}, drained=True),
        contract=NO_TABLES,
    )
    assert status(told) is VIOLATED


def test_how_often_is_not_this_guarantees_business() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        requested(1, "POST /mails", "mail-a"),
        EffectApplied(request=1, label="POST /mails", key=""),
        requested(2, "POST /mails", "mail-a"),
        EffectApplied(request=2, label="POST /mails", key=""),
        QueueDrained(),
        RunEnded(),
        BaselineRecorded(effects={"job-1": (("POST /mails", "usual"),)}, state={}, drained=True),
        contract=NO_TABLES,
    )
    assert status(told) is HELD


def test_two_jobs_that_swapped_their_contents_did_not_end_the_same() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        EnqueueCalled(job="job-2", task="mail", identity="mail-b"),
        EnqueueReturned(job="job-2", outcome="ok", message="m2"),
        requested(1, "POST /mails", "mail-a", content="for b"),
        EffectApplied(request=1, label="POST /mails", key=""),
        requested(2, "POST /mails", "mail-b", content="for a"),
        EffectApplied(request=2, label="POST /mails", key=""),
        QueueDrained(),
        RunEnded(),
        BaselineRecorded(
            effects={"job-1": (("POST /mails", "for a"),), "job-2": (("POST /mails", "for b"),)}, state={}, drained=True
        ),
        contract=NO_TABLES,
    )
    assert status(told) is VIOLATED


def test_a_missing_row_is_another_outcome() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        QueueDrained(),
        StateRecorded(table="invoices", rows=()),
        RunEnded(),
        BaselineRecorded(effects={}, state={"invoices": (("mail-a", "sent"),)}, drained=True),
    )
    answer, because, witnesses = SameOutcome().check(told)
    assert answer is VIOLATED
    assert "lacks ('mail-a', 'sent')" in because
    assert witnesses == (StateRecorded(table="invoices", rows=()),)


def test_a_row_more_is_another_outcome() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        QueueDrained(),
        StateRecorded(table="invoices", rows=(("mail-a", "sent"), ("mail-a", "sent"))),
        RunEnded(),
        BaselineRecorded(effects={}, state={"invoices": (("mail-a", "sent"),)}, drained=True),
    )
    answer, because, _ = SameOutcome().check(told)
    assert answer is VIOLATED
    assert "1 row too many, 0 missing" in because


def test_the_order_of_rows_is_no_outcome() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        QueueDrained(),
        StateRecorded(table="invoices", rows=(("mail-b", "sent"), ("mail-a", "sent"))),
        RunEnded(),
        BaselineRecorded(effects={}, state={"invoices": (("mail-a", "sent"), ("mail-b", "sent"))}, drained=True),
    )
    assert status(told) is HELD


def test_a_table_that_was_not_read_is_not_known_to_be_the_same() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        QueueDrained(),
        RunEnded(),
        BaselineRecorded(effects={}, state={"invoices": (("mail-a", "sent"),)}, drained=True),
    )
    assert status(told) is UNKNOWN


def test_a_table_that_was_not_read_in_the_fault_free_run_cannot_be_compared() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        QueueDrained(),
        StateRecorded(table="invoices", rows=(("mail-a", "sent"),)),
        RunEnded(),
        BaselineRecorded(effects={}, state={}, drained=True),
    )
    assert status(told) is UNKNOWN


def test_a_job_that_was_to_end_dead_is_not_expected_to_have_the_twins_effect() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a", expected=DEAD_LETTERED),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        QueueDrained(),
        StateRecorded(table="invoices", rows=(("mail-a", "failed"),)),
        RunEnded(),
        BaselineRecorded(
            effects={"job-1": (("POST /mails", "usual"),)}, state={"invoices": (("mail-a", "sent"),)}, drained=True
        ),
    )
    assert status(told) is HELD


def test_a_job_that_was_to_end_dead_may_not_have_had_an_effect() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a", expected=DEAD_LETTERED),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        requested(1, "POST /mails", "mail-a"),
        EffectApplied(request=1, label="POST /mails", key=""),
        QueueDrained(),
        RunEnded(),
        BaselineRecorded(effects={"job-1": (("POST /mails", "usual"),)}, state={}, drained=True),
        contract=NO_TABLES,
    )
    assert status(told) is VIOLATED


def test_poison_beside_them_excuses_no_other_job() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        EnqueueCalled(job="poison-1", task="mail", identity="poison", expected=DEAD_LETTERED),
        EnqueueReturned(job="poison-1", outcome="ok", message="m2"),
        QueueDrained(),
        RunEnded(),
        BaselineRecorded(effects={"job-1": (("POST /mails", "usual"),)}, state={}, drained=True),
        contract=NO_TABLES,
    )
    answer, because, _ = SameOutcome().check(told)
    assert answer is VIOLATED
    assert "job-1" in because


def test_after_a_fault_an_at_most_once_effect_may_be_missing() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="call", identity="call-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        FaultLanded(step=0, fault="SIGKILL", targets=("child 7",), jobs=("job-1",)),
        QueueDrained(),
        RunEnded(),
        BaselineRecorded(effects={"job-1": (("POST /calls", "usual"),)}, state={}, drained=True),
        contract=NO_TABLES,
    )
    assert status(told) is HELD


def test_at_most_once_does_not_permit_another_content() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="call", identity="call-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        FaultLanded(step=0, fault="SIGKILL", targets=("child 7",), jobs=("job-1",)),
        requested(1, "POST /calls", "call-a", content="wrong number"),
        EffectApplied(request=1, label="POST /calls", key=""),
        QueueDrained(),
        RunEnded(),
        BaselineRecorded(effects={"job-1": (("POST /calls", "usual"),)}, state={}, drained=True),
        contract=NO_TABLES,
    )
    assert status(told) is VIOLATED


def test_a_job_whose_enqueueing_ended_unknown_is_not_compared() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="unknown", message="m1"),
        EnqueueCalled(job="job-2", task="mail", identity="mail-b"),
        EnqueueReturned(job="job-2", outcome="ok", message="m2"),
        requested(1, "POST /mails", "mail-b"),
        EffectApplied(request=1, label="POST /mails", key=""),
        QueueDrained(),
        RunEnded(),
        BaselineRecorded(
            effects={"job-1": (("POST /mails", "usual"),), "job-2": (("POST /mails", "usual"),)}, state={}, drained=True
        ),
        contract=NO_TABLES,
    )
    assert status(told) is HELD


def test_without_a_fault_free_run_there_is_nothing_to_compare_with() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        requested(1, "POST /mails", "mail-a"),
        EffectApplied(request=1, label="POST /mails", key=""),
        QueueDrained(),
        RunEnded(),
    )
    assert status(told) is UNKNOWN


def test_a_fault_free_run_that_never_drained_is_nothing_to_compare_with() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        requested(1, "POST /mails", "mail-a"),
        EffectApplied(request=1, label="POST /mails", key=""),
        QueueDrained(),
        RunEnded(),
        BaselineRecorded(effects={"job-1": (("POST /mails", "usual"),)}, state={}, drained=False),
    )
    assert status(told) is UNKNOWN


def test_what_the_fault_free_run_itself_gave_up_is_not_compared_with() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        requested(1, "POST /mails", "mail-a"),
        EffectApplied(request=1, label="POST /mails", key=""),
        QueueDrained(),
        StateRecorded(table="invoices", rows=(("mail-a", "sent"),)),
        RunEnded(),
        BaselineRecorded(effects={"job-1": ()}, state={"invoices": ()}, drained=True, given_up=("job-1",)),
    )
    answer, because, _ = SameOutcome().check(told)
    assert answer is UNKNOWN
    assert "the fault-free run itself gave up job-1" in because


def test_beside_a_job_that_the_fault_free_run_gave_up_another_that_went_missing_is_still_seen() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        EnqueueCalled(job="job-2", task="mail", identity="mail-b"),
        EnqueueReturned(job="job-2", outcome="ok", message="m2"),
        QueueDrained(),
        RunEnded(),
        BaselineRecorded(
            effects={"job-1": (), "job-2": (("POST /mails", "usual"),)}, state={}, drained=True, given_up=("job-1",)
        ),
        contract=NO_TABLES,
    )
    answer, because, _ = SameOutcome().check(told)
    assert answer is VIOLATED
    assert "job-2" in because


def test_the_twin_tells_which_jobs_it_gave_up_that_it_should_have_done() -> None:
    twin = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        EnqueueCalled(job="job-2", task="mail", identity="mail-b", expected=DEAD_LETTERED),
        EnqueueReturned(job="job-2", outcome="ok", message="m2"),
        DeadLettered(message="m1", reason="late", body_digest="a", body_bytes=1),
        DeadLettered(message="m2", reason="poison", body_digest="b", body_bytes=1),
        QueueDrained(),
        RunEnded(),
    )
    assert baseline_of(twin).given_up == ("job-1",)


def test_where_nothing_was_accepted_nothing_is_known() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="failed", error="refused"),
        QueueDrained(),
        RunEnded(),
        BaselineRecorded(effects={}, state={}, drained=True),
    )
    assert status(told) is UNKNOWN


def test_before_the_queues_have_drained_a_missing_effect_may_still_come() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        DrainTimedOut(after_seconds=35.0, left="1 queued"),
        RunEnded(),
        BaselineRecorded(effects={"job-1": (("POST /mails", "usual"),)}, state={}, drained=True),
    )
    assert status(told) is UNKNOWN


def test_an_effect_with_another_content_is_proven_even_if_the_queues_never_drained() -> None:
    told = history(
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        requested(1, "POST /mails", "mail-a", content="half a mail"),
        EffectApplied(request=1, label="POST /mails", key=""),
        DrainTimedOut(after_seconds=35.0, left="1 queued"),
        RunEnded(),
        BaselineRecorded(effects={"job-1": (("POST /mails", "usual"),)}, state={}, drained=True),
    )
    assert status(told) is VIOLATED


def test_what_a_job_does_once_the_harness_has_given_up_and_healed_is_not_the_faults_outcome() -> None:
    def told(applied_at: float) -> History:
        return history(
            EnqueueCalled(job="job-1", task="mail", identity="mail-a", expected=DEAD_LETTERED),
            EnqueueReturned(job="job-1", outcome="ok", message="m1"),
            requested(1, "POST /mails", "mail-a"),
            EffectApplied(request=1, label="POST /mails", key="", at=applied_at),
            DrainTimedOut(after_seconds=35.0, left="1 queued", at=36.0),
            RunEnded(at=37.0),
            BaselineRecorded(effects={"job-1": (("POST /mails", "usual"),)}, state={}, drained=True, at=38.0),
        )

    assert status(told(applied_at=36.1)) is UNKNOWN
    assert status(told(applied_at=35.9)) is VIOLATED


def test_a_cut_history_is_not_known_to_have_held_but_another_content_stands() -> None:
    same = history(
        BaselineRecorded(effects={"job-1": (("POST /mails", "usual"),)}, state={}, drained=True),
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        requested(1, "POST /mails", "mail-a"),
        EffectApplied(request=1, label="POST /mails", key=""),
        QueueDrained(),
        contract=NO_TABLES,
    )
    other = history(
        BaselineRecorded(effects={"job-1": (("POST /mails", "usual"),)}, state={}, drained=True),
        EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
        requested(1, "POST /mails", "mail-a", content="half a mail"),
        EffectApplied(request=1, label="POST /mails", key=""),
        QueueDrained(),
        contract=NO_TABLES,
    )
    assert judged(same) is UNKNOWN
    assert judged(other) is VIOLATED


def test_a_job_with_both_ends_open_may_have_the_twins_effects_or_fewer_and_its_tables_are_not_compared() -> None:
    job = (
        EnqueueCalled(job="job-1", task="mail", identity="mail-a", expected=EITHER),
        EnqueueReturned(job="job-1", outcome="ok", message="m1"),
    )
    end = (
        QueueDrained(),
        StateRecorded(table="invoices", rows=(("mail-a", "failed"),)),
        RunEnded(),
        BaselineRecorded(
            effects={"job-1": (("POST /mails", "usual"),)}, state={"invoices": (("mail-a", "sent"),)}, drained=True
        ),
    )
    applied = EffectApplied(request=1, label="POST /mails", key="")
    assert status(history(*job, *end)) is HELD
    assert status(history(*job, requested(1, "POST /mails", "mail-a"), applied, *end)) is HELD
    other = requested(1, "POST /mails", "mail-a", content="half a mail")
    assert status(history(*job, other, applied, *end)) is VIOLATED

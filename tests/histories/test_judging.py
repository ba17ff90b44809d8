import msgspec
import pytest
from msgspec import Struct

from harness.checkers import CATALOGUE, GUARANTEES, judge
from harness.checkers.base import Finding
from harness.events import (
    BaselineRecorded,
    EffectApplied,
    EnqueueCalled,
    EnqueueReturned,
    Event,
    FaultLanded,
    QueueDrained,
    RunAborted,
    RunEnded,
    StateRecorded,
)
from harness.history import History
from harness.verdict import Status, Verdict, held, violated, worst
from tests.histories.scenes import history, requested

HELD, UNKNOWN, VIOLATED = Status.HELD, Status.UNKNOWN, Status.VIOLATED

DONE_JOB: tuple[Event, ...] = (
    EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
    EnqueueReturned(job="job-1", outcome="ok", message="m1"),
    requested(1, "POST /mails", "mail-a"),
    EffectApplied(request=1, label="POST /mails", key=""),
)


def wanting(told: History, *guarantees: str) -> History:
    return History((msgspec.structs.replace(told.began, guarantees=guarantees), *told.events[1:]))


class Says(Struct, frozen=True):
    finding: Finding
    guarantee: str = "says"
    sentence: str = "It says what it was told to say."

    def check(self, told: History) -> Finding:
        return self.finding


class Crashes(Struct, frozen=True):
    guarantee: str = "crashes"
    sentence: str = "It crashes."

    def check(self, told: History) -> Finding:
        raise KeyError("job-7")


def test_the_guarantees_are_told_in_the_order_of_the_catalogue_whatever_order_they_are_asked_in() -> None:
    told = wanting(history(*DONE_JOB, QueueDrained(), RunEnded()), *reversed(GUARANTEES))
    assert tuple(verdict.guarantee for verdict in judge(told)) == GUARANTEES


def test_only_what_the_run_put_to_the_test_is_judged() -> None:
    told = wanting(history(*DONE_JOB, QueueDrained(), RunEnded()), "effects-once", "nothing-lost")
    assert [verdict.guarantee for verdict in judge(told)] == ["nothing-lost", "effects-once"]


def test_no_two_checkers_speak_for_one_guarantee_and_each_says_what_it_is() -> None:
    assert len({checker.guarantee for checker in CATALOGUE}) == len(CATALOGUE)
    assert all(checker.sentence.endswith(".") for checker in CATALOGUE)


def test_what_only_some_scenarios_are_about_is_judged_only_where_they_name_it() -> None:
    assert {checker.guarantee for checker in CATALOGUE} - set(GUARANTEES) == {"alerts-fire"}


def test_a_guarantee_that_nobody_knows_is_unknown() -> None:
    told = wanting(history(*DONE_JOB, QueueDrained(), RunEnded()), "nothing-lost", "nobody-tired")
    verdicts = {verdict.guarantee: verdict.status for verdict in judge(told)}
    assert verdicts == {"nothing-lost": HELD, "nobody-tired": UNKNOWN}


def test_a_checker_that_crashes_is_unknown_and_does_not_end_the_judging_of_the_others() -> None:
    told = wanting(history(*DONE_JOB, QueueDrained(), RunEnded()), "crashes", "says")
    crashed, other = judge(told, (Crashes(), Says(finding=held("fine"))))
    assert crashed.status is UNKNOWN
    assert "KeyError" in crashed.because
    assert other.status is HELD


@pytest.mark.parametrize("checker", CATALOGUE, ids=lambda checker: checker.guarantee)
def test_no_guarantee_holds_where_nothing_was_accepted(checker: Says) -> None:
    status, _, _ = checker.check(history(QueueDrained(), RunEnded()))
    assert status is UNKNOWN


@pytest.mark.parametrize("checker", CATALOGUE, ids=lambda checker: checker.guarantee)
def test_no_guarantee_holds_of_a_run_that_never_drained(checker: Says) -> None:
    status, _, _ = checker.check(history(*DONE_JOB, RunEnded()))
    assert status is UNKNOWN


@pytest.mark.parametrize("kept", range(9))
def test_a_history_of_a_correct_run_holds_in_full_and_is_unknown_wherever_it_is_cut(kept: int) -> None:
    full = history(
        BaselineRecorded(
            effects={"job-1": (("POST /mails", "usual"),)}, state={"invoices": (("a", "sent"),)}, drained=True
        ),
        *DONE_JOB[:2],
        FaultLanded(step=0, fault="SIGKILL", targets=("child 7",), jobs=("job-1",)),
        *DONE_JOB[2:],
        QueueDrained(),
        StateRecorded(table="invoices", rows=(("a", "sent"),)),
        RunEnded(),
        steps=("SIGKILL the pool child",),
    )
    # Without the probe's log the attempts are not known; all else is.
    told = wanting(full, *(name for name in GUARANTEES if name != "attempts-bounded"))
    assert {verdict.guarantee: verdict.status for verdict in judge(told) if verdict.status is not HELD} == {}
    cut = History(told.events[: 1 + kept])
    assert {verdict.guarantee: verdict.status for verdict in judge(cut) if verdict.status is not UNKNOWN} == {}


def test_a_cut_history_says_where_it_was_cut_and_what_the_checker_would_have_said() -> None:
    told = wanting(history(*DONE_JOB), "says")
    (verdict,) = judge(told, (Says(finding=held("all was well")),))
    assert verdict.status is UNKNOWN
    assert "cut" in verdict.because
    assert "all was well" in verdict.because


def test_an_aborted_run_says_why_it_was_aborted() -> None:
    told = wanting(history(*DONE_JOB, RunAborted(because="the disk is full", blame="harness")), "says")
    (verdict,) = judge(told, (Says(finding=held("all was well")),))
    assert verdict.status is UNKNOWN
    assert "the disk is full" in verdict.because


def test_a_violation_whose_witnesses_are_in_a_cut_history_stands() -> None:
    witness = DONE_JOB[3]
    told = wanting(history(*DONE_JOB), "says")
    (verdict,) = judge(told, (Says(finding=violated("twice", witness)),))
    assert verdict == Verdict(guarantee="says", status=VIOLATED, because="twice", witnesses=(witness,))


def test_silence_is_not_success() -> None:
    assert worst(judge(wanting(history(*DONE_JOB, QueueDrained(), RunEnded())))) is UNKNOWN


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ((HELD, HELD), HELD),
        ((HELD, UNKNOWN), UNKNOWN),
        ((UNKNOWN, VIOLATED, HELD), VIOLATED),
    ],
)
def test_the_worst_answer_wins(statuses: tuple[Status, ...], expected: Status) -> None:
    assert worst(Verdict(guarantee="g", status=status, because="") for status in statuses) is expected


def test_where_the_harness_itself_broke_nothing_is_held_against_the_subject() -> None:
    told = wanting(
        history(
            *DONE_JOB,
            requested(2, "POST /mails", "mail-a"),
            EffectApplied(request=2, label="POST /mails", key=""),
            RunAborted(because="the ledger ended", blame="harness"),
        ),
        "effects-once",
    )
    (verdict,) = judge(told)
    assert verdict.status is UNKNOWN
    assert "the ledger ended" in verdict.because


def test_a_log_that_has_lost_an_event_since_the_run_ended_passes_nothing() -> None:
    lost = history(*DONE_JOB, QueueDrained(source="harness"), RunEnded(source="harness", events={"ledger": 4}))
    assert not lost.complete
    assert {verdict.status for verdict in judge(lost)} == {UNKNOWN}

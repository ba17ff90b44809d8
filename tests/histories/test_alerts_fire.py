"""The limits here: too old after 10 s, told within 3 s, cleared within 5 s."""

import json

import msgspec
import pytest

from harness.checkers import judge
from harness.checkers.alerts_fire import AlertsFire
from harness.contract import Alerts, JsonField
from harness.events import (
    Acknowledged,
    Delivered,
    DrainTimedOut,
    EffectApplied,
    EffectRequested,
    EnqueueCalled,
    EnqueueReturned,
    Event,
    Queued,
    Requeued,
    RunEnded,
)
from harness.history import History
from harness.verdict import Status
from tests.histories.scenes import CONTRACT, history

HELD, UNKNOWN, VIOLATED = Status.HELD, Status.UNKNOWN, Status.VIOLATED
WATCHED = msgspec.structs.replace(
    CONTRACT,
    alerts=Alerts(
        request="POST /alerts",
        queue=JsonField("/alerts/0/labels/queue"),
        status=JsonField("/status"),
        age_seconds_max=10,
        fires_within_seconds=3,
        clears_within_seconds=5,
    ),
)
JOB: tuple[Event, ...] = (
    EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
    EnqueueReturned(job="job-1", outcome="ok", message="m1"),
    Queued(at=0, queue="mails", message="m1", delivery_tag="t1", body_digest="d1"),
)


def taken(at: float) -> Event:
    return Delivered(at=at, message="m1", delivery_tag="t1", client="c")


def alert(at: float, status: str, *, queue: str = "mails") -> EffectRequested:
    body = {"version": "4", "status": status, "alerts": [{"status": status, "labels": {"queue": queue}}]}
    return EffectRequested(
        at=at,
        request=int(at * 10),
        label="POST /alerts",
        key="",
        headers={},
        body=json.dumps(body),
        fingerprint=f"{status}-{queue}",
        connection="127.0.0.1:9",
    )


def told(*events: Event, end: float = 60.0) -> History:
    return history(*JOB, *events, RunEnded(at=end), contract=WATCHED)


def status(history: History) -> Status:
    return AlertsFire().check(history)[0]


def test_where_no_queue_was_old_and_no_alert_fired_it_is_held() -> None:
    answer, because, _ = AlertsFire().check(told(taken(2)))
    assert answer is HELD
    assert because == "no queue was old, no alert fired"


def test_an_alert_that_fired_in_time_and_cleared_after_is_held() -> None:
    answer, because, _ = AlertsFire().check(told(alert(11, "firing"), taken(20), alert(22, "resolved")))
    assert answer is HELD
    assert "'mails'" in because


@pytest.mark.parametrize(("at", "expected"), [(10.0, HELD), (13.0, HELD), (13.1, VIOLATED)])
def test_an_alert_has_to_come_within_its_time(at: float, expected: Status) -> None:
    assert status(told(alert(at, "firing"), taken(20), alert(22, "resolved"))) is expected


@pytest.mark.parametrize(("until", "expected"), [(10.0, HELD), (13.0, HELD), (13.1, VIOLATED)])
def test_no_alert_is_due_before_the_queue_was_old_for_longer_than_it_may_take(until: float, expected: Status) -> None:
    answer, _, witnesses = AlertsFire().check(told(taken(until)))
    assert answer is expected
    assert witnesses == (() if expected is HELD else (JOB[2],))


@pytest.mark.parametrize(("end", "expected"), [(12.0, UNKNOWN), (13.0, UNKNOWN), (13.5, VIOLATED)])
def test_a_queue_that_nobody_drained_is_judged_as_far_as_the_record_reaches(end: float, expected: Status) -> None:
    assert status(told(DrainTimedOut(at=11, after_seconds=11.0, left="1 queued"), end=end)) is expected


def test_messages_that_take_over_from_each_other_make_one_old_queue() -> None:
    second = Queued(at=1, queue="mails", message="m2", delivery_tag="t2", body_digest="d2")
    gone = Delivered(at=14, message="m2", delivery_tag="t2", client="c")
    assert status(told(second, taken(11.5), gone)) is VIOLATED


@pytest.mark.parametrize(("at", "expected"), [(25.0, HELD), (25.1, VIOLATED)])
def test_an_alert_has_to_clear_within_its_time(at: float, expected: Status) -> None:
    assert status(told(alert(11, "firing"), taken(20), alert(at, "resolved"))) is expected


@pytest.mark.parametrize(("end", "expected"), [(24.0, UNKNOWN), (25.0, UNKNOWN), (25.5, VIOLATED)])
def test_whether_an_alert_clears_is_judged_as_far_as_the_record_reaches(end: float, expected: Status) -> None:
    firing = alert(11, "firing")
    answer, _, witnesses = AlertsFire().check(told(firing, taken(20), end=end))
    assert answer is expected
    assert witnesses == ((firing,) if expected is VIOLATED else ())


def test_an_alert_need_not_clear_while_the_queue_is_old_again() -> None:
    again = Queued(at=12, queue="mails", message="m2", delivery_tag="t2", body_digest="d2")
    gone = Delivered(at=40, message="m2", delivery_tag="t2", client="c")
    assert status(told(again, alert(11, "firing"), taken(20), gone, alert(42, "resolved"))) is HELD


def test_an_alert_that_goes_on_firing_answers_for_the_next_time_as_well() -> None:
    again = Queued(at=12, queue="mails", message="m2", delivery_tag="t2", body_digest="d2")
    gone = Delivered(at=40, message="m2", delivery_tag="t2", client="c")
    assert status(told(again, alert(11, "firing"), taken(20), alert(21, "resolved"), gone)) is VIOLATED
    assert status(told(again, alert(11, "firing"), taken(20), gone, alert(41, "resolved"))) is HELD


@pytest.mark.parametrize(("at", "expected"), [(9.9, VIOLATED), (23.0, HELD), (23.1, VIOLATED)])
def test_an_alert_without_an_old_message_shortly_before_it_is_false(at: float, expected: Status) -> None:
    firing = alert(at, "firing")
    events = [alert(11, "firing"), taken(20), alert(21, "resolved")] if at > 20 else [taken(12)]
    assert status(told(firing, *events, alert(max(at, 21) + 1, "resolved"))) is expected


def test_an_alert_for_another_queue_than_the_old_one_is_false_and_the_right_one_missing() -> None:
    answer, because, _ = AlertsFire().check(told(alert(11, "firing", queue="exports"), taken(20)))
    assert answer is VIOLATED
    assert "'exports'" in because
    assert status(told(alert(11, "resolved", queue="exports"), taken(20))) is VIOLATED


def test_the_age_of_a_message_that_came_back_may_be_counted_from_either_time() -> None:
    back: tuple[Event, ...] = (
        taken(6),
        Requeued(at=8, message="m1", delivery_tag="t1"),
        Queued(at=8, queue="mails", message="m1", delivery_tag="t1", body_digest="d1"),
        Delivered(at=17, message="m1", delivery_tag="t1", client="c"),
        Acknowledged(at=17.5, message="m1", delivery_tag="t1"),
    )
    assert status(told(*back)) is HELD
    assert status(told(*back, alert(11, "firing"), alert(18, "resolved"))) is HELD


def test_an_alert_about_no_queue_is_not_judged() -> None:
    broker = msgspec.structs.replace(alert(5, "firing"), body='{"status": "firing", "alerts": [{"labels": {}}]}')
    assert status(told(broker, taken(2))) is HELD


def test_an_alert_that_says_neither_is_unknown() -> None:
    assert status(told(alert(5, "perhaps"), taken(2))) is UNKNOWN


def test_where_the_contract_tells_no_alerts_or_nobody_watched_the_broker_it_is_unknown() -> None:
    untold = history(*JOB, taken(2), RunEnded(at=60))
    assert AlertsFire().check(untold)[:2] == (UNKNOWN, "the contract does not say how alerts are told")
    assert status(history(*JOB[:2], RunEnded(at=60), contract=WATCHED)) is UNKNOWN


def test_of_a_cut_record_a_false_alert_stands_and_a_missing_one_is_not_proven() -> None:
    missing = history(*JOB, taken(20), contract=WATCHED)
    false = history(*JOB, alert(5, "firing"), contract=WATCHED)
    assert status(missing) is UNKNOWN
    assert status(false) is VIOLATED


def test_an_alert_is_no_effect_and_so_belongs_to_no_job() -> None:
    firing = alert(11, "firing")
    applied = EffectApplied(at=11, request=firing.request, label=firing.label, key="")
    assert told(firing, applied).unattributed == ()
    assert len(history(*JOB, firing, applied).unattributed) == 1


def test_it_is_judged_where_it_is_named() -> None:
    run = told(taken(2))
    named = History((msgspec.structs.replace(run.began, guarantees=("alerts-fire",)), *run.events[1:]))
    assert [(verdict.guarantee, verdict.status) for verdict in judge(named)] == [("alerts-fire", HELD)]


def test_a_message_is_as_old_as_its_producers_stamp_which_may_be_older_than_what_the_broker_was_seen_to_do() -> None:
    seen_late = Queued(at=1.5, queue="mails", message="m1", delivery_tag="t1", body_digest="d1")
    asked_at = EnqueueCalled(at=1.2, job="job-1", task="mail", identity="mail-a")
    events = (asked_at, JOB[1], seen_late, alert(11.3, "firing"), taken(12), alert(13, "resolved"), RunEnded(at=60))
    assert status(history(*events, contract=WATCHED)) is HELD
    too_early = (asked_at, JOB[1], seen_late, alert(11.1, "firing"), taken(12), alert(13, "resolved"), RunEnded(at=60))
    assert status(history(*too_early, contract=WATCHED)) is VIOLATED

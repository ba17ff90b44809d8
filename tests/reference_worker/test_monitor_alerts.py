"""The state machine on literal samples: too old after 60 s, growth over 40 s."""

import pytest

from reference_worker.bugs import in_monitor
from reference_worker.monitor.alerts import GROWING, TOO_OLD, UNREACHABLE, Alert, Rules, Watch
from reference_worker.monitor.delivery import message
from reference_worker.monitor.sampling import QueueSample, Sample


def watch() -> Watch:
    return Watch(Rules(age_seconds=60, growth_seconds=40))


def sample(at: float, *, age: float = 0.0, depth: int = 1, queue: str = "exports") -> Sample:
    return Sample(at=at, queues=(QueueSample(queue=queue, depth=depth, oldest_age_seconds=age, unacknowledged=0),))


def told(changes: tuple[Alert, ...]) -> list[tuple[str, str, str]]:
    return [(alert.name, alert.queue, "firing" if alert.ends_at is None else "resolved") for alert in changes]


def depths(watch: Watch, *depths: int, start: float = 0.0) -> list[tuple[float, str]]:
    """What changed about growth, and when: one sample every 5 s."""
    changed = []
    for number, depth in enumerate(depths):
        at = start + 5.0 * number
        for _, _, status in told(watch.sampled(sample(at, depth=depth))):
            changed.append((at, status))
    return changed


@pytest.mark.parametrize(("age", "expected"), [(60.0, []), (60.1, [(TOO_OLD, "exports", "firing")])])
def test_a_message_is_too_old_beyond_the_limit_and_not_at_it(age: float, expected: list[tuple[str, str, str]]) -> None:
    assert told(watch().sampled(sample(0, age=age))) == expected


def test_an_alert_is_told_once_and_cleared_once() -> None:
    watched = watch()
    assert told(watched.sampled(sample(0, age=61))) == [(TOO_OLD, "exports", "firing")]
    assert told(watched.sampled(sample(5, age=66))) == []
    assert told(watched.sampled(sample(10, age=0))) == [(TOO_OLD, "exports", "resolved")]
    assert told(watched.sampled(sample(15, age=0))) == []


def test_an_age_that_wavers_about_the_limit_does_not_make_the_alert_flap() -> None:
    watched = watch()
    watched.sampled(sample(0, age=61))
    assert told(watched.sampled(sample(5, age=59))) == []
    assert told(watched.sampled(sample(10, age=61))) == []
    assert told(watched.sampled(sample(15, age=47.9))) == [(TOO_OLD, "exports", "resolved")]


def test_the_queues_have_alerts_of_their_own() -> None:
    watched = watch()
    watched.sampled(sample(0, age=61, queue="exports"))
    assert told(watched.sampled(sample(5, age=61, queue="billing"))) == [(TOO_OLD, "billing", "firing")]
    assert {alert.queue for alert in watched.firing} == {"exports", "billing"}


def test_a_queue_that_grows_and_grows_is_told_after_the_whole_time() -> None:
    assert depths(watch(), *range(0, 90, 10)) == [(40.0, "firing")]


def test_growth_that_workers_interrupt_without_ever_catching_up_is_growth() -> None:
    assert depths(watch(), 10, 2, 14, 6, 18, 10, 22, 14, 26) == [(40.0, "firing")]


def test_a_burst_that_drains_is_no_growth() -> None:
    assert depths(watch(), 0, 0, 100, 90, 80, 70, 60, 50, 40, 30, 20, 10, 0, 0, 0, 0) == []


def test_a_burst_that_only_stays_is_no_growth() -> None:
    assert depths(watch(), 0, 0, 100, 100, 100, 100, 100, 100, 100, 100, 100, 100) == []


def test_growth_is_over_once_a_quarter_does_not_rise_above_the_one_before() -> None:
    assert depths(watch(), *range(0, 90, 10), 80, 80, 80, 70) == [(40.0, "firing"), (55.0, "resolved")]


def test_a_time_without_samples_is_not_taken_for_growth() -> None:
    watched = watch()
    depths(watched, 0, 10, 20)
    assert depths(watched, 60, 70, 80, start=35.0) == []


def test_a_clock_that_was_set_back_ends_nothing() -> None:
    watched = watch()
    depths(watched, 0, 10, 20, start=1000.0)
    assert depths(watched, *range(0, 90, 10)) == [(40.0, "firing")]


def test_a_broker_that_cannot_be_asked_is_told_of_after_a_while_and_cleared_after() -> None:
    watched = watch()
    watched.sampled(sample(0, age=61))
    assert [told(watched.failed(at)) for at in (5, 10, 15, 20)] == [[], [], [(UNREACHABLE, "", "firing")], []]
    assert {alert.name for alert in watched.firing} == {TOO_OLD, UNREACHABLE}
    assert told(watched.sampled(sample(25, age=61))) == [(UNREACHABLE, "", "resolved")]
    assert told(watched.failed(30)) == []


def inheriting(name: str, queue: str) -> Watch:
    """A watch after one that told, at 7 s, of an alert and has ended since."""
    alert = Alert(name=name, queue=queue, summary="seen before", starts_at=7.0)
    return Watch(Rules(age_seconds=60, growth_seconds=40), [alert])


def test_what_an_earlier_watch_told_of_is_resolved_once_it_is_seen_to_be_over() -> None:
    watched = inheriting(TOO_OLD, "exports")
    assert watched.sampled(sample(100, age=59)) == ()
    assert [alert.name for alert in watched.firing] == [TOO_OLD]
    (resolved,) = watched.sampled(sample(105, age=0))
    assert (resolved.queue, resolved.starts_at, resolved.ends_at) == ("exports", 7.0, 105)
    assert watched.firing == watched.sampled(sample(110, age=0)) == ()


def test_what_an_earlier_watch_told_of_is_told_once_more_while_it_lasts() -> None:
    watched = inheriting(TOO_OLD, "exports")
    (again,) = watched.sampled(sample(100, age=61))
    assert (again.starts_at, again.ends_at) == (7.0, None)
    assert watched.sampled(sample(105, age=66)) == ()


def test_growth_that_an_earlier_watch_told_of_is_over_once_this_one_has_seen_that_it_is() -> None:
    assert depths(inheriting(GROWING, "exports"), 50, 50, 50, 50, 50) == [(10.0, "resolved")]


def test_a_broker_that_an_earlier_watch_could_not_ask_is_cleared_with_the_first_sample() -> None:
    watched = inheriting(UNREACHABLE, "")
    assert watched.failed(100) == ()
    assert told(watched.sampled(sample(105))) == [(UNREACHABLE, "", "resolved")]


def test_an_alert_is_told_as_alertmanager_tells_it() -> None:
    watched = watch()
    (firing,) = watched.sampled(sample(0, age=61))
    (resolved,) = watched.sampled(sample(10.5, age=0))
    first, last = message(firing), message(resolved)
    assert (first["version"], first["status"], last["status"]) == ("4", "firing", "resolved")
    (alert,) = last["alerts"]
    assert alert["labels"] == {"alertname": "QueueMessageTooOld", "queue": "exports"}
    assert (alert["startsAt"], alert["endsAt"]) == ("1970-01-01T00:00:00.000Z", "1970-01-01T00:00:10.500Z")
    assert first["alerts"][0]["endsAt"] == "0001-01-01T00:00:00Z"


def test_planted_a_monitor_without_age_misses_a_queue_that_nobody_drains() -> None:
    watched = watch()
    in_monitor.BUGS["monitor-without-age"](watched)
    assert watched.sampled(sample(0, age=10_000)) == ()


def test_planted_an_alert_that_never_clears_goes_on_firing() -> None:
    watched = watch()
    in_monitor.BUGS["alert-never-clears"](watched)
    assert told(watched.sampled(sample(0, age=61))) == [(TOO_OLD, "exports", "firing")]
    assert watched.sampled(sample(5, age=0)) == ()
    assert [alert.name for alert in watched.firing] == [TOO_OLD]


def test_growth_and_age_are_told_apart() -> None:
    watched = watch()
    depths(watched, *range(0, 90, 10))
    assert [alert.name for alert in watched.firing] == [GROWING]

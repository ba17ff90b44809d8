import math
from collections.abc import Iterable

from msgspec import Struct

from harness.checkers.base import Finding, named, plural
from harness.contract import Alerts
from harness.events import (
    Acknowledged,
    Delivered,
    EffectRequested,
    EnqueueCalled,
    EnqueueReturned,
    Event,
    JobId,
    MessageId,
    Published,
    Queued,
)
from harness.history import History, extract
from harness.verdict import held, unknown, violated


class AlertsFire(Struct, frozen=True):
    """Whoever watches the queues says in time that one is not drained, says in time that it is over, and else nothing.

    Measured from outside: the age of a queue's oldest message by what the broker was seen to do, the alerts by what
    arrived at the ledger. Where a message came back to its queue, an alert is due by the time since then, and
    permitted by the time since it was first asked for: a monitor may count either. An alert is false if its queue was
    not too old at any time in the `fires_within_seconds` before it came.
    """

    guarantee: str = "alerts-fire"
    sentence: str = "An alert fired for every queue that was not drained, in time, cleared after, and for no other."

    def check(self, history: History) -> Finding:
        alerts = history.contract.alerts
        if alerts is None:
            return unknown("the contract does not say how alerts are told")
        if not history.accepted:
            return unknown("no job was accepted, so nothing was put to the test")
        if not history.of(Queued):
            return unknown("the broker was not watched, so the age of its messages is not known")
        told, unread = _told(history, alerts)
        watched = _Watched(history, alerts)
        false = [
            (f"an alert for queue {queue!r} fired although no message in it was too old", request)
            for queue, changes in told.items()
            for request in _false(changes, watched.may_be_old.get(queue, []), alerts)
        ]
        if false:
            return violated(named([what for what, _ in false]), *(request for _, request in false))
        if not history.complete:
            return unknown("the record ends early, so an alert that is missing in it may have come")
        return _missing(told, watched, alerts) or _in_time(told, watched, unread)


def _missing(told: dict[str, list["_Change"]], watched: "_Watched", alerts: Alerts) -> Finding | None:
    """Alerts that did not fire, or did not clear, though there was time for it; unknown where the record is too short
    to tell.
    """
    wrong: list[str] = []
    witnesses: list[Event] = []
    undecided: list[str] = []
    for queue, spells in watched.is_old.items():
        for spell in _unanswered(told.get(queue, []), spells, alerts):
            if spell.start + alerts.fires_within_seconds >= watched.end:
                undecided.append(f"an alert for queue {queue!r} was not yet due")
                continue
            wrong.append(
                f"queue {queue!r} held a message older than {alerts.age_seconds_max:g} s from {spell.start:.1f} s "
                f"on, and no alert had come {alerts.fires_within_seconds:g} s later"
            )
            witnesses.append(spell.queued)
    for queue, changes in told.items():
        for firing, due in _not_cleared(changes, watched.may_be_old.get(queue, []), alerts):
            if due >= watched.end:
                undecided.append(f"the alert for queue {queue!r} had until {due:.1f} s to clear")
                continue
            late = f"{alerts.clears_within_seconds:g} s after it was over"
            wrong.append(f"the alert for queue {queue!r} was not cleared {late}")
            witnesses.append(firing)
    if wrong:
        return violated(named(wrong), *witnesses)
    return unknown(f"the record ends too soon: {named(undecided)}") if undecided else None


def _in_time(told: dict[str, list["_Change"]], watched: "_Watched", unread: list[EffectRequested]) -> Finding:
    if unread:
        return unknown(f"{plural(len(unread), 'alert')} said neither firing nor resolved", *unread)
    fired = [repr(queue) for queue, changes in told.items() if any(change.firing for change in changes)]
    if fired:
        return held(f"alerts fired in time for queue {named(fired)}, and cleared after")
    return held("no queue was old for long, no alert fired" if watched.is_old else "no queue was old, no alert fired")


class _Change(Struct, frozen=True):
    at: float
    firing: bool
    request: EffectRequested


class _Spell(Struct, frozen=True):
    """A time in which a queue's oldest message was too old; `queued` began it."""

    start: float
    end: float
    queued: Queued


def _told(history: History, alerts: Alerts) -> tuple[dict[str, list[_Change]], list[EffectRequested]]:
    """What arrived about each queue, in time, and what could not be read. An alert about no queue is not judged."""
    told: dict[str, list[_Change]] = {}
    unread = []
    for request in history.of(EffectRequested):
        queue = extract(alerts.queue, request) if request.label == alerts.request else None
        if queue is None:
            continue
        status = extract(alerts.status, request)
        if status in (alerts.firing, alerts.resolved):
            told.setdefault(queue, []).append(_Change(request.at, status == alerts.firing, request))
        else:
            unread.append(request)
    return {queue: sorted(changes, key=lambda change: change.at) for queue, changes in told.items()}, unread


class _Watched:
    """When each queue was too old, at least (`is_old`) and at most (`may_be_old`)."""

    def __init__(self, history: History, alerts: Alerts) -> None:
        self.end = max(event.at for event in history.events)
        first = _born(history)
        waiting: dict[str, Queued] = {}
        stays: list[tuple[Queued, float]] = []
        for event in history.events:
            match event:
                case Queued(delivery_tag=tag, message=message):
                    if message:
                        first[message] = min(first.get(message, event.at), event.at)
                    # A byte-for-byte copy behind its original: the original is the older.
                    waiting.setdefault(tag, event)
                case Delivered(delivery_tag=tag) | Acknowledged(delivery_tag=tag) if tag in waiting:
                    stays.append((waiting.pop(tag), event.at))
                case _:
                    pass
        stays += [(queued, math.inf) for queued in waiting.values()]
        limit = alerts.age_seconds_max
        self.is_old = _spells((queued, queued.at + limit, end) for queued, end in stays)
        self.may_be_old = _spells(
            (queued, max(queued.at, first.get(queued.message, queued.at) + limit), end) for queued, end in stays
        )


def _born(history: History) -> dict[MessageId, float]:
    """When each message was asked for: a producer may stamp it then, somewhat before the broker is seen to have it."""
    called: dict[JobId, float] = {}
    born: dict[MessageId, float] = {}
    for event in history.events:
        match event:
            case EnqueueCalled(job=job):
                called[job] = event.at
            case EnqueueReturned(job=job, message=message) if message and job in called:
                born.setdefault(message, called[job])
            case Published(message=message):
                born.setdefault(message, event.at)
            case _:
                pass
    return born


def _spells(stays: Iterable[tuple[Queued, float, float]]) -> dict[str, list[_Spell]]:
    """Too old from when until when, joined where one message took over from another."""
    found: dict[str, list[_Spell]] = {}
    for queued, start, end in sorted(stays, key=lambda stay: stay[1]):
        if start >= end:
            continue
        spells = found.setdefault(queued.queue, [])
        if spells and start <= spells[-1].end:
            spells[-1] = _Spell(spells[-1].start, max(end, spells[-1].end), spells[-1].queued)
        else:
            spells.append(_Spell(start, end, queued))
    return found


def _false(changes: list[_Change], may_be_old: list[_Spell], alerts: Alerts) -> list[EffectRequested]:
    return [
        change.request
        for change in changes
        if change.firing
        and not any(spell.start <= change.at <= spell.end + alerts.fires_within_seconds for spell in may_be_old)
    ]


def _unanswered(changes: list[_Change], is_old: list[_Spell], alerts: Alerts) -> list[_Spell]:
    """Spells that lasted longer than an alert may take, without one that was firing by then."""
    unanswered = []
    for spell in is_old:
        due = spell.start + alerts.fires_within_seconds
        before = [change for change in changes if change.at <= spell.start]
        answered = any(change.firing and spell.start < change.at <= due for change in changes)
        if spell.end > due and not answered and not (before and before[-1].firing):
            unanswered.append(spell)
    return unanswered


def _not_cleared(
    changes: list[_Change], may_be_old: list[_Spell], alerts: Alerts
) -> list[tuple[EffectRequested, float]]:
    """Alerts that stood longer than they may after their queue was well again, and by when they had to be cleared."""
    late = []
    fired: _Change | None = None
    for change in (*changes, None):
        if fired is None:
            fired = change if change is not None and change.firing else None
            continue
        if change is not None and change.firing:
            continue
        cleared = change.at if change is not None else math.inf
        over = (max(fired.at, spell.end) for spell in may_be_old if spell.end < cleared)
        for moment in sorted(over):
            due = moment + alerts.clears_within_seconds
            old_again = any(spell.start <= due and spell.end > moment for spell in may_be_old)
            if cleared > due and not old_again:
                late.append((fired.request, due))
                break
        fired = None
    return late

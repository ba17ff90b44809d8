"""Of a history only what has to do with the witnesses' jobs: what a person needs to see of one violation."""

from collections.abc import Collection

from harness.events import (
    Acknowledged,
    AttemptEnded,
    AttemptStarted,
    CanarySent,
    CrashPointReached,
    DeadLettered,
    Delivered,
    EnqueueCalled,
    EnqueueReturned,
    Event,
    FaultBegan,
    FaultEnded,
    FaultLanded,
    FaultMissed,
    JobId,
    MessageDoubled,
    Published,
    Queued,
    RedeliveryForced,
    Requeued,
)
from harness.history import History

EVENTS_UNFOCUSED_MAX = 120

Key = tuple[str, int, str]


def focused(history: History, witnesses: Collection[Key]) -> History:
    """The history without events about other jobs, where it is long and the witnesses are about jobs at all."""
    if len(history.events) <= EVENTS_UNFOCUSED_MAX:
        return history
    wanted: set[JobId] = set()
    for event in history.events:
        if (event.source, event.seq, type(event).__name__) in witnesses:
            wanted |= jobs_of(history, event)
    if not wanted:
        return history
    return History(event for event in history.events if not (jobs := jobs_of(history, event)) or jobs & wanted)


def jobs_of(history: History, event: Event) -> set[JobId]:
    """The jobs that an event is about; none for what is about the run or a whole worker."""
    match event:
        case EnqueueCalled() | EnqueueReturned() | CanarySent() | MessageDoubled() | CrashPointReached():
            return {event.job}
        case FaultLanded():
            return set(event.jobs)
        case FaultBegan() | FaultEnded() | FaultMissed():
            return {job for landed in history.of(FaultLanded) if landed.step == event.step for job in landed.jobs}
        case RedeliveryForced():
            owners = (history.job_of(message) for message in event.messages)
        case (
            Queued()
            | Delivered()
            | Acknowledged()
            | Requeued()
            | AttemptStarted()
            | AttemptEnded()
            | Published()
            | DeadLettered()
        ):
            owners = (history.job_of(message) for message in (event.message,))
        case _:
            number = getattr(event, "request", None)
            owners = (history.owner(history.requests.get(each)) for each in (number,) if isinstance(each, int))
    return {owner for owner in owners if owner is not None}

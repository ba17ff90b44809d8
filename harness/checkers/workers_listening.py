import re
from collections.abc import Iterator

from msgspec import Struct

from harness.checkers.base import Finding, cannot_judge, named, plural
from harness.events import (
    Acknowledged,
    AttemptStarted,
    CanarySent,
    Delivered,
    DrainTimedOut,
    Event,
    FaultBegan,
    FaultEnded,
    FaultLanded,
    JobId,
    NodeExited,
    NodeStarted,
    Queued,
    QueueDrained,
    RunAborted,
    RunEnded,
)
from harness.history import History
from harness.verdict import held, unknown, violated


class WorkersListening(Struct, frozen=True):
    """Once the faults were over, every queue had a worker that took jobs and began them, and every worker was there.

    Alive is not listening: only a job that was taken shows it. Violated: when the run gave up waiting, a message had
    been longer in its queue than its job may wait, while nothing at all was taken from that queue; a canary was taken
    and never begun; or a worker ended that no fault had hit, and was not started again.
    """

    guarantee: str = "workers-listening"
    sentence: str = "Every queue had a worker that took its jobs, to the end."

    def check(self, history: History) -> Finding:
        wrong: list[str] = []
        witnesses: list[Event] = []
        canaries = {event.job: event for event in history.of(CanarySent)}
        bodies_are_seen = bool(history.of(AttemptStarted))  # without a probe, that one did not begin is not known
        for timed_out in history.of(DrainTimedOut)[-1:]:
            for job, queued in _never_taken(history, timed_out):
                wrong.append(f"nobody took {job} from queue {queued.queue!r}, nor anything else since it was put there")
                witnesses += [queued, timed_out]
            for job, canary in canaries.items():
                taken = _deliveries(history, job)
                if taken and bodies_are_seen and not _was_begun(history, job):
                    wrong.append(f"{job}, the canary of queue {canary.queue!r}, was taken and its body never began")
                    witnesses += [canary, *taken, timed_out]
        for exited in _deserted(history):
            wrong.append(f"worker {exited.node!r} ended ({exited.status}), hit by no fault, and was not started again")
            witnesses.append(exited)
        if wrong:
            return violated(named(wrong), *witnesses)
        if unjudged := cannot_judge(history):
            return unjudged
        unseen = [
            job
            for job in canaries
            if job in history.accepted and not (_deliveries(history, job) and _was_begun(history, job))
        ]
        if unseen:
            return unknown(f"{named(unseen)}: whether the canary was taken and begun was not seen")
        heard: dict[str, bool] = {}
        for job in history.accepted:
            queue = _queue_of(history, job)
            heard[queue] = heard.get(queue, False) or _was_taken(history, job)
        if silent := [repr(queue) for queue, taken in heard.items() if not taken]:
            return unknown(f"whether anybody took a job from queue {named(silent)} was not seen")
        sent = [job for job in canaries if job in history.accepted]
        told = f"{plural(len(sent), 'canary job')} taken and begun" if sent else "no canary was sent"
        return held(f"jobs were taken from {plural(len(heard), 'queue')}; {told}")


def _copies(history: History, job: JobId) -> tuple[Queued, ...]:
    """Each time that a message of a job's was put into a queue: by its id, or by its body if it has none."""
    digest = history.accepted[job].body_digest if job in history.accepted else ""
    return tuple(
        event
        for event in history.of(Queued)
        if history.job_of(event.message) == job or (not event.message and digest and event.body_digest == digest)
    )


def _deliveries(history: History, job: JobId) -> tuple[Delivered, ...]:
    tags = {event.delivery_tag for event in _copies(history, job)}
    return tuple(
        event
        for event in history.of(Delivered)
        if event.delivery_tag in tags or (event.message and history.job_of(event.message) == job)
    )


def _was_begun(history: History, job: JobId) -> bool:
    """By the probe's word or the ledger's: an effect that is there was begun by somebody."""
    return bool(history.effects.get(job) or history.attempts.get(job))


def _was_taken(history: History, job: JobId) -> bool:
    return _was_begun(history, job) or bool(_deliveries(history, job))


def _never_taken(history: History, timed_out: DrainTimedOut) -> Iterator[tuple[JobId, Queued]]:
    """Messages that waited too long in a queue from which nothing was taken since; those of one busy queue are not."""
    queue_of: dict[str, str] = {}
    waiting: dict[str, Queued] = {}
    taken: dict[str, int] = {}  # queue -> place in the history of the last delivery from it
    place: dict[str, int] = {}
    for index, event in enumerate(history.events):
        match event:
            case Queued(delivery_tag=tag, queue=queue):
                queue_of[tag] = queue
                waiting[tag] = event
                place[tag] = index
            case Delivered(delivery_tag=tag):
                taken[queue_of.get(tag, "")] = index
                waiting.pop(tag, None)
            case Acknowledged(delivery_tag=tag):
                waiting.pop(tag, None)
            case DrainTimedOut():
                break
            case _:
                pass
    still = {id(event) for tag, event in waiting.items() if taken.get(event.queue, -1) < place[tag]}
    for job in history.accepted:
        task = history.task(job)
        for event in _copies(history, job):
            patience = task.wait_seconds_max if task is not None else 0.0
            if id(event) in still and timed_out.at - event.at >= patience:
                yield job, event


def _deserted(history: History) -> Iterator[NodeExited]:
    """Workers that ended before the run was over, by no fault of the harness's, and stayed away.

    Where the record was cut while a fault was in force, who ended since may have been hit by it: that is told later.
    """
    gone: dict[str, NodeExited] = {}
    in_force: dict[int, dict[str, NodeExited]] = {}  # step -> who was gone already when its fault began
    for event in history.events:
        match event:
            case FaultBegan(step=step):
                in_force[step] = gone.copy()
            case FaultEnded(step=step):
                in_force.pop(step, None)
            case NodeStarted(node=node):
                gone.pop(node, None)
            case NodeExited(node=node):
                gone[node] = event
            case QueueDrained() | DrainTimedOut() | RunAborted() | RunEnded():
                in_force.clear()
                break  # what ends now is ended by the harness
            case _:
                pass
    for before in in_force.values():
        gone = {node: exited for node, exited in gone.items() if before.get(node) is exited}
    hit = [target for event in history.of(FaultLanded) for target in event.targets]
    return (exited for exited in gone.values() if not any(_names(target, exited) for target in hit))


def _names(target: str, exited: NodeExited) -> bool:
    """Whether a fault's target is this process, or its worker as a whole."""
    if re.search(rf"(?<!\d){exited.pid}(?!\d)", target):
        return True
    return repr(exited.node) in target and re.search(r"\d", target.replace(repr(exited.node), "")) is None


def _queue_of(history: History, job: JobId) -> str:
    """Where its message went; else where the contract says that it goes. A task without a queue has one of its own."""
    if copies := _copies(history, job):
        return copies[0].queue
    task = history.task(job)
    return (task.queue if task is not None else "") or history.enqueued[job].task

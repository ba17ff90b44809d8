"""One event as a sentence, for people."""

from harness.events import (
    Acknowledged,
    AnswerScripted,
    AttemptEnded,
    AttemptStarted,
    BaselineRecorded,
    CanarySent,
    CountdownShortened,
    CrashPointReached,
    DeadLettered,
    Delivered,
    DrainTimedOut,
    EffectAbandoned,
    EffectApplied,
    EffectDeduplicated,
    EffectRefused,
    EffectRequested,
    EnqueueCalled,
    EnqueueReturned,
    Event,
    FaultBegan,
    FaultEnded,
    FaultLanded,
    FaultMissed,
    FilesRecorded,
    LeftBehind,
    MessageDoubled,
    NodeExited,
    NodeStarted,
    Published,
    Queued,
    QueueDrained,
    ReadAnswered,
    RedeliveryForced,
    Requeued,
    RunAborted,
    RunBegan,
    RunEnded,
    StateRecorded,
    SubjectDescribed,
)


def short(identifier: str, length: int = 8) -> str:
    """Enough of a long id to recognise it by."""
    return identifier if len(identifier) <= length + 4 else f"{identifier[:length]}…"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def sentence(event: Event) -> str:  # noqa: PLR0911, PLR0912 - one case for each kind of event, nothing else
    match event:
        case RunBegan():
            return f"the run of {event.scenario} began"
        case SubjectDescribed():
            named = [f"{name} {version}" for name, version in event.versions.items() if name != "boot"]
            return f"the subject runs {', '.join(named) or 'programs of its own'}"
        case EnqueueCalled():
            return f"{event.job} ({event.task}, {event.identity}) was to be enqueued"
        case EnqueueReturned(outcome="ok"):
            return f"{event.job} was accepted as message {short(event.message)}"
        case EnqueueReturned():
            return f"enqueueing {event.job} ended {event.outcome}: {event.error}"
        case FaultBegan():
            return f"step {event.step + 1} began: {event.fault}"
        case FaultLanded():
            were = "was" if len(event.jobs) == 1 else "were"
            met = f", while {' and '.join(event.jobs)} {were} in flight" if event.jobs else ""
            return f"step {event.step + 1} landed on {', '.join(event.targets)}{met}"
        case FaultMissed():
            return f"step {event.step + 1} did not land: {event.because}"
        case FaultEnded():
            return f"step {event.step + 1} was healed"
        case RedeliveryForced():
            return f"redelivery was brought forward of {_counted(len(event.messages), 'unacknowledged message')}"
        case MessageDoubled():
            return f"the message of {event.job} was queued a second time, byte for byte"
        case CanarySent():
            return f"{event.job} was sent as a canary through queue {event.queue}"
        case LeftBehind():
            return f"the {event.kind} {event.name} was left behind" + (f" by {event.node}" if event.node else "")
        case NodeStarted():
            return f"worker {event.node} was started as process {event.pid}"
        case NodeExited():
            return f"worker {event.node} (process {event.pid}) ended: {event.status}"
        case QueueDrained():
            return "the queues were drained"
        case DrainTimedOut():
            return f"the queues were not drained after {event.after_seconds:g} s: {event.left}"
        case DeadLettered():
            return f"a dead letter for message {short(event.message)} ({event.body_bytes} bytes): {event.reason}"
        case StateRecorded():
            return f"table {event.table} held {_counted(len(event.rows), 'row')}"
        case FilesRecorded():
            return f"folder {event.folder} held {_counted(len(event.files), 'file')}"
        case BaselineRecorded():
            return "the fault-free twin's end was noted"
        case RunAborted():
            return f"the run was aborted ({event.blame}): {event.because}"
        case RunEnded():
            return "the run ended"
        case Queued():
            return f"message {short(event.message)} was put into queue {event.queue}"
        case Delivered():
            return f"message {short(event.message)} was taken by the worker at {event.client}"
        case Acknowledged():
            return f"message {short(event.message)} was acknowledged"
        case Requeued():
            return f"message {short(event.message)} was given back"
        case AttemptStarted():
            again = f" (retry {event.retries})" if event.retries else ""
            return f"process {event.pid} began the body of message {short(event.message)}{again}"
        case AttemptEnded():
            return f"process {event.pid} ended the body of message {short(event.message)}: {event.state}"
        case CountdownShortened():
            return (
                f"message {short(event.message)} was to wait {event.seconds:.0f} s more, "
                f"which was shortened to {event.to_seconds:g} s"
            )
        case Published():
            return f"the worker published message {short(event.message)} ({event.task})"
        case CrashPointReached():
            return f"{event.job} stood at crash point {event.point}"
        case EffectRequested():
            key = f", key {event.key}" if event.key else ", no key"
            return f"request {event.request} arrived: {event.label}{key}"
        case EffectApplied():
            return f"request {event.request} was APPLIED: {event.label}"
        case EffectDeduplicated():
            return f"request {event.request} was not applied again: key {event.key} was known"
        case EffectRefused():
            return (
                f"request {event.request} was refused: its fencing token {event.token} is lower than {event.highest}, "
                f"which its path had seen"
            )
        case ReadAnswered():
            return f"{event.label} was answered {event.status}"
        case EffectAbandoned():
            return f"request {event.request} was never applied: its client died before"
        case AnswerScripted():
            return f"request {event.request} met a planned misbehaviour: {event.answer}"

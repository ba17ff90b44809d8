"""Past-tense facts about a run. The only thing that checkers see.

Each source writes its own log; within a source, `seq` gives the order. Across sources order comes from cause and
effect; `at` (seconds since the run began, CLOCK_MONOTONIC of the machine) is for people, and for bounds only where it
was taken by the harness or the ledger.
"""

from typing import Any, NewType, TypeAlias

from msgspec import Struct

from harness.contract import Contract

FORMAT_VERSION = 2

JobId = NewType("JobId", str)
MessageId = NewType("MessageId", str)

DONE = "done"
DEAD_LETTERED = "dead-lettered"
EITHER = "either"  # done or given up, visibly: where the fault leaves both open


class Stamped(Struct, frozen=True, kw_only=True, tag_field="event"):
    at: float = 0.0
    source: str = ""
    seq: int = 0


# --- the harness: what it asked for and what it did -------------------------------------------------------------


class RunBegan(Stamped, frozen=True, tag=True, kw_only=True):
    """First event of every history; carries all that judging needs besides the events."""

    format_version: int
    scenario: str
    guarantees: tuple[str, ...]
    contract: Contract
    plan_digest: str
    seed: int
    steps: tuple[str, ...] = ()  # one sentence for each planned step, by its index
    bug: str = ""
    versions: dict[str, str] = {}


class SubjectDescribed(Stamped, frozen=True, tag=True, kw_only=True):
    """Versions and settings as the subject's own environment reports them."""

    versions: dict[str, str]
    settings: dict[str, Any]


class EnqueueCalled(Stamped, frozen=True, tag=True, kw_only=True):
    job: JobId
    task: str
    identity: str
    expected: str = DONE  # DONE, DEAD_LETTERED or EITHER
    wait_seconds_max: float | None = None  # a tighter bound than the contract's, where the scenario has reason for it


class EnqueueReturned(Stamped, frozen=True, tag=True, kw_only=True):
    """`outcome` is what the caller learned: "ok" (accepted), "failed" or "unknown"."""

    job: JobId
    outcome: str
    message: MessageId = MessageId("")
    error: str = ""
    body_digest: str = ""  # of what was fed past the producer and may carry no message id: how its dead letter is known


class CanarySent(Stamped, frozen=True, tag=True, kw_only=True):
    """A job of a queue's that was held back until the faults were over, to see that somebody still listens there."""

    queue: str
    job: JobId


class FaultBegan(Stamped, frozen=True, tag=True, kw_only=True):
    step: int
    fault: str


class FaultLanded(Stamped, frozen=True, tag=True, kw_only=True):
    """The fault is known to have hurt. `targets` names exactly what was hit, `jobs` those that it met in flight.

    `idle`: it was to meet workers without a job; the canaries after it show what came of it.
    """

    step: int
    fault: str
    targets: tuple[str, ...] = ()
    jobs: tuple[JobId, ...] = ()
    idle: bool = False


class FaultMissed(Stamped, frozen=True, tag=True, kw_only=True):
    step: int
    fault: str
    because: str


class FaultEnded(Stamped, frozen=True, tag=True, kw_only=True):
    step: int
    fault: str


class RedeliveryForced(Stamped, frozen=True, tag=True, kw_only=True):
    """The harness did at once what the broker's own sweep would have done after the visibility timeout."""

    messages: tuple[MessageId, ...]


class MessageDoubled(Stamped, frozen=True, tag=True, kw_only=True):
    """The harness put a message that had been delivered before into its queue again, byte for byte."""

    job: JobId
    message: MessageId
    queue: str


class NodeStarted(Stamped, frozen=True, tag=True, kw_only=True):
    node: str
    pid: int


class NodeExited(Stamped, frozen=True, tag=True, kw_only=True):
    node: str
    pid: int
    status: str  # "exit 1", "SIGKILL"


class QueueDrained(Stamped, frozen=True, tag=True, kw_only=True):
    """Nothing ready, nothing unacknowledged, nothing scheduled: what has not happened by now never will."""


class DrainTimedOut(Stamped, frozen=True, tag=True, kw_only=True):
    after_seconds: float
    left: str


class DeadLettered(Stamped, frozen=True, tag=True, kw_only=True):
    """A dead letter as the harness read it after the run, in the place that the contract names."""

    message: MessageId
    reason: str
    body_digest: str
    body_bytes: int


class LeftBehind(Stamped, frozen=True, tag=True, kw_only=True):
    """What the subject left: a "process" that outlived its worker, or a "file" in a directory that was to be empty."""

    kind: str
    name: str
    node: str = ""


class StateRecorded(Stamped, frozen=True, tag=True, kw_only=True):
    table: str
    rows: tuple[tuple[Any, ...], ...]


class FileLeft(Struct, frozen=True, kw_only=True):
    """A file as the harness read it after the run, by its path below its folder.

    * `kind`: its name with a `*` for what differs from run to run
    * `content`: a digest, without what differs; of a file of which all does, whether anything is in it
    * `beginning`: of what is in it, for people and to tell a torn file from another one
    * `task`: whose jobs write such files, where that is known
    """

    name: str
    kind: str
    task: str = ""
    size: int
    content: str
    beginning: str


class FilesRecorded(Stamped, frozen=True, tag=True, kw_only=True):
    folder: str  # as the contract has it
    files: tuple[FileLeft, ...]


class BaselineRecorded(Stamped, frozen=True, tag=True, kw_only=True):
    """How the fault-free twin of this run ended. `effects` maps a job to its (label, fingerprint) pairs; `given_up` are
    jobs that it should have done and ended as dead letters.
    """

    effects: dict[JobId, tuple[tuple[str, str], ...]]
    state: dict[str, tuple[tuple[Any, ...], ...]]
    drained: bool
    files: dict[str, tuple[FileLeft, ...]] = {}
    given_up: tuple[JobId, ...] = ()


class RunAborted(Stamped, frozen=True, tag=True, kw_only=True):
    """The run could not be carried out to its end; `blame` is "subject" or "harness"."""

    because: str
    blame: str


class RunEnded(Stamped, frozen=True, tag=True, kw_only=True):
    """Last event of the harness; a history without it was cut.

    `events` says how many each source had recorded by then: a log with fewer was cut afterwards.
    """

    events: dict[str, int] = {}


# --- the broker, as seen from outside ------------------------------------------------------------------------------


class Queued(Stamped, frozen=True, tag=True, kw_only=True):
    queue: str
    message: MessageId
    delivery_tag: str
    body_digest: str


class Delivered(Stamped, frozen=True, tag=True, kw_only=True):
    """A worker took the message and booked it as unacknowledged; `client` is its connection."""

    message: MessageId
    delivery_tag: str
    client: str


class Acknowledged(Stamped, frozen=True, tag=True, kw_only=True):
    message: MessageId
    delivery_tag: str


class Requeued(Stamped, frozen=True, tag=True, kw_only=True):
    message: MessageId
    delivery_tag: str


# --- the probe inside the subject ------------------------------------------------------------------------------


class AttemptStarted(Stamped, frozen=True, tag=True, kw_only=True):
    message: MessageId
    task: str
    pid: int
    retries: int = 0


class AttemptEnded(Stamped, frozen=True, tag=True, kw_only=True):
    message: MessageId
    pid: int
    state: str


class CountdownShortened(Stamped, frozen=True, tag=True, kw_only=True):
    """A worker took a message whose time was yet to come, and was made to begin sooner; `seconds` were left."""

    message: MessageId
    retries: int
    seconds: float
    to_seconds: float


class Published(Stamped, frozen=True, tag=True, kw_only=True):
    """The subject itself sent a message: a retry of the same id, or a descendant."""

    message: MessageId
    root: MessageId
    parent: MessageId
    task: str


class CrashPointReached(Stamped, frozen=True, tag=True, kw_only=True):
    """A job stood at a named place until the harness had struck."""

    point: str
    job: JobId
    pid: int
    occurrence: int


# --- the ledger: the only authority on effects --------------------------------------------------------------


class EffectRequested(Stamped, frozen=True, tag=True, kw_only=True):
    """A request arrived in full. `label` is `METHOD /path`; secrets in `headers` are masked."""

    request: int
    label: str
    key: str
    headers: dict[str, str]
    body: str
    fingerprint: str
    connection: str


class EffectApplied(Stamped, frozen=True, tag=True, kw_only=True):
    request: int
    label: str
    key: str


class EffectDeduplicated(Stamped, frozen=True, tag=True, kw_only=True):
    """Its key had been applied before: answered as then, applied no second time."""

    request: int
    label: str
    key: str


class EffectAbandoned(Stamped, frozen=True, tag=True, kw_only=True):
    """The client died while the harness held the request before it was applied: it never left the client."""

    request: int
    label: str


class EffectRefused(Stamped, frozen=True, tag=True, kw_only=True):
    """It carried a lower fencing token than its path had seen before: refused, nothing applied."""

    request: int
    label: str
    token: int
    highest: int


class ReadAnswered(Stamped, frozen=True, tag=True, kw_only=True):
    """A request by a safe method (GET, HEAD, OPTIONS): no effect, answered from what had been applied at its path."""

    label: str
    connection: str
    status: int


class AnswerScripted(Stamped, frozen=True, tag=True, kw_only=True):
    """A planned misbehaviour of the downstream met this request."""

    request: int
    rule: str
    answer: str


Event: TypeAlias = (
    RunBegan
    | SubjectDescribed
    | EnqueueCalled
    | EnqueueReturned
    | FaultBegan
    | FaultLanded
    | FaultMissed
    | FaultEnded
    | RedeliveryForced
    | MessageDoubled
    | NodeStarted
    | NodeExited
    | QueueDrained
    | CanarySent
    | LeftBehind
    | DrainTimedOut
    | DeadLettered
    | StateRecorded
    | FilesRecorded
    | BaselineRecorded
    | RunAborted
    | RunEnded
    | Queued
    | Delivered
    | Acknowledged
    | Requeued
    | AttemptStarted
    | AttemptEnded
    | CountdownShortened
    | Published
    | CrashPointReached
    | EffectRequested
    | EffectApplied
    | EffectDeduplicated
    | EffectAbandoned
    | EffectRefused
    | ReadAnswered
    | AnswerScripted
)

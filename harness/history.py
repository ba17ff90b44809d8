"""All events of one run, merged, with the look-ups that checkers share."""

import heapq
import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import msgspec

from harness.contract import (
    Content,
    Contract,
    Effect,
    Extractor,
    FormField,
    Header,
    JsonField,
    Learnt,
    RequestPath,
    Task,
)
from harness.events import (
    DEAD_LETTERED,
    DONE,
    EITHER,
    AttemptStarted,
    BaselineRecorded,
    DeadLettered,
    EffectApplied,
    EffectRequested,
    EnqueueCalled,
    EnqueueReturned,
    Event,
    FaultLanded,
    FilesRecorded,
    JobId,
    MessageId,
    Published,
    QueueDrained,
    RunBegan,
    RunEnded,
    StateRecorded,
)

E = TypeVar("E", bound=Event)
FORM_FIELDS_MAX = 1000
_ARRAY_INDEX = re.compile(r"0|[1-9][0-9]{0,8}", re.ASCII)  # as RFC 6901 has it: no leading zeros


class History:
    """An immutable sequence of events that begins with `RunBegan`; it may have been cut before its end.

    :raises ValueError: there is no `RunBegan` among the events
    """

    def __init__(self, events: Iterable[Event]) -> None:
        self.events: tuple[Event, ...] = tuple(events)
        began = self.of(RunBegan)
        if not began:
            raise ValueError("the history has no RunBegan event, so nothing is known about the run")
        self.began: RunBegan = began[0]

    def of(self, kind: type[E]) -> tuple[E, ...]:
        return tuple(event for event in self.events if isinstance(event, kind))

    def in_order(self, events: Iterable[Event]) -> tuple[Event, ...]:
        """The given events of this history as they happened, each once."""
        wanted = {id(event) for event in events}
        return tuple(event for event in self.events if id(event) in wanted)

    @property
    def contract(self) -> Contract:
        return self.began.contract

    @cached_property
    def complete(self) -> bool:
        """Whether the record reaches the end of the run, and no source's log has lost an event since."""
        there = Counter(event.source for event in self.events)
        ended = self.of(RunEnded)
        return bool(ended) and all(there[source] >= count for source, count in ended[-1].events.items())

    @cached_property
    def drained(self) -> bool:
        return bool(self.of(QueueDrained))

    # --- jobs ---

    @cached_property
    def enqueued(self) -> dict[JobId, EnqueueCalled]:
        """Each job by its id, as first asked for."""
        calls: dict[JobId, EnqueueCalled] = {}
        for call in self.of(EnqueueCalled):
            calls.setdefault(call.job, call)
        return calls

    @cached_property
    def accepted(self) -> dict[JobId, EnqueueReturned]:
        """The jobs to which the guarantees apply: those that the broker took."""
        return {event.job: event for event in self.of(EnqueueReturned) if event.outcome == "ok"}

    def expected_done(self) -> tuple[JobId, ...]:
        return self._expected(DONE)

    def expected_dead(self) -> tuple[JobId, ...]:
        return self._expected(DEAD_LETTERED)

    def expected_either(self) -> tuple[JobId, ...]:
        """Jobs that may be done or given up, as long as somebody can see which."""
        return self._expected(EITHER)

    def _expected(self, end: str) -> tuple[JobId, ...]:
        return tuple(job for job in self.accepted if self._end_of(job) == end)

    def _end_of(self, job: JobId) -> str:
        """What had to become of a job. Where not all that was to befall it did, a correct worker may have done it."""
        end = self.enqueued[job].expected
        return EITHER if end == DEAD_LETTERED and not self.struck_as_planned else end

    @cached_property
    def struck_as_planned(self) -> bool:
        """Whether every planned fault landed."""
        return {event.step for event in self.of(FaultLanded)} >= set(range(len(self.began.steps)))

    def task(self, job: JobId) -> Task | None:
        return self.contract.task(self.enqueued[job].task)

    @cached_property
    def jobs_by_message(self) -> dict[MessageId, JobId]:
        """Every message id that belongs to a job: its own, and its descendants' by root and parent."""
        owners = {event.message: event.job for event in self.of(EnqueueReturned) if event.message}
        unowned = self.of(Published)
        while unowned:  # a grandchild may stand before its parent where their logs were merged
            left = []
            for event in unowned:
                owner = owners.get(event.root) or owners.get(event.parent)
                if owner is None:
                    left.append(event)
                else:
                    owners.setdefault(event.message, owner)
            if len(left) == len(unowned):
                break
            unowned = tuple(left)
        return owners

    def job_of(self, message: MessageId) -> JobId | None:
        return self.jobs_by_message.get(message)

    @cached_property
    def attempts(self) -> dict[JobId, tuple[AttemptStarted, ...]]:
        """Starts of a job's own body; a descendant's attempts are its own task's, not this job's."""
        found: dict[JobId, list[AttemptStarted]] = {job: [] for job in self.accepted}
        own = {event.message: event.job for event in self.of(EnqueueReturned) if event.message}
        for event in self.of(AttemptStarted):
            job = own.get(event.message)
            if job in found:
                found[job].append(event)
        return {job: tuple(starts) for job, starts in found.items()}

    # --- dead letters ---

    @cached_property
    def letters(self) -> dict[JobId, tuple[DeadLettered, ...]]:
        """The dead letters of each job that was asked for: by message id, or else by the body that was fed."""
        return self._letters_by_owner[0]

    @cached_property
    def stranger_letters(self) -> tuple[DeadLettered, ...]:
        """Dead letters of no job of this run."""
        return self._letters_by_owner[1]

    @cached_property
    def _letters_by_owner(self) -> tuple[dict[JobId, tuple[DeadLettered, ...]], tuple[DeadLettered, ...]]:
        fed = [event for event in self.of(EnqueueReturned) if event.body_digest]
        found: dict[JobId, list[DeadLettered]] = {job: [] for job in self.enqueued}
        strangers: list[DeadLettered] = []
        for letter in self.of(DeadLettered):
            owner = self.job_of(letter.message)
            if owner is None:
                # The same body may have been fed twice: each of the two has a letter before one has a second.
                alike = [event.job for event in fed if event.body_digest == letter.body_digest and event.job in found]
                owner = min(alike, key=lambda job: len(found[job]), default=None)
            if owner in found:
                found[owner].append(letter)
            else:
                strangers.append(letter)
        return {job: tuple(letters) for job, letters in found.items()}, tuple(strangers)

    # --- effects ---

    @cached_property
    def requests(self) -> dict[int, EffectRequested]:
        return {event.request: event for event in self.of(EffectRequested)}

    @cached_property
    def effects(self) -> dict[JobId, tuple[EffectApplied, ...]]:
        """What was applied for each job, by the contract's rule of belonging."""
        found: dict[JobId, list[EffectApplied]] = {job: [] for job in self.enqueued}
        for event in self.of(EffectApplied):
            job = self.owner(self.requests.get(event.request))
            if job is not None:
                found[job].append(event)
        return {job: tuple(applied) for job, applied in found.items()}

    @cached_property
    def unattributed(self) -> tuple[EffectApplied, ...]:
        """Applied effects that no rule of the contract assigns to a job of this run; an alert is no effect."""
        alert = self.contract.alerts.request if self.contract.alerts is not None else None
        return tuple(
            event
            for event in self.of(EffectApplied)
            if event.label != alert and self.owner(self.requests.get(event.request)) is None
        )

    def content(self, job: JobId, event: EffectApplied) -> str:
        """What an effect of a job's was, without what differs from run to run."""
        task = self.task(job)
        rules = task.effects if task is not None else ()
        rule = next((rule for rule in rules if rule.matches(event.label)), None)
        return content_of(rule, self.requests[event.request])

    def owner(self, request: EffectRequested | None) -> JobId | None:
        if request is None:
            return None
        return owner_of(self.contract, self.enqueued.values(), request)


def owner_of(contract: Contract, jobs: Iterable[EnqueueCalled], request: EffectRequested) -> JobId | None:
    """The job that a request belongs to, by the contract's rules; None if there is none, or more than one."""
    calls = list(jobs)
    owners: set[JobId] = set()
    for task in contract.tasks:
        for rule in task.effects:
            if not rule.matches(request.label):
                continue
            value = extract(rule.belongs_to, request)
            if value is None:
                continue
            owners |= {call.job for call in calls if call.task == task.name and call.identity == value}
    return owners.pop() if len(owners) == 1 else None


def extract(extractor: Extractor, request: EffectRequested) -> str | None:
    """What a header or a field of a request holds, as text; None where it is missing or the body is not JSON."""
    match extractor:
        case Header(name=name):
            return next((value for header, value in request.headers.items() if header.lower() == name.lower()), None)
        case RequestPath():
            return request.label.partition(" ")[2]
        case Content():
            return request.fingerprint
        case FormField(name=name):
            return dict(form_of(request)).get(name)
        case Learnt(of=of, jobs=jobs):
            found = extract(of, request)
            return jobs.get(found) if found is not None else None
        case JsonField(pointer=pointer):
            value = json_of(request)
            for step in steps_of(pointer):
                value = _child(value, step)
            return None if value is None else str(value)


def steps_of(pointer: str) -> list[str]:
    """What a JSON pointer leads through."""
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer[1:].split("/")]


def json_of(request: EffectRequested) -> Any:
    """A request's body, decoded; None where it is not JSON."""
    return document_in(request.body)


def document_in(data: str | bytes) -> Any:
    """What is written in JSON; None where it is not JSON."""
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # hostile nesting is no JSON that anyone reads
        return None


def form_of(request: EffectRequested) -> list[tuple[str, str]]:
    """The fields of a form, in order; none where it is not one, or has absurdly many."""
    kind = extract(Header("Content-Type"), request) or ""
    if not kind.lower().startswith("application/x-www-form-urlencoded"):
        return []
    try:
        return parse_qsl(request.body, keep_blank_values=True, max_num_fields=FORM_FIELDS_MAX)
    except ValueError:
        return []


def content_of(rule: Effect | None, request: EffectRequested) -> str:
    """What two sendings of the same thing have in common: without what the contract calls volatile."""
    if rule is None or not rule.volatile:
        return request.fingerprint
    value = json_of(request) if "" not in rule.volatile else None
    if not isinstance(value, dict | list):
        return ""
    return without(value, rule.volatile)


def without(document: Any, pointers: tuple[str, ...]) -> str:
    """A document that is JSON as text, its keys in order, without what these pointers lead to; it is changed."""
    for pointer in pointers:
        _remove(document, steps_of(pointer))
    return msgspec.json.encode(document, order="sorted").decode()


def _remove(value: Any, parts: list[str]) -> None:
    """Take what a pointer leads to out of a document; of a list its place is kept."""
    for part in parts[:-1]:
        value = _child(value, part)
    last = parts[-1]
    if isinstance(value, dict):
        value.pop(last, None)
    elif isinstance(value, list) and _ARRAY_INDEX.fullmatch(last) and int(last) < len(value):
        value[int(last)] = None


def _child(value: Any, step: str) -> Any:
    if isinstance(value, dict):
        return value.get(step)
    if isinstance(value, list) and _ARRAY_INDEX.fullmatch(step) and int(step) < len(value):
        return value[int(step)]
    return None


def baseline_of(twin: History) -> BaselineRecorded:
    """How a fault-free run ended, as those that are compared with it record it."""
    return BaselineRecorded(
        effects={
            job: tuple((event.label, twin.content(job, event)) for event in applied)
            for job, applied in twin.effects.items()
        },
        state={event.table: event.rows for event in twin.of(StateRecorded)},
        drained=twin.drained,
        files={event.folder: event.files for event in twin.of(FilesRecorded)},
        given_up=tuple(job for job in twin.expected_done() if twin.letters[job]),
    )


def merge(logs: Iterable[Sequence[Event]]) -> Iterator[Event]:
    """One sequence from several logs, each in its own order, laid side by side by `at` for people to read.

    A log whose clock ran backwards keeps its order: an event is never placed before its predecessor.
    """

    def rising(log: Sequence[Event]) -> Iterator[tuple[float, str, int, Event]]:
        times = itertools.accumulate((event.at for event in log), max)
        return ((at, event.source, event.seq, event) for at, event in zip(times, log, strict=True))

    merged = heapq.merge(*(rising(log) for log in logs), key=lambda item: item[:3])
    # RunBegan heads the history whatever the clocks say.
    first: list[Event] = []
    rest: list[Event] = []
    for *_, event in merged:
        (first if isinstance(event, RunBegan) else rest).append(event)
    return itertools.chain(first, rest)

"""From what each job did when it ran alone, twice, to the rules by which its effects are known again. Pure."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, TypeAlias

from msgspec import Struct

from harness.contract import (
    SECRET_HEADERS,
    Content,
    Effect,
    FormField,
    Header,
    JsonField,
    Learnt,
    RequestPath,
)
from harness.events import EffectRequested, JobId
from harness.history import extract, form_of, json_of
from harness.system import PlannedJob

POINTERS_MAX = 200
# They tell about the sender, the moment or the transport, and never about the job.
SAYS_NOTHING = frozenset(
    {
        "accept",
        "accept-encoding",
        "connection",
        "content-length",
        "date",
        "host",
        "message-id",
        "received",
        "user-agent",
    }
)

Requests: TypeAlias = dict[JobId, tuple[EffectRequested, ...]]
Source: TypeAlias = Header | JsonField | RequestPath | FormField | Content


class Known(Struct, frozen=True):
    """`by_task`: the effects of each task. `doubts`: what is not known, in sentences."""

    by_task: dict[str, tuple[Effect, ...]]
    doubts: tuple[str, ...]


def learn_effects(jobs: Sequence[PlannedJob], first: Requests, second: Requests) -> Known:
    """A rule for each kind of request, by what is the same in both runs of a job and in no other job's.

    What came in one of the two runs only, or cannot be told from another job's, gets no rule: it will be attributed to
    nobody, which no guarantee takes for well.
    """
    doubts: list[str] = []
    rules: dict[str, list[Effect]] = {job.task: [] for job in jobs}
    for pattern in _patterns(jobs, first, second, doubts):
        sent = {job.job: (_those(first[job.job], pattern), _those(second[job.job], pattern)) for job in jobs}
        sent = {job: runs for job, runs in sent.items() if any(runs)}
        if uneven := [job for job, (one, two) in sent.items() if len(one) != len(two)]:
            doubts.append(
                f"{pattern} of {uneven[0]} came {' and '.join(str(len(run)) for run in sent[uneven[0]])} times"
            )
            continue
        source = next(_distinguishing(jobs, sent), None)
        if source is None:
            doubts.append(f"{pattern} cannot be told apart: {', '.join(sent)} send the same, or never the same twice")
            continue
        volatile = _volatile(sent)
        if volatile:
            what = "its body" if "" in volatile else ", ".join(volatile)
            doubts.append(f"{pattern} is compared without {what}, which differs from run to run")
        for task, effects in rules.items():
            own = {job.job: job.identity for job in jobs if job.task == task and job.job in sent}
            values = {
                value: identity
                for job, identity in own.items()
                for request in chain(*sent[job])
                if (value := extract(source, request)) is not None
            }
            if values:
                effects.append(Effect(request=pattern, belongs_to=Learnt(source, values), volatile=volatile))
    return Known({task: tuple(found) for task, found in rules.items()}, tuple(doubts))


def _patterns(jobs: Sequence[PlannedJob], first: Requests, second: Requests, doubts: list[str]) -> Iterator[str]:
    """Each label that came in both runs; of a path that is another one each time its beginning and a `*`."""
    found: dict[str, None] = {}
    for job in jobs:
        one = Counter(request.label for request in first[job.job])
        two = Counter(request.label for request in second[job.job])
        found |= dict.fromkeys(one & two)
        left = sorted((two - one).elements())
        for label in sorted((one - two).elements()):
            start, other = max(((_common(label, other), other) for other in left), default=("", ""))
            if start.partition("/")[2]:
                left.remove(other)
                found[f"{start}*"] = None
            else:
                doubts.append(f"{label} of {job.job} came in one fault-free run and not in the other")
        doubts += [f"{label} of {job.job} came in one fault-free run and not in the other" for label in left]
    yield from found


def _common(one: str, two: str) -> str:
    """The beginning that two labels share, up to a slash."""
    length = next((n for n, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), min(len(one), len(two)))
    return one[: one.rfind("/", 0, length) + 1]


def _those(requests: Sequence[EffectRequested], pattern: str) -> tuple[EffectRequested, ...]:
    if pattern.endswith("*"):
        return tuple(request for request in requests if request.label.startswith(pattern[:-1]))
    return tuple(request for request in requests if request.label == pattern)


# --- what tells one job's from another's ---

Runs: TypeAlias = tuple[tuple[EffectRequested, ...], tuple[EffectRequested, ...]]


def _distinguishing(jobs: Sequence[PlannedJob], sent: dict[JobId, Runs]) -> Iterator[Source]:
    """Everything that holds the same in both runs of a job, and what no other job's holds; the best first."""
    example = next(iter(sent.values()))[0][0]
    arguments = {str(value) for job in jobs for value in job.arguments.values()}
    body: list[Source] = [JsonField(pointer) for pointer, _ in leaves(json_of(example))]
    body += [FormField(name) for name, _ in form_of(example)]
    headers = [Header(name) for name in sorted(example.headers) if name.lower() not in SAYS_NOTHING | SECRET_HEADERS]
    named = [each for each in (*body, *headers) if extract(each, example) in arguments]
    for source in dict.fromkeys((*named, RequestPath(), *body, *headers, Content())):
        values = [_values(source, runs) for runs in sent.values()]
        if all(values) and sum(map(len, values)) == len(set().union(*values)):
            yield source


def _values(source: Source, runs: Runs) -> set[str]:
    """What it holds in each of a job's requests; nothing where it holds something else in the other run."""
    one, two = ({extract(source, request) for request in run} for run in runs)
    return {each for each in one if each is not None} if one == two and None not in one else set()


def leaves(value: Any, pointer: str = "") -> Iterator[tuple[str, Any]]:
    """Every scalar of a document with its JSON pointer, the outer ones first; a large document's beginning."""
    waiting = [(pointer, value)]
    for count, (where, each) in enumerate(waiting):
        if count >= POINTERS_MAX:
            return
        if isinstance(each, dict):
            waiting += [(f"{where}/{name.replace('~', '~0').replace('/', '~1')}", item) for name, item in each.items()]
        elif isinstance(each, list):
            waiting += [(f"{where}/{number}", item) for number, item in enumerate(each)]
        elif each is not None and where:
            yield where, each


# --- what differs from run to run ---


def _volatile(sent: dict[JobId, Runs]) -> tuple[str, ...]:
    """JSON pointers of what is not the same in two runs of a job; "" where all of the body has to be let go."""
    found: dict[str, None] = {}
    for one, two in sent.values():
        if Counter(each.fingerprint for each in one) == Counter(each.fingerprint for each in two):
            continue
        for a, b in zip(one, two, strict=True):
            if a.fingerprint != b.fingerprint:
                found |= dict.fromkeys(differences(json_of(a), json_of(b)))
    return ("",) if "" in found else tuple(found)


def differences(one: Any, two: Any) -> list[str]:
    """JSON pointers of what is not the same in two documents; "" where there is nothing to point to."""
    if not isinstance(one, dict | list) or type(one) is not type(two):
        return [""]
    a, b = dict(leaves(one)), dict(leaves(two))
    # A field that is there in one run only, or a difference in what is no scalar, leaves nothing to point to.
    return [pointer for pointer in a | b if a.get(pointer) != b.get(pointer)] or [""]

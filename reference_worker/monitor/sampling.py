"""What stands in the queues, read from Redis as kombu lays it out, without touching a message.

A queue is a list for each priority, pushed at the left and popped at the right; what a worker has taken and not yet
acknowledged is in the hash `unacked` as `[message, exchange, routing key]`. What is in there came from anybody: it may
be no JSON at all.
"""

import hashlib
import json
import math
from dataclasses import dataclass
from typing import Any, cast

from redis import Redis, ResponseError

from reference_worker.monitor.stamping import HEADER

QUEUES = ("notifications", "billing", "sync", "exports")
_PRIORITIES = ("", "\x06\x163", "\x06\x166", "\x06\x169")
_UNACKED = "unacked"
# However long a queue is, a sample reads only this much of it: the oldest end, and that many unacknowledged.
OLDEST_READ = 8
UNACKED_READ_MAX = 2000
_CLOCK_SKEW_SECONDS_MAX = 5.0


@dataclass(frozen=True, kw_only=True)
class QueueSample:
    """`oldest_age_seconds` is that of the oldest message that no worker has taken; 0 if there is none."""

    queue: str
    depth: int
    oldest_age_seconds: float
    unacknowledged: int


@dataclass(frozen=True, kw_only=True)
class Sample:
    at: float  # seconds since the epoch
    queues: tuple[QueueSample, ...]


class Sampler:
    """Remembers, from one sample to the next, when it first saw a message that does not say how old it is."""

    def __init__(self, broker: Redis, queues: tuple[str, ...] = QUEUES) -> None:
        self._broker = broker
        self._queues = queues
        self._first_seen: dict[tuple[str, bytes], float] = {}

    def sample(self, now: float) -> Sample:
        """:raises redis.RedisError, OSError: the broker cannot be asked"""
        with self._broker.pipeline(transaction=False) as pipe:
            for queue in self._queues:
                for priority in _PRIORITIES:
                    pipe.llen(queue + priority)
                    pipe.lrange(queue + priority, -OLDEST_READ, -1)
            answers = iter(pipe.execute(raise_on_error=False))
        taken = self._unacknowledged()
        seen: dict[tuple[str, bytes], float] = {}
        samples = []
        for queue in self._queues:
            depth, age = 0, 0.0
            for _ in _PRIORITIES:
                length, oldest = next(answers), next(answers)
                if _is_of_another_type(length):
                    continue  # somebody put something else than a list there: no message of Celery's is in it
                for failed in (length, oldest):
                    if isinstance(failed, Exception):
                        raise failed
                depth += length
                age = max(age, *(self._age(queue, raw, now, seen) for raw in oldest), 0.0)
            samples.append(
                QueueSample(queue=queue, depth=depth, oldest_age_seconds=age, unacknowledged=taken.get(queue, 0))
            )
        self._first_seen = seen
        return Sample(at=now, queues=tuple(samples))

    def _age(self, queue: str, raw: bytes, now: float, seen: dict[tuple[str, bytes], float]) -> float:
        published = published_at(raw, now)
        if published is None:
            known_by = (queue, hashlib.sha256(raw).digest())
            published = seen[known_by] = self._first_seen.get(known_by, now)
        return max(0.0, now - published)

    def _unacknowledged(self) -> dict[str, int]:
        taken: dict[str, int] = {}
        cursor, read = 0, 0
        while read < UNACKED_READ_MAX:
            try:
                answer = self._broker.hscan(_UNACKED, cursor, count=200)
            except ResponseError as error:
                if _is_of_another_type(error):
                    break  # not a hash: not kombu's
                raise
            cursor, entries = cast("tuple[int, dict[bytes, bytes]]", answer)
            read += len(entries)
            for value in entries.values():
                queue = _routing_key(value)
                if queue is not None:
                    taken[queue] = taken.get(queue, 0) + 1
            if not cursor:
                break
        return taken


def _is_of_another_type(answer: object) -> bool:
    return isinstance(answer, ResponseError) and str(answer).startswith("WRONGTYPE")


def published_at(raw: bytes, now: float) -> float | None:
    """The stamp of an envelope; None where there is none that can be true: not a number, negative, in the future."""
    envelope = _json(raw)
    headers = envelope.get("headers") if isinstance(envelope, dict) else None
    stamp = headers.get(HEADER) if isinstance(headers, dict) else None
    if isinstance(stamp, bool) or not isinstance(stamp, int | float):
        return None
    try:
        published = float(stamp)
    except OverflowError:
        return None
    return published if math.isfinite(published) and 0 < published <= now + _CLOCK_SKEW_SECONDS_MAX else None


def _routing_key(raw: bytes) -> str | None:
    match _json(raw):
        case [_, _, str() as routing_key]:
            return routing_key
        case _:
            return None


def _json(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None

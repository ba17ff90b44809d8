"""What messages in Redis lists go through, from the broker's own stream of commands.

The stream holds commands and no replies, so the lists are kept here as the broker keeps them, and the clients that
wait in the order in which they came. Two patterns are known by what they do, whatever the language:

* naive: a pop (`RPOP`, `BRPOP`, ...) takes the message from the broker for good: delivered and acknowledged at once.
* reliable: a move (`BLMOVE`, `BRPOPLPUSH`, ...) takes it to a list of the worker's, and removing it there (`LREM`, a
  pop, `DEL`) acknowledges it. Moved back to a queue, it is requeued.

A client that waits is served by a later push, of which the stream says nothing, nor that a client has gone: who still
waits is what the broker says when it is asked, and whose time has not passed. It is asked later than it pushed: who was
served, has done its job and is gone by then is known by what it sent in between, for who waits sends nothing.

What a body does is not seen. A connection that has taken a message is busy with it until it asks for another, or the
message has been acknowledged.
"""

import json
import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from harness.codec import digest
from harness.events import Acknowledged, Delivered, Event, MessageId, Queued, Requeued
from harness.store import Recorder
from harness.systems.tracked import DELIVERED, QUEUED, SETTLED, Tracked

LEFT, RIGHT = b"LEFT", b"RIGHT"
_FOREVER_SECONDS = 1e9


@dataclass(frozen=True, kw_only=True)
class Pop:
    """One command that takes messages: from the first of `keys` that has any, to `target` or out of the broker."""

    keys: tuple[str, ...]
    end: bytes
    count: int = 1
    target: str = ""
    target_end: bytes = LEFT
    waits_seconds: float | None = None  # None: it does not wait


@dataclass(frozen=True, kw_only=True)
class Waiter:
    client: str
    pop: Pop
    until: float


class ListTap:
    """A listener for `RedisMonitor` that records facts and keeps the state of each message.

    `queues` are the lists that jobs are pushed to; every other list is of interest once a message was moved to it.
    `connected` tells which clients the broker sees.
    """

    def __init__(
        self,
        recorder: Recorder,
        queues: frozenset[str],
        connected: Callable[[], set[str]],
    ) -> None:
        self._recorder = recorder
        self._queues = queues
        self._connected = connected
        self._now = 0.0  # when the latest command was executed
        self._lock = threading.Lock()
        self._tracked: dict[str, Tracked] = {}
        self._lists: dict[str, deque[str]] = {queue: deque() for queue in queues}  # tags, from left to right
        self._copies: Counter[MessageId] = Counter()
        self._waiters: list[Waiter] = []
        self._gone: dict[str, Waiter] = {}  # by client: who was not there any more when a push had to be accounted for
        self._in_transaction: dict[str, set[str]] = {}  # client -> lists that it has pushed to since its MULTI
        self._script_of = ""  # whose script runs: its commands come under the name "lua"
        self._busy: dict[str, set[str]] = {}  # client -> tags
        self.asked: set[str] = set()  # clients that have ever asked for a message
        self.deliveries: Counter[MessageId] = Counter()
        self.ended: Counter[MessageId] = Counter()

    def __call__(self, client: str, words: Sequence[bytes], at: float) -> None:
        with self._lock:
            self._now = at
            command = words[0].upper()
            if command in {b"EVAL", b"EVALSHA", b"FCALL"}:
                self._script_of = client
                return
            client = self._script_of if client == "lua" else client
            if (waiter := self._gone.pop(client, None)) is not None:
                self._take_first(waiter.client, waiter.pop)  # it sends something, so it had been served
            if command == b"MULTI":
                self._in_transaction[client] = set()
            elif command == b"EXEC":
                for queue in self._in_transaction.pop(client, set()):
                    self._serve(queue)
            elif command in _PUSHES and len(words) > 2:  # noqa: PLR2004 - a key and a value at least
                self._push(client, _text(words[1]), words[2:], end=_PUSHES[command])
            elif command == b"LREM" and len(words) == 4:  # noqa: PLR2004 - key, count, value
                self._remove(_text(words[1]), words[2], words[3])
            elif command in {b"DEL", b"UNLINK"}:
                for key in words[1:]:
                    self._drop(_text(key))
            elif (pop := pop_of(words)) is not None:
                self._pop(client, pop)

    def broker_restarted(self) -> None:
        """Its lists are as before; who waited, or was in a transaction, is not there any more."""
        with self._lock:
            self._waiters.clear()
            self._gone.clear()
            self._in_transaction.clear()

    def forget(self) -> None:
        """All that was known of messages. Who waits for one goes on waiting, and whose list was whose stays known."""
        with self._lock:
            for known in (self._tracked, self._busy, self._copies, self.deliveries, self.ended):
                known.clear()
            self._gone.clear()
            for tags in self._lists.values():
                tags.clear()

    def vanish(self, tag: str) -> None:
        """A message that nobody has any more: it is not waited for."""
        with self._lock:
            self._tracked[tag].state = SETTLED

    def part(self, client: str) -> None:
        """A connection that is gone: whatever it was busy with has ended."""
        with self._lock:
            for tag in self._busy.pop(client, set()):
                self.ended[self._tracked[tag].message] += 1

    # --- what is known ---

    def own(self) -> frozenset[str]:
        """The lists that are no queues, to which messages have been moved."""
        with self._lock:
            return frozenset(self._lists) - self._queues

    def pending(self) -> dict[str, Tracked]:
        """Every message that is not settled, by delivery tag."""
        with self._lock:
            return {tag: entry for tag, entry in self._tracked.items() if entry.state != SETTLED}

    def by_message(self, message: MessageId) -> list[tuple[str, Tracked]]:
        """All copies of a message, oldest first."""
        with self._lock:
            return [(tag, entry) for tag, entry in self._tracked.items() if entry.message == message]

    def held_by(self, clients: set[str]) -> tuple[MessageId, ...]:
        """What the given connections have taken and neither acknowledged nor, by asking for more, left behind."""
        with self._lock:
            unacknowledged = {
                tag for tag, entry in self._tracked.items() if entry.state == DELIVERED and entry.client in clients
            }
            busy = {tag for client in clients for tag in self._busy.get(client, ())}
            return tuple(entry.message for tag, entry in self._tracked.items() if tag in unacknowledged | busy)

    def busy(self) -> dict[str, tuple[MessageId, ...]]:
        """The connections whose latest message they may still be working on."""
        with self._lock:
            return {
                client: tuple(self._tracked[tag].message for tag in tags) for client, tags in self._busy.items() if tags
            }

    def taken_by(self, message: MessageId) -> str:
        """The connection that took the message last; empty if none has."""
        with self._lock:
            takers = [entry.client for entry in self._tracked.values() if entry.message == message and entry.client]
            return takers[-1] if takers else ""

    # --- translation ---

    def _push(self, client: str, key: str, values: Sequence[bytes], *, end: bytes) -> None:
        if key not in self._queues:
            return
        for value in values:
            message = message_of(value)
            self._copies[message] += 1
            tag = f"{message}#{self._copies[message]}"
            self._tracked[tag] = Tracked(message=message, queue=key, raw=value)
            self._put(key, tag, end)
            self._record(Queued(queue=key, message=message, delivery_tag=tag, body_digest=digest(value)))
        self._pushed(client, key)

    def _pushed(self, client: str, key: str) -> None:
        """Who waits is served once the command, or its whole transaction, has been executed."""
        if client in self._in_transaction:
            self._in_transaction[client].add(key)
        else:
            self._serve(key)

    def _serve(self, key: str) -> None:
        """Give what lies in a list to those who waited for it."""
        if not any(key in each.pop.keys for each in self._waiters):
            return
        live = self._connected()
        waiting = [each for each in self._waiters if each.until > self._now]
        self._gone.update({each.client: each for each in waiting if each.client not in live})
        self._waiters = [each for each in waiting if each.client in live]
        while self._lists.get(key):
            first = next((each for each in self._waiters if key in each.pop.keys), None)
            if first is None:
                return
            self._waiters.remove(first)
            self._take_first(first.client, first.pop)

    def _pop(self, client: str, pop: Pop) -> None:
        self._waiters = [each for each in self._waiters if each.client != client]
        if self._queues.intersection(pop.keys):
            self.asked.add(client)
            for tag in self._busy.pop(client, set()):
                self.ended[self._tracked[tag].message] += 1
        if self._take_first(client, pop):
            return
        if pop.waits_seconds is not None and client not in self._in_transaction:
            until = self._now + (pop.waits_seconds or _FOREVER_SECONDS)
            self._waiters.append(Waiter(client=client, pop=pop, until=until))

    def _take_first(self, client: str, pop: Pop) -> bool:
        """As many as it may take of the first list that has any; false if none has."""
        key = next((key for key in pop.keys if self._lists.get(key)), None)
        if key is None:
            return False
        for _ in range(min(pop.count, len(self._lists[key]))):
            self._take(client, key, pop)
        return True

    def _take(self, client: str, key: str, pop: Pop) -> None:
        """Move one message from a list to where a command puts it."""
        tags = self._lists[key]
        tag = tags.popleft() if pop.end == LEFT else tags.pop()
        entry = self._tracked[tag]
        if pop.target:
            self._put(pop.target, tag, pop.target_end)
        if pop.target in self._queues:
            self._requeued(client, tag, entry, pop.target)
        elif pop.target or entry.state == QUEUED:
            self._delivered(client, tag, entry)
            if not pop.target:
                self._settle(tag, entry)
        else:
            self._settled_by_its_worker(tag, entry)

    def _requeued(self, client: str, tag: str, entry: Tracked, queue: str) -> None:
        self._end_attempt(tag, entry)
        entry.state, entry.queue, entry.client = QUEUED, queue, ""
        self._record(Requeued(message=entry.message, delivery_tag=tag))
        self._record(Queued(queue=queue, message=entry.message, delivery_tag=tag, body_digest=digest(entry.raw)))
        self._pushed(client, queue)

    def _delivered(self, client: str, tag: str, entry: Tracked) -> None:
        """Taken from a queue, or by one worker from the list of another."""
        self._end_attempt(tag, entry)
        entry.state, entry.client = DELIVERED, client
        self.deliveries[entry.message] += 1
        self._busy.setdefault(client, set()).add(tag)
        self._record(Delivered(message=entry.message, delivery_tag=tag, client=client))

    def _remove(self, key: str, count: bytes, value: bytes) -> None:
        tags = self._lists.get(key, deque())
        try:
            limit = int(count)
        except ValueError:  # the broker refuses it too
            return
        ordered = list(tags) if limit >= 0 else list(reversed(tags))
        found = [tag for tag in ordered if self._tracked[tag].raw == value]
        for tag in found[: abs(limit) or len(found)]:
            tags.remove(tag)
            self._settled_by_its_worker(tag, self._tracked[tag])

    def _drop(self, key: str) -> None:
        tags = self._lists.get(key, deque())
        while tags:
            tag = tags.popleft()
            self._settled_by_its_worker(tag, self._tracked[tag])

    def _settled_by_its_worker(self, tag: str, entry: Tracked) -> None:
        self._end_attempt(tag, entry)
        self._settle(tag, entry)

    def _settle(self, tag: str, entry: Tracked) -> None:
        entry.state = SETTLED
        self._record(Acknowledged(message=entry.message, delivery_tag=tag))

    def _end_attempt(self, tag: str, entry: Tracked) -> None:
        busy = self._busy.get(entry.client, set())
        if tag in busy:
            busy.discard(tag)
            self.ended[entry.message] += 1

    def _put(self, key: str, tag: str, end: bytes) -> None:
        tags = self._lists.setdefault(key, deque())
        if end == LEFT:
            tags.appendleft(tag)
        else:
            tags.append(tag)

    def _record(self, event: Event) -> None:
        self._recorder.record("broker", event)


_PUSHES = {b"LPUSH": LEFT, b"LPUSHX": LEFT, b"RPUSH": RIGHT, b"RPUSHX": RIGHT}


def pop_of(words: Sequence[bytes]) -> Pop | None:
    """What a command takes from which lists; None if it is no pop, or none that the broker would carry out."""
    reader = _POPS.get(words[0].upper())
    try:
        return reader(words) if reader is not None else None
    except (ValueError, IndexError):
        return None


def _pop_now(words: Sequence[bytes]) -> Pop:
    count = int(words[2]) if len(words) > 2 else 1  # noqa: PLR2004 - the optional last word
    return Pop(keys=(_text(words[1]),), end=_end(words[0][:1]), count=count)


def _pop_waiting(words: Sequence[bytes]) -> Pop:
    return Pop(keys=tuple(map(_text, words[1:-1])), end=_end(words[0][1:]), waits_seconds=float(words[-1]))


def _move_now(words: Sequence[bytes]) -> Pop:
    whence, where = (words[3], words[4]) if words[0].upper() == b"LMOVE" else (RIGHT, LEFT)
    return Pop(keys=(_text(words[1]),), end=_end(whence), target=_text(words[2]), target_end=_end(where))


def _move_waiting(words: Sequence[bytes]) -> Pop:
    return replace(_move_now([words[0][1:], *words[1:-1]]), waits_seconds=float(words[-1]))


def _pop_of_several_now(words: Sequence[bytes]) -> Pop:
    after = 2 + int(words[1])
    count = int(words[after + 2]) if len(words) > after + 2 else 1
    return Pop(keys=tuple(map(_text, words[2:after])), end=_end(words[after]), count=count)


def _pop_of_several_waiting(words: Sequence[bytes]) -> Pop:
    return replace(_pop_of_several_now(words[1:]), waits_seconds=float(words[1]))


_POPS: dict[bytes, Callable[[Sequence[bytes]], Pop]] = {
    b"LPOP": _pop_now,
    b"RPOP": _pop_now,
    b"BLPOP": _pop_waiting,
    b"BRPOP": _pop_waiting,
    b"LMOVE": _move_now,
    b"RPOPLPUSH": _move_now,
    b"BLMOVE": _move_waiting,
    b"BRPOPLPUSH": _move_waiting,
    b"LMPOP": _pop_of_several_now,
    b"BLMPOP": _pop_of_several_waiting,
}


def message_of(value: bytes) -> MessageId:
    """The `id` of a JSON object; of anything else, what tells its content from another's."""
    try:
        found = json.loads(value)["id"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return MessageId(digest(value))
    return MessageId(str(found)) if isinstance(found, str | int) else MessageId(digest(value))


def _end(word: bytes) -> bytes:
    return LEFT if word.upper().startswith(b"L") else RIGHT


def _text(word: bytes) -> str:
    return word.decode(errors="replace")

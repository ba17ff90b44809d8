"""What Celery's messages go through on Redis, from the broker's own stream of commands.

kombu's Redis transport, as read in kombu 5.4 to 5.7: a message is pushed to a list (one for each priority), popped, and
booked in the hash `unacked` under its delivery tag; acknowledging removes it from there, requeueing removes it and
pushes it again within the same transaction.
"""

import base64
import binascii
import json
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from harness.codec import digest
from harness.events import Acknowledged, Delivered, Event, MessageId, Queued, Requeued
from harness.store import Recorder
from harness.systems.tracked import DELIVERED, SETTLED, Tracked

_REMOTE_CONTROL = ".pidbox"  # how the exchanges of kombu/pidbox.py end


@dataclass(frozen=True, kw_only=True)
class Keys:
    unacked: str = "unacked"
    unacked_index: str = "unacked_index"
    unacked_mutex: str = "unacked_mutex"

    @classmethod
    def of(cls, transport_options: dict[str, Any]) -> "Keys":
        prefix = str(transport_options.get("global_keyprefix", ""))
        return cls(
            unacked=prefix + str(transport_options.get("unacked_key", "unacked")),
            unacked_index=prefix + str(transport_options.get("unacked_index_key", "unacked_index")),
            unacked_mutex=prefix + str(transport_options.get("unacked_mutex_key", "unacked_mutex")),
        )


class Tap:
    """A listener for `RedisMonitor` that records facts and keeps the state of each message."""

    def __init__(self, recorder: Recorder) -> None:
        self.keys = Keys()
        self._recorder = recorder
        self._lock = threading.Lock()
        self._tracked: dict[str, Tracked] = {}
        self.deliveries: Counter[MessageId] = Counter()
        self.acknowledged: Counter[MessageId] = Counter()
        self._removed: dict[str, str] = {}  # client -> tag it has just removed from `unacked`: ack or half a requeue?

    def __call__(self, client: str, words: Sequence[bytes], at: float) -> None:
        command = words[0].upper()
        with self._lock:
            if command in (b"LPUSH", b"RPUSH"):
                self._pushed(client, words[1].decode(errors="replace"), words[2:], at)
                return
            if command == b"HDEL" and words[1].decode(errors="replace") == self.keys.unacked:
                for tag in words[2:]:
                    self._settle_removed(client)
                    self._removed[client] = tag.decode(errors="replace")
                return
            self._settle_removed(client)
            if command == b"HSET" and words[1].decode(errors="replace") == self.keys.unacked:
                for tag, value in zip(words[2::2], words[3::2], strict=False):
                    self._delivered(client, tag.decode(errors="replace"), value)

    def forget(self) -> None:
        """All that was known of messages, where they have all ended."""
        with self._lock:
            self._tracked.clear()
            self._removed.clear()
            self.deliveries.clear()
            self.acknowledged.clear()

    def expect(self, queue: str, raw: bytes, message: MessageId) -> None:
        """Track what is about to be pushed and is no envelope; what a subject pushes to lists of its own is not."""
        with self._lock:
            tag = f"raw-{message}"
            self._tracked[tag] = Tracked(message=message, queue=queue, raw=raw)
            self._record(Queued(queue=queue, message=message, delivery_tag=tag, body_digest=digest(raw)))

    def settle(self) -> None:
        """Take every half-seen removal for an acknowledgement: call it when the stream is known to be quiet."""
        with self._lock:
            for client in list(self._removed):
                self._settle_removed(client)

    def vanish(self, tag: str) -> None:
        """A message that nobody has any more: it is not waited for."""
        with self._lock:
            self._tracked[tag].state = SETTLED

    def pending(self) -> dict[str, Tracked]:
        """Every message that is not settled, by delivery tag."""
        with self._lock:
            return {tag: entry for tag, entry in self._tracked.items() if entry.state != SETTLED}

    def by_message(self, message: MessageId) -> list[tuple[str, Tracked]]:
        """All copies of a message, oldest first."""
        with self._lock:
            return [(tag, entry) for tag, entry in self._tracked.items() if entry.message == message]

    def held_by(self, clients: set[str]) -> tuple[MessageId, ...]:
        """The messages that the given connections have booked and not acknowledged."""
        held = [entry for entry in self.pending().values() if entry.state == DELIVERED and entry.client in clients]
        return tuple(entry.message for entry in held)

    # --- translation ---

    def _pushed(self, client: str, queue: str, values: Sequence[bytes], at: float) -> None:
        for value in values:
            envelope = _envelope(value)
            if envelope is None:
                continue
            tag, message, body = envelope
            if self._removed.get(client) == tag:
                del self._removed[client]
                self._record(Requeued(message=message, delivery_tag=tag))
            self._settle_removed(client)
            due = _due(value)
            self._tracked[tag] = Tracked(
                message=message, queue=queue, raw=value, due=due, countdown_seconds=max(0.0, due - at)
            )
            self._record(Queued(queue=queue, message=message, delivery_tag=tag, body_digest=digest(body)))

    def _delivered(self, client: str, tag: str, value: bytes) -> None:
        entry = self._tracked.get(tag)
        if entry is None:
            entry = self._tracked[tag] = Tracked(message=_message_in_unacked(value), queue="", raw=b"")
        entry.state, entry.client = DELIVERED, client
        self.deliveries[entry.message] += 1
        self._record(Delivered(message=entry.message, delivery_tag=tag, client=client))

    def _settle_removed(self, client: str) -> None:
        tag = self._removed.pop(client, None)
        entry = self._tracked.get(tag) if tag is not None else None
        if tag is None or entry is None or entry.state != DELIVERED:
            return  # a sweep has given it back meanwhile: this removed nothing
        entry.state = SETTLED
        self.acknowledged[entry.message] += 1
        self._record(Acknowledged(message=entry.message, delivery_tag=tag))

    def _record(self, event: Event) -> None:
        self._recorder.record("broker", event)


def _envelope(value: bytes) -> tuple[str, MessageId, bytes] | None:
    """Delivery tag, message id and body of what was pushed; None if it is no kombu envelope, or no job's.

    Workers that greet each other answer through lists, too; whoever takes such an answer books nothing.
    """
    try:
        envelope = json.loads(value)
        properties = envelope["properties"]
        if str((properties.get("delivery_info") or {}).get("exchange", "")).endswith(_REMOTE_CONTROL):
            return None
        headers = envelope.get("headers") or {}
        message = MessageId(str(headers.get("id") or properties.get("correlation_id") or ""))
        return str(properties["delivery_tag"]), message, _body(envelope, properties)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _due(value: bytes) -> float:
    """When a message may be begun, by the wall clock; 0 where it may be at once."""
    try:
        eta = datetime.fromisoformat(str(json.loads(value)["headers"]["eta"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        return 0.0
    return (eta if eta.tzinfo else eta.replace(tzinfo=UTC)).timestamp()


def _body(envelope: dict[str, Any], properties: dict[str, Any]) -> bytes:
    """The body as the worker's code gets it: undone is only the transport's own encoding."""
    body = envelope.get("body", "")
    data = body.encode(errors="surrogatepass") if isinstance(body, str) else json.dumps(body).encode()
    if properties.get("body_encoding") == "base64":
        try:
            return base64.b64decode(data)
        except binascii.Error:
            return data
    return data


def _message_in_unacked(value: bytes) -> MessageId:
    try:
        payload = json.loads(value)[0]
        return MessageId(str((payload.get("headers") or {}).get("id") or ""))
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
        return MessageId("")

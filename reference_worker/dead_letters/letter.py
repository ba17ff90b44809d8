"""A dead letter: what was given up, as it was delivered, and why."""

import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from kombu.utils import json as kombu_json_module

kombu_json: Any = kombu_json_module  # half typed
_NAME_CHARACTERS_MAX = 255
_REASON_CHARACTERS_MAX = 2000
_RETRIES_MAX = 1_000_000


@dataclass(frozen=True, kw_only=True)
class DeadLetter:
    """Safe to store anywhere: its strings are bounded and hold neither NUL nor lone surrogates.

    * `body`, `content_type`, `content_encoding`, `headers` (JSON): as delivered
    * `attempts`: how often its task was started, as far as its message and the books of deliveries tell
    * `is_message`: False for what was not even an envelope; `body` is then the raw item, and it cannot be replayed
    """

    message_id: str
    task: str
    queue: str
    reason: str
    attempts: int
    body: bytes
    content_type: str
    content_encoding: str
    headers: str
    is_message: bool = True
    first_given_up_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    last_given_up_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    replayed_at: datetime | None = None


def of_message(message: Any, *, reason: str, started: int) -> DeadLetter:
    """The letter of a kombu message; nothing in the message is trusted to be what it should be.

    :param started: how often its task was started since it was last published, as far as is known
    """
    headers = message.headers
    body = _delivered_body(message)
    retries = headers.get("retries")
    return DeadLetter(
        message_id=_message_id(message, body),
        task=_name(headers.get("task")),
        queue=_name((message.delivery_info or {}).get("routing_key")),
        reason=plain(reason, _REASON_CHARACTERS_MAX),
        attempts=started + (min(retries, _RETRIES_MAX) if type(retries) is int and retries >= 0 else 0),
        body=body,
        content_type=_name(message.content_type),
        content_encoding=_name(message.content_encoding),
        headers=_headers(headers),
    )


def of_raw_item(item: bytes, *, queue: str, reason: str) -> DeadLetter:
    """The letter of what stood in a queue and is no message at all."""
    return DeadLetter(
        message_id=f"sha256:{hashlib.sha256(item).hexdigest()}",
        task="",
        queue=_name(queue),
        reason=plain(reason, _REASON_CHARACTERS_MAX),
        attempts=0,
        body=item,
        content_type="",
        content_encoding="",
        headers="{}",
        is_message=False,
    )


def plain(text: str, characters_max: int) -> str:
    """`text` as every database takes it."""
    safe = text[:characters_max].encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")
    return safe[:characters_max]


def is_usable_id(candidate: object) -> bool:
    return (
        isinstance(candidate, str)
        and 0 < len(candidate) <= _NAME_CHARACTERS_MAX
        and plain(candidate, _NAME_CHARACTERS_MAX) == candidate
    )


def _message_id(message: Any, body: bytes) -> str:
    """The message's own id, else one that stays the same when the broker delivers the message again."""
    own = message.headers.get("id")
    if is_usable_id(own):
        return str(own)
    told = body + repr((message.content_type, message.content_encoding, message.delivery_tag)).encode()
    return f"sha256:{hashlib.sha256(told).hexdigest()}"


def _delivered_body(message: Any) -> bytes:
    """The body as the broker had it: kombu has already undone a compression that the headers still tell of."""
    raw = getattr(message, "_raw", None)
    body = message.body
    if isinstance(raw, dict) and raw.get("body") and message.channel is not None:
        body = message.channel.decode_body(raw.get("body"), message.properties.get("body_encoding"))
    if body is None:
        return b""
    if isinstance(body, str):
        return body.encode("utf-8", "surrogatepass")
    return bytes(body) if isinstance(body, bytes | bytearray | memoryview) else repr(body).encode()


def _headers(headers: dict[str, Any]) -> str:
    try:
        text = kombu_json.dumps(headers)
        return text if text.isascii() else json.dumps(json.loads(text))
    except (TypeError, ValueError, RecursionError) as error:  # hostile, and the rest of the letter matters more
        return json.dumps({"unwritable": f"{type(error).__name__}: {error}"[:200]})


def _name(value: object) -> str:
    if value is None:
        return ""
    return plain(value if isinstance(value, str) else repr(value)[:_NAME_CHARACTERS_MAX], _NAME_CHARACTERS_MAX)

"""How a good kombu message on Redis becomes each kind of poison."""

import base64
import json
import pickle
from collections.abc import Callable
from typing import Any

from harness.poison import PoisonKind

OVERSIZED_BYTES = 2 << 20
NESTING = 100_000
NO_ENVELOPE = frozenset({PoisonKind.NOT_JSON, PoisonKind.NOT_AN_ENVELOPE})

Envelope = dict[str, Any]


def spoilt(kind: PoisonKind, raw: bytes, message: str) -> tuple[bytes, bytes]:
    """What to push to the queue, and the body in it as a worker's code would get it, out of a good message.

    The poison has the message id `message` wherever it has one at all.
    """
    if kind is PoisonKind.NOT_JSON:
        data = b"\x00\xff poison that is no JSON: " + message.encode()
        return data, data
    if kind is PoisonKind.NOT_AN_ENVELOPE:
        data = json.dumps({"poison": message}).encode()
        return data, data
    envelope: Envelope = json.loads(raw)
    envelope["headers"] = {**(envelope.get("headers") or {}), "id": message, "root_id": message, "parent_id": None}
    properties = envelope["properties"] = dict(envelope["properties"])
    properties |= {"correlation_id": message, "delivery_tag": message, "body_encoding": "base64"}
    body = _SPOILERS[kind](envelope, _body(json.loads(raw)))
    envelope["body"] = base64.b64encode(body).decode()
    return json.dumps(envelope).encode(), body


def _body(envelope: Envelope) -> bytes:
    text = str(envelope.get("body", ""))
    return base64.b64decode(text) if envelope["properties"].get("body_encoding") == "base64" else text.encode()


def _undecodable(_envelope: Envelope, _body: bytes) -> bytes:
    return b"\xff\xfe{not json"


def _refused_content_type(envelope: Envelope, _body: bytes) -> bytes:
    envelope["content-type"], envelope["content-encoding"] = "application/x-python-serialize", "binary"
    return pickle.dumps([[], {}, {}])  # harmless, should anybody load it after all


def _unknown_task(envelope: Envelope, body: bytes) -> bytes:
    envelope["headers"]["task"] = "jobproof.a_task_that_was_removed"
    return body


def _missing_headers(envelope: Envelope, _body: bytes) -> bytes:
    envelope["headers"] = {}
    return b'{"what": "neither protocol 1 nor 2"}'


def _wrong_arity(_envelope: Envelope, _body: bytes) -> bytes:
    return _arguments([1, 2, 3, 4, 5, 6, 7, 8, 9], {})


def _wrong_type(_envelope: Envelope, body: bytes) -> bytes:
    _, keywords = json.loads(body)[:2]
    return _arguments([], {name: {"of another": ["type", None]} for name in keywords})


def _oversized(_envelope: Envelope, body: bytes) -> bytes:
    _, keywords = json.loads(body)[:2]
    return _arguments([], dict.fromkeys(keywords, "x" * OVERSIZED_BYTES))


def _nested_too_deep(_envelope: Envelope, _body: bytes) -> bytes:
    return b'[[], {"deep": ' + b"[" * NESTING + b"]" * NESTING + b"}, {}]"


def _arguments(positional: list[Any], keywords: dict[str, Any]) -> bytes:
    embed = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
    return json.dumps([positional, keywords, embed]).encode()


_SPOILERS: dict[PoisonKind, Callable[[Envelope, bytes], bytes]] = {
    PoisonKind.UNDECODABLE_BODY: _undecodable,
    PoisonKind.REFUSED_CONTENT_TYPE: _refused_content_type,
    PoisonKind.UNKNOWN_TASK: _unknown_task,
    PoisonKind.MISSING_HEADERS: _missing_headers,
    PoisonKind.WRONG_ARITY: _wrong_arity,
    PoisonKind.WRONG_TYPE: _wrong_type,
    PoisonKind.OVERSIZED: _oversized,
    PoisonKind.NESTED_TOO_DEEP: _nested_too_deep,
}

"""Every kind of poison, handed to one real worker by hand: each ends as one letter with its bytes, and nothing else."""

import base64
import bz2
import gzip
import hashlib
import json
import lzma
import pickle
import zlib
from collections.abc import Iterator
from typing import Any

import pytest

from harness.waiting import wait_until
from tests.reference_worker.dead_letter_scene import Scene, envelope, scene


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with scene(tmp_path_factory.mktemp("poison")) as made, made.worker() as process:
        made.do_a_good_job()
        yield made
        # The same main process from first to last.
        assert process.poll() is None
        assert made.log().count(" ready.") == 1
        assert "Connection to broker lost" not in made.log()


def without(name: str, **options: Any) -> dict[str, Any]:
    message = envelope("letters.done", ["never"], **options)
    del message["headers"][name]
    return message


def text_body(text: str) -> dict[str, Any]:
    message = envelope("letters.done")
    message["properties"]["body_encoding"] = "utf-8"
    return message | {"body": text}


DEEP = b"[" * 30_000 + b"]" * 30_000
MESSAGES: dict[str, dict[str, Any]] = {
    "undecodable body": envelope("letters.done", body=b"\xff\xfe{not json"),
    "no JSON in the body": envelope("letters.done", body=b"{"),
    "deeply nested body": envelope("letters.done", body=DEEP),
    "a body that is no call": envelope("letters.done", body=b"42"),
    "a call with too few parts": envelope("letters.done", body=b"[[]]"),
    "empty body": envelope("letters.done", body=b""),
    "no body": envelope("letters.done") | {"body": None},
    "a date that is none": envelope("letters.done", body=b'[[{"__type__": "datetime", "__value__": "never"}], {}, {}]'),
    "pickle": envelope(
        "letters.done", body=pickle.dumps([[], {}, {}]), **{"content-type": "application/x-python-serialize"}
    ),
    "content type that is a list": envelope("letters.done", **{"content-type": ["application/json"]}),
    "content encoding that is a number": envelope("letters.done", **{"content-encoding": 7}),
    "unknown content type": envelope("letters.done", **{"content-type": "application/x-nothing"}),
    "lone surrogate in the envelope": text_body("[[\ud800], {}, {}]"),
    "bad compression": envelope("letters.done", headers={"compression": "application/x-gzip"}),
    "unknown compression": envelope("letters.done", headers={"compression": ["x"]}),
    "unknown task": envelope("letters.nothing"),
    "task that is a list": envelope(["letters.done"]),
    "no task": without("task"),
    "no headers, no call": envelope("letters.done") | {"headers": None},
    "old protocol, unknown task": envelope("", body=b'{"task": "letters.nothing", "id": "1", "args": [], "kwargs": {}}')
    | {"headers": {}},
    "no id": without("id"),
    "null id": envelope("letters.done", ["never"], headers={"id": None}),
    "id that is a list": envelope("letters.done", ["never"], headers={"id": [1]}),
    "endless id": envelope("letters.done", ["never"], headers={"id": "x" * 5000}),
    "id with NUL": envelope("letters.done", ["never"], headers={"id": "a\x00b"}),
    "time limit that is none": envelope("letters.done", ["never"], headers={"timelimit": "soon"}),
    "stamps that are none": envelope("letters.done", ["never"], headers={"stamped_headers": 5}),
    "retries that are none": envelope("letters.done", ["never"], headers={"retries": {}}),
    "eta that is none": envelope("letters.done", ["never"], headers={"eta": "soon"}),
    "eta beyond all time": envelope("letters.done", ["never"], headers={"eta": "9999-12-31T23:59:59-12:00"}),
    "oversized": envelope("letters.done", ["x" * 100_001]),
    "wrong arguments": envelope("letters.done", ["one", "two"]),
    "not a number": envelope("letters.fail", [float("nan")]),
    "surrogate in an exception": envelope("letters.fail", ["\ud800\x00\x1b[2J"]),
    "always raises": envelope("letters.fail", ["no"]),
    "hard limit": envelope("letters.hang"),
}
STARTED = {"wrong arguments", "not a number", "surrogate in an exception", "always raises", "hard limit"}
_TAG = {"delivery_tag": "t", "delivery_info": {"exchange": "", "routing_key": "letters"}}
RAW: dict[str, bytes] = {
    "no UTF-8": b"\xff\xfe\x00",
    "no JSON": b"hello",
    "empty item": b"",
    "a JSON number": b"42",
    "null": b"null",
    "a JSON list": b'["a"]',
    "an object of something else": b'{"a": 1}',
    "properties that are a list": b'{"properties": []}',
    "no delivery tag": b'{"properties": {"delivery_info": {"exchange": "", "routing_key": "letters"}}}',
    "delivery tag that is a list": json.dumps({"properties": {**_TAG, "delivery_tag": []}}).encode(),
    "no delivery info": b'{"properties": {"delivery_tag": "t"}}',
    "headers that are a list": json.dumps({"properties": _TAG, "headers": [1]}).encode(),
    "body that is an object": json.dumps({"properties": _TAG, "headers": {}, "body": {}}).encode(),
    "body that is no base64": json.dumps(
        {"properties": {**_TAG, "body_encoding": "base64"}, "headers": {}, "body": "x"}
    ).encode(),
    "unknown body encoding": json.dumps(
        {"properties": {**_TAG, "body_encoding": "rot13"}, "headers": {}, "body": "x"}
    ).encode(),
    "deeply nested envelope": b'{"headers": ' + DEEP + b"}",
}


@pytest.mark.parametrize("kind", MESSAGES)
def test_a_message_that_cannot_be_done_becomes_one_letter_with_what_was_delivered(stage: Scene, kind: str) -> None:
    message = MESSAGES[kind]
    before = {letter.message_id for letter in stage.letters()}
    stage.push(message)
    stage.do_a_good_job()
    stage.drained()
    (letter,) = [each for each in stage.letters() if each.message_id not in before]
    body = message["body"] or ""
    is_text = kind == "lone surrogate in the envelope"
    assert letter.body == (body.encode("utf-8", "surrogatepass") if is_text else base64.b64decode(body))
    assert letter.content_type in (message["content-type"], repr(message["content-type"]))
    assert json.loads(letter.headers) == (message["headers"] or {})
    assert letter.reason
    assert letter.attempts == (1 if kind in STARTED else 0)
    assert letter.is_message


@pytest.mark.parametrize("kind", RAW)
def test_what_is_not_even_an_envelope_becomes_one_letter_with_its_bytes(stage: Scene, kind: str) -> None:
    item = RAW[kind]
    before = {letter.message_id for letter in stage.letters()}
    stage.push(item)
    stage.do_a_good_job()
    stage.drained()
    (letter,) = [each for each in stage.letters() if each.message_id not in before]
    assert letter.message_id == f"sha256:{hashlib.sha256(item).hexdigest()}"
    assert letter.body == item
    assert not letter.is_message
    assert letter.reason.startswith("not an envelope")


def test_a_compressed_body_is_kept_compressed_as_its_headers_say(stage: Scene) -> None:
    packed = gzip.compress(b"[[1, 2, 3], {}, {}]", mtime=0)
    stage.push(
        envelope("letters.done", message_id="packed", body=packed, headers={"compression": "application/x-gzip"})
    )
    assert stage.letter("packed").body == packed


HUGE = bytes(50_000_000)
TOO_LARGE = "its compressed body becomes more than 100000 bytes"
PACKED = {
    "gzip": ("application/x-gzip", zlib.compress(HUGE), TOO_LARGE),
    "bzip2": ("bzip2", bz2.compress(HUGE), TOO_LARGE),
    "xz": ("xz", lzma.compress(HUGE), TOO_LARGE),
    "bzip2 behind a small stream": ("bzip2", bz2.compress(b"[]") + bz2.compress(HUGE), "something follows"),
    "xz behind a small stream": ("xz", lzma.compress(b"[]") + lzma.compress(HUGE), "something follows"),
    "oversized as it is": ("gzip", zlib.compress(b"[]") + bytes(100_000), "its compressed body has 100010 bytes"),
}


@pytest.mark.parametrize("kind", PACKED)
def test_a_body_that_would_become_huge_is_not_inflated_and_becomes_one_letter_as_delivered(
    stage: Scene, kind: str
) -> None:
    compression, body, reason = PACKED[kind]
    message = envelope("letters.done", message_id=kind, body=body, headers={"compression": compression})
    before = len(stage.letters())
    stage.push(message)
    stage.do_a_good_job()
    stage.drained()
    letter = stage.letter(kind)
    assert len(stage.letters()) == before + 1
    assert reason in letter.reason
    assert letter.body == body
    assert json.loads(letter.headers) == message["headers"]
    assert letter.is_message
    assert letter.attempts == 0


def test_a_body_that_somebody_has_compressed_is_worked_on(stage: Scene) -> None:
    body = zlib.compress(b'[["compressed"], {}, {}]')
    stage.push(envelope("letters.done", body=body, headers={"compression": "gzip"}))
    wait_until((stage.directory / "done" / "compressed").exists, within=15, or_else="it was not done")


def test_a_task_that_runs_out_of_memory_becomes_one_letter_and_its_message_ends(stage: Scene) -> None:
    stage.push(envelope("letters.exhaust", message_id="exhausted"))
    stage.do_a_good_job()
    stage.drained()
    assert stage.letter("exhausted").reason.startswith("MemoryError")

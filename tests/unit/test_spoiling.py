"""Each kind of poison is spoilt in the one way that its name says, and keeps an identity wherever it can have one."""

import base64
import json
from typing import Any

import pytest

from harness.poison import PoisonKind
from harness.systems.celery.spoiling import NO_ENVELOPE, OVERSIZED_BYTES, spoilt

GOOD = json.dumps(
    {
        "body": base64.b64encode(b'[[], {"invoice_id": "inv-1"}, {}]').decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"id": "good", "task": "shop.mail", "root_id": "good", "parent_id": None, "retries": 0},
        "properties": {
            "body_encoding": "base64",
            "correlation_id": "good",
            "delivery_info": {"exchange": "", "routing_key": "mail"},
            "delivery_tag": "tag-of-the-good-one",
        },
    }
).encode()


def poison(kind: PoisonKind) -> tuple[dict[str, Any], bytes]:
    data, body = spoilt(kind, GOOD, "bad-1")
    envelope: dict[str, Any] = json.loads(data)
    assert base64.b64decode(envelope["body"]) == body
    return envelope, body


@pytest.mark.parametrize("kind", [kind for kind in PoisonKind if kind not in NO_ENVELOPE])
def test_poison_with_an_envelope_has_a_message_id_and_a_delivery_tag_of_its_own(kind: PoisonKind) -> None:
    envelope, _ = poison(kind)
    assert envelope["properties"]["correlation_id"] == "bad-1"
    assert envelope["properties"]["delivery_tag"] != "tag-of-the-good-one"
    assert envelope["properties"]["delivery_info"]["routing_key"] == "mail"
    if kind is not PoisonKind.MISSING_HEADERS:
        assert envelope["headers"]["id"] == envelope["headers"]["root_id"] == "bad-1"


@pytest.mark.parametrize("kind", sorted(NO_ENVELOPE))
def test_what_is_no_envelope_is_its_own_body_and_differs_from_message_to_message(kind: PoisonKind) -> None:
    data, body = spoilt(kind, GOOD, "bad-1")
    assert data == body
    assert data != spoilt(kind, GOOD, "bad-2")[0]


def test_a_body_that_is_not_json_stands_in_an_envelope_that_is() -> None:
    _, body = poison(PoisonKind.UNDECODABLE_BODY)
    with pytest.raises(ValueError, match=r"codec|JSON|utf"):
        json.loads(body)


def test_a_content_type_that_nobody_should_accept_is_announced() -> None:
    envelope, _ = poison(PoisonKind.REFUSED_CONTENT_TYPE)
    assert envelope["content-type"] == "application/x-python-serialize"


def test_an_unknown_task_has_a_good_body() -> None:
    envelope, body = poison(PoisonKind.UNKNOWN_TASK)
    assert envelope["headers"]["task"] != "shop.mail"
    assert json.loads(body)[1] == {"invoice_id": "inv-1"}


def test_headers_that_are_missing_are_all_missing() -> None:
    envelope, _ = poison(PoisonKind.MISSING_HEADERS)
    assert envelope["headers"] == {}


def test_wrong_arity_is_more_arguments_than_any_task_takes() -> None:
    _, body = poison(PoisonKind.WRONG_ARITY)
    positional, keywords, _ = json.loads(body)
    assert len(positional) > 5
    assert keywords == {}


def test_a_wrong_type_stands_under_the_right_name() -> None:
    _, body = poison(PoisonKind.WRONG_TYPE)
    assert isinstance(json.loads(body)[1]["invoice_id"], dict)


def test_oversized_is_one_good_argument_that_is_too_long() -> None:
    _, body = poison(PoisonKind.OVERSIZED)
    assert len(body) > OVERSIZED_BYTES
    assert set(json.loads(body)[1]) == {"invoice_id"}


def test_nesting_is_deeper_than_the_standard_library_follows() -> None:
    _, body = poison(PoisonKind.NESTED_TOO_DEEP)
    with pytest.raises(RecursionError):
        json.loads(body)

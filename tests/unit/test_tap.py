"""The tap is fed the commands that kombu 5.7 sends (kombu/transport/redis.py), word for word, by client address."""

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.codec import digest
from harness.events import Acknowledged, Delivered, Event, Queued, Requeued
from harness.systems.celery.tap import Keys, Tap
from harness.systems.tracked import DELIVERED, QUEUED, SETTLED

PRODUCER, WORKER, OTHER = "10.0.0.1:1", "10.0.0.2:2", "10.0.0.3:3"
NOW = 1_700_000_000.0
BODY = b'[[], {"id": 1}, {}]'


class Recorded:
    """A recorder that keeps events in a list."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def record(self, source: str, event: Event) -> None:
        assert source == "broker"
        self.events.append(event)


def envelope(message: str, tag: str, *, body: bytes = BODY, redelivered: bool = False) -> bytes:
    return json.dumps(
        {
            "body": base64.b64encode(body).decode(),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": {"id": message, "task": "mail", **({"redelivered": True} if redelivered else {})},
            "properties": {
                "body_encoding": "base64",
                "correlation_id": message,
                "delivery_info": {"exchange": "", "routing_key": "celery"},
                "delivery_tag": tag,
            },
        }
    ).encode()


def unacked(message: str, tag: str) -> bytes:
    return json.dumps([json.loads(envelope(message, tag)), "", "celery"]).encode()


def test_a_message_whose_time_is_yet_to_come_is_known_with_its_countdown(tap: Tap) -> None:
    for tag, due in (("1", NOW + 300), ("2", NOW)):
        scheduled = json.loads(envelope(f"m{tag}", tag))
        scheduled["headers"]["eta"] = datetime.fromtimestamp(due, UTC).isoformat()
        tap(PRODUCER, [b"LPUSH", b"celery", json.dumps(scheduled).encode()], NOW)
    push(tap, PRODUCER, "m3", "3")
    countdowns = {tag: entry.countdown_seconds for tag, entry in tap.pending().items()}
    assert countdowns == {"1": 300, "2": 0, "3": 0}


def push(tap: Tap, client: str, message: str, tag: str) -> None:
    tap(client, [b"LPUSH", b"celery", envelope(message, tag)], NOW)


def deliver(tap: Tap, client: str, message: str, tag: str) -> None:
    tap(client, [b"BRPOP", b"celery", b"celery\x06\x163", b"1"], NOW)
    tap(client, [b"MULTI"], NOW)
    tap(client, [b"ZADD", b"unacked_index", b"1700000000.5", tag.encode()], NOW)
    tap(client, [b"HSET", b"unacked", tag.encode(), unacked(message, tag)], NOW)
    tap(client, [b"EXEC"], NOW)


def acknowledge(tap: Tap, client: str, tag: str) -> None:
    tap(client, [b"MULTI"], NOW)
    tap(client, [b"ZREM", b"unacked_index", tag.encode()], NOW)
    tap(client, [b"HDEL", b"unacked", tag.encode()], NOW)
    tap(client, [b"EXEC"], NOW)


def requeue(tap: Tap, client: str, message: str, tag: str, *, push_with: bytes = b"RPUSH") -> None:
    tap(client, [b"WATCH", b"unacked"], NOW)
    tap(client, [b"HGET", b"unacked", tag.encode()], NOW)
    tap(client, [b"MULTI"], NOW)
    tap(client, [b"ZREM", b"unacked_index", tag.encode()], NOW)
    tap(client, [b"HDEL", b"unacked", tag.encode()], NOW)
    tap(client, [push_with, b"celery", envelope(message, tag, redelivered=True)], NOW)
    tap(client, [b"EXEC"], NOW)


@pytest.fixture
def recorded() -> Recorded:
    return Recorded()


@pytest.fixture
def tap(recorded: Recorded) -> Tap:
    return Tap(recorded)


def test_a_push_is_a_queued_message_with_the_digest_of_its_body(tap: Tap, recorded: Recorded) -> None:
    push(tap, PRODUCER, "m1", "t1")
    assert recorded.events == [Queued(queue="celery", message="m1", delivery_tag="t1", body_digest=digest(BODY))]
    assert tap.pending()["t1"].state == QUEUED
    assert tap.pending()["t1"].raw == envelope("m1", "t1")


def test_a_message_goes_from_the_queue_to_the_worker_to_its_acknowledgement(tap: Tap, recorded: Recorded) -> None:
    push(tap, PRODUCER, "m1", "t1")
    deliver(tap, WORKER, "m1", "t1")
    assert (tap.pending()["t1"].state, tap.pending()["t1"].client) == (DELIVERED, WORKER)
    acknowledge(tap, WORKER, "t1")
    assert [type(event) for event in recorded.events] == [Queued, Delivered, Acknowledged]
    assert recorded.events[1:] == [
        Delivered(message="m1", delivery_tag="t1", client=WORKER),
        Acknowledged(message="m1", delivery_tag="t1"),
    ]
    assert tap.pending() == {}
    assert (tap.deliveries["m1"], tap.acknowledged["m1"]) == (1, 1)


def test_a_message_that_was_popped_and_never_booked_is_still_queued_to_the_tap(tap: Tap) -> None:
    push(tap, PRODUCER, "m1", "t1")
    tap(WORKER, [b"BRPOP", b"celery", b"1"], NOW)
    assert tap.pending()["t1"].state == QUEUED
    assert tap.deliveries["m1"] == 0


def test_an_answer_to_remote_control_is_no_message_that_anybody_would_book(tap: Tap, recorded: Recorded) -> None:
    answer = json.loads(envelope("", "t1"))
    answer["properties"]["delivery_info"]["exchange"] = "reply.celery.pidbox"
    tap(WORKER, [b"LPUSH", b"d1.reply.celery.pidbox", json.dumps(answer).encode()], NOW)
    tap(OTHER, [b"BRPOP", b"d1.reply.celery.pidbox", b"1"], NOW)

    assert tap.pending() == {}
    assert recorded.events == []


def test_a_removal_is_not_taken_for_an_acknowledgement_before_its_end_was_seen(tap: Tap, recorded: Recorded) -> None:
    push(tap, PRODUCER, "m1", "t1")
    deliver(tap, WORKER, "m1", "t1")
    tap(WORKER, [b"MULTI"], NOW)
    tap(WORKER, [b"ZREM", b"unacked_index", b"t1"], NOW)
    tap(WORKER, [b"HDEL", b"unacked", b"t1"], NOW)
    assert not any(isinstance(event, Acknowledged) for event in recorded.events)
    tap.settle()
    assert recorded.events[-1] == Acknowledged(message="m1", delivery_tag="t1")
    tap(WORKER, [b"EXEC"], NOW)
    tap.settle()
    assert tap.acknowledged["m1"] == 1


@pytest.mark.parametrize("push_with", [b"RPUSH", b"LPUSH"])
def test_a_message_that_is_given_back_was_not_acknowledged(tap: Tap, recorded: Recorded, push_with: bytes) -> None:
    push(tap, PRODUCER, "m1", "t1")
    deliver(tap, WORKER, "m1", "t1")
    requeue(tap, WORKER, "m1", "t1", push_with=push_with)
    tap.settle()
    assert [type(event) for event in recorded.events] == [Queued, Delivered, Requeued, Queued]
    assert tap.pending()["t1"].state == QUEUED
    assert tap.acknowledged["m1"] == 0


def test_a_message_that_is_given_back_and_delivered_again_is_delivered_twice(tap: Tap) -> None:
    push(tap, PRODUCER, "m1", "t1")
    deliver(tap, WORKER, "m1", "t1")
    requeue(tap, OTHER, "m1", "t1")
    deliver(tap, OTHER, "m1", "t1")
    assert tap.deliveries["m1"] == 2
    assert tap.pending()["t1"].client == OTHER
    acknowledge(tap, OTHER, "t1")
    assert tap.pending() == {}


def test_several_messages_given_back_in_one_transaction_are_each_given_back(tap: Tap, recorded: Recorded) -> None:
    for number in ("1", "2"):
        push(tap, PRODUCER, f"m{number}", f"t{number}")
        deliver(tap, WORKER, f"m{number}", f"t{number}")
    tap(OTHER, [b"MULTI"], NOW)
    for number in ("1", "2"):
        tap(OTHER, [b"ZREM", b"unacked_index", f"t{number}".encode()], NOW)
        tap(OTHER, [b"HDEL", b"unacked", f"t{number}".encode()], NOW)
        tap(OTHER, [b"RPUSH", b"celery", envelope(f"m{number}", f"t{number}", redelivered=True)], NOW)
    tap(OTHER, [b"DEL", b"unacked_mutex"], NOW)
    tap(OTHER, [b"EXEC"], NOW)
    tap.settle()
    assert [event.message for event in recorded.events if isinstance(event, Requeued)] == ["m1", "m2"]
    assert not any(isinstance(event, Acknowledged) for event in recorded.events)


def test_what_other_clients_do_in_between_changes_nothing(tap: Tap, recorded: Recorded) -> None:
    push(tap, PRODUCER, "m1", "t1")
    push(tap, PRODUCER, "m2", "t2")
    deliver(tap, WORKER, "m1", "t1")
    deliver(tap, OTHER, "m2", "t2")
    tap(WORKER, [b"HDEL", b"unacked", b"t1"], NOW)
    tap(OTHER, [b"HDEL", b"unacked", b"t2"], NOW)
    push(tap, PRODUCER, "m3", "t3")
    tap(OTHER, [b"RPUSH", b"celery", envelope("m2", "t2", redelivered=True)], NOW)
    tap(WORKER, [b"EXEC"], NOW)
    tap(OTHER, [b"EXEC"], NOW)
    kinds = [(type(event).__name__, event.message) for event in recorded.events[4:]]
    assert kinds == [("Queued", "m3"), ("Requeued", "m2"), ("Queued", "m2"), ("Acknowledged", "m1")]


def test_a_retry_is_published_before_the_attempt_is_acknowledged_and_both_are_seen(tap: Tap) -> None:
    push(tap, PRODUCER, "m1", "t1")
    deliver(tap, WORKER, "m1", "t1")
    push(tap, WORKER, "m1", "t2")
    acknowledge(tap, WORKER, "t1")
    assert [(tag, entry.state) for tag, entry in tap.by_message("m1")] == [("t1", SETTLED), ("t2", QUEUED)]


def test_a_push_of_another_message_leaves_a_removal_an_acknowledgement(tap: Tap, recorded: Recorded) -> None:
    push(tap, PRODUCER, "m1", "t1")
    deliver(tap, WORKER, "m1", "t1")
    tap(WORKER, [b"HDEL", b"unacked", b"t1"], NOW)
    push(tap, WORKER, "m2", "t2")
    assert [type(event) for event in recorded.events[2:]] == [Acknowledged, Queued]


def test_the_same_bytes_pushed_again_after_the_acknowledgement_are_a_message_again(tap: Tap) -> None:
    push(tap, PRODUCER, "m1", "t1")
    deliver(tap, WORKER, "m1", "t1")
    acknowledge(tap, WORKER, "t1")
    push(tap, PRODUCER, "m1", "t1")
    assert tap.pending()["t1"].state == QUEUED
    deliver(tap, WORKER, "m1", "t1")
    acknowledge(tap, WORKER, "t1")
    assert (tap.deliveries["m1"], tap.acknowledged["m1"]) == (2, 2)
    assert tap.pending() == {}


def test_an_acknowledgement_that_comes_twice_is_recorded_once(tap: Tap, recorded: Recorded) -> None:
    push(tap, PRODUCER, "m1", "t1")
    deliver(tap, WORKER, "m1", "t1")
    acknowledge(tap, WORKER, "t1")
    acknowledge(tap, WORKER, "t1")
    tap.settle()
    assert len([event for event in recorded.events if isinstance(event, Acknowledged)]) == 1


def test_an_acknowledgement_after_the_message_was_given_back_removes_nothing(tap: Tap, recorded: Recorded) -> None:
    # Job longer than the visibility timeout: the sweep puts the message back under the same tag, then the first worker
    # acknowledges. HDEL finds no such field; the message is in the queue and will be delivered again.
    push(tap, PRODUCER, "m1", "t1")
    deliver(tap, WORKER, "m1", "t1")
    requeue(tap, OTHER, "m1", "t1")
    acknowledge(tap, WORKER, "t1")
    tap.settle()
    assert not any(isinstance(event, Acknowledged) for event in recorded.events)
    assert tap.pending()["t1"].state == QUEUED


def test_a_removal_from_another_hash_is_no_acknowledgement(tap: Tap, recorded: Recorded) -> None:
    push(tap, PRODUCER, "m1", "t1")
    deliver(tap, WORKER, "m1", "t1")
    tap(WORKER, [b"HDEL", b"something", b"t1"], NOW)
    tap(WORKER, [b"HSET", b"something", b"t1", b"x"], NOW)
    tap.settle()
    assert [type(event) for event in recorded.events] == [Queued, Delivered]


def test_a_delivery_of_a_message_that_was_pushed_before_the_tap_listened_is_seen(tap: Tap, recorded: Recorded) -> None:
    deliver(tap, WORKER, "m1", "t1")
    acknowledge(tap, WORKER, "t1")
    assert recorded.events == [
        Delivered(message="m1", delivery_tag="t1", client=WORKER),
        Acknowledged(message="m1", delivery_tag="t1"),
    ]


def test_several_messages_in_one_push_and_lower_case_commands_are_seen(tap: Tap, recorded: Recorded) -> None:
    tap(PRODUCER, [b"lpush", b"celery", envelope("m1", "t1"), envelope("m2", "t2")], NOW)
    tap(WORKER, [b"hset", b"unacked", b"t1", unacked("m1", "t1"), b"t2", unacked("m2", "t2")], NOW)
    tap(WORKER, [b"hdel", b"unacked", b"t1", b"t2"], NOW)
    tap.settle()
    assert [type(event) for event in recorded.events] == [
        Queued,
        Queued,
        Delivered,
        Delivered,
        Acknowledged,
        Acknowledged,
    ]


def test_the_keys_are_those_of_the_subjects_transport_options(recorded: Recorded) -> None:
    tap = Tap(recorded)
    tap.keys = Keys.of({"global_keyprefix": "shop:", "unacked_key": "open"})
    assert tap.keys == Keys(unacked="shop:open", unacked_index="shop:unacked_index", unacked_mutex="shop:unacked_mutex")
    tap(PRODUCER, [b"LPUSH", b"shop:celery", envelope("m1", "t1")], NOW)
    tap(WORKER, [b"HSET", b"unacked", b"t1", unacked("m1", "t1")], NOW)
    tap(WORKER, [b"HSET", b"shop:open", b"t1", unacked("m1", "t1")], NOW)
    tap(WORKER, [b"HDEL", b"shop:open", b"t1"], NOW)
    tap(WORKER, [b"EXEC"], NOW)
    assert [type(event) for event in recorded.events] == [Queued, Delivered, Acknowledged]


@given(st.binary(max_size=40))
def test_the_digest_is_that_of_the_body_before_the_transport_encoded_it(body: bytes) -> None:
    recorded = Recorded()
    push_of = Tap(recorded)
    push_of(PRODUCER, [b"LPUSH", b"celery", envelope("m1", "t1", body=body)], NOW)
    (event,) = recorded.events
    assert isinstance(event, Queued)
    assert event.body_digest == digest(body)


def test_a_body_that_was_not_encoded_is_taken_as_it_is(tap: Tap, recorded: Recorded) -> None:
    value = json.dumps({"body": "plain", "headers": {"id": "m1"}, "properties": {"delivery_tag": "t1"}}).encode()
    tap(PRODUCER, [b"LPUSH", b"celery", value], NOW)
    assert recorded.events == [Queued(queue="celery", message="m1", delivery_tag="t1", body_digest=digest(b"plain"))]


def test_a_body_that_only_pretends_to_be_base64_is_taken_as_it_is(tap: Tap, recorded: Recorded) -> None:
    properties = {"delivery_tag": "t1", "body_encoding": "base64"}
    value = json.dumps({"body": "abcde", "headers": {"id": "m1"}, "properties": properties}).encode()
    tap(PRODUCER, [b"LPUSH", b"celery", value], NOW)
    assert recorded.events == [Queued(queue="celery", message="m1", delivery_tag="t1", body_digest=digest(b"abcde"))]


def test_a_message_without_an_id_in_its_headers_is_known_by_its_correlation_id(tap: Tap, recorded: Recorded) -> None:
    value = json.dumps({"body": "", "properties": {"delivery_tag": "t1", "correlation_id": "c1"}}).encode()
    tap(PRODUCER, [b"LPUSH", b"celery", value], NOW)
    assert [event.message for event in recorded.events if isinstance(event, Queued)] == ["c1"]


GARBAGE: dict[str, bytes] = {
    "not JSON": b"\xff\x00{",
    "nothing": b"",
    "a number": b"5",
    "a list": b"[1, 2]",
    "no properties": b'{"body": ""}',
    "properties that are none": b'{"properties": null}',
    "headers that are none": b'{"headers": [1], "properties": {"delivery_tag": "t1"}}',
    "no tag": b'{"headers": {"id": "m1"}, "properties": {}}',
    "nested too deep": b"[" * 100_000,
}


@pytest.mark.parametrize("value", GARBAGE.values(), ids=GARBAGE.keys())
@pytest.mark.parametrize(
    "command",
    [
        lambda value: [b"LPUSH", b"list of somebody else's", value],
        lambda value: [b"HSET", b"unacked", b"t9", value],
    ],
    ids=["pushed", "booked"],
)
def test_garbage_does_not_end_the_listening(
    tap: Tap, recorded: Recorded, command: Callable[[bytes], list[bytes]], value: bytes
) -> None:
    tap(OTHER, command(value), NOW)
    push(tap, PRODUCER, "m1", "t1")
    assert isinstance(recorded.events[-1], Queued)


@given(st.lists(st.lists(st.binary(max_size=12), min_size=2, max_size=4), max_size=5))
def test_commands_of_any_words_do_not_end_the_listening(commands: list[list[bytes]]) -> None:
    recorded = Recorded()
    listening = Tap(recorded)
    for words in commands:
        listening(OTHER, words, NOW)
        for name in (b"LPUSH", b"HSET", b"HDEL"):
            listening(OTHER, [name, b"unacked", *words], NOW)
    push(listening, PRODUCER, "m1", "t1")
    assert isinstance(recorded.events[-1], Queued)

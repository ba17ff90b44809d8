"""The tap is fed the commands that workers of Redis lists send, word for word, by client address."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.codec import digest
from harness.events import Acknowledged, Delivered, Event, Queued, Requeued
from harness.systems.redis_list.tap import ListTap, Pop, message_of, pop_of
from harness.systems.tracked import DELIVERED, QUEUED

PRODUCER, ONE, TWO = "10.0.0.1:1", "10.0.0.2:2", "10.0.0.3:3"
JOB = b'{"id": "m1", "task": "email", "arguments": {"to": "a"}}'
SECOND = b'{"id": "m2", "task": "email", "arguments": {"to": "b"}}'


class Scene:
    """A tap, what it recorded, and the clients and the clock that it is told of."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.live = {PRODUCER, ONE, TWO}
        self.now = 0.0
        self.tap = ListTap(self, frozenset({"jobs", "more"}), lambda: self.live)  # type: ignore[arg-type]

    def record(self, source: str, event: Event) -> None:
        assert source == "broker"
        self.events.append(event)

    def says(self, client: str, *words: bytes | str) -> None:
        self.tap(client, [word.encode() if isinstance(word, str) else word for word in words], self.now)

    def kinds(self) -> list[str]:
        return [type(event).__name__ for event in self.events]

    def deliveries(self) -> list[tuple[str, str]]:
        return [(event.message, event.client) for event in self.events if isinstance(event, Delivered)]


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_push_to_a_queue_is_a_queued_message_with_the_id_of_its_json(scene: Scene) -> None:
    scene.says(PRODUCER, "LPUSH", "jobs", JOB)
    assert scene.events == [Queued(queue="jobs", message="m1", delivery_tag="m1#1", body_digest=digest(JOB))]
    assert scene.tap.pending()["m1#1"].state == QUEUED


def test_a_push_to_a_list_that_is_no_queue_is_the_subjects_own_business(scene: Scene) -> None:
    scene.says(ONE, "LPUSH", "results", JOB)
    scene.says(ONE, "RPOP", "results")
    assert scene.events == []


@pytest.mark.parametrize("pop", [("RPOP", "jobs"), ("BRPOP", "jobs", "0"), ("brpop", "more", "jobs", "5")])
def test_a_popped_message_is_delivered_and_acknowledged_at_once(scene: Scene, pop: tuple[str, ...]) -> None:
    scene.says(PRODUCER, "LPUSH", "jobs", JOB)
    scene.says(ONE, *pop)
    assert scene.events[1:] == [
        Delivered(message="m1", delivery_tag="m1#1", client=ONE),
        Acknowledged(message="m1", delivery_tag="m1#1"),
    ]
    assert scene.tap.pending() == {}


MOVES = [
    ("RPOPLPUSH", "jobs", "own"),
    ("BRPOPLPUSH", "jobs", "own", "0"),
    ("LMOVE", "jobs", "own", "RIGHT", "LEFT"),
    ("BLMOVE", "jobs", "own", "right", "left", "0"),
]


@pytest.mark.parametrize("move", MOVES, ids=lambda words: words[0])
@pytest.mark.parametrize(
    "done", [("LREM", "own", "1", JOB), ("RPOP", "own"), ("DEL", "own")], ids=lambda words: words[0]
)
def test_a_moved_message_is_acknowledged_when_it_is_removed_from_where_it_went(
    scene: Scene, move: tuple[str, ...], done: tuple[bytes | str, ...]
) -> None:
    scene.says(PRODUCER, "LPUSH", "jobs", JOB)
    scene.says(ONE, *move)
    assert (scene.tap.pending()["m1#1"].state, scene.tap.pending()["m1#1"].client) == (DELIVERED, ONE)
    assert scene.kinds() == ["Queued", "Delivered"]
    scene.says(ONE, *done)
    assert scene.kinds() == ["Queued", "Delivered", "Acknowledged"]
    assert scene.tap.pending() == {}
    assert (scene.tap.deliveries["m1"], scene.tap.ended["m1"]) == (1, 1)


def test_removing_another_message_acknowledges_nothing(scene: Scene) -> None:
    scene.says(PRODUCER, "LPUSH", "jobs", JOB)
    scene.says(ONE, "RPOPLPUSH", "jobs", "own")
    scene.says(ONE, "LREM", "own", "1", SECOND)
    scene.says(ONE, "LREM", "own", "many", JOB)
    assert scene.kinds() == ["Queued", "Delivered"]


def test_a_message_that_is_moved_back_is_requeued_and_can_be_delivered_again(scene: Scene) -> None:
    scene.says(PRODUCER, "LPUSH", "jobs", JOB)
    scene.says(ONE, "RPOPLPUSH", "jobs", "own")
    scene.says(TWO, "LMOVE", "own", "jobs", "LEFT", "RIGHT")
    assert scene.events[2] == Requeued(message="m1", delivery_tag="m1#1")
    assert scene.kinds() == ["Queued", "Delivered", "Requeued", "Queued"]
    assert scene.tap.pending()["m1#1"].state == QUEUED
    scene.says(TWO, "RPOPLPUSH", "jobs", "own")
    assert scene.deliveries() == [("m1", ONE), ("m1", TWO)]
    assert scene.tap.taken_by("m1") == TWO


def test_lists_are_kept_in_the_order_that_their_ends_make(scene: Scene) -> None:
    for push, value in (("LPUSH", b"b"), ("LPUSH", b"a"), ("RPUSH", b"c")):
        scene.says(PRODUCER, push, "jobs", value)
    scene.says(PRODUCER, "RPUSH", "jobs", b"d", b"e")
    for pop in (("RPOP", "jobs"), ("LPOP", "jobs", "2"), ("BLPOP", "jobs", "0"), ("BRPOP", "jobs", "0")):
        scene.says(ONE, *pop)
    assert [message for message, _ in scene.deliveries()] == [digest(each) for each in (b"e", b"a", b"b", b"c", b"d")]


def test_who_waits_is_served_by_a_later_push_in_the_order_of_waiting(scene: Scene) -> None:
    scene.says(ONE, "BRPOP", "jobs", "0")
    scene.says(TWO, "BLMOVE", "jobs", "own", "RIGHT", "LEFT", "0")
    scene.says(PRODUCER, "LPUSH", "jobs", JOB, SECOND)
    assert scene.deliveries() == [("m1", ONE), ("m2", TWO)]
    assert list(scene.tap.pending()) == ["m2#1"]


def test_who_has_gone_or_has_waited_long_enough_is_not_served(scene: Scene) -> None:
    scene.says(ONE, "BRPOP", "jobs", "0")
    scene.says(TWO, "BRPOP", "jobs", "5")
    scene.live.discard(ONE)
    scene.now = 5.1
    scene.says(PRODUCER, "LPUSH", "jobs", JOB)
    assert scene.deliveries() == []
    scene.says(TWO, "BRPOP", "jobs", "5")
    assert scene.deliveries() == [("m1", TWO)]


def test_who_was_served_and_is_gone_before_the_broker_is_asked_is_known_by_what_it_did_in_between(scene: Scene) -> None:
    scene.says(ONE, "BLMOVE", "jobs", "own", "RIGHT", "LEFT", "0")
    scene.live.discard(ONE)
    scene.says(PRODUCER, "LPUSH", "jobs", JOB)
    scene.says(ONE, "LREM", "own", "1", JOB)
    scene.says(TWO, "BLMOVE", "jobs", "own", "RIGHT", "LEFT", "0")
    assert scene.deliveries() == [("m1", ONE)]
    assert scene.tap.pending() == {}
    assert scene.tap.busy() == {}


def test_who_waited_for_several_is_served_as_many_as_there_are(scene: Scene) -> None:
    scene.says(ONE, "BLMPOP", "0", "1", "jobs", "RIGHT", "COUNT", "3")
    scene.says(PRODUCER, "LPUSH", "jobs", JOB, SECOND)
    assert scene.deliveries() == [("m1", ONE), ("m2", ONE)]


def test_whoever_asks_again_waits_behind_those_who_waited_before(scene: Scene) -> None:
    scene.says(ONE, "BRPOP", "jobs", "5")
    scene.says(TWO, "BRPOP", "jobs", "5")
    scene.says(ONE, "BRPOP", "jobs", "5")
    scene.says(PRODUCER, "LPUSH", "jobs", JOB)
    assert scene.deliveries() == [("m1", TWO)]


def test_a_transaction_serves_who_waits_when_it_is_over_and_waits_for_nothing_itself(scene: Scene) -> None:
    scene.says(ONE, "BLPOP", "jobs", "0")
    scene.says(PRODUCER, "MULTI")
    scene.says(PRODUCER, "LPUSH", "jobs", JOB)
    scene.says(PRODUCER, "LPUSH", "jobs", SECOND)
    scene.says(PRODUCER, "BRPOP", "more", "0")
    assert scene.deliveries() == []
    scene.says(PRODUCER, "EXEC")
    assert scene.deliveries() == [("m2", ONE)]
    scene.says(TWO, "LPUSH", "more", JOB)
    assert scene.deliveries() == [("m2", ONE)]


def test_a_script_takes_in_the_name_of_who_runs_it(scene: Scene) -> None:
    scene.says(PRODUCER, "LPUSH", "jobs", JOB)
    scene.says(TWO, "EVAL", "return redis.call('RPOP', KEYS[1])", "1", "jobs")
    scene.says("lua", "RPOP", "jobs")
    assert scene.deliveries() == [("m1", TWO)]


def test_a_restart_of_the_broker_keeps_the_lists_and_forgets_who_waited(scene: Scene) -> None:
    scene.says(PRODUCER, "LPUSH", "jobs", JOB)
    scene.says(ONE, "RPOPLPUSH", "jobs", "own")
    scene.says(ONE, "BRPOP", "jobs", "0")
    scene.tap.broker_restarted()
    scene.says(PRODUCER, "LPUSH", "jobs", SECOND)
    assert scene.deliveries() == [("m1", ONE)]
    assert {tag: entry.state for tag, entry in scene.tap.pending().items()} == {"m1#1": DELIVERED, "m2#1": QUEUED}


def test_a_connection_is_busy_with_what_it_took_until_it_asks_for_more(scene: Scene) -> None:
    scene.says(PRODUCER, "LPUSH", "jobs", JOB)
    scene.says(ONE, "BRPOP", "jobs", "0")
    assert scene.tap.busy() == {ONE: ("m1",)}
    assert scene.tap.held_by({ONE}) == ("m1",)
    assert scene.tap.held_by({TWO}) == ()
    scene.says(ONE, "PING")
    assert scene.tap.ended["m1"] == 0
    scene.says(ONE, "BRPOP", "jobs", "0")
    assert scene.tap.ended["m1"] == 1
    assert scene.tap.busy() == {}
    assert scene.tap.held_by({ONE}) == ()


def test_two_copies_of_a_message_are_told_apart(scene: Scene) -> None:
    scene.says(PRODUCER, "LPUSH", "jobs", JOB)
    scene.says(ONE, "RPOPLPUSH", "jobs", "own")
    scene.says(PRODUCER, "LPUSH", "jobs", JOB)
    assert [tag for tag, _ in scene.tap.by_message("m1")] == ["m1#1", "m1#2"]  # type: ignore[arg-type]
    scene.says(ONE, "LREM", "own", "0", JOB)
    assert list(scene.tap.pending()) == ["m1#2"]


@pytest.mark.parametrize(
    ("words", "pop"),
    [
        (b"LMPOP 2 a b RIGHT COUNT 3", Pop(keys=("a", "b"), end=b"RIGHT", count=3)),
        (b"BLMPOP 1.5 1 a LEFT", Pop(keys=("a",), end=b"LEFT", waits_seconds=1.5)),
        (b"BLMOVE a b LEFT RIGHT 2", Pop(keys=("a",), end=b"LEFT", target="b", target_end=b"RIGHT", waits_seconds=2)),
        (b"BRPOP a soon", None),
        (b"LMPOP 9 a RIGHT", None),
        (b"LMOVE a", None),
        (b"LRANGE a 0 1", None),
    ],
    ids=str,
)
def test_a_command_says_what_it_takes_and_one_that_the_broker_refuses_takes_nothing(
    words: bytes, pop: Pop | None
) -> None:
    assert pop_of(words.split()) == pop


@pytest.mark.parametrize("value", [b"\xff", b"[1]", b'{"task": 1}', b'{"id": null}', b'{"id": {}}', b"[" * 100_000])
def test_what_has_no_id_is_known_by_its_content(value: bytes) -> None:
    assert message_of(value) == digest(value)


def test_a_number_is_an_id_too() -> None:
    assert message_of(json.dumps({"id": 7}).encode()) == "7"


WORDS = st.sampled_from(
    ["LPUSH", "RPOP", "BRPOP", "BLMOVE", "LREM", "LMPOP", "DEL", "MULTI", "EXEC", "EVAL", "jobs", "own", "0", "1", "x"]
)


@given(st.lists(st.tuples(st.sampled_from([ONE, TWO, "lua"]), st.lists(WORDS, min_size=1, max_size=6)), max_size=30))
def test_no_stream_of_commands_ends_the_tap(stream: list[tuple[str, list[str]]]) -> None:
    scene = Scene()
    for client, words in stream:
        scene.says(client, *words)
    assert sum(scene.tap.deliveries.values()) >= len(scene.tap.busy())


def test_once_forgotten_no_message_is_known_and_who_waits_is_served_all_the_same(scene: Scene) -> None:
    scene.says(PRODUCER, "LPUSH", "jobs", JOB)
    scene.says(ONE, "RPOPLPUSH", "jobs", "own")
    scene.says(TWO, "BLMOVE", "jobs", "own", "RIGHT", "LEFT", "0")
    scene.tap.forget()
    assert (scene.tap.pending(), scene.tap.busy(), scene.tap.deliveries) == ({}, {}, {})
    assert scene.tap.own() == {"own"}
    scene.says(PRODUCER, "LPUSH", "jobs", SECOND)
    assert scene.tap.busy() == {TWO: ("m2",)}


def test_what_a_connection_that_is_gone_was_busy_with_has_ended(scene: Scene) -> None:
    scene.says(PRODUCER, "LPUSH", "jobs", JOB)
    scene.says(ONE, "RPOP", "jobs")
    scene.tap.part(ONE)
    scene.tap.part(TWO)
    assert (scene.tap.busy(), scene.tap.ended["m1"]) == ({}, 1)


def test_a_message_that_has_vanished_is_not_waited_for(scene: Scene) -> None:
    scene.says(PRODUCER, "LPUSH", "jobs", JOB)
    scene.tap.vanish("m1#1")
    assert scene.tap.pending() == {}

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.contract import AtMostOnce, Contract, Effect, Header, JsonField, Task, Worker
from harness.events import (
    DEAD_LETTERED,
    AttemptStarted,
    EffectApplied,
    EffectRequested,
    EnqueueCalled,
    EnqueueReturned,
    Event,
    FaultBegan,
    Published,
    QueueDrained,
    RunBegan,
    RunEnded,
)
from harness.history import History, extract, merge, owner_of


def task(name: str, request: str) -> Task:
    return Task(
        name=name,
        identity="{id}",
        inputs=({"id": 1}, {"id": 2}),
        effects=(Effect(request=request, belongs_to=JsonField("/id")),),
        promise=AtMostOnce(),
        attempts_max=1,
        wait_seconds_max=1,
    )


CONTRACT = Contract(
    name="small",
    app="app:app",
    workers=(Worker(name="w"),),
    tasks=(task("mail", "POST /mails"), task("call", "POST /c*")),
)
BEGAN = RunBegan(format_version=1, scenario="s", guarantees=(), contract=CONTRACT, plan_digest="", seed=1)


def request(label: str, body: str, headers: dict[str, str] | None = None) -> EffectRequested:
    return EffectRequested(
        request=1, label=label, key="", headers=headers or {}, body=body, fingerprint="", connection=""
    )


# --- jobs ---


def test_without_its_head_nothing_is_known_of_a_run() -> None:
    with pytest.raises(ValueError, match="no RunBegan"):
        History([QueueDrained(), RunEnded()])


def test_accepted_is_what_the_broker_took_and_nothing_else() -> None:
    history = History(
        [
            BEGAN,
            EnqueueCalled(job="taken", task="mail", identity="1"),
            EnqueueReturned(job="taken", outcome="ok", message="m1"),
            EnqueueCalled(job="refused", task="mail", identity="2"),
            EnqueueReturned(job="refused", outcome="failed", message="m2"),
            EnqueueCalled(job="unheard", task="mail", identity="3"),
            EnqueueReturned(job="unheard", outcome="unknown", message="m3"),
            EnqueueCalled(job="unanswered", task="mail", identity="4"),
        ]
    )
    assert set(history.accepted) == {"taken"}
    assert set(history.enqueued) == {"taken", "refused", "unheard", "unanswered"}


def test_poison_is_kept_apart_from_what_can_be_done() -> None:
    history = History(
        [
            BEGAN,
            EnqueueCalled(job="job-1", task="mail", identity="1"),
            EnqueueReturned(job="job-1", outcome="ok", message="m1"),
            EnqueueCalled(job="poison-1", task="mail", identity="2", expected=DEAD_LETTERED),
            EnqueueReturned(job="poison-1", outcome="ok", message="m2"),
        ]
    )
    assert history.expected_done() == ("job-1",)
    assert history.expected_dead() == ("poison-1",)


def test_a_message_whose_enqueueing_ended_unknown_is_still_known_for_its_jobs() -> None:
    history = History(
        [
            BEGAN,
            EnqueueCalled(job="job-1", task="mail", identity="1"),
            EnqueueReturned(job="job-1", outcome="unknown", message="m1"),
        ]
    )
    assert history.job_of("m1") == "job-1"


def test_a_retry_keeps_its_message_and_so_its_job() -> None:
    history = History(
        [
            BEGAN,
            EnqueueCalled(job="job-1", task="mail", identity="1"),
            EnqueueReturned(job="job-1", outcome="ok", message="m1"),
            AttemptStarted(message="m1", task="mail", pid=7),
            Published(message="m1", root="m1", parent="m1", task="mail"),
            AttemptStarted(message="m1", task="mail", pid=7, retries=1),
        ]
    )
    assert history.job_of("m1") == "job-1"
    assert [start.retries for start in history.attempts["job-1"]] == [0, 1]


def test_descendants_belong_to_a_job_by_their_root_or_by_their_parent() -> None:
    history = History(
        [
            BEGAN,
            EnqueueCalled(job="job-1", task="mail", identity="1"),
            EnqueueReturned(job="job-1", outcome="ok", message="m1"),
            EnqueueCalled(job="job-2", task="mail", identity="2"),
            EnqueueReturned(job="job-2", outcome="ok", message="m2"),
            Published(message="child", root="m1", parent="m1", task="receipt"),
            Published(message="grandchild", root="m1", parent="child", task="receipt"),
            Published(message="adopted", root="adopted", parent="m2", task="receipt"),
            Published(message="stranger", root="stranger", parent="", task="beat"),
        ]
    )
    owners = {name: history.job_of(name) for name in ("child", "grandchild", "adopted", "stranger")}
    assert owners == {"child": "job-1", "grandchild": "job-1", "adopted": "job-2", "stranger": None}


def test_a_message_that_a_job_published_does_not_take_over_another_jobs() -> None:
    history = History(
        [
            BEGAN,
            EnqueueCalled(job="job-1", task="mail", identity="1"),
            EnqueueReturned(job="job-1", outcome="ok", message="m1"),
            EnqueueCalled(job="job-2", task="mail", identity="2"),
            EnqueueReturned(job="job-2", outcome="ok", message="m2"),
            Published(message="m2", root="m1", parent="m1", task="mail"),
        ]
    )
    assert history.job_of("m2") == "job-2"


def test_descendants_are_found_in_whatever_order_the_logs_of_two_workers_lie() -> None:
    # Between two sources only cause and effect give an order: `at` is for people.
    history = History(
        [
            BEGAN,
            EnqueueCalled(job="job-1", task="mail", identity="1"),
            EnqueueReturned(job="job-1", outcome="ok", message="m1"),
            Published(source="worker-2", message="grandchild", root="child", parent="child", task="receipt"),
            Published(source="worker-1", message="child", root="child", parent="m1", task="receipt"),
        ]
    )
    assert history.job_of("grandchild") == "job-1"


# --- effects ---


def test_an_effect_belongs_to_the_job_that_the_contract_finds_in_its_request() -> None:
    history = History(
        [
            BEGAN,
            EnqueueCalled(job="job-1", task="mail", identity="1"),
            EnqueueCalled(job="job-2", task="mail", identity="2"),
            request("POST /mails", '{"id": 2}'),
            EffectApplied(request=1, label="POST /mails", key=""),
        ]
    )
    assert {job: len(applied) for job, applied in history.effects.items()} == {"job-1": 0, "job-2": 1}
    assert history.unattributed == ()


@pytest.mark.parametrize(
    "strange",
    [
        request("POST /mails", '{"id": 3}'),
        request("POST /mails", '{"other": 1}'),
        request("POST /mails", "not JSON"),
        request("POST /mails?id=1", '{"id": 1}'),
        request("PUT /mails", '{"id": 1}'),
        request("POST /calls", '{"id": 1}'),
    ],
    ids=lambda strange: f"{strange.label} {strange.body}",
)
def test_an_effect_that_no_rule_assigns_is_kept_apart(strange: EffectRequested) -> None:
    history = History(
        [
            BEGAN,
            EnqueueCalled(job="job-1", task="mail", identity="1"),
            strange,
            EffectApplied(request=1, label=strange.label, key=""),
        ]
    )
    assert history.effects == {"job-1": ()}
    assert len(history.unattributed) == 1


def test_a_star_at_the_end_of_a_rule_matches_any_rest_of_the_path() -> None:
    jobs = [EnqueueCalled(job="job-1", task="call", identity="1")]
    assert owner_of(CONTRACT, jobs, request("POST /calls/now?please", '{"id": 1}')) == "job-1"
    assert owner_of(CONTRACT, jobs, request("POST /c", '{"id": 1}')) == "job-1"
    assert owner_of(CONTRACT, jobs, request("POST /", '{"id": 1}')) is None


def test_a_request_that_two_jobs_could_own_belongs_to_neither() -> None:
    # As the docstring of owner_of has it: "None if there is none, or more than one."
    contract = Contract(
        name="two tasks, one downstream",
        app="app:app",
        workers=(Worker(name="w"),),
        tasks=(task("mail", "POST /mails"), task("reminder", "POST /mails")),
    )
    jobs = [
        EnqueueCalled(job="job-1", task="mail", identity="1"),
        EnqueueCalled(job="job-2", task="reminder", identity="1"),
    ]
    assert owner_of(contract, jobs, request("POST /mails", '{"id": 1}')) is None


# --- extract ---


def test_a_header_is_found_whatever_its_case() -> None:
    assert extract(Header("idempotency-KEY"), request("POST /x", "", {"Idempotency-Key": "k"})) == "k"
    assert extract(Header("Idempotency-Key"), request("POST /x", "", {"Other": "k"})) is None


RFC_6901 = {
    "foo": ["bar", "baz"],
    "": 0,
    "a/b": 1,
    "c%d": 2,
    "e^f": 3,
    "g|h": 4,
    "i\\j": 5,
    'k"l': 6,
    " ": 7,
    "m~n": 8,
    "~1": 9,
}


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        ("/foo/0", "bar"),
        ("/foo/1", "baz"),
        ("/", "0"),
        ("/a~1b", "1"),
        ("/c%d", "2"),
        ("/e^f", "3"),
        ("/g|h", "4"),
        ("/i\\j", "5"),
        ('/k"l', "6"),
        ("/ ", "7"),
        ("/m~0n", "8"),
        ("/~01", "9"),
        ("/foo/2", None),
        ("/foo/-", None),
        ("/foo/-1", None),
        ("/foo/00", None),
        ("/foo/bar", None),
        ("/foo/0/0", None),
        ("/nowhere", None),
    ],
)
def test_a_json_pointer_means_what_its_rfc_says(pointer: str, value: str | None) -> None:
    assert extract(JsonField(pointer), request("POST /x", json.dumps(RFC_6901))) == value


KEYS = st.text(st.characters(codec="utf-8"), max_size=4) | st.sampled_from(["~", "/", "~1", "~0", "0", "01"])


@st.composite
def documents(draw: st.DrawFn) -> tuple[Any, str, str]:
    """A document, the pointer to one of its leaves, and that leaf as text."""
    leaf = draw(st.text(st.characters(codec="utf-8"), max_size=4) | st.integers(-(2**60), 2**60))
    value: Any = leaf
    pointer = ""
    for _ in range(draw(st.integers(1, 4))):
        if draw(st.booleans()):
            key = draw(KEYS)
            value = {**draw(st.dictionaries(KEYS, st.none(), max_size=2)), key: value}
            pointer = "/" + key.replace("~", "~0").replace("/", "~1") + pointer
        else:
            before = draw(st.integers(0, 12))
            value = [None] * before + [value] + [None]
            pointer = f"/{before}{pointer}"
    return value, pointer, str(leaf)


@given(documents())
def test_the_pointer_to_any_leaf_finds_that_leaf(made: tuple[Any, str, str]) -> None:
    value, pointer, leaf = made
    assert extract(JsonField(pointer), request("POST /x", json.dumps(value))) == leaf


@given(st.text(st.characters(codec="utf-8")), KEYS)
def test_a_body_of_any_kind_is_never_an_error(body: str, key: str) -> None:
    extract(JsonField("/" + key), request("POST /x", body))


@pytest.mark.parametrize("body", ["[" * 60_000, '{"id":' * 10_000, "[" * 30_000 + "]" * 30_000], ids=["a", "b", "c"])
def test_a_body_nested_too_deep_to_be_read_holds_nothing(body: str) -> None:
    assert extract(JsonField("/id"), request("POST /x", body)) is None


def test_a_null_is_no_identity() -> None:
    assert extract(JsonField("/id"), request("POST /x", '{"id": null}')) is None


# --- merge ---


@given(st.lists(st.lists(st.floats(-10, 10), max_size=6), max_size=4))
def test_each_log_keeps_its_order_whatever_the_clocks_say(clocks: list[list[float]]) -> None:
    logs = [
        [FaultBegan(at=at, source=f"log-{name}", seq=seq, step=seq, fault="") for seq, at in enumerate(clock)]
        for name, clock in enumerate(clocks)
    ]
    merged = list(merge(logs))
    assert len(merged) == sum(len(log) for log in logs)
    for name, log in enumerate(logs):
        assert [event for event in merged if event.source == f"log-{name}"] == log


@given(st.lists(st.lists(st.floats(0, 10), max_size=6).map(sorted), max_size=4))
def test_logs_whose_clocks_ran_forwards_are_laid_side_by_side_by_time(clocks: list[list[float]]) -> None:
    logs = [
        [FaultBegan(at=at, source=f"log-{name}", seq=seq, step=seq, fault="") for seq, at in enumerate(clock)]
        for name, clock in enumerate(clocks)
    ]
    assert [event.at for event in merge(logs)] == sorted(at for clock in clocks for at in clock)


@given(st.permutations(range(4)))
def test_the_merge_does_not_depend_on_the_order_in_which_the_logs_are_given(order: list[int]) -> None:
    logs: list[list[Event]] = [
        [FaultBegan(at=at, source=f"log-{name}", seq=seq, step=0, fault="") for seq, at in enumerate((1.0, 1.0, 2.0))]
        for name in range(4)
    ]
    assert list(merge([logs[number] for number in order])) == list(merge(logs))


def test_the_head_of_the_run_comes_first_whatever_the_clocks_say() -> None:
    late = RunBegan(at=9, format_version=1, scenario="s", guarantees=(), contract=CONTRACT, plan_digest="", seed=1)
    merged = list(merge([[FaultBegan(at=-1, source="a", step=0, fault="")], [late, RunEnded(at=10)]]))
    assert [type(event) for event in merged] == [RunBegan, FaultBegan, RunEnded]

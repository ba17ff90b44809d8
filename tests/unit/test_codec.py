import builtins
import types
from pathlib import Path
from typing import Any, get_args, get_origin

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from harness import codec
from harness.contract import (
    AtLeastOnce,
    AtMostOnce,
    Contract,
    DeadLetterTable,
    Effect,
    EffectivelyOnce,
    Header,
    JsonField,
    PlantedBug,
    SqlTable,
    Task,
    Worker,
)
from harness.events import (
    FORMAT_VERSION,
    AttemptEnded,
    Event,
    FaultLanded,
    QueueDrained,
    RunBegan,
    RunEnded,
    StateRecorded,
)
from harness.plan import Plan

TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
NUMBERS = st.integers(-(2**53), 2**53)
SCALARS = st.none() | st.booleans() | NUMBERS | TEXT
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2), max_leaves=4
)
CONTRACT = Contract(
    name="every kind of thing",
    app="app:app",
    workers=(Worker(name="w", queues=("q",)),),
    tasks=(
        Task(
            name="t1",
            identity="{id}",
            inputs=({"id": 1, "deep": {"er": [None, "ü"]}}, {"id": 2, "deep": {}}),
            effects=(Effect(request="POST /x*", belongs_to=JsonField("/a~1b")),),
            promise=EffectivelyOnce(key=Header("K")),
            attempts_max=1,
            wait_seconds_max=0.5,
            wrong_arguments={},
        ),
        Task(
            name="t2",
            identity="one",
            inputs=({},),
            effects=(Effect(request="PUT /y", belongs_to=Header("X")),),
            promise=AtLeastOnce(key=JsonField("/k")),
            attempts_max=1,
            wait_seconds_max=1.0,
        ),
        Task(
            name="t3",
            identity="one",
            inputs=({},),
            effects=(Effect(request="PUT /z", belongs_to=Header("X")),),
            promise=AtMostOnce(),
            attempts_max=1,
            wait_seconds_max=1.0,
        ),
    ),
    environment={"A": "{broker_url}"},
    honours_key=Header("K"),
    dead_letters=DeadLetterTable(url="sqlite:///x", table="t", message="m", reason="r", body="b"),
    state=(SqlTable(url="sqlite:///x", table="t", columns=("a", "b")),),
    planted_bugs=(
        PlantedBug(name="b", story="s", environment={"B": "1"}, scenarios=("s",), guarantee="g", also=("h",)),
    ),
)
SIMPLE: dict[Any, st.SearchStrategy[Any]] = {
    int: NUMBERS,
    bool: st.booleans(),
    float: st.floats(0, 1e6, allow_nan=False),
    Any: SCALARS,
    Contract: st.just(CONTRACT),
}


def values_of(kind: Any) -> st.SearchStrategy[Any]:
    """Any value of an annotation that occurs in an event."""
    match get_origin(kind), get_args(kind):
        case types.UnionType, parts:
            return st.one_of(*(st.none() if part is type(None) else values_of(part) for part in parts))
        case builtins.tuple, (each, builtins.Ellipsis):
            return st.lists(values_of(each), max_size=2).map(tuple)
        case builtins.tuple, parts:
            return st.tuples(*map(values_of, parts))
        case builtins.dict, (key, value):
            return st.dictionaries(values_of(key), JSON if value is Any else values_of(value), max_size=2)
    if kind not in SIMPLE and isinstance(kind, type) and issubclass(kind, Struct):
        return st.builds(kind, **{field.name: values_of(field.type) for field in msgspec.structs.fields(kind)})
    return SIMPLE.get(kind, TEXT)  # text: str and the new types over it


def events_of(kind: type[Event]) -> st.SearchStrategy[Event]:
    fields = {field.name: values_of(field.type) for field in msgspec.structs.fields(kind)}
    if kind is RunBegan:
        fields["format_version"] = st.integers(0, FORMAT_VERSION)
    return st.builds(kind, **fields)


EVENTS = st.one_of([events_of(kind) for kind in get_args(Event)])
SAMPLE = (
    RunBegan(format_version=1, scenario="s", guarantees=(), contract=CONTRACT, plan_digest="", seed=1),
    FaultLanded(step=0, fault="SIGKILL", targets=("größe",), jobs=("job-1",)),
    StateRecorded(table="t", rows=((1, "\n", None), ("ü", 2.5, True))),
    RunEnded(at=1.5),
)


@pytest.mark.parametrize("kind", get_args(Event), ids=lambda kind: kind.__name__)
def test_each_kind_of_event_can_be_told_from_the_others(kind: type[Struct]) -> None:
    assert kind.__struct_config__.tag == kind.__name__


@given(st.lists(EVENTS, max_size=4))
def test_what_is_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, events: list[Event]) -> None:
    path = tmp_path_factory.getbasetemp() / "round-trip.jsonl"
    codec.write_events(path, events)
    assert list(codec.events_in(path)) == events


@given(EVENTS)
def test_an_event_is_one_line_whatever_it_holds(event: Event) -> None:
    assert b"\n" not in codec.encode(event)


def test_an_event_written_by_the_probe_with_the_standard_library_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "probe.jsonl"
    path.write_text(
        '{"event": "AttemptEnded", "at": 0.25, "source": "w", "message": "m1", "pid": 7, "state": "SUCCESS"}\n'
    )
    assert list(codec.events_in(path)) == [AttemptEnded(at=0.25, source="w", message="m1", pid=7, state="SUCCESS")]


def test_a_log_torn_at_any_byte_of_its_last_line_is_readable_up_to_there(tmp_path: Path) -> None:
    path = tmp_path / "torn.jsonl"
    codec.write_events(path, SAMPLE)
    whole = path.read_bytes()
    begins = whole.rindex(b"\n", 0, -1) + 1
    for cut in range(begins, len(whole) - 1):
        path.write_bytes(whole[:cut])
        assert list(codec.events_in(path)) == list(SAMPLE[:-1]), f"cut at byte {cut}"
    path.write_bytes(whole[:-1])
    assert list(codec.events_in(path)) == list(SAMPLE), "only the newline is missing"


def test_a_torn_last_line_is_readable_whatever_kind_of_event_it_was(tmp_path: Path) -> None:
    path = tmp_path / "torn.jsonl"
    for last in SAMPLE:
        line = codec.encode(last)
        for cut in range(0, len(line), 7 if len(line) > 200 else 1):
            path.write_bytes(codec.encode(QueueDrained()) + b"\n" + line[:cut])
            assert list(codec.events_in(path)) == [QueueDrained()]


@given(line=st.integers(0, len(SAMPLE) - 1), data=st.data())
def test_a_damaged_line_before_the_end_is_an_error_that_names_the_file_and_the_line(
    tmp_path_factory: pytest.TempPathFactory, line: int, data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.jsonl"
    lines = [codec.encode(event) for event in SAMPLE]
    cut = data.draw(st.integers(1, len(lines[line]) - 1))
    lines[line] = lines[line][:cut]
    path.write_bytes(b"\n".join(lines) + b"\n")
    with pytest.raises(codec.UnreadableError) as caught:
        list(codec.events_in(path))
    assert str(caught.value).startswith(f"{path}:{line + 1}: ")


@pytest.mark.parametrize(
    "line",
    [
        b"[]",
        b"null",
        b'"RunEnded"',
        b'{"event": "NoSuchEvent"}',
        b'{"at": 1.0}',
        b'{"event": "FaultMissed", "step": "one", "fault": "", "because": ""}',
        b"\xff\xfe",
        b'{"event": "RunEnded", "source": "\xff"}',
        pytest.param(b'{"event": "RunEnded", "more": ' + b"[" * 60_000 + b"]" * 60_000 + b"}", id="nested too deep"),
    ],
)
def test_a_whole_line_that_is_no_event_is_an_error_even_at_the_end(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "strange.jsonl"
    path.write_bytes(codec.encode(QueueDrained()) + b"\n" + line + b"\n")
    with pytest.raises(codec.UnreadableError) as caught:
        list(codec.events_in(path))
    assert str(caught.value).startswith(f"{path}:2: ")


def test_events_of_a_newer_format_are_refused_even_in_a_last_line_without_a_newline(tmp_path: Path) -> None:
    path = tmp_path / "newer.jsonl"
    path.write_bytes(b'{"event": "RunBegan", "format_version": 99, "of": "the future"}')
    with pytest.raises(codec.UnreadableError, match=f"{path}:1: .*format 99.*newer jobproof"):
        list(codec.events_in(path))


def test_an_empty_log_holds_no_events(tmp_path: Path) -> None:
    path = tmp_path / "empty.jsonl"
    path.write_bytes(b"")
    assert list(codec.events_in(path)) == []


def test_a_log_that_is_not_there_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(codec.UnreadableError, match=r"gone\.jsonl: No such file"):
        list(codec.events_in(tmp_path / "gone.jsonl"))


def test_a_stored_value_is_read_back_and_its_digest_is_the_same(tmp_path: Path) -> None:
    path = tmp_path / "contract.json"
    path.write_bytes(codec.pretty(CONTRACT))
    again = codec.read(path, Contract)
    assert again == CONTRACT
    assert codec.digest(again) == codec.digest(CONTRACT)
    assert path.read_bytes().endswith(b"}\n")


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"{}", b"\xff", b'{"format_version": 99}', b'{"format_version": "one"}'],
)
def test_a_stored_value_of_another_shape_is_an_error_that_names_the_file(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "plan.json"
    path.write_bytes(data)
    with pytest.raises(codec.UnreadableError) as caught:
        codec.read(path, Plan)
    assert str(caught.value).startswith(f"{path}: ")


def test_seconds_written_as_a_whole_number_do_not_change_the_digest_of_what_was_stored() -> None:
    # 20 is stored as 20 and read back as 20.0: the digest of a plan must not depend on whether it has been on disk.
    whole = msgspec.structs.replace(CONTRACT.tasks[0], wait_seconds_max=20)
    assert codec.digest(msgspec.json.decode(codec.encode(whole), type=Task)) == codec.digest(whole)


def test_a_stored_contract_that_cannot_be_meant_is_refused_when_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "contract.json"
    path.write_bytes(codec.encode(CONTRACT).replace(b'"attempts_max":1', b'"attempts_max":0', 1))
    with pytest.raises(codec.UnreadableError, match="attempts_max is 0"):
        codec.read(path, Contract)


def test_the_digest_of_bytes_is_of_these_bytes_and_not_of_their_json() -> None:
    assert codec.digest(b"") == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert codec.digest(b"1") != codec.digest("1")

import json
import threading
from pathlib import Path

import msgspec
import pytest

from harness.codec import UnreadableError, encode, write_events
from harness.contract import AtMostOnce, Contract, Effect, Header, Task, Worker
from harness.events import (
    AttemptStarted,
    EffectApplied,
    EnqueueCalled,
    Event,
    FaultBegan,
    QueueDrained,
    RunBegan,
    RunEnded,
)
from harness.store import Recorder, read_history, read_merged, write_merged

CONTRACT = Contract(
    name="small",
    app="app:app",
    workers=(Worker(name="w"),),
    tasks=(
        Task(
            name="t",
            identity="one",
            inputs=({},),
            effects=(Effect(request="POST /x", belongs_to=Header("X")),),
            promise=AtMostOnce(),
            attempts_max=1,
            wait_seconds_max=1,
        ),
    ),
)


def began(scenario: str = "s") -> RunBegan:
    return RunBegan(format_version=1, scenario=scenario, guarantees=(), contract=CONTRACT, plan_digest="", seed=1)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "events").mkdir()
    return tmp_path


def test_what_is_recorded_is_stamped_and_on_disk_before_the_call_returns(directory: Path) -> None:
    recorder = Recorder(directory, "s")
    recorder.record("harness", began())
    recorder.record("harness", QueueDrained())
    lines = [json.loads(line) for line in (directory / "events" / "s.harness.jsonl").read_text().splitlines()]
    assert [line["event"] for line in lines] == ["RunBegan", "QueueDrained"]
    assert [line["source"] for line in lines] == ["harness", "harness"]
    assert 0 <= lines[0]["at"] <= lines[1]["at"] <= recorder.now()
    recorder.close()


def test_each_source_has_its_own_log(directory: Path) -> None:
    recorder = Recorder(directory, "s")
    recorder.record("harness", began())
    recorder.record("nemesis", FaultBegan(step=0, fault="x"))
    recorder.close()
    assert sorted(path.name for path in (directory / "events").iterdir()) == ["s.harness.jsonl", "s.nemesis.jsonl"]


def test_a_closed_recorder_appends_when_it_is_used_again(directory: Path) -> None:
    recorder = Recorder(directory, "s")
    recorder.record("harness", began())
    recorder.close()
    recorder.record("harness", RunEnded())
    recorder.close()
    history = read_history(directory, "s")
    assert history is not None
    assert [type(event) for event in history.events] == [RunBegan, RunEnded]


def test_events_recorded_by_several_threads_at_once_are_all_whole(directory: Path) -> None:
    recorder = Recorder(directory, "s")
    recorder.record("harness", began())

    def write(number: int) -> None:
        for _ in range(50):
            recorder.record("harness", FaultBegan(step=number, fault="x" * 500))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    recorder.close()
    history = read_history(directory, "s")
    assert history is not None
    assert sorted(event.step for event in history.of(FaultBegan)) == sorted(list(range(4)) * 50)
    assert list(history.events) == sorted(history.events, key=lambda event: event.at), "stamped in the order of the log"


def test_a_directory_that_is_gone_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Recorder(tmp_path / "gone", "s").record("harness", RunEnded())


def test_where_nothing_was_recorded_there_is_no_history(directory: Path) -> None:
    assert read_history(directory, "s") is None
    assert read_history(directory / "gone", "s") is None


def test_a_run_that_did_not_even_begin_has_no_history(directory: Path) -> None:
    write_events(directory / "events" / "s.ledger.jsonl", [EffectApplied(request=1, label="POST /x", key="")])
    assert read_history(directory, "s") is None


def test_a_history_is_the_logs_of_its_own_scenario_only(directory: Path) -> None:
    for scenario in ("worker-killed", "worker-killed-main"):
        write_events(directory / "events" / f"{scenario}.harness.jsonl", [began(scenario), RunEnded()])
    history = read_history(directory, "worker-killed")
    assert history is not None
    assert [event.scenario for event in history.of(RunBegan)] == ["worker-killed"]


def test_the_place_of_an_event_in_its_log_is_its_number_and_the_name_of_the_log_its_source(directory: Path) -> None:
    write_events(directory / "events" / "s.harness.jsonl", [began(), QueueDrained(at=3), RunEnded(at=4)])
    write_events(
        directory / "events" / "s.w.jsonl", [AttemptStarted(at=9, seq=70, source="?", message="m", task="t", pid=1)]
    )
    history = read_history(directory, "s")
    assert history is not None
    assert [(event.source, event.seq) for event in history.events] == [
        ("harness", 0),
        ("harness", 1),
        ("harness", 2),
        ("w", 0),
    ]


def test_a_log_with_a_torn_end_is_read_and_one_that_is_damaged_before_is_not(directory: Path) -> None:
    write_events(directory / "events" / "s.harness.jsonl", [began(), QueueDrained(), RunEnded()])
    path = directory / "events" / "s.w.jsonl"
    good = encode(AttemptStarted(message="m", task="t", pid=1))
    path.write_bytes(good + b"\n" + good[:-5])
    history = read_history(directory, "s")
    assert history is not None
    assert len(history.of(AttemptStarted)) == 1
    path.write_bytes(good[:-5] + b"\n" + good)
    with pytest.raises(UnreadableError, match=r"s\.w\.jsonl:1: "):
        read_history(directory, "s")


def test_merged_histories_are_read_back_as_they_were(directory: Path) -> None:
    for scenario in ("a", "b", "c"):
        events: list[Event] = [began(scenario), EnqueueCalled(job="job-1", task="t", identity="one"), RunEnded(at=2)]
        write_events(directory / "events" / f"{scenario}.harness.jsonl", events)
        write_events(directory / "events" / f"{scenario}.w.jsonl", [AttemptStarted(at=1, message="m", task="t", pid=1)])
    write_merged(directory, ["a", "never-ran", "b", "c"])
    merged = list(read_merged(directory / "history.jsonl"))
    assert [history.began.scenario for history in merged] == ["a", "b", "c"]
    for history in merged:
        alone = read_history(directory, history.began.scenario)
        assert alone is not None
        assert history.events == alone.events


def test_a_merged_file_without_events_holds_no_histories(tmp_path: Path) -> None:
    (tmp_path / "history.jsonl").write_bytes(b"")
    assert list(read_merged(tmp_path / "history.jsonl")) == []


@pytest.mark.parametrize("events", [[QueueDrained()], [QueueDrained(), began(), RunEnded()]], ids=["none", "late"])
def test_a_merged_file_that_does_not_begin_with_a_run_is_an_error_that_names_it(
    tmp_path: Path, events: list[Event]
) -> None:
    write_events(tmp_path / "history.jsonl", events)
    with pytest.raises(UnreadableError, match=r"history\.jsonl"):
        list(read_merged(tmp_path / "history.jsonl"))


def test_a_merged_file_with_a_torn_end_is_read_up_to_there(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    write_events(path, [began(), QueueDrained(), RunEnded()])
    path.write_bytes(path.read_bytes()[:-4])
    (history,) = read_merged(path)
    assert [type(event) for event in history.events] == [RunBegan, QueueDrained]
    assert not history.complete


def test_text_that_no_utf8_can_hold_does_not_end_the_recording(directory: Path) -> None:
    # Such text reaches the harness in the JSON of a subject's error, as "\udc80".
    recorder = Recorder(directory, "s")
    recorder.record("harness", began())
    recorder.record("nemesis", FaultBegan(step=0, fault=json.loads('"caf\\udce9"')))
    recorder.close()
    history = read_history(directory, "s")
    assert history is not None
    assert len(history.of(FaultBegan)) == 1


def test_events_are_values_that_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        began().seed = 2
    assert msgspec.structs.replace(began(), seed=2) != began()

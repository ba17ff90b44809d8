"""The directory of a run: who writes which file, and how it is read back.

    plan.json  events/<scenario>.<source>.jsonl  history.jsonl  verdicts.json  result.json  report.*  junit.xml  logs/

The event logs are the record; everything after them is derived. Each is appended to by one source, with one write per
event, so that whatever kills the writer leaves a readable log.
"""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from harness.codec import UnreadableError, encode, events_in, write_events
from harness.events import Event, RunBegan
from harness.history import History, merge

HARNESS = "harness"
OBSERVER = "observer"


class Recorder:
    """Stamps and appends the events that the harness itself writes; thread-safe.

    The probe and the ledger are processes of their own and append to logs of their own: see `log_of`.
    """

    def __init__(self, directory: Path, scenario: str) -> None:
        self.directory = directory
        self.scenario = scenario
        self.origin = time.monotonic()
        self._lock = threading.Lock()
        self._open: dict[str, int] = {}

    def log_of(self, source: str) -> Path:
        return self.directory / "events" / f"{self.scenario}.{source}.jsonl"

    def now(self) -> float:
        return time.monotonic() - self.origin

    def record(self, source: str, event: Event) -> None:
        """:raises OSError: the disk is full, or the directory is gone"""
        with self._lock:
            if source not in self._open:
                path = self.log_of(source)
                self._open[source] = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            stamped = msgspec.structs.replace(event, at=self.now(), source=source)
            line = encode(stamped) + b"\n"
            if os.write(self._open[source], line) != len(line):
                raise OSError(28, "No space left on device", str(self.log_of(source)))

    def counts(self) -> dict[str, int]:
        """How many events each source has recorded so far, the probe's and the ledger's own logs included."""
        logs = (self.directory / "events").glob(f"{self.scenario}.*.jsonl")
        return {log.name.split(".")[-2]: log.read_bytes().count(b"\n") for log in logs}

    def close(self) -> None:
        with self._lock:
            for descriptor in self._open.values():
                os.close(descriptor)
            self._open.clear()


def read_history(directory: Path, scenario: str) -> History | None:
    """What is recorded of one scenario; None if nothing is.

    :raises UnreadableError: a log is damaged before its last line, or is of a newer format
    """
    logs = []
    for path in sorted((directory / "events").glob(f"{scenario}.*.jsonl")):
        source = path.name.removeprefix(f"{scenario}.").removesuffix(".jsonl")
        logs.append(
            [msgspec.structs.replace(event, source=source, seq=seq) for seq, event in enumerate(events_in(path))]
        )
    return _as_history(list(merge(logs)))


def _as_history(events: list[Event]) -> History | None:
    if not any(isinstance(event, RunBegan) for event in events):
        return None
    return History(events)


def write_merged(directory: Path, scenarios: list[str]) -> None:
    """`history.jsonl`: the histories one after the other, each headed by its RunBegan."""
    histories = [history for scenario in scenarios if (history := read_history(directory, scenario))]
    write_events(directory / "history.jsonl", (event for history in histories for event in history.events))


def read_merged(path: Path) -> Iterator[History]:
    """The histories in a `history.jsonl` whose event logs are not at hand.

    :raises UnreadableError: as `read_history`
    """
    events: list[Event] = []
    for event in events_in(path):
        if isinstance(event, RunBegan) and events:
            yield History(events)
            events = []
        if not events and not isinstance(event, RunBegan):
            raise UnreadableError(f"{path}: it does not begin with a RunBegan event")
        events.append(event)
    if events:
        yield History(events)


def histories_in(directory: Path, scenarios: list[str]) -> dict[str, History]:
    """What is recorded of each scenario: from the event logs, or from their merge where only that was kept.

    :raises UnreadableError: as `read_history`
    """
    if (directory / "events").is_dir():
        found = {scenario: read_history(directory, scenario) for scenario in scenarios}
        return {scenario: history for scenario, history in found.items() if history is not None}
    return {history.began.scenario: history for history in read_merged(directory / "history.jsonl")}

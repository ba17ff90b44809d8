"""What was recorded of one trial, while it lasts: many follow each other on one system, and few are worth a file."""

import time
from pathlib import Path

import msgspec

from harness.codec import write_events
from harness.events import Event, RunEnded
from harness.history import History, merge
from harness.store import HARNESS, Recorder

SCENARIO = "explore"
_decoder = msgspec.json.Decoder(Event)


class Notebook(Recorder):
    """A recorder that keeps the harness's own events in memory, and knows where a trial begins in the logs of others.

    What probe and ledger say between two trials belongs to none.
    """

    def __init__(self, directory: Path) -> None:
        (directory / "events").mkdir(parents=True)
        super().__init__(directory, SCENARIO)
        self._kept: dict[str, list[Event]] = {}
        self._begins: dict[str, int] = {}

    def begin(self) -> None:
        """A trial begins: what was kept of the one before is forgotten."""
        with self._lock:
            self._kept = {}
            self._begins = {log.name: log.stat().st_size for log in self._logs()}

    def record(self, source: str, event: Event) -> None:
        with self._lock:
            stamped = msgspec.structs.replace(event, at=time.monotonic() - self.origin, source=source)
            self._kept.setdefault(source, []).append(stamped)

    def sources(self) -> dict[str, list[Event]]:
        """The trial's events so far, by who recorded them. A line that a killed process has torn is not among them."""
        with self._lock:
            found: dict[str, list[Event]] = {source: list(events) for source, events in self._kept.items()}
        for log in self._logs():
            with log.open("rb") as file:
                file.seek(self._begins.get(log.name, 0))
                *lines, _ = file.read().split(b"\n")
            if lines:
                found[log.name.split(".")[-2]] = [_decoder.decode(line) for line in lines]
        return {
            source: [msgspec.structs.replace(event, source=source, seq=seq) for seq, event in enumerate(events)]
            for source, events in found.items()
        }

    def end(self) -> History:
        """The trial is over: its history, which says of itself that it is whole."""
        counts = {source: len(events) for source, events in self.sources().items()}
        self.record(HARNESS, RunEnded(events=counts))
        return History(merge(self.sources().values()))

    def _logs(self) -> list[Path]:
        return sorted((self.directory / "events").glob(f"{self.scenario}.*.jsonl"))


def write_out(history: History, directory: Path) -> None:
    """A trial's events as those of a scenario of a run, each source in its own file."""
    by_source: dict[str, list[Event]] = {}
    for event in history.events:
        by_source.setdefault(event.source, []).append(event)
    for source, events in by_source.items():
        write_events(directory / "events" / f"{history.began.scenario}.{source}.jsonl", sorted(events, key=_seq))


def _seq(event: Event) -> int:
    return event.seq

"""The clock of one worker, ahead or behind, as its probe tells it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.runtimes import faketime
from harness.runtimes.workers import LaneWorkers
from harness.services.gate import Arrival, jobs_of
from harness.system import Evidence, Impact
from harness.systems.driver import Driver

# How exact a clock is that was asked by a worker and answered some time later.
TOLERANCE_SECONDS = 5.0


class LaneClocks:
    """See `harness.system.Clocks`. Of each worker a file in the lane's directory says what its clock shows."""

    def __init__(self, directory: Path, workers: LaneWorkers, driver: Driver) -> None:
        self._directory = directory
        self._workers = workers
        self._driver = driver

    @contextmanager
    def move(self, arrival: Arrival | None, *, seconds: float) -> Iterator[Evidence]:
        node, _ = self._workers.victim(arrival)
        name = node.worker.name

        def told() -> Impact | None:
            ahead = self._driver.clock_ahead_seconds(name)
            if ahead is None or abs(ahead - seconds) > TOLERANCE_SECONDS:
                return None
            return Impact(targets=(f"clock of worker {name!r}",), jobs=jobs_of(arrival))

        faketime.show(self._directory, name, seconds)
        try:
            yield told
        finally:
            faketime.show(self._directory, name, 0.0)

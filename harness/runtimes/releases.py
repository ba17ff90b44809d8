"""Which release of the subject enqueues, and which one works."""

from collections.abc import Callable
from contextlib import suppress

from harness.events import JobId
from harness.runtimes.launch import Launch
from harness.runtimes.workers import LaneWorkers
from harness.systems.driver import Driver
from harness.waiting import WaitedInVainError, wait_until

GRACE_SECONDS = 15.0
WORKED_OFF_SECONDS_MAX = 10.0


class LaneReleases:
    """See `harness.system.Releases`. `before` is asked when it is needed: most plans have no use for it."""

    def __init__(self, driver: Driver, workers: LaneWorkers, *, now: Launch, before: Callable[[], Launch]) -> None:
        self.now = now
        self._before = before
        self._driver = driver
        self._workers = workers

    def enqueue_as_before(self, jobs: tuple[JobId, ...]) -> None:
        self._driver.let_another_enqueue(jobs, self._before())

    def enqueue_as_now(self) -> None:
        self._driver.let_no_other_enqueue()

    def work_as_before(self) -> None:
        self._workers.replace(self._before(), grace_seconds=GRACE_SECONDS)

    def work_as_now(self) -> None:
        with suppress(WaitedInVainError):  # what waits for its next try is there for longer
            wait_until(lambda: not self._driver.left(), within=WORKED_OFF_SECONDS_MAX, or_else="something is left")
        self._workers.replace(self.now, grace_seconds=GRACE_SECONDS)

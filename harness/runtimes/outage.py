"""The broker of a lane, as something that can be away."""

import threading
from contextlib import suppress

from harness.contract import Contract
from harness.events import JobId
from harness.runtimes.workers import GONE_SECONDS_MAX, LaneWorkers
from harness.services.proxy.client import ProxyHandle
from harness.services.proxy.toxics.latency import Latency
from harness.system import SubjectError
from harness.systems.driver import Driver
from harness.waiting import WaitedInVainError, wait_until

# Celery waits 2 s before its second try to connect, and 2 s longer each time.
RECONNECT_SECONDS_MAX = 20.0


class LaneBroker:
    """See `harness.system.BrokerControl`."""

    def __init__(self, contract: Contract, driver: Driver, workers: LaneWorkers) -> None:
        self.contract = contract
        self.driver = driver
        self.workers = workers
        self.link: ProxyHandle | None = None  # where a fault proxy stands between the subject and the broker

    def restart(self, *, outage_seconds: float, with_data: bool = True) -> tuple[JobId, ...]:
        jobs = self.driver.stop_broker()
        threading.Event().wait(outage_seconds)  # how long it is away is what the fault is about
        self.driver.start_broker(with_data=with_data)
        with suppress(WaitedInVainError):
            wait_until(self._all_connected, within=RECONNECT_SECONDS_MAX, or_else="some worker did not come back")
        return jobs

    def _all_connected(self) -> bool:
        """Of the workers that are up: one that has ended will not come back."""
        return all(self.driver.connected(pids) for pids in self.workers.pids().values())

    def slow_down(self, *, latency_milliseconds: int, jitter_milliseconds: int) -> None:
        if self.link is None:
            raise SubjectError("no proxy stands between the subject and the broker")
        toxic = Latency(latency=latency_milliseconds, jitter=jitter_milliseconds)
        for stream in ("upstream", "downstream"):
            self.link.add(toxic, name=f"slow_{stream}", stream=stream)

    def speed_up(self) -> None:
        if self.link is not None:
            for stream in ("upstream", "downstream"):
                self.link.remove(f"slow_{stream}")

    def give_back_stranded(self) -> None:
        clients = self.driver.stranded()
        longest = max((task.hard_limit_seconds for task in self.contract.tasks), default=0.0) + GONE_SECONDS_MAX
        with suppress(WaitedInVainError):
            wait_until(lambda: not self.driver.runs_any(clients), within=longest, or_else="a body still ran")
        self.driver.redeliver(self.driver.stranded())

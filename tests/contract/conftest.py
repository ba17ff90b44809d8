"""Real parts: a session with its keeper, a lane in it, a ledger behind a gate."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from harness.codec import events_in
from harness.contract import Header
from harness.events import Event, JobId
from harness.services.broker import Broker, resolve, start_broker
from harness.services.gate import Gate
from harness.services.ledger import LedgerClient, Settings
from harness.services.ports import claimed_ports
from harness.session import LocalLane, Session, open_session
from tests.contract.greetings import Deployed, deployed_in


@pytest.fixture(scope="session")
def session() -> Iterator[Session]:
    with open_session() as opened:
        yield opened


@pytest.fixture
def lane(session: Session, request: pytest.FixtureRequest) -> Iterator[LocalLane]:
    with session.lane(f"t{abs(hash(request.node.nodeid)):x}") as opened:
        yield opened


@contextmanager
def running_broker(lane: LocalLane) -> Iterator[Broker]:
    """A broker on a port that is the test's own until it ends."""
    with claimed_ports(lane.directory.parent.parent, 1) as (port,):
        broker = start_broker(lane, resolve(), port)
        yield broker
        broker.client.close()


@pytest.fixture
def greetings(session: Session, tmp_path: Path) -> Deployed:
    """Deploys a small subject; keyword arguments are fields of the plan."""
    return deployed_in(session, tmp_path)


@dataclass(frozen=True)
class RunningLedger:
    url: str
    port: int
    smtp_port: int
    pid: int
    gate: Gate
    client: LedgerClient
    log: Path

    def events(self) -> list[Event]:
        return list(events_in(self.log))

    def names(self) -> list[str]:
        return [type(event).__name__ for event in self.events()]


HONOURED: dict[str, dict[str, Any]] = {
    "key": {"honours_key": Header("Idempotency-Key")},
    "message-id": {"honours_key": Header("Message-ID")},
    "fence": {"honours_fence": Header("X-Fence")},
}


def job_of(question: dict[str, Any]) -> JobId | None:
    """For these tests a request belongs to the job that its path ends with."""
    label = question.get("request", {}).get("label", "")
    return JobId(label.rpartition("/")[2]) if label else None


@pytest.fixture
def ledger(lane: LocalLane, request: pytest.FixtureRequest) -> Iterator[RunningLedger]:
    """Indirectly parametrised by a name of HONOURED: what this downstream honours."""
    kind = getattr(request, "param", None)
    gate = Gate(lane.directory / "gate.sock", job_of)
    settings = Settings(
        events=str(lane.directory / "ledger.jsonl"),
        gate=str(gate.path),
        control=str(lane.directory / "ledger.sock"),
        origin=time.monotonic(),
        **HONOURED["key" if kind is None else kind],
    )
    pid = lane.spawn(
        [sys.executable, "-P", "-m", "harness.services.ledger", msgspec.json.encode(settings).decode()],
        environment=dict(os.environ),
        cwd=lane.directory,
        log="ledger.log",
    )
    ready = gate.notice("ledger-ready", "ledger", within=30)
    assert ready is not None, (lane.directory / "ledger.log").read_text()
    yield RunningLedger(
        url=f"http://127.0.0.1:{ready['port']}",
        port=ready["port"],
        smtp_port=ready["smtp_port"],
        pid=pid,
        gate=gate,
        client=LedgerClient(lane.directory / "ledger.sock"),
        log=lane.directory / "ledger.jsonl",
    )
    gate.close()

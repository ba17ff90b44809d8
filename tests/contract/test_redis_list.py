"""Workers that are not Python, on Redis lists: judged from outside, and stopped at their boundaries."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from harness.boundaries import user_notify
from harness.boundaries.rules import Kill, Side
from harness.codec import read
from harness.contract import Contract
from harness.contract_file import compile_contract
from harness.events import EnqueueReturned
from harness.plan import Plans
from harness.services.broker import Broker
from harness.session import LocalLane
from harness.store import Recorder
from harness.system import PlannedJob
from harness.systems.redis_list.driver import ListDriver
from harness.waiting import wait_until
from tests.conftest import ROOT, JobproofCommand
from tests.contract.conftest import RunningLedger, running_broker
from tests.contract.test_boundaries import Watch, watching

SHELL_WORKER = ROOT / "tests" / "subjects" / "shell_worker"
NAIVE, RELIABLE = SHELL_WORKER / "naive_contract.py", SHELL_WORKER / "reliable_contract.py"


# --- judged ---


def test_a_naive_worker_that_is_killed_has_lost_its_job(jobproof: JobproofCommand) -> None:
    ran = jobproof("run", "worker-killed-main", "--contract", str(NAIVE), "--jobs", "1", out=True)
    assert ran.code == 1, ran.out + ran.err
    assert ("nothing-lost", "worker-killed-main") in ran.violated()
    assert {scenario for _, scenario in ran.violated()} == {"worker-killed-main"}
    assert "not covered: attempts-bounded: cannot be judged" in ran.out


def test_a_reliable_worker_holds_in_every_scenario_that_applies_and_the_others_are_named(
    jobproof: JobproofCommand,
) -> None:
    ran = jobproof("run", "--contract", str(RELIABLE), "--jobs", "2", out=True)
    assert ran.code == 0, ran.out + ran.err
    names = {scenario["name"] for scenario in ran.result["scenarios"]}
    assert names >= {
        "worker-killed-child",
        "worker-killed-main",
        "worker-killed-group",
        "killed-between-effect-and-record",
        "deploy-with-time",
        "deploy-with-short-grace",
        "delivered-twice-at-once",
        "submitted-twice-at-once",
        "killed-and-submitted-again",
        "reply-lost",
        "downstream-drips",
        "broker-slow",
        "broker-restarted-busy-1s",
    }
    uncovered = {each["name"]: each["because"] for each in ran.result["not_covered"]}
    assert {"backlog-of-a-dead-worker", "frozen-past-the-visibility-timeout", "attempts-bounded"} <= uncovered.keys()
    assert not names & uncovered.keys()
    reports = [(ran.directory / name).read_text() for name in ("report.html", "report.md")]
    for name, because in uncovered.items():
        assert f"not covered: {name}: {because}" in ran.out
        assert all(name in report for report in reports)
    assert read(ran.directory / "plan.json", Plans).not_covered


def test_a_scenario_that_cannot_be_covered_is_refused_when_it_is_asked_for(jobproof: JobproofCommand) -> None:
    ran = jobproof("run", "backlog-of-a-dead-worker", "--contract", str(RELIABLE), out=True)
    assert ran.code == 2
    assert "needs see-bodies" in ran.err


# --- the driver, on a broker and connections of this test's own ---


@pytest.fixture
def broker(lane: LocalLane) -> Iterator[Broker]:
    with running_broker(lane) as started:
        yield started


@pytest.fixture
def contract() -> Contract:
    return compile_contract(NAIVE)


@pytest.fixture
def driver(broker: Broker, lane: LocalLane, contract: Contract, tmp_path: Path) -> Iterator[ListDriver]:
    (tmp_path / "events").mkdir()
    recorder = Recorder(tmp_path, "by-hand")
    opened = ListDriver(contract, broker, lane, recorder, ())
    yield opened
    opened.close()
    recorder.close()


def job(number: int) -> PlannedJob:
    to = f"{number}@x.test"
    return PlannedJob(job=f"job-{number}", task="email", arguments={"to": to}, identity=to)  # type: ignore[arg-type]


def worker(lane: LocalLane, broker: Broker, ledger: RunningLedger) -> int:
    return lane.spawn(
        ["bash", "naive.bash", "emails"],
        environment={"PATH": os.environ["PATH"], "BROKER_URL": broker.url, "LEDGER_URL": ledger.url},
        cwd=SHELL_WORKER,
        log="worker.log",
    )


def test_a_worker_is_ready_when_it_waits_for_a_message_and_is_known_by_its_connection(
    driver: ListDriver, broker: Broker, lane: LocalLane, ledger: RunningLedger
) -> None:
    arm = ledger.gate.arm("effect-received")
    pid = worker(lane, broker, ledger)
    wait_until(lambda: driver.is_ready("only", pid), within=20, or_else="not ready")
    assert not driver.is_ready("other", ledger.pid)
    driver.enqueue(job(1))
    assert arm.wait(within=20) is not None
    assert driver.ran_on(job(1).job, lambda: {"other": [ledger.pid], "only": [pid]}) == ("only", pid)
    assert driver.in_flight(driver.connections_of([pid])) == ("job-1",)
    assert driver.left() == "0 queued, 0 in workers' lists, 1 workers busy"
    assert driver.attempts_ended(job(1).job) == 0
    arm.release()
    assert driver.wait_attempt_ended(job(1).job, within=20)
    assert driver.left() == ""


def test_what_a_dead_connection_had_taken_is_waited_for_before_it_is_drained(
    driver: ListDriver, broker: Broker, lane: LocalLane, ledger: RunningLedger
) -> None:
    arm = ledger.gate.arm("effect-received")
    pid = worker(lane, broker, ledger)
    driver.enqueue(job(1))
    assert arm.wait(within=20) is not None
    clients = driver.connections_of([pid])
    psutil.Process(pid).kill()
    arm.release()
    wait_until(lambda: not clients & driver.clients(), within=10, or_else="still connected")
    assert driver.attempts_ended(job(1).job) == 1
    assert driver.left() == "0 in no list and taken by nobody, 1 taken by connections that are gone"
    began = time.monotonic()
    wait_until(lambda: not driver.left(), within=10, or_else="never drained")
    assert time.monotonic() - began > 2


def test_a_message_in_a_workers_own_list_is_left(driver: ListDriver, broker: Broker) -> None:
    driver.enqueue(job(1))
    assert driver.left() == "1 queued, 0 in workers' lists, 0 workers busy"
    raw = broker.client.lmove("emails", "own", "RIGHT", "LEFT")
    assert driver.left().startswith("0 queued, 1 in workers' lists")
    broker.client.lrem("own", 1, str(raw, "utf-8"))
    assert driver.wait_acknowledged(job(1).job, within=5)
    assert driver.left() == ""


def test_a_job_that_the_broker_does_not_take_is_neither_accepted_nor_an_error(
    driver: ListDriver, broker: Broker, tmp_path: Path
) -> None:
    driver.stop_broker()
    driver.enqueue(job(1))
    told = [json.loads(line) for line in (tmp_path / "events" / "by-hand.harness.jsonl").read_text().splitlines()]
    assert [each["outcome"] for each in told if each["event"] == EnqueueReturned.__name__] == ["unknown"]


# --- stopped at its boundaries ---

POST = "POST /v1/emails"


@pytest.fixture
def shell(lane: LocalLane, broker: Broker, ledger: RunningLedger) -> Iterator[Watch]:
    if why_not := user_notify.available():
        pytest.skip(why_not)
    with watching(lane, broker=broker.port, ledger=ledger.port) as watch:
        yield watch


def start(shell: Watch, broker: Broker, ledger: RunningLedger) -> int:
    return shell.start(
        *("bash", str(SHELL_WORKER / "naive.bash"), "emails"), BROKER_URL=broker.url, LEDGER_URL=ledger.url
    )


def applied(ledger: RunningLedger) -> int:
    return ledger.names().count("EffectApplied")


def test_the_boundaries_of_a_shell_worker_are_seen(
    shell: Watch, driver: ListDriver, broker: Broker, ledger: RunningLedger
) -> None:
    start(shell, broker, ledger)
    for number in (1, 2):
        driver.enqueue(job(number))
    wait_until(lambda: applied(ledger) == 2, within=20, or_else="not done")
    wait_until(lambda: not driver.left(), within=20, or_else="not drained")
    assert [each for each in shell.names() if each[0] == POST] == [(POST, 1), (POST, 2)]


@pytest.mark.parametrize("side", Side)
def test_a_shell_worker_is_killed_before_or_after_its_request_and_the_job_is_lost_or_done(
    side: Side, shell: Watch, driver: ListDriver, broker: Broker, ledger: RunningLedger
) -> None:
    shell.arm(POST, side, Kill())
    pid = start(shell, broker, ledger)
    driver.enqueue(job(1))
    ended = wait_until(lambda: shell.lane.exit_of(pid), within=20, or_else="it was not killed")
    assert ended == "SIGKILL"
    (strike,) = shell.strikes(1)
    assert strike.killed
    assert strike.replied is (side is Side.AFTER)
    wait_until(lambda: not driver.left(), within=20, or_else="not drained")
    assert broker.client.llen("emails") == 0  # nobody has it any more
    assert applied(ledger) == (1 if side is Side.AFTER else 0)

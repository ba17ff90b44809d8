"""What is done to one worker: that it lands where it says, and that it heals."""

import threading
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from harness.contract_file import compile_contract
from harness.faults import CrashLoop, KillWorker, MoveClock
from harness.plan import AtStart, Step
from harness.runtimes import faketime
from harness.runtimes.clocks import TOLERANCE_SECONDS
from harness.services.gate import Arrival
from harness.system import Target
from harness.waiting import wait_until
from tests.contract.greetings import GREETINGS, SECONDS_MAX, Deployed, bodies, drained, events


def arrived(system: Any) -> Arrival:
    """The first job, before its body; it goes on when the gate is reset."""
    arm = system.gate.arm("body-began", system.plan.workload[0].job)
    system.messages.enqueue(system.plan.workload[0])
    arrival = arm.wait(within=SECONDS_MAX)
    assert arrival is not None
    return arrival


def test_in_a_crash_loop_each_worker_takes_the_message_and_only_the_first_begins_it(
    greetings: Deployed, tmp_path: Path
) -> None:
    with greetings() as system:
        first = system.workers.nodes["w"].pid
        job = system.plan.workload[0].job
        with CrashLoop(times=4).applied_to(system, arrived(system)) as evidence:
            assert system.workers.nodes["w"].down
            assert evidence().jobs == (job,)
            assert "4 times" in evidence().targets[0]
            assert system.messages.deliveries(job) == 4
        system.gate.reset()
        up = system.workers.nodes["w"].pid
        assert up != first
        drained(system)
        assert system.lane.exit_of(up) is None
        assert system.messages.deliveries(job) == 5
    killed = [each["pid"] for each in events(tmp_path, "harness") if each.get("status") == "SIGKILL"]
    assert len(set(killed) - {up}) == 4
    begun = [each["pid"] for each in events(tmp_path, "w") if each["event"] == "AttemptStarted"]
    assert len(begun) == 2
    assert len(bodies(tmp_path)) == 1


@pytest.mark.skipif(faketime.library() is None, reason="libfaketime is not here: pip install 'jobproof[clock]'")
def test_a_clock_is_moved_and_right_again_and_the_record_keeps_its_time(greetings: Deployed, tmp_path: Path) -> None:
    fault = MoveClock(seconds=3600.0)
    with greetings(steps=(Step(when=AtStart(), fault=fault),)) as system:
        assert abs(system.driver.clock_ahead_seconds("w")) < TOLERANCE_SECONDS
        with fault.applied_to(system, arrived(system)) as evidence:
            assert evidence() is None  # nobody has told the time since
            system.gate.reset()
            wait_until(evidence, within=SECONDS_MAX, or_else="its clock was not moved")
            assert evidence().targets == ("clock of worker 'w'",)
            assert abs(system.driver.clock_ahead_seconds("w") - 3600) < TOLERANCE_SECONDS
        system.messages.enqueue(system.plan.workload[1])
        drained(system)
        assert abs(system.driver.clock_ahead_seconds("w")) < TOLERANCE_SECONDS
    told = [each["at"] for each in events(tmp_path, "w")]
    assert len(told) == 4
    assert told == sorted(told)
    assert told[-1] - told[0] < SECONDS_MAX


def test_without_the_library_no_clock_is_said_to_be_movable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(faketime.VARIABLE, str(tmp_path / "none"))
    assert faketime.library() is None
    assert faketime.environment_of(tmp_path, "w") == {}


def sent(system: Any) -> Arrival:
    """The first job, whose request has reached the ledger; it is answered when the gate is reset."""
    arm = system.gate.arm("effect-received", system.plan.workload[0].job)
    system.messages.enqueue(system.plan.workload[0])
    arrival = arm.wait(within=SECONDS_MAX)
    assert arrival is not None
    return arrival


@pytest.mark.parametrize("target", Target)
def test_a_job_that_has_gone_on_was_struck_too_late_and_the_fault_has_not_landed(
    target: Target, greetings: Deployed
) -> None:
    with greetings() as system:
        arrival = sent(system)
        system.gate.reset()
        assert system.messages.wait_acknowledged(arrival.job, within=SECONDS_MAX)
        with KillWorker(target=target).applied_to(system, arrival) as evidence:
            assert evidence().late == f"{arrival.job} had gone on from effect-received before it was struck"
        drained(system)


@pytest.mark.parametrize("target", Target)
def test_a_job_at_its_crash_point_does_not_go_on_while_the_strike_has_to_wait(
    target: Target, greetings: Deployed, tmp_path: Path
) -> None:
    """Its client has half a second's patience, and the worker takes the next message a second later only."""
    contract = compile_contract(GREETINGS)
    impatient = {**contract.environment, "GREETINGS_PATIENCE_SECONDS": "0.5"}
    with greetings(contract=replace(contract, environment=impatient)) as system:
        arrival = sent(system)
        later = threading.Timer(1.0, system.messages.enqueue, [system.plan.workload[1]])
        later.start()
        with KillWorker(target=target, waiting_min=1).applied_to(system, arrival) as evidence:
            assert evidence().late == ""
            assert arrival.job in evidence().jobs
            ended = [each for each in events(tmp_path, "w") if each["event"] == "AttemptEnded"]
            assert ended == []
        later.join()
        system.gate.reset()
        drained(system)

"""What only a host of one's own can suffer: that each fault lands, that it is told apart from others, and heals."""

import json
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from harness.faults import (
    CrashHost,
    CutOffHost,
    ExhaustMemory,
    HideNames,
    KillWorker,
    MoveClock,
    StarveHost,
)
from harness.plan import AtStart, Step
from harness.runtimes.clocks import TOLERANCE_SECONDS
from harness.system import Direction, Evidence, Target
from harness.waiting import wait_until
from tests.containers.conftest import Deploy
from tests.containers.test_operations import SECONDS_MAX, applied, arrived, drained


@contextmanager
def hurt(system: Any, fault: Any, point: str = "body-began") -> Any:
    """The fault, while the first job stands at a crash point; it goes on when this is left or asked to."""
    arrival = arrived(system, point)
    with fault.applied_to(system, arrival) as evidence:
        yield evidence
    system.gate.reset()


def inside(daemon: Any, system: Any, script: str) -> int:
    container = daemon.containers.get(system.lane.container_of(system.workers.nodes["w"].pid))
    return int(container.exec_run(["python", "-c", f"import socket; {script}"]).exit_code)


def events(directory: Path) -> str:
    return (directory / "events" / "pings.ledger.jsonl").read_text()


def test_a_request_of_a_crashed_host_is_carried_out_and_one_of_a_killed_worker_is_not(
    deploy: Deploy, tmp_path: Path
) -> None:
    with deploy() as system:
        main = system.workers.nodes["w"].pid
        with hurt(system, KillWorker(target=Target.GROUP), "effect-received"):
            pass
        drained(system)
        assert events(tmp_path).count('"EffectAbandoned"') == 1
        assert applied(tmp_path) == 1

        with hurt(system, CrashHost(), "effect-received") as evidence:
            assert "host of worker 'w'" in _impact(evidence).targets[0]
            assert system.workers.nodes["w"].down
            assert not system.driver.clients() & system.workers.nodes["w"].dead_clients
        assert system.workers.nodes["w"].pid != main
        drained(system)
    assert events(tmp_path).count('"EffectAbandoned"') == 1
    assert events(tmp_path).count('"EffectRequested"') == 4


def test_a_worker_that_was_cut_off_goes_on_with_the_connections_that_it_had(
    daemon: Any, deploy: Deploy, tmp_path: Path
) -> None:
    with deploy() as system:
        pids = system.workers.pids()["w"]
        before = system.driver.connections_of(pids)
        reach = "socket.create_connection(('{}', 8025), 2)".format(system.home.seats(proxied=False)["ledger"].address)
        assert before & system.driver.clients()
        assert inside(daemon, system, reach) == 0
        with hurt(system, CutOffHost()) as evidence:
            assert system.plan.workload[0].job in _impact(evidence).jobs
            assert inside(daemon, system, reach) != 0
            assert system.driver.connections_of(pids) & before  # half open: nobody was told
            assert system.driver.clients() & before
        assert inside(daemon, system, reach) == 0
        drained(system)
        assert system.driver.connections_of(pids) & before & system.driver.clients()
    assert applied(tmp_path) == 1


TALKS = """
import pathlib, socket, sys, time
to_broker = socket.create_connection((sys.argv[1], 6379))
folder = pathlib.Path(sys.argv[2])
to_broker.sendall(b"SUBSCRIBE told\\r\\n")
to_broker.recv(4096)
speaks = socket.create_connection((sys.argv[1], 6379))
(folder / "connected").touch()
while not (folder / "speak").exists():
    to_broker.settimeout(0.05)
    try:
        (folder / "heard").write_bytes(to_broker.recv(4096))
    except TimeoutError:
        pass
speaks.sendall(b"SET said 1\\r\\n")
(folder / "answered").write_bytes(speaks.recv(4096))
"""


@pytest.mark.parametrize("direction", [Direction.TO, Direction.FROM])
def test_in_one_direction_packets_are_lost_and_in_the_other_they_pass_until_it_is_healed(
    direction: Direction, daemon: Any, deploy: Deploy, tmp_path: Path
) -> None:
    with deploy() as system:
        told = Path(system.home.directory)
        container = daemon.containers.get(system.lane.container_of(system.workers.nodes["w"].pid))
        broker = system.home.seats(proxied=False)["broker"].address
        container.exec_run(["python", "-c", TALKS, broker, str(told)], detach=True)
        wait_until((told / "connected").exists, within=SECONDS_MAX, or_else="it did not connect")
        client = system.broker_server.client
        with hurt(system, CutOffHost(direction=direction)) as evidence:
            client.publish("told", "something")
            if direction is Direction.FROM:
                wait_until((told / "heard").exists, within=SECONDS_MAX, or_else="it heard nothing")
            (told / "speak").touch()
            if direction is Direction.TO:
                wait_until(lambda: client.get("said"), within=SECONDS_MAX, or_else="what it said did not arrive")
            wait_until(evidence, within=SECONDS_MAX, or_else="no packet was lost")
            assert _impact(evidence).targets == (f"packets {direction} worker 'w'",)
            assert (told / "heard").exists() == (direction is Direction.FROM)
            assert bool(client.get("said")) == (direction is Direction.TO)
            assert not (told / "answered").exists()
        wait_until((told / "answered").exists, within=SECONDS_MAX, or_else="its connection did not go on")
        drained(system)
    assert applied(tmp_path) == 1


def test_the_clock_of_one_worker_is_moved_and_right_again_and_the_record_keeps_the_harness_s_time(
    deploy: Deploy, tmp_path: Path
) -> None:
    fault = MoveClock(seconds=-3600)
    with deploy(steps=(Step(when=AtStart(), fault=fault),)) as system:
        before = time.monotonic()
        with hurt(system, fault) as evidence:
            assert evidence() is None  # it stands where it has not told the time since
            system.gate.reset()
            wait_until(evidence, within=SECONDS_MAX, or_else="its clock was not moved")
            assert _impact(evidence).targets == ("clock of worker 'w'",)
        system.messages.enqueue(system.plan.workload[1])
        drained(system)
        assert abs(system.driver.clock_ahead_seconds("w")) < TOLERANCE_SECONDS
        elapsed = time.monotonic() - before
    told = [json.loads(line)["at"] for line in (tmp_path / "events" / "pings.w.jsonl").read_text().splitlines()]
    assert told == sorted(told)
    assert max(told) - min(told) <= elapsed
    assert applied(tmp_path) == 2


def test_a_starved_worker_waits_for_its_turn_and_has_it_again(daemon: Any, deploy: Deploy) -> None:
    with deploy() as system:
        container = daemon.containers.get(system.lane.container_of(system.workers.nodes["w"].pid))
        quota = container.attrs["HostConfig"]["CpuQuota"]
        with hurt(system, StarveHost(cpus=0.05)) as evidence:
            assert daemon.containers.get(container.id).attrs["HostConfig"]["CpuQuota"] == 5000
            assert inside(daemon, system, "sum(range(10**6))") == 0
            assert "processors of worker 'w'" in _impact(evidence).targets
        assert daemon.containers.get(container.id).attrs["HostConfig"]["CpuQuota"] == quota
        drained(system)


def test_names_are_hidden_and_found_again(daemon: Any, deploy: Deploy) -> None:
    with deploy() as system:
        look = "socket.getaddrinfo('ledger', 8025)"
        assert inside(daemon, system, look) == 0
        with hurt(system, HideNames()) as evidence:
            assert _impact(evidence).targets == ("name server of worker 'w'",)
            assert inside(daemon, system, look) != 0
        assert inside(daemon, system, look) == 0
        drained(system)


def test_a_pool_child_that_the_kernel_kills_for_memory_is_told_from_one_that_is_just_killed(
    daemon: Any, deploy: Deploy, tmp_path: Path
) -> None:
    with deploy() as system:
        main = system.workers.nodes["w"].pid
        container = daemon.containers.get(system.lane.container_of(main))
        limit = container.attrs["HostConfig"]["Memory"]
        with hurt(system, ExhaustMemory(target=Target.CHILD)) as evidence:
            assert "the kernel killed pool child" in _impact(evidence).targets[0]
            assert system.lane.exit_of(main) is None
            container.reload()
            assert container.attrs["HostConfig"]["Memory"] < limit
        container.reload()
        assert container.attrs["HostConfig"]["Memory"] == limit
        drained(system)

        from harness.runtimes.docker.memory import oom_events

        counted = oom_events(daemon, container.id)
        with hurt(system, KillWorker(target=Target.CHILD)):
            assert not counted()
        drained(system)
    assert applied(tmp_path) >= 1


def test_a_container_that_runs_out_of_memory_ends_and_the_worker_comes_back_in_another(
    daemon: Any, deploy: Deploy, tmp_path: Path
) -> None:
    with deploy() as system:
        main = system.workers.nodes["w"].pid
        container = daemon.containers.get(system.lane.container_of(main))
        with hurt(system, ExhaustMemory(target=Target.MAIN)) as evidence:
            assert "the kernel killed main process" in _impact(evidence).targets[0]
            wait_until(lambda: system.lane.exit_of(main) == "SIGKILL", within=10, or_else="no exit was told")
            container.reload()
            assert container.attrs["State"]["OOMKilled"]
        assert system.workers.nodes["w"].pid != main
        drained(system)
    assert applied(tmp_path) == 1


def _impact(evidence: Evidence) -> Any:
    impact = evidence()
    if impact is None:
        pytest.fail("the fault did not land")
    return impact

"""Each operation of a `System`, on containers: that it lands where it says, and that it heals."""

from pathlib import Path
from typing import Any

import psutil

from harness.namespaces import pid_within
from harness.services.gate import Arrival
from harness.system import Target
from harness.waiting import wait_until
from tests.containers.conftest import Deploy, pings

SECONDS_MAX = 60


def arrived(system: Any, point: str = "body-began") -> Arrival:
    """The first job, at a crash point; it is let go once the gate is closed or reset."""
    job = system.plan.workload[0]
    system.gate.reset()  # occurrences are counted from here
    arm = system.gate.arm(point, job.job)
    system.messages.enqueue(job)
    arrival = arm.wait(within=SECONDS_MAX)
    assert arrival is not None
    return arrival


def drained(system: Any) -> None:
    wait_until(lambda: not system.left(), within=SECONDS_MAX, or_else=f"not drained: {system.left()}")


def applied(directory: Path) -> int:
    return (directory / "events" / "pings.ledger.jsonl").read_text().count('"EffectApplied"')


def test_a_job_goes_through_the_lane_and_its_effect_is_in_the_ledger_and_nothing_is_left_behind(
    deploy: Deploy, tmp_path: Path
) -> None:
    with deploy() as system:
        for job in system.plan.workload:
            system.messages.enqueue(job)
        drained(system)
        system.record_what_is_left_behind()
        system.check_services()
        assert system.messages.deliveries(system.plan.workload[0].job) == 1
    assert applied(tmp_path) == 2
    assert "LeftBehind" not in "".join(path.read_text() for path in tmp_path.glob("events/*.jsonl"))


def test_who_arrives_is_known_by_its_number_outside_and_only_the_pool_child_dies(
    deploy: Deploy, tmp_path: Path
) -> None:
    with deploy() as system:
        arrival = arrived(system)
        assert arrival.pid != pid_within(arrival.pid)
        main = system.workers.nodes["w"].pid
        impact = system.workers.kill(Target.CHILD, arrival)
        assert impact.targets == (f"pool child {arrival.pid} of worker 'w'",)
        assert not psutil.pid_exists(arrival.pid) or psutil.Process(arrival.pid).status() == psutil.STATUS_ZOMBIE
        assert system.lane.exit_of(main) is None
        system.gate.reset()
        drained(system)
        assert system.messages.deliveries(arrival.job) > 1
    assert applied(tmp_path) == 1


def test_a_main_process_and_a_group_die_with_their_container_and_their_messages_are_given_back(
    deploy: Deploy, tmp_path: Path
) -> None:
    with deploy() as system:
        for target in (Target.MAIN, Target.GROUP):
            main = system.workers.nodes["w"].pid
            arrival = arrived(system)
            assert arrival.job in system.workers.kill(target, arrival).jobs
            assert system.lane.exit_of(main) in {"SIGKILL", None}
            wait_until(lambda main=main: system.lane.exit_of(main) == "SIGKILL", within=10, or_else="no exit was told")  # type: ignore[misc]
            system.gate.reset()
            system.workers.recover()
            assert system.workers.nodes["w"].pid != main
            drained(system)
    assert applied(tmp_path) == 1


def test_a_frozen_worker_is_overtaken_by_a_second_one_and_goes_on_afterwards(deploy: Deploy) -> None:
    with deploy() as system:
        arrival = arrived(system)
        main = psutil.Process(system.workers.nodes["w"].pid)
        assert arrival.job in system.workers.freeze(arrival).jobs
        assert main.status() == psutil.STATUS_STOPPED
        system.workers.thaw()
        wait_until(lambda: main.status() != psutil.STATUS_STOPPED, within=10, or_else="not thawed")
        system.gate.reset()
        drained(system)


def test_a_deploy_ends_the_worker_and_starts_another(deploy: Deploy) -> None:
    with deploy() as system:
        main = system.workers.nodes["w"].pid
        arrival = arrived(system)
        system.workers.terminate(arrival, Target.MAIN)
        system.gate.reset()
        system.workers.finish_termination(grace_seconds=SECONDS_MAX)
        assert system.lane.exit_of(main) == "exit 0"
        assert system.lane.exit_of(system.workers.nodes["w"].pid) is None
        drained(system)


def test_a_broker_comes_back_with_its_data_under_its_address_and_the_workers_find_it(deploy: Deploy) -> None:
    with deploy() as system:
        system.broker_server.client.set("kept", "1")
        system.broker.restart(outage_seconds=0.2)
        assert system.broker_server.client.get("kept") == b"1"
        assert all(system.driver.connected(pids) for pids in system.workers.pids().values())
        for job in system.plan.workload:
            system.messages.enqueue(job)
        drained(system)


def test_through_a_fault_proxy_the_subject_sees_the_same_names_and_is_slowed(deploy: Deploy, tmp_path: Path) -> None:
    with deploy(proxied=True) as system:
        assert set(system.broker.link.server.proxies()) == {"broker", "ledger", "smtp"}
        assert system.environment["PINGS_BROKER"] == "redis://broker:6379/0"
        system.broker.slow_down(latency_milliseconds=50, jitter_milliseconds=0)
        assert [toxic.type for toxic in system.broker.link.view().toxics] == ["latency", "latency"]
        system.broker.speed_up()
        assert system.broker.link.view().toxics == ()
        for job in system.plan.workload:
            system.messages.enqueue(job)
        drained(system)
    assert applied(tmp_path) == 2


def test_a_downstream_refuses_and_accepts_again(deploy: Deploy, tmp_path: Path) -> None:
    with deploy() as system:
        system.downstream.refuse()
        system.messages.enqueue(system.plan.workload[0])
        assert system.messages.wait_attempt_ended(system.plan.workload[0].job, within=SECONDS_MAX)
        system.downstream.accept()
        drained(system)
    assert applied(tmp_path) == 1


def test_a_message_is_doubled(deploy: Deploy, tmp_path: Path) -> None:
    with deploy(pings(1)) as system:
        job = system.plan.workload[0]
        system.messages.enqueue(job)
        assert system.messages.wait_acknowledged(job.job, within=SECONDS_MAX)
        system.messages.double(job.job)
        wait_until(lambda: system.messages.deliveries(job.job) == 2, within=SECONDS_MAX, or_else="no second delivery")
        drained(system)
    assert applied(tmp_path) == 1

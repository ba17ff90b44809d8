"""A lane's surroundings stay the same from one scenario to the next, and nothing else does."""

import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from msgspec.structs import replace

from harness.contract import Contract, Sidecar, Worker
from harness.contract_file import compile_contract
from harness.events import JobId
from harness.faults.submit_again import SubmitAgain
from harness.plan import AtStart, Plan, Step
from harness.runtimes import sidecars
from harness.runtimes.home import BOOT_VARIABLE, LaneHome, open_homes
from harness.runtimes.lane_system import jobs_of_steps, needed_workers
from harness.runtimes.process import LocalSystem, deploy
from harness.scenario import workload_of
from harness.services.broker import resolve
from harness.services.ports import PORTS, claimed_ports
from harness.session import HarnessError, LocalLane, Session
from harness.store import Recorder
from harness.system import PlannedJob
from harness.waiting import wait_until
from tests.conftest import ROOT

PINGS = ROOT / "tests" / "subjects" / "pings" / "pings_contract.py"


def plan_of(contract: Contract, name: str, **fields: object) -> Plan:
    plan = Plan(
        scenario=name,
        story="",
        seed=0,
        contract=contract,
        workload=workload_of(contract),
        steps=(),
        guarantees=("nothing-lost",),
    )
    return replace(plan, **fields)


@pytest.fixture
def home(session: Session) -> Iterator[LaneHome]:
    with open_homes(session, 1) as (opened,):
        yield opened


@contextmanager
def deployed(plan: Plan, home: LaneHome, *, session: Session, record: Path) -> Iterator[LocalSystem]:
    (record / "events").mkdir(exist_ok=True)
    recorder = Recorder(record, plan.scenario)
    name = f"{plan.scenario}-{record.name[-8:]}"
    with deploy(
        plan, session=session, server=resolve(), recorder=recorder, name=name, cwd=PINGS.parent, home=home
    ) as system:
        yield system
    recorder.close()


def test_claimed_ports_are_different_free_and_refused_to_others(tmp_path: Path) -> None:
    with claimed_ports(tmp_path, 6) as ports:
        assert len(set(ports)) == 6
        assert set(ports) <= set(PORTS)
        with claimed_ports(tmp_path, 6) as others:
            assert not set(ports) & set(others)
        for port in ports:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))


def test_lanes_share_neither_ports_nor_names_nor_directories(session: Session) -> None:
    with open_homes(session, 3) as homes:
        for key in ("broker_url", "ledger_url", "smtp_url", "directory", "lane"):
            assert len({each.placeholders[key] for each in homes}) == 3


def test_scenarios_of_a_lane_have_the_same_surroundings_an_empty_directory_and_nothing_in_the_broker(
    session: Session, home: LaneHome, tmp_path: Path
) -> None:
    contract = compile_contract(PINGS)
    seen = []
    for name in ("first", "second"):
        with deployed(plan_of(contract, name), home, session=session, record=tmp_path) as system:
            assert not list(home.directory.iterdir())
            assert system.broker_server.client.dbsize() <= 4  # bindings of the worker's, but no queue
            (home.directory / "left").touch()
            system.broker_server.client.set("left", "1")
            seen.append((system.environment, system.placeholders, system.forker.pid))
            for job in system.plan.workload:
                system.messages.enqueue(job)
            wait_until(lambda system=system: not system.left(), within=20, or_else="not drained")  # type: ignore[misc]
    assert seen[0] == seen[1]


def test_what_outlives_its_scenario_is_ended_before_the_next(session: Session, home: LaneHome, lane: LocalLane) -> None:
    script = "import os,time\nif os.fork(): os._exit(0)\nos.setsid()\n"
    script += "open('pid','w').write(str(os.getpid()))\ntime.sleep(60)"
    lane.spawn([sys.executable, "-c", script], environment=home.marked({}), cwd=lane.directory, log="log")
    path = lane.directory / "pid"
    stray = int(wait_until(lambda: path.exists() and path.read_text(), within=10, or_else="no stray"))
    bystander = lane.spawn(["sleep", "60"], environment={"PATH": os.environ["PATH"]}, cwd=lane.directory, log="log")
    home.make_ready()
    assert not psutil.pid_exists(stray) or psutil.Process(stray).status() == psutil.STATUS_ZOMBIE
    assert psutil.pid_exists(bystander)


def test_a_way_to_boot_that_does_not_exist_is_refused_with_those_that_do(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(BOOT_VARIABLE, "tepid")
    with pytest.raises(HarnessError, match="expected 'warm' or 'cold'"), open_homes(session, 1):
        pass


# --- which workers a plan needs ---


def with_queues() -> Contract:
    contract = compile_contract(PINGS)
    ping = contract.tasks[0]
    return replace(
        contract,
        tasks=(replace(ping, name="a", queue="qa"), replace(ping, name="b", queue="qb")),
        workers=(Worker(name="wa", queues=("qa",)), Worker(name="wb", queues=("qb", "other")), Worker(name="rest")),
    )


def names(workers: tuple[Worker, ...]) -> list[str]:
    return [worker.name for worker in workers]


def test_a_worker_none_of_whose_queues_is_used_is_not_needed() -> None:
    contract = with_queues()
    only_a = tuple(job for job in workload_of(contract) if job.task == "a")
    assert names(needed_workers(plan_of(contract, "p", workload=only_a))) == ["wa", "rest"]
    assert names(needed_workers(plan_of(contract, "p"))) == ["wa", "wb", "rest"]


def test_the_job_that_a_fault_enqueues_needs_its_worker_too() -> None:
    contract = with_queues()
    jobs = workload_of(contract)
    only_a = tuple(job for job in jobs if job.task == "a")
    again = next(job for job in jobs if job.task == "b")
    steps = (Step(when=AtStart(), fault=SubmitAgain(again=again)),)
    plan = plan_of(contract, "p", workload=only_a, steps=steps)
    assert jobs_of_steps(plan) == (again,)
    assert names(needed_workers(plan)) == ["wa", "wb", "rest"]


def test_a_task_whose_queue_is_not_told_needs_every_worker() -> None:
    contract = with_queues()
    contract = replace(contract, tasks=(replace(contract.tasks[0], queue=""), contract.tasks[1]))
    only_a = tuple(job for job in workload_of(contract) if job.task == "a")
    assert names(needed_workers(plan_of(contract, "p", workload=only_a))) == ["wa", "wb", "rest"]
    stranger = (PlannedJob(job=JobId("x"), task="unheard-of", arguments={}, identity="x"),)
    assert names(needed_workers(plan_of(with_queues(), "p", workload=stranger))) == ["wa", "wb", "rest"]


# --- sidecars ---


def test_sidecars_run_in_a_watched_plan_only_and_their_end_is_recorded(
    session: Session, home: LaneHome, tmp_path: Path
) -> None:
    script = "import os,sys,time; print(sys.argv[1:], os.environ['PINGS_URL'], flush=True); time.sleep(600)"
    sidecar = Sidecar(name="monitor", command=("{python}", "-c", script, "{smtp_url}", "{lane}"))
    contract = replace(compile_contract(PINGS), sidecars=(sidecar,))
    logs = {}
    for name, watched in (("unwatched", False), ("watched", True)):
        with deployed(plan_of(contract, name, watched=watched), home, session=session, record=tmp_path) as system:
            log = system.lane.directory / "monitor.log"
            if watched:
                said = wait_until(lambda log=log: log.read_text().strip(), within=10, or_else="silent")  # type: ignore[misc]
                assert said == f"['{home.placeholders['smtp_url']}', '{home.name}'] {home.placeholders['ledger_url']}"
            logs[name] = log.exists()
    assert logs == {"unwatched": False, "watched": True}
    record = (tmp_path / "events" / "watched.harness.jsonl").read_text()
    assert '"node":"monitor"' in record
    assert signal.SIGKILL.name in record


def test_a_sidecar_that_never_comes_to_rest_is_waited_for_no_longer_than_may_be_and_told(
    session: Session, home: LaneHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sidecars, "STARTED_SECONDS_MAX", 0.5)
    busy = Sidecar(name="busy", command=("{python}", "-c", "while True: pass"))
    idle = Sidecar(name="idle", command=("sleep", "600"))
    plan = plan_of(replace(compile_contract(PINGS), sidecars=(busy, idle)), "watched", watched=True)
    with deployed(plan, home, session=session, record=tmp_path):
        pass
    record = (tmp_path / "events" / "watched.harness.jsonl").read_text()
    assert '"versions":{"sidecars":"not at rest after 0.5 s: busy"}' in record

"""What the harness does to a worker must not itself be able to lose a job: then the job would be blamed for it."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from harness.contract import Contract
from harness.contract_file import compile_contract
from harness.plan import Plan
from harness.runtimes.process import deploy
from harness.scenario import Workload, workload_of
from harness.services.broker import resolve
from harness.services.gate import Arrival
from harness.session import Session
from harness.store import Recorder
from harness.system import Target
from harness.waiting import wait_until
from tests.conftest import ROOT, JobproofCommand

PINGS = ROOT / "tests" / "subjects" / "pings" / "pings_contract.py"
JOBS = 60
KILLS = 6


def flood(jobs: int) -> Contract:
    contract = compile_contract(PINGS)
    task = replace(contract.tasks[0], inputs=tuple({"host": f"h{number}"} for number in range(jobs)), attempts_max=99)
    return replace(contract, tasks=(task,), workers=(replace(contract.workers[0], concurrency=2),))


def test_killing_a_busy_main_process_again_and_again_loses_no_message(session: Session, tmp_path: Path) -> None:
    """Redis hands a message to a worker before the worker has booked it; a kill must not fall in between."""
    contract = flood(JOBS)
    (tmp_path / "events").mkdir()
    recorder = Recorder(tmp_path, "flood")
    workload = workload_of(contract)
    plan = Plan(
        scenario="flood", story="", seed=0, contract=contract, workload=workload, steps=(), guarantees=("nothing-lost",)
    )
    with deploy(
        plan, session=session, server=resolve(), recorder=recorder, name=f"flood-{tmp_path.name[-6:]}", cwd=PINGS.parent
    ) as system:
        batch = JOBS // KILLS
        for number in range(KILLS):
            jobs = workload[number * batch : (number + 1) * batch]
            for job in jobs:
                system.messages.enqueue(job)
            first = jobs[0].job
            wait_until(lambda job=first: system.messages.deliveries(job), within=20, or_else="not delivered")  # type: ignore[misc]
            system.workers.kill(Target.MAIN, Arrival(point="", job=None, pid=0, occurrence=1, details={}))
            system.workers.recover()
        wait_until(lambda: not system.left(), within=60, or_else="not drained")
    recorder.close()
    assert without_effect(tmp_path, workload) == []


def without_effect(directory: Path, workload: Workload) -> list[str]:
    """The jobs whose request is not in the ledger's log."""
    log = (directory / "events" / "flood.ledger.jsonl").read_text()
    return [job.identity for job in workload if f'PUT /ping/{job.identity}"' not in log]


@pytest.mark.parametrize("pool", ["solo", "threads"])
def test_in_a_pool_without_children_the_main_process_stands_in_for_the_child(
    pool: str, tmp_path: Path, jobproof: JobproofCommand
) -> None:
    source = PINGS.read_text().replace('Worker(name="w", ', f'Worker(name="w", arguments=("--pool={pool}",), ')
    (tmp_path / "contract.py").write_text(source)
    (tmp_path / "pings.py").write_text(PINGS.with_name("pings.py").read_text())
    ran = jobproof("run", "killed-between-effect-and-record", "--contract", str(tmp_path / "contract.py"), out=True)
    assert ran.code == 0, ran.out + ran.err
    nemesis = (ran.directory / "events" / "killed-between-effect-and-record.nemesis.jsonl").read_text()
    assert "main process" in nemesis

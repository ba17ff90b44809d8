"""A worker that was forked from one import finds the world as one that was started from the command line does."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from msgspec.structs import replace

from harness.contract import Contract, Worker
from harness.contract_file import compile_contract
from harness.keeper import LOG_BYTES_MAX
from harness.plan import Plan
from harness.runtimes.home import BOOT_VARIABLE
from harness.runtimes.process import LocalSystem, deploy
from harness.scenario import workload_of
from harness.services.broker import resolve
from harness.session import HarnessError, LocalLane, Session
from harness.store import Recorder
from harness.waiting import wait_until
from tests.conftest import ROOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked from one import on Linux only")

FACTS = ROOT / "tests" / "subjects" / "facts" / "facts_contract.py"
ENVIRONMENT = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}


@contextmanager
def deployed(session: Session, path: Path, contract: Contract, *, cwd: Path = FACTS.parent) -> Iterator[LocalSystem]:
    """`path` is a fresh folder for the record."""
    (path / "events").mkdir(parents=True)
    recorder = Recorder(path, "facts")
    plan = Plan(
        scenario="facts",
        story="",
        seed=0,
        contract=contract,
        workload=workload_of(contract),
        steps=(),
        guarantees=("nothing-lost",),
    )
    name = f"facts-{abs(hash(str(path))):x}"
    with deploy(plan, session=session, server=resolve(), recorder=recorder, name=name, cwd=cwd) as system:
        yield system
    recorder.close()


def boot_of(path: Path) -> str:
    for line in (path / "events" / "facts.harness.jsonl").read_text().splitlines():
        event = json.loads(line)
        if event["event"] == "SubjectDescribed":
            return str(event["versions"]["boot"])
    return ""


def facts_of(session: Session, path: Path, pool: str) -> dict[str, Any]:
    """What the main process and the one that runs the job say, with the lane's own names made the same."""
    contract = compile_contract(FACTS)
    flags = contract.workers[0].arguments
    contract = replace(contract, workers=(Worker(name="w", concurrency=1, arguments=(*flags, f"--pool={pool}")),))
    with deployed(session, path, contract) as system:
        for job in system.plan.workload:
            system.messages.enqueue(job)
        told = [system.home.directory / name for name in ("main-w", "child-1")]
        wait_until(lambda: all(each.exists() for each in told), within=20, or_else="no facts")
        text = json.dumps([json.loads(each.read_text()) for each in told])
        values = {**system.placeholders, "scene": str(system.lane.directory), "record": str(path)}
        values["origin"] = repr(system.recorder.origin)
        for name, value in sorted(values.items(), key=lambda item: -len(item[1])):
            text = text.replace(value, f"<{name}>")
        main, child = json.loads(text)
        child.pop("chance")
        return {"main": main, "child": child}


@pytest.mark.parametrize("pool", ["prefork", "solo", "threads"])
def test_what_a_task_and_its_worker_see_is_the_same_forked_or_started(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pool: str
) -> None:
    warm = facts_of(session, tmp_path / "warm", pool)
    monkeypatch.setenv(BOOT_VARIABLE, "cold")
    cold = facts_of(session, tmp_path / "cold", pool)
    assert boot_of(tmp_path / "warm") == "forked after one import"
    assert boot_of(tmp_path / "cold") == "each from the start: JOBPROOF_BOOT=cold"
    for who in ("main", "child"):
        for facts in (warm[who], cold[who]):
            facts["environ"].pop(BOOT_VARIABLE, None)
        assert warm[who] == cold[who]


def test_forked_workers_draw_different_chance_and_say_nothing_that_was_said_before(
    session: Session, tmp_path: Path
) -> None:
    contract = compile_contract(FACTS)
    inputs = tuple({"number": number} for number in range(8))
    contract = replace(
        contract,
        workers=tuple(Worker(name=f"w{number}", concurrency=1) for number in range(2)),
        tasks=(replace(contract.tasks[0], inputs=inputs),),
    )
    with deployed(session, tmp_path, contract) as system:
        for job in system.plan.workload:
            system.messages.enqueue(job)
        told = [system.home.directory / f"child-{number}" for number in range(8)]
        wait_until(lambda: all(each.exists() for each in told), within=20, or_else="no facts")
        chance = [json.loads(each.read_text())["chance"] for each in told]
        assert len({drawn for drawn, _ in chance}) == len({unique for _, unique in chance}) == 8
        for node in system.workers.nodes:
            log = (system.lane.directory / f"{node}.log").read_text()
            assert "imported" not in log
            assert "ready." in log


def test_a_forked_worker_ends_as_a_program_does(session: Session, tmp_path: Path) -> None:
    with deployed(session, tmp_path, compile_contract(FACTS)) as system:
        pid = system.workers.nodes["w"].pid
        os.kill(pid, signal.SIGTERM)
        assert wait_until(lambda: system.lane.exit_of(pid), within=15, or_else="it did not end") == "exit 0"
        assert (system.home.directory / f"exit-{pid}").exists(), "what was registered with atexit did not run"


def test_a_forked_worker_belongs_to_the_keeper_and_leads_its_own_group(session: Session, tmp_path: Path) -> None:
    with deployed(session, tmp_path, compile_contract(FACTS)) as system:
        process = psutil.Process(system.workers.nodes["w"].pid)
        zygote = psutil.Process(system.forker.pid)
        assert process.ppid() == zygote.ppid()
        assert os.getpgid(process.pid) == os.getsid(process.pid) == process.pid
        assert not zygote.children()
        (child,) = process.children()
        process.kill()
        wait_until(lambda: system.lane.exit_of(process.pid), within=5, or_else="its end was not told")
        assert system.lane.exit_of(process.pid) == "SIGKILL"
        wait_until(lambda: not child.is_running(), within=5, or_else="the pool child outlived its main process")
    assert not zygote.is_running() or zygote.status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (
            "import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()",
            "leaves threads running (1)",
        ),
        ("import socket; kept = socket.socketpair()", "leaves sockets open (2)"),
        ("import pathlib; pathlib.Path(os.environ['FACTS'], 'mine').touch()", "writes into the directory"),
        ("import sys; sys.argv[-1] == 'worker' and os._exit(9)", "its import ended with exit 9"),
    ],
)
def test_a_subject_that_cannot_be_forked_is_started_from_the_command_line_and_the_record_says_why(
    session: Session, tmp_path: Path, line: str, why: str
) -> None:
    source = FACTS.with_name("facts.py").read_text()
    (tmp_path / "facts.py").write_text(source + line + "\n")
    record = tmp_path / "record"
    with deployed(session, record, compile_contract(FACTS), cwd=tmp_path) as system:
        for job in system.plan.workload:
            system.messages.enqueue(job)
        told = system.home.directory / "child-1"
        wait_until(told.exists, within=20, or_else="the job did not run")
    assert why in boot_of(record)


# --- the keeper's part, with a forker that is ten lines ---

FORKER = """
from harness.forking import hide_link, not_forkable, run_requested, say, serve
hide_link()
say({"refused": not_forkable()})
serve()
run_requested()
"""


@pytest.fixture
def forker(lane: LocalLane) -> int:
    path = lane.directory / "forker.py"
    path.write_text(FORKER)
    pid = lane.spawn(
        [sys.executable, str(path)], environment=ENVIRONMENT, cwd=lane.directory, log="forker.log", forks=True
    )
    assert lane.wait_forker(pid, within=20) == {"refused": ""}
    return pid


def forked(lane: LocalLane, forker: int, script: str, **options: Any) -> int:
    path = lane.directory / f"{abs(hash(script)):x}.py"
    path.write_text(script)
    argv = [sys.executable, str(path)]
    return lane.spawn(argv, environment=ENVIRONMENT, cwd=lane.directory, log="log", forker=forker, **options)


def exit_of(lane: LocalLane, pid: int) -> str:
    return wait_until(lambda: lane.exit_of(pid), within=10, or_else="it did not end")


def test_the_exit_of_a_forked_process_is_told_like_any_others(lane: LocalLane, forker: int) -> None:
    told: list[tuple[int, str]] = []
    pid = forked(lane, forker, "raise SystemExit(7)", on_exit=lambda *exit_: told.append(exit_))
    assert exit_of(lane, pid) == "exit 7"
    wait_until(lambda: told, within=5, or_else="the listener was not called")
    assert told == [(pid, "exit 7")]
    assert exit_of(lane, forked(lane, forker, "import os; os.kill(os.getpid(), 9)")) == "SIGKILL"


def test_what_a_forked_process_prints_is_kept_up_to_the_same_cap(lane: LocalLane, forker: int) -> None:
    assert exit_of(lane, forked(lane, forker, "print('x' * 5_000_000)")) == "exit 0"
    log = lane.directory / "log"
    wait_until(lambda: b"further bytes dropped" in log.read_bytes(), within=5, or_else="the log was not closed")
    assert LOG_BYTES_MAX <= log.stat().st_size < LOG_BYTES_MAX + 200


def test_a_forked_process_cannot_reach_the_keeper(lane: LocalLane, forker: int) -> None:
    script = "import os; print([os.readlink(f'/proc/self/fd/{fd}') for fd in os.listdir('/proc/self/fd')[:-1]])"
    assert exit_of(lane, forked(lane, forker, script)) == "exit 0"
    log = lane.directory / "log"
    wait_until(lambda: log.read_text().strip(), within=5, or_else="nothing was listed")
    assert "socket:" not in log.read_text()


def test_a_forker_that_has_ended_is_an_error_and_not_a_hang(lane: LocalLane, forker: int) -> None:
    os.kill(forker, signal.SIGKILL)
    exit_of(lane, forker)
    with pytest.raises(HarnessError, match=r"to fork (is gone|did not)"):
        forked(lane, forker, "pass")


def test_a_forker_that_names_a_process_of_somebody_elses_is_not_believed(lane: LocalLane) -> None:
    path = lane.directory / "liar.py"
    path.write_text(
        "import json, os, socket\nlink = socket.socket(fileno=3)\nlink.send(b'{}')\n"
        "asked = json.loads(link.recv(1 << 16))\n"
        "link.send(json.dumps({'id': asked['id'], 'pid': 1}).encode())\nlink.recv(1)\n"
    )
    liar = lane.spawn(
        [sys.executable, str(path)], environment=ENVIRONMENT, cwd=lane.directory, log="liar.log", forks=True
    )
    assert lane.wait_forker(liar, within=20) == {}
    with pytest.raises(HarnessError, match="did not"):
        forked(lane, liar, "pass")


def test_a_pid_that_comes_again_is_a_new_process(session: Session) -> None:
    session._hear({"exited": 4_999_999, "status": 3})
    assert session.exit_of(4_999_999) == "exit 3"
    session._hear({"id": -1, "pid": 4_999_999})
    assert session.exit_of(4_999_999) is None

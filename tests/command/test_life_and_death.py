"""Nothing outlives the harness, however it dies, and what it had recorded can still be judged."""

import os
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from harness.keeper import MARKER
from harness.waiting import wait_until
from tests.conftest import ROOT, JobproofCommand, command_line

GONE_SECONDS_MAX = 5


def started(directory: Path, *scenarios: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command_line("run", *scenarios, "--out", str(directory), "--seed", "5"),
        cwd=ROOT,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def below(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


def still_there(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [each for each in processes if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]


def reached(directory: Path, moment: str) -> bool:
    match moment:
        case "while the first lane is made":
            return (directory / "events").is_dir()
        case "while workers run":
            return any(path.stat().st_size for path in directory.glob("events/*.notifications.jsonl"))
        case "while a fault is in force":
            return any(b'"FaultLanded"' in path.read_bytes() for path in directory.glob("events/*.nemesis.jsonl"))
    raise ValueError(moment)


MOMENTS = ["while the first lane is made", "while workers run", "while a fault is in force"]


@pytest.mark.parametrize("moment", MOMENTS)
def test_kill_9_of_the_harness_leaves_nothing_and_the_record_is_unknown(
    moment: str, tmp_path: Path, jobproof: JobproofCommand
) -> None:
    directory = tmp_path / "out"
    harness = started(directory)
    wait_until(lambda: reached(directory, moment), within=60, or_else=moment)
    wait_until(lambda: below(harness.pid), within=10, or_else="no process was started")
    processes = below(harness.pid)
    session = next((name for each in processes if (name := _session(each))), "none yet")
    harness.kill()
    harness.communicate()

    wait_until(lambda: not still_there(processes), within=GONE_SECONDS_MAX, or_else=f"still there: {processes}")
    wait_until(lambda: not _marked(session), within=GONE_SECONDS_MAX, or_else="later ones were still there")
    ran = jobproof("check", str(directory))
    assert ran.code == 3, ran.out + ran.err
    assert "could not be judged" in ran.out


def test_ctrl_c_ends_with_130_and_leaves_nothing(tmp_path: Path) -> None:
    directory = tmp_path / "out"
    harness = started(directory)
    wait_until(lambda: reached(directory, "while workers run"), within=60, or_else="no worker ran")
    processes = below(harness.pid)
    os.kill(harness.pid, signal.SIGINT)
    said = harness.communicate(timeout=30)[0]

    assert harness.returncode == 130, said
    assert "jobproof: interrupted" in said
    assert not still_there(processes)
    assert (directory / "result.json").exists()


def test_success_leaves_no_process(tmp_path: Path) -> None:
    harness = started(tmp_path / "out", "worker-killed-main", "reply-lost", "poisoned-messages")
    seen: dict[int, psutil.Process] = {}
    while harness.poll() is None:
        seen |= {each.pid: each for each in _below_or_none(harness.pid)}
        time.sleep(0.1)  # looks every now and then until the run is over; what it misses the keeper's own tests see
    harness.communicate()

    assert harness.returncode == 0
    assert len(seen) > 10
    assert not still_there(list(seen.values()))


def _below_or_none(pid: int) -> list[psutil.Process]:
    try:
        return below(pid)
    except psutil.NoSuchProcess:
        return []


def _session(process: psutil.Process) -> str:
    try:
        return process.environ().get(MARKER, "")
    except psutil.Error:
        return ""


def _marked(session: str) -> list[psutil.Process]:
    return [each for each in psutil.process_iter() if _session(each) == session]

"""The keeper owns every process of a session and ends them all."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from harness.keeper import LOG_BYTES_MAX
from harness.session import HarnessError, LocalLane, Session, open_session, sweep
from harness.waiting import wait_until

ENVIRONMENT = {"PATH": os.environ["PATH"]}


def spawn(lane: LocalLane, script: str, **options: object) -> int:
    return lane.spawn(["sh", "-c", script], environment=ENVIRONMENT, cwd=lane.directory, log="log", **options)  # type: ignore[arg-type]


def exit_of(lane: LocalLane, pid: int) -> str:
    return wait_until(lambda: lane.exit_of(pid), within=10, or_else="it did not end")


def runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_an_exit_is_reported_with_its_status(lane: LocalLane) -> None:
    assert exit_of(lane, spawn(lane, "exit 7")) == "exit 7"
    assert exit_of(lane, spawn(lane, "kill -9 $$")) == "SIGKILL"


def test_a_program_that_does_not_exist_is_an_error_with_its_name(lane: LocalLane) -> None:
    with pytest.raises(HarnessError, match="/no/such/program: No such file"):
        lane.spawn(["/no/such/program"], environment={}, cwd=lane.directory, log="log")


def test_what_a_process_prints_is_kept_up_to_a_cap_and_never_blocks_it(lane: LocalLane) -> None:
    pid = spawn(lane, "yes | head -c 5000000; echo done >&2; exit 3")
    assert exit_of(lane, pid) == "exit 3"
    log = lane.directory / "log"
    wait_until(lambda: b"further bytes dropped" in log.read_bytes(), within=5, or_else="the log was not closed")
    assert LOG_BYTES_MAX <= log.stat().st_size < LOG_BYTES_MAX + 200


def test_a_spawned_process_leads_its_own_group_and_sees_no_descriptor_of_ours(lane: LocalLane) -> None:
    pid = spawn(lane, "ls -l /proc/self/fd > fds; sleep 60")
    assert os.getpgid(pid) == pid
    fds = lane.directory / "fds"
    wait_until(lambda: fds.exists() and "/proc/" in fds.read_text(), within=10, or_else="nothing was listed")
    assert "socket:" not in fds.read_text()
    assert "lock" not in fds.read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="what a process ignores is read from /proc")
def test_a_spawned_process_ignores_no_signal_that_the_keeper_ignores(lane: LocalLane) -> None:
    pid = spawn(lane, "grep SigIgn /proc/self/status > ignored; sleep 60")
    told = lane.directory / "ignored"
    wait_until(lambda: told.exists() and told.read_text().endswith("\n"), within=10, or_else="nothing was told")
    ignored = int(told.read_text().split()[1], 16)
    # Only those that a process can set: 32 and 33 are the C library's own, and whoever starts it may ignore them.
    assert [each for each in signal.valid_signals() if ignored & 1 << each - 1] == []
    assert runs(pid)


@pytest.mark.skipif(sys.platform != "linux", reason="only there the keeper is given the orphans")
def test_an_orphan_that_has_put_off_its_environment_is_known_for_one(session: Session, lane: LocalLane) -> None:
    spawn(lane, "setsid -f env -i sleep 901; setsid -f sleep 902; env -i sleep 903 & exec sleep 904")
    lane.spawn(["env", "-i", "sleep", "905"], environment=ENVIRONMENT, cwd=lane.directory, log="log")
    sleepers: dict[str, psutil.Process] = {}

    def all_sleep() -> bool:
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):
                sleepers[" ".join(process.cmdline())] = process
        return {f"sleep {number}" for number in range(901, 906)} <= sleepers.keys()

    wait_until(all_sleep, within=10, or_else="not all of them sleep")
    disowned = [number for number in range(901, 906) if session.has_disowned(sleepers[f"sleep {number}"])]
    assert disowned == [901]


def test_a_lane_ends_its_processes_and_their_children(lane: LocalLane) -> None:
    pid = spawn(lane, "sleep 60 & sleep 60 & wait")
    children = wait_until(lambda: psutil.Process(pid).children(), within=10, or_else="no child")
    lane.end()
    wait_until(lambda: not any(runs(each.pid) for each in children), within=5, or_else="a child lives")
    assert not runs(pid)


def test_a_session_ends_daemons_that_tried_to_escape() -> None:
    with open_session() as session, session.lane("one") as lane:
        escape = "import os,time\nif os.fork(): os._exit(0)\nos.setsid()\nif os.fork(): os._exit(0)\n"
        escape += "open('pid','w').write(str(os.getpid()))\ntime.sleep(60)"
        lane.spawn([sys.executable, "-c", escape], environment={}, cwd=lane.directory, log="log")
        path = lane.directory / "pid"
        daemon = int(wait_until(lambda: path.exists() and path.read_text(), within=10, or_else="no daemon"))
        assert runs(daemon)
    assert not runs(daemon)
    assert not lane.directory.exists()


def test_a_frozen_process_ends_with_its_session() -> None:
    with open_session() as session, session.lane("one") as lane:
        pid = spawn(lane, "kill -STOP $$; sleep 60")
        wait_until(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED, within=10, or_else="not frozen")
    assert not runs(pid)


def test_when_harness_and_keeper_are_both_killed_the_next_session_sweeps_up(tmp_path: Path) -> None:
    script = (
        "import os, sys, time\nfrom pathlib import Path\nfrom harness.session import open_session\n"
        "with open_session() as session, session.lane('one') as lane:\n"
        "    pid = lane.spawn(['sleep', '60'], environment=dict(os.environ), cwd=lane.directory, log='log')\n"
        "    print(pid, session._keeper.pid, session.directory, flush=True)\n    time.sleep(60)\n"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    harness = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment)
    assert harness.stdout is not None
    sleeper, keeper, directory = harness.stdout.readline().split()
    psutil.Process(int(keeper)).kill()
    harness.kill()
    harness.communicate()
    assert runs(int(sleeper))  # nobody was left to end it

    assert sweep(Path(directory).parent) == [Path(directory).name]
    wait_until(lambda: not runs(int(sleeper)), within=5, or_else="it was not swept up")
    assert not Path(directory).exists()


def test_a_sweep_spares_a_living_session(lane: LocalLane) -> None:
    pid = spawn(lane, "sleep 60")
    assert sweep(lane.directory.parent.parent) == []
    assert runs(pid)
    assert lane.directory.exists()


def test_the_keeper_starts_fast_enough_not_to_be_noticed() -> None:
    # Not a timed check: it must not import the packages that make a start slow.
    code = "import sys, harness.keeper; print([m for m in ('psutil','msgspec','click','redis') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"

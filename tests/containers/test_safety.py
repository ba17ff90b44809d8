"""What is ours is bounded, closed in, and gone in the end, however the end comes; what is not ours is not touched."""

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from harness.runtimes.docker.daemon import OWNER_LABEL, SESSION_LABEL, labels
from harness.runtimes.docker.reaper import sweep
from harness.waiting import wait_until
from tests.conftest import ROOT, command_line
from tests.containers.conftest import DOCKER, Deploy

GONE_SECONDS_MAX = 10


def things(client: Any) -> dict[str, str]:
    """Everything in the daemon but images, by its id: what it is, for whoever reads of it."""
    containers = {
        each["Id"]: f"container {each['Names']} {each['State']} {each['Labels']}"
        for each in client.api.containers(all=True)
    }
    networks = {each["Id"]: f"network {each['Name']} {each['Labels']}" for each in client.api.networks()}
    volumes = {
        each["Name"]: f"volume {each['Name']} {each['Labels']}" for each in client.api.volumes()["Volumes"] or []
    }
    return containers | networks | volumes


def assert_as(before: dict[str, str], client: Any) -> None:
    """The daemon has what it had; what came or went is named."""
    now = things(client)
    came = sorted(now[each] for each in now.keys() - before.keys())
    went = sorted(before[each] for each in before.keys() - now.keys())
    assert (came, went) == ([], [])


def test_every_container_is_labelled_bounded_has_an_init_and_publishes_nothing(daemon: Any, deploy: Deploy) -> None:
    with deploy(proxied=True):
        ours = [each for each in daemon.containers.list() if SESSION_LABEL in each.labels]
        assert len(ours) >= 5
        for each in ours:
            host = each.attrs["HostConfig"]
            assert OWNER_LABEL in each.labels
            assert host["Init"]
            assert 0 < host["Memory"] == host["MemorySwap"]
            assert host["PidsLimit"] > 0
            assert host["CpuQuota"] > 0
            assert not host["Privileged"]
            assert not host["PublishAllPorts"]
            assert not host["PortBindings"]


def test_the_subject_cannot_leave_its_network(daemon: Any, deploy: Deploy, home: Any) -> None:
    with deploy() as system:
        network = daemon.networks.get(home.network.name)
        assert network.attrs["Internal"]
        worker = daemon.containers.get(system.lane.container_of(system.workers.nodes["w"].pid))
        script = "import socket; s = socket.socket(); s.settimeout(3); s.connect(('192.0.2.1', 80))"
        assert worker.exec_run(["python", "-c", script]).exit_code != 0
        inside = "import socket; socket.create_connection(('ledger', 8025), 3)"
        assert worker.exec_run(["python", "-c", inside]).exit_code == 0


def started(directory: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command_line("run", "worker-killed-main", *DOCKER, "--seed", "3", "--out", str(directory)),
        cwd=ROOT,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


MOMENTS = {
    "while the first container is made": lambda new, directory: bool(new),
    "while workers start": lambda new, directory: len(new) >= 5,
    "while a fault is in force": lambda new, directory: any(
        b'"FaultBegan"' in path.read_bytes() for path in directory.glob("events/*.nemesis.jsonl")
    ),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_kill_9_of_the_harness_leaves_nothing_and_another_session_is_untouched(
    moment: str, daemon: Any, deploy: Deploy, tmp_path: Path
) -> None:
    directory = tmp_path / "out"
    with deploy() as system:
        before = things(daemon)
        harness = started(directory)
        try:
            wait_until(
                lambda: MOMENTS[moment](things(daemon).keys() - before.keys(), directory), within=120, or_else=moment
            )
        finally:
            harness.send_signal(signal.SIGKILL)
            harness.wait()

        deadline = time.monotonic() + GONE_SECONDS_MAX
        while things(daemon).keys() != before.keys() and time.monotonic() < deadline:
            time.sleep(0.1)
        assert_as(before, daemon)
        system.messages.enqueue(system.plan.workload[0])
        assert system.messages.wait_acknowledged(system.plan.workload[0].job, within=60)


def test_a_sweep_removes_what_is_of_a_dead_session_and_spares_the_living_and_the_strangers(
    daemon: Any, runtime: Any, home: Any, session: Any, tmp_path: Path
) -> None:
    root = session.directory.parent
    dead = daemon.networks.create("jobproof-test-dead", internal=True, labels=labels("0123dead", root))
    stranger = daemon.networks.create("jobproof-test-stranger", internal=True)
    elsewhere = daemon.networks.create("jobproof-test-elsewhere", internal=True, labels=labels("0123dead", tmp_path))
    try:
        assert sweep(daemon, root) == ["0123dead"]
        left = {each.name for each in daemon.networks.list()}
        assert dead.name not in left
        assert {home.network.name, stranger.name, elsewhere.name} <= left
    finally:
        stranger.remove()
        elsewhere.remove()


def test_what_a_harness_and_its_reaper_leave_that_were_both_killed_is_removed_by_clean(
    daemon: Any, tmp_path: Path
) -> None:
    before = things(daemon)
    harness = started(tmp_path / "out")
    wait_until(lambda: len(things(daemon).keys() - before.keys()) >= 2, within=120, or_else="no container was made")
    reapers = [pid for pid in _children(harness.pid) if "harness.runtimes.docker.reaper" in _words(pid)]
    for pid in (*reapers, harness.pid):
        os.kill(pid, signal.SIGKILL)
    harness.wait()
    assert len(reapers) == 1

    said = ""
    deadline = time.monotonic() + GONE_SECONDS_MAX
    while things(daemon).keys() != before.keys() and time.monotonic() < deadline:
        # Again: what was being made when the harness died may still appear.
        said += subprocess.run(command_line("clean"), cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert_as(before, daemon)
    assert "removed those of" in said


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _words(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")

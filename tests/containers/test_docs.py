"""The commands of the docs that need a Docker daemon, as they stand there."""

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from harness.waiting import wait_until
from tests.command.test_docs import IN_CONTAINERS, JOBPROOF, commands
from tests.conftest import ROOT, JobproofCommand
from tests.containers.conftest import BASE

COMPOSE = [line for line in commands() if line.startswith("docker compose ")]
PROJECT = "jobproof-test"
METRICS = "http://127.0.0.1:9808/metrics"


@pytest.mark.parametrize("line", sorted({line.partition("#")[0].strip() for line in JOBPROOF if IN_CONTAINERS in line}))
def test_a_command_of_the_docs_ends_as_the_docs_say(line: str, daemon: Any, jobproof: JobproofCommand) -> None:
    words = shlex.split(line)[1:]
    if BASE:  # the last one counts
        words += ["--base-image", BASE]
    ran = jobproof(*words, out=True)
    assert ran.code == 0, ran.out + ran.err


@pytest.fixture
def compose(daemon: Any) -> Iterator[Any]:
    """Runs a line of the docs in a project of its own; what it started is gone afterwards."""
    from harness.runtimes.docker import images

    program = _compose()
    base = images.MACHINE if BASE == images.MACHINE else BASE or images.BASE
    name = images.machine_base.make(daemon) if base == images.MACHINE else base

    def run(line: str) -> str:
        words = [*program, "--project-name", PROJECT, *shlex.split(line)[2:]]
        ran = subprocess.run(
            words, cwd=ROOT, env={**os.environ, "BASE_IMAGE": name}, capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, f"{line}\n{ran.stdout}{ran.stderr}"
        return ran.stdout

    yield run
    run("docker compose down --volumes --timeout 1")


def _compose() -> list[str]:
    if subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode == 0:
        return ["docker", "compose"]
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    if os.environ.get("CI") == "true":
        pytest.fail("with CI=true Docker's compose must be there: apt-get install docker-compose")
    pytest.skip("neither `docker compose` nor docker-compose is here")


def test_the_reference_worker_can_be_played_with_as_the_docs_say(compose: Any) -> None:
    up, prepare, call, ledger, letters, _ = COMPOSE
    assert "billing" in compose("docker compose config --services")
    compose(up)
    wait_until(_is_measured, within=60, or_else="the monitor told nothing of the queues")
    compose(prepare)
    compose(call)
    wait_until(lambda: '"label":"POST /v1/events"' in compose(ledger), within=60, or_else="the job had no effect")
    assert re.search(r'"EffectApplied"[^\n]*"POST /v1/charges"', compose(ledger))
    assert "inv-1" not in compose(letters)


def _is_measured() -> bool:
    try:
        return 'celery_queue_length{queue_name="billing"} 0.0' in requests.get(METRICS, timeout=5).text
    except requests.RequestException:
        return False


def test_compose_publishes_on_the_loopback_only() -> None:
    text = (Path(ROOT) / "compose.yaml").read_text()
    (ports,) = re.findall(r"ports: (.*)", text)
    assert ports == '["127.0.0.1:9808:9808"]'

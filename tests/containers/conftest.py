"""A Docker daemon and the images, or the reason why there are none; with CI=true they must be there."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from harness.contract import Contract
from harness.contract_file import compile_contract
from harness.plan import Plan, RuntimeChoice
from harness.scenario import workload_of
from harness.session import HarnessError, Session, open_session
from harness.store import Recorder
from tests.conftest import ROOT

PINGS = ROOT / "tests" / "subjects" / "pings" / "pings_contract.py"
BASE = os.environ.get("JOBPROOF_BASE_IMAGE", "")
DOCKER = ("--runtime", "docker", *(("--base-image", BASE) if BASE else ()))


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in this hook, too
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.containers)
            # One after the other, wherever the rest runs: a lane of containers takes all the cores that there are.
            item.add_marker(pytest.mark.xdist_group("containers"))


@pytest.fixture(autouse=True)
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No other test of this run has containers: some compare all that the daemon has with what it had."""
    run = tmp_path_factory.getbasetemp()
    with ((run.parent if "PYTEST_XDIST_WORKER" in os.environ else run) / "containers.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pytest.fail("two tests with containers ran at once: xdist did not keep their group together")
        yield


@pytest.fixture(scope="session")
def daemon() -> Any:
    """The client of a daemon that has the images."""
    try:
        from harness.runtimes.docker import images
        from harness.runtimes.docker.daemon import connect

        client = connect()
        images.own(client, BASE)
    except (HarnessError, ImportError) as error:
        if os.environ.get("CI") == "true":
            pytest.fail(f"with CI=true the container tests must run: {error}")
        pytest.skip(str(error))
    return client


@pytest.fixture(scope="module")
def session(daemon: Any) -> Iterator[Session]:
    with open_session() as opened:
        yield opened


@pytest.fixture(scope="module")
def runtime(session: Session) -> Iterator[Any]:
    from harness.runtimes.docker.runtime import open_runtime

    with open_runtime(session, RuntimeChoice(base_image=BASE), cwd=PINGS.parent, named=True) as opened:
        yield opened


@pytest.fixture(scope="module")
def home(runtime: Any) -> Iterator[Any]:
    with runtime.open_homes(1) as (opened,):
        yield opened


def pings(hosts: int = 2) -> Contract:
    contract = compile_contract(PINGS)
    task = replace(contract.tasks[0], inputs=tuple({"host": f"h{number}"} for number in range(hosts)))
    return replace(contract, tasks=(task,))


Deploy = Callable[..., AbstractContextManager[Any]]


@pytest.fixture
def deploy(runtime: Any, home: Any, tmp_path: Path) -> Deploy:
    """Deploys the pings; keyword arguments are fields of the plan."""
    (tmp_path / "events").mkdir()

    @contextmanager
    def deployed(contract: Contract | None = None, **fields: Any) -> Iterator[Any]:
        contract = contract or pings()
        plan = Plan(
            scenario=f"pings-{tmp_path.name[-12:]}",
            story="",
            seed=0,
            contract=contract,
            workload=workload_of(contract),
            steps=(),
            guarantees=("nothing-lost",),
        )
        recorder = Recorder(tmp_path, "pings")
        with runtime.deploy(replace(plan, **fields), recorder=recorder, home=home) as system:
            yield system
        recorder.close()

    return deployed

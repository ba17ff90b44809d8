"""How many processes and threads there may be in a container, and how often one could not be started for that."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import docker
from docker.errors import APIError

from harness.system import SubjectError

_CGROUPS = Path("/sys/fs/cgroup")


def limit_processes(client: "docker.DockerClient", container: str, count: int) -> None:
    """What runs goes on, also beyond it. The package has no word for this limit yet.

    :raises docker.errors.APIError: the container is gone
    """
    api = client.api
    answer = api.post(
        f"{api.base_url}/v{api.api_version}/containers/{container}/update",
        json={"PidsLimit": count},
        timeout=api.timeout,
    )
    if not answer.ok:
        raise APIError(answer.text, response=answer)


def refusals(pid: int) -> Callable[[], int]:
    """A question to be asked later: how often the kernel has refused one more to the container of a process since now.

    :raises SubjectError: this machine does not count them
    """
    counted = _counter(pid)
    before = _count(counted)

    def since() -> int:
        with suppress(OSError):  # it is gone with its container
            return _count(counted) - before
        return 0

    return since


def _counter(pid: int) -> Path:
    with suppress(OSError):
        for line in (Path("/proc") / str(pid) / "cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers and "pids" not in controllers.split(","):
                continue  # of the first version each has its own; of the second there is one, without a name
            place = _CGROUPS / ("pids" if controllers else "") / path.lstrip("/") / "pids.events"
            if place.is_file():
                return place
    raise SubjectError(f"this machine does not tell how many processes were refused to the container of {pid}")


def _count(counter: Path) -> int:
    return int(counter.read_text().split()[1])  # "max 3"

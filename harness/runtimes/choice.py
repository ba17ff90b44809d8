"""The runtimes that there are."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from harness.plan import RuntimeChoice
from harness.runtimes.lane_system import CAPABILITIES
from harness.runtimes.runtime import Runtime
from harness.services.broker import resolve
from harness.session import HarnessError, Session
from harness.system import OF_HOSTS, Capability

NotHereError = HarnessError  # of what a runtime raises while it is opened: what it needs is not on this machine


@dataclass(frozen=True, kw_only=True)
class Place:
    """What a runtime is opened for.

    `cwd` is where the subject is started, unless an image says otherwise; `named`: a contract was, by the person.
    """

    session: Session
    cwd: Path
    named: bool
    choice: RuntimeChoice


@dataclass(frozen=True, kw_only=True)
class RuntimeKind:
    """How one is opened, and what it is good for.

    * `open`: raises NotHereError, in words for the person who asked for it
    * `unwatched`: why no filter can be put on its workers' sends; empty: one can
    * `differs`: what of a crash is not there as it is for a worker that is a process of this machine, in sentences
    * `lanes`: how many of its lanes so many cores carry without making the subject miss its own time limits
    """

    capabilities: frozenset[Capability]
    lanes: Callable[[int], int]
    unwatched: Callable[[], str]
    differs: tuple[str, ...] = ()
    open: Callable[[Place], AbstractContextManager[Runtime]]


@contextmanager
def _local(place: Place) -> Iterator[Runtime]:
    from harness.runtimes.process import LocalRuntime

    yield LocalRuntime(place.session, resolve(), cwd=place.cwd)


@contextmanager
def _docker(place: Place) -> Iterator[Runtime]:
    _need_library()
    from harness.runtimes.docker.runtime import open_runtime

    with open_runtime(place.session, place.choice, cwd=place.cwd, named=place.named) as runtime:
        yield runtime


def _need_library() -> None:
    """What containers need is not installed with the rest: most people run processes."""
    if find_spec("docker") is None:
        raise NotHereError("containers need the docker package: pip install 'jobproof[containers]'")


def _local_unwatched() -> str:
    from harness.boundaries import user_notify

    return user_notify.available()


def docker_version() -> str:
    """The version of the daemon that answers.

    :raises NotHereError: none does, or it cannot be asked
    """
    _need_library()
    from harness.runtimes.docker.daemon import connect

    return str(connect().version()["Version"])


def swept_containers(root: Path) -> list[str]:
    """Remove what dead sessions of a folder have left in the daemon; their names.

    :raises NotHereError: no daemon answers, or it cannot be asked
    """
    _need_library()
    from harness.runtimes.docker.daemon import connect
    from harness.runtimes.docker.reaper import sweep

    return sweep(connect(), root)


RUNTIMES: dict[str, RuntimeKind] = {
    # A lane waits for a third of its time: for redelivery, a backoff, a limit. One more than cores fills that.
    "local": RuntimeKind(
        capabilities=CAPABILITIES, lanes=lambda cores: cores + 1, unwatched=_local_unwatched, open=_local
    ),
    # Nothing is forked there from what has been imported: every program of a lane imports all it needs, at once.
    "docker": RuntimeKind(
        capabilities=CAPABILITIES | OF_HOSTS,
        lanes=lambda cores: max(1, cores // 2),
        unwatched=lambda: "what its image starts is the worker itself, on which no filter can be put from outside",
        differs=(
            "A worker's container ends with its main process: the kernel kills whatever else runs in it.",
            "Each worker is started anew from its image; none is forked from one that has imported.",
        ),
        open=_docker,
    ),
}

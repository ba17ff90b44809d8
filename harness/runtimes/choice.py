"""The runtimes that there are."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.plan import RuntimeChoice
from harness.runtimes.lane_system import CAPABILITIES
from harness.runtimes.runtime import Runtime
from harness.services.broker import resolve
from harness.session import HarnessError, Session
from harness.system import Capability

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
    """:param open: raises NotHereError, in words for the person who asked for it"""

    capabilities: frozenset[Capability]
    open: Callable[[Place], AbstractContextManager[Runtime]]


@contextmanager
def _local(place: Place) -> Iterator[Runtime]:
    from harness.runtimes.process import LocalRuntime

    yield LocalRuntime(place.session, resolve(), cwd=place.cwd)


@contextmanager
def _docker(place: Place) -> Iterator[Runtime]:
    from harness.runtimes.docker.runtime import open_runtime  # its libraries are not needed anywhere else

    with open_runtime(place.session, place.choice, cwd=place.cwd, named=place.named) as runtime:
        yield runtime


RUNTIMES: dict[str, RuntimeKind] = {
    "local": RuntimeKind(capabilities=CAPABILITIES, open=_local),
    "docker": RuntimeKind(capabilities=CAPABILITIES, open=_docker),
}

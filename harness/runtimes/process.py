"""The local runtime: broker, ledger and workers as real processes, each in its own process group."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TypeAlias

from harness.lane import Lane
from harness.plan import Plan
from harness.runtimes.home import LaneHome, open_homes
from harness.runtimes.lane_system import CAPABILITIES, LaneSystem
from harness.runtimes.runtime import Source
from harness.services.broker import BrokerServer, start_broker
from harness.session import Session, open_session
from harness.store import Recorder
from harness.system import Capability

LocalSystem: TypeAlias = LaneSystem[LaneHome]


class LocalRuntime:
    """See `harness.runtimes.runtime.Runtime`. `cwd` is where the subject is started."""

    def __init__(self, session: Session, server: BrokerServer, *, cwd: Path) -> None:
        self.session = session
        self.server = server
        self.cwd = cwd

    @property
    def capabilities(self) -> frozenset[Capability]:
        return CAPABILITIES

    @property
    def versions(self) -> Mapping[str, str]:
        return {"broker server": f"{self.server.version} ({self.server.found})"}

    @property
    def sentence(self) -> str:
        return f"{self.server.version} from {self.server.found}"

    contained = False
    image = ""

    @contextmanager
    def apart(self, home: LaneHome) -> Iterator[Lane]:
        """In a session of its own: whatever it starts is gone with it."""
        del home
        with open_session(in_memory=True) as session, session.lane("apart") as lane:
            yield lane

    def source_in(self, lane: Lane, files: Sequence[str]) -> Source:
        del lane, files
        return Source(files={}, folder=self.cwd)

    def open_homes(self, count: int) -> AbstractContextManager[tuple[LaneHome, ...]]:
        return open_homes(self.session, count)

    @contextmanager
    def assemble(
        self, plan: Plan, *, name: str, recorder: Recorder, home: LaneHome, behind: bool = False
    ) -> Iterator[LocalSystem]:
        with ExitStack() as stack:
            home.make_ready()
            lane = stack.enter_context(self.session.lane(name))
            port = home.behind.broker if behind or plan.proxied else home.ports.broker
            system = LocalSystem(
                plan=plan,
                lane=lane,
                services=lane,
                recorder=recorder,
                cwd=self.cwd,
                broker=start_broker(lane, self.server, port, home.ports.broker),
                home=home,
                listening=home.listening_behind if behind else None,
            )
            stack.callback(system.close)
            yield system

    def deploy(self, plan: Plan, *, recorder: Recorder, home: LaneHome) -> AbstractContextManager[LocalSystem]:
        return deploy(
            plan,
            session=self.session,
            server=self.server,
            recorder=recorder,
            name=plan.scenario,
            cwd=self.cwd,
            home=home,
        )


@contextmanager
def deploy(
    plan: Plan,
    *,
    session: Session,
    server: BrokerServer,
    recorder: Recorder,
    name: str,
    cwd: Path,
    home: LaneHome | None = None,
) -> Iterator[LocalSystem]:
    """A started lane for one plan: its own broker, ledger, agent, workers and an empty directory for the subject.

    Without a `home`, in which a run's scenarios follow each other, the lane has one for this plan alone.

    :raises SubjectError: the subject cannot be started
    :raises HarnessError: a part of the harness cannot be started
    """
    with ExitStack() as stack:
        if home is None:
            (home,) = stack.enter_context(open_homes(session, 1))
        runtime = LocalRuntime(session, server, cwd=cwd)
        system = stack.enter_context(runtime.assemble(plan, name=name, recorder=recorder, home=home))
        system.start()
        yield system

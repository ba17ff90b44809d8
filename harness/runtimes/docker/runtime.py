"""The docker runtime: what is needed for it is found or made once, then each plan gets a lane of containers."""

import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import docker
from docker.errors import APIError, ContainerError
from msgspec import Struct
from msgspec.structs import replace

from harness.plan import Plan, RuntimeChoice
from harness.runtimes import faketime
from harness.runtimes.docker import images, toxiproxy
from harness.runtimes.docker.containers import Cast, ContainerLane
from harness.runtimes.docker.daemon import connect, labels
from harness.runtimes.docker.home import BEHIND_PORT, BROKER_PORT, SOURCE, ContainerHome, Taken
from harness.runtimes.docker.hosts import ContainerHosts
from harness.runtimes.docker.images import Image
from harness.runtimes.docker.limits import limits
from harness.runtimes.docker.network import private_network
from harness.runtimes.docker.reaper import reaping, sweep
from harness.runtimes.docker.toxiproxy import ProxyServer
from harness.runtimes.lane_system import CAPABILITIES, LaneSystem
from harness.runtimes.runtime import Source
from harness.services.broker import BrokerServer, NoBrokerError, checked, start_broker, version_in
from harness.session import Session
from harness.store import Recorder
from harness.system import OF_HOSTS, Capability, SubjectError
from harness.systems import system_of

_numbers = itertools.count(1)  # of homes: each has a folder and a network of its own
_FIND_BROKER = "p=$(command -v valkey-server || command -v redis-server) && echo $p && $p --version"


class Found(Struct, frozen=True, kw_only=True):
    """All that a run needs besides the daemon. `directory` is where the subject starts; empty: its image says where."""

    own: Image
    subject: Image
    broker: Image
    server: BrokerServer
    proxy: ProxyServer
    directory: str = ""


class ContainerSystem(LaneSystem[ContainerHome]):
    """See `harness.system.System`. Each worker's container is its host."""

    @property
    def capabilities(self) -> frozenset[Capability]:
        return super().capabilities | (OF_HOSTS - system_of(self.contract).cannot(self.contract).keys())

    @property
    def hosts(self) -> ContainerHosts:
        return self._hosts

    def host_in(self, client: "docker.DockerClient", lane: ContainerLane) -> None:
        """The subject's programs run in the containers of this lane."""
        self._hosts = ContainerHosts(
            client,
            lane,
            network=self.home.network,
            directory=self.home.directory,
            workers=self.workers,
            driver=self.driver,
        )


class DockerRuntime:
    """See `harness.runtimes.runtime.Runtime`."""

    contained = True

    def __init__(self, client: "docker.DockerClient", session: Session, found: Found, *, cwd: Path) -> None:
        self.client = client
        self.session = session
        self.found = found
        self.cwd = cwd
        self._labels = labels(session.directory.name, session.directory.parent)

    @property
    def capabilities(self) -> frozenset[Capability]:
        return CAPABILITIES | OF_HOSTS

    @property
    def versions(self) -> Mapping[str, str]:
        found = self.found
        return {
            "runtime": f"docker {self.client.version()['Version']}",
            "base image": found.own.base,
            "image of the subject": found.subject.sentence,
            "image of the harness": found.own.sentence,
            "broker server": f"{found.server.version} ({found.server.found})",
            "fault proxy": found.proxy.found,
        }

    @property
    def image(self) -> str:
        return self.found.subject.identity

    @contextmanager
    def apart(self, home: ContainerHome) -> Iterator[ContainerLane]:
        with ExitStack() as stack:
            directory = stack.enter_context(self.session.lane(f"{home.name}-apart")).directory
            yield self._lane(stack, home, directory, self._subject(home, directory), proxied=False)

    def source_in(self, lane: ContainerLane, files: Sequence[str]) -> Source:
        """Copied out of the image, once for all that is asked of it; with a contract's folder it is here already."""
        if self.found.directory:
            return Source(files={}, folder=self.cwd)
        target = self.session.directory / "source"
        started = Path(str(self.client.api.inspect_image(self.found.subject.name)["Config"]["WorkingDir"] or "/"))
        return Source(files=lane.fetch(files, target), folder=target / started.relative_to("/"))

    @property
    def sentence(self) -> str:
        found = self.found
        return f"docker, {found.server.version}, {found.subject.name} on {found.subject.base or found.subject.found}"

    @contextmanager
    def open_homes(self, count: int) -> Iterator[tuple[ContainerHome, ...]]:
        with ExitStack() as stack:
            yield tuple(self._home(stack, next(_numbers)) for _ in range(count))

    def _home(self, stack: ExitStack, number: int) -> ContainerHome:
        name = f"jobproof-{self.session.directory.name}-{number}"
        network = stack.enter_context(private_network(self.client, name, self._labels))
        scope = stack.enter_context(self.session.lane(f"home-{number}"))
        return ContainerHome(
            network, name=name.replace("-", "_"), directory=scope.directory / "work", proxy=self.found.proxy
        )

    @contextmanager
    def deploy(self, plan: Plan, *, recorder: Recorder, home: ContainerHome) -> Iterator[ContainerSystem]:
        with self.assemble(plan, name=plan.scenario, recorder=recorder, home=home) as system:
            system.start()
            yield system

    @contextmanager
    def assemble(
        self, plan: Plan, *, name: str, recorder: Recorder, home: ContainerHome, behind: bool = False
    ) -> Iterator[ContainerSystem]:
        proxied = behind or plan.proxied
        with ExitStack() as stack:
            home.make_ready()
            directory = stack.enter_context(self.session.lane(name)).directory
            lane_of = partial(self._lane, stack, home, directory, proxied=proxied)
            own = Cast(
                image=self.found.own.name,
                network=home.network,
                labels=self._labels,
                user=f"{os.getuid()}:{os.getgid()}",  # what it writes is read here, and it needs no rights of its own
                without_capabilities=True,
                reads=(SOURCE / "harness", *self.found.proxy.mounts),
                writes=(directory,),
            )
            services = lane_of(own)
            brokers = lane_of(replace(own, image=self.found.broker.name))
            taken = Taken(
                lane=lane_of(self._subject(home, directory, *self._needed(plan))),
                proxy=lane_of(replace(own, image=self.found.proxy.image)),
            )
            home.take(taken)
            port = BEHIND_PORT if proxied else BROKER_PORT
            broker = start_broker(brokers, self.found.server, port, BROKER_PORT, home.broker_host)
            system = ContainerSystem(
                plan=plan,
                lane=taken.lane,
                services=services,
                recorder=recorder,
                cwd=Path(self.found.directory),
                broker=broker,
                home=home,
            )
            system.host_in(self.client, taken.lane)
            stack.callback(system.close)
            yield system

    def _lane(
        self, stack: ExitStack, home: ContainerHome, directory: Path, cast: Cast, *, proxied: bool
    ) -> ContainerLane:
        lane = ContainerLane(
            self.client, cast, name=home.network.name, directory=directory, seats=home.seats(proxied=proxied)
        )
        stack.callback(lane.end)
        return lane

    def _needed(self, plan: Plan) -> tuple[Path, ...]:
        """What the subject reads in this plan and in no other.

        :raises NoImageError: the image of its release before is not to be had
        """
        previous = plan.contract.previous
        if previous is not None and previous.image and Capability.RUN_PREVIOUS_RELEASE in plan.needs:
            images.find(self.client, previous.image, option="Release(image=...) in the contract")
        clock = faketime.library() if Capability.MOVE_CLOCK in plan.needs else None
        return () if clock is None else (clock.parent,)

    def _subject(self, home: ContainerHome, directory: Path, *more: Path) -> Cast:
        """The subject as its image has it, except that its user is ours where we could not look after another's.

        Of the harness it sees what is loaded into it and the lane's sockets; it writes to its own directory alone.
        `more`: what else it reads.
        """
        at_home = (Path(self.found.directory),) if self.found.directory else ()
        return Cast(
            image=self.found.subject.name,
            network=home.network,
            labels=self._labels,
            user="" if os.getuid() == 0 else f"{os.getuid()}:{os.getgid()}",
            reads=(SOURCE / "harness", directory, *at_home, *more),
            writes=(home.directory,),
            directory=self.found.directory,
            error=SubjectError,
        )


@contextmanager
def open_runtime(session: Session, choice: RuntimeChoice, *, cwd: Path, named: bool) -> Iterator[DockerRuntime]:
    """A runtime for one command; whatever it has in the daemon is gone afterwards, however this process ends.

    `named`: the contract is somebody's own. Without an image of theirs, what it is about is in `cwd` and runs in ours.

    :raises NoDockerError: there is no daemon
    :raises NoImageError: an image is not to be had
    :raises NoBrokerError: the broker's image has no server that can be used
    """
    client = connect()
    root = session.directory.parent
    sweep(client, root)
    with reaping(session.directory.name, root):
        found = _found(client, session, choice, directory=str(cwd) if named else "")
        yield DockerRuntime(client, session, found, cwd=cwd)


def _found(client: "docker.DockerClient", session: Session, choice: RuntimeChoice, *, directory: str) -> Found:
    own = images.own(client, choice.base_image)
    subject = images.find(client, choice.image, option="--image") if choice.image else own
    broker = images.find(client, choice.broker_image, option="--broker-image") if choice.broker_image else own
    return Found(
        own=own,
        subject=subject,
        broker=broker,
        server=_server_in(client, broker, labels(session.directory.name, session.directory.parent)),
        proxy=toxiproxy.choose(client, own, choice.toxiproxy_image),
        directory="" if choice.image else directory,
    )


def _server_in(client: "docker.DockerClient", image: Image, ours: dict[str, str]) -> BrokerServer:
    """:raises NoBrokerError: the image has no server, or one that is too old"""
    api = client.api
    try:
        made = api.create_container(
            image.name,
            entrypoint=["sh", "-c"],
            command=[_FIND_BROKER],
            labels=ours,
            host_config=limits(api, network_mode="none", cap_drop=["ALL"]),
        )["Id"]
        api.start(made)
        api.wait(made, timeout=60)
        said = api.logs(made).decode(errors="replace")
        api.remove_container(made, v=True, force=True)
    except (APIError, ContainerError) as error:
        raise NoBrokerError(f"the broker image {image.name} cannot be asked for its server: {error}") from error
    path, _, rest = said.strip().partition("\n")
    version = version_in(rest)
    if version is None:
        raise NoBrokerError(f"the image {image.name} has neither valkey-server nor redis-server on its PATH: {said}")
    return checked(BrokerServer(path=path, version=version, found=f"the image {image.name}"))

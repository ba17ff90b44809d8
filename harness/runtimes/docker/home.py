"""A lane of containers for as long as the run: its network, its addresses, and the subject's directory."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil
from msgspec import Struct

from harness.boundaries.message_proxies import Route
from harness.codec import encode
from harness.contract import Contract, Release
from harness.lane import Lane
from harness.runtimes.docker.containers import ContainerLane, Seat
from harness.runtimes.docker.doors import open_doors
from harness.runtimes.docker.network import Network
from harness.runtimes.docker.packaged import PackagedToxiproxy
from harness.runtimes.docker.toxiproxy import ProxyServer
from harness.runtimes.forker import Forker
from harness.runtimes.ground import BROKER, LEDGER, PROXY, READY_SECONDS_MAX, Link, Listening, Service, ready
from harness.runtimes.log_tail import tail
from harness.runtimes.workers import runs
from harness.services.broker import Host
from harness.services.gate import Gate
from harness.services.proxy.client import Toxiproxy, ToxiproxyError
from harness.services.proxy.server import Settings as ProxySettings
from harness.session import HarnessError
from harness.system import SubjectError
from harness.waiting import wait_until

EVERYWHERE = "0.0.0.0"  # noqa: S104 - of a container in a network of its own
SOURCE = Path(__file__).parents[3]  # what is imported as `harness`
HTTP_PORT, SMTP_PORT, BROKER_PORT, BEHIND_PORT, CONTROL_PORT = 8025, 1025, 6379, 6380, 8474
_ADDRESSES = {BROKER: 10, LEDGER: 11, PROXY: 12}
_BEHIND = "-behind"


class Taken(Struct, frozen=True, kw_only=True):
    """What a home is taken with for one plan: where the subject's programs run, and where the fault proxy does."""

    lane: ContainerLane
    proxy: ContainerLane


class ContainerHome:
    """See `harness.runtimes.ground.Home`.

    Where a fault proxy stands in between it has the names of the servers, and they have others; the subject sees the
    same either way.
    """

    def __init__(self, network: Network, *, name: str, directory: Path, proxy: ProxyServer) -> None:
        self.network = network
        self.name = name
        self.directory = directory
        self._proxy = proxy
        self._now: Taken | None = None

    def python_of(self, contract: Contract, cwd: Path) -> str:
        """The image's own."""
        del cwd  # of this machine
        return contract.python or "python"

    def directory_of(self, release: Release, cwd: Path) -> Path:
        """The image's matter, or for all that is started in the lane the same."""
        if release.directory:
            raise SubjectError("in containers the previous release is an image: name it as Release(image=...)")
        return cwd

    def take(self, taken: "Taken") -> None:
        self._now = taken

    @property
    def _taken(self) -> "Taken":
        if self._now is None:
            raise HarnessError("nothing has been deployed in this lane yet")
        return self._now

    @property
    def placeholders(self) -> dict[str, str]:
        return {
            "broker_url": f"redis://{BROKER}:{BROKER_PORT}/0",
            "ledger_url": f"http://{LEDGER}:{HTTP_PORT}",
            "smtp_url": f"smtp://{LEDGER}:{SMTP_PORT}",
            "smtp_host": f"{LEDGER}",
            "smtp_port": f"{SMTP_PORT}",
            "directory": str(self.directory),
            "lane": self.name,
        }

    @property
    def listening(self) -> Listening:
        return Listening(host=EVERYWHERE, http=HTTP_PORT, smtp=SMTP_PORT)

    @property
    def broker_host(self) -> Host:
        return Host(listens=EVERYWHERE, reached=self._address(BROKER), called=BROKER)

    @property
    def links(self) -> tuple[Link, ...]:
        ledger = self._address(LEDGER)
        return (
            _link(BROKER, BROKER_PORT, f"{self._address(BROKER)}:{BEHIND_PORT}"),
            _link(LEDGER, HTTP_PORT, f"{ledger}:{HTTP_PORT}"),
            _link("smtp", SMTP_PORT, f"{ledger}:{SMTP_PORT}"),
        )

    @contextmanager
    def routes(self, lane: Lane) -> Iterator[dict[str, Route]]:
        """In the lane's own network, under the servers' names."""
        with open_doors(lane, self.service, [_port(link.listen) for link in self.links]) as doors:
            yield {
                link.name: Route(listen=link.listen, upstream=link.upstream, door=door)
                for link, door in zip(self.links, doors, strict=True)
            }

    def seats(self, *, proxied: bool) -> dict[str, Seat]:
        """Who has which address, and which names."""
        names: dict[str, tuple[str, ...]] = {BROKER: (BROKER,), LEDGER: (LEDGER,), PROXY: (PROXY,)}
        if proxied:
            names = {BROKER: (BROKER + _BEHIND,), LEDGER: (LEDGER + _BEHIND,), PROXY: (PROXY, BROKER, LEDGER)}
        return {who: Seat(address=self._address(who), names=names[who]) for who in _ADDRESSES}

    def _address(self, who: str) -> str:
        return self.network.address(_ADDRESSES[who])

    def make_ready(self) -> None:
        """An empty directory, which the subject may write to whoever it is."""
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir()
        self.directory.chmod(0o777)

    def subject_environment(self, own: Mapping[str, str]) -> dict[str, str]:
        """Nothing but what is meant for it: the rest is its image's."""
        return dict(own)

    def forker(self, argv: list[str], *, environment: Mapping[str, str], cwd: Path) -> Forker:
        del argv, environment, cwd
        return Forker(self._taken.lane, 0, "each runs in a container of its own")

    def service(self, name: str, settings: Struct) -> Service:
        return Service(
            argv=("python", "-P", "-m", f"harness.services.{name}", encode(settings).decode()),
            environment={"PYTHONPATH": str(SOURCE), "PYTHONDONTWRITEBYTECODE": "1"},
        )

    def start_proxy(self, lane: Lane, gate: Gate, *, seed: int, origin: float) -> Toxiproxy:
        """In an image of its own, perhaps, so not where the other services are."""
        lane = self._taken.proxy
        proxy = PackagedToxiproxy(f"http://{self._address(PROXY)}:{CONTROL_PORT}")
        if self._proxy.program:
            words = (self._proxy.program, "-host", EVERYWHERE, "-port", str(CONTROL_PORT))
            pid = lane.spawn(words, environment={}, cwd=lane.directory, log="proxy.log")
            wait_until(lambda: _answers(proxy, lane, pid), within=READY_SECONDS_MAX, or_else="Toxiproxy did not answer")
        else:
            settings = ProxySettings(
                host=EVERYWHERE, port=CONTROL_PORT, seed=seed, origin=origin, gate=str(gate.path), node=PROXY
            )
            service = self.service(PROXY, settings)
            pid = lane.spawn(service.argv, environment=service.environment, cwd=lane.directory, log="proxy.log")
            ready(lane, gate, PROXY, pid)
        return proxy

    def unknown(self, known: set[int]) -> set[int]:
        return {process.pid for process in self.stray_processes(known)}

    def stray_processes(self, known: set[int]) -> list[psutil.Process]:
        return [each for each in self._taken.lane.processes() if each.pid not in known and runs(each)]


def _answers(proxy: Toxiproxy, lane: Lane, pid: int) -> bool:
    """:raises HarnessError: it has ended"""
    if status := lane.exit_of(pid):
        raise HarnessError(f"Toxiproxy ended with {status}: {tail(lane.directory / 'proxy.log')}")
    try:
        return bool(proxy.version())
    except ToxiproxyError:
        return False


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])


def _link(name: str, port: int, upstream: str) -> Link:
    return Link(name=name, listen=f"{EVERYWHERE}:{port}", upstream=upstream)

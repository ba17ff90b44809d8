"""What can be done to the host of a worker, which its container plays."""

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from pathlib import Path

import docker
import psutil
from docker.errors import APIError

from harness.runtimes.docker import packets
from harness.runtimes.docker.containers import ContainerLane
from harness.runtimes.docker.disk import Disk
from harness.runtimes.docker.files import no_more_files
from harness.runtimes.docker.limits import MEMORY, PIDS_MAX, cpu_quota
from harness.runtimes.docker.memory import oom_events
from harness.runtimes.docker.network import Network
from harness.runtimes.docker.processes import limit_processes, refusals
from harness.runtimes.workers import LaneWorkers, Node, runs, standing_still
from harness.services.gate import Arrival, jobs_of
from harness.system import Direction, Evidence, Impact, SubjectError, Target
from harness.systems.driver import Driver
from harness.waiting import WaitedInVainError, wait_until

SECONDS_MAX = 15.0
NOBODY = "127.0.0.254"  # where no name server is
ROOM_BYTES, HUNGER_BYTES = 16 << 20, 48 << 20  # what is left, and what is wanted; a container's /dev/shm has 64 MiB
PAGE_BYTES = 1 << 12
FIRST_TO_DIE = 1000  # of the scores by which the kernel chooses, the highest
# What lies in memory as a file is nobody's when the kernel looks for who has most: so it takes whom it was told to, and
# then who writes. With that one the file is gone, which has no name, before anybody else has to die.
_EAT = f"""
echo {FIRST_TO_DIE - 1} >/proc/self/oom_score_adj
exec >/dev/shm/jobproof
rm /dev/shm/jobproof
exec head -c {HUNGER_BYTES} /dev/zero
"""


class ContainerHosts:
    """See `harness.system.Hosts`."""

    def __init__(
        self,
        client: "docker.DockerClient",
        lane: ContainerLane,
        *,
        network: Network,
        directory: Path,
        workers: LaneWorkers,
        driver: Driver,
    ) -> None:
        """`directory`: the subject's own."""
        self._client = client
        self._lane = lane
        self._network = network
        self._directory = directory
        self._workers = workers
        self._driver = driver

    @contextmanager
    def crash(self, arrival: Arrival | None) -> Iterator[Evidence]:
        node, container = self._host(arrival)
        clients = self._connections(node)

        def vanish() -> None:
            self._client.api.disconnect_container_from_network(container, self._network.name)
            self._client.api.kill(container, "SIGKILL")
            # The server would see that they are dead when its keepalive fails, minutes later. Until then it hands
            # messages to those of them that wait for one: that is the broker's loss, and a job is not to be blamed.
            self._driver.drop(clients)

        hit = f"host of worker {node.worker.name!r}, without a word to its peers"
        impact = self._workers.end(node, vanish, hit, arrival)
        try:
            yield lambda: impact
        finally:
            self._workers.recover()

    def cut_off(self, arrival: Arrival | None, direction: Direction) -> AbstractContextManager[Evidence]:
        return self._cut_off(arrival) if direction is Direction.BOTH else self._cut_off_one_way(arrival, direction)

    @contextmanager
    def _cut_off_one_way(self, arrival: Arrival | None, direction: Direction) -> Iterator[Evidence]:
        node, _ = self._host(arrival)
        held = self._driver.in_flight(self._connections(node))
        jobs = tuple(dict.fromkeys((*jobs_of(arrival), *held)))
        impact = Impact(targets=(f"packets {direction} worker {node.worker.name!r}",), jobs=jobs)
        with self._driver.nothing_in_between():
            packets.drop(node.pid, direction)
        try:
            yield lambda: impact if packets.dropped(node.pid, direction) else None
        finally:
            with suppress(SubjectError):  # it may have ended by itself meanwhile, and its network with it
                packets.let_pass(node.pid, direction)

    @contextmanager
    def _cut_off(self, arrival: Arrival | None) -> Iterator[Evidence]:
        node, container = self._host(arrival)
        place = self._client.api.inspect_container(container)["NetworkSettings"]["Networks"][self._network.name]
        held = self._driver.in_flight(self._connections(node))
        with self._driver.nothing_in_between():
            self._client.api.disconnect_container_from_network(container, self._network.name)
        impact = Impact(
            targets=(f"network of worker {node.worker.name!r}",), jobs=tuple(dict.fromkeys((*jobs_of(arrival), *held)))
        )
        try:
            yield lambda: impact
        finally:
            with suppress(APIError):  # it may have ended by itself meanwhile
                self._client.api.connect_container_to_network(
                    container, self._network.name, ipv4_address=place["IPAddress"], aliases=place["Aliases"]
                )

    @contextmanager
    def starve(self, arrival: Arrival | None, *, cpus: float) -> Iterator[Evidence]:
        node, container = self._host(arrival)
        before = self._throttled(container)
        self._client.api.update_container(container, cpu_quota=cpu_quota(cpus))

        def evidence() -> Impact | None:
            if self._throttled(container) <= before:
                return None
            return Impact(targets=(f"processors of worker {node.worker.name!r}",), jobs=jobs_of(arrival))

        try:
            yield evidence
        finally:
            with suppress(APIError):
                self._client.api.update_container(container, cpu_quota=cpu_quota())

    @contextmanager
    def hide_names(self, arrival: Arrival | None) -> Iterator[Evidence]:
        node, container = self._host(arrival)
        before = self._shell(container, "cat /etc/resolv.conf")
        self._shell(container, f"echo nameserver {NOBODY} > /etc/resolv.conf")
        impact = Impact(targets=(f"name server of worker {node.worker.name!r}",), jobs=jobs_of(arrival))
        try:
            yield lambda: impact
        finally:
            with suppress(APIError, SubjectError):
                self._shell(container, f"cat > /etc/resolv.conf <<'END'\n{before}\nEND")

    @contextmanager
    def exhaust_memory(self, arrival: Arrival | None, target: Target) -> Iterator[Evidence]:
        node, child = self._workers.victim(arrival)
        container = self._lane.container_of(node.pid)
        told = oom_events(self._client, container)
        name = node.worker.name
        with self._workers.standing_alone(arrival, child):
            if target is Target.CHILD and child not in {None, node.pid}:
                hit = f"memory of worker {name!r}: the kernel killed pool child {child}"
                impact = self._workers.end_child(node, child, partial(self._starve, node, container), hit, arrival)
            else:
                hit = f"memory of worker {name!r}: the kernel killed main process {node.pid}"
                impact = self._workers.end(node, partial(self._leave_no_memory, container, node.pid), hit, arrival)
        try:
            yield lambda: impact if told() else None
        finally:
            with suppress(APIError):  # it may be gone with its main process
                self._client.api.update_container(container, mem_limit=MEMORY, memswap_limit=MEMORY)
            self._workers.recover()

    @contextmanager
    def exhaust_files(self, arrival: Arrival | None) -> Iterator[Evidence]:
        node, _ = self._host(arrival)
        impact = Impact(targets=(f"open files of worker {node.worker.name!r}",), jobs=jobs_of(arrival))
        with no_more_files(lambda: self._workers.tree(node)):
            yield lambda: impact

    @contextmanager
    def exhaust_processes(self, arrival: Arrival | None) -> Iterator[Evidence]:
        node, container = self._host(arrival)
        refused = refusals(node.pid)
        limit_processes(self._client, container, 1)  # what runs already goes on, however many there are

        def evidence() -> Impact | None:
            if not refused():
                return None
            return Impact(targets=(f"processes of worker {node.worker.name!r}",), jobs=jobs_of(arrival))

        try:
            yield evidence
        finally:
            with suppress(APIError):
                limit_processes(self._client, container, PIDS_MAX)

    @contextmanager
    def fill_disk(self, arrival: Arrival | None) -> Iterator[Evidence]:
        node, _ = self._host(arrival)
        with Disk(node.pid, self._directory).full():
            yield lambda: Impact(targets=(f"disk of worker {node.worker.name!r}",), jobs=jobs_of(arrival))

    @contextmanager
    def protect_disk(self, arrival: Arrival | None) -> Iterator[Evidence]:
        node, _ = self._host(arrival)
        with Disk(node.pid, self._directory).read_only():
            yield lambda: Impact(targets=(f"disk of worker {node.worker.name!r}",), jobs=jobs_of(arrival))

    def _host(self, arrival: Arrival | None) -> tuple[Node, str]:
        node, _ = self._workers.victim(arrival)
        return node, self._lane.container_of(node.pid)

    def _connections(self, node: Node) -> set[str]:
        return self._driver.connections_of([process.pid for process in self._workers.tree(node)])

    def _throttled(self, container: str) -> int:
        told = self._client.api.stats(container, stream=False, one_shot=True)
        return int(told["cpu_stats"]["throttling_data"]["throttled_periods"])

    def _shell(self, container: str, script: str) -> str:
        return self._inside(container, ["sh", "-c", script], user="0")

    def _inside(self, container: str, words: list[str], *, user: str) -> str:
        """:raises SubjectError: the image lacks the program, or it failed"""
        made = self._client.api.exec_create(container, words, user=user)["Id"]
        said = bytes(self._client.api.exec_start(made)).decode(errors="replace")
        if (code := self._client.api.exec_inspect(made)["ExitCode"]) != 0:
            raise SubjectError(f"{words[0]!r} in the worker's container ended with {code}: {said.strip()[-200:]}")
        return said

    def _starve(self, node: Node, container: str, pid: int) -> None:
        """Who eats is killed next, and on a busy machine gives back late what it had written: who of the worker asked
        for memory meanwhile would have to die for it, the main process first of all.
        """
        with standing_still(each.pid for each in self._workers.tree(node) if each.pid != pid):
            self._leave_no_memory(container, pid)

    def _leave_no_memory(self, container: str, pid: int) -> None:
        """Somebody in the container wants more than there is, until the kernel has killed this process for it.

        :raises SubjectError: it has not
        """
        stats = self._client.api.stats(container, stream=False, one_shot=True)["memory_stats"]
        kept = stats["stats"].get("total_inactive_file", stats["stats"].get("inactive_file", 0))
        limit = (int(stats["usage"]) - int(kept) + ROOM_BYTES) // PAGE_BYTES * PAGE_BYTES
        self._client.api.update_container(container, mem_limit=limit, memswap_limit=limit)
        doomed = psutil.Process(pid)
        (Path("/proc") / str(pid) / "oom_score_adj").write_text(str(FIRST_TO_DIE))
        hungry = threading.Thread(target=self._eat, args=(container,), daemon=True)
        hungry.start()
        try:
            wait_until(lambda: not runs(doomed), within=SECONDS_MAX, or_else="the kernel killed nobody for memory")
        except WaitedInVainError as error:
            raise SubjectError(str(error)) from error
        hungry.join(SECONDS_MAX)

    def _eat(self, container: str) -> None:
        with suppress(APIError, SubjectError, OSError):  # it ends with its container
            self._shell(container, _EAT)

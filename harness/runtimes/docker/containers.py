"""A lane whose processes run in containers: one for each program that is spawned."""

import io
import itertools
import tarfile
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import docker
import psutil
from docker.errors import APIError, DockerException
from docker.types import Mount
from msgspec import Struct

from harness.lane import ExitListener
from harness.runtimes.docker.limits import limits
from harness.runtimes.docker.network import Network
from harness.session import HarnessError, exit_words
from harness.waiting import WaitedInVainError, wait_until

LOG_BYTES_MAX = 1 << 20
_START_SECONDS_MAX = 10.0
_AT_ONCE = 8
_numbers = itertools.count(1)


class Cast(Struct, frozen=True, kw_only=True):
    """What the containers of a lane have in common.

    * `user`: as Docker takes it; empty: the image's own
    * `reads`, `writes`: directories of this machine, seen under the same path
    * `directory`: where programs are started; empty: the image's own
    * `error`: what is raised where one cannot be started
    """

    image: str
    network: Network
    labels: dict[str, str]
    user: str = ""
    reads: tuple[Path, ...] = ()
    writes: tuple[Path, ...] = ()
    directory: str = ""
    without_capabilities: bool = False
    error: type[RuntimeError] = HarnessError


class Seat(Struct, frozen=True, kw_only=True):
    """A fixed place in the network: an address, and the names under which it is found."""

    address: str
    names: tuple[str, ...]


class ContainerLane:
    """See `harness.lane.Lane`. What is spawned is the one program of its container, below the container's init.

    `seats` are the places of programs that others have to find, by what the programs are called.
    """

    def __init__(
        self,
        client: "docker.DockerClient",
        cast: Cast,
        *,
        name: str,
        directory: Path,
        seats: Mapping[str, Seat] | None = None,
    ) -> None:
        self._client = client
        self._cast = cast
        self._name = name
        self._seats = seats or {}
        self._changed = threading.Condition()
        self._containers: dict[int, str] = {}  # the id of each, by its program's pid
        self._inits: dict[int, int] = {}
        self._exits: dict[int, str] = {}
        self._made: list[str] = []
        self.directory = directory

    def spawn(
        self,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str],
        cwd: Path,
        log: str,
        image: str = "",
        on_exit: ExitListener | None = None,
        forks: bool = False,
        forker: int = 0,
        writes: Sequence[Path] = (),
    ) -> int:
        """Where programs start is the image's matter or the cast's, so `cwd` is not looked at; nothing is forked."""
        del cwd
        if forks or forker:
            raise HarnessError("in containers programs are executed, not forked")
        name = log.rpartition(".")[0] or log
        self._open_to_others(writes)
        try:
            made = self._create(name, argv, environment, writes, image or self._cast.image)
            self._made.append(made)
            self._client.api.start(made)
            init = int(self._client.api.inspect_container(made)["State"]["Pid"])
        except APIError as error:
            raise self._cast.error(f"container {name!r} could not be started: {error.explanation}") from error
        except (DockerException, OSError) as error:
            raise HarnessError(f"the Docker daemon does not answer: {error}") from error
        pid = self._program(init)
        with self._changed:
            if pid:
                self._exits.pop(pid, None)  # of another process that had the number
                self._containers[pid], self._inits[pid] = made, init
        follower = threading.Thread(
            target=self._follow, args=(made, pid, self.directory / log, on_exit), name=f"container-{name}", daemon=True
        )
        follower.start()
        if not pid:
            follower.join(_START_SECONDS_MAX)
            raise self._cast.error(f"container {name!r} ended at once: {self._told(made)}")
        return pid

    def _create(
        self, name: str, argv: Sequence[str], environment: Mapping[str, str], writes: Sequence[Path], image: str
    ) -> str:
        cast, api = self._cast, self._client.api
        mounts = [Mount(str(path), str(path), type="bind", read_only=True) for path in cast.reads]
        mounts += [Mount(str(path), str(path), type="bind") for path in (*cast.writes, *writes)]
        seat = self._seats.get(name)
        endpoint = api.create_endpoint_config(
            ipv4_address=seat.address if seat is not None else None,
            aliases=list(seat.names) if seat is not None else [name],
        )
        made = api.create_container(
            image,
            name=f"{self._name}-{name}-{next(_numbers)}",
            # Not through the image's own entry point: what is spawned is to be the very process that is known here.
            entrypoint=list(argv[:1]),
            command=list(argv[1:]),
            environment=dict(environment),
            labels=cast.labels,
            user=cast.user or None,
            working_dir=cast.directory or None,
            healthcheck={"test": ["NONE"]},  # it would run in the subject, and is nothing of the harness's
            networking_config=api.create_networking_config({cast.network.name: endpoint}),
            host_config=limits(
                api,
                mounts=mounts,
                network_mode=cast.network.name,
                cap_drop=["ALL"] if cast.without_capabilities else None,
            ),
        )
        return str(made["Id"])

    def _open_to_others(self, writes: Sequence[Path]) -> None:
        """An image has a user of its own. The folder above all this is closed to everybody else's."""
        for path in writes:
            path.touch()
            path.chmod(0o666)
        self.directory.chmod(0o755)
        for path in self._cast.writes:
            if path != self.directory:
                path.chmod(0o777)
        for path in self.directory.iterdir():
            if path.is_socket():
                with suppress(OSError):  # gone meanwhile, or made by somebody else who sees to it
                    path.chmod(0o777)

    @staticmethod
    def _program(init: int) -> int:
        """The one child that a container's init starts; 0 if all is over already."""

        def found() -> int | None:
            try:
                children = psutil.Process(init).children()
            except psutil.Error:
                return -1
            return children[0].pid if children else None

        if not init:
            return 0
        try:
            return max(0, wait_until(found, within=_START_SECONDS_MAX, or_else="the program of a container"))
        except WaitedInVainError:
            return 0

    def _follow(self, made: str, pid: int, log: Path, on_exit: ExitListener | None) -> None:
        """Keep what it prints, up to a cap; then tell how it ended."""
        written = 0
        with suppress(OSError, DockerException), log.open("ab", buffering=0) as file:
            for data in self._client.api.logs(made, stream=True, follow=True):
                file.write(data[: max(0, LOG_BYTES_MAX - written)])
                written += len(data)
        try:
            status = exit_words(_as_signal(int(self._client.api.wait(made)["StatusCode"])))
        except (DockerException, OSError, KeyError):
            status = "removed"
        with self._changed:
            if self._containers.get(pid) == made:
                self._exits[pid] = status
            self._changed.notify_all()
        if on_exit is not None and pid:
            on_exit(pid, status)

    def _told(self, made: str) -> str:
        try:
            state = self._client.api.inspect_container(made)["State"]
            said = self._client.api.logs(made, tail=4).decode(errors="replace")
        except (DockerException, OSError):
            return "it is gone"
        return f"exit {state['ExitCode']}, {' / '.join(said.split(chr(10))).strip(' /') or 'it printed nothing'}"

    def fetch(self, files: Sequence[str], target: Path) -> dict[str, str]:
        """Copy files of the container that was made last to below a folder; where each is that could be had."""
        found = {}
        for file in dict.fromkeys(files):
            try:
                parts, _ = self._client.api.get_archive(self._made[-1], file)
                with tarfile.open(fileobj=io.BytesIO(b"".join(parts))) as archive:
                    content = archive.extractfile(archive.getmembers()[0])
                    data = content.read() if content is not None else b""
            except (DockerException, OSError, KeyError, IndexError, tarfile.TarError):
                continue
            path = target / file.lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            found[file] = str(path)
        return found

    def exit_of(self, pid: int) -> str | None:
        with self._changed:
            return self._exits.get(pid)

    def wait_forker(self, pid: int, *, within: float) -> dict[str, Any] | None:
        del pid, within
        return None

    def running(self) -> list[int]:
        with self._changed:
            return [pid for pid in self._containers if pid not in self._exits]

    def descendants(self) -> set[int]:
        found = set()
        for pid in self.running():
            with suppress(psutil.Error):
                found |= {pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))}
        return found

    def processes(self) -> list[psutil.Process]:
        """Whatever lives in the containers, their inits excepted."""
        found = []
        with self._changed:
            inits = [self._inits[pid] for pid in self._containers if pid not in self._exits]
        for init in inits:
            with suppress(psutil.Error):
                found += psutil.Process(init).children(recursive=True)
        return found

    def container_of(self, pid: int) -> str:
        """The id of the container whose program has that pid.

        :raises KeyError: none has
        """
        with self._changed:
            return self._containers[pid]

    def end(self) -> None:
        """Remove every container; what runs in them is killed."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(self._remove, self._made))

    def _remove(self, made: str) -> None:
        with suppress(DockerException, OSError):  # the session's reaper sees to what is left
            self._client.api.remove_container(made, v=True, force=True)


def _as_signal(code: int) -> int:
    """An init tells the death of its program by a signal as a shell does."""
    return code if code <= 128 else 128 - code  # noqa: PLR2004 - where the numbers of signals begin

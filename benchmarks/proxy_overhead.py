"""What a proxy costs: round trips of a small message on loopback, direct, embedded, and through Toxiproxy.

    python benchmarks/proxy_overhead.py [--rounds 2000]

All in one run and in turns, so that the ratios mean something on a busy machine. Toxiproxy's server is the one that
JOBPROOF_TOXIPROXY names or `toxiproxy-server` on PATH; without it, its row is left out.
"""

import argparse
import contextlib
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

from harness.services.proxy.client import Toxiproxy, ToxiproxyError
from harness.services.proxy.toxics import Noop
from harness.waiting import wait_until

TURNS = 5
MESSAGE = b"x" * 64


def echo(listener: socket.socket) -> None:
    """Serve connections, each in a thread of its own, until the listener is closed."""

    def serve(wire: socket.socket) -> None:
        with wire, contextlib.suppress(OSError):
            while data := wire.recv(1 << 16):
                wire.sendall(data)

    with contextlib.suppress(OSError):
        while True:
            wire, _ = listener.accept()
            wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=serve, args=(wire,), daemon=True).start()


def round_trips(address: tuple[str, int], rounds: int) -> list[float]:
    """How long each round trip took, in microseconds."""
    took = []
    with socket.create_connection(address, timeout=10) as wire:
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(rounds):
            began = time.perf_counter()
            wire.sendall(MESSAGE)
            left = len(MESSAGE)
            while left:
                left -= len(wire.recv(left))
            took.append((time.perf_counter() - began) * 1_000_000)
    return took


@contextlib.contextmanager
def ended_after(process: subprocess.Popen[bytes]) -> Iterator[None]:
    with process:
        try:
            yield
        finally:
            process.terminate()


@contextlib.contextmanager
def embedded() -> Iterator[Toxiproxy]:
    process = subprocess.Popen([sys.executable, "-m", "harness.services.proxy", "{}"], stdout=subprocess.PIPE)
    with ended_after(process):
        assert process.stdout is not None  # noqa: S101 - it was asked for
        yield Toxiproxy(f"http://127.0.0.1:{json.loads(process.stdout.readline())['port']}")


@contextlib.contextmanager
def real(path: str) -> Iterator[Toxiproxy]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    process = subprocess.Popen([path, "-host", "127.0.0.1", "-port", str(port)], stdout=subprocess.DEVNULL)
    server = Toxiproxy(f"http://127.0.0.1:{port}")

    def answers() -> bool:
        with contextlib.suppress(ToxiproxyError):
            return bool(server.version())
        return False

    with ended_after(process):
        wait_until(answers, within=10, or_else=f"{path} did not answer")
        yield server


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rounds", type=int, default=2000)
    rounds = options.parse_args().rounds
    path = os.environ.get("JOBPROOF_TOXIPROXY") or shutil.which("toxiproxy-server")
    with contextlib.ExitStack() as opened:
        listener = opened.enter_context(socket.create_server(("127.0.0.1", 0)))
        threading.Thread(target=echo, args=(listener,), daemon=True).start()
        upstream = "{}:{}".format(*listener.getsockname())
        ways = {"direct": listener.getsockname()}
        servers = {"embedded": opened.enter_context(embedded())}
        if path:
            servers["toxiproxy"] = opened.enter_context(real(path))
        for name, server in servers.items():
            ways[name] = server.create("plain", upstream=upstream).address
            through = server.create("noop", upstream=upstream)
            for stream in ("upstream", "downstream"):
                through.add(Noop(), stream=stream)
            ways[f"{name}, a toxic each way"] = through.address
        took: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(TURNS):
            for name, address in ways.items():
                took[name] += round_trips(address, rounds // TURNS)
    direct = statistics.median(took["direct"])
    lines = [f"{'round trip of 64 bytes':32} {'median':>9} {'p99':>9} {'ratio':>6}"]
    for name, each in took.items():
        median, p99 = statistics.median(each), statistics.quantiles(each, n=100)[98]
        lines.append(f"{name:32} {median:6.0f} µs {p99:6.0f} µs {median / direct:6.1f}")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()

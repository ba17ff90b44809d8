"""What an intercepted send costs, against the same send that is not intercepted, in one run on one machine.

    python benchmarks/interception.py [COUNT]

The sender is one process that writes COUNT times to a pipe, to a socket that is of no interest, and sends COUNT
Redis commands without and with effect to a socket that is followed; once by itself, once under the supervisor. Each
time is that of the best of seven rounds, which other work on the machine disturbs least, in microseconds for one call,
and the median stands behind it. The last line compares with the target of the project.
"""

import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from harness.boundaries import user_notify
from harness.boundaries.client import SupervisorClient
from harness.boundaries.supervisor import Settings
from harness.waiting import wait_until

ROUNDS = 7
TARGET_MICROSECONDS = 100.0
READ = b"*2\r\n$3\r\nGET\r\n$7\r\ninvoice\r\n"
EFFECT = b"*4\r\n$4\r\nHSET\r\n$7\r\ninvoice\r\n$4\r\npaid\r\n$3\r\nyes\r\n"


def pairs() -> dict[str, tuple[Callable[[], int], Callable[[], object]]]:
    """For each kind of call how it is made, and how what it sent is taken away again."""
    read_end, write_end = os.pipe()
    left, right = socket.socketpair()
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        served, _ = server.accept()
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return {
        "pipe, write": (lambda: os.write(write_end, READ), lambda: os.read(read_end, 4096)),
        "local socket, send": (lambda: left.send(READ), lambda: right.recv(4096)),
        "TCP, send, no effect": (lambda: client.send(READ), lambda: served.recv(4096)),
        "TCP, send, a boundary": (lambda: client.send(EFFECT), lambda: served.recv(4096)),
    }


def measure(count: int) -> dict[str, tuple[float, float]]:
    """The best and the median round, in microseconds for one call; only the call itself is timed."""
    found = {}
    for name, (call, take_away) in pairs().items():
        rounds = []
        for _ in range(ROUNDS):
            spent = 0.0
            for _ in range(count):
                began = time.perf_counter()
                call()
                spent += time.perf_counter() - began
                take_away()
            rounds.append(spent / count * 1e6)
        found[name] = (min(rounds), statistics.median(rounds))
    return found


def measured(words: list[str], count: int) -> dict[str, tuple[float, float]]:
    done = subprocess.run([*words, sys.executable, __file__, "measure", str(count)], stdout=subprocess.PIPE, check=True)
    times: dict[str, tuple[float, float]] = json.loads(done.stdout)
    return times


def compare(count: int) -> int:
    with tempfile.TemporaryDirectory() as directory:
        settings = Settings(
            record=f"{directory}/record", listeners=f"{directory}/l", control=f"{directory}/c", origin=time.monotonic()
        )
        words = [sys.executable, "-m", "harness.boundaries.supervisor", msgspec.json.encode(settings).decode()]
        with subprocess.Popen(words) as supervisor:
            wait_until(lambda: Path(settings.control).exists(), within=20, or_else="the supervisor did not start")
            plain = measured([], count)
            watched = measured([sys.executable, user_notify.__file__, settings.listeners, "main", "--"], count)
            status = SupervisorClient(Path(settings.control)).status()
            supervisor.terminate()
    print(f"{platform.release()}, {os.cpu_count()} cores, Python {platform.python_version()}, {count} calls a round")
    print(f"{'microseconds a call':24}{'plain':>10}{'watched':>10}{'added':>10}   (medians)")
    for name, (best, median) in plain.items():
        best_watched, median_watched = watched[name]
        print(f"{name:24}{best:10.1f}{best_watched:10.1f}{best_watched - best:10.1f}", end="")
        print(f"   ({median:.1f}, {median_watched:.1f})")
    print(f"intercepted {status['calls']} calls, {status['boundaries']} boundaries, {status['unseen']} unseen")
    reached = watched["TCP, send, a boundary"][0] - plain["TCP, send, a boundary"][0]
    print(f"a boundary adds {reached:.0f} us; the target is under {TARGET_MICROSECONDS:.0f} us")
    return 0 if reached < TARGET_MICROSECONDS else 1


def main() -> int:
    if sys.argv[1:2] == ["measure"]:
        print(json.dumps(measure(int(sys.argv[2]))))
        return 0
    if reason := user_notify.available():
        print(reason, file=sys.stderr)
        return 3
    return compare(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)


if __name__ == "__main__":
    sys.exit(main())

"""How many crashes of a real worker can be tried in a second, by jobproof and by other ways, in one run.

    python benchmarks/explore.py [--forks N] [--rivals N]

* the limit: fork, SIGKILL and wait, in a process that has imported Celery
* a worker booted from the command line for each trial, with Celery's defaults and a visibility timeout of 2 s
* the same, tuned: no gossip, mingle, heartbeat; a visibility timeout of 1 s that is looked after every 0.1 s
* jobproof explore, on one lane and on two: clean runs and confirmations are trials, too

The rivals have a job with one effect over HTTP, explore has one with three. The rivals kill the whole group inside the
effect and wait until it was redelivered, done and acknowledged. The ratios matter, not the numbers: they are another
machine's tomorrow.
"""

import argparse
import http.server
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from harness.services.broker import resolve, start_broker
from harness.services.ports import claimed_ports
from harness.session import open_session
from harness.waiting import wait_until

ROOT = Path(__file__).parents[1]
HARD = ROOT / "tests" / "subjects" / "hard" / "hard_contract.py"
TRIAL_SECONDS_MAX = 60.0
TARGET_PER_SECOND = 8.0
THREE_EFFECTS_SECONDS = 5.0
APP = """
import json, os, urllib.request
from celery import Celery
app = Celery("app", broker=os.environ["BROKER"])
app.conf.update(
    task_acks_late=True, task_reject_on_worker_lost=True, broker_transport_options=json.loads(os.environ["OPTIONS"])
)
@app.task(name="send")
def send():
    urllib.request.urlopen(urllib.request.Request(os.environ["URL"], data=b"x", method="POST"), timeout=30).read()
"""
DEFAULTS = ({"visibility_timeout": 2}, [], 2.0)
TUNED = (
    {
        "visibility_timeout": 1,
        "unacked_restore_interval": 0.1,
        "unacked_restore_throttle": 1,
        "unacked_mutex_expire": 1,
    },
    ["--without-gossip", "--without-mingle", "--without-heartbeat"],
    0.0,
)


class Downstream:
    """Holds the first request of each trial until it is released; the others are answered at once."""

    def __init__(self) -> None:
        self.arrived = threading.Event()
        self.released = threading.Event()
        downstream = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                downstream.arrived.set()
                downstream.released.wait(TRIAL_SECONDS_MAX)
                try:
                    self.send_response(200)
                    self.end_headers()
                except OSError:
                    return  # it has been killed, as planned

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/"


def bare(count: int) -> float:
    """Per second; in a process of its own, which has one thread."""
    code = (
        "import os, signal, sys, time\nimport celery.bin.worker, celery.apps.worker, celery.concurrency.prefork\n"
        "began = time.perf_counter()\nfor _ in range(int(sys.argv[1])):\n    pid = os.fork()\n    if pid == 0:\n"
        "        signal.pause()\n    os.kill(pid, 9)\n    os.waitpid(pid, 0)\nprint(time.perf_counter() - began)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(count)], stdout=subprocess.PIPE, check=True, text=True)
    return count / float(done.stdout)


@contextmanager
def worker(directory: Path, environment: dict[str, str], flags: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [sys.executable, "-m", "celery", "-A", "app", "worker", "-c", "1", *flags],
        cwd=directory,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def booted(options: dict[str, float], flags: list[str], pause: float, count: int) -> float:
    """Per second, of a worker that is booted from the command line before and after each kill."""
    downstream = Downstream()
    with (
        tempfile.TemporaryDirectory() as name,
        open_session() as session,
        session.lane("rival") as lane,
        claimed_ports(session.directory.parent, 1) as (port,),
    ):
        directory = Path(name)
        (directory / "app.py").write_text(APP)
        broker = start_broker(lane, resolve(), port)
        environment = {
            **os.environ,
            "BROKER": broker.url,
            "URL": downstream.url,
            "OPTIONS": json.dumps(options),
        }
        began = time.perf_counter()
        for _ in range(count):
            _killed_and_redelivered(directory, environment, flags, pause, downstream, broker.client)
        seconds = time.perf_counter() - began
        broker.client.close()
    downstream.server.shutdown()
    downstream.server.server_close()
    return count / seconds


def _killed_and_redelivered(
    directory: Path,
    environment: dict[str, str],
    flags: list[str],
    pause: float,
    downstream: Downstream,
    client: "redis.Redis",
) -> None:
    downstream.arrived.clear()
    downstream.released.clear()
    with worker(directory, environment, flags):
        send = "import app; app.send.delay()"
        subprocess.run([sys.executable, "-c", send], cwd=directory, env=environment, check=True)
        if not downstream.arrived.wait(TRIAL_SECONDS_MAX):
            raise SystemExit("the job did not come to its effect")
    downstream.released.set()
    if pause:
        threading.Event().wait(pause)  # a worker that starts earlier looks for it only 100 s later
    with worker(directory, environment, flags):
        wait_until(
            lambda: not client.exists("unacked", "celery"), within=TRIAL_SECONDS_MAX, or_else="it was not redelivered"
        )


# Run in a process of its own: what a trial's time goes into, by the stage's own steps.
TIMED = """
import collections, json, sys, time
from harness.explore import exploration, stage
spent = collections.Counter()
def timed(owner, name, told):
    step = getattr(owner, name)
    def run(*words, **named):
        began = time.perf_counter()
        try:
            return step(*words, **named)
        finally:
            spent[told] += time.perf_counter() - began
    setattr(owner, name, run)
timed(stage.Stage, "_set_the_scene", "a clean scene, a worker where none lives")
timed(stage.Stage, "_await_strike", "the job, up to the kill")
timed(stage.Stage, "_recover", "the dead: until they are gone, and a new worker")
timed(stage.Stage, "_drain", "redelivery, until drained")
timed(stage.Stage, "_record_what_is_left_behind", "strays and files")
timed(stage, "record_remains", "tables and dead letters")
timed(exploration, "judge", "judging")
timed(stage.Stage, "play", "whole")
from harness.cli import main
try:
    main(sys.argv[1:])
finally:
    print(json.dumps(spent), file=sys.stderr)
"""


def spent() -> tuple[int, dict[str, float]]:
    """How many trials one lane played, and the seconds of each step of them together."""
    with tempfile.TemporaryDirectory() as name:
        words = ["explore", str(HARD), "--job", "thrice", "--targets", "child,group", "--lanes", "1"]
        done = subprocess.run(
            [sys.executable, "-P", "-c", TIMED, *words, "--out", f"{name}/out"],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd=ROOT,
            text=True,
        )
        trials = json.loads(Path(name, "out", "explore.json").read_bytes())["trials"]
        return trials, json.loads(done.stderr.strip().splitlines()[-1])


def explored(lanes: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as name:
        words = ["explore", str(HARD), "--job", "thrice", "--targets", "child,group", "--lanes", str(lanes)]
        subprocess.run(
            [sys.executable, "-P", "-m", "harness.cli", *words, "--out", f"{name}/out"],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=ROOT,
        )
        found = json.loads(Path(name, "out", "explore.json").read_bytes())
        seconds = found["seconds_exploring"]
        return {"per second": found["trials"] / seconds, "trials": found["trials"], "seconds": seconds}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--forks", type=int, default=200, metavar="N", help="of the limit")
    parser.add_argument("--rivals", type=int, default=2, metavar="N", help="trials of each rival")
    given = parser.parse_args()
    load = os.getloadavg()[0]
    print(f"{platform.release()}, {os.cpu_count()} cores, Python {platform.python_version()}, load before {load:.1f}")
    rows = {"the limit: fork, kill, wait": bare(given.forks)}
    rows["booted, Celery's defaults, visibility timeout 2"] = booted(*DEFAULTS, given.rivals)
    rows["booted, tuned"] = booted(*TUNED, given.rivals)
    told = {}
    for lanes in (1, 2):
        told[lanes] = explored(lanes)
        rows[f"jobproof explore, {lanes} lane{'s' if lanes > 1 else ''}"] = told[lanes]["per second"]
    print(f"{'real crashes a second':50}{'a second':>10}{'defaults=1':>12}{'tuned=1':>10}")
    defaults, tuned = list(rows.values())[1:3]
    for name, per_second in rows.items():
        print(f"{name:50}{per_second:10.2f}{per_second / defaults:12.1f}{per_second / tuned:10.1f}")
    for lanes, each in told.items():
        print(
            f"three effects, child and group, every boundary and side, {lanes} lane(s): "
            f"{each['trials']:.0f} trials in {each['seconds']:.1f} s; the target is {THREE_EFFECTS_SECONDS:g} s"
        )
    trials, steps = spent()
    whole = steps.pop("whole")
    judging = steps.pop("judging")
    print(f"where a trial's time goes, one lane, milliseconds each ({trials} trials)")
    for step, seconds in sorted(steps.items(), key=lambda each: -each[1]):
        print(f"  {step:50}{1000 * seconds / trials:8.1f}")
    print(f"  {'the rest of the trial':50}{1000 * (whole - sum(steps.values())) / trials:8.1f}")
    print(f"  {'judging':50}{1000 * judging / trials:8.1f}")
    reached = told[1]["per second"]
    print(f"one lane reached {reached:.1f} a second; the target is {TARGET_PER_SECOND:g}")
    return 0 if reached >= TARGET_PER_SECOND else 1


if __name__ == "__main__":
    sys.exit(main())

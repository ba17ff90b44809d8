"""How often `jobproof run` says of a correct worker that it is one, and what else the machine did meanwhile.

    python benchmarks/repeats.py [SCENARIO ...] [--times N] [--beside COMMAND]

Each run has a seed of its own. With `--beside`, a command is run again and again next to the second half of them: what
the load of the machine does to the times. Exit code 1 if any run did not hold; its folder is kept and named.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

RUN_SECONDS_MAX = 600


def main() -> int:
    parser = argparse.ArgumentParser(description="repeats of `jobproof run` on the worker without a bug")
    parser.add_argument("scenario", nargs="*")
    parser.add_argument("--times", type=int, default=30)
    parser.add_argument("--beside", default="", help="a shell command that keeps the machine busy")
    arguments = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="jobproof-repeats-"))
    alone = arguments.times // 2 if arguments.beside else arguments.times
    seconds: dict[str, list[float]] = {"alone": [], "beside": []}
    wrong = []
    for how, numbers in (("alone", range(1, alone + 1)), ("beside", range(alone + 1, arguments.times + 1))):
        with _busy(arguments.beside if how == "beside" else ""):
            for number in numbers:
                directory = root / str(number)
                code, took = _run(arguments.scenario, seed=number, directory=directory)
                seconds[how].append(took)
                load = os.getloadavg()[0]
                sys.stdout.write(f"{number:3}  {how:6}  exit code {code}  {took:6.1f} s  load {load:.1f}\n")
                sys.stdout.flush()
                if code == 0:
                    shutil.rmtree(directory)
                else:
                    wrong.append(directory)
    for how, took_each in seconds.items():
        if took_each:
            sys.stdout.write(
                f"{how}: {len(took_each)} runs, {min(took_each):.1f} to {max(took_each):.1f} s, "
                f"median {statistics.median(took_each):.1f} s\n"
            )
    held = arguments.times - len(wrong)
    sys.stdout.write(f"held: {held} of {arguments.times}{''.join(f'; see {each}' for each in wrong)}\n")
    return 1 if wrong else 0


def _run(scenarios: list[str], *, seed: int, directory: Path) -> tuple[int, float]:
    words = [sys.executable, "-P", "-m", "harness.cli", "run", *scenarios, "--seed", str(seed), "--out", str(directory)]
    began = time.monotonic()
    done = subprocess.run(words, stdout=subprocess.DEVNULL, timeout=RUN_SECONDS_MAX, check=False)
    return done.returncode, time.monotonic() - began


@contextmanager
def _busy(command: str) -> Iterator[None]:
    """The command, over and over, until the block ends; then it is let come to its end."""
    is_over = threading.Event()

    def repeat() -> None:
        while not is_over.is_set():
            subprocess.run(command, shell=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)  # noqa: S602 - what the caller has typed

    thread = threading.Thread(target=repeat)
    if command:
        thread.start()
    try:
        yield
    finally:
        is_over.set()
        if command:
            thread.join()


if __name__ == "__main__":
    sys.exit(main())

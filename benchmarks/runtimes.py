"""The container runtime beside this machine's processes: each scenario's seconds, and where each planted bug is found.

    python benchmarks/runtimes.py [--base-image machine] [--profile core|full] [--seed N] [--bugs]

Both runtimes run the same plans one after the other, by the command that a person types, each with as many lanes as it
takes by itself. With `--bugs` every planted bug of the reference worker is put to its own scenarios in containers as
well. Ends with 1 where a scenario of the correct worker did not hold or a bug was not found.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from harness.result import Result
from reference_worker.contract import CONTRACT

RUN_SECONDS_MAX = 3600


@contextmanager
def ran(words: Sequence[str]) -> Iterator[Result]:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "out")
        done = subprocess.run(
            [sys.executable, "-P", "-m", "harness.cli", "run", *words, "--out", str(out)],
            capture_output=True,
            text=True,
            timeout=RUN_SECONDS_MAX,
            check=False,
        )
        if done.returncode > 1 and not (out / "result.json").exists():
            raise SystemExit(done.stderr)
        yield msgspec.json.decode((out / "result.json").read_bytes(), type=Result)


def compare(profile: str, seed: str, docker: Sequence[str]) -> bool:
    """Whether every scenario held on both; prints the table."""
    with ran(["--profile", profile, "--seed", seed]) as local:
        pass
    with ran(["--profile", profile, "--seed", seed, *docker]) as contained:
        pass
    seconds = {each.name: each.seconds for each in local.scenarios}
    print(f"{'scenario':44}{'local':>8}{'docker':>8}{'ratio':>7}  docker")
    for each in contained.scenarios:
        here = seconds.get(each.name)
        beside = f"{here:8.1f}{each.seconds:8.1f}{each.seconds / here:7.1f}" if here else f"{'-':>8}{each.seconds:8.1f}"
        print(f"{each.name:44}{beside}  {each.outcome}")
    print(f"{'all, as a person waits for it':44}{local.seconds:8.1f}{contained.seconds:8.1f}", end="")
    print(f"{contained.seconds / local.seconds:7.1f}  {contained.outcome}; local: {local.outcome}")
    return local.outcome == contained.outcome == "held"


def find(seed: str, docker: Sequence[str]) -> bool:
    """Whether every planted bug is found in containers by its own scenarios; prints a line for each."""
    missed = False
    for bug in CONTRACT.planted_bugs:
        with ran(["--bug", bug.name, "--seed", seed, *docker]) as result:
            violated = {
                (guarantee.guarantee, scenario.name)
                for scenario in result.scenarios
                for guarantee in scenario.guarantees
                if guarantee.status == "violated"
            }
        # On one lane no scenario is run after a fault-free run that did not hold: then that one has found it.
        already = (bug.guarantee, "fault-free") in violated
        found = already or all((bug.guarantee, scenario) in violated for scenario in bug.scenarios)
        outside = {guarantee for guarantee, _ in violated} - {bug.guarantee, *bug.also}
        missed |= not found or bool(outside)
        said = "found" if found else "MISSED"
        print(f"{bug.name:36}{said:8}{result.seconds:7.1f} s  {bug.guarantee} {' '.join(sorted(outside))}", flush=True)
    return not missed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--base-image", default="")
    parser.add_argument("--profile", default="core")
    parser.add_argument("--seed", default="11")
    parser.add_argument("--bugs", action="store_true")
    asked = parser.parse_args()
    docker = ["--runtime", "docker", *(["--base-image", asked.base_image] if asked.base_image else [])]
    held = compare(asked.profile, asked.seed, docker)
    return 0 if held & (find(asked.seed, docker) if asked.bugs else True) else 1


if __name__ == "__main__":
    raise SystemExit(main())

"""From `jobproof init` to the first verdict: how long it takes, and how many lines a person writes.

    python benchmarks/first_verdict.py [--repeat N] [--python PATH]

A subject as its team has it, without a contract (tests/subjects/classic): init, what only a person can say,
`certify --profile quick`. The targets are those of the project's own issue: ten lines, and 30 s on two cores. What is
stated is how much of each was used; seconds are another machine's tomorrow. `--python`: of an environment that holds
what the subject needs; without it that of jobproof.
"""

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness.exit_codes import ExitCode

SUBJECT = Path(__file__).parents[1] / "tests" / "subjects" / "classic"
CONTRACT = "jobproof_contract.py"
LINES_MAX, SECONDS_MAX = 10, 30.0
# What only a person can say: a pattern of a line that `init` has written, and what it becomes.
SAID = (
    (r'"SHOP_DB": todo\(.*?\)', '"SHOP_DB": "{directory}/shop.db"'),
    (r"inputs=todo\(.*\),", 'inputs=({"order_id": 1}, {"order_id": 2}),'),
    (r"# prepare=.*", 'prepare="shop.fixtures:load",'),
)


def jobproof(*words: str, cwd: Path, code: ExitCode) -> float:
    """The seconds that a command took, which ended as it must: a fast wrong answer is none."""
    began = time.monotonic()
    command = [sys.executable, "-P", "-m", "harness.cli", *words]
    ran = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if ran.returncode != code:
        raise SystemExit(f"jobproof {' '.join(words)} ended with {ran.returncode}\n{ran.stdout}{ran.stderr}")
    return time.monotonic() - began


def say_what_is_left(contract: Path) -> int:
    """The lines that a person writes."""
    before = contract.read_text()
    text = before
    for pattern, said in SAID:
        text = re.sub(pattern, said, text)
    contract.write_text(text)
    fixtures = (
        contract.parent / "shop" / "fixtures.py"
    ).read_text()  # a team has such a thing, but may have to write it
    own = [line for line in fixtures.splitlines() if line.strip()]
    return len(set(text.splitlines()) - set(before.splitlines())) + len(own)


def once(python: list[str]) -> tuple[float, float, int]:
    """Seconds of init and of certify, and the lines in between."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made) / "classic"
        shutil.copytree(SUBJECT, folder, ignore=shutil.ignore_patterns(CONTRACT, "__pycache__"))
        init = jobproof("init", "shop.celery:app", *python, cwd=folder, code=ExitCode.HELD)
        lines = say_what_is_left(folder / CONTRACT)
        certify = jobproof("certify", CONTRACT, "--profile", "quick", cwd=folder, code=ExitCode.VIOLATED)
        return init, certify, lines


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--repeat", type=int, default=3)
    arguments.add_argument("--python", default="")
    asked = arguments.parse_args()
    python = ["--python", str(Path(asked.python).resolve())] if asked.python else []
    runs = [once(python) for _ in range(asked.repeat)]
    init, certify = (statistics.median(each[n] for each in runs) for n in (0, 1))
    seconds, lines = init + certify, runs[0][2]
    print(f"median of {len(runs)}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(
        f"from init to verdict: {seconds:.1f} s (init {init:.1f} s), {seconds / SECONDS_MAX:.0%} of {SECONDS_MAX:g} s"
    )
    print(f"a person's own lines: {lines}, {lines / LINES_MAX:.0%} of {LINES_MAX}")


if __name__ == "__main__":
    main()

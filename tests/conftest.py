"""What all tests share: how the command is called, and what must be there in CI."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# How long an example takes is the machine's business, which may be doing other things.
settings.register_profile("jobproof", deadline=None)
settings.load_profile("jobproof")

ROOT = Path(__file__).parent.parent
# Several of these commands run side by side. A lane more has its own import of the subject, a sixth of a small run's
# work, and two cores have enough to do with one lane of each.
LANES = "1"
# The core profile takes some 80 s on two cores that nobody else uses; here other tests do.
COMMAND_SECONDS_MAX = 600


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str
    directory: Path

    @property
    def result(self) -> Any:
        return json.loads((self.directory / "result.json").read_bytes())

    def violated(self) -> set[tuple[str, str]]:
        """The violated guarantees, each with its scenario."""
        return {
            (guarantee["guarantee"], scenario["name"])
            for scenario in self.result["scenarios"]
            for guarantee in scenario["guarantees"]
            if guarantee["status"] == "violated"
        }


JobproofCommand = Callable[..., Ran]


def command_line(*arguments: str) -> list[str]:
    return [sys.executable, "-P", "-m", "harness.cli", *arguments]


@pytest.fixture
def jobproof(tmp_path: Path) -> JobproofCommand:
    """Runs `jobproof` with the given words; `out=True` adds an --out folder."""

    def call(*arguments: str, out: bool = False, cwd: Path = ROOT, **environment: str) -> Ran:
        return run_command(*arguments, directory=tmp_path / "out", out=out, cwd=cwd, **environment)

    return call


def run_command(*arguments: str, directory: Path, out: bool = True, cwd: Path = ROOT, **environment: str) -> Ran:
    """Run `jobproof` with the given words; `out` adds the folder as --out."""
    words = [*arguments, *(["--out", str(directory)] if out else [])]
    done = subprocess.run(
        command_line(*words),
        cwd=cwd,
        env={"JOBPROOF_LANES": LANES, **os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS_MAX,
        check=False,
    )
    return Ran(code=done.returncode, out=done.stdout, err=done.stderr, directory=directory)

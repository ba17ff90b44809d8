"""Subjects of other teams, each in a virtual environment of its own that is made once for a test session."""

import fcntl
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT, Ran

SUBJECTS = ROOT / "tests" / "subjects"
Environments = Callable[[str], str]


@pytest.fixture(scope="session")
def environment_of(tmp_path_factory: pytest.TempPathFactory) -> Environments:
    """The folder of the virtual environment of a subject, with what its requirements ask for and nothing of ours."""
    shared = tmp_path_factory.getbasetemp().parent  # with xdist the same for every process

    def environment(subject: str) -> str:
        requirements = SUBJECTS / subject / "requirements.txt"
        name = hashlib.sha256(requirements.read_bytes()).hexdigest()[:12]
        folder, done = shared / f"venv-{name}", shared / f"venv-{name}.done"
        with (shared / f"venv-{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
                pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
                subprocess.run([*pip, "-r", str(requirements)], check=True)
                done.touch()
        return str(folder)

    return environment


def certification(ran: Ran) -> Any:
    return json.loads((ran.directory / "certify.json").read_bytes())


def findings(ran: Ran, *, part: str) -> dict[tuple[str, str], Any]:
    """By name and task."""
    return {(each["name"], each["task"]): each for each in certification(ran)["findings"] if each["part"] == part}


def line_of(path: Path, text: str) -> int:
    """The number of the first line that holds a text."""
    return next(number for number, line in enumerate(path.read_text().splitlines(), start=1) if text in line)

"""Subjects of other teams, each in a virtual environment of its own that is made once on a machine."""

import fcntl
import hashlib
import json
import os
import shutil
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
def environment_of() -> Environments:
    """The folder of the virtual environment of a subject, with what its requirements ask for and nothing of ours."""
    return lambda subject: environment(SUBJECTS / subject / "requirements.txt")


def environment(requirements: Path) -> str:
    """The folder of a virtual environment with these requirements: made once on a machine, and anew where it is gone.

    It is kept in the user's cache under a name that changes with the pins and with the Python.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "jobproof" / "environments"
    cache.mkdir(parents=True, exist_ok=True)
    wanted = (requirements.read_text(), sys.version, sys.base_prefix)
    folder = cache / hashlib.sha256(repr(wanted).encode()).hexdigest()[:12]
    python, done = folder / "bin" / "python", folder / "done"
    with (cache / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (done.exists() and python.exists()):
            subprocess.run([sys.executable, "-m", "venv", "--without-pip", "--clear", str(folder)], check=True)
            subprocess.run([*installer(python), "-r", str(requirements)], check=True)
            done.touch()
    return str(folder)


def installer(python: Path) -> list[str]:
    """What installs into the environment of this Python: uv where it is, as in the Makefile, else our own pip."""
    if shutil.which("uv"):
        return ["uv", "pip", "install", "-q", "--python", str(python)]
    return [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--disable-pip-version-check"]


def certification(ran: Ran) -> Any:
    return json.loads((ran.directory / "certify.json").read_bytes())


def findings(ran: Ran, *, part: str) -> dict[tuple[str, str], Any]:
    """By name and task."""
    return {(each["name"], each["task"]): each for each in certification(ran)["findings"] if each["part"] == part}


def line_of(path: Path, text: str) -> int:
    """The number of the first line that holds a text."""
    return next(number for number, line in enumerate(path.read_text().splitlines(), start=1) if text in line)

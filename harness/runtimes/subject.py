"""What the subject's processes start with, whatever their job system."""

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from harness.contract import Contract
from harness.system import SubjectError


def subject_python(contract: Contract, cwd: Path) -> str:
    """The Python that runs the subject: the contract's, looked for in `cwd`, or ours.

    :raises SubjectError: there is none
    """
    return found_python(contract.python, cwd, told_by="Contract.python") if contract.python else sys.executable


def found_python(path: str, cwd: Path, *, told_by: str = "--python") -> str:
    """The Python of a path or a name; of a virtual environment's folder the one in it. An empty path is ours.

    :raises SubjectError: there is none
    """
    if not path:
        return sys.executable
    # Not resolved: a virtual environment is known by where its link stands.
    beside = cwd / path
    inside = beside / "bin" / "python"
    found = str(inside) if beside.is_dir() else shutil.which(beside) or shutil.which(path)
    if found is None or not os.access(found, os.X_OK):
        raise SubjectError(f"{told_by} {path}: there is no Python to start")
    return os.path.abspath(found)  # noqa: PTH100 - pathlib has nothing that makes a path absolute and keeps its links


def subject_environment(own: Mapping[str, str]) -> dict[str, str]:
    """The environment that the subject starts with: the caller's, without the harness's own variables."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("JOBPROOF_")}
    return {**inherited, **own}

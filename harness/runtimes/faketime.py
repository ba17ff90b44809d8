"""Clocks that can be moved, by libfaketime (https://github.com/wolfcw/libfaketime).

The dynamic loader puts it in front of the C library's clocks, in a worker's processes and all below them. It reads what
to show from a file at every call, so that a clock can jump. Monotonic time is left as it is, as where a machine's clock
is set: the record is kept by it. That works from 0.9.11 on, of which the package on PyPI has a build; with Debian 12's
0.9.10 `time.sleep` fails (https://github.com/wolfcw/libfaketime/issues/426).
"""

import os
import platform
import sys
from importlib.util import find_spec
from pathlib import Path

VARIABLE = "JOBPROOF_FAKETIME"
_PACKAGED = Path("vendor") / "libfaketime" / "src" / "libfaketime.so.1"


def library() -> Path | None:
    """What the variable names; else the package's; None where there is none for this machine."""
    if named := os.environ.get(VARIABLE):
        path = Path(named)
    else:
        found = find_spec("libfaketime")
        if sys.platform != "linux" or platform.machine() != "x86_64" or found is None or found.origin is None:
            return None
        path = Path(found.origin).parent / _PACKAGED
    return path.resolve() if path.is_file() else None


def environment_of(directory: Path, node: str) -> dict[str, str]:
    """What a worker is started with whose clock can be moved; it shows the right time until then."""
    path = library()
    if path is None:
        return {}
    show(directory, node, 0.0)
    return {
        "LD_PRELOAD": str(path),
        "FAKETIME_TIMESTAMP_FILE": str(_file_of(directory, node)),
        "FAKETIME_NO_CACHE": "1",
        "DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",
    }


def show(directory: Path, node: str, seconds: float) -> None:
    """From now on the worker's clock is so far ahead of, or (below 0) behind, the right time."""
    file = _file_of(directory, node)
    new = file.with_suffix(".new")
    new.write_text(f"{seconds:+g}\n")
    new.chmod(0o644)
    new.replace(file)  # whole at every moment: it is read all the time


def _file_of(directory: Path, node: str) -> Path:
    return directory / f"{node}.clock"

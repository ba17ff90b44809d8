"""How much of the machine this process may use."""

import math
import os
from contextlib import suppress
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")


def usable_cores(cgroups: Path = CGROUPS) -> int:
    """The cores that this process may run on, and not more than its control group has the time of; at least 1.

    A CI job in a container sees all cores of its host, and is stopped for a while whenever it has used up its quota:
    `os.cpu_count()` would open lanes there that starve each other. Read as the kernel has it in its
    Documentation/admin-guide/cgroup-v2.rst (`cpu.max`) and scheduler/sched-bwc.rst (`cpu.cfs_quota_us`). Of groups
    above, which a container cannot see, nothing is known.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota_cores(cgroups)
    return max(1, cores if quota is None else min(cores, math.ceil(quota)))


def _quota_cores(cgroups: Path) -> float | None:
    """None: there is no quota, or none that can be read."""
    with suppress(OSError, ValueError, ZeroDivisionError):
        quota, period = (cgroups / "cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    with suppress(OSError, ValueError, ZeroDivisionError):
        quota_us = int((cgroups / "cpu" / "cpu.cfs_quota_us").read_text())
        return None if quota_us <= 0 else quota_us / int((cgroups / "cpu" / "cpu.cfs_period_us").read_text())
    return None

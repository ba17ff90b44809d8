"""All planted bugs by name, and where each is planted; the monitor imports its own, and no worker's."""

from collections.abc import Callable
from typing import Any

from reference_worker.bugs import in_dead_letters, in_monitor, in_settings, in_tasks

CATALOGUE: dict[str, Callable[[Any], None]] = {
    **in_settings.BUGS,
    **in_tasks.BUGS,
    **in_dead_letters.BUGS,
    **in_monitor.BUGS,
}


def plant_in_settings(app: Any, name: str) -> None:
    """:raises ValueError: there is no bug of that name"""
    if name and name not in CATALOGUE:
        raise ValueError(f"REFERENCE_WORKER_BUG={name!r} is no planted bug")
    if name in in_settings.BUGS:
        in_settings.BUGS[name](app)


def plant_in_tasks(app: Any, name: str) -> None:
    for bugs in (in_tasks.BUGS, in_dead_letters.BUGS):
        if name in bugs:
            bugs[name](app)

"""Mistakes in how the queues are watched: planted in the monitor's own process."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any


def monitor_without_age(watch: Any) -> None:
    """What most dashboards show is the depth: a queue that nobody drains, with few jobs in it, never alarms."""
    watch.rules = replace(watch.rules, age_seconds=math.inf)


def alert_never_clears(watch: Any) -> None:
    """An alert that is only ever raised: soon nobody looks, and the next real one is not seen."""
    watch.is_over = lambda **_: False


BUGS: dict[str, Callable[[Any], None]] = {
    "monitor-without-age": monitor_without_age,
    "alert-never-clears": alert_never_clears,
}

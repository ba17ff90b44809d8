"""What every container of ours is bounded by, whatever runs in it."""

import os
from typing import Any

MEMORY = "1g"
PIDS_MAX = 512
_CPU_PERIOD = 100_000
_CPUS = min(2, os.cpu_count() or 1)
_LOG_BYTES_MAX = "1m"


def cpu_quota(cpus: float = _CPUS) -> int:
    """What a container is given of each period, in microseconds."""
    return int(_CPU_PERIOD * cpus)


def limits(client_api: Any, **more: Any) -> Any:
    """The host configuration. CPU is bounded by period and quota, which can be changed while a container runs."""
    return client_api.create_host_config(
        init=True,
        mem_limit=MEMORY,
        memswap_limit=MEMORY,
        pids_limit=PIDS_MAX,
        cpu_period=_CPU_PERIOD,
        cpu_quota=cpu_quota(),
        security_opt=["no-new-privileges"],
        log_config={"type": "json-file", "config": {"max-size": _LOG_BYTES_MAX, "max-file": "1"}},
        **more,
    )

"""The reliable worker's promises, asked of whatever command the environment names; how long a job may wait, too."""

import os
import shlex

from msgspec.structs import replace
from reliable_contract import CONTRACT as RELIABLE

from harness.contract import Worker

_command = tuple(shlex.split(os.environ["WORKER_COMMAND"]))
_seconds = float(os.environ.get("WORKER_WAIT_SECONDS", "20"))

CONTRACT = replace(
    RELIABLE,
    name="given worker",
    workers=(Worker(name="one", queues=("emails",), concurrency=1, command=_command),),
    tasks=tuple(replace(task, wait_seconds_max=_seconds) for task in RELIABLE.tasks),
)

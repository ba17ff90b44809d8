"""The reliable worker's promises, asked of whatever command the environment names."""

import os
import shlex

from msgspec.structs import replace
from reliable_contract import CONTRACT as RELIABLE

from harness.contract import Worker

_command = tuple(shlex.split(os.environ["WORKER_COMMAND"]))

CONTRACT = replace(
    RELIABLE, name="given worker", workers=(Worker(name="one", queues=("emails",), concurrency=1, command=_command),)
)

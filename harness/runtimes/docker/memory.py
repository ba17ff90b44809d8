"""Whether the kernel has killed somebody in a container for want of memory: the daemon's events tell, exits do not.

A pool child that is killed for its memory leaves its container running, and not marked; only the event tells it from
any other SIGKILL.
"""

import time
from collections.abc import Callable

import docker

from harness.waiting import WaitedInVainError, wait_until

EVENT_SECONDS_MAX = 5.0


def oom_events(client: "docker.DockerClient", container: str) -> Callable[[], bool]:
    """A question to be asked later: whether there was one since now. It is waited for: the daemon hears of it late."""
    since = time.time()

    def told() -> bool:
        filters = {"container": container, "event": "oom"}
        return any(client.api.events(since=since, until=time.time(), filters=filters, decode=True))

    def counted() -> bool:
        try:
            return wait_until(told, within=EVENT_SECONDS_MAX, or_else="no event")
        except WaitedInVainError:
            return False

    return counted

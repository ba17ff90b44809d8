"""Sockets of a container's network in the hands of the harness: where its own proxies stand in that network."""

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from msgspec import Struct

from harness.lane import Lane
from harness.runtimes.ground import PROXY, READY_SECONDS_MAX, Service
from harness.runtimes.log_tail import tail
from harness.services.doors import Settings
from harness.session import HarnessError
from harness.waiting import wait_until

DOORS = "doors"
_POLL_SECONDS = 0.05


@contextmanager
def open_doors(
    lane: Lane, service: Callable[[str, Struct], Service], ports: Sequence[int]
) -> Iterator[tuple[socket.socket, ...]]:
    """Bound sockets of a container that has the proxy's place in the network, one for each port, in order.

    :raises HarnessError: it ended before it had handed them over
    """
    path = lane.directory / f"{DOORS}.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen(1)
        listener.settimeout(_POLL_SECONDS)
        started = service(DOORS, Settings(asker=str(path), ports=tuple(ports)))
        log = f"{PROXY}.log"  # the name of the program decides about its place
        pid = lane.spawn(started.argv, environment=started.environment, cwd=lane.directory, log=log)

        def asked() -> socket.socket | None:
            with suppress(TimeoutError):
                return listener.accept()[0]
            if status := lane.exit_of(pid):
                raise HarnessError(f"the proxies' container ended with {status}: {tail(lane.directory / log)}")
            return None

        link = wait_until(asked, within=READY_SECONDS_MAX, or_else="the proxies' container did not start")
    with link:
        link.settimeout(READY_SECONDS_MAX)
        _, descriptors, _, _ = socket.recv_fds(link, 1 << 10, len(ports))
        doors = tuple(socket.socket(fileno=descriptor) for descriptor in descriptors)
        try:
            if len(doors) != len(ports):
                raise HarnessError(f"the proxies' container opened {len(doors)} of {len(ports)} ports")
            yield doors
        finally:
            for door in doors:
                door.close()

"""Loopback ports that a lane keeps for as long as the run: nobody else's run takes them meanwhile."""

import fcntl
import os
import random
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from harness.session import HarnessError

# Below the ephemeral range of Linux and macOS: no outgoing connection takes a port that a server will return to.
PORTS = range(20_000, 32_000)
_TRIES = 50  # more than are wanted


@contextmanager
def claimed_ports(root: Path, count: int) -> Iterator[tuple[int, ...]]:
    """`count` different ports of 127.0.0.1 on which nothing listens, locked against other sessions until the end.

    `root` is the folder of all sessions of this user.

    :raises HarnessError: too many of those tried were taken
    """
    locks = root / "ports"
    locks.mkdir(mode=0o700, exist_ok=True)
    claimed: list[int] = []
    with ExitStack() as stack:
        for _ in range(count + _TRIES):
            if len(claimed) == count:
                break
            # Not part of a plan: which port a lane has changes nothing that is judged.
            port = random.SystemRandom().choice(PORTS)
            lock = os.open(locks / str(port), os.O_RDWR | os.O_CREAT, 0o600)
            try:
                # A second claim by this very process is refused as well: the lock belongs to the open file.
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
                continue
            if not _is_free(port):
                os.close(lock)
                continue
            stack.callback(os.close, lock)
            claimed.append(port)
        else:
            raise HarnessError(f"of {count + _TRIES} ports that were tried, fewer than {count} were free")
        yield tuple(claimed)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True

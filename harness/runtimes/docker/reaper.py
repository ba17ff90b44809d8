"""Removes what a session has in the daemon, however the session ended.

`python -m harness.runtimes.docker.reaper SESSION ROOT` reads a pipe whose other end only the harness holds. When that
closes, be it by a `kill -9`, every container, network and volume of the session is removed. Should the reaper be killed
as well, the next session sweeps up: a session lives as long as the lock of its directory is held.
"""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError, DockerException

from harness.runtimes.docker.daemon import OWNER_LABEL, SESSION_LABEL, connect, filters, labels, owner

# What was being made when the harness died may appear after a first look.
_LOOKS = 3
_LOOK_SECONDS = 0.4
_REAP_SECONDS_MAX = 60.0
_AT_ONCE = 8


@contextmanager
def reaping(session: str, root: Path) -> Iterator[None]:
    """At the end of this, or of this process, what the session has in the daemon is removed."""
    reaper = subprocess.Popen(
        [sys.executable, "-P", "-m", "harness.runtimes.docker.reaper", session, str(root)],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield
    finally:
        if reaper.stdin is not None:
            reaper.stdin.close()
        reaper.wait()


def remove_all(client: "docker.DockerClient", wanted: Mapping[str, str]) -> int:
    """Remove every container, network and volume that carries the labels; how many there were.

    Whoever else removes them at the same time, or has, does no harm.
    """
    containers = client.api.containers(all=True, filters=filters(wanted))
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(lambda each: _remove(client.api.remove_container, each["Id"], v=True, force=True), containers))
    networks = client.api.networks(filters=filters(wanted))
    for network in networks:
        _remove(client.api.remove_network, network["Id"])
    volumes = client.api.volumes(filters=filters(wanted))["Volumes"] or []
    for volume in volumes:
        _remove(client.api.remove_volume, volume["Name"], force=True)
    return len(containers) + len(networks) + len(volumes)


def _remove(how: Callable[..., Any], what: str, **options: Any) -> None:
    with suppress(APIError):  # gone, or about to be: who asks looks again
        how(what, **options)


def sweep(client: "docker.DockerClient", root: Path) -> list[str]:
    """Remove what dead sessions of this user left in the daemon, and spare the living; the names of the dead."""
    ours = {OWNER_LABEL: owner(root)}
    found = [
        *client.api.containers(all=True, filters=filters(ours)),
        *client.api.networks(filters=filters(ours)),
        *(client.api.volumes(filters=filters(ours))["Volumes"] or []),
    ]
    dead = sorted({name for each in found if not lives(root / (name := each["Labels"][SESSION_LABEL]))})
    for name in dead:
        remove_all(client, labels(name, root))
    return dead


def lives(directory: Path) -> bool:
    """Whether somebody holds the lock of a session's directory."""
    try:
        lock = os.open(directory / "lock", os.O_RDWR)
    except OSError:
        return False  # the directory is there, and locked, before the session has anything else
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(lock)
    return False


def main() -> None:
    session, root = sys.argv[1], Path(sys.argv[2])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    wanted = labels(session, root)
    while os.read(0, 1 << 12):
        pass
    deadline = time.monotonic() + _REAP_SECONDS_MAX
    empty = 0
    while empty < _LOOKS and time.monotonic() < deadline:
        try:
            empty = 0 if remove_all(connect(), wanted) else empty + 1
        except DockerException as error:
            sys.stderr.write(f"jobproof: {error}\n")
        if empty < _LOOKS:
            time.sleep(_LOOK_SECONDS)
    if not lives(root / session):  # what containers wrote after the keeper had emptied it
        shutil.rmtree(root / session, ignore_errors=True)


if __name__ == "__main__":
    main()

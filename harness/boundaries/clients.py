"""Who is behind a connection that comes in, and how to end it: what differs from runtime to runtime.

A proxy sees an address. On one machine the kernel tells whose it is, in whatever container; elsewhere somebody else
must.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Protocol

import psutil
from msgspec import Struct

from harness.boundaries.rules import Process, Whom
from harness.namespaces import connections_to
from harness.waiting import WaitedInVainError, wait_until


class Client(Struct, frozen=True, kw_only=True):
    """A process that has opened a connection; `main` is the main process it belongs to, or 0."""

    pid: int
    process: Process
    main: int = 0


class Clients(Protocol):
    """Called from several threads."""

    def find(self, address: str, port: int) -> Client | None:
        """Who has called `port` from `address` ("127.0.0.1:40123"); None if nobody is there any more."""
        ...

    def runs(self, client: Client) -> bool: ...

    def kill(self, client: Client, whom: Whom, *, within: float) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """SIGKILL; who is gone, and who is not after `within` seconds.

        :raises ProcessLookupError: there is nobody to kill
        """
        ...


class LocalClients:
    """By the kernel's lists of this machine, on Linux and macOS; on Linux also of who is in a network of its own.

    A connection that several processes hold is counted as its opener's, the eldest of them: a descendant that sends on
    an inherited connection is taken for it. `mains` tells the main processes by now, `others` what else may call.
    """

    def __init__(self, *, mains: Callable[[], Iterable[int]], others: Callable[[], Iterable[int]]) -> None:
        self._mains = mains
        self._others = others

    def find(self, address: str, port: int) -> Client | None:
        for process, client in self._everybody():
            if address in connections_to(port, [process.pid]):
                return client
        return None

    def _everybody(self) -> Iterator[tuple[psutil.Process, Client]]:
        """Parents before their children."""
        for pid in self._mains():
            with suppress(psutil.Error):
                main = psutil.Process(pid)
                yield main, Client(pid=pid, process=Process.MAIN, main=pid)
                for child in main.children(recursive=True):
                    yield child, Client(pid=child.pid, process=Process.CHILD, main=pid)
        for pid in self._others():
            with suppress(psutil.Error):
                yield psutil.Process(pid), Client(pid=pid, process=Process.OTHER)

    def runs(self, client: Client) -> bool:
        return runs(client.pid)

    def kill(self, client: Client, whom: Whom, *, within: float) -> tuple[tuple[int, ...], tuple[int, ...]]:
        doomed = list(_victims(client, whom))
        for process in doomed:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        with suppress(WaitedInVainError):
            wait_until(lambda: not any(runs(each.pid) for each in doomed), within=within, or_else="not gone")
        left = tuple(each.pid for each in doomed if runs(each.pid))
        return tuple(each.pid for each in doomed if each.pid not in left), left


def _victims(client: Client, whom: Whom) -> Iterator[psutil.Process]:
    if whom is not Whom.SENDER and not client.main:
        raise ProcessLookupError(f"process {client.pid} has no main process")
    try:
        process = psutil.Process(client.pid if whom is Whom.SENDER else client.main)
        yield process
        if whom is Whom.GROUP:
            yield from process.children(recursive=True)
    except psutil.NoSuchProcess as error:
        raise ProcessLookupError(f"process {error.pid} had gone before it was killed") from error


def runs(pid: int) -> bool:
    """Whether the process is there; one that only waits to be asked for its status is gone."""
    with suppress(psutil.Error):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False

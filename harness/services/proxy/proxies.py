"""A proxy: an address that is listened on, the server behind it, and the toxics in between."""

import asyncio
import contextlib
import errno
import ipaddress
import os
import socket
import time
from collections import Counter, deque
from typing import Any

from harness.services.proxy.connection import Connection, Owner, Seen
from harness.services.proxy.placed import STREAMS, ApiError, Placed

CONNECTIONS_KEPT = 20_000
BACKLOG = 256


class Record:
    """The connections of all proxies, open and closed, in the order in which they came."""

    def __init__(self, origin: float) -> None:
        self._origin = origin
        self.seen: deque[Seen] = deque(maxlen=CONNECTIONS_KEPT)

    def now(self) -> float:
        return time.monotonic() - self._origin


class Proxy:
    def __init__(
        self,
        *,
        name: str,
        listen: str,
        upstream: str,
        seed: int,
        record: Record,
        anywhere: bool = False,
        door: socket.socket | None = None,
    ) -> None:
        """`door`: a socket that is bound already, in a network that is not this process's; closed with the proxy."""
        self.name = name
        self.listen = listen
        self.upstream = upstream
        self.enabled = False
        self._seed = seed
        self._record = record
        self._anywhere = anywhere
        self._door = door
        self._listener: asyncio.Server | None = None
        self._toxics: dict[str, Placed] = {}
        self._tallies: dict[
            str, Counter[str]
        ] = {}  # of each toxic: the connections that were opened under it, and its own
        self._number = 0
        self._live: set[Connection] = set()

    def view(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "listen": self.listen,
            "upstream": self.upstream,
            "enabled": self.enabled,
            "toxics": self.toxics(),
        }

    # --- up and down ---

    async def start(self) -> None:
        """Listen. Nothing happens if it does already.

        :raises ApiError: the address cannot be listened on
        """
        if self.enabled:
            return
        host, port = resolved(self.listen, anywhere=self._anywhere)
        call = split(self.upstream)
        loop = asyncio.get_running_loop()
        where: dict[str, Any] = {"sock": self._door} if self._door is not None else {"host": host, "port": port}
        try:
            self._listener = await loop.create_server(lambda: self._accept(call), backlog=BACKLOG, **where)
        except OSError as error:
            number = error.errno or errno.EADDRNOTAVAIL
            raise ApiError(500, f"listen tcp {host}:{port}: bind: {os.strerror(number).lower()}") from None
        self.listen = joined(*self._listener.sockets[0].getsockname()[:2])
        self.enabled = True

    def stop(self) -> None:
        """Close the listener and every connection."""
        self.enabled = False
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        for connection in tuple(self._live):
            connection.abort()

    def differs(self, listen: str, upstream: str) -> bool:
        """:raises ApiError: `listen` is not an address"""
        return (joined(*resolved(listen, anywhere=self._anywhere)), upstream) != (self.listen, self.upstream)

    async def change(self, *, listen: str, upstream: str, enabled: bool) -> None:
        """:raises ApiError: the address is none or cannot be listened on; the proxy is down then"""
        if self.differs(listen, upstream):
            self.stop()
            self.listen, self.upstream = listen, upstream
        if enabled:
            await self.start()
        else:
            self.stop()

    # --- toxics ---

    def toxics(self) -> list[dict[str, Any]]:
        return [each.view() for stream in STREAMS for each in self._toxics.values() if each.stream.lower() == stream]

    def toxic(self, name: str) -> Placed:
        """:raises ApiError: there is none of that name"""
        if name not in self._toxics:
            raise ApiError(404, "toxic not found")
        return self._toxics[name]

    def add(self, placed: Placed) -> None:
        """:raises ApiError: there is one of that name"""
        if placed.name in self._toxics:
            raise ApiError(409, "toxic already exists")
        self._toxics[placed.name] = placed
        tally = self._tallies[placed.name] = Counter()
        for connection in tuple(self._live):
            connection.add(placed, ordinal=0, tally=tally)

    def update(self, placed: Placed) -> None:
        self._toxics[placed.name] = placed
        for connection in tuple(self._live):
            connection.update(placed)

    def remove(self, name: str) -> None:
        """:raises ApiError: there is none of that name"""
        self.toxic(name)
        del self._toxics[name]
        for connection in tuple(self._live):
            connection.remove(name)

    def remove_all(self) -> None:
        for name in tuple(self._toxics):
            self.remove(name)

    # --- connections ---

    def _accept(self, upstream: tuple[str, int]) -> asyncio.Protocol:
        self._number += 1
        owner = Owner(
            upstream=upstream,
            seed=f"{self._seed}/{self.name}/{self._number}",
            clock=self._record.now,
            begun=self._begun,
            joined=self._joined,
            ended=self._live.discard,
        )
        return Connection(owner, Seen(proxy=self.name, client="", opened_at=self._record.now())).client

    def _begun(self, connection: Connection) -> bool:
        if self.enabled:
            self._live.add(connection)
            self._record.seen.append(connection.seen)
        return self.enabled

    def _joined(self, connection: Connection) -> None:
        for placed in self._toxics.values():
            tally = self._tallies[placed.name]
            tally["connections"] += placed.meets(connection.seen.client)
            connection.add(placed, ordinal=tally["connections"], tally=tally)


def split(address: str) -> tuple[str, int]:
    """The host and port of `host:port` or `[host]:port`.

    :raises ApiError: it is no such thing
    """
    host, colon, port = address.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:  # noqa: PLR2004 - ports end there
        raise ApiError(500, f"listen tcp: address {address}: missing port in address")
    return host.removeprefix("[").removesuffix("]"), int(port)


def resolved(listen: str, *, anywhere: bool = False) -> tuple[str, int]:
    """Where to listen: on loopback, also where no host is named, which would mean everywhere to Toxiproxy.

    `anywhere`: on any address, as in a network that nobody else is in.

    :raises ApiError: it is no address, or not of this machine's loopback
    """
    host, port = split(listen or ":0")
    if host in {"", "localhost"}:
        return "127.0.0.1", port
    if anywhere or is_loopback(host):
        return host, port
    raise ApiError(500, f"listen {listen}: this proxy listens on loopback only, such as 127.0.0.1:{port}")


def is_loopback(host: str) -> bool:
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False


def joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

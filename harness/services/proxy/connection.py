"""One connection through a proxy: two sockets and a link in each direction."""

import asyncio
import contextlib
import socket
import struct
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

from msgspec import Struct

from harness.services.proxy.link import Link, Outlet, Place, Stage
from harness.services.proxy.placed import Placed

CONNECT_SECONDS_MAX = 30.0


class Seen(Struct, kw_only=True):
    """A line of the record of connections; times are seconds since the origin that the proxy was started with."""

    proxy: str
    client: str  # the client's address and port as the proxy sees them
    upstream: str = ""  # the address and port from which the proxy called the server; empty if it got no answer
    opened_at: float
    closed_at: float | None = None


class Peer(asyncio.Protocol):
    """One of the two sockets."""

    transport: asyncio.Transport
    outlet: Outlet

    def __init__(self, made: Callable[[], None], lost: Callable[[], None]) -> None:
        self.link: Link | None = None  # where goes what comes in here
        self._made = made
        self._lost = lost

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - for the types; TCP sockets have no other
        self.transport = transport
        self.outlet = Outlet(transport)
        transport.pause_reading()  # until both sides are there
        self._made()

    def data_received(self, data: bytes) -> None:
        if self.link is not None:
            self.link.feed(data)

    def eof_received(self) -> bool:
        if self.link is not None:
            self.link.end()
        # Else it is closed when the link that writes to it ends.
        return not self.outlet.is_half_closed

    def pause_writing(self) -> None:
        self.outlet.room.clear()

    def resume_writing(self) -> None:
        self.outlet.room.set()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - FIN and RST are both an end
        self.outlet.room.set()
        if self.link is not None:
            self.link.end()
        self._lost()

    def reset(self) -> None:
        """Closing with a zero linger sends RST."""
        with contextlib.suppress(OSError):
            wire = self.transport.get_extra_info("socket")
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()


class Owner(Struct, frozen=True, kw_only=True):
    """What a connection needs to know of its proxy."""

    upstream: tuple[str, int]
    seed: str
    clock: Callable[[], float]
    begun: Callable[["Connection"], bool]  # the client is there: may it go on?
    joined: Callable[["Connection"], None]  # both sides are there: time for the toxics
    ended: Callable[["Connection"], None]


class Connection:
    def __init__(self, owner: Owner, seen: Seen) -> None:
        self.seen = seen
        self._owner = owner
        self._open = 0
        self._links: dict[str, Link] = {}
        self._draws: dict[str, float] = {}
        self._calling: asyncio.Task[None] | None = None
        self.client = Peer(self._client_came, self._peer_left)
        self._server = Peer(self._server_came, self._peer_left)

    # --- toxics ---

    def add(self, placed: Placed, *, ordinal: int, tally: Counter[str]) -> None:
        """`ordinal` and `tally` as in `Stub`."""
        # Both directions draw from the same seed, so that a toxic that works both ways meets a connection or does not.
        seed = f"{self._owner.seed}/{placed.name}"
        draw = self._draws[placed.name] = Random(seed).random()  # noqa: S311 - chance that is to repeat
        place = Place(client=self.seen.client, ordinal=ordinal, tally=tally, memory={}, reset=self.reset)
        for direction in placed.directions if self._links else ():
            acts = self._acts(placed, draw)
            random = Random(f"{seed}/{direction}")  # noqa: S311
            stage = Stage(placed.toxic, acts=acts, place=place, direction=direction, random=random)
            self._links[direction].add(placed.name, stage)

    def update(self, placed: Placed) -> None:
        if (draw := self._draws.get(placed.name)) is not None:
            for link in self._links.values():
                link.update(placed.name, placed.toxic, acts=self._acts(placed, draw))

    def remove(self, name: str) -> None:
        self._draws.pop(name, None)
        for link in self._links.values():
            link.remove(name)

    def _acts(self, placed: Placed, draw: float) -> bool:
        return draw < placed.toxicity and placed.meets(self.seen.client)

    # --- ending it ---

    def reset(self) -> None:
        """End it with RST, to both."""
        for peer in self._peers():
            peer.reset()

    def abort(self) -> None:
        """End it without sending what is still on its way."""
        for peer in self._peers():
            peer.transport.abort()

    def _peers(self) -> list[Peer]:
        return [peer for peer in (self.client, self._server) if hasattr(peer, "transport")]

    # --- its life ---

    def _client_came(self) -> None:
        self._open += 1
        self.seen.client = _address(self.client.transport.get_extra_info("peername"))
        if self._owner.begun(self):
            self._calling = asyncio.get_running_loop().create_task(self._call())
        else:
            self.client.transport.abort()

    def _server_came(self) -> None:
        self._open += 1
        self.seen.upstream = _address(self._server.transport.get_extra_info("sockname"))

    async def _call(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_SECONDS_MAX):
                await loop.create_connection(lambda: self._server, *self._owner.upstream)
        except (OSError, TimeoutError):
            self.client.transport.close()
            return
        if self.client.transport.is_closing():
            self._server.transport.abort()
            return
        up = self.client.link = Link(self.client.transport, self._server.outlet)
        down = self._server.link = Link(self._server.transport, self.client.outlet)
        self._links = {"upstream": up, "downstream": down}
        self._owner.joined(self)
        for peer in self._peers():
            if not peer.transport.is_closing():
                peer.transport.resume_reading()

    def _peer_left(self) -> None:
        self._open -= 1
        if self._open == 0:
            self.seen.closed_at = self._owner.clock()
            for link in self._links.values():
                link.stop()
            self._owner.ended(self)


def _address(name: Any) -> str:
    return f"{name[0]}:{name[1]}" if name else ""

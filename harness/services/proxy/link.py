"""One direction of a connection: what comes in from one socket goes through a chain of stages out to the other.

    source --> stage (a toxic) --> stage (a toxic) --> outlet

Without toxics the source writes to the outlet itself, with no task in between. New toxics are added at the end.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from random import Random
from typing import Any, Protocol

from msgspec import Struct

from harness.services.proxy.toxics.base import Chunk, Toxic, pass_on


class Inlet(Protocol):
    """Something that a stream can be put into."""

    @property
    def room(self) -> asyncio.Event:
        """Set while more may be put in. `put` never refuses; whoever ignores this makes the buffer grow."""
        ...

    def put(self, chunk: Chunk) -> None: ...

    def end(self, *, gently: bool = False) -> None:
        """The stream is over: FIN, after what was put in; gently: and the other direction lives on."""
        ...


class Outlet:
    """The end of a link: the socket that it writes to."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.room = asyncio.Event()
        self.room.set()
        self.is_half_closed = False

    def put(self, chunk: Chunk) -> None:
        if not self._transport.is_closing():
            self._transport.write(chunk.data)

    def end(self, *, gently: bool = False) -> None:
        if gently:
            self.is_half_closed = True
            self._transport.write_eof()
        else:
            # The whole socket, as Toxiproxy does: what is closed one way does not live on the other way.
            self._transport.close()


class Place(Struct, frozen=True, kw_only=True):
    """What the stages of one toxic on one connection have in common; see `Stub`."""

    client: str
    ordinal: int
    tally: Counter[str]
    memory: dict[str, Any]
    reset: Callable[[], None]


class Stage:
    """One toxic's place in a link; see `Stub` for what toxics may rely on."""

    def __init__(self, toxic: Toxic, *, acts: bool, place: Place, direction: str, random: Random) -> None:
        """A stage that does not act (toxicity, another client) passes everything on."""
        self.direction = direction
        self.client = place.client
        self.ordinal = place.ordinal
        self.tally = place.tally
        self.memory = place.memory
        self.reset = place.reset
        self.random = random
        self.sent_bytes = 0
        self.dropped_bytes = 0
        self.room = asyncio.Event()
        self.room.set()
        self.closed = False
        self.next: Inlet = self  # until it is linked
        self._toxic = toxic
        self._acts = acts
        self._inbox: deque[Chunk] = deque()
        self._inbox_bytes = 0
        self._ended = False
        self._gently = False
        self._arrived = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    # --- the chain's side ---

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    def become(self, toxic: Toxic, *, acts: bool) -> None:
        """Go on with another value of the toxic; nothing that waits here is lost."""
        self.stop()
        self._toxic = toxic
        self._acts = acts
        if not self.closed:
            self.start()

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def leave(self) -> None:
        """Take the toxic away: what waits here goes on at once, unless the toxic says otherwise."""
        self.stop()
        if self._acts and not self.closed:
            self._toxic.removed_from(self)
        if not self.closed:
            for chunk in self._inbox:
                self.next.put(chunk)
            if self._ended:
                self.next.end(gently=self._gently)
        self._forget()

    def put(self, chunk: Chunk) -> None:
        if self.closed or self._ended:
            return
        self._inbox.append(chunk)
        self._count(len(chunk.data))
        self._arrived.set()

    def end(self, *, gently: bool = False) -> None:
        self._ended = True
        self._gently = gently
        self._arrived.set()

    # --- the toxic's side ---

    async def receive(self) -> Chunk | None:
        while not self._inbox:
            if self._ended:
                return None
            self._arrived.clear()
            await self._arrived.wait()
        return self._inbox[0]

    async def more(self) -> bool:
        while len(self._inbox) == 1:
            if self._ended:
                return False
            self.room.set()  # also when what is here is long: what it waits for would never come otherwise
            self._arrived.clear()
            await self._arrived.wait()
        first = self._inbox.popleft()
        second = self._inbox.popleft()
        self._inbox.appendleft(Chunk(first.data + second.data, second.at))
        return True

    async def send(self, size: int | None = None) -> None:
        while not self.next.room.is_set():
            await self.next.room.wait()
        chunk = self._inbox[0]
        size = len(chunk.data) if size is None else size
        if size < len(chunk.data):
            self._inbox[0] = Chunk(chunk.data[size:], chunk.at)
        else:
            self._inbox.popleft()
        self._count(-size)
        self.sent_bytes += size
        self.next.put(Chunk(chunk.data[:size], asyncio.get_running_loop().time()))

    def drop(self) -> None:
        size = len(self._inbox.popleft().data)
        self._count(-size)
        self.dropped_bytes += size

    def close(self, *, gently: bool = False) -> None:
        if not self.closed:
            self.closed = True
            self._forget()
            self.next.end(gently=gently or self._gently)

    # --- inside ---

    async def _run(self) -> None:
        await (self._toxic.pipe(self) if self._acts else pass_on(self))
        self.close()

    def _count(self, size: int) -> None:
        self._inbox_bytes += size
        if self._inbox_bytes < self._toxic.BUFFER_BYTES:
            self.room.set()
        else:
            self.room.clear()

    def _forget(self) -> None:
        self._inbox.clear()
        self._inbox_bytes = 0
        self.room.set()  # whoever waits for room here looks again for where its stream goes


class Link:
    def __init__(self, source: asyncio.Transport, outlet: Outlet) -> None:
        self._source = source
        self._outlet = outlet
        self._head: Inlet = outlet
        self._stages: dict[str, Stage] = {}
        self._resuming: asyncio.Task[None] | None = None
        self._ended = False

    def feed(self, data: bytes) -> None:
        self._head.put(Chunk(data, asyncio.get_running_loop().time()))
        if not self._head.room.is_set():
            self._source.pause_reading()
            self._resuming = asyncio.get_running_loop().create_task(self._resume())

    def end(self) -> None:
        if not self._ended:
            self._ended = True
            self._head.end()

    def add(self, name: str, stage: Stage) -> None:
        self._stages[name] = stage
        self._chain()
        if self._ended and len(self._stages) == 1:  # what was before it has passed the end on already
            stage.end()
        stage.start()

    def update(self, name: str, toxic: Toxic, *, acts: bool) -> None:
        if name in self._stages:
            self._stages[name].become(toxic, acts=acts)

    def remove(self, name: str) -> None:
        if (stage := self._stages.pop(name, None)) is not None:
            stage.leave()
            self._chain()

    def stop(self) -> None:
        """End every task of the link; its sockets are closed by then."""
        for stage in self._stages.values():
            stage.stop()
        if self._resuming is not None:
            self._resuming.cancel()

    def _chain(self) -> None:
        following: Inlet = self._outlet
        for stage in reversed(self._stages.values()):
            stage.next = following
            following = stage
        self._head = following

    async def _resume(self) -> None:
        while not self._head.room.is_set():
            await self._head.room.wait()
        if not self._source.is_closing():
            self._source.resume_reading()

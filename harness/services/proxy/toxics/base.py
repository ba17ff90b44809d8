"""What a toxic is, and what it sees of a connection."""

import asyncio
from collections import Counter
from random import Random
from typing import Annotated, Any, ClassVar, Protocol

from msgspec import Meta, Struct

KIBIBYTE = 1024

# What an attribute may be; so it is in Toxiproxy.
Int64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]


class Chunk(Struct, frozen=True):
    """Bytes on their way, and when they came here (on the clock of the event loop)."""

    data: bytes
    at: float


class Stub(Protocol):
    """One toxic's place on one connection, in one direction.

    What was received stays the stub's until it is sent or dropped. So a toxic may be interrupted at any `await` (when
    it is updated or removed) and not a byte is lost or doubled.
    """

    @property
    def ordinal(self) -> int:
        """The how-manieth connection since the toxic was added, from 1; 0 for one that was open by then."""
        ...

    @property
    def client(self) -> str:
        """Whose connection it is: "address:port", as the proxy sees it."""
        ...

    @property
    def direction(self) -> str:
        """Which way it carries: "upstream" or "downstream"."""
        ...

    @property
    def tally(self) -> Counter[str]:
        """What the toxic counts, over all its connections since it was added."""
        ...

    @property
    def memory(self) -> dict[str, Any]:
        """What the toxic keeps of this connection, for both directions."""
        ...

    @property
    def random(self) -> Random:
        """Chance of this toxic on this connection alone: the same for the same seed, whatever else goes on."""
        ...

    @property
    def sent_bytes(self) -> int:
        """What has been sent since the toxic came to this connection; an update does not begin anew."""
        ...

    @property
    def dropped_bytes(self) -> int: ...

    async def receive(self) -> Chunk | None:
        """The next bytes, or those not sent yet; None when the sender has closed."""
        ...

    async def more(self) -> bool:
        """Wait until there is more behind what was received, and join the two; False when the sender has closed."""
        ...

    async def send(self, size: int | None = None) -> None:
        """Pass on the first `size` bytes of what was received, or all of it, when there is room for them."""
        ...

    def drop(self) -> None:
        """Forget what was received."""
        ...

    def close(self, *, gently: bool = False) -> None:
        """End the stream here: the receiver sees FIN after all that was sent. So does returning from `pipe`.

        The rest of the connection ends at once, unless `gently`: then when the receiver closes, so that what it still
        has to say passes and what is under way to it is not lost.
        """
        ...

    def reset(self) -> None:
        """End the whole connection now, both ways, with RST."""
        ...


class Toxic(Struct, frozen=True, kw_only=True):
    """Its fields are its attributes in the API, all with defaults.

    It keeps no state: one value serves all connections.
    """

    name: ClassVar[str]
    BUFFER_BYTES: ClassVar[int] = 64 * KIBIBYTE  # how much may wait before it; then the sender is not read any further
    BOTH_WAYS: ClassVar[bool] = False  # it holds in both directions, whichever stream is named

    async def pipe(self, stub: Stub) -> None:
        """Carry the stream until its end; returning closes it."""
        raise NotImplementedError

    def removed_from(self, stub: Stub) -> None:
        """Called when the toxic is taken away from a living connection."""


async def pass_on(stub: Stub) -> None:
    """Carry the stream as if there were no toxic."""
    while await stub.receive() is not None:
        await stub.send()


async def forever() -> None:
    """Until interrupted."""
    await asyncio.get_running_loop().create_future()

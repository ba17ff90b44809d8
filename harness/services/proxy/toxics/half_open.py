"""A peer that has vanished. Not in Toxiproxy."""

from typing import ClassVar

from harness.services.proxy.toxics.base import Stub, Toxic, forever


class HalfOpen(Toxic, frozen=True, kw_only=True):
    """What either end sends is taken and forgotten, closes too: both sockets stay, and neither end learns anything.

    Taking it away resets connections in which bytes are missing, as a host does that came back without its connections;
    those that were silent go on.
    """

    name: ClassVar[str] = "half_open"
    BOTH_WAYS: ClassVar[bool] = True

    async def pipe(self, stub: Stub) -> None:
        while await stub.receive() is not None:
            stub.drop()
        await forever()

    def removed_from(self, stub: Stub) -> None:
        if stub.dropped_bytes:
            stub.reset()

"""Holds everything, then delivers it. Not in Toxiproxy."""

from typing import ClassVar

from harness.services.proxy.toxics.base import Stub, Toxic, forever


class Stall(Toxic, frozen=True, kw_only=True):
    """Nothing passes, not even a close; all of it does, in order, when the toxic is taken away.

    Up to BUFFER_BYTES are held here, then the sender is not read any further: nothing is lost, as in a network that
    comes back before TCP gives up.
    """

    name: ClassVar[str] = "stall"

    async def pipe(self, stub: Stub) -> None:  # noqa: ARG002 - it touches nothing, which is the point
        await forever()

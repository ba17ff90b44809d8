"""The first so many connections fail. Not in Toxiproxy."""

from typing import ClassVar

from harness.services.proxy.toxics.base import Int64, Stub, Toxic, pass_on


class FailFirst(Toxic, frozen=True, kw_only=True):
    """The first `connections` connections after it was added are reset at once; later ones, and open ones, pass."""

    name: ClassVar[str] = "fail_first"

    connections: Int64 = 1

    async def pipe(self, stub: Stub) -> None:
        if 0 < stub.ordinal <= self.connections:
            stub.reset()
        await pass_on(stub)

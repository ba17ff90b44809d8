"""Does nothing, as Toxiproxy's toxic of that name."""

from typing import ClassVar

from harness.services.proxy.toxics.base import Stub, Toxic, pass_on


class Noop(Toxic, frozen=True, kw_only=True):
    name: ClassVar[str] = "noop"

    async def pipe(self, stub: Stub) -> None:
        await pass_on(stub)

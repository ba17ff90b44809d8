"""RST on connections that are open. Not in Toxiproxy."""

import asyncio
from typing import ClassVar

from harness.services.proxy.toxics.base import Int64, Stub, Toxic, pass_on


class Reset(Toxic, frozen=True, kw_only=True):
    """The connections that are open when it is added are reset, to both ends, `delay` milliseconds later.

    Connections that are opened afterwards pass, so that a client may come back.
    """

    name: ClassVar[str] = "reset"

    delay: Int64 = 0

    async def pipe(self, stub: Stub) -> None:
        if stub.ordinal == 0:
            await asyncio.sleep(self.delay / 1000)
            stub.reset()
        await pass_on(stub)

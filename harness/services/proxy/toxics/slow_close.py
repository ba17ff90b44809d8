"""A late FIN, as Toxiproxy's toxic of that name."""

import asyncio
from typing import ClassVar

from harness.services.proxy.toxics.base import Int64, Stub, Toxic, pass_on


class SlowClose(Toxic, frozen=True, kw_only=True):
    """The close, and only that, passes `delay` milliseconds late."""

    name: ClassVar[str] = "slow_close"

    delay: Int64 = 0

    async def pipe(self, stub: Stub) -> None:
        await pass_on(stub)
        await asyncio.sleep(self.delay / 1000)

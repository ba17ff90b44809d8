"""Delay, as Toxiproxy's toxic of that name."""

import asyncio
from typing import ClassVar

from harness.services.proxy.toxics.base import KIBIBYTE, Int64, Stub, Toxic


class Latency(Toxic, frozen=True, kw_only=True):
    """Every chunk passes `latency` ± `jitter` milliseconds after it came.

    So chunks that come close together are not delayed one after the other.
    """

    name: ClassVar[str] = "latency"
    BUFFER_BYTES: ClassVar[int] = 32 * KIBIBYTE * KIBIBYTE  # what is on the way is not the sender's business

    latency: Int64 = 0
    jitter: Int64 = 0

    async def pipe(self, stub: Stub) -> None:
        loop = asyncio.get_running_loop()
        while (chunk := await stub.receive()) is not None:
            milliseconds: float = self.latency
            if self.jitter > 0:
                milliseconds += stub.random.uniform(-self.jitter, self.jitter)
            await asyncio.sleep(max(0.0, chunk.at + milliseconds / 1000 - loop.time()))
            await stub.send()

"""A limited rate, as Toxiproxy's toxic of that name."""

import asyncio
from typing import ClassVar

from harness.services.proxy.toxics.base import Int64, Stub, Toxic, forever

PIECE_SECONDS = 0.1


class Bandwidth(Toxic, frozen=True, kw_only=True):
    """`rate` kilobytes a second, in pieces of a tenth of a second; nothing passes at 0."""

    name: ClassVar[str] = "bandwidth"

    rate: Int64 = 0

    async def pipe(self, stub: Stub) -> None:
        if self.rate <= 0:
            await forever()
        bytes_per_second = self.rate * 1000
        piece = int(bytes_per_second * PIECE_SECONDS)
        loop = asyncio.get_running_loop()
        free_at = loop.time()  # when what was sent so far has left; a debt, so that late timers cost no bandwidth
        while (chunk := await stub.receive()) is not None:
            size = min(piece, len(chunk.data))
            free_at = max(free_at, chunk.at) + size / bytes_per_second
            await asyncio.sleep(max(0.0, free_at - loop.time()))
            await stub.send(size)

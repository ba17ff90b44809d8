"""Small pieces, as Toxiproxy's toxic of that name."""

import asyncio
from random import Random
from typing import ClassVar

from harness.services.proxy.toxics.base import Int64, Stub, Toxic


class Slicer(Toxic, frozen=True, kw_only=True):
    """Data passes in pieces of `average_size` ± `size_variation` bytes, `delay` microseconds after each."""

    name: ClassVar[str] = "slicer"

    average_size: Int64 = 0
    size_variation: Int64 = 0
    delay: Int64 = 0

    async def pipe(self, stub: Stub) -> None:
        while (chunk := await stub.receive()) is not None:
            for size in self.cut(len(chunk.data), stub.random):
                await stub.send(size)
                await asyncio.sleep(self.delay / 1_000_000)

    def cut(self, size: int, random: Random) -> list[int]:
        """The sizes of the pieces, none above average_size + size_variation, by halving as Toxiproxy does it."""
        if size <= 1 or size <= max(1, self.average_size) + self.size_variation:
            return [size]
        half = size // 2
        if self.size_variation > 0:
            half += random.randrange(-self.size_variation, self.size_variation)
        half = min(max(half, 1), size - 1)
        return [*self.cut(half, random), *self.cut(size - half, random)]

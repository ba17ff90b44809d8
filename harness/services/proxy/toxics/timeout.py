"""Silence, then a close, as Toxiproxy's toxic of that name."""

import asyncio
from typing import ClassVar

from harness.services.proxy.toxics.base import Int64, Stub, Toxic


class Timeout(Toxic, frozen=True, kw_only=True):
    """All data is dropped; after `timeout` milliseconds without any the connection is closed, never if that is 0.

    Taking it away closes the connection, since bytes are missing in it.
    """

    name: ClassVar[str] = "timeout"

    timeout: Int64 = 0

    async def pipe(self, stub: Stub) -> None:
        try:
            while True:
                async with asyncio.timeout(self.timeout / 1000 if self.timeout > 0 else None):
                    if await stub.receive() is None:
                        return
                stub.drop()
        except TimeoutError:
            return

    def removed_from(self, stub: Stub) -> None:
        stub.close()

"""RST instead of an answer, as Toxiproxy's toxic of that name."""

import asyncio
from typing import ClassVar

from harness.services.proxy.toxics.base import Int64, Stub, Toxic


class ResetPeer(Toxic, frozen=True, kw_only=True):
    """The first data, or the close, is dropped and ends the connection `timeout` milliseconds later.

    It ends with RST if it was opened while the toxic was there, else with FIN: so does Toxiproxy. `reset` is for
    connections that are open already.
    """

    name: ClassVar[str] = "reset_peer"

    timeout: Int64 = 0

    async def pipe(self, stub: Stub) -> None:
        await stub.receive()
        await asyncio.sleep(self.timeout / 1000)
        if stub.ordinal:
            stub.reset()

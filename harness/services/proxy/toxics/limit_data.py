"""So many bytes and no more, as Toxiproxy's toxic of that name."""

from typing import ClassVar

from harness.services.proxy.toxics.base import Int64, Stub, Toxic


class LimitData(Toxic, frozen=True, kw_only=True):
    """The connection is closed after `bytes` bytes in this direction, counted from when the toxic met it."""

    name: ClassVar[str] = "limit_data"

    bytes: Int64 = 0

    async def pipe(self, stub: Stub) -> None:
        while (chunk := await stub.receive()) is not None:
            if allowed := max(0, min(len(chunk.data), self.bytes - stub.sent_bytes)):
                await stub.send(allowed)
            if stub.sent_bytes >= self.bytes:
                return

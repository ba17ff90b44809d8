"""A connection that ends before a command is forwarded. Not in Toxiproxy."""

from typing import ClassVar

from harness.services.proxy.resp import Framing, NotRespError, command_in
from harness.services.proxy.toxics.base import Int64, Stub, Toxic, pass_on


class RespCutBefore(Toxic, frozen=True, kw_only=True):
    """The `occurrence`-th `command`, counted over all connections, is not forwarded: the connection ends there.

    Commands before it reach the server, from the same packet too, and their replies pass, then the server's FIN. Later
    ones of the same name pass. It belongs into the stream `upstream`. On a connection that was open before, it counts
    right if it was added between two commands. What is not RESP passes.
    """

    name: ClassVar[str] = "resp_cut_before"

    command: str = ""
    occurrence: Int64 = 1

    async def pipe(self, stub: Stub) -> None:
        framing: Framing = stub.memory.get("framing", Framing(inline=True))
        while (chunk := await stub.receive()) is not None:
            try:
                if framing.is_between:
                    named = command_in(chunk.data)
                    if named is None:
                        if await stub.more():
                            continue
                        break
                    if named == self.command.upper():
                        stub.tally["commands"] += 1
                        if stub.tally["commands"] == self.occurrence:
                            stub.close(gently=True)
                            return
                size, framing = framing.after(chunk.data)
            except NotRespError:
                break
            await stub.send(size)
            stub.memory["framing"] = framing
        await pass_on(stub)

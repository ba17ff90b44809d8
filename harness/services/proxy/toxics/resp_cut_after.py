"""A connection that ends between a command and its reply. Not in Toxiproxy."""

from collections import deque
from typing import ClassVar

from harness.services.proxy.resp import Framing, NotRespError, command_in
from harness.services.proxy.toxics.base import Int64, Stub, Toxic, pass_on

# Their replies are not one for each command.
_WITHOUT_ORDER = frozenset({"SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "UNSUBSCRIBE", "PUNSUBSCRIBE", "MONITOR"})
_NO_REPLY = (b">", b"|")  # out of turn, or beside a reply


class RespCutAfter(Toxic, frozen=True, kw_only=True):
    """The `occurrence`-th `command`, counted over all connections, is applied, and its reply does not pass.

    The connection ends as the reply begins; replies before it pass. Inside MULTI a command is only queued: name EXEC.
    It works both ways, whichever stream is named. On a connection that was open before, it meets the right reply if it
    was added when at most one command was on its way. Subscribers and what is not RESP pass.
    """

    name: ClassVar[str] = "resp_cut_after"
    BOTH_WAYS: ClassVar[bool] = True

    command: str = ""
    occurrence: Int64 = 1

    async def pipe(self, stub: Stub) -> None:
        # For each command that has no reply yet, whether it is the one. None: replies are not followed any further.
        awaited: deque[bool | None] = stub.memory.setdefault("awaited", deque())
        if stub.direction == "upstream":
            await self._commands(stub, awaited)
        else:
            await self._replies(stub, awaited)

    async def _commands(self, stub: Stub, awaited: deque[bool | None]) -> None:
        framing: Framing = stub.memory.get(stub.direction, Framing(inline=True))
        while (chunk := await stub.receive()) is not None:
            try:
                if framing.is_between:
                    named = command_in(chunk.data)
                    if named is None:
                        if await stub.more():
                            continue
                        break
                    if named in _WITHOUT_ORDER:
                        break
                    is_meant = named == self.command.upper()
                    stub.tally["commands"] += is_meant
                    if named:  # an empty line is no command
                        awaited.append(is_meant and stub.tally["commands"] == self.occurrence)
                size, framing = framing.after(chunk.data)
            except NotRespError:
                break
            await stub.send(size)
            stub.memory[stub.direction] = framing
        awaited.append(None)
        await pass_on(stub)

    async def _replies(self, stub: Stub, awaited: deque[bool | None]) -> None:
        framing: Framing = stub.memory.get(stub.direction, Framing())
        while (chunk := await stub.receive()) is not None:
            if framing.is_between and not chunk.data.startswith(_NO_REPLY) and awaited:
                if awaited[0] is None:
                    break
                if awaited.popleft():
                    stub.close(gently=True)
                    return
            try:
                size, framing = framing.after(chunk.data)
            except NotRespError:
                break
            await stub.send(size)
            stub.memory[stub.direction] = framing
        await pass_on(stub)

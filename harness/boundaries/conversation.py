"""One connection that is held where a rule says so: what goes out is read as messages, what comes back as their answer.

A message is told when the bytes that it begins with have come, and nothing of them is passed on before. Whatever comes
in one piece is one message, as it is one send where sends are seen: over loopback TCP keeps pieces together as long
as the other end answers in between.

"After" means that the direction has changed: all of the message has been passed on, and the server has begun to say
something since. Should it still owe an answer to an earlier message, that is not known to be the right one, and the
strike says so.
"""

import asyncio
from typing import Protocol

import msgspec

from harness.boundaries.armed import Armed
from harness.boundaries.clients import Client
from harness.boundaries.messages import Stream
from harness.boundaries.record import Boundary, Part, Struck
from harness.boundaries.rules import Process, Rule, Side
from harness.services.proxy.toxics.base import Stub

REPLY_SECONDS_MAX = 5.0


class Watch(Protocol):
    """Who follows the messages of all connections."""

    @property
    def armed(self) -> Armed: ...

    async def find(self, address: str, port: int) -> Client | None: ...

    def tell(self, name: str, part: Part, *, client: Client | None, dependency: str) -> Boundary | None:
        """Number a message that begins, and write it down; None if it is nobody's whose messages count."""
        ...

    def tell_end(self, boundary: Boundary) -> None: ...

    def strike(self, rule: Rule, client: Client, struck: Struck, *, held: str) -> asyncio.Task[bool]:
        """Carry a rule out and tell how, whatever becomes of the connection, whose address is `held`.

        Its result: whether the client is gone.
        """
        ...


class Conversation:
    """See above; both directions of one connection."""

    def __init__(self, watch: Watch, *, address: str, port: int, dependency: str) -> None:
        self._watch = watch
        self._address = address
        self._port = port
        self._dependency = dependency
        # Asked at once: who sends and closes, or dies, is nobody's afterwards.
        self._asked = asyncio.ensure_future(watch.find(address, port))
        self._stream = Stream()
        self._boundary: Boundary | None = None  # the latest
        self._is_unanswered = False  # nothing has come back since something was passed on
        self._is_behind = False  # and so it was when the latest message began
        self._answer: asyncio.Future[bool] | None = None  # of what is held: whether there is one
        self._decided = asyncio.Event()  # whether the answer passes or is dropped
        self._is_over = False

    async def speak(self, stub: Stub) -> None:
        """What the client says. Returning ends the connection: then nothing of what was received last has left."""
        while (chunk := await stub.receive()) is not None:
            client = await self._sender()
            if not self._stream.within:
                self._is_behind = self._is_unanswered
            seen = self._stream.feed(chunk.data)
            finished = self._boundary if seen.ended else None
            begun = None
            if finished is not None:
                self._watch.tell_end(finished)
            if seen.begun:
                part = Part.BEGIN if seen.open else Part.WHOLE
                begun = self._watch.tell(seen.begun, part, client=client, dependency=self._dependency)
                self._boundary = begun
            met = self._watch.armed.met(begun=begun, finished=finished)
            if met is None or client is None:
                self._is_unanswered = True
                await stub.send()
            elif await self._strike(stub, *met, client):
                return

    async def _sender(self) -> Client | None:
        """Asked again of whoever is no worker: one that has just been started may call before it is known as one."""
        client = await self._asked
        if client is None or client.process is Process.OTHER:
            self._asked = asyncio.ensure_future(self._watch.find(self._address, self._port))
            client = await self._asked
        return client

    async def listen(self, stub: Stub) -> None:
        """What the server says. What answers a message that is held waits here until it is known who hears it."""
        while await stub.receive() is not None:
            if self._answer is not None:
                if not self._answer.done():
                    self._answer.set_result(True)
                await self._decided.wait()
                if self._is_over:
                    return
            self._is_unanswered = False
            await stub.send()
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(False)

    async def _strike(self, stub: Stub, rule: Rule, boundary: Boundary, client: Client) -> bool:
        """Whether the client is gone; if not, all goes on as if nothing had been done."""
        struck = Struck(seq=boundary.seq, at=0.0, rule=rule.rule, side=rule.side)
        if rule.side is Side.BEFORE:
            is_gone = await asyncio.shield(self._watch.strike(rule, client, struck, held=stub.client))
            if not is_gone:
                await stub.send()
            return is_gone
        error = "an earlier message had not been answered, so it is not known whether this one was applied"
        self._answer = asyncio.get_running_loop().create_future()
        before = stub.sent_bytes
        await stub.send()
        done, _ = await asyncio.wait({self._answer}, timeout=REPLY_SECONDS_MAX)
        struck = msgspec.structs.replace(
            struck,
            sent=stub.sent_bytes - before,
            replied=bool(done) and self._answer.result(),
            error=error if self._is_behind else "",
        )
        self._is_over = await asyncio.shield(self._watch.strike(rule, client, struck, held=stub.client))
        self._answer = None
        self._decided.set()
        return self._is_over

"""The fault proxy's process: one event loop, an HTTP port for control, and the proxies that are asked for.

Started as `python -m harness.services.proxy JSON`, with the JSON of `Settings`. When the control port is open it says
so at the gate, or, where no gate is named, in one line of JSON on standard output: {"port": N}. SIGTERM ends it.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
from http import HTTPStatus

import h11
import msgspec

from harness.services.gate import ask
from harness.services.proxy.api import Answer, Api
from harness.services.proxy.proxies import is_loopback

BODY_BYTES_MAX = 1024 * 1024
IDLE_SECONDS_MAX = 60.0


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    host: str = "127.0.0.1"  # of the control API; one that is no loopback lets proxies listen anywhere, too
    port: int = 0  # of the control API; 0 lets the system choose
    seed: int = 0  # of every draw: toxicity, jitter, sizes
    origin: float = 0.0  # CLOCK_MONOTONIC at which the run began; times of connections count from there
    gate: str = ""  # path of the lane's gate, where it says `proxy-ready`
    node: str = "proxy"  # who it is at the gate


class _Http:
    """One control connection: HTTP/1.1 with keep-alive, parsed by h11."""

    def __init__(self, api: Api, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._api = api
        self._reader = reader
        self._writer = writer
        self._connection = h11.Connection(h11.SERVER)

    async def serve(self) -> None:
        try:
            with contextlib.suppress(OSError, h11.ProtocolError, TimeoutError):
                while await self._serve_one():
                    self._connection.start_next_cycle()
        finally:
            self._writer.close()

    async def _serve_one(self) -> bool:
        head = await self._next()
        if not isinstance(head, h11.Request):
            return False
        body = b""
        while isinstance(part := await self._next(), h11.Data):
            body += part.data
            if len(body) > BODY_BYTES_MAX:
                await self._send(Answer(status=413))
                return False
        if not isinstance(part, h11.EndOfMessage):
            return False
        headers = {name.decode(): value.decode(errors="replace") for name, value in head.headers}
        method, target = head.method.decode(), head.target.decode()
        agent = headers.get("user-agent", "")
        await self._send(await self._api.answer(method, target, user_agent=agent, body=body))
        return self._connection.our_state is h11.DONE and self._connection.their_state is h11.DONE

    async def _next(self) -> h11.Event | None:
        while True:
            event = self._connection.next_event()
            if event is h11.PAUSED:
                return None
            if event is not h11.NEED_DATA:
                return event if isinstance(event, h11.Event) else None
            if self._connection.they_are_waiting_for_100_continue:
                continue_ = h11.InformationalResponse(status_code=100, headers=[])
                self._writer.write(self._connection.send(continue_) or b"")
            async with asyncio.timeout(IDLE_SECONDS_MAX):
                self._connection.receive_data(await self._reader.read(1 << 16))

    async def _send(self, answer: Answer) -> None:
        headers = [("Content-Type", answer.content_type)] if answer.body else []
        if answer.status != 204:  # noqa: PLR2004 - it has no body, not even an empty one
            headers.append(("Content-Length", str(len(answer.body))))
        reason = HTTPStatus(answer.status).phrase
        data = self._connection.send(h11.Response(status_code=answer.status, reason=reason, headers=headers)) or b""
        data += self._connection.send(h11.Data(data=answer.body)) or b""
        data += self._connection.send(h11.EndOfMessage()) or b""
        self._writer.write(data)
        await self._writer.drain()


async def serve(settings: Settings) -> None:
    """Until SIGTERM."""
    api = Api(seed=settings.seed, origin=settings.origin, anywhere=not is_loopback(settings.host))
    talks: set[asyncio.Task[None]] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine that runs is in a task
        talks.add(task)
        try:
            await _Http(api, reader, writer).serve()
        finally:
            talks.discard(task)

    told_to_end = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told_to_end.set)
    control = await asyncio.start_server(talk, settings.host, settings.port)
    port = control.sockets[0].getsockname()[1]
    if settings.gate:
        ready = {"point": "proxy-ready", "node": settings.node, "pid": os.getpid(), "port": port}
        await asyncio.to_thread(ask, settings.gate, ready)
    else:
        sys.stdout.write(json.dumps({"port": port}) + "\n")
        sys.stdout.flush()
    await told_to_end.wait()
    control.close()
    api.close()
    for task in tuple(talks):
        task.cancel()
    await asyncio.gather(*talks, return_exceptions=True)


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asyncio.run(serve(msgspec.json.decode(sys.argv[1], type=Settings)))

"""Message-counting proxies: one in front of each dependency, on the address where the subject looks for it.

What goes through them is read, named and numbered exactly as the supervisor does it (`messages`, `record`, `rules`),
and can be held before it is forwarded, or after it was answered and before the answer passes. It takes nothing but
sockets, and works wherever whoever calls can be told by the address that the call comes from (`clients`).

The proxies are the fault proxy's own; what reads them is a toxic that no API offers.
"""

import asyncio
import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import ClassVar, Self

import msgspec
from msgspec import Struct

from harness.boundaries.armed import Armed
from harness.boundaries.clients import Client, Clients
from harness.boundaries.conversation import Conversation, Watch
from harness.boundaries.record import Boundary, Line, Part, Struck, Unseen
from harness.boundaries.rules import Delay, Fail, Kill, Process, Rule
from harness.services.proxy.placed import Placed
from harness.services.proxy.proxies import Proxy, Record
from harness.services.proxy.toxics.base import Stub, Toxic
from harness.session import HarnessError
from harness.waiting import WaitedInVainError, wait_until

START_SECONDS_MAX = 10.0
KILL_SECONDS_MAX = 5.0
ORPHAN_SECONDS_MAX = 1.0  # how long a child whose message is held may outlive its main process
CLOSED_SECONDS_MAX = 5.0


class Route(Struct, frozen=True, kw_only=True):
    """Where a dependency is looked for, and where it is, as `host:port`.

    `door`: a socket that is bound to the first of them, where that is in a network that is not this process's.
    """

    listen: str
    upstream: str
    door: socket.socket | None = None

    @property
    def port(self) -> int:
        return int(self.listen.rpartition(":")[2])


class _Counted(Toxic, frozen=True, kw_only=True):
    """Every connection is a conversation that is followed."""

    name: ClassVar[str] = "counted"
    BOTH_WAYS: ClassVar[bool] = True

    watch: Watch
    dependency: str
    port: int

    async def pipe(self, stub: Stub) -> None:
        conversation = stub.memory.get("conversation")
        if conversation is None:
            conversation = Conversation(self.watch, address=stub.client, port=self.port, dependency=self.dependency)
            stub.memory["conversation"] = conversation
        await (conversation.speak(stub) if stub.direction == "upstream" else conversation.listen(stub))


class MessageProxies:
    """A thread with an event loop of its own; it ends with `close`. The methods may be called from any thread."""

    def __init__(self, routes: Mapping[str, Route], clients: Clients, *, origin: float) -> None:
        self.armed = Armed()
        self._routes = routes
        self._clients = clients
        self._record = Record(origin)
        self._lines: list[Line] = []
        self._callers: dict[str, Client] = {}  # by address; of every connection
        self._strikes: set[asyncio.Task[bool]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="message-proxies", daemon=True)
        self._proxies: list[Proxy] = []

    def __enter__(self) -> Self:
        """:raises HarnessError: an address cannot be listened on"""
        self._thread.start()
        try:
            asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(START_SECONDS_MAX)
        except Exception as error:
            self.close()
            raise HarnessError(f"a proxy cannot be put in front of a dependency: {error}") from error
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection and end the thread."""
        with suppress(TimeoutError):
            asyncio.run_coroutine_threadsafe(self._shut(), self._loop).result(START_SECONDS_MAX)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(START_SECONDS_MAX)
        if not self._thread.is_alive():
            self._loop.close()

    def lines(self) -> tuple[Line, ...]:
        """What was seen since the last reset, in order."""
        return tuple(self._lines)

    def reset(self) -> None:
        """Forget what was seen, and count from 1 again."""
        self.armed.reset()
        self._lines = []

    async def _open(self) -> None:
        for name, route in self._routes.items():
            proxy = Proxy(
                name=name,
                listen=route.listen,
                upstream=route.upstream,
                seed=0,
                record=self._record,
                anywhere=route.door is not None,
                door=route.door,
            )
            toxic = _Counted(watch=self, dependency=name, port=route.port)
            proxy.add(
                Placed(name=toxic.name, type=toxic.name, stream="upstream", toxicity=1.0, clients=(), toxic=toxic)
            )
            await proxy.start()
            self._proxies.append(proxy)

    async def _shut(self) -> None:
        for proxy in self._proxies:
            proxy.stop()
        for task in (tasks := asyncio.all_tasks() - {asyncio.current_task()}):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- what a conversation asks ---

    async def find(self, address: str, port: int) -> Client | None:
        try:
            client = await asyncio.to_thread(self._clients.find, address, port)
        except Exception:  # who is looked at may do anything meanwhile, and nobody's connection must stand still for it
            return None
        if client is not None:
            self._callers[address] = client
        return client

    def tell(self, name: str, part: Part, *, client: Client | None, dependency: str) -> Boundary | None:
        if client is None:
            reason = f"{name} to {dependency}: its sender had gone before it could be found"
            self._lines.append(Unseen(at=self._record.now(), pid=0, reason=reason))
            return None
        if client.process is Process.OTHER:
            return None
        seq, occurrence = self.armed.number(client.process, dependency, name)
        boundary = Boundary(
            seq=seq,
            at=self._record.now(),
            name=name,
            occurrence=occurrence,
            part=part,
            process=client.process,
            pid=client.pid,
            tgid=client.pid,
            dependency=dependency,
            peer=self._routes[dependency].listen,
            unnamed=1,  # that nothing happened in between is not known
        )
        self._lines.append(boundary)
        return boundary

    def tell_end(self, boundary: Boundary) -> None:
        self._lines.append(msgspec.structs.replace(boundary, at=self._record.now(), part=Part.END))

    def strike(self, rule: Rule, client: Client, struck: Struck, *, held: str) -> asyncio.Task[bool]:
        task = asyncio.get_running_loop().create_task(asyncio.to_thread(self._strike, rule, client, struck, held))
        self._strikes.add(task)
        task.add_done_callback(self._strikes.discard)
        return task

    # --- striking ---

    def _strike(self, rule: Rule, client: Client, struck: Struck, held: str) -> bool:
        is_gone = False
        try:
            match rule.action:
                case Delay(seconds=seconds):
                    threading.Event().wait(seconds)
                case Fail():
                    struck = msgspec.structs.replace(struck, error="an error of a send cannot be had from a proxy")
                case Kill(whom=whom):
                    gone, left = self._clients.kill(client, whom, within=KILL_SECONDS_MAX)
                    error = f"still there after {KILL_SECONDS_MAX:g} s: {list(left)}" if left else struck.error
                    struck = msgspec.structs.replace(struck, killed=gone, error=error)
                    with suppress(WaitedInVainError):
                        is_gone = wait_until(
                            lambda: not self._clients.runs(client), within=ORPHAN_SECONDS_MAX, or_else="it lives"
                        )
                    self._await_swallowed(held)
        except ProcessLookupError as error:
            struck = msgspec.structs.replace(struck, error=str(error))
        struck = msgspec.structs.replace(struck, at=self._record.now())
        self._lines.append(struck)
        self.armed.carried_out(struck)
        return is_gone

    def _await_swallowed(self, held: str) -> None:
        """Until what the dead had sent on their other connections has reached the server, and these are closed there.

        A connection that somebody who lives has inherited stays open.
        """

        def is_on_its_way() -> bool:
            return any(
                each.closed_at is None
                and each.client != held
                and (caller := self._callers.get(each.client)) is not None
                and not self._clients.runs(caller)
                and self._clients.find(each.client, self._routes[each.proxy].port) is None
                for each in tuple(self._record.seen)
            )

        with suppress(WaitedInVainError):
            wait_until(lambda: not is_on_its_way(), within=CLOSED_SECONDS_MAX, or_else="still open")

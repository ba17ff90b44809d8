"""Toxiproxy's HTTP API, as a function of method, path and body; and `GET /connections`, which is ours."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import unquote

import msgspec
from msgspec import Struct

from harness import __version__
from harness.services.proxy.placed import ApiError, ToxicBody, ToxicChange, changed, place, read
from harness.services.proxy.proxies import Proxy, Record

# Which behaviour this is, and that it is not Shopify's server.
VERSION = f"2.12.0+jobproof.{__version__}"


TEXT = "text/plain; charset=utf-8"  # also of errors in JSON: so does Toxiproxy


class Answer(Struct, frozen=True, kw_only=True):
    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"


class ProxyBody(Struct, frozen=True, kw_only=True):
    name: str = ""
    listen: str = ""
    upstream: str = ""
    enabled: bool = True


class ProxyChange(Struct, frozen=True, kw_only=True):
    listen: str | None = None
    upstream: str | None = None
    enabled: bool | None = None


Handler = Callable[..., Awaitable[Answer]]


class Api:
    def __init__(self, *, seed: int, origin: float, anywhere: bool = False) -> None:
        self._seed = seed
        self._anywhere = anywhere
        self._record = Record(origin)
        self._proxies: dict[str, Proxy] = {}
        self._one_at_a_time = asyncio.Lock()
        # What stands in a path for {} is handed to the handler, then the body where the method has one.
        self._routes: dict[tuple[str, ...], dict[str, Handler]] = {
            ("version",): {"GET": self._version},
            ("reset",): {"POST": self._reset},
            ("populate",): {"POST": self._populate},
            ("connections",): {"GET": self._connections},
            ("proxies",): {"GET": self._index, "POST": self._create},
            ("proxies", "{}"): {
                "GET": self._show,
                "POST": self._change,
                "PATCH": self._change,
                "DELETE": self._delete,
            },
            ("proxies", "{}", "toxics"): {"GET": self._toxic_index, "POST": self._toxic_add},
            ("proxies", "{}", "toxics", "{}"): {
                "GET": self._toxic_show,
                "POST": self._toxic_change,
                "PATCH": self._toxic_change,
                "DELETE": self._toxic_remove,
            },
        }

    async def answer(self, method: str, target: str, *, user_agent: str, body: bytes) -> Answer:
        parts = unquote(target.partition("?")[0]).removeprefix("/").split("/")
        for pattern, handlers in self._routes.items():
            if len(pattern) != len(parts):
                continue
            if any(expected not in {"{}", part} for expected, part in zip(pattern, parts, strict=True)) or "" in parts:
                continue
            if method not in handlers:
                return Answer(status=405)
            if user_agent.startswith("Mozilla/"):  # a page in a browser must not steer it
                return Answer(status=403, body=b"User agent not allowed\n", content_type=TEXT)
            arguments: list[str | bytes] = [
                part for expected, part in zip(pattern, parts, strict=True) if expected == "{}"
            ]
            if method in {"POST", "PATCH"}:
                arguments.append(body)
            try:
                async with self._one_at_a_time:
                    return await handlers[method](*arguments)
            except ApiError as error:
                return _error(error)
        return Answer(status=404, body=b"404 page not found\n", content_type=TEXT)

    def close(self) -> None:
        for proxy in self._proxies.values():
            proxy.stop()

    # --- the server ---

    async def _version(self) -> Answer:
        return _json({"version": VERSION})

    async def _reset(self, _body: bytes) -> Answer:
        for proxy in self._proxies.values():
            await proxy.start()
            proxy.remove_all()
        return Answer(status=204)

    async def _connections(self) -> Answer:
        return _json(list(self._record.seen))

    # --- proxies ---

    async def _index(self) -> Answer:
        return _json({name: proxy.view() for name, proxy in sorted(self._proxies.items())})

    async def _create(self, body: bytes) -> Answer:
        wanted: ProxyBody = read(_parsed(body), ProxyBody)
        _require(wanted)
        if wanted.name in self._proxies:
            raise ApiError(409, "proxy already exists")
        return _json((await self._opened(wanted)).view(), status=201)

    async def _populate(self, body: bytes) -> Answer:
        try:
            many: list[ProxyBody] = read(_parsed(body), list[ProxyBody])
            for number, wanted in enumerate(many, 1):
                _require(wanted, where=f" at proxy {number}")
        except ApiError as error:
            return _json({"error": error.message, "status": error.status, "proxies": None}, status=error.status)
        done: list[Proxy] = []
        try:
            for wanted in many:
                existing = self._proxies.get(wanted.name)
                if existing is not None:
                    if not existing.differs(wanted.listen, wanted.upstream):
                        done.append(existing)
                        continue
                    existing.stop()
                done.append(await self._opened(wanted))
        except ApiError as error:
            views = [proxy.view() for proxy in done] or None
            return _json({"error": error.message, "status": error.status, "proxies": views}, status=error.status)
        return _json({"proxies": [proxy.view() for proxy in done] or None}, status=201)

    async def _opened(self, wanted: ProxyBody) -> Proxy:
        proxy = Proxy(
            name=wanted.name,
            listen=wanted.listen,
            upstream=wanted.upstream,
            seed=self._seed,
            record=self._record,
            anywhere=self._anywhere,
        )
        if wanted.enabled:
            await proxy.start()
        self._proxies[wanted.name] = proxy
        return proxy

    def _proxy(self, name: str) -> Proxy:
        if name not in self._proxies:
            raise ApiError(404, "proxy not found")
        return self._proxies[name]

    async def _show(self, name: str) -> Answer:
        return _json(self._proxy(name).view())

    async def _change(self, name: str, body: bytes) -> Answer:
        proxy = self._proxy(name)
        change: ProxyChange = read(_parsed(body), ProxyChange)
        await proxy.change(
            listen=proxy.listen if change.listen is None else change.listen,
            upstream=proxy.upstream if change.upstream is None else change.upstream,
            enabled=proxy.enabled if change.enabled is None else change.enabled,
        )
        return _json(proxy.view())

    async def _delete(self, name: str) -> Answer:
        self._proxy(name).stop()
        del self._proxies[name]
        return Answer(status=204)

    # --- toxics ---

    async def _toxic_index(self, name: str) -> Answer:
        return _json(self._proxy(name).toxics())

    async def _toxic_add(self, name: str, body: bytes) -> Answer:
        proxy = self._proxy(name)
        placed = place(read(_parsed(body), ToxicBody))
        proxy.add(placed)
        return _json(placed.view())

    async def _toxic_show(self, name: str, toxic: str) -> Answer:
        return _json(self._proxy(name).toxic(toxic).view())

    async def _toxic_change(self, name: str, toxic: str, body: bytes) -> Answer:
        proxy = self._proxy(name)
        before = proxy.toxic(toxic)
        placed = changed(before, read(_parsed(body), ToxicChange))
        proxy.update(placed)
        return _json(placed.view())

    async def _toxic_remove(self, name: str, toxic: str) -> Answer:
        self._proxy(name).remove(toxic)
        return Answer(status=204)


def _require(wanted: ProxyBody, where: str = "") -> None:
    for field in ("name", "upstream"):
        if not getattr(wanted, field):
            raise ApiError(400, f"missing required field: {field}{where}")


def _parsed(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body or b"")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ApiError(400, f"bad request body: {error}") from None


def _json(value: Any, status: int = 200) -> Answer:
    return Answer(status=status, body=msgspec.json.encode(value))


def _error(error: ApiError) -> Answer:
    shown = {"error": error.message, "status": error.status}
    return Answer(status=error.status, body=msgspec.json.encode(shown) + b"\n", content_type=TEXT)

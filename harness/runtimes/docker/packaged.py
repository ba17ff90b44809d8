"""Toxiproxy steered by the `toxiproxy-python` package, with what that lacks: several servers at once, timeouts, errors.

The package keeps the server's address in a class, so that there is one for each process, and asks without a timeout.
Here that class is another one, which asks whichever server the call is about by our own client. Nothing else knows the
package; who uses it for himself in the same process finds it as it was.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import msgspec
import toxiproxy
import toxiproxy.proxy
import toxiproxy.server
from msgspec import Struct
from toxiproxy.api import APIConsumer

from harness.services.proxy.client import ProxyHandle, Toxiproxy, ToxiproxyError
from harness.services.proxy.toxics.base import Toxic

_ASKED: ContextVar[Toxiproxy] = ContextVar("the server that a call is about")


class _Answer(Struct, frozen=True):
    content: bytes

    def json(self) -> Any:
        return msgspec.json.decode(self.content)


class _Consumer(APIConsumer):  # type: ignore[misc]  # it has no types
    @classmethod
    def get(cls, url: str, *words: Any, **named: Any) -> Any:
        return cls._tell("GET", url) or APIConsumer.get(url, *words, **named)

    @classmethod
    def post(cls, url: str, *words: Any, **named: Any) -> Any:
        return cls._tell("POST", url, named.get("json")) or APIConsumer.post(url, *words, **named)

    @classmethod
    def delete(cls, url: str, **named: Any) -> Any:
        return cls._tell("DELETE", url) or APIConsumer.delete(url, **named)

    @staticmethod
    def _tell(method: str, url: str, body: dict[str, Any] | None = None) -> _Answer | None:
        """None where the call is not about one of ours."""
        asked = _ASKED.get(None)
        return None if asked is None else _Answer(asked.tell(method, url, body))


toxiproxy.server.APIConsumer = toxiproxy.proxy.APIConsumer = _Consumer


class PackagedToxiproxy(Toxiproxy):
    """One server. What the package can do, it does; what it cannot, our own client does."""

    def create(self, name: str, *, listen: str = "127.0.0.1:0", upstream: str, enabled: bool = True) -> ProxyHandle:
        with self.asked():
            try:
                made = toxiproxy.Toxiproxy().create(upstream=upstream, name=name, listen=listen, enabled=enabled)
            except toxiproxy.exceptions.ProxyExists as error:
                raise ToxiproxyError(f"{self.url}: there is a proxy {name!r} already", status=409) from error
        return _PackagedHandle(self, made)

    @contextmanager
    def asked(self) -> Iterator[None]:
        """What the package asks meanwhile, it asks this server."""
        token = _ASKED.set(self)
        try:
            yield
        finally:
            _ASKED.reset(token)


class _PackagedHandle(ProxyHandle):
    def __init__(self, server: PackagedToxiproxy, made: Any) -> None:
        super().__init__(server, made.name)
        self._packaged = server
        self._made = made

    def add(
        self,
        toxic: Toxic,
        *,
        name: str = "",
        stream: str = "downstream",
        toxicity: float = 1.0,
        clients: Sequence[str] = (),
    ) -> str:
        if clients:
            return super().add(toxic, name=name, stream=stream, toxicity=toxicity, clients=clients)
        name = name or f"{toxic.name}_{stream}"
        with self._packaged.asked():
            self._made.add_toxic(
                name=name, type=toxic.name, stream=stream, toxicity=toxicity, attributes=msgspec.to_builtins(toxic)
            )
        return name

    def remove(self, name: str) -> None:
        with self._packaged.asked():
            self._made.destroy_toxic(name)

    def enable(self) -> None:
        with self._packaged.asked():
            self._made.enable()

    def disable(self) -> None:
        with self._packaged.asked():
            self._made.disable()

    def destroy(self) -> None:
        with self._packaged.asked():
            self._made.destroy()

"""The harness's side of the API: one client for the embedded proxy and for Shopify's Toxiproxy.

It speaks HTTP itself and does not use `toxiproxy-python` 0.1.1: there the server's address is a class attribute (one
server for each process), no call has a timeout, an error of the server becomes `KeyError('name')`, and toxics cannot be
changed. None of that can be put right from outside but by replacing its parts, as `harness/runtimes/docker/packaged.py`
does: it steers by the package, through this client. It works against the embedded proxy as well;
`tests/contract/proxy/test_client.py` holds that.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec
import requests

from harness.services.proxy.connection import Seen
from harness.services.proxy.toxics import ADDITIONAL
from harness.services.proxy.toxics.base import Toxic

TIMEOUT_SECONDS = 10.0
# Where Shopify's server is looked for.
TOXIPROXY = "toxiproxy-server"
TOXIPROXY_VARIABLE = "JOBPROOF_TOXIPROXY"

T = TypeVar("T")


class ToxiproxyError(RuntimeError):
    """The server cannot be reached or said no; the message says to what. `status` is 0 where it did not answer."""

    def __init__(self, message: str, *, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class ToxicView(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    type: str
    stream: str
    toxicity: float
    attributes: dict[str, Any]
    clients: tuple[str, ...] = ()


class ProxyView(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    listen: str  # the address that clients are to use, with the port that was chosen
    upstream: str
    enabled: bool
    toxics: tuple[ToxicView, ...] = ()


class Toxiproxy:
    """One server, embedded or real. It may be used from several threads.

    :raises ToxiproxyError: (every method) the server cannot be reached within the timeout, or it refuses
    """

    def __init__(self, url: str, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self.url = url.rstrip("/")
        self._timeout_seconds = timeout_seconds

    def version(self) -> str:
        return str(self.ask("GET", "/version", dict)["version"])

    def is_embedded(self) -> bool:
        """Whether it has the additional toxics, `clients`, and the record of connections."""
        return "+jobproof" in self.version()

    def proxies(self) -> dict[str, ProxyView]:
        return self.ask("GET", "/proxies", dict[str, ProxyView])

    def create(self, name: str, *, listen: str = "127.0.0.1:0", upstream: str, enabled: bool = True) -> "ProxyHandle":
        """A new proxy; `listen` with port 0 lets the system choose one."""
        body = {"name": name, "listen": listen, "upstream": upstream, "enabled": enabled}
        self.ask("POST", "/proxies", ProxyView, body)
        return ProxyHandle(self, name)

    def proxy(self, name: str) -> "ProxyHandle":
        """A handle to a proxy; whether there is one of that name shows when it is used."""
        return ProxyHandle(self, name)

    def reset(self) -> None:
        """Enable every proxy and remove every toxic."""
        self.tell("POST", "/reset")

    def connections(self) -> list[Seen]:
        """Every connection since the start, open and closed, in the order in which they came. Embedded proxy only."""
        try:
            return self.ask("GET", "/connections", list[Seen])
        except ToxiproxyError as error:
            if error.status == requests.codes.not_found:
                raise ToxiproxyError(
                    f"{self.url} keeps no record of connections: Toxiproxy has none, use the embedded proxy", status=404
                ) from None
            raise

    def ask(self, method: str, path: str, kind: type[T], body: Mapping[str, Any] | None = None) -> T:
        """One request; its answer as a value of `kind`."""
        try:
            return msgspec.json.decode(self.tell(method, path, body), type=kind)
        except msgspec.DecodeError as error:
            raise ToxiproxyError(f"{self.url}: {method} {path}: not what Toxiproxy answers ({error})") from error

    def tell(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> bytes:
        """One request; the bytes of its answer."""
        what = f"Toxiproxy at {self.url}: {method} {path}"
        try:
            # A session for each: one that is kept is a socket to close, for some twenty calls in a run. No HTTP proxy
            # from the environment: what is controlled is on this machine or in its containers.
            with requests.Session() as session:
                session.trust_env = False
                answer = session.request(
                    method,
                    f"{self.url}{path}",
                    data=None if body is None else msgspec.json.encode(body),
                    headers={"User-Agent": "jobproof", "Content-Type": "application/json"},
                    timeout=self._timeout_seconds,
                )
        except requests.RequestException as error:
            raise ToxiproxyError(f"{what}: no answer ({type(error).__name__}); is the server running?") from error
        if not answer.ok:
            raise ToxiproxyError(f"{what}: {answer.status_code}, {_reason(answer)}", status=answer.status_code)
        return answer.content


class ProxyHandle:
    """One proxy of a server."""

    def __init__(self, server: Toxiproxy, name: str) -> None:
        self.name = name
        self.server = server
        self._path = f"/proxies/{quote(name, safe='')}"

    def view(self) -> ProxyView:
        return self.server.ask("GET", self._path, ProxyView)

    @property
    def address(self) -> tuple[str, int]:
        """Where clients connect to."""
        host, _, port = self.view().listen.rpartition(":")
        return host.strip("[]"), int(port)

    def add(
        self,
        toxic: Toxic,
        *,
        name: str = "",
        stream: str = "downstream",
        toxicity: float = 1.0,
        clients: Sequence[str] = (),
    ) -> str:
        """Add a toxic, such as `Latency(latency=100)`, and return its name.

        `clients` (embedded proxy only) restricts it to connections from these: `address`, `address:port` or `:port`.
        """
        if (clients or isinstance(toxic, ADDITIONAL)) and not self.server.is_embedded():
            asked = "clients" if clients else f"the toxic {toxic.name}"
            raise ToxiproxyError(f"{self.server.url} does not know {asked}: only the embedded proxy does")
        body: dict[str, Any] = {
            "name": name,
            "type": toxic.name,
            "stream": stream,
            "toxicity": toxicity,
            "attributes": msgspec.to_builtins(toxic),
        }
        if clients:
            body["clients"] = list(clients)
        return self.server.ask("POST", f"{self._path}/toxics", ToxicView, body).name

    def update(self, name: str, toxic: Toxic, *, toxicity: float = 1.0) -> None:
        """Give a toxic other attributes; its type stays."""
        body = {"attributes": msgspec.to_builtins(toxic), "toxicity": toxicity}
        self.server.ask("PATCH", self._toxic(name), ToxicView, body)

    def remove(self, name: str) -> None:
        """Take a toxic away."""
        self.server.tell("DELETE", self._toxic(name))

    def enable(self) -> None:
        """Listen again, on the same address."""
        self.server.ask("PATCH", self._path, ProxyView, {"enabled": True})

    def disable(self) -> None:
        """Stop listening and close every connection."""
        self.server.ask("PATCH", self._path, ProxyView, {"enabled": False})

    def move(self, upstream: str) -> None:
        """Put another server behind it. Open connections are closed, the address stays."""
        self.server.ask("PATCH", self._path, ProxyView, {"upstream": upstream})

    def destroy(self) -> None:
        self.server.tell("DELETE", self._path)

    def _toxic(self, name: str) -> str:
        return f"{self._path}/toxics/{quote(name, safe='')}"


def _reason(answer: requests.Response) -> str:
    """What the server says against it, as text that is safe to print."""
    try:
        reason = str(answer.json()["error"])
    except (ValueError, KeyError, TypeError):
        reason = answer.text
    return "".join(letter if letter.isprintable() else " " for letter in reason[:300]).strip() or "no reason given"

"""Toxiproxy's HTTP API, the same cases against both servers: statuses, and bodies with their keys, types and values."""

import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from harness.services.proxy.client import Toxiproxy
from tests.contract.proxy.conftest import embedded_server, real_server

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"
BAD = "bad request body"  # what follows are words of the JSON parser, its own in each server

LAG = {
    "attributes": {"latency": 100, "jitter": 0},
    "name": "lag",
    "type": "latency",
    "stream": "upstream",
    "toxicity": 1,
}
CUT = {
    "attributes": {"bytes": 0},
    "name": "limit_data_downstream",
    "type": "limit_data",
    "stream": "downstream",
    "toxicity": 1,
}
P = {"name": "p", "listen": "LISTEN", "upstream": "127.0.0.1:9", "enabled": True, "toxics": [LAG]}
OTHER = {"name": "q", "listen": "NEW", "upstream": "127.0.0.1:9", "enabled": True, "toxics": []}


def error(status: int, message: str) -> dict[str, Any]:
    return {"error": message, "status": status}


@dataclass(frozen=True)
class Case:
    does: str
    method: str
    path: str
    status: int
    answer: Any = None
    body: Any = None
    kind: str = JSON


CASES = [
    Case("the index tells every proxy by name", "GET", "/proxies", 200, {"p": P}),
    Case("a proxy is shown with its toxics", "GET", "/proxies/p", 200, P),
    Case("an unknown proxy", "GET", "/proxies/x", 404, error(404, "proxy not found"), kind=TEXT),
    Case(
        "a created proxy is enabled and tells its port",
        "POST",
        "/proxies",
        201,
        OTHER,
        {"name": "q", "listen": "127.0.0.1:0", "upstream": "127.0.0.1:9"},
    ),
    Case(
        "localhost is an address to listen on",
        "POST",
        "/proxies",
        201,
        OTHER,
        {"name": "q", "listen": "localhost:0", "upstream": "127.0.0.1:9"},
    ),
    Case(
        "a proxy that is created disabled keeps the address as it was said",
        "POST",
        "/proxies",
        201,
        OTHER | {"listen": "127.0.0.1:0", "enabled": False},
        {"name": "q", "listen": "127.0.0.1:0", "upstream": "127.0.0.1:9", "enabled": False},
    ),
    Case(
        "a null is as if nothing had been said",
        "POST",
        "/proxies",
        201,
        OTHER,
        {"name": "q", "listen": "127.0.0.1:0", "upstream": "127.0.0.1:9", "enabled": None, "more": 1},
    ),
    Case(
        "a name is taken once",
        "POST",
        "/proxies",
        409,
        error(409, "proxy already exists"),
        {"name": "p", "listen": "127.0.0.1:0", "upstream": "127.0.0.1:9"},
        TEXT,
    ),
    Case(
        "a proxy without a name",
        "POST",
        "/proxies",
        400,
        error(400, "missing required field: name"),
        {"upstream": "127.0.0.1:9"},
        TEXT,
    ),
    Case(
        "a proxy without an upstream",
        "POST",
        "/proxies",
        400,
        error(400, "missing required field: upstream"),
        {"name": "q"},
        TEXT,
    ),
    Case("a body that is no JSON", "POST", "/proxies", 400, error(400, BAD), "{", TEXT),
    Case("an empty body", "POST", "/proxies", 400, error(400, BAD), "", TEXT),
    Case("a field of another type", "POST", "/proxies", 400, error(400, BAD), {"name": 5}, TEXT),
    Case(
        "an address that is taken",
        "POST",
        "/proxies",
        500,
        error(500, "listen tcp LISTEN: bind: address already in use"),
        {"name": "q", "listen": "LISTEN", "upstream": "127.0.0.1:9"},
        TEXT,
    ),
    Case(
        "an address that is none",
        "POST",
        "/proxies",
        500,
        error(500, "listen tcp: address nowhere: missing port in address"),
        {"name": "q", "listen": "nowhere", "upstream": "127.0.0.1:9"},
        TEXT,
    ),
    Case("a change of nothing", "POST", "/proxies/p", 200, P, {}),
    Case("disabling", "PATCH", "/proxies/p", 200, P | {"enabled": False}, {"enabled": False}),
    Case("disabling, the old way", "POST", "/proxies/p", 200, P | {"enabled": False}, {"enabled": False}),
    Case("another server", "PATCH", "/proxies/p", 200, P | {"upstream": "127.0.0.1:8"}, {"upstream": "127.0.0.1:8"}),
    Case("another address", "PATCH", "/proxies/p", 200, P | {"listen": "NEW"}, {"listen": "127.0.0.1:0"}),
    Case("a name does not change", "PATCH", "/proxies/p", 200, P, {"name": "q"}),
    Case("a change that is no JSON", "PATCH", "/proxies/p", 400, error(400, BAD), "?", TEXT),
    Case("a change of what is not there", "PATCH", "/proxies/x", 404, error(404, "proxy not found"), {}, TEXT),
    Case("deleting", "DELETE", "/proxies/p", 204, kind=""),
    Case("deleting what is not there", "DELETE", "/proxies/x", 404, error(404, "proxy not found"), kind=TEXT),
    Case("the toxics of a proxy", "GET", "/proxies/p/toxics", 200, [LAG]),
    Case("the toxics of no proxy", "GET", "/proxies/x/toxics", 404, error(404, "proxy not found"), kind=TEXT),
    Case(
        "an added toxic has a name, a stream and a toxicity",
        "POST",
        "/proxies/p/toxics",
        200,
        CUT,
        {"type": "limit_data"},
    ),
    Case(
        "an added toxic, all said",
        "POST",
        "/proxies/p/toxics",
        200,
        {
            "attributes": {"average_size": 5, "size_variation": 2, "delay": 7},
            "name": "crumbs",
            "type": "slicer",
            "stream": "upstream",
            "toxicity": 0.5,
        },
        {
            "type": "slicer",
            "name": "crumbs",
            "stream": "upstream",
            "toxicity": 0.5,
            "attributes": {"average_size": 5, "size_variation": 2, "delay": 7, "more": 1},
        },
    ),
    Case(
        "a stream in capitals stays as it was said",
        "POST",
        "/proxies/p/toxics",
        200,
        CUT | {"stream": "DownStream", "name": "limit_data_DownStream"},
        {"type": "limit_data", "stream": "DownStream"},
    ),
    Case(
        "a stream that is none",
        "POST",
        "/proxies/p/toxics",
        400,
        error(400, "stream was invalid, can be either upstream or downstream"),
        {"type": "latency", "stream": "sideways"},
        TEXT,
    ),
    Case(
        "a toxic that is none",
        "POST",
        "/proxies/p/toxics",
        400,
        error(400, "invalid toxic type"),
        {"type": "gremlin"},
        TEXT,
    ),
    Case(
        "a toxic's name is taken once, whatever its stream",
        "POST",
        "/proxies/p/toxics",
        409,
        error(409, "toxic already exists"),
        {"type": "noop", "name": "lag"},
        TEXT,
    ),
    Case(
        "an attribute of another type",
        "POST",
        "/proxies/p/toxics",
        400,
        error(400, BAD),
        {"type": "latency", "attributes": {"latency": "long"}},
        TEXT,
    ),
    Case(
        "an attribute that is not whole",
        "POST",
        "/proxies/p/toxics",
        400,
        error(400, BAD),
        {"type": "latency", "attributes": {"latency": 1.5}},
        TEXT,
    ),
    Case("a toxic for no proxy", "POST", "/proxies/x/toxics", 404, error(404, "proxy not found"), {}, TEXT),
    Case("a toxic is shown", "GET", "/proxies/p/toxics/lag", 200, LAG),
    Case("an unknown toxic", "GET", "/proxies/p/toxics/x", 404, error(404, "toxic not found"), kind=TEXT),
    Case(
        "a change of one attribute leaves the others",
        "PATCH",
        "/proxies/p/toxics/lag",
        200,
        LAG | {"attributes": {"latency": 100, "jitter": 5}},
        {"attributes": {"jitter": 5}},
    ),
    Case("a change of toxicity", "POST", "/proxies/p/toxics/lag", 200, LAG | {"toxicity": 0.25}, {"toxicity": 0.25}),
    Case("type and stream do not change", "PATCH", "/proxies/p/toxics/lag", 200, LAG, {"type": "noop", "stream": "x"}),
    Case("a toxic's change that is no JSON", "PATCH", "/proxies/p/toxics/lag", 400, error(400, BAD), "[", TEXT),
    Case("a change of no toxic", "PATCH", "/proxies/p/toxics/x", 404, error(404, "toxic not found"), {}, TEXT),
    Case("taking a toxic away", "DELETE", "/proxies/p/toxics/lag", 204, kind=""),
    Case("taking none away", "DELETE", "/proxies/p/toxics/x", 404, error(404, "toxic not found"), kind=TEXT),
    Case("resetting", "POST", "/reset", 204, kind=""),
    Case(
        "populating tells old and new proxies in the order in which they were asked for",
        "POST",
        "/populate",
        201,
        {"proxies": [OTHER, P]},
        [
            {"name": "q", "listen": "127.0.0.1:0", "upstream": "127.0.0.1:9"},
            {"name": "p", "listen": "LISTEN", "upstream": "127.0.0.1:9"},
        ],
    ),
    Case(
        "populating replaces what differs, toxics and all",
        "POST",
        "/populate",
        201,
        {"proxies": [P | {"upstream": "127.0.0.1:8", "toxics": []}]},
        [{"name": "p", "listen": "LISTEN", "upstream": "127.0.0.1:8"}],
    ),
    Case("populating with nothing", "POST", "/populate", 201, {"proxies": None}, []),
    Case("populating with no list", "POST", "/populate", 400, error(400, BAD) | {"proxies": None}, {"name": "q"}),
    Case(
        "populating without an upstream",
        "POST",
        "/populate",
        400,
        error(400, "missing required field: upstream at proxy 1") | {"proxies": None},
        [{"name": "q"}],
    ),
    Case("no such path", "GET", "/nothing", 404, "404 page not found\n", kind=TEXT),
    Case("no such method", "DELETE", "/proxies", 405, kind=""),
    Case("no such method of a toxic", "PUT", "/proxies/p/toxics/lag", 405, kind=""),
]


@pytest.fixture(scope="module")
def fresh_embedded() -> Iterator[Toxiproxy]:
    with embedded_server() as server:
        yield server


@pytest.fixture(scope="module")
def fresh_real() -> Iterator[Toxiproxy]:
    with real_server() as server:
        yield server


@dataclass(frozen=True)
class Server:
    """A server with one proxy `p`, which has the toxic `lag`."""

    url: str
    listen: str

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> requests.Response:
        data = body if body is None or isinstance(body, str) else json.dumps(body).replace("LISTEN", self.listen)
        with requests.Session() as session:
            session.trust_env = False
            return session.request(method, f"{self.url}{path}", data=data, headers=headers, timeout=10)

    def told(self, answer: requests.Response) -> Any:
        """The body of an answer, with words instead of what differs from run to run."""
        try:
            value = answer.json()
        except ValueError:
            return answer.text or None
        return self._plain(value)

    def _plain(self, value: Any) -> Any:
        match value:
            case dict():
                # Toxiproxy 2.12 shows an empty object of its own insides by that name.
                return {key: self._plain(each) for key, each in value.items() if key != "Logger"}
            case list():
                return [self._plain(each) for each in value]
            case str() if value.startswith(BAD):
                return BAD
            case str() if self.listen in value:
                return value.replace(self.listen, "LISTEN")
            case str() if value.startswith("127.0.0.1:") and int(value.rpartition(":")[2]) > 1024:
                return "NEW"
        return value


@pytest.fixture(params=["fresh_embedded", "fresh_real"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    toxiproxy: Toxiproxy = request.getfixturevalue(request.param)
    handle = toxiproxy.create("p", upstream="127.0.0.1:9")
    asked = Server(toxiproxy.url, handle.view().listen)
    made = asked.ask("POST", "/proxies/p/toxics", LAG)
    assert made.status_code == 200
    yield asked
    for name in toxiproxy.proxies():
        toxiproxy.proxy(name).destroy()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.does.replace(" ", "-"))
def test_both_servers_answer_alike(server: Server, case: Case) -> None:
    answer = server.ask(case.method, case.path, case.body)

    assert answer.status_code == case.status
    assert server.told(answer) == case.answer
    assert answer.headers.get("Content-Type", "") == case.kind


def test_every_route_and_method_has_a_case() -> None:
    asked = {(case.method, len(case.path.strip("/").split("/")), case.path.split("/")[1]) for case in CASES}
    assert {(method, depth, "proxies") for method in ("GET", "POST") for depth in (1, 2, 3, 4)} <= asked
    assert {(method, depth, "proxies") for method in ("PATCH", "DELETE") for depth in (2, 4)} <= asked
    assert {("POST", 1, "populate"), ("POST", 1, "reset")} <= asked


def test_the_version_is_told(server: Server) -> None:
    answer = server.ask("GET", "/version")
    assert answer.status_code == 200
    assert list(answer.json()) == ["version"]
    assert isinstance(answer.json()["version"], str)


@pytest.mark.parametrize(("path", "status"), [("/version", 403), ("/proxies", 403), ("/nothing", 404)])
def test_a_browser_is_turned_away(server: Server, path: str, status: int) -> None:
    answer = server.ask("GET", path, **{"User-Agent": "Mozilla/5.0 (X11; Linux)"})
    assert answer.status_code == status
    if status == 403:
        assert answer.text == "User agent not allowed\n"


def test_a_reset_enables_proxies_and_takes_their_toxics_away(server: Server) -> None:
    server.ask("PATCH", "/proxies/p", {"enabled": False})
    server.ask("POST", "/reset")
    assert server.told(server.ask("GET", "/proxies/p")) == P | {"toxics": []}


def test_toxics_are_told_upstream_first(server: Server) -> None:
    for name, stream in (("b", "downstream"), ("a", "downstream"), ("c", "upstream")):
        server.ask("POST", "/proxies/p/toxics", {"type": "noop", "name": name, "stream": stream})
    assert [toxic["name"] for toxic in server.ask("GET", "/proxies/p/toxics").json()] == ["lag", "c", "b", "a"]


def test_a_proxy_that_could_not_be_moved_is_down_at_its_new_address(server: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        answer = server.ask("PATCH", "/proxies/p", {"listen": address})
        assert answer.status_code == 500
        shown = server.ask("GET", "/proxies/p").json()
        assert (shown["enabled"], shown["listen"]) == (False, address)


def test_names_may_hold_what_a_path_cannot(server: Server) -> None:
    server.ask("POST", "/proxies", {"name": "a b&c", "upstream": "127.0.0.1:9", "listen": "127.0.0.1:0"})
    assert server.ask("GET", "/proxies/a%20b%26c").json()["name"] == "a b&c"


@pytest.mark.parametrize("listen", ["0.0.0.0:0", "[::]:0", "192.0.2.1:0", "example.org:0"])
def test_the_embedded_proxy_listens_on_loopback_only(fresh_embedded: Toxiproxy, listen: str) -> None:
    answer = Server(fresh_embedded.url, "?").ask(
        "POST", "/proxies", {"name": "wide", "listen": listen, "upstream": "127.0.0.1:9"}
    )
    assert answer.status_code == 500
    assert "loopback only" in answer.json()["error"]


@pytest.mark.parametrize("listen", ["", ":0"])
def test_an_address_without_a_host_is_loopback_in_the_embedded_proxy(fresh_embedded: Toxiproxy, listen: str) -> None:
    handle = fresh_embedded.create("open", listen=listen, upstream="127.0.0.1:9")
    assert handle.address[0] == "127.0.0.1"
    handle.destroy()

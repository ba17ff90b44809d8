"""The client: one for both servers, with timeouts and errors that can be read."""

import socket

import pytest

from harness.services.proxy.client import Toxiproxy, ToxiproxyError
from harness.services.proxy.toxics import Latency, LimitData, Stall
from tests.contract.proxy.conftest import Bench, Stopwatch, read


def test_what_was_added_can_be_seen_changed_and_taken_away(bench: Bench) -> None:
    name = bench.proxy.add(Latency(latency=5), stream="upstream", toxicity=0.5)
    assert name == "latency_upstream"
    bench.proxy.update(name, Latency(latency=7, jitter=1), toxicity=1.0)
    (toxic,) = bench.proxy.view().toxics
    assert (toxic.type, toxic.stream, toxic.toxicity) == ("latency", "upstream", 1.0)
    assert toxic.attributes == {"latency": 7, "jitter": 1}
    bench.proxy.remove(name)
    assert bench.proxy.view().toxics == ()


def test_reset_takes_every_toxic_away(either: Toxiproxy, bench: Bench) -> None:
    bench.proxy.add(LimitData(bytes=1))
    bench.proxy.disable()
    either.reset()
    assert bench.proxy.view().enabled
    assert bench.connect().carries()


def test_several_servers_are_steered_at_the_same_time(embedded: Toxiproxy, real: Toxiproxy) -> None:
    one = embedded.create("shared-name", upstream="127.0.0.1:9")
    other = real.create("shared-name", upstream="127.0.0.1:8")
    assert (one.view().upstream, other.view().upstream) == ("127.0.0.1:9", "127.0.0.1:8")
    one.destroy()
    assert "shared-name" in real.proxies()
    other.destroy()


def test_a_refusal_says_what_was_asked_and_why_not(either: Toxiproxy) -> None:
    with pytest.raises(ToxiproxyError, match=r"GET /proxies/missing: 404, proxy not found") as caught:
        either.proxy("missing").view()
    assert caught.value.status == 404


def test_an_address_that_is_taken_is_told(either: Toxiproxy) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = "{}:{}".format(*taken.getsockname())
        with pytest.raises(ToxiproxyError, match="address already in use"):
            either.create("taken", listen=address, upstream="127.0.0.1:9")


def test_a_server_that_is_not_there_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with pytest.raises(ToxiproxyError, match="is the server running"):
        Toxiproxy(f"http://127.0.0.1:{port}").version()


def test_a_server_that_does_not_answer_is_given_up() -> None:
    watch = Stopwatch()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        server = Toxiproxy(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout_seconds=0.2)
        with pytest.raises(ToxiproxyError, match="no answer"):
            server.proxies()
    assert watch.seconds >= 0.2


def test_the_embedded_server_is_told_from_the_real_one(embedded: Toxiproxy, real: Toxiproxy) -> None:
    assert embedded.is_embedded()
    assert not real.is_embedded()


def test_the_real_server_is_not_asked_for_what_it_lacks(real: Toxiproxy) -> None:
    proxy = real.create("plain", upstream="127.0.0.1:9")
    with pytest.raises(ToxiproxyError, match="stall: only the embedded proxy"):
        proxy.add(Stall())
    # It would pass over `clients` and meet everybody.
    with pytest.raises(ToxiproxyError, match="clients: only the embedded proxy"):
        proxy.add(Latency(latency=1), clients=["127.0.0.1"])
    with pytest.raises(ToxiproxyError, match="no record of connections"):
        real.connections()
    proxy.destroy()


def test_toxiproxy_python_works_with_both_servers(
    either: Toxiproxy, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What people have written with it can be pointed at the embedded proxy."""
    library = pytest.importorskip("toxiproxy")
    from toxiproxy.api import APIConsumer

    host, _, port = either.url.removeprefix("http://").rpartition(":")
    monkeypatch.setattr(APIConsumer, "host", host)
    monkeypatch.setattr(APIConsumer, "port", int(port))
    server = library.Toxiproxy()
    assert server.running()
    upstream = "{}:{}".format(*bench.listener.getsockname())
    proxy = server.create(name="by-library", upstream=upstream)
    proxy.add_toxic(type="limit_data", attributes={"bytes": 3})
    assert list(proxy.toxics()) == ["limit_data_downstream"]
    address = proxy.listen.rpartition(":")
    with socket.create_connection((address[0], int(address[2])), timeout=10) as client, bench.accept() as there:
        there.sendall(b"abcdef")
        assert read(client, 6) == b"abc"
    proxy.destroy_toxic("limit_data_downstream")
    proxy.disable()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address[0], int(address[2])), timeout=10)
    proxy.enable()
    assert server.get_proxy("by-library").enabled
    assert server.destroy(proxy)


def test_the_package_steers_several_servers_at_once_and_is_left_as_it_was(
    embedded: Toxiproxy, real: Toxiproxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = pytest.importorskip("toxiproxy")
    from toxiproxy.api import APIConsumer

    from harness.runtimes.docker.packaged import PackagedToxiproxy

    proxies = [
        PackagedToxiproxy(each.url).create("packaged", upstream=f"127.0.0.1:{number}")
        for number, each in enumerate((embedded, real), start=8)
    ]
    for number, (proxy, server) in enumerate(zip(proxies, (embedded, real), strict=True), start=8):
        assert server.proxies()["packaged"].upstream == f"127.0.0.1:{number}"
        name = proxy.add(Latency(latency=number, jitter=1), stream="upstream", toxicity=0.5)
        (toxic,) = server.proxy("packaged").view().toxics
        assert (toxic.name, toxic.attributes, toxic.toxicity) == (name, {"latency": number, "jitter": 1}, 0.5)
        proxy.remove(name)
        assert server.proxy("packaged").view().toxics == ()
        proxy.disable()
        assert not server.proxy("packaged").view().enabled
        proxy.enable()
        assert server.proxy("packaged").view().enabled

    monkeypatch.setattr(APIConsumer, "host", "127.0.0.1")
    monkeypatch.setattr(APIConsumer, "port", int(real.url.rpartition(":")[2]))
    assert library.Toxiproxy().get_proxy("packaged").upstream == "127.0.0.1:9"
    for proxy, server in zip(proxies, (embedded, real), strict=True):
        proxy.destroy()
        assert "packaged" not in server.proxies()


def test_what_the_package_is_refused_says_what_was_asked_and_why_not(either: Toxiproxy) -> None:
    pytest.importorskip("toxiproxy")
    from harness.runtimes.docker.packaged import PackagedToxiproxy

    server = PackagedToxiproxy(either.url)
    proxy = server.create("refused", upstream="127.0.0.1:9")
    with pytest.raises(ToxiproxyError, match="there is a proxy 'refused' already"):
        server.create("refused", upstream="127.0.0.1:9")
    with pytest.raises(ToxiproxyError, match=r"DELETE /proxies/refused/toxics/none: 404, toxic not found"):
        proxy.remove("none")
    proxy.destroy()


def test_a_server_that_does_not_answer_the_package_is_given_up() -> None:
    pytest.importorskip("toxiproxy")
    from harness.runtimes.docker.packaged import PackagedToxiproxy

    with socket.create_server(("127.0.0.1", 0)) as silent:
        server = PackagedToxiproxy(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout_seconds=0.2)
        with pytest.raises(ToxiproxyError, match="no answer"):
            server.create("silent", upstream="127.0.0.1:9")

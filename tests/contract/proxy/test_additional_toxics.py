"""What Toxiproxy lacks: toxics of our own, restriction to clients, draws that repeat, the record of connections."""

import socket
from contextlib import ExitStack, suppress
from random import Random

import pytest

from harness.services.proxy.toxics import FailFirst, HalfOpen, Latency, LimitData, Reset, Slicer, Stall, Timeout
from harness.waiting import wait_until
from tests.contract.proxy.conftest import (
    Bench,
    Pair,
    Stopwatch,
    embedded_server,
    ending,
    is_silent,
    read,
)

FAR_TOO_MUCH = 200_000_000


def name_of(wire: socket.socket) -> str:
    host, port = wire.getsockname()
    return f"{host}:{port}"


def fill(wire: socket.socket) -> int:
    """Send until no more is taken; how much was."""
    wire.settimeout(0.3)
    sent = 0
    with suppress(TimeoutError):
        while sent < FAR_TOO_MUCH:
            sent += wire.send(bytes(1 << 16))
    return sent


def dial_ends(bench: Bench) -> str:
    """How a new connection ends; it may do so while it is being opened."""
    try:
        return ending(bench.dial())
    except ConnectionResetError:
        return "RST"


def test_stall_holds_data_and_close_and_delivers_both(own_bench: Bench) -> None:
    pair = own_bench.connect()
    name = own_bench.proxy.add(Stall())
    pair.server.sendall(b"held")
    pair.server.shutdown(socket.SHUT_WR)
    assert is_silent(pair.client, seconds=0.3)
    own_bench.proxy.remove(name)
    assert read(pair.client, 5) == b"held"


def test_stall_leaves_the_other_direction_alone(own_bench: Bench) -> None:
    pair = own_bench.connect()
    own_bench.proxy.add(Stall(), stream="upstream")
    pair.client.sendall(b"held")
    pair.server.sendall(b"passes")
    assert read(pair.client, 6) == b"passes"
    assert is_silent(pair.server, seconds=0.2)


def test_stall_loses_nothing_of_more_than_it_can_hold(own_bench: Bench) -> None:
    pair = own_bench.connect()
    name = own_bench.proxy.add(Stall())
    sent = fill(pair.server)
    assert sent < FAR_TOO_MUCH
    own_bench.proxy.remove(name)
    got = 0
    while got < sent:
        got += len(pair.client.recv(1 << 20))
    assert got == sent


def test_reset_hits_both_ends_of_what_is_open(own_bench: Bench) -> None:
    pairs = [own_bench.connect() for _ in range(3)]
    assert all(pair.carries() for pair in pairs)
    own_bench.proxy.add(Reset())
    for pair in pairs:
        assert ending(pair.client) == "RST"
        assert ending(pair.server) == "RST"


def test_reset_lets_clients_come_back(own_bench: Bench) -> None:
    own_bench.connect()
    own_bench.proxy.add(Reset())
    assert own_bench.connect().carries()


def test_reset_waits_for_its_delay(own_bench: Bench) -> None:
    pair = own_bench.connect()
    watch = Stopwatch()
    own_bench.proxy.add(Reset(delay=200))
    assert ending(pair.client) == "RST"
    assert watch.seconds >= 0.198


def test_half_open_swallows_both_ways_and_keeps_both_sockets(own_bench: Bench) -> None:
    pair = own_bench.connect()
    own_bench.proxy.add(HalfOpen())
    pair.client.sendall(b"lost")
    pair.server.sendall(b"lost")
    assert is_silent(pair.client, seconds=0.2)
    assert is_silent(pair.server, seconds=0.2)


def test_half_open_does_not_tell_that_the_other_end_has_closed(own_bench: Bench) -> None:
    pair = own_bench.connect()
    own_bench.proxy.add(HalfOpen())
    pair.client.close()
    assert is_silent(pair.server, seconds=0.3)
    pair.server.sendall(b"into the void")
    assert is_silent(pair.server, seconds=0.2)


def test_a_connection_that_lost_bytes_is_reset_when_half_open_ends(own_bench: Bench) -> None:
    pair = own_bench.connect()
    name = own_bench.proxy.add(HalfOpen())
    pair.client.sendall(b"lost")
    assert is_silent(pair.server, seconds=0.1)
    own_bench.proxy.remove(name)
    assert ending(pair.server) == "RST"
    assert ending(pair.client) == "RST"


def test_a_connection_that_was_silent_goes_on_when_half_open_ends(own_bench: Bench) -> None:
    pair = own_bench.connect()
    own_bench.proxy.remove(own_bench.proxy.add(HalfOpen()))
    assert pair.carries()


def test_fail_first_resets_the_first_connections_and_no_others(own_bench: Bench) -> None:
    before = own_bench.connect()
    assert before.carries()
    own_bench.proxy.add(FailFirst(connections=2))
    for _ in range(2):
        assert dial_ends(own_bench) == "RST"
        own_bench.accept()
    assert own_bench.connect().carries()
    assert before.carries()


def test_only_the_named_client_is_met(own_bench: Bench) -> None:
    one, other = own_bench.connect(), own_bench.connect()
    own_bench.proxy.add(Timeout(), clients=[name_of(one.client)])
    one.server.sendall(b"lost")
    assert other.carries()
    assert is_silent(one.client, seconds=0.2)
    assert other.carries()


@pytest.mark.parametrize("clients", [["127.0.0.1"], ["127.0.0.2", "127.0.0.1"]])
def test_a_client_may_be_named_by_its_address(own_bench: Bench, clients: list[str]) -> None:
    own_bench.proxy.add(LimitData(bytes=1), clients=clients)
    pair = own_bench.connect()
    pair.server.sendall(b"ab")
    assert read(pair.client, 2) == b"a"


def test_a_client_may_be_named_by_its_port(own_bench: Bench) -> None:
    one, other = own_bench.connect(), own_bench.connect()
    own_bench.proxy.add(Reset(), clients=[f":{one.client.getsockname()[1]}"])
    assert ending(one.client) == "RST"
    assert other.carries()


def test_connections_of_other_clients_do_not_count_as_the_first(own_bench: Bench) -> None:
    own_bench.proxy.add(FailFirst(connections=1), clients=["127.0.0.2"])
    assert own_bench.connect().carries()
    address = own_bench.proxy.address
    with pytest.raises(ConnectionResetError), socket.create_connection(address, 10, ("127.0.0.2", 0)) as wire:
        wire.recv(1)


def test_a_toxic_keeps_its_clients_when_it_is_changed(own_bench: Bench) -> None:
    name = own_bench.proxy.add(LimitData(bytes=5), clients=["127.0.0.2"])
    own_bench.proxy.update(name, LimitData(bytes=1))
    assert own_bench.proxy.view().toxics[0].clients == ("127.0.0.2",)
    assert own_bench.connect().carries()


def met(bench: Bench, connections: int) -> list[bool]:
    """Which of so many connections a toxic with a toxicity of one half meets."""
    name = bench.proxy.add(LimitData(bytes=1), toxicity=0.5, name="half")
    found = []
    for _ in range(connections):
        pair = bench.connect()
        pair.server.sendall(b"ab")
        found.append(read(pair.client, 2) == b"a")
    bench.proxy.remove(name)
    return found


def test_the_same_seed_meets_the_same_connections() -> None:
    outcomes = []
    for seed in (7, 7, 8):
        with embedded_server(seed=seed) as server, socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(10)
            proxy = server.create("p", upstream=f"127.0.0.1:{listener.getsockname()[1]}")
            bench = Bench(proxy, listener, opened=ExitStack())
            with bench.opened:
                outcomes.append(met(bench, 24))
    assert outcomes[0] == outcomes[1] != outcomes[2]
    assert 0 < sum(outcomes[0]) < 24


@pytest.mark.parametrize(("average", "variation", "size"), [(10, 0, 100), (64, 20, 5000), (1, 0, 17), (0, 0, 9)])
def test_slices_are_whole_together_and_none_is_too_big(average: int, variation: int, size: int) -> None:
    slicer = Slicer(average_size=average, size_variation=variation)
    pieces = slicer.cut(size, Random(1))  # noqa: S311 - it is to repeat
    assert sum(pieces) == size
    assert 0 < min(pieces) <= max(pieces) <= max(1, average) + variation
    assert pieces == slicer.cut(size, Random(1))  # noqa: S311


def test_a_new_toxic_comes_after_the_others(own_bench: Bench) -> None:
    pair = own_bench.connect()
    own_bench.proxy.add(Latency(latency=150))
    own_bench.proxy.add(LimitData(bytes=1))
    watch = Stopwatch()
    pair.server.sendall(b"ab")
    assert read(pair.client, 2) == b"a"
    assert watch.seconds >= 0.148


def test_every_connection_is_on_record_with_its_addresses_and_times(own_bench: Bench) -> None:
    pair = own_bench.connect()
    server = own_bench.proxy.server

    def seen(client: str) -> list[tuple[str, str, bool]]:
        return [
            (each.proxy, each.upstream, each.closed_at is None)
            for each in server.connections()
            if each.client == client
        ]

    client = name_of(pair.client)
    there = "{}:{}".format(*pair.server.getpeername())
    assert seen(client) == [(own_bench.proxy.name, there, True)]
    pair.client.close()
    wait_until(
        lambda: seen(client) == [(own_bench.proxy.name, there, False)], within=5, or_else="no end of it on record"
    )
    record = next(each for each in server.connections() if each.client == client)
    assert record.closed_at is not None
    assert record.opened_at <= record.closed_at


def test_a_connection_without_a_server_is_on_record_too(own_bench: Bench) -> None:
    own_bench.listener.close()
    wire = own_bench.dial()
    assert ending(wire) == "FIN"
    (seen,) = [each for each in own_bench.proxy.server.connections() if each.client == name_of(wire)]
    assert seen.upstream == ""


def test_nothing_is_lost_when_toxics_come_and_go_under_way(own_bench: Bench) -> None:
    pair: Pair = own_bench.connect()
    data = bytes(range(256)) * 40
    for number in range(12):
        name = own_bench.proxy.add(Slicer(average_size=100, delay=300), name="slices")
        other = own_bench.proxy.add(Latency(latency=5, jitter=4), name="lag")
        pair.server.sendall(data)
        own_bench.proxy.update(other, Latency(latency=number))
        own_bench.proxy.remove(name)
        own_bench.proxy.remove(other)
        assert read(pair.client, len(data)) == data

"""Toxiproxy's toxics do the same in both servers. Times are lower bounds: a machine may be slow."""

import contextlib
import socket
import time

import pytest

from harness.services.proxy.toxics import Bandwidth, Latency, LimitData, Noop, ResetPeer, Slicer, SlowClose, Timeout
from tests.contract.proxy.conftest import PATIENCE_SECONDS, Bench, Stopwatch, ending, is_silent, read, reset

CLOCK_SECONDS = 0.002  # timers end a little early now and then


def test_without_toxics_all_bytes_pass_both_ways_in_order(bench: Bench) -> None:
    pair = bench.connect()
    big = bytes(range(256)) * 4096
    assert pair.carries()
    pair.server.settimeout(30)
    # More than all the buffers on the way hold, so the reader has to begin before the writer is done.
    pair.client.setblocking(False)
    sent, got = 0, b""
    while len(got) < len(big):
        with contextlib.suppress(BlockingIOError):
            sent += pair.client.send(big[sent:]) if sent < len(big) else 0
        got += pair.server.recv(1 << 16)
    assert got == big


def test_a_close_passes_to_the_other_end(bench: Bench) -> None:
    pair = bench.connect()
    pair.client.sendall(b"bye")
    pair.client.close()
    assert read(pair.server, 10) == b"bye"
    other = bench.connect()
    other.server.sendall(b"bye")
    other.server.close()
    assert read(other.client, 10) == b"bye"


def test_a_reset_passes_as_an_end(bench: Bench) -> None:
    pair = bench.connect()
    assert pair.carries()
    reset(pair.client)
    assert ending(pair.server) == "FIN"


def test_a_client_is_closed_when_the_server_is_not_there(bench: Bench) -> None:
    bench.listener.close()
    assert ending(bench.dial()) == "FIN"


def test_noop_does_nothing(bench: Bench) -> None:
    bench.proxy.add(Noop())
    assert bench.connect().carries()


@pytest.mark.parametrize("stream", ["upstream", "downstream"])
def test_latency_delays_its_own_direction(bench: Bench, stream: str) -> None:
    pair = bench.connect()
    bench.proxy.add(Latency(latency=150), stream=stream)
    for writer, reader, name in (
        (pair.client, pair.server, "upstream"),
        (pair.server, pair.client, "downstream"),
    ):
        watch = Stopwatch()
        writer.sendall(b"x")
        assert read(reader, 1) == b"x"
        if name == stream:
            assert watch.seconds >= 0.15 - CLOCK_SECONDS


def test_latency_does_not_add_up_over_what_is_sent_together(bench: Bench) -> None:
    pair = bench.connect()
    bench.proxy.add(Latency(latency=500))
    watch = Stopwatch()
    for number in range(20):
        pair.server.sendall(bytes([number]))
        time.sleep(0.005)  # so that they are chunks of their own; nothing is waited for
    assert read(pair.client, 20) == bytes(range(20))
    # In series it would be 10 s; between the two there is room for a slow machine.
    assert 0.5 - CLOCK_SECONDS <= watch.seconds < 6


def test_jitter_stays_within_its_bounds_below(bench: Bench) -> None:
    pair = bench.connect()
    bench.proxy.add(Latency(latency=60, jitter=20))
    for _ in range(5):
        watch = Stopwatch()
        pair.server.sendall(b"x")
        read(pair.client, 1)
        assert watch.seconds >= 0.04 - CLOCK_SECONDS


def test_what_latency_holds_is_delivered_when_it_is_taken_away(bench: Bench) -> None:
    pair = bench.connect()
    name = bench.proxy.add(Latency(latency=60_000))
    pair.server.sendall(b"held")
    assert is_silent(pair.client, seconds=0.2)
    bench.proxy.remove(name)
    assert read(pair.client, 4) == b"held"
    assert pair.carries()


def test_latency_can_be_changed_on_an_open_connection(bench: Bench) -> None:
    pair = bench.connect()
    name = bench.proxy.add(Latency(latency=0))
    bench.proxy.update(name, Latency(latency=150))
    watch = Stopwatch()
    pair.server.sendall(b"x")
    assert read(pair.client, 1) == b"x"
    assert watch.seconds >= 0.15 - CLOCK_SECONDS


def test_two_latencies_add_up(bench: Bench) -> None:
    bench.proxy.add(Latency(latency=80), name="one")
    bench.proxy.add(Latency(latency=80), name="two")
    pair = bench.connect()
    watch = Stopwatch()
    pair.server.sendall(b"x")
    assert read(pair.client, 1) == b"x"
    assert watch.seconds >= 0.16 - CLOCK_SECONDS


def test_bandwidth_limits_the_rate(bench: Bench) -> None:
    pair = bench.connect()
    bench.proxy.add(Bandwidth(rate=50))
    data = bytes(range(250)) * 100
    watch = Stopwatch()
    pair.server.sendall(data)
    assert read(pair.client, len(data)) == data
    assert watch.seconds >= 0.5 - 0.05


def test_bandwidth_of_nothing_lets_nothing_pass_until_it_is_taken_away(bench: Bench) -> None:
    pair = bench.connect()
    name = bench.proxy.add(Bandwidth(rate=0))
    pair.server.sendall(b"held")
    assert is_silent(pair.client, seconds=0.3)
    bench.proxy.remove(name)
    assert read(pair.client, 4) == b"held"


def test_slow_close_delays_the_close_and_nothing_else(bench: Bench) -> None:
    pair = bench.connect()
    bench.proxy.add(SlowClose(delay=300))
    pair.server.sendall(b"last words")
    assert read(pair.client, 10) == b"last words"
    watch = Stopwatch()
    pair.server.close()
    assert ending(pair.client) == "FIN"
    assert watch.seconds >= 0.3 - CLOCK_SECONDS


def test_timeout_drops_data_then_closes(bench: Bench) -> None:
    pair = bench.connect()
    bench.proxy.add(Timeout(timeout=200))
    watch = Stopwatch()
    pair.server.sendall(b"lost")
    assert read(pair.client, 4) == b""
    assert watch.seconds >= 0.2 - CLOCK_SECONDS


def test_timeout_of_zero_never_closes_and_its_removal_does(bench: Bench) -> None:
    pair = bench.connect()
    name = bench.proxy.add(Timeout())
    pair.server.sendall(b"lost")
    assert is_silent(pair.client, seconds=0.3)
    bench.proxy.remove(name)
    assert read(pair.client, 4) == b""


@pytest.mark.parametrize("stream", ["upstream", "downstream"])
def test_reset_peer_resets_connections_that_are_opened_under_it(bench: Bench, stream: str) -> None:
    bench.proxy.add(ResetPeer(), stream=stream)
    pair = bench.connect()
    (pair.client if stream == "upstream" else pair.server).sendall(b"x")
    assert ending(pair.client) == "RST"
    assert ending(pair.server) == "RST"


def test_reset_peer_waits_for_its_timeout(bench: Bench) -> None:
    bench.proxy.add(ResetPeer(timeout=200))
    pair = bench.connect()
    watch = Stopwatch()
    pair.server.sendall(b"x")
    assert ending(pair.client) == "RST"
    assert watch.seconds >= 0.2 - CLOCK_SECONDS


def test_reset_peer_only_closes_what_was_open_before(bench: Bench) -> None:
    pair = bench.connect()
    assert pair.carries()
    bench.proxy.add(ResetPeer())
    pair.server.sendall(b"lost")
    assert read(pair.client, 4) == b""


def test_slicer_cuts_into_pieces(bench: Bench) -> None:
    pair = bench.connect()
    bench.proxy.add(Slicer(average_size=10, delay=50_000))
    data = bytes(range(100))
    watch = Stopwatch()
    pair.server.sendall(data)
    first = pair.client.recv(100)
    assert 0 < len(first) < 100
    assert first + read(pair.client, 100 - len(first)) == data
    assert watch.seconds >= 9 * 0.05 - CLOCK_SECONDS  # ten pieces at least, a delay after each


@pytest.mark.parametrize(("limit", "sent"), [(10, 25), (25, 25), (0, 25)])
def test_limit_data_closes_after_exactly_so_many_bytes(bench: Bench, limit: int, sent: int) -> None:
    pair = bench.connect()
    bench.proxy.add(LimitData(bytes=limit))
    data = bytes(range(sent))
    pair.server.sendall(data)
    assert read(pair.client, sent + 1) == data[:limit]


def test_limit_data_counts_over_chunks_and_each_connection_for_itself(bench: Bench) -> None:
    bench.proxy.add(LimitData(bytes=6), stream="upstream")
    for _ in range(2):
        pair = bench.connect()
        pair.client.sendall(b"abcd")
        assert read(pair.server, 4) == b"abcd"
        pair.client.sendall(b"efgh")
        assert read(pair.server, 4) == b"ef"


def test_limit_data_goes_on_counting_when_the_limit_is_changed(bench: Bench) -> None:
    pair = bench.connect()
    name = bench.proxy.add(LimitData(bytes=100))
    pair.server.sendall(b"abcd")
    assert read(pair.client, 4) == b"abcd"
    bench.proxy.update(name, LimitData(bytes=6))
    pair.server.sendall(b"efgh")
    assert read(pair.client, 4) == b"ef"


def test_a_toxicity_of_zero_meets_nobody(bench: Bench) -> None:
    bench.proxy.add(Timeout(), toxicity=0)
    assert bench.connect().carries()


def test_disabling_closes_the_listener_and_every_connection_and_enabling_takes_the_same_address(bench: Bench) -> None:
    pair = bench.connect()
    assert pair.carries()
    address = bench.proxy.address
    bench.proxy.disable()
    assert ending(pair.client) == "FIN"
    assert ending(pair.server) == "FIN"
    with pytest.raises(ConnectionRefusedError):
        bench.dial()
    bench.proxy.enable()
    assert bench.proxy.address == address
    assert bench.connect().carries()


def test_toxics_survive_disabling(bench: Bench) -> None:
    bench.proxy.add(LimitData(bytes=2))
    bench.proxy.disable()
    bench.proxy.enable()
    pair = bench.connect()
    pair.server.sendall(b"abc")
    assert read(pair.client, 3) == b"ab"


def test_another_upstream_is_called_from_then_on(bench: Bench) -> None:
    before = bench.proxy.address
    bench.proxy.move(f"127.0.0.1:{bench.listener.getsockname()[1]}")  # the same: nothing happens
    assert bench.proxy.address == before
    other = bench.opened.enter_context(socket.create_server(("127.0.0.1", 0)))
    other.settimeout(PATIENCE_SECONDS)
    bench.proxy.move(f"127.0.0.1:{other.getsockname()[1]}")
    assert bench.proxy.address == before
    client = bench.dial()
    server, _ = other.accept()
    with server:
        client.sendall(b"x")
        assert server.recv(1) == b"x"

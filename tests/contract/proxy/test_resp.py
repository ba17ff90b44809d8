"""RESP is followed by its own framing, wherever TCP cuts it, and connections end at commands and replies."""

import socket
from collections.abc import Iterator

import pytest
import redis

from harness.services.broker import Broker
from harness.services.proxy.client import ProxyHandle, Toxiproxy
from harness.services.proxy.resp import Framing, NotRespError, command_in
from harness.services.proxy.toxics import RespCutAfter, RespCutBefore, Slicer
from harness.session import LocalLane
from tests.contract.conftest import running_broker
from tests.contract.proxy.conftest import Bench, read

COMMANDS = [
    b"*1\r\n$4\r\nPING\r\n",
    b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n\r\n",
    b"*3\r\n$5\r\nRPUSH\r\n$1\r\nq\r\n$23\r\n*1\r\n$4\r\nPING\r\n$99\r\n\r\n\xff\xfe\r\n",
    b"*0\r\n",
    b"PING hello\r\n",
    b"\r\n",
]
REPLIES = [
    b"+OK\r\n",
    b"-ERR no such thing\r\n",
    b":-7\r\n",
    b"$-1\r\n",
    b"$6\r\na\r\nb\r\n\r\n",
    b"*-1\r\n",
    b"*3\r\n*2\r\n:1\r\n$2\r\nab\r\n*0\r\n+x\r\n",
    b"%2\r\n+a\r\n*1\r\n:1\r\n+b\r\n_\r\n",
    b"~1\r\n#t\r\n",
    b">2\r\n+message\r\n,1.5\r\n",
    b"=8\r\ntxt:text\r\n",
    b"|1\r\n+ttl\r\n:3\r\n",
    b"(123456789012345678901234567890\r\n",
]


def values(stream: bytes, framing: Framing, piece: int) -> list[bytes]:
    """The values of a stream that comes in pieces of so many bytes."""
    found, current = [], b""
    for start in range(0, len(stream), piece):
        data = stream[start : start + piece]
        while data:
            size, framing = framing.after(data)
            current, data = current + data[:size], data[size:]
            if framing.is_between:
                found.append(current)
                current = b""
    assert current == b""
    return found


@pytest.mark.parametrize("piece", [1, 2, 3, 5, 7, 11, 64, 10_000])
def test_values_are_found_wherever_the_stream_is_cut(piece: int) -> None:
    assert values(b"".join(REPLIES), Framing(), piece) == REPLIES
    assert values(b"".join(COMMANDS), Framing(inline=True), piece) == COMMANDS


@pytest.mark.parametrize("data", [b"hello\r\n", b"$x\r\n", b"*1\r\nhello\r\n", b"*1\n", b"x" * 70_000])
def test_what_is_not_resp_is_refused(data: bytes) -> None:
    with pytest.raises(NotRespError):
        values(data, Framing(), 10)


def test_a_name_is_known_as_soon_as_it_is_whole_and_not_before() -> None:
    command = COMMANDS[2]
    known_from = command.index(b"RPUSH") + len("RPUSH")
    assert [command_in(command[:size]) for size in range(known_from)] == [None] * known_from
    assert {command_in(command[:size]) for size in range(known_from, len(command) + 1)} == {"RPUSH"}


@pytest.mark.parametrize(("line", "name"), [(b"ping hello\r\n", "PING"), (b"\r\n", ""), (b"pi", None)])
def test_commands_in_plain_words_have_names_too(line: bytes, name: str | None) -> None:
    assert command_in(line) == name


@pytest.fixture
def broker(lane: LocalLane) -> Iterator[Broker]:
    with running_broker(lane) as running:
        yield running


@pytest.fixture
def before_broker(embedded: Toxiproxy, broker: Broker) -> Iterator[ProxyHandle]:
    proxy = embedded.create("broker", upstream=f"127.0.0.1:{broker.port}")
    yield proxy
    proxy.destroy()


@pytest.fixture
def client(before_broker: ProxyHandle) -> Iterator[redis.Redis]:
    host, port = before_broker.address
    # What is cut must not be sent again by the client itself.
    with redis.Redis(host=host, port=port, socket_timeout=10, retry=None) as opened:
        yield opened


def test_a_command_is_cut_before_the_server_sees_it(
    broker: Broker, before_broker: ProxyHandle, client: redis.Redis
) -> None:
    before_broker.add(RespCutBefore(command="rpush", occurrence=2), stream="upstream")
    client.rpush("q", "one")
    with pytest.raises(redis.ConnectionError):
        client.rpush("q", "two")
    assert broker.client.lrange("q", 0, -1) == [b"one"]
    client.rpush("q", "three")
    assert broker.client.lrange("q", 0, -1) == [b"one", b"three"]


def test_a_reply_is_cut_after_the_server_has_applied_the_command(
    broker: Broker, before_broker: ProxyHandle, client: redis.Redis
) -> None:
    before_broker.add(RespCutAfter(command="RPUSH", occurrence=2))
    client.rpush("q", "one")
    with pytest.raises(redis.ConnectionError):
        client.rpush("q", "two")
    assert broker.client.lrange("q", 0, -1) == [b"one", b"two"]
    client.rpush("q", "three")
    assert broker.client.llen("q") == 3


def test_the_commands_before_the_cut_in_one_packet_are_applied(
    broker: Broker, before_broker: ProxyHandle, client: redis.Redis
) -> None:
    before_broker.add(RespCutBefore(command="HSET"), stream="upstream")
    with client.pipeline(transaction=False) as pipeline:
        pipeline.set("a", "1").set("b", "x" * 300_000).hset("h", "k", "v").set("c", "3")
        with pytest.raises(redis.ConnectionError):
            pipeline.execute()
    assert sorted(broker.client.keys()) == [b"a", b"b"]


def test_a_transaction_is_cut_at_its_execution(broker: Broker, before_broker: ProxyHandle, client: redis.Redis) -> None:
    before_broker.add(RespCutAfter(command="EXEC"))
    with client.pipeline(transaction=True) as pipeline:
        pipeline.set("a", "1").set("b", "2")
        with pytest.raises(redis.ConnectionError):
            pipeline.execute()
    assert sorted(broker.client.keys()) == [b"a", b"b"]


@pytest.mark.parametrize("toxic", [RespCutBefore(command="GETDEL"), RespCutAfter(command="GETDEL")])
def test_a_name_inside_a_payload_is_not_a_command(
    before_broker: ProxyHandle, client: redis.Redis, toxic: RespCutBefore | RespCutAfter
) -> None:
    before_broker.add(Slicer(average_size=7, size_variation=3), name="slices", stream="upstream")
    before_broker.add(toxic, stream="upstream")
    payload = b"\r\n*2\r\n$6\r\nGETDEL\r\n$1\r\nk\r\n" * 20
    client.set("k", payload)
    assert client.get("k") == payload
    with pytest.raises(redis.ConnectionError):
        client.getdel("k")


def test_replies_that_come_late_or_nested_do_not_mislead_the_cut(
    broker: Broker, before_broker: ProxyHandle, client: redis.Redis
) -> None:
    before_broker.add(RespCutAfter(command="INCRBY", occurrence=3))  # so redis-py says INCR
    broker.client.rpush("list", *range(500))
    with client.pipeline(transaction=False) as pipeline:
        pipeline.lrange("list", 0, -1).incr("n").blpop("empty", 0.1).get("nothing").incr("n").lrange("list", 0, 1)
        answers = pipeline.execute()
    assert (len(answers[0]), answers[1:5], len(answers[5])) == (500, [1, None, None, 2], 2)
    with pytest.raises(redis.ConnectionError):
        client.incr("n")
    assert broker.client.get("n") == b"3"


@pytest.mark.parametrize("toxic", [RespCutBefore(command="X"), RespCutAfter(command="X")])
def test_what_is_not_resp_passes(own_bench: Bench, toxic: RespCutBefore | RespCutAfter) -> None:
    own_bench.proxy.add(toxic, stream="upstream")
    pair = own_bench.connect()
    assert pair.carries(b"\x00\x01 binary without a line end" * 5000)


def test_replies_to_the_commands_before_the_cut_pass(broker: Broker, before_broker: ProxyHandle) -> None:
    before_broker.add(RespCutBefore(command="PING"), stream="upstream")
    with socket.create_connection(before_broker.address, timeout=10) as wire:
        wire.sendall(b"SET a 1\r\nGET a\r\nPING\r\nGET a\r\n")
        assert read(wire, 100) == b"+OK\r\n$1\r\n1\r\n"


def test_replies_before_the_one_that_is_cut_pass(broker: Broker, before_broker: ProxyHandle) -> None:
    before_broker.add(RespCutAfter(command="INCR", occurrence=2))
    with socket.create_connection(before_broker.address, timeout=10) as wire:
        wire.sendall(b"INCR n\r\nGET n\r\nINCR n\r\nGET n\r\n")
        assert read(wire, 100) == b":1\r\n$1\r\n1\r\n"
    assert broker.client.get("n") == b"2"


def test_half_a_command_is_passed_on_when_its_sender_stops(own_bench: Bench) -> None:
    own_bench.proxy.add(RespCutBefore(command="SET"), stream="upstream")
    pair = own_bench.connect()
    pair.client.sendall(b"*3\r\n$3\r\nSE")
    pair.client.shutdown(socket.SHUT_WR)
    assert read(pair.server, 100) == b"*3\r\n$3\r\nSE"

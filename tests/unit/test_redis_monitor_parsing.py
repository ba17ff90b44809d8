import time
from collections.abc import Sequence
from queue import SimpleQueue
from types import SimpleNamespace

import redis
from hypothesis import example, given
from hypothesis import strategies as st

from harness.services.redis_monitor import RedisMonitor, parse

# sdscatrepr() in sds.c, which MONITOR prints each argument with.
SHORT = {0x5C: b"\\\\", 0x22: b'\\"', 0x0A: b"\\n", 0x0D: b"\\r", 0x09: b"\\t", 0x07: b"\\a", 0x08: b"\\b"}


def printed(word: bytes) -> bytes:
    """A word as the server prints it: short escapes, printable ASCII as it is, everything else in hexadecimal."""
    return b'"' + b"".join(SHORT.get(b, bytes([b]) if 0x20 <= b < 0x7F else b"\\x%02x" % b) for b in word) + b'"'


@given(st.lists(st.binary(max_size=30), min_size=1, max_size=5))
@example([b"\\x41"])
@example([b'\\"'])
@example([b'" "'])
@example([b"\\"])
@example([bytes(range(256))])
@example([b""])
def test_reading_a_line_undoes_the_servers_escaping_of_any_bytes(words: list[bytes]) -> None:
    line = b"1700000000.123456 [0 127.0.0.1:51234] " + b" ".join(printed(word) for word in words)
    assert parse(line) == ("127.0.0.1:51234", words, 1700000000.123456)


def test_a_line_as_a_server_prints_it_is_read() -> None:
    line = rb'1339518087.877697 [0 127.0.0.1:60866] "LPUSH" "celery" "{\"body\": \"\xc3\xbc\\n\"}"'
    assert parse(line) == ("127.0.0.1:60866", [b"LPUSH", b"celery", b'{"body": "\xc3\xbc\\n"}'], 1339518087.877697)


def test_the_client_may_be_of_any_family_or_a_script() -> None:
    assert parse(b'1.5 [15 [::1]:6379] "PING"') == ("[::1]:6379", [b"PING"], 1.5)
    assert parse(b'1.5 [0 lua] "PING"') == ("lua", [b"PING"], 1.5)
    assert parse(b'1.5 [0 unix:/tmp/redis.sock] "PING"') == ("unix:/tmp/redis.sock", [b"PING"], 1.5)


def test_what_is_not_a_command_is_told_apart() -> None:
    assert parse(b"OK") is None
    assert parse(b"") is None
    assert parse(b'"PING"') is None


@given(st.binary(max_size=60))
def test_no_line_whatever_it_holds_is_an_error(line: bytes) -> None:
    parse(line)


class FakeServer:
    """A client whose one connection answers MONITOR with what is put on a queue; None ends the stream."""

    def __init__(self) -> None:
        self.lines: SimpleQueue[bytes | None] = SimpleQueue()
        self.lines.put(b"OK")
        self.connection_pool = SimpleNamespace(connection_class=lambda **_: self, connection_kwargs={})

    def connect(self) -> None: ...

    def disconnect(self) -> None:
        self.lines.put(None)

    def send_command(self, command: str) -> None: ...

    def read_response(self, **_: object) -> bytes:
        line = self.lines.get()
        if line is None:
            raise redis.ConnectionError
        return line

    def echo(self, text: str) -> None:
        self.lines.put(b'1.5 [0 10.0.0.1:1] "ECHO" "' + text.encode() + b'"')


def test_whatever_was_executed_before_a_sync_has_been_heard_after_it() -> None:
    server, heard = FakeServer(), []
    monitor = RedisMonitor(server, lambda client, words, at: heard.append((client, words, at)))
    server.lines.put(b'1.5 [0 10.0.0.1:1] "PING"')
    assert monitor.sync()
    assert heard == [("10.0.0.1:1", [b"PING"], 1.5)]
    assert monitor.sync()
    monitor.close()


def test_a_stream_that_ended_is_told_at_once() -> None:
    server = FakeServer()
    monitor = RedisMonitor(server, lambda client, words, at: None)
    server.lines.put(None)
    began = time.monotonic()
    assert not monitor.sync(within=5)
    assert time.monotonic() - began < 2


def test_a_listener_that_fails_ends_the_stream_and_is_told_at_once() -> None:
    def fail(client: str, words: Sequence[bytes], at: float) -> None:
        raise RecursionError

    server = FakeServer()
    monitor = RedisMonitor(server, fail)
    server.lines.put(b'1.5 [0 10.0.0.1:1] "PING"')
    began = time.monotonic()
    assert not monitor.sync(within=3)
    assert time.monotonic() - began < 2

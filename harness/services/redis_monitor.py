"""Every command that a Redis server executes, in order, as its MONITOR reports it.

Seen from outside the subject, for any client in any language. `MONITOR` is a diagnostic of the server's, so the
stream ends when the server does.
"""

import re
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import redis

Listener = Callable[[str, Sequence[bytes], float], None]
"""Told the client's address, the words of its command, and when it was executed, in seconds of the broker's clock."""

_LINE = re.compile(rb"(\d+\.\d+) \[\d+ (\S+)\] ")
_WORD = re.compile(rb'"([^"\\]*(?:\\.[^"\\]*)*)"', re.DOTALL)


def parse(line: bytes) -> tuple[str, list[bytes], float] | None:
    """What a `Listener` is told of one line of MONITOR; None for what is not a command.

    A line has the whole of a message, which may be megabytes, and nothing else of the harness runs while an expression
    matches: so the words are taken in a few steps, not letter by letter, and unescaped by a codec. Redis escapes as C
    does (`sdscatrepr` in its sds.c), and has nothing but ASCII left after it.
    """
    match = _LINE.match(line)
    if match is None:
        return None
    return match[2].decode(), [_unescaped(word) for word in _WORD.findall(line, match.end())], float(match[1])


def _unescaped(word: bytes) -> bytes:
    if b"\\" not in word:
        return word
    try:
        return word.decode("unicode_escape").encode("latin-1")
    except UnicodeError:  # no server escapes like that
        return word


class RedisMonitor:
    """Calls `listener` for each command, from one thread.

    `sync()` returns when everything that the server had executed before the call has been heard.
    """

    def __init__(self, client: "redis.Redis", listener: Listener) -> None:
        self._client = client
        self._listener = listener
        self._changed = threading.Condition()
        self._token = 0
        self._heard_token = 0
        self._ended = False
        self.ended_by = ""
        self._connection = self._open(client)

    def _open(self, client: "redis.Redis") -> Any:
        pool = client.connection_pool
        connection = pool.connection_class(**{**pool.connection_kwargs, "socket_timeout": None})
        connection.connect()
        connection.send_command("MONITOR")
        connection.read_response()
        threading.Thread(target=self._listen, args=(connection,), name="redis-monitor", daemon=True).start()
        return connection

    def reopen(self, client: "redis.Redis") -> None:
        """Listen to a server that has been started again; everything that the old one had executed has been heard."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended, timeout=10)
            self._ended, self.ended_by = False, ""
        self._connection = self._open(client)

    def sync(self, *, within: float = 10.0) -> bool:
        """False if the stream has ended or did not get that far in time."""
        with self._changed:
            self._token += 1
            token = self._token
        self._client.echo(f"jobproof-sync-{id(self)}-{token}")
        with self._changed:
            self._changed.wait_for(lambda: self._heard_token >= token or self._ended, timeout=within)
            return self._heard_token >= token

    def close(self) -> None:
        with suppress(Exception):  # the server may be gone already
            self._connection.disconnect()

    def _listen(self, connection: Any) -> None:
        mark = f"jobproof-sync-{id(self)}-".encode()
        try:
            while True:
                line = connection.read_response(disable_decoding=True)
                parsed = parse(line if isinstance(line, bytes) else str(line).encode())
                if parsed is None:
                    continue
                client, words, at = parsed
                if len(words) == 2 and words[1].startswith(mark):  # noqa: PLR2004 - ECHO and its argument
                    with self._changed:
                        self._heard_token = max(self._heard_token, int(words[1].removeprefix(mark)))
                        self._changed.notify_all()
                elif words:
                    self._listener(client, words, at)
        except Exception as error:  # the server or the connection ended, or the listener failed: told by `sync`
            self.ended_by = f"{type(error).__name__}: {error}"
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

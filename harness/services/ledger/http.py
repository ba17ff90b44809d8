"""The ledger's HTTP/1.1: a thread for each connection, parsed by h11."""

import contextlib
import select
import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from typing import Any

import h11

from harness.codec import digest, encode
from harness.services.ledger.ledger import (
    BODY_BYTES_MAX,
    DRIP_SECONDS,
    SILENCE_SECONDS_MAX,
    ClientGoneError,
    Incoming,
    Ledger,
    Reply,
)
from harness.services.ledger.sockets import bound, is_gone, will_reset

# What differs between two sendings of the same thing is not part of its content.
_CONTENT_HEADERS = frozenset({"content-type"})


class HttpService:
    """Listens on one port, and can be closed and opened again there."""

    def __init__(self, ledger: Ledger, port: int) -> None:
        """:raises OSError: somebody else has the port"""
        self._ledger = ledger
        self._host = ledger.settings.host
        self._listener = bound(self._host, port)
        self.port: int = self._listener.getsockname()[1]
        self._server: _HttpServer | None = None

    def accept(self) -> None:
        if self._server is None:
            self._server = _HttpServer(self._ledger, self._listener)
            threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def refuse(self) -> None:
        """From now on connections are refused; those that were open have been reset."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._listener = bound(self._host, self.port)
            self._server.reset_all()
            self._server = None


class _HttpServer(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(self, ledger: Ledger, listener: socket.socket) -> None:
        self.ledger = ledger
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self.closing, self._close = socket.socketpair()
        super().__init__(listener.getsockname(), _HttpHandler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.server_activate()

    @contextlib.contextmanager
    def known(self, link: socket.socket) -> Iterator[None]:
        with self._lock:
            self._open.add(link)
        try:
            yield
        finally:
            with self._lock:
                self._open.discard(link)

    def reset_all(self) -> None:
        with self._lock:
            for link in self._open:
                with contextlib.suppress(OSError):
                    will_reset(link)
                    link.close()
        # A thread that waits for a connection's bytes keeps it open until it wakes.
        self._close.close()


class _HttpHandler(socketserver.BaseRequestHandler):
    """One connection, and the client at its other end."""

    server: _HttpServer
    request: socket.socket

    def handle(self) -> None:
        with self.server.known(self.request), contextlib.suppress(OSError, ValueError, h11.ProtocolError):
            self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._poll = select.poll()
            self._poll.register(self.request, select.POLLIN)
            self._poll.register(self.server.closing, select.POLLIN)
            connection = h11.Connection(h11.SERVER)
            while self._serve_one(connection):
                connection.start_next_cycle()

    # --- the client, as the ledger sees it ---

    def is_gone(self) -> bool:
        return is_gone(self.request)

    def wait_until_gone(self) -> None:
        """What it sends meanwhile is read and forgotten."""
        deadline = time.monotonic() + SILENCE_SECONDS_MAX
        with contextlib.suppress(OSError):
            while time.monotonic() < deadline and self._receive(SILENCE_SECONDS_MAX):
                pass

    def drip(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        try:
            self.request.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            while time.monotonic() < deadline:
                time.sleep(DRIP_SECONDS)  # being slow is what was asked for
                self.request.sendall(b"z")
        except OSError as error:
            raise ClientGoneError from error

    # --- the protocol ---

    def _serve_one(self, connection: h11.Connection) -> bool:
        head = self._next(connection)
        if not isinstance(head, h11.Request):
            return False
        parts: list[bytes] = []
        length = 0
        while isinstance(part := self._next(connection), h11.Data):
            parts.append(bytes(part.data))
            length += len(part.data)
            if length > BODY_BYTES_MAX:
                self._send(connection, Reply(status=413, body=b'{"error": "too large"}'), with_body=True)
                return False
        if not isinstance(part, h11.EndOfMessage):
            return False  # the client went away before it had sent all: nothing was requested
        reply = self.server.ledger.receive(self._incoming(head, b"".join(parts)), self)
        if reply.lost is not None:
            if reply.lost.reset:
                will_reset(self.request)
                self.request.close()
            return False
        self._send(connection, reply, with_body=head.method != b"HEAD")
        return connection.our_state is h11.DONE and connection.their_state is h11.DONE

    def _incoming(self, head: h11.Request, body: bytes) -> Incoming:
        label = f"{head.method.decode()} {head.target.decode()}"
        headers = {name.decode(): value.decode(errors="replace") for name, value in head.headers}
        content = {name.lower(): value for name, value in headers.items() if name.lower() in _CONTENT_HEADERS}
        return Incoming(
            label=label,
            headers=headers,
            body=body,
            fingerprint=digest(encode([label, content]) + body),
            connection=":".join(str(part) for part in self.client_address[:2]),
        )

    def _next(self, connection: h11.Connection) -> h11.Event | None:
        while True:
            event = connection.next_event()
            if event is h11.PAUSED:
                return None
            if event is not h11.NEED_DATA:
                return event if isinstance(event, h11.Event) else None
            if connection.they_are_waiting_for_100_continue:
                continue_ = h11.InformationalResponse(status_code=100, headers=[])
                self.request.sendall(connection.send(continue_) or b"")
            connection.receive_data(self._receive(None))

    def _receive(self, seconds: float | None) -> bytes:
        """The next bytes; none at the end, or where the service closes or time is up."""
        ready: list[Any] = self._poll.poll(None if seconds is None else seconds * 1000)
        if not ready or any(descriptor == self.server.closing.fileno() for descriptor, _ in ready):
            return b""
        return self.request.recv(1 << 16)

    def _send(self, connection: h11.Connection, reply: Reply, *, with_body: bool) -> None:
        headers = [("Content-Type", reply.content_type), ("Content-Length", str(len(reply.body)))]
        data = connection.send(h11.Response(status_code=reply.status, headers=headers)) or b""
        if with_body:
            data += connection.send(h11.Data(data=reply.body)) or b""
        data += connection.send(h11.EndOfMessage()) or b""
        if reply.dripped:
            data = b"\r\n" + data.partition(b"\r\n")[2]
        self.request.sendall(data)

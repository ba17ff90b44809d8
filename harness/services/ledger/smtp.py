"""The ledger's mail server: what aiosmtpd receives, one request for each recipient.

A mail's request is `MAIL /recipient`, its headers are the mail's. A status of the ledger becomes 250 below 400, 451
(try again) from 500 on, and 550 (permanent) in between. A mail to several is answered once, with the worst of their
answers: the others may have been applied all the same, as with any mail server.
"""

import asyncio
import contextlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from email.errors import MessageError
from email.header import decode_header, make_header
from email.message import Message
from email.parser import BytesHeaderParser

from aiosmtpd.smtp import SMTP, Envelope, Session

from harness.codec import digest, encode
from harness.services.ledger.ledger import (
    BODY_BYTES_KEPT,
    BODY_BYTES_MAX,
    DRIP_SECONDS,
    SILENCE_SECONDS_MAX,
    ClientGoneError,
    Incoming,
    Ledger,
    Reply,
)
from harness.services.ledger.sockets import bound, is_gone, will_reset

HELD_MAX = 256
# What differs between two sendings of the same mail (Date, Message-ID, Received) is not part of its content.
_CONTENT_HEADERS = frozenset(
    {"from", "to", "cc", "reply-to", "subject", "content-type", "content-transfer-encoding", "content-disposition"}
)


class SmtpService:
    """Listens on one port, and can be closed and opened again there; its loop runs in a thread of its own."""

    def __init__(self, ledger: Ledger, port: int) -> None:
        """:raises OSError: somebody else has the port"""
        self._ledger = ledger
        self._host = ledger.settings.host
        self._listener = bound(self._host, port)
        self.port: int = self._listener.getsockname()[1]
        self._threads = ThreadPoolExecutor(HELD_MAX, thread_name_prefix="smtp")
        self._connections: set[_Connection] = set()
        self._server: asyncio.Server | None = None
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    def accept(self) -> None:
        asyncio.run_coroutine_threadsafe(self._accept(), self._loop).result()

    def refuse(self) -> None:
        """From now on connections are refused; those that were open have been reset."""
        asyncio.run_coroutine_threadsafe(self._refuse(), self._loop).result()

    async def _accept(self) -> None:
        if self._server is None:
            self._server = await self._loop.create_server(self._connection, sock=self._listener, backlog=256)

    async def _refuse(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
            await asyncio.sleep(0)  # the loop closes the listener when it comes round
            self._listener = bound(self._host, self.port)
            for connection in tuple(self._connections):
                connection.end(reset=True)

    def _connection(self) -> "_Connection":
        return _Connection(self._ledger, self._loop, self._threads, self._connections)


class _Connection(SMTP):
    """One connection, and the client at its other end. What may wait is done in threads, and no other waits for it."""

    def __init__(
        self,
        ledger: Ledger,
        loop: asyncio.AbstractEventLoop,
        threads: ThreadPoolExecutor,
        connections: set["_Connection"],
    ) -> None:
        super().__init__(
            self,
            data_size_limit=BODY_BYTES_MAX,
            enable_SMTPUTF8=True,
            hostname="localhost",
            timeout=SILENCE_SECONDS_MAX,
            loop=loop,
        )
        self._ledger = ledger
        self._threads = threads
        self._connections = connections
        self._hung_up = threading.Event()
        self._bytes = 0

    # --- the transport ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._connections.add(self)
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        # A line without an end is kept by the parser until its end, so the end is made here.
        self._bytes += len(data)
        if self._bytes > 2 * BODY_BYTES_MAX:
            self.end(reset=True)
        else:
            super().data_received(data)

    def eof_received(self) -> bool | None:
        self._hung_up.set()
        return super().eof_received()

    def connection_lost(self, error: Exception | None) -> None:
        self._hung_up.set()
        self._connections.discard(self)
        super().connection_lost(error)

    def end(self, *, reset: bool) -> None:
        if not isinstance(self.transport, asyncio.Transport):
            return
        if reset:
            with contextlib.suppress(OSError), self.transport.get_extra_info("socket").dup() as link:
                will_reset(link)
            self.transport.abort()
        else:
            self.transport.close()

    # --- the client, as the ledger sees it ---

    def is_gone(self) -> bool:
        if self._hung_up.is_set() or self.transport is None:
            return True
        try:
            with self.transport.get_extra_info("socket").dup() as link:
                return is_gone(link)
        except OSError:
            return True

    def wait_until_gone(self) -> None:
        self._hung_up.wait(SILENCE_SECONDS_MAX)

    def drip(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self._hung_up.wait(DRIP_SECONDS):
                raise ClientGoneError
            self.loop.call_soon_threadsafe(self._write, b"250-wait\r\n")

    def _write(self, data: bytes) -> None:
        if isinstance(self.transport, asyncio.Transport) and not self.transport.is_closing():
            self.transport.write(data)

    # --- the protocol ---

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        self._bytes = 0
        try:
            reply = await self.loop.run_in_executor(self._threads, self._receive, envelope)
        except ClientGoneError:
            reply = None
        if reply is None or reply.lost is not None:
            self.end(reset=reply is not None and reply.lost is not None and reply.lost.reset)
            await asyncio.sleep(SILENCE_SECONDS_MAX)  # cut short by the end of the connection
            return "421 the connection has ended"
        return f"{_code(reply.status)} {reply.body.decode()}"

    async def handle_exception(self, error: Exception) -> str:
        del error  # whatever a hostile mail broke is the mail's fault
        return "554 not understood"

    def _receive(self, envelope: Envelope) -> Reply:
        """:raises ClientGoneError: nobody waits for an answer"""
        content = envelope.original_content or b""
        worst: Reply | None = None
        for recipient in dict.fromkeys(envelope.rcpt_tos):
            reply = self._ledger.receive(_incoming(recipient, content, self._peer()), self)
            if worst is None or (reply.lost is not None, reply.status) > (worst.lost is not None, worst.status):
                worst = reply
        if worst is None:
            raise ClientGoneError
        return worst

    def _peer(self) -> str:
        peer = self.session.peer if self.session is not None else None
        return ":".join(str(part) for part in (peer or ())[:2])


def _code(status: int) -> int:
    if status < 400:  # noqa: PLR2004
        return 250
    return 451 if status >= 500 else 550  # noqa: PLR2004


def _incoming(recipient: str, content: bytes, peer: str) -> Incoming:
    head, _, body = content.partition(b"\r\n\r\n")
    message = BytesHeaderParser().parsebytes(head[:BODY_BYTES_KEPT])
    headers: dict[str, str] = {}
    for name, value in message.items():
        headers.setdefault(_clean(name), _readable(value))
    label = f"MAIL /{_clean(recipient)}"
    told = {name.lower(): value for name, value in headers.items() if name.lower() in _CONTENT_HEADERS}
    sealed = encode([label, sorted(told.items())]) + body
    if boundary := _boundary(message):  # chosen anew for each sending
        sealed = sealed.replace(boundary, b"boundary")
    return Incoming(label=label, headers=headers, body=body, fingerprint=digest(sealed), connection=peer)


def _boundary(message: Message) -> bytes:
    try:
        return (message.get_boundary() or "").encode(errors="replace")
    except Exception:  # the parser is the standard library's, the header anybody's
        return b""


def _readable(value: object) -> str:
    """A header's value, decoded as far as it can be."""
    try:
        return _clean(str(make_header(decode_header(value))))  # type: ignore[arg-type]
    except (MessageError, ValueError, LookupError):
        return _clean(str(value))


def _clean(text: str) -> str:
    """Bytes that are no text become replacement characters, folded lines one."""
    return " ".join(text.encode(errors="surrogateescape").decode(errors="replace").split())

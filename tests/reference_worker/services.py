"""The downstream services, small and real: HTTP with keys and fences, and a mail server."""

import json
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller


@dataclass(frozen=True)
class Received:
    method: str
    path: str
    headers: dict[str, str]
    body: Any
    status: int


@dataclass
class Downstream:
    """What it was asked, and how it answers: 200 and applied, unless `answers` says otherwise.

    It honours `Idempotency-Key` and `X-Fencing-Token`. `hold` keeps requests that begin with these words back until
    `let_go` is set: before they are applied.
    """

    url: str = ""
    received: list[Received] = field(default_factory=list)
    applied: list[Received] = field(default_factory=list)
    answers: deque[int] = field(default_factory=deque)
    hold: str = ""
    holding: threading.Event = field(default_factory=threading.Event)
    let_go: threading.Event = field(default_factory=threading.Event)
    _keys: set[str] = field(default_factory=set)
    _fences: dict[str, int] = field(default_factory=dict)
    _files: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, label: str) -> int:
        return sum(f"{each.method} {each.path}".startswith(label) for each in self.applied)

    def answer(self, method: str, path: str, headers: dict[str, str], body: Any) -> int:
        if self.hold and f"{method} {path}".startswith(self.hold):
            self.hold = ""
            self.holding.set()
            self.let_go.wait(20)
        with self._lock:
            applies = self._answer(method, path, headers)
            request = Received(method, path, headers, body, applies[0])
            self.received.append(request)
            if applies[1]:
                self.applied.append(request)
            return applies[0]

    def _answer(self, method: str, path: str, headers: dict[str, str]) -> tuple[int, bool]:
        if self.answers and (status := self.answers.popleft()) != 200:
            return status, False
        if token := int(headers.get("X-Fencing-Token", 0)):
            if token < self._fences.get(path, 0):
                return 412, False
            self._fences[path] = token
        if method == "HEAD":
            return (200 if path in self._files else 404), False
        key = headers.get("Idempotency-Key")
        if key is not None and key in self._keys:
            return 200, False
        self._keys |= set() if key is None else {key}
        self._files.add(path)
        return 200, True


@contextmanager
def running_downstream() -> Iterator[Downstream]:
    downstream = Downstream()

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status = downstream.answer(
                self.command, self.path, dict(self.headers.items()), json.loads(raw) if raw else None
            )
            try:
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()
            except OSError:
                return  # whoever asked is dead

        do_GET = do_HEAD = do_POST = do_PUT = _serve  # noqa: N815 - names of the base class

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = False
    downstream.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield downstream
    finally:
        downstream.let_go.set()
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class MailServer:
    url: str = ""
    mails: list[Any] = field(default_factory=list)
    answers: deque[str] = field(default_factory=deque)

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - as aiosmtpd has it
        if self.answers:
            return self.answers.popleft()
        self.mails.append(envelope)
        return "250 OK"


@contextmanager
def running_mail_server(port: int) -> Iterator[MailServer]:
    server = MailServer(url=f"smtp://127.0.0.1:{port}")
    controller = Controller(server, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield server
    finally:
        controller.stop()

"""The effect ledger: a process of its own that plays the downstream services and is the only authority on effects.

It speaks HTTP/1.1 on a loopback port. Every request is written to the event log before anything else happens to it, and
every effect before it is answered. Where the contract says that the downstream honours a key, the first request with
that key is applied and later ones are answered as the first was: both under one lock, so that two at the same moment
cannot both be applied.

Started as `python -m harness.services.ledger JSON`; controlled over a Unix socket, one JSON object a line.
"""

import contextlib
import itertools
import json
import os
import signal
import socket
import socketserver
import struct
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import h11
import msgspec

from harness.codec import digest, encode
from harness.contract import SECRET_HEADERS, Extractor
from harness.downstream import Dripping, ErrorStatus, Late, ReplyLost, Rule, Silent
from harness.events import (
    AnswerScripted,
    EffectAbandoned,
    EffectApplied,
    EffectDeduplicated,
    EffectRequested,
    Event,
)
from harness.history import extract
from harness.services.gate import ask

BODY_BYTES_KEPT = 64 * 1024
BODY_BYTES_MAX = 32 * 1024 * 1024
SILENCE_SECONDS_MAX = 600.0
DRIP_SECONDS = 0.1
# What differs between two sendings of the same thing is not part of its content.
_CONTENT_HEADERS = frozenset({"content-type"})


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    events: str  # path of the event log
    gate: str  # path of the lane's gate
    control: str  # path of the control socket to listen on
    origin: float  # CLOCK_MONOTONIC at which the run began
    honours_key: Extractor | None = None
    port: int = 0  # 0: any that is free
    smtp_port: int = 0


class Log:
    """Appends one event a line, each with one write, before the caller goes on."""

    def __init__(self, path: str, origin: float) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._origin = origin

    def record(self, event: Event) -> None:
        stamped = msgspec.structs.replace(event, at=time.monotonic() - self._origin, source="ledger")
        os.write(self._descriptor, encode(stamped) + b"\n")


class Ledger:
    """What was applied, which keys are known, which rules are in force."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.log = Log(settings.events, settings.origin)
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._answers: dict[tuple[str, str], int] = {}  # (label, key) of what was applied -> number of the request
        self._rules: dict[str, Rule] = {}
        self._uses: Counter[str] = Counter()

    # --- control ---

    def command(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            match request.get("op"):
                case "rule":
                    rule = msgspec.convert(request["rule"], Rule)
                    self._rules[rule.name] = rule
                    self._uses[rule.name] = 0
                case "lift":
                    self._rules.pop(request["name"], None)
                case "uses":
                    return {"uses": self._uses[request["name"]]}
                case other:
                    return {"error": f"unknown command {other!r}"}
        return {}

    # --- the downstream ---

    def receive(self, label: str, headers: dict[str, str], body: bytes, peer: str, client: socket.socket) -> "Reply":
        """Decide and record one request; what to answer.

        :raises ClientGoneError: the client died while the request was held before it was applied
        """
        with self._lock:
            number = next(self._numbers)
        shown = {name: "***" if name.lower() in SECRET_HEADERS else value for name, value in headers.items()}
        content = {name.lower(): value for name, value in headers.items() if name.lower() in _CONTENT_HEADERS}
        request = EffectRequested(
            request=number,
            label=label,
            key="",
            headers=shown,
            body=body[:BODY_BYTES_KEPT].decode(errors="replace"),
            fingerprint=digest(encode([label, content]) + body),
            connection=peer,
        )
        if self.settings.honours_key is not None:
            request = msgspec.structs.replace(request, key=extract(self.settings.honours_key, request) or "")
        self.log.record(request)

        # Held here, a request counts as not sent yet: if its client is killed meanwhile, it never happened.
        if self._at("effect-received", request) and _is_gone(client):
            self.log.record(EffectAbandoned(request=number, label=label))
            raise ClientGoneError
        rule = self._take_rule(request)
        if rule is not None:
            answer = rule.answer
            self.log.record(AnswerScripted(request=number, rule=rule.name, answer=type(answer).__name__))
            if isinstance(answer, ErrorStatus):
                return Reply(status=answer.status, body={"error": "scripted by the harness"})
            if isinstance(answer, Silent):
                _wait_until_gone(client)
                raise ClientGoneError
            if isinstance(answer, Late):
                time.sleep(answer.seconds)  # being late is what was asked for
            if isinstance(answer, Dripping):
                _drip(client, answer.seconds)
        first = self._apply(request)
        self._at("effect-applied", request)
        lost = rule.answer if rule is not None and isinstance(rule.answer, ReplyLost) else None
        dripped = rule is not None and isinstance(rule.answer, Dripping)
        answered = {"id": f"effect-{first}", "duplicate": first != number}
        return Reply(status=200, body=answered, lost=lost, dripped=dripped)

    def _apply(self, request: EffectRequested) -> int:
        """Apply once for each key; the number of the request that was applied."""
        with self._lock:
            known = self._answers.get((request.label, request.key)) if request.key else None
            if known is not None:
                self.log.record(EffectDeduplicated(request=request.request, label=request.label, key=request.key))
                return known
            self.log.record(EffectApplied(request=request.request, label=request.label, key=request.key))
            if request.key:
                self._answers[request.label, request.key] = request.request
            return request.request

    def _take_rule(self, request: EffectRequested) -> Rule | None:
        with self._lock:
            for rule in self._rules.values():
                if rule.request and rule.request != request.label:
                    continue
                if rule.belongs_to is not None and extract(rule.belongs_to, request) != rule.identity:
                    continue
                if rule.times is not None and self._uses[rule.name] >= rule.times:
                    continue
                self._uses[rule.name] += 1
                return rule
        return None

    def _at(self, point: str, request: EffectRequested) -> bool:
        return ask(
            self.settings.gate,
            {"point": point, "node": "ledger", "pid": os.getpid(), "request": json.loads(encode(request))},
        )


def request_in(question: dict[str, Any]) -> EffectRequested:
    """The request that the ledger holds, out of what it said at the gate."""
    return msgspec.convert(question["request"], EffectRequested)


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    status: int
    body: dict[str, Any]
    lost: ReplyLost | None = None
    dripped: bool = False  # its status line and the beginning of a header have been sent already


class ClientGoneError(ConnectionError):
    pass


def _wait_until_gone(client: socket.socket) -> None:
    """Until the client hangs up; what it sends meanwhile is read and forgotten."""
    with contextlib.suppress(OSError):
        client.settimeout(SILENCE_SECONDS_MAX)
        while client.recv(1 << 16):
            pass


def _drip(client: socket.socket, seconds: float) -> None:
    """Send the beginning of an answer, then a byte every now and then.

    :raises ClientGoneError: the client did not wait for the end
    """
    deadline = time.monotonic() + seconds
    try:
        client.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while time.monotonic() < deadline:
            time.sleep(DRIP_SECONDS)  # being slow is what was asked for
            client.sendall(b"z")
    except OSError as error:
        raise ClientGoneError from error


def _is_gone(client: socket.socket) -> bool:
    try:
        return client.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


class _HttpHandler(socketserver.BaseRequestHandler):
    """One connection: HTTP/1.1 with keep-alive, parsed by h11."""

    server: "_HttpServer"
    request: socket.socket

    def handle(self) -> None:
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(OSError, h11.ProtocolError):
            connection = h11.Connection(h11.SERVER)
            while self._serve_one(connection):
                connection.start_next_cycle()

    def _serve_one(self, connection: h11.Connection) -> bool:
        head = self._next(connection)
        if not isinstance(head, h11.Request):
            return False
        body = b""
        while isinstance(part := self._next(connection), h11.Data):
            body += part.data
            if len(body) > BODY_BYTES_MAX:
                self._send(connection, Reply(status=413, body={"error": "too large"}))
                return False
        if not isinstance(part, h11.EndOfMessage):
            return False  # the client went away before it had sent all: nothing was requested
        label = f"{head.method.decode()} {head.target.decode()}"
        headers = {name.decode(): value.decode(errors="replace") for name, value in head.headers}
        peer = ":".join(str(part) for part in self.client_address[:2])
        reply = self.server.ledger.receive(label, headers, body, peer, self.request)
        if reply.lost is not None:
            if reply.lost.reset:  # closing with a zero linger sends RST, if nothing sends FIN before
                self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.request.close()
            return False
        self._send(connection, reply)
        return connection.our_state is h11.DONE and connection.their_state is h11.DONE

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
            connection.receive_data(self.request.recv(1 << 16))

    def _send(self, connection: h11.Connection, reply: Reply) -> None:
        body = json.dumps(reply.body).encode()
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        data = connection.send(h11.Response(status_code=reply.status, headers=headers)) or b""
        data += connection.send(h11.Data(data=body)) or b""
        data += connection.send(h11.EndOfMessage()) or b""
        if reply.dripped:
            data = b"\r\n" + data.partition(b"\r\n")[2]
        self.request.sendall(data)


class _HttpServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        super().__init__(("127.0.0.1", ledger.settings.port), _HttpHandler)


class _ControlHandler(socketserver.StreamRequestHandler):
    server: "_ControlServer"

    def handle(self) -> None:
        for line in self.rfile:
            self.wfile.write(json.dumps(self.server.ledger.command(json.loads(line))).encode() + b"\n")


class _ControlServer(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        super().__init__(ledger.settings.control, _ControlHandler)


def main() -> None:
    settings = msgspec.json.decode(sys.argv[1], type=Settings)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ledger = Ledger(settings)
    http = _HttpServer(ledger)
    control = _ControlServer(ledger)
    threading.Thread(target=control.serve_forever, daemon=True).start()
    ready = {"point": "ledger-ready", "node": "ledger", "pid": os.getpid(), "port": http.server_address[1]}
    ask(settings.gate, ready)
    http.serve_forever()


class LedgerClient:
    """The harness's side of the control socket."""

    def __init__(self, control: Path) -> None:
        self._control = control

    def add(self, rule: Rule) -> None:
        self._command({"op": "rule", "rule": msgspec.to_builtins(rule)})

    def lift(self, name: str) -> None:
        self._command({"op": "lift", "name": name})

    def uses(self, name: str) -> int:
        return int(self._command({"op": "uses", "name": name})["uses"])

    def _command(self, request: dict[str, Any]) -> dict[str, Any]:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
            link.settimeout(10)
            link.connect(str(self._control))
            link.sendall(json.dumps(request).encode() + b"\n")
            answer: dict[str, Any] = json.loads(link.makefile("rb").readline())
        if "error" in answer:
            raise RuntimeError(f"ledger: {answer['error']}")
        return answer


if __name__ == "__main__":
    main()

"""The two sockets of a supervisor: one for those who come under it, one for whoever controls it."""

import contextlib
import json
import socket
import socketserver
from typing import Any, Protocol


class Served(Protocol):
    def command(self, request: dict[str, Any]) -> dict[str, Any]: ...

    def welcome(self, link: socket.socket) -> None: ...


class ControlServer(socketserver.ThreadingUnixStreamServer):
    """One JSON object a line, each answered with one."""

    daemon_threads = True

    def __init__(self, path: str, served: Served) -> None:
        self.served = served
        super().__init__(path, _ControlHandler)


class _ControlHandler(socketserver.StreamRequestHandler):
    server: ControlServer

    def handle(self) -> None:
        for line in self.rfile:
            try:
                answer = self.server.served.command(json.loads(line))
            except (ValueError, LookupError, TypeError) as error:
                answer = {"error": str(error)}
            self.wfile.write(json.dumps(answer).encode() + b"\n")


class WelcomeServer(socketserver.ThreadingUnixStreamServer):
    """Each connection is a process that wants to come under the supervisor."""

    daemon_threads = True

    def __init__(self, path: str, served: Served) -> None:
        self.served = served
        super().__init__(path, _WelcomeHandler)


class _WelcomeHandler(socketserver.BaseRequestHandler):
    server: WelcomeServer

    def handle(self) -> None:
        with contextlib.suppress(OSError):
            self.server.served.welcome(self.request)

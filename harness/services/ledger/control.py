"""How the harness tells the ledger what to play: one JSON object a line over a Unix socket, each answered."""

import json
import socket
import socketserver
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec

from harness.downstream import Rule
from harness.services.ledger.ledger import Ledger


class Service(Protocol):
    def accept(self) -> None: ...

    def refuse(self) -> None: ...


class ControlServer(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True

    def __init__(self, ledger: Ledger, services: Sequence[Service]) -> None:
        self._ledger = ledger
        self._services = services
        super().__init__(ledger.settings.control, _ControlHandler)

    def command(self, request: dict[str, Any]) -> dict[str, Any]:
        match request.get("op"):
            case "rule":
                self._ledger.add(msgspec.convert(request["rule"], Rule))
            case "lift":
                self._ledger.lift(request["name"])
            case "uses":
                return {"uses": self._ledger.uses(request["name"])}
            case "reset":
                self._ledger.reset()
            case "refuse":
                for service in self._services:
                    service.refuse()
            case "accept":
                for service in self._services:
                    service.accept()
            case other:
                return {"error": f"unknown command {other!r}"}
        return {}


class _ControlHandler(socketserver.StreamRequestHandler):
    server: ControlServer

    def handle(self) -> None:
        for line in self.rfile:
            self.wfile.write(json.dumps(self.server.command(json.loads(line))).encode() + b"\n")


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

    def reset(self) -> None:
        """Forget all that was applied; the record goes on."""
        self._command({"op": "reset"})

    def refuse(self) -> None:
        """Until `accept`, whoever connects is refused; who was connected has been reset."""
        self._command({"op": "refuse"})

    def accept(self) -> None:
        self._command({"op": "accept"})

    def _command(self, request: dict[str, Any]) -> dict[str, Any]:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
            link.settimeout(10)
            link.connect(str(self._control))
            link.sendall(json.dumps(request).encode() + b"\n")
            answer: dict[str, Any] = json.loads(link.makefile("rb").readline())
        if "error" in answer:
            raise RuntimeError(f"ledger: {answer['error']}")
        return answer

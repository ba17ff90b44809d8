"""The harness's side of the supervisor's control socket."""

import contextlib
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from harness.boundaries.record import Struck
from harness.boundaries.rules import Rule


class SupervisorClient:
    """Arms rules and asks how they were carried out.

    :raises OSError: from every method, when the supervisor is not there
    """

    def __init__(self, control: Path) -> None:
        self._control = control

    def arm(self, rule: Rule) -> None:
        self._command({"op": "arm", "rule": msgspec.to_builtins(rule)})

    def disarm(self, rule: str) -> None:
        self._command({"op": "disarm", "rule": rule})

    def reset(self) -> None:
        """Count occurrences from 1 again."""
        self._command({"op": "reset"})

    def add_main(self, pid: int) -> None:
        """From now on this process is a main process, and what descends from it is its children."""
        self._command({"op": "main", "pid": pid})

    def struck(self, rule: str, *, within: float) -> Struck | None:
        """How the rule was carried out; None if nothing came to it in time."""
        answer = self._command({"op": "struck", "rule": rule, "within": within}, within=within)["struck"]
        return None if answer is None else msgspec.convert(answer, Struck)

    def status(self) -> dict[str, int]:
        """How many calls, boundaries and unseen calls there were so far."""
        return self._command({"op": "status"})

    def _command(self, request: dict[str, Any], *, within: float = 0.0) -> dict[str, Any]:
        with self._linked(within + 10) as link:
            link.sendall(json.dumps(request).encode() + b"\n")
            with link.makefile("rb") as lines:
                line = lines.readline()
        if not line:
            raise ConnectionError("the supervisor has ended")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise RuntimeError(f"supervisor: {answer['error']}")
        return answer

    @contextlib.contextmanager
    def _linked(self, seconds: float) -> Iterator[socket.socket]:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
            link.settimeout(seconds)
            link.connect(str(self._control))
            yield link

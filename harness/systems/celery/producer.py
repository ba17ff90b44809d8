"""The harness's hand in the subject's environment (`agent.py`), as it is asked from here."""

import json
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

from harness.lane import Lane
from harness.runtimes.launch import Launch
from harness.runtimes.log_tail import last_line
from harness.system import SubjectError
from harness.waiting import WaitedInVainError, wait_until

IMPORT_SECONDS_MAX = 60.0
REQUEST_SECONDS_MAX = 30.0
_PROGRAM = Path(__file__).parent / "agent.py"


class Producer:
    """An agent that has connected. What is asked of it is answered within a bound, or OSError."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._lines = link.makefile("rb")

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        self._link.sendall(json.dumps(request).encode() + b"\n")
        return self.hear(within=REQUEST_SECONDS_MAX)

    def hear(self, *, within: float) -> dict[str, Any]:
        self._link.settimeout(within)
        line = self._lines.readline()
        if not line:
            raise ConnectionError("the subject's process ended")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """Its process ends with the link."""
        self._lines.close()
        self._link.close()


def started(app: str, lane: Lane, launch: Launch, *, name: str) -> tuple[Producer, dict[str, Any]]:
    """Import the subject in its own environment, or fork what has; and what it says of itself.

    :raises SubjectError: it does not import, or not in time
    """
    log = lane.directory / f"{name}.log"
    producer = Producer(_connected(app, lane, launch, name, log))
    try:
        hello = producer.hear(within=IMPORT_SECONDS_MAX)
    except OSError as error:
        raise SubjectError(
            f"{app!r} did not import within {IMPORT_SECONDS_MAX:g} s, or its process ended: {last_line(log)}"
        ) from error
    if "error" in hello:
        raise SubjectError(f"{app!r} does not import: {hello['error']}")
    return producer, producer.ask({"op": "describe"})


def _connected(app: str, lane: Lane, launch: Launch, name: str, log: Path) -> socket.socket:
    path = lane.directory / f"{name}.sock"
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen(1)
        listener.settimeout(0.05)
        pid = lane.spawn(
            [launch.python, str(_PROGRAM), app, str(path)],
            environment=launch.environment,
            cwd=launch.cwd,
            image=launch.image,
            log=log.name,
            forker=launch.forker.pid if launch.forker.ready() else 0,
        )

        def connected() -> socket.socket | None:
            with suppress(TimeoutError):
                return listener.accept()[0]
            if status := lane.exit_of(pid):
                raise SubjectError(f"the subject's Python ({launch.python}) ended with {status}: {last_line(log)}")
            return None

        try:
            return wait_until(connected, within=IMPORT_SECONDS_MAX, or_else="no connection")
        except WaitedInVainError as error:
            raise SubjectError(f"the subject's Python ({launch.python}) did not start: {error}") from error

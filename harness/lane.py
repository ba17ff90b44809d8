"""A lane as those see it who start processes in it, whatever they are: this machine's own, or containers'."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

ExitListener = Callable[[int, str], None]


class Lane(Protocol):
    """One isolated run: what is spawned through it ends with it. A pid is always this machine's own number.

    `directory` holds logs and sockets, under the same path for whoever runs in the lane.
    """

    @property
    def directory(self) -> Path: ...

    def spawn(
        self,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str],
        cwd: Path,
        log: str,
        image: str = "",
        on_exit: ExitListener | None = None,
        forks: bool = False,
        forker: int = 0,
        writes: Sequence[Path] = (),
    ) -> int:
        """Start a program in its own process group and return its pid.

        `log` is a file name in the lane's directory; without its suffix it is what the program is called. `on_exit` is
        told (pid, "exit 1" or "SIGKILL") once, from another thread. `forks` and `forker` are as for `Session.spawn`.
        `writes`: files elsewhere that the program appends to. `image`: where lanes are of containers, another than the
        lane's own.

        :raises HarnessError: it cannot be started
        """
        ...

    def exit_of(self, pid: int) -> str | None:
        """How a spawned process ended; None while it runs."""
        ...

    def wait_forker(self, pid: int, *, within: float) -> dict[str, Any] | None:
        """What a program that forks says of itself; None if it ended or said nothing in time."""
        ...

    def descendants(self) -> set[int]:
        """What was spawned here and runs, and all below it; not what has left its parent."""
        ...

    def running(self) -> list[int]:
        """What was spawned here and has not ended."""
        ...

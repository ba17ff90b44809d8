"""A process that has imported what others need, as those see it who would have it fork."""

import threading
from pathlib import Path

from harness.lane import Lane

FORKER_SECONDS_MAX = 60.0


class Forker:
    """A process that imports something once; processes are forked from it when it has said that they can be.

    `pid` is 0 where processes are to be executed instead, and `why_not` says why.
    """

    def __init__(self, lane: Lane, pid: int, why_not: str = "") -> None:
        self._lane = lane
        self._asked = bool(why_not)
        self._lock = threading.Lock()
        self.pid = pid
        self.why_not = why_not

    def ready(self, *, unless: Path | None = None) -> bool:
        """Wait for its imports; whether processes can be forked from it.

        `unless`: a directory that was empty before; what the imports put there would be missing in the next scenario.
        """
        with self._lock:
            if self._asked:
                if not self.why_not and (status := self._lane.exit_of(self.pid)):
                    self.why_not = f"the process that had imported it ended with {status}"
                return not self.why_not
            self._asked = True
            said = self._lane.wait_forker(self.pid, within=FORKER_SECONDS_MAX)
            if said is not None:
                self.why_not = str(said.get("refused", ""))[:200]
            elif status := self._lane.exit_of(self.pid):
                self.why_not = f"its import ended with {status}"
            else:
                self.why_not = f"its import took longer than {FORKER_SECONDS_MAX:g} s"
            if not self.why_not and unless is not None and any(unless.iterdir()):
                self.why_not = "its import writes into the directory, which is another one in each scenario"
            return not self.why_not

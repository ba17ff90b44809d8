"""The portable interception: whoever asks the played downstream for an effect is held by it, and killed meanwhile.

It needs nothing of the machine, and sees effects only.
"""

from collections import Counter

from harness.boundaries.rules import Side
from harness.events import EffectRequested
from harness.explore.interception import Strike
from harness.explore.naming import Naming
from harness.explore.notebook import Notebook
from harness.explore.points import CrashPoint, Run, Sighting
from harness.runtimes.process import LocalSystem
from harness.services.gate import Arm

_POINTS = {Side.BEFORE: "effect-received", Side.AFTER: "effect-applied"}
LEDGER = "ledger"


class Gated:
    """By the gate, where the ledger stands before and after it applies an effect. Who sent it is not seen."""

    name = "the played downstream, which holds a request before and after it is applied"
    cannot_see: tuple[str, ...] = (
        "commits of the subject's own databases; commands to the broker, acknowledgement and result among them; "
        "whatever does not go to the played downstream; which process of a worker sends",
    )

    def __init__(self, system: LocalSystem, notebook: Notebook, *, naming: Naming) -> None:
        self._system = system
        self._notebook = notebook
        self._naming = naming
        self._arm: Arm | None = None
        self._point: CrashPoint | None = None

    def begin(self, *, lines: bool = False) -> None:
        del lines  # not known here
        self.disarm()
        self._system.gate.reset()

    def arm(self, point: CrashPoint) -> None:
        """The boundaries are the requests in their order, so a boundary's place is its request's number."""
        self._point = point
        (job,) = self._system.plan.workload
        self._arm = self._system.gate.arm(_POINTS[point.side], job.job, point.place + 1)

    def struck(self, *, within: float) -> Strike | None:
        """:raises SubjectError: it is not known which child runs the job"""
        if self._arm is None or self._point is None:
            return None
        arrival = self._arm.wait(within=within)
        if arrival is None:
            return None
        seen = self.seen()
        try:
            self._system.workers.kill(self._point.target, arrival)
        finally:
            self._arm.release()
        down = tuple(node.pid for node in self._system.workers.nodes.values() if node.down)
        return Strike(killed=down, seen=seen)

    def disarm(self) -> None:
        if self._arm is not None:
            self._arm.release()
        self._arm = self._point = None

    def seen(self) -> Run:
        counts: Counter[str] = Counter()
        found = []
        for event in self._notebook.sources().get(LEDGER, []):
            if not isinstance(event, EffectRequested):
                continue
            counts[event.label] += 1
            boundary = self._naming.boundary(
                event.label, dependency=LEDGER, process=self._naming.runs_jobs, occurrence=counts[event.label]
            )
            # What its process did in between was not seen, so no two states are the same.
            if boundary is not None:
                found.append(Sighting(boundary=boundary, pid=0, alone=False, seq=event.request))
        return tuple(found)

    def unseen(self) -> tuple[str, ...]:
        return ()

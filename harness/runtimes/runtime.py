"""What runs a plan: this machine's processes, or containers. To add one, write it and add it to `choice.py`."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

from harness.plan import Plan
from harness.runtimes.lane_system import LaneSystem
from harness.store import Recorder
from harness.system import Capability


class Runtime(Protocol):
    """One for each command; its lanes run in parallel and share nothing."""

    @property
    def capabilities(self) -> frozenset[Capability]: ...

    @property
    def versions(self) -> Mapping[str, str]:
        """What it uses, for the record and the report."""
        ...

    @property
    def sentence(self) -> str:
        """The same for a person, in a few words."""
        ...

    def open_homes(self, count: int) -> AbstractContextManager[tuple[Any, ...]]:
        """That many lanes, each of which takes one plan at a time; what they keep ends with them.

        :raises HarnessError: a lane cannot be made
        """
        ...

    def assemble(
        self, plan: Plan, *, name: str, recorder: Recorder, home: Any, behind: bool = False
    ) -> AbstractContextManager[LaneSystem[Any]]:
        """The lane of `deploy` with its broker up, before it is started. `name`: of its directory in the session.

        `behind`: its servers listen where `home.routes` leads, so that somebody else can stand where the subject looks.

        :raises HarnessError: a part of the harness cannot be started
        """
        ...

    def deploy(self, plan: Plan, *, recorder: Recorder, home: Any) -> AbstractContextManager[LaneSystem[Any]]:
        """A started lane for one plan: its own broker, ledger, agent, workers, and an empty directory for the subject.

        :raises SubjectError: the subject cannot be started
        :raises HarnessError: a part of the harness cannot be started
        """
        ...

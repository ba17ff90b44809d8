"""What runs a plan: this machine's processes, or containers. To add one, write it and add it to `choice.py`."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from msgspec import Struct

from harness.lane import Lane
from harness.plan import Plan
from harness.runtimes.lane_system import LaneSystem
from harness.store import Recorder
from harness.system import Capability


class Source(Struct, frozen=True, kw_only=True):
    """Where on this machine the subject's files are, by the paths that it knows them by, and the folder they are in."""

    files: dict[str, str]
    folder: Path


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

    @property
    def contained(self) -> bool:
        """Whether the subject can reach nothing but what the harness plays."""
        ...

    @property
    def image(self) -> str:
        """The digest of the image that the subject runs from; empty: from none."""
        ...

    @property
    def cwd(self) -> Path:
        """Where the subject is started, unless an image says otherwise."""
        ...

    def apart(self, home: Any) -> AbstractContextManager[Lane]:
        """A lane without any server, for a program of the subject's that is only asked something."""
        ...

    def source_in(self, lane: Any, files: Sequence[str]) -> Source:
        """What a program that was started in such a lane has read; what cannot be had keeps the path that it has."""
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

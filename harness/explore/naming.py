"""What people call the boundaries of a job."""

from harness.boundaries.rules import Process
from harness.explore.points import Boundary, beside
from harness.system import PlannedJob
from harness.systems.exploring import ExplorableDriver, Meaning, Role

BROKER = "broker"  # the dependency whose commands the job system knows
ID_LENGTH_MIN = 3  # a shorter one could be part of any word


class Naming:
    """One job's. What goes to the broker has the system's words; of a job's arguments the name stands in a label."""

    def __init__(self, driver: ExplorableDriver, job: PlannedJob) -> None:
        self._driver = driver
        self._values = {
            text: name for name, text in job.arguments.items() if isinstance(text, str) and len(text) >= ID_LENGTH_MIN
        }

    @property
    def runs_jobs(self) -> Process:
        """Who is taken to send what a job sends, where that is not seen."""
        return self._driver.exploring.runs_jobs

    def boundary(self, name: str, *, dependency: str, process: Process, occurrence: int) -> Boundary | None:
        """What is seen under a name; None if it is no boundary of a job's: its worker asks for a message."""
        meaning = self._meaning(name, dependency)
        if meaning.role is Role.ASKS:
            return None
        label = meaning.label
        for text, argument in self._values.items():
            label = label.replace(text, f"{{{argument}}}")
        if process is not self.runs_jobs and meaning.role is Role.NONE:
            label = f"{beside(process)}{label}"
        return Boundary(
            label=label,
            process=process,
            dependency=dependency,
            name=name,
            occurrence=occurrence,
            books=meaning.role is Role.BOOKS,
        )

    def _meaning(self, name: str, dependency: str) -> Meaning:
        if dependency == BROKER:
            return self._driver.meaning_of(name)
        return Meaning(label=name, role=Role.NONE)

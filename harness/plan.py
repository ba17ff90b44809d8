"""A plan: all that a run will do, as a value without chance in it. The plan *is* the reproduction."""

from typing import ClassVar, TypeAlias

from msgspec import Struct

from harness.contract import Contract
from harness.events import DEAD_LETTERED, FORMAT_VERSION, JobId
from harness.faults import Fault
from harness.system import Capability, PlannedJob

NOTHING: frozenset[Capability] = frozenset()


class AtStart(Struct, frozen=True, tag="at-start", kw_only=True):
    """Once the system stands, the other faults are in place and before the workload is enqueued."""

    needs: ClassVar[frozenset[Capability]] = NOTHING

    @property
    def sentence(self) -> str:
        return "from the start"


class AtCrashPoint(Struct, frozen=True, tag="at-crash-point", kw_only=True):
    """When a job has reached a named place for the n-th time; it is held there until the fault has struck."""

    point: str
    job: JobId
    occurrence: int = 1

    @property
    def needs(self) -> frozenset[Capability]:
        """Bodies begin and end unseen without a probe; everything else happens at the ledger."""
        return frozenset({Capability.SEE_BODIES}) if self.point.startswith("body-") else NOTHING

    @property
    def sentence(self) -> str:
        again = f" for the {self.occurrence}. time" if self.occurrence > 1 else ""
        return f"when {self.job} stands at {self.point}{again}"


class AfterJob(Struct, frozen=True, tag="after-job", kw_only=True):
    """When every message of a job has been acknowledged; with a patience, after that long at the latest."""

    needs: ClassVar[frozenset[Capability]] = NOTHING
    job: JobId
    patience_seconds: float = 0.0

    @property
    def sentence(self) -> str:
        at_the_latest = f", or {self.patience_seconds:g} s later if it was not" if self.patience_seconds else ""
        return f"after {self.job} was acknowledged{at_the_latest}"


class AfterWorkload(Struct, frozen=True, tag="after-workload", kw_only=True):
    """When every message of every job that was enqueued so far has been acknowledged: the workers are idle."""

    needs: ClassVar[frozenset[Capability]] = NOTHING

    @property
    def sentence(self) -> str:
        return "once every job was done"


class AfterAttempt(Struct, frozen=True, tag="after-attempt", kw_only=True):
    """When an execution of a job's body has ended, however it ended."""

    job: JobId

    @property
    def sentence(self) -> str:
        return f"after an attempt of {self.job} ended"


class AfterAlert(Struct, frozen=True, tag="after-alert", kw_only=True):
    """When the subject has told of a queue that an alert is firing."""

    queue: str

    @property
    def sentence(self) -> str:
        return f"after an alert for queue {self.queue} fired"


class AfterSeconds(Struct, frozen=True, tag="after-seconds", kw_only=True):
    """Where a fault's length is what it is about: that long after it began, or after it has first met somebody.

    `once_met`: counted from the first attempt of any job that has ended, however late a busy machine makes it.
    """

    seconds: float
    once_met: bool = False

    @property
    def sentence(self) -> str:
        return f"{self.seconds:g} s after a first attempt had met it" if self.once_met else f"after {self.seconds:g} s"


class AfterStep(Struct, frozen=True, tag="after-step", kw_only=True):
    """When another step of the plan, by its index, has been taken and, if it heals at once, healed."""

    step: int

    @property
    def sentence(self) -> str:
        return f"after step {self.step + 1}"


Trigger: TypeAlias = AtStart | AtCrashPoint | AfterJob | AfterWorkload
Until: TypeAlias = AfterJob | AfterAttempt | AfterAlert | AfterSeconds | AfterStep

STRUCK, DRAINED = "struck", "drained"


class Step(Struct, frozen=True, kw_only=True):
    """When it strikes, what strikes, and until when.

    `until` "struck" heals at once, while whoever arrived at the crash point is still held; "drained" when all is over;
    anything else when that has come, before the next step.
    """

    when: Trigger
    fault: Fault
    until: str | Until = STRUCK

    @property
    def needs(self) -> frozenset[Capability]:
        return self.fault.needs | self.when.needs

    @property
    def sentence(self) -> str:
        return f"{self.fault.sentence} {self.when.sentence}"


class Plan(Struct, frozen=True, kw_only=True):
    """All that a run will do.

    * `canaries`: jobs of the workload that are held back until the steps have been taken
    * `watched`: the subject's sidecars run beside its workers
    * `proxied`: a fault proxy stands between the subject and its broker
    """

    scenario: str
    story: str
    seed: int
    contract: Contract
    workload: tuple[PlannedJob, ...]
    steps: tuple[Step, ...]
    guarantees: tuple[str, ...]
    canaries: tuple[JobId, ...] = ()
    watched: bool = False
    proxied: bool = False
    covers: tuple[str, ...] = ()
    bug: str = ""
    format_version: int = FORMAT_VERSION

    @property
    def needs(self) -> frozenset[Capability]:
        """What a runtime and a job system must be able to do for the plan to be carried out and judged."""
        given_up = any(job.expected == DEAD_LETTERED for job in self.workload)
        found = {Capability.FIND_DEAD_LETTERS} if given_up else set()
        return frozenset(found).union(*(step.needs for step in self.steps))


class NotCovered(Struct, frozen=True, kw_only=True):
    """A scenario or a guarantee that a subject cannot be put to, and why: nothing is known of it."""

    name: str
    because: str


class RuntimeChoice(Struct, frozen=True, kw_only=True):
    """What the command line said of where to run. Images are those of the docker runtime; empty: its own."""

    name: str = "local"
    image: str = ""
    base_image: str = ""
    broker_image: str = ""
    toxiproxy_image: str = ""

    @property
    def images(self) -> dict[str, str]:
        """The images that were named, by their option."""
        given = {
            "--image": self.image,
            "--base-image": self.base_image,
            "--broker-image": self.broker_image,
            "--toxiproxy-image": self.toxiproxy_image,
        }
        return {option: image for option, image in given.items() if image}

    @property
    def words(self) -> list[str]:
        """The same on a command line."""
        if self == RuntimeChoice():
            return []
        return ["--runtime", self.name, *(word for pair in self.images.items() for word in pair)]


class Plans(Struct, frozen=True, kw_only=True):
    """What `plan.json` holds: the plans, and what the command line said, for the command that repeats.

    `contract_file` is empty for the reference worker; `whole` says that no scenario was picked by name. `replay` is the
    command that repeats plans that no catalogue has; empty for scenarios.
    """

    seed: int
    plans: tuple[Plan, ...]
    not_covered: tuple[NotCovered, ...] = ()
    contract_file: str = ""
    whole: bool = False
    profile: str = "core"
    bug: str = ""
    replay: str = ""
    runtime: RuntimeChoice = RuntimeChoice()
    format_version: int = FORMAT_VERSION

"""While a deploy is under way, the messages of one release meet the code of another."""

from random import Random

from msgspec.structs import replace

from harness.checkers import GUARANTEES
from harness.contract import Contract
from harness.faults import EnqueueAsBefore, WorkAsBefore
from harness.plan import DRAINED, AfterJob, AtStart, Step
from harness.scenario import FULL, Scenario, Script, Workload, either, task_of, victims
from harness.system import PlannedJob


def old_messages(contract: Contract, workload: Workload, random: Random) -> Script:
    """What the previous release could ask for is to be done as if this one had asked for it."""
    skewed = _skewed(contract, workload, random)
    before = {job.job: _as_before(contract, job) for job in skewed}
    jobs = tuple(job for job, asked in before.items() if asked is not None)
    if not jobs:
        return Script(workload=workload, steps=())
    step = Step(when=AtStart(), fault=EnqueueAsBefore(jobs=jobs), until=DRAINED)
    return Script(workload=tuple(before.get(job.job) or job for job in workload), steps=(step,))


def new_messages(contract: Contract, workload: Workload, random: Random) -> Script:
    """What old code does not understand it may set aside, where somebody finds it; it may not lose or mistake it."""
    skewed = _skewed(contract, workload, random)
    if not skewed:
        return Script(workload=workload, steps=())
    changed = tuple(job for job in skewed if _as_before(contract, job) != job)
    fault = WorkAsBefore(jobs=tuple(job.job for job in skewed))
    step = Step(when=AtStart(), fault=fault, until=AfterJob(job=fault.jobs[-1]))
    return Script(workload=either(workload, changed), steps=(step,))


def _skewed(contract: Contract, workload: Workload, random: Random) -> Workload:
    """The jobs that the releases ask for in other words; if there are none, one of each task."""
    if contract.previous is None:
        return ()
    return tuple(job for job in workload if _as_before(contract, job) != job) or victims(workload, random)


def _as_before(contract: Contract, job: PlannedJob) -> PlannedJob | None:
    """The job as the previous release asks for it; None where it cannot."""
    task = task_of(contract, job)
    if not task.previous_inputs:
        return job
    arguments = task.previous_inputs[task.inputs.index(job.arguments)]
    return None if arguments is None else replace(job, arguments=arguments)


OLD_MESSAGES_TO_NEW_CODE = Scenario(
    name="old-messages-to-new-code",
    story="Messages from before a deploy are in the queue when the new code comes.",
    covers=("F18", "F20"),
    guarantees=GUARANTEES,
    explore=old_messages,
    asks="previous",
)

NEW_MESSAGES_TO_OLD_CODE = Scenario(
    name="new-messages-to-old-code",
    story="A new release enqueues already, and the workers are still of the one before.",
    covers=("F19", "F20"),
    guarantees=GUARANTEES,
    explore=new_messages,
    asks="previous",
    profile=FULL,
)

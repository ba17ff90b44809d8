"""Seeded schedules of several faults, as plans.

Swarm: each schedule first draws which kinds of fault are enabled at all, then whom it strikes and how many steps it
has; a schedule with everything enabled hides what only shows when something is left out. Only steps that can be met are
drawn, in an order in which they are (`harness.explore.course` says what is left out for that).

Left out as well: faults of the broker and deploys, which strike whole workers and not a place in a job's course, and
poison, which is expected to be given up. Scenarios have them.
"""

from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Protocol, TypeVar

from msgspec import Struct

from harness.checkers import GUARANTEES
from harness.codec import encode
from harness.contract import Contract, ContractError, Task
from harness.events import JobId
from harness.explore.course import EFFECT_APPLIED, EFFECT_RECEIVED, POINTS, Course
from harness.faults import (
    AnswerErrors,
    DeliverAgain,
    FreezeWorker,
    KillWorker,
    LateReply,
    LoseReply,
    ResetConnection,
    SubmitAgain,
    Together,
)
from harness.faults.single import SingleFault
from harness.plan import DRAINED, AfterJob, AtCrashPoint, AtStart, Plan, Step
from harness.scenario import GIVEN, Script, Workload, always, canaries, workload_of
from harness.system import PlannedJob, Target
from harness.systems import system_of

STEPS_MAX = 4
VICTIMS = (1, 1, 2)  # mostly one: faults of one job meet each other
TOO_LATE = 1.5  # times the client's patience
_DRAWS_MAX = 50  # for one schedule that was not drawn before
T = TypeVar("T")


class Choose(Protocol):
    """The source of chance: one of several, the simplest first."""

    def __call__(self, among: Sequence[T], /) -> T: ...


class Strike(Struct, frozen=True, kw_only=True):
    """A step that a schedule may have, and at which of a body's effects it strikes."""

    step: Step
    effect: int = 1


class Kind(Struct, frozen=True, kw_only=True):
    """One kind of fault: how it may strike a job, the simplest way first."""

    name: str
    strikes: Callable[[Contract, Task, PlannedJob], Iterator[Strike]]


def _at(
    points: Sequence[str], task: Task, job: PlannedJob, fault: SingleFault | Together, *, until: str = "struck"
) -> Iterator[Strike]:
    """The fault at each of the points, and at each effect of the body where there are several."""
    for point in points:
        effects = len(task.effects_of(job.identity)) if point in {EFFECT_RECEIVED, EFFECT_APPLIED} else 1
        for effect in range(1, effects + 1):
            step = Step(when=AtCrashPoint(point=point, job=job.job), fault=fault, until=until)
            yield Strike(step=step, effect=effect)


def _child_killed(contract: Contract, task: Task, job: PlannedJob) -> Iterator[Strike]:
    del contract
    yield from _at(POINTS, task, job, KillWorker(target=Target.CHILD))


def _worker_killed(contract: Contract, task: Task, job: PlannedJob) -> Iterator[Strike]:
    del contract
    for target in (Target.MAIN, Target.GROUP):
        yield from _at(POINTS, task, job, KillWorker(target=target))


_OVERTAKEN = (EFFECT_APPLIED, EFFECT_RECEIVED)


def _delivered_again(contract: Contract, task: Task, job: PlannedJob) -> Iterator[Strike]:
    del contract
    again = DeliverAgain(job=job.job)
    yield Strike(step=Step(when=AfterJob(job=job.job), fault=again, until=DRAINED))
    yield from _at(_OVERTAKEN, task, job, again, until=DRAINED)


def _submitted_again(contract: Contract, task: Task, job: PlannedJob) -> Iterator[Strike]:
    del contract
    again = SubmitAgain(again=job)
    yield Strike(step=Step(when=AfterJob(job=job.job), fault=again, until=DRAINED))
    yield from _at(_OVERTAKEN, task, job, again, until=DRAINED)


def _delivered_again_in_a_crash(contract: Contract, task: Task, job: PlannedJob) -> Iterator[Strike]:
    """A pool child dies first, and then there are two messages; a whole worker after the second was served.

    A worker with a single slot would not take the second while the first is held.
    """
    serving = [each for each in contract.workers if not each.queues or task.queue in each.queues or not task.queue]
    if any(each.concurrency == 1 for each in serving):
        return
    again = DeliverAgain(job=job.job)
    yield from _at(_OVERTAKEN, task, job, Together(faults=(KillWorker(target=Target.CHILD), again)))
    for target in (Target.MAIN, Target.GROUP):
        yield from _at(_OVERTAKEN, task, job, Together(faults=(again, KillWorker(target=target))))


def _frozen(contract: Contract, task: Task, job: PlannedJob) -> Iterator[Strike]:
    del contract
    yield from _at((EFFECT_RECEIVED, EFFECT_APPLIED), task, job, FreezeWorker())


def _from_the_start(fault: SingleFault) -> Strike:
    return Strike(step=Step(when=AtStart(), fault=fault, until=DRAINED))


def _reply_lost(contract: Contract, task: Task, job: PlannedJob) -> Iterator[Strike]:
    del contract, task
    for reset in (True, False):
        yield _from_the_start(LoseReply(job=job.job, times=1, reset=reset))


def _reply_late(contract: Contract, task: Task, job: PlannedJob) -> Iterator[Strike]:
    del contract
    if task.patience_seconds:
        yield _from_the_start(LateReply(job=job.job, times=1, seconds=TOO_LATE * task.patience_seconds))


def _connection_reset(contract: Contract, task: Task, job: PlannedJob) -> Iterator[Strike]:
    del contract
    for times in range(1, task.retries_max + 1):
        yield _from_the_start(ResetConnection(job=job.job, times=times))


def _error_answered(contract: Contract, task: Task, job: PlannedJob) -> Iterator[Strike]:
    del contract
    for times in range(1, task.retries_max + 1):
        for status in (500, 503):
            yield _from_the_start(AnswerErrors(job=job.job, times=times, status=status))


KINDS: tuple[Kind, ...] = (
    Kind(name="pool child killed", strikes=_child_killed),
    Kind(name="worker killed", strikes=_worker_killed),
    Kind(name="delivered again", strikes=_delivered_again),
    Kind(name="submitted again", strikes=_submitted_again),
    Kind(name="delivered again in a crash", strikes=_delivered_again_in_a_crash),
    Kind(name="frozen past the visibility timeout", strikes=_frozen),
    Kind(name="reply lost", strikes=_reply_lost),
    Kind(name="reply late", strikes=_reply_late),
    Kind(name="connection reset", strikes=_connection_reset),
    Kind(name="error answered", strikes=_error_answered),
)


def schedules(contract: Contract, job: str = "", *, seed: int, count: int, bug: str = "") -> Iterator[Plan]:
    """Up to `count` different schedules; the n-th is the same whatever the count, and fewer if there are no more.

    `job`: the task to strike, by its name or its last part; empty: all of the contract.

    :raises ContractError: the contract has no such task
    """
    workload = workload_for(contract, job)
    seen: set[bytes] = set()
    for number in range(1, count + 1):
        for draw in range(_DRAWS_MAX):
            random = Random(f"{seed}/schedule {number}/{draw}")  # noqa: S311 - it must repeat; nothing here is secret
            steps = drawn(contract, workload, random.choice)
            if steps and encode(steps) not in seen:
                seen.add(encode(steps))
                yield plan_of(contract, workload, steps, name=f"schedule-{number:04}", seed=seed, bug=bug)
                break
        else:
            return


def drawn(contract: Contract, workload: Workload, choose: Choose) -> tuple[Step, ...]:
    """The steps of one schedule; none if nothing that is enabled can strike."""
    enabled = [kind for kind in KINDS if choose((True, False))] or list(KINDS)
    victims = _victims(workload, choose)
    course = Course.of(contract, workload)
    steps: list[Step] = []
    for _ in range(choose(range(1, STEPS_MAX + 1))):
        # First of whom, then of which kind, then how: a kind with many ways is not drawn more often for that.
        job = choose(victims)
        ways = {kind.name: found for kind in enabled if (found := _possible(kind, course, job, steps))}
        if not ways:
            continue
        strike = choose(ways[choose(tuple(ways))])
        if (taken := course.take(strike.step, strike.effect)) is not None:
            steps.append(taken[0])
            course = taken[1]
    return _in_order(steps)


def _victims(workload: Workload, choose: Choose) -> Workload:
    """One job or two, of any task."""
    by_task: dict[str, list[PlannedJob]] = {}
    for job in workload:
        by_task.setdefault(job.task, []).append(job)
    return tuple(choose(by_task[choose(tuple(by_task))]) for _ in range(choose(VICTIMS)))


def _possible(kind: Kind, course: Course, job: PlannedJob, steps: Sequence[Step]) -> list[Strike]:
    task = course.tasks[job.job]
    found = []
    cannot = system_of(course.contract).cannot(course.contract).keys()
    for strike in kind.strikes(course.contract, task, job):
        if strike.step.needs & cannot:
            continue
        taken = course.take(strike.step, strike.effect)
        # Two rules of one kind that let equally many requests pass are one rule, with more times.
        if taken is not None and not any(_is_one_rule(taken[0], step) for step in steps):
            found.append(strike)
    return found


def _is_one_rule(one: Step, other: Step) -> bool:
    if type(one.fault) is not type(other.fault) or getattr(one.fault, "skip", None) is None:
        return False
    return all(getattr(one.fault, name) == getattr(other.fault, name) for name in ("job", "skip"))


def _in_order(steps: Sequence[Step]) -> tuple[Step, ...]:
    """One job after the other, each in its own order, and what comes after a job was done last.

    Held at a crash point, a job would outlast its client's patience while another's steps are taken.
    """
    jobs = list(dict.fromkeys(_job_of(step) for step in steps))
    return tuple(sorted(steps, key=lambda step: (isinstance(step.when, AfterJob), jobs.index(_job_of(step)))))


def _job_of(step: Step) -> JobId:
    return JobId(str(getattr(step.when, "job", "") or getattr(step.fault, "job", "")))


def workload_for(contract: Contract, job: str = "") -> Workload:
    """The contract's workload, or that of one task, by its name or its last part.

    :raises ContractError: the contract has no such task
    """
    workload = workload_of(contract)
    if not job:
        return workload
    names = [task.name for task in contract.tasks if job in {task.name, task.name.rpartition(".")[2]}]
    if len(names) != 1:
        raise ContractError(f"no task is called {job!r}; there are: {', '.join(task.name for task in contract.tasks)}")
    return tuple(each for each in workload if each.task == names[0])


def plan_of(
    contract: Contract, workload: Workload, steps: tuple[Step, ...], *, name: str, seed: int, bug: str = ""
) -> Plan:
    return Plan(
        scenario=name,
        story="Several faults, drawn by a seed.",
        seed=seed,
        contract=contract,
        workload=workload,
        steps=steps,
        guarantees=tuple(each for each in GUARANTEES if GIVEN.get(each, always)(contract)),
        canaries=canaries(contract, Script(workload=workload, steps=steps)),
        bug=bug,
    )

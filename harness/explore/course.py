"""What a plan's steps do to the course of each job, as far as a contract tells it: which step can be reached, and how.

A job is a sequence of bodies. Each begins, sends its effects in the contract's order (`effect-received`,
`effect-applied`) and ends; a crash cuts it at a crash point, and a failure of the downstream ends it early. From that
follows the occurrence at which the next crash point is met, and how many requests a rule of the downstream has to let
pass. Pure: the workers are never asked.

What is not certain is not followed:

* once an effect may have been applied, whether the next body sends it again is the worker's own business; after that a
  job can only be struck where every body comes by, at `body-began` and `body-ended`
* once two bodies of a job ran beside each other (a second delivery, a freeze) nothing of the job can be counted any
  more; what is left is to deliver it again after it was done
* no more deaths of a worker than its tasks survive, counted over everything that shares a queue, because whoever kills
  a whole worker kills what else it runs; a second delivery is counted as one, as a worker may do that, too
* no more failures of a downstream than the job has retries, and no more bodies than the contract allows. Where two
  bodies run beside each other, the one that is held may outlast its client's patience, which is a failure and a body
  more, and what both had taken may be delivered again
"""

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from harness.contract import Contract, Task
from harness.events import JobId
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
from harness.plan import AfterJob, AtCrashPoint, AtStart, Step
from harness.scenario import Workload, queue_of

BODY_BEGAN, BODY_ENDED = "body-began", "body-ended"
EFFECT_RECEIVED, EFFECT_APPLIED = "effect-received", "effect-applied"
# Where a body is struck and another runs beside it: both, a retry of the one that was held, and a redelivery.
BODIES_BESIDE = 4
POINTS = (BODY_BEGAN, EFFECT_RECEIVED, EFFECT_APPLIED, BODY_ENDED)


class Life(Struct, frozen=True, kw_only=True):
    """What is certain of one job so far.

    * `began`, `received`, `applied`, `ended`: how often it has come by each crash point
    * `answered`: how many of its requests met no rule, and so are counted by the rules that come later
    * `failed`: how many of its retries are used up
    * `lost`: how many deaths of a worker its own steps have cost
    * `sends`: the next body is sure to send its effects
    * `counted`: there is a next body, and where it stands is known
    """

    began: int = 0
    received: int = 0
    applied: int = 0
    ended: int = 0
    answered: int = 0
    failed: int = 0
    lost: int = 0
    sends: bool = True
    counted: bool = True
    repeated: bool = False  # delivered again after it was done


class Course(Struct, frozen=True, kw_only=True):
    """The lives of a workload's jobs, and the deaths of workers, by queue, that they have cost."""

    contract: Contract
    tasks: dict[JobId, Task]
    lives: dict[JobId, Life] = {}
    losses: dict[str, int] = {}

    @classmethod
    def of(cls, contract: Contract, workload: Workload) -> "Course":
        tasks = {
            job.job: replace(task, effects=task.effects_of(job.identity))
            for job in workload
            if (task := contract.task(job.task)) is not None
        }
        return cls(contract=contract, tasks=tasks)

    def life(self, job: JobId) -> Life:
        return self.lives.get(job, Life())

    def take(self, step: Step, effect: int = 1) -> "tuple[Step, Course] | None":
        """The step as it has to be written to be met next, and the course after it; None if it cannot be met.

        `effect`: at which of a body's effects it strikes. A step that this model knows nothing of stays as it is.
        """
        taken = self._taken(step, effect)
        return taken if taken is not None and taken[1].has_room_for_bystanders() else None

    def _taken(self, step: Step, effect: int) -> "tuple[Step, Course] | None":
        match step.when, step.fault:
            case AtCrashPoint(job=job), (
                KillWorker() | FreezeWorker() | DeliverAgain() | SubmitAgain() | Together()
            ) as fault if job in self.tasks:
                losses = len(fault.faults) if isinstance(fault, Together) else 1
                return self._struck(step, job, effect, losses=losses, is_counted=isinstance(fault, KillWorker))
            case AtStart(), (
                AnswerErrors(job=job) | ResetConnection(job=job) | LoseReply(job=job) | LateReply(job=job)
            ) as fault if job in self.tasks:
                return self._failed(step, job, is_applied=isinstance(fault, LoseReply | LateReply))
            case AfterJob(job=job), DeliverAgain() | SubmitAgain() if job in self.tasks:
                return self._repeated(step, job)
            case _:
                return step, self

    def effect_of(self, step: Step) -> int:
        """At which of the next body's effects the step strikes, as it is written."""
        if not isinstance(step.when, AtCrashPoint) or step.when.job not in self.tasks:
            return 1
        life = self.life(step.when.job)
        before = {EFFECT_RECEIVED: life.received, EFFECT_APPLIED: life.applied}.get(step.when.point)
        effect = 1 if before is None else step.when.occurrence - before
        return effect if 1 <= effect <= len(self.tasks[step.when.job].effects) else 1

    def losses_max(self, queue: str) -> int:
        """How many deaths of its worker every task of a queue survives; one where a task does not tell."""
        return min(max(1, task.worker_losses_max) for task in self.tasks.values() if self._queue(task) == queue)

    def has_room_for_bystanders(self) -> bool:
        """Whether each job could be in every worker of its queue that dies for another, and stay within its bodies."""
        for job, life in self.lives.items():
            task = self.tasks[job]
            others = self.losses.get(self._queue(task), 0) - life.lost
            if others and life.began + 1 + others > task.attempts_max:
                return False
        return True

    def _queue(self, task: Task) -> str:
        return queue_of(self.contract, task.name)

    def _struck(
        self, step: Step, job: JobId, effect: int, *, losses: int, is_counted: bool
    ) -> "tuple[Step, Course] | None":
        """A body is struck where it stands; counted: it is over then, and another begins."""
        life, task = self.life(job), self.tasks[job]
        if not life.counted or not isinstance(step.when, AtCrashPoint):
            return None
        if is_counted:
            has_room = life.began + 2 <= task.attempts_max
        else:
            # What strikes a job first is the business of scenarios, too, and asks for no room.
            has_room = life == Life() or (
                life.began + BODIES_BESIDE <= task.attempts_max and life.failed < max(task.retries_max, 1)
            )
        if not has_room:
            return None
        queue = self._queue(task)
        lost = self.losses.get(queue, 0) + losses
        stood = _stood(life, step.when.point, effect, effects=len(task.effects))
        if stood is None or lost > self.losses_max(queue):
            return None
        occurrence, after = stood
        if not is_counted:
            after = replace(after, began=life.began + BODIES_BESIDE - 1, counted=False)
        course = self._with(job, replace(after, lost=life.lost + losses))
        placed = replace(step, when=replace(step.when, occurrence=occurrence))
        return placed, replace(course, losses={**self.losses, queue: lost})

    def _repeated(self, step: Step, job: JobId) -> "tuple[Step, Course] | None":
        """A job that has been done comes once more: after its last body, one more."""
        life, task = self.life(job), self.tasks[job]
        has_room = life == Life() or life.began + 2 <= task.attempts_max
        if life.repeated or not has_room:
            return None
        return step, self._with(job, replace(life, began=life.began + 1, counted=False, repeated=True))

    def _failed(self, step: Step, job: JobId, *, is_applied: bool) -> "tuple[Step, Course] | None":
        """Bodies end early, each for a failure of the downstream at its first effect; each is tried again."""
        life, task = self.life(job), self.tasks[job]
        times = getattr(step.fault, "times", None) or 1
        failed = life.failed + times
        is_last = is_applied and times == 1
        if not (life.counted and life.sends and (is_last or not is_applied)) or failed > task.retries_max:
            return None
        if life.began + times >= task.attempts_max:
            return None
        after = replace(
            life,
            began=life.began + times,
            received=life.received + times,
            applied=life.applied + (times if is_applied else 0),
            ended=life.ended + times,
            failed=failed,
            sends=not is_applied,
        )
        placed = replace(step, fault=replace(step.fault, skip=life.answered, times=times))
        return placed, self._with(job, after)

    def _with(self, job: JobId, life: Life) -> "Course":
        return replace(self, lives={**self.lives, job: life})


def _stood(life: Life, point: str, effect: int, *, effects: int) -> tuple[int, Life] | None:
    """With which occurrence the next body comes to a crash point, and the life of its job if it ends there."""
    began = replace(life, began=life.began + 1)
    if point == BODY_BEGAN:
        return began.began, began
    if point == BODY_ENDED:
        ended = replace(began, ended=life.ended + 1, sends=False)
        return ended.ended, ended
    if not life.sends or not 1 <= effect <= effects:
        return None
    received = life.received + effect
    if point == EFFECT_RECEIVED:
        earlier = effect - 1  # of this body's, which were applied and met no rule
        applied = life.applied + earlier
        answered = life.answered + min(earlier, 1)
        return received, replace(began, received=received, applied=applied, answered=answered, sends=not earlier)
    if point == EFFECT_APPLIED:
        applied = life.applied + effect
        return applied, replace(began, received=received, applied=applied, answered=life.answered + 1, sends=False)
    return None


def settled(
    contract: Contract, workload: Workload, steps: Sequence[Step], kept: Sequence[Step | None] = ()
) -> tuple[Step, ...] | None:
    """The steps with the occurrences at which they are met in this order; None if one of them cannot be.

    `kept` stands for `steps`, one for one, where some were left out (None) or changed: what a step strikes is told
    from where it stood, and where it stands now from what is left before it.
    """
    before, now = Course.of(contract, workload), Course.of(contract, workload)
    placed: list[Step] = []
    for step, instead in zip(steps, kept or steps, strict=True):
        effect = before.effect_of(step)
        taken = before.take(step, effect)
        before = before if taken is None else taken[1]
        if instead is None:
            continue
        met = now.take(instead, effect)
        if met is None:
            return None
        placed.append(met[0])
        now = met[1]
    return tuple(placed)

"""The only impure step: a plan becomes a history.

Deploy, put in place what is to be there from the start, arm the crash points, enqueue the workload, take each step when
its trigger comes, heal everything, wait until drained, record what is left.
"""

import threading
from contextlib import ExitStack, suppress
from typing import Any

from harness import __version__
from harness.codec import digest
from harness.events import (
    FORMAT_VERSION,
    CanarySent,
    CrashPointReached,
    DrainTimedOut,
    FaultBegan,
    FaultEnded,
    FaultLanded,
    FaultMissed,
    JobId,
    QueueDrained,
    RunBegan,
    RunEnded,
)
from harness.plan import (
    STRUCK,
    AfterAlert,
    AfterAttempt,
    AfterJob,
    AfterSeconds,
    AfterStep,
    AfterWorkload,
    AtCrashPoint,
    AtStart,
    Plan,
    Step,
    Until,
)
from harness.runtimes.lane_system import LaneSystem
from harness.runtimes.remains import record_remains
from harness.runtimes.runtime import Runtime
from harness.scenario import queue_of
from harness.services.gate import Arm, Arrival
from harness.store import HARNESS, Recorder
from harness.system import Evidence, SubjectError
from harness.waiting import WaitedInVainError, wait_until

TRIGGER_SECONDS_MAX = 20.0
# Beyond the longest legal wait of a contract: what a pool needs to notice a dead child (5 s) and a worker to boot.
DRAIN_SLACK_SECONDS = 15.0
# So that a record reaches beyond the time by which an alert has to be taken back.
ALERT_SLACK_SECONDS = 1.0
LOOK_SECONDS = 0.2  # how often it is looked whether anything is left that could still come to a crash point
NEMESIS = "nemesis"


def run(
    plan: Plan,
    *,
    runtime: Runtime,
    recorder: Recorder,
    home: Any,
) -> None:
    """Carry out a plan; everything that happened is in the recorder's logs afterwards.

    :raises SubjectError: the subject could not be started
    :raises HarnessError: a part of the harness could not be started
    """
    recorder.record(
        HARNESS,
        RunBegan(
            format_version=FORMAT_VERSION,
            scenario=plan.scenario,
            guarantees=plan.guarantees,
            contract=plan.contract,
            plan_digest=digest(plan),
            seed=plan.seed,
            steps=tuple(step.sentence for step in plan.steps),
            bug=plan.bug,
            versions={"jobproof": __version__, **runtime.versions},
        ),
    )
    with runtime.deploy(plan, recorder=recorder, home=home) as system:
        _Run(plan, system, recorder).carry_out()
        recorder.record(HARNESS, RunEnded(events=recorder.counts()))


class _Run:
    def __init__(self, plan: Plan, system: LaneSystem[Any], recorder: Recorder) -> None:
        self.plan = plan
        self.system = system
        self.recorder = recorder
        self.late_heals: list[tuple[int, Step, Evidence, ExitStack]] = []

    def carry_out(self) -> None:
        arms = {
            number: self.system.gate.arm(step.when.point, step.when.job, step.when.occurrence)
            for number, step in enumerate(self.plan.steps)
            if isinstance(step.when, AtCrashPoint)
        }
        later = [(number, step) for number, step in enumerate(self.plan.steps) if not isinstance(step.when, AtStart)]
        for number, step in enumerate(self.plan.steps):
            if isinstance(step.when, AtStart):
                self._strike(number, step, None)
        # A job that a later step waits for is enqueued when that step comes: held at its crash point from the start,
        # it would outlast its own client's timeout while the steps before it are taken.
        awaited = [step.when.job for _, step in later if isinstance(step.when, AtCrashPoint)]
        waiting = {job.job: job for job in self.plan.workload if job.job in awaited[1:] and job.job != awaited[0]}
        for job in self.plan.workload:
            if job.job not in waiting and job.job not in self.plan.canaries:
                self.system.messages.enqueue(job)
        self._heal_what_ends_by_itself()
        for number, step in later:
            if isinstance(step.when, AtCrashPoint) and step.when.job in waiting:
                self.system.messages.enqueue(waiting.pop(step.when.job))
            self._take(number, step, arms.get(number))
            self._heal_what_ends_by_itself(number)
        self._send_canaries()
        self._drain()
        if self.plan.watched and self.plan.contract.alerts is not None:
            seconds = self.plan.contract.alerts.clears_within_seconds + ALERT_SLACK_SECONDS
            self.system.messages.wait_alerts_cleared(within=seconds)
        # What lasts until all is over is healed before what is left is read: nothing moves any more.
        for number, step, evidence, stack in reversed(self.late_heals):
            self._heal(number, step, evidence, stack)
        self.system.record_what_is_left_behind()
        record_remains(self.system, self.recorder)
        self.system.check_services()

    def _send_canaries(self) -> None:
        for job in self.plan.workload:
            if job.job in self.plan.canaries:
                queue = queue_of(self.plan.contract, job.task)
                self.recorder.record(HARNESS, CanarySent(queue=queue, job=job.job))
                self.system.messages.enqueue(job)

    # --- steps ---

    def _take(self, number: int, step: Step, arm: Arm | None) -> None:
        """Wait for the step's trigger, then strike; a trigger that does not come is a fault that missed."""
        match step.when:
            case AtCrashPoint(point=point, job=job, occurrence=occurrence) if arm is not None:
                arrival = self._arrival(arm)
                if arrival is None:
                    arm.release()
                    self._missed(number, step, f"{job} did not reach {point}{_times(occurrence)}")
                    return
                self.recorder.record(
                    NEMESIS, CrashPointReached(point=point, job=job, pid=arrival.pid, occurrence=occurrence)
                )
                try:
                    self._strike(number, step, arrival)
                finally:
                    arm.release()
            case AfterJob(job=job, patience_seconds=patience):
                acknowledged = self.system.messages.wait_acknowledged(job, within=patience or TRIGGER_SECONDS_MAX)
                if not acknowledged and not patience:
                    self._missed(number, step, f"{job} was not acknowledged within {TRIGGER_SECONDS_MAX:g} s")
                    return
                self._strike(number, step, None)
            case AfterWorkload():
                if not all(
                    self.system.messages.wait_acknowledged(job, within=TRIGGER_SECONDS_MAX) for job in self._sent()
                ):
                    self._missed(number, step, f"the workload was not done within {TRIGGER_SECONDS_MAX:g} s")
                    return
                self._strike(number, step, None)
            case _:
                raise ValueError(f"step {number + 1} has a trigger that cannot come after the start: {step.when!r}")

    def _arrival(self, arm: Arm) -> Arrival | None:
        """Who came to the crash point; None once nobody can any more, or after TRIGGER_SECONDS_MAX."""

        def decided() -> bool:
            return arm.wait(within=LOOK_SECONDS) is not None or not self.system.left()

        with suppress(WaitedInVainError):
            wait_until(decided, within=TRIGGER_SECONDS_MAX, or_else="nobody came")
        return arm.arrival

    def _sent(self) -> list[JobId]:
        return [job.job for job in self.plan.workload if job.job not in self.plan.canaries]

    def _heal_what_ends_by_itself(self, taken: int = -1) -> None:
        """Each fault that is in force until something has come, once it has, or once it has been waited for in vain.

        `taken` is the step that has just been taken, which others may have waited for.
        """
        for number, step, evidence, stack in self.late_heals.copy():
            if isinstance(step.until, str) or (isinstance(step.until, AfterStep) and step.until.step != taken):
                continue
            self._await(step.until)
            self.late_heals.remove((number, step, evidence, stack))
            self._heal(number, step, evidence, stack)

    def _await(self, until: Until) -> None:
        match until:
            case AfterJob(job=job):
                self.system.messages.wait_acknowledged(job, within=TRIGGER_SECONDS_MAX)
            case AfterAttempt(job=job):
                self.system.messages.wait_attempt_ended(job, within=TRIGGER_SECONDS_MAX)
            case AfterAlert(queue=queue):
                self.system.messages.wait_alert(queue, within=TRIGGER_SECONDS_MAX)
            case AfterSeconds(seconds=seconds, once_met=once_met):
                if once_met:
                    self.system.messages.wait_attempt_ended(*self._sent(), within=TRIGGER_SECONDS_MAX)
                threading.Event().wait(seconds)  # how long it lasts is what the fault is about
            case AfterStep():
                return  # it has been taken

    def _strike(self, number: int, step: Step, arrival: Arrival | None) -> None:
        """Enter the fault; heal it at once, or remember it for when all is over."""
        self.recorder.record(NEMESIS, FaultBegan(step=number, fault=step.fault.sentence))
        stack = ExitStack()
        try:
            evidence = stack.enter_context(step.fault.applied_to(self.system, arrival))
        except SubjectError as error:
            self._missed(number, step, str(error))
            return
        if step.until == STRUCK:
            self._heal(number, step, evidence, stack)
        else:
            self.late_heals.append((number, step, evidence, stack))

    def _heal(self, number: int, step: Step, evidence: Evidence, stack: ExitStack) -> None:
        impact = evidence()
        if impact is None or impact.late:
            self._missed(number, step, impact.late if impact is not None else "it never met what it was to hurt")
        else:
            self.recorder.record(
                NEMESIS,
                FaultLanded(
                    step=number, fault=step.fault.sentence, targets=impact.targets, jobs=impact.jobs, idle=impact.idle
                ),
            )
        stack.close()
        self.recorder.record(NEMESIS, FaultEnded(step=number, fault=step.fault.sentence))

    def _missed(self, number: int, step: Step, because: str) -> None:
        self.recorder.record(NEMESIS, FaultMissed(step=number, fault=step.fault.sentence, because=because))

    # --- the end ---

    def _drain(self) -> None:
        bound = max(task.wait_seconds_max for task in self.plan.contract.tasks) + DRAIN_SLACK_SECONDS
        try:
            wait_until(lambda: not self.system.left(), within=bound, or_else="not drained")
        except WaitedInVainError:
            self.recorder.record(HARNESS, DrainTimedOut(after_seconds=bound, left=self.system.left()))
        else:
            self.recorder.record(HARNESS, QueueDrained())


def _times(occurrence: int) -> str:
    return f" for the {occurrence}. time" if occurrence > 1 else ""

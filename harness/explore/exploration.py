"""Record a few clean runs, crash once at each boundary, judge each trial, confirm what failed."""

import shlex
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from harness.boundaries.rules import Side
from harness.campaign import python_words
from harness.checkers import judge
from harness.countdowns import not_waited_for
from harness.coverage import covered
from harness.events import BaselineRecorded, CountdownShortened, RunBegan, SubjectDescribed
from harness.explore.interception import Watched, Way
from harness.explore.notebook import write_out
from harness.explore.points import CrashPoint, Key, Kind, Recorded, crash_points, diverged, recorded
from harness.explore.result import (
    SCHEMA_VERSION,
    BoundaryResult,
    CleanResult,
    Exploration,
    PointResult,
    outcome_of,
)
from harness.explore.stage import (
    CLEAN,
    DRAIN_SLACK_SECONDS,
    Performed,
    Stage,
    open_stage,
)
from harness.explore.story import story_of
from harness.history import History, baseline_of
from harness.plan import Plan, RuntimeChoice
from harness.result import Outcome, guarantee_result, outcome
from harness.runtimes.choice import RUNTIMES
from harness.runtimes.runtime import Runtime
from harness.session import HarnessError, Session
from harness.system import SubjectError, Target
from harness.systems.exploring import Exploring
from harness.verdict import Status, Verdict, worst
from harness.waiting import WaitedInVainError

CLEAN_RUNS = 3
LINES = "lines"
TRIES_MAX = 3  # of a crash whose run was not like the recorded one
CONFIRMATIONS = 2

Listener = Callable[[PointResult], None]
"""Told each crash point when it has been judged, from any thread."""


class Choice(Struct, frozen=True, kw_only=True):
    """What a person asked for. `only`: names of crash points; empty means all."""

    targets: tuple[Target, ...] = tuple(Target)
    sides: tuple[Side, ...] = tuple(Side)
    only: tuple[str, ...] = ()
    lanes: int = 2
    budget_seconds: float = 60.0
    real_redelivery: bool = False
    interception: Way | None = None  # None: the best that this machine allows
    strict: bool = False
    contract_file: str = ""
    runtime: RuntimeChoice = RuntimeChoice()

    @property
    def unwatched(self) -> str:
        """Why workers are stopped by proxies; empty where every send can be seen."""
        if reason := RUNTIMES[self.runtime.name].unwatched():
            return reason
        return "proxies were asked for" if self.interception is Way.PROXY else ""


class NoSuchPointError(LookupError):
    """A crash point was asked for that the job does not have; `names` are those that it has."""

    def __init__(self, name: str, names: tuple[str, ...]) -> None:
        super().__init__(name)
        self.name = name
        self.names = names


class _Trial(Struct, frozen=True):
    performed: Performed
    verdicts: tuple[Verdict, ...]


class Explorer:
    """One exploration of one job, in parallel lanes."""

    def __init__(
        self,
        plan: Plan,
        choice: Choice,
        *,
        directory: Path,
        session: Session,
        runtime: Runtime,
        listener: Listener,
    ) -> None:
        (self.plan,), self.not_covered = covered((plan,), plan.contract, runtime.capabilities)
        self.choice = choice
        self.directory = directory
        self.session = session
        self.runtime = runtime
        self.listener = listener
        self.harness_failures: list[str] = []
        self._lock = threading.Lock()
        self._trials = 0
        self._shortened: list[CountdownShortened] = []
        self._exploring = 0.0
        self._first_failure: float | None = None
        self._deadline = float("inf")
        self._where: dict[Key, str] = {}
        self._bound = max(task.wait_seconds_max for task in plan.contract.tasks if task.name == self.task)
        self._bound += DRAIN_SLACK_SECONDS

    @property
    def task(self) -> str:
        return self.plan.workload[0].task

    def carry_out(self, *, began: datetime) -> Exploration:
        """:raises SubjectError: the subject cannot be started
        :raises HarnessError: a part of the harness cannot be started
        :raises NoSuchPointError: a crash point was asked for that the job does not have
        """
        start = time.monotonic()
        with (
            self.runtime.open_homes(self.choice.lanes) as homes,
            ExitStack() as stack,
            self._pool(len(homes)) as pool,
        ):
            stages = list(pool.map(lambda home: self._open(stack, home), homes))
            start_exploring = self._exploring = time.monotonic()
            self._deadline = start_exploring + self.choice.budget_seconds
            if self.choice.real_redelivery:
                self._bound += stages[0].redelivery_seconds_max
            runs = self._clean_runs(stages[0], stages[1:], pool)
            clean, found, baseline = self._judge_clean(runs)
            points: tuple[PointResult, ...] = ()
            if found is not None and baseline is not None:
                self._where = self._lines(stages[-1])
                clean = replace(clean, boundaries=self._boundaries(found))
                chosen = self._chosen(found)
                points = self._try_all(stages, chosen, found, baseline, pool)
                if not points:
                    clean = replace(clean, outcome="unknown", because="no boundary was the same in every clean run")
            ended = time.monotonic()
            interception = stages[0].interception
            exploring = stages[0].exploring
            name, cannot_see = interception.name, (*interception.cannot_see, *exploring.cannot_see)
        return Exploration(
            schema_version=SCHEMA_VERSION,
            outcome=outcome_of(clean, points, strict=self.choice.strict),
            subject=self.plan.contract.name,
            task=self.task,
            bug=self.plan.bug,
            began=began.isoformat(timespec="seconds"),
            seconds=round(time.monotonic() - start, 3),
            seconds_exploring=round(ended - start_exploring, 3),
            seconds_to_failure=self._first_failure,
            trials=self._trials,
            lanes=len(homes),
            versions=_versions(runs[0].performed.history),
            interception=name,
            cannot_see=cannot_see,
            notes=self._notes(exploring, runs),
            not_covered=(*self.not_covered, *not_waited_for(self._shortened)),
            strict=self.choice.strict,
            clean=clean,
            points=points,
            replay=self.command(),
        )

    @contextmanager
    def _pool(self, lanes: int) -> Iterator[ThreadPoolExecutor]:
        pool = ThreadPoolExecutor(lanes, thread_name_prefix="lane")
        try:
            yield pool
        except BaseException:
            # Ctrl-C, or a subject that cannot be started: end every process now. The lanes' threads notice in their
            # own time, which nobody should have to wait for; the caller leaves without joining them.
            self._deadline = 0.0
            pool.shutdown(wait=False, cancel_futures=True)
            self.session.close()
            raise
        pool.shutdown()

    def _open(self, stack: ExitStack, home: Any) -> Stage:
        own = ExitStack()
        with self._lock:
            stack.push(own)
        name = home.name.rpartition("_")[2]
        return own.enter_context(
            open_stage(
                self.plan,
                runtime=self.runtime,
                directory=self.session.directory / f"explore-{name}",
                name=f"stage-{name}",
                home=home,
                real_redelivery=self.choice.real_redelivery,
                unwatched=self.choice.unwatched,
            )
        )

    # --- clean runs ---

    def _clean_runs(self, first: Stage, others: Sequence[Stage], pool: ThreadPoolExecutor) -> list[_Trial]:
        """The first ones on a fresh worker of each lane, the later ones on the same: cold and warm are both among them.

        As long as they hold: what does not hold without a crash is not asked again.
        """
        twin = self._play(first, None, scenario=CLEAN)
        if any(verdict.status for verdict in twin.verdicts) or self._is_over():
            return [twin]
        baseline = baseline_of(twin.performed.history)
        futures = [pool.submit(self._play, stage, None, scenario=CLEAN, baseline=baseline) for stage in others]
        more = range(max(1, CLEAN_RUNS - 1 - len(futures)))
        later = [self._play(first, None, scenario=CLEAN, baseline=baseline) for _ in more]
        return [twin, *later, *(future.result() for future in futures)]

    def _judge_clean(self, runs: list[_Trial]) -> tuple[CleanResult, Recorded | None, BaselineRecorded | None]:
        twin = runs[0].performed.history
        write_out(twin, self.directory)
        found = recorded([trial.performed.seen for trial in runs])
        verdicts = [verdict for trial in runs for verdict in trial.verdicts]
        status = worst(verdicts)
        because = next((verdict.because for verdict in verdicts if verdict.status is status), "") if status else ""
        if because:
            because = f"without any crash: {because}"
        clean = CleanResult(
            runs=len(runs),
            outcome=outcome(status),
            because=because,
            boundaries=self._boundaries(found),
            unstable=tuple(each.told for each in found.unstable),
        )
        return (clean, None, None) if status else (clean, found, baseline_of(twin))

    def _lines(self, stage: Stage) -> dict[Key, str]:
        """The line of the subject's code that stands at each boundary, from a run that is asked nothing else."""
        if self._is_over():
            return {}
        try:
            told = self._play(stage, None, scenario=LINES, lines=True)
        except (SubjectError, WaitedInVainError):
            return {}  # a run without lines has shown that the subject works
        return {each.boundary.key: each.where for each in told.performed.seen if each.where}

    def _boundaries(self, found: Recorded) -> tuple[BoundaryResult, ...]:
        return tuple(
            BoundaryResult(
                name=each.told,
                process=each.process.value,
                dependency=each.dependency,
                where=self._where.get(each.key, ""),
            )
            for each in found.stable
        )

    # --- crashes ---

    def _chosen(self, found: Recorded) -> tuple[CrashPoint, ...]:
        if not self.choice.only:
            return crash_points(found, targets=self.choice.targets, sides=self.choice.sides)
        every = {
            point.told: point for point in crash_points(found, targets=tuple(Target), sides=tuple(Side), merge=False)
        }
        for name in self.choice.only:
            if name not in every:
                raise NoSuchPointError(name, tuple(every))
        return tuple(every[name] for name in dict.fromkeys(self.choice.only))

    def _try_all(
        self,
        stages: Sequence[Stage],
        points: tuple[CrashPoint, ...],
        found: Recorded,
        baseline: BaselineRecorded,
        pool: ThreadPoolExecutor,
    ) -> tuple[PointResult, ...]:
        waiting: SimpleQueue[tuple[int, CrashPoint]] = SimpleQueue()
        # What no job can do anything about comes last.
        for numbered in sorted(enumerate(points), key=lambda numbered: numbered[1].kind is Kind.BROKER):
            waiting.put(numbered)
        results: dict[int, PointResult] = {}

        def work(stage: Stage) -> None:
            while True:
                try:
                    number, point = waiting.get_nowait()
                except Empty:
                    return
                try:
                    result = self._try(stage, point, number, found, baseline)
                except HarnessError as error:
                    with self._lock:
                        self.harness_failures.append(f"{point.told}: {error}")
                    waiting.put((number, point))  # another lane may be whole
                    return
                results[number] = result
                self.listener(result)
                with self._lock:
                    if result.outcome == "violated" and not result.of_the_broker and self._first_failure is None:
                        self._first_failure = round(time.monotonic() - self._exploring, 3)

        for future in [pool.submit(work, stage) for stage in stages]:
            future.result()
        return tuple(
            results[number]
            if number in results
            else self._result(point, number, outcome="unknown", because="not tried: the harness failed before")
            for number, point in enumerate(points)
        )

    def _try(
        self, stage: Stage, point: CrashPoint, number: int, found: Recorded, baseline: BaselineRecorded
    ) -> PointResult:
        """One crash; a run that is not like the recorded one is tried again on a fresh worker, and then is unknown."""
        began = time.monotonic()
        because = ""
        fresh = False
        for _ in range(TRIES_MAX):
            if self._is_over():
                because = because or f"not tried: the budget of {self.choice.budget_seconds:g} s was used up"
                break
            trial, because = self._once(stage, point, number, found, baseline, fresh=fresh)
            fresh = True
            if trial is not None and not because:
                return self._judged(stage, point, number, trial, found, baseline, began)
        return self._result(point, number, outcome="unknown", because=because, seconds=time.monotonic() - began)

    def _once(
        self,
        stage: Stage,
        point: CrashPoint,
        number: int,
        found: Recorded,
        baseline: BaselineRecorded,
        *,
        fresh: bool,
    ) -> tuple[_Trial | None, str]:
        """A trial, and why it says nothing about this crash, if that is so."""
        try:
            trial = self._play(stage, point, scenario=f"crash-{number + 1}", baseline=baseline, fresh=fresh)
        except (SubjectError, WaitedInVainError) as error:
            return None, str(error)
        strike = trial.performed.strike
        if strike is None:
            return trial, "the job did not come there"
        return trial, strike.error or diverged(found, point, strike.seen)

    def _judged(
        self,
        stage: Stage,
        point: CrashPoint,
        number: int,
        trial: _Trial,
        found: Recorded,
        baseline: BaselineRecorded,
        began: float,
    ) -> PointResult:
        status = worst(trial.verdicts)
        failed, tried = int(status is Status.VIOLATED), 1
        if status is Status.VIOLATED:
            # Whoever survived the trial before may have carried something over: told is what fresh workers do.
            failed = tried = 0
            for _ in range(CONFIRMATIONS):
                if self._is_over() and tried:
                    break
                again, because = self._once(stage, point, number, found, baseline, fresh=True)
                if again is None or because or worst(again.verdicts) is Status.UNKNOWN:
                    continue
                tried += 1
                if worst(again.verdicts) is Status.VIOLATED:
                    failed += 1
                    trial = again
        because = next((verdict.because for verdict in trial.verdicts if verdict.status is status), "")
        told: Outcome = outcome(status)
        if status is Status.VIOLATED and not failed:
            told, because = "unknown", f"it failed once, and not again in {tried} trials on fresh workers: {because}"
        story: tuple[str, ...] = ()
        if told != "held":
            write_out(trial.performed.history, self.directory)
            performed = trial.performed
            where = self._where.get(point.boundary.key, "")
            story = story_of(point, performed.seen, performed.strike, trial.verdicts, stage.exploring, where=where)
        return self._result(
            point,
            number,
            outcome=told,
            because="" if told == "held" else because,
            failed=failed,
            tried=tried,
            trial=trial,
            story=story,
            seconds=time.monotonic() - began,
        )

    def _result(
        self,
        point: CrashPoint,
        number: int,
        *,
        outcome: Outcome,
        because: str,
        failed: int = 0,
        tried: int = 0,
        trial: _Trial | None = None,
        story: tuple[str, ...] = (),
        seconds: float = 0.0,
    ) -> PointResult:
        kept = trial is not None and outcome != "held"
        return PointResult(
            name=point.told,
            boundary=point.boundary.told,
            side=point.side.value,
            target=point.target.value,
            outcome=outcome,
            of_the_broker=point.kind is Kind.BROKER,
            same_as=point.same_as,
            because=because,
            failed=failed,
            tried=tried,
            story=story,
            guarantees=() if trial is None else tuple(guarantee_result(verdict) for verdict in trial.verdicts),
            seconds=round(seconds, 3),
            trial=f"crash-{number + 1}" if kept else "",
            replay=self.command(point.told),
        )

    def _play(
        self,
        stage: Stage,
        point: CrashPoint | None,
        *,
        scenario: str,
        baseline: BaselineRecorded | None = None,
        fresh: bool = False,
        lines: bool = False,
    ) -> _Trial:
        with self._lock:
            self._trials += 1
        within = max(1.0, min(self._bound, self._deadline - time.monotonic()))
        performed = stage.play(point, scenario=scenario, within=within, fresh=fresh, baseline=baseline, lines=lines)
        with self._lock:
            self._shortened += performed.history.of(CountdownShortened)
        return _Trial(performed, judge(performed.history))

    def _is_over(self) -> bool:
        return time.monotonic() >= self._deadline

    # --- words ---

    def command(self, only: str = "") -> str:
        """The one command that repeats this exploration, or one crash of it."""
        choice = self.choice
        words = ["jobproof", "explore"]
        if choice.contract_file:
            words += [choice.contract_file, *python_words(self.plan.contract)]
        if self.plan.bug:
            words += ["--bug", self.plan.bug]
        words += ["--job", self.task]
        if choice.real_redelivery:
            words.append("--real-redelivery")
        words += choice.runtime.words
        if choice.interception is not None:
            words += ["--interception", choice.interception.value]
        if any(task.drawn for task in self.plan.contract.tasks):
            words += ["--seed", str(self.plan.seed)]
        for name in (only,) if only else choice.only:
            words += ["--only", name]
        if not only and not choice.only:
            if set(choice.targets) != set(Target):
                words += ["--targets", ",".join(choice.targets)]
            if set(choice.sides) != set(Side):
                words += ["--sides", ",".join(choice.sides)]
        return shlex.join(words)

    def _notes(self, exploring: Exploring, runs: list[_Trial]) -> tuple[str, ...]:
        notes = list(exploring.notes)
        if reason := self.choice.unwatched:
            notes.append(f"Not by {Watched.name}: {reason}.")
        else:
            notes.append("The worker runs with no_new_privs: set-user-id programs give it no rights.")
        notes += RUNTIMES[self.choice.runtime.name].differs
        notes.append(exploring.left_to_it if self.choice.real_redelivery else exploring.given_back)
        unseen = sorted({reason for trial in runs for reason in trial.performed.unseen})
        notes += [f"Could not be looked at: {reason}" for reason in unseen]
        return tuple(notes)


def _versions(history: History) -> dict[str, str]:
    began = history.of(RunBegan)[0].versions
    described = [event.versions for event in history.of(SubjectDescribed)]
    return {**began, **(described[0] if described else {})}

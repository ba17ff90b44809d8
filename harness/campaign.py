"""A campaign: the plans of one command, run in parallel lanes, judged, and reported.

The files follow the arrows: `plan.json` before, the events during, verdicts and reports after. Judging reads only what
is on disk, so that `jobproof check` repeats it.
"""

import shlex
import shutil
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import msgspec

from harness import __version__
from harness.checkers import judge
from harness.codec import pretty
from harness.contract import Contract
from harness.countdowns import not_waited_for
from harness.events import CountdownShortened, RunAborted, RunBegan, SubjectDescribed
from harness.history import History, baseline_of
from harness.plan import Plan, Plans
from harness.report import html, junit, markdown
from harness.result import (
    SCHEMA_VERSION,
    Result,
    ScenarioResult,
    guarantee_result,
    outcome_of,
    worst_outcome,
)
from harness.run import run
from harness.runtimes.runtime import Runtime
from harness.scenario import CORE
from harness.session import Session
from harness.store import HARNESS, Recorder, read_history, write_merged
from harness.system import SubjectError
from harness.verdict import Status, Verdict

FAULT_FREE = "fault-free"
BASELINE = "baseline"

_NEVER_RAN = "the scenario never ran: the fault-free run did not hold, or the campaign was stopped before"

Listener = Callable[[str, ScenarioResult | None], None]
"""Told a scenario's name when it begins (with None) and when it has been judged."""


class Campaign:
    """Runs the plans of one command; the first is the fault-free twin, whose end all others are compared with.

    Where it is not among them, the directory holds its record already.
    """

    def __init__(
        self,
        plans: Plans,
        *,
        directory: Path,
        session: Session,
        runtime: Runtime,
        lanes: int,
        fail_fast: bool,
        listener: Listener,
    ) -> None:
        self.plans = plans
        self.directory = directory
        self.session = session
        self.runtime = runtime
        self.lanes = lanes
        self.fail_fast = fail_fast
        self.listener = listener
        self.harness_failures: list[str] = []
        self._homes: SimpleQueue[Any] = SimpleQueue()  # those in which nothing runs
        self._twin: Future[None] = Future()
        if all(plan.scenario != FAULT_FREE for plan in plans.plans):
            self._twin.set_result(None)
        self._stopped = threading.Event()  # no further scenario begins
        self._aborted = threading.Event()  # what is running is not worth a verdict any more

    def carry_out(self, homes: Sequence[Any] = ()) -> None:
        """Until every plan has been run; what came of each is in the event logs.

        `homes`: lanes that outlast this campaign, instead of lanes of its own.

        :raises SubjectError: the subject cannot even be started without a fault
        """
        lanes = max(1, min(self.lanes, len(self.plans.plans)))
        with ExitStack() as stack:
            for home in homes or stack.enter_context(self.runtime.open_homes(lanes)):
                self._homes.put(home)
            self._carry_out(min(lanes, self._homes.qsize()))

    def _carry_out(self, lanes: int) -> None:
        pool = ThreadPoolExecutor(lanes, thread_name_prefix="lane")
        futures = [pool.submit(self._one, plan) for plan in self.plans.plans]
        try:
            for future in as_completed(futures):
                future.result()
        except BaseException:
            # Ctrl-C, or a subject that cannot be started: end every process now. The lanes' threads notice in their
            # own time, which nobody should have to wait for; the caller leaves without joining them.
            self._stopped.set()
            self._aborted.set()
            pool.shutdown(wait=False, cancel_futures=True)
            self.session.close()
            raise
        pool.shutdown()

    def _one(self, plan: Plan) -> None:
        if self._stopped.is_set():
            return
        self.listener(plan.scenario, None)
        recorder = Recorder(self.directory, plan.scenario)
        is_twin = plan.scenario == FAULT_FREE
        home = self._homes.get()
        try:
            run(plan, runtime=self.runtime, recorder=recorder, home=home)
        except SubjectError as error:
            recorder.record(HARNESS, RunAborted(because=str(error), blame="subject"))
            if is_twin:
                raise
        except Exception as error:  # whatever broke, the other scenarios can still be judged
            because = f"{type(error).__name__}: {error}"
            self.harness_failures.append(f"{plan.scenario}: {because}")
            with suppress(OSError):
                recorder.record(HARNESS, RunAborted(because=because, blame="harness"))
        finally:
            self._homes.put(home)
            if is_twin:
                self._twin.set_result(None)
            keep_logs(self.session.directory / plan.scenario, self.directory / "logs" / plan.scenario)
        self._twin.result()
        if self._aborted.is_set():
            return
        if not is_twin:
            record_baseline(self.directory, recorder)
        recorder.close()
        result = judge_scenario(self.directory, plan, self.plans)
        self.listener(plan.scenario, result)
        # What is compared with a run that does not hold without any fault would say nothing about faults.
        if result.outcome != "held" and (self.fail_fast or is_twin):
            self._stopped.set()


def record_baseline(directory: Path, recorder: Recorder) -> None:
    """Note in a scenario's record how the fault-free twin ended; without a readable twin there is none."""
    twin = read_history(directory, FAULT_FREE)
    if twin is None or not twin.complete:
        return
    recorder.record(BASELINE, baseline_of(twin))


def keep_logs(lane: Path, kept: Path) -> None:
    """Keep what the processes of a lane printed (capped by the keeper) and remove the rest of its directory."""
    with suppress(OSError):
        kept.mkdir(parents=True, exist_ok=True)
        for log in lane.glob("*.log"):
            shutil.copyfile(log, kept / log.name)
    shutil.rmtree(lane, ignore_errors=True)


# --- judging ---


def judge_scenario(directory: Path, plan: Plan, plans: Plans) -> ScenarioResult:
    """:raises UnreadableError: the record is damaged"""
    history = read_history(directory, plan.scenario)
    return scenario_result(plan, plans, history)


def scenario_result(plan: Plan, plans: Plans, history: History | None) -> ScenarioResult:
    """What is to be said of one scenario; of one that left no history, that nothing is known."""
    verdicts = judge(history) if history is not None else _never_ran(plan)
    own = [event.at for event in history.events if event.source != BASELINE] if history is not None else []
    return ScenarioResult(
        name=plan.scenario,
        story=plan.story,
        outcome=outcome_of(verdicts),
        seconds=round(max(own, default=0.0), 3),
        covers=plan.covers,
        steps=tuple(step.sentence for step in plan.steps),
        guarantees=tuple(guarantee_result(verdict) for verdict in verdicts),
        replay=command(plans, plan.scenario),
    )


def _never_ran(plan: Plan) -> tuple[Verdict, ...]:
    return tuple(Verdict(guarantee=name, status=Status.UNKNOWN, because=_NEVER_RAN) for name in plan.guarantees)


def command(plans: Plans, scenario: str = "") -> str:
    """The one command that repeats a scenario, or the whole campaign."""
    if plans.replay:
        return plans.replay
    words = ["jobproof", "run"]
    chosen = [plan.scenario for plan in plans.plans if plan.scenario != FAULT_FREE]
    if scenario:
        words += [scenario]
    elif not plans.whole:
        words += chosen
    elif plans.profile != CORE:
        words += ["--profile", plans.profile]
    if plans.contract_file:
        words += ["--contract", plans.contract_file]
        words += python_words(plans.plans[0].contract)
    if plans.bug:
        words += ["--bug", plans.bug]
    return shlex.join([*words, *plans.runtime.words, "--seed", str(plans.seed)])


def python_words(contract: Contract) -> list[str]:
    """What names the subject's Python on a command line, where it was named there and not by the contract's file."""
    return ["--python", contract.python] if Path(contract.python).is_absolute() else []


def result_of(plans: Plans, histories: Sequence[History | None], *, began: str, seconds: float) -> Result:
    scenarios = tuple(
        scenario_result(plan, plans, history) for plan, history in zip(plans.plans, histories, strict=True)
    )
    shortened = [event for history in histories if history is not None for event in history.of(CountdownShortened)]
    versions: dict[str, str] = {"jobproof": __version__}
    for history in histories:
        if history is None:
            continue
        versions |= {name: version for event in history.of(RunBegan) for name, version in event.versions.items()}
        versions |= {
            name: version for event in history.of(SubjectDescribed) for name, version in event.versions.items()
        }
    return Result(
        schema_version=SCHEMA_VERSION,
        outcome=worst_outcome([scenario.outcome for scenario in scenarios]),
        subject=plans.plans[0].contract.name if plans.plans else "",
        bug=plans.bug,
        seed=plans.seed,
        began=began,
        seconds=round(seconds, 3),
        versions=versions,
        scenarios=scenarios,
        replay=command(plans),
        not_covered=(*plans.not_covered, *not_waited_for(shortened)),
    )


def finish(directory: Path, plans: Plans, *, began: datetime, seconds: float) -> Result:
    """Judge everything from the event logs and write what follows them.

    :raises OSError: a file cannot be written
    :raises UnreadableError: the record is damaged
    """
    histories = [read_history(directory, plan.scenario) for plan in plans.plans]
    result = result_of(plans, histories, began=began.astimezone(UTC).isoformat(timespec="seconds"), seconds=seconds)
    write_merged(directory, [plan.scenario for plan in plans.plans])
    verdicts = {
        history.began.scenario: [msgspec.to_builtins(verdict) for verdict in judge(history)]
        for history in histories
        if history is not None
    }
    (directory / "verdicts.json").write_bytes(pretty(verdicts))
    (directory / "result.json").write_bytes(pretty(result))
    by_name = {history.began.scenario: history for history in histories if history is not None}
    (directory / "report.html").write_text(html.render(result, by_name), encoding="utf-8")
    (directory / "report.md").write_text(markdown.render(result), encoding="utf-8")
    (directory / "junit.xml").write_text(junit.render(result), encoding="utf-8")
    return result

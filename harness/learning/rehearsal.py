"""A fault-free run in which each job runs alone, so that what it does is known to be its own."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from harness import __version__
from harness.codec import digest
from harness.contract import UNTOLD, Contract
from harness.events import (
    FORMAT_VERSION,
    AttemptEnded,
    CountdownShortened,
    EffectApplied,
    EffectRequested,
    EnqueueCalled,
    EnqueueReturned,
    JobId,
    RunBegan,
    RunEnded,
)
from harness.history import History
from harness.plan import Plan
from harness.runtimes.lane_system import LaneSystem
from harness.runtimes.runtime import Runtime
from harness.scenario import workload_of
from harness.services.files import FileFound
from harness.services.tables import WholeTable
from harness.store import HARNESS, Recorder, read_history
from harness.system import PlannedJob, SubjectError
from harness.waiting import WaitedInVainError, wait_until

JOB_SECONDS_MAX = 30.0
LOG_SECONDS_MAX = 5.0
FAILED_STATES = frozenset({"FAILURE", "REVOKED", "REJECTED"})
_RAISED = re.compile(r"raised (?:unexpected|expected)?:? ?(.*)")


class Rehearsal(Struct, frozen=True, kw_only=True):
    """What each job did when it ran alone, and what all of them left behind.

    `tables`: by the URL of the database and the table's name. `files`: by the folder as the contract has it.
    `writers`: in each folder, whose job was the last to change a file.
    """

    requests: dict[JobId, tuple[EffectRequested, ...]]
    tables: dict[tuple[str, str], WholeTable]
    files: dict[str, tuple[FileFound, ...]]
    writers: dict[str, dict[str, str]]
    seconds_max: float
    shortened: tuple[CountdownShortened, ...]


def rehearse(
    contract: Contract,
    name: str,
    *,
    backwards: bool,
    runtime: Runtime,
    directory: Path,
    home: Any,
) -> Rehearsal:
    """One job after another; `backwards` the last one first, which shows what depends on the order.

    :raises SubjectError: the subject cannot be started, or a job fails or does not end without any fault
    """
    plan = _plan(contract, name)
    recorder = Recorder(directory, name)
    recorder.record(
        HARNESS,
        RunBegan(
            format_version=FORMAT_VERSION,
            scenario=name,
            guarantees=(),
            contract=plan.contract,
            plan_digest=digest(plan),
            seed=0,
            versions={"jobproof": __version__, **runtime.versions},
        ),
    )
    with runtime.deploy(plan, recorder=recorder, home=home) as system:
        jobs = plan.workload[::-1] if backwards else plan.workload
        files = {folder: system.stores.files_in(folder) for folder in contract.untold_files}
        writers: dict[str, dict[str, str]] = {folder: {} for folder in files}
        for job in jobs:
            _play(system, job)
            for folder, before in files.items():
                files[folder] = system.stores.files_in(folder)
                writers[folder] |= dict.fromkeys(_changed(before, files[folder]), job.task)
        tables = {
            (url, table): found
            for url in contract.databases
            for table, found in system.stores.tables.every(url).items()
        }
        recorder.record(HARNESS, RunEnded(events=recorder.counts()))
        history = read_history(directory, name)
        recorder.close()
        if history is None:
            raise SubjectError("the record of a fault-free run is gone")
        _refuse_what_failed(history, system, {job.job: job for job in jobs})
    requests, longest = _by_job(history)
    return Rehearsal(
        requests=requests,
        tables=tables,
        files=files,
        writers=writers,
        seconds_max=longest,
        shortened=history.of(CountdownShortened),
    )


def _changed(before: tuple[FileFound, ...], after: tuple[FileFound, ...]) -> Iterator[str]:
    known = {each.name: each.digest for each in before}
    yield from (each.name for each in after if known.get(each.name) != each.digest)


def _plan(contract: Contract, name: str) -> Plan:
    """For its workers alone: what of the contract is still to be learnt is not asked by anybody here."""
    waits = tuple(
        replace(task, wait_seconds_max=JOB_SECONDS_MAX) if task.wait_seconds_max == UNTOLD else task
        for task in contract.tasks
    )
    contract = replace(contract, tasks=waits)
    story = "each job runs alone, and nothing happens to it"
    return Plan(
        scenario=name, story=story, seed=0, contract=contract, workload=workload_of(contract), steps=(), guarantees=()
    )


def _play(system: LaneSystem[Any], job: PlannedJob) -> None:
    system.messages.enqueue(job)
    try:
        wait_until(lambda: not system.left(), within=JOB_SECONDS_MAX, or_else="it did not end")
    except WaitedInVainError as error:
        raise SubjectError(
            f"{_told(job)} did not end within {JOB_SECONDS_MAX:g} s although nothing was done to it: {system.left()}"
        ) from error


def _refuse_what_failed(history: History, system: LaneSystem[Any], jobs: dict[JobId, PlannedJob]) -> None:
    """:raises SubjectError: what does not work without a fault shows nothing with one"""
    for refused in history.of(EnqueueReturned):
        if refused.outcome != "ok":
            raise SubjectError(f"{_told(jobs[refused.job])} cannot be enqueued: {refused.error}")
    for ended in history.of(AttemptEnded):
        job = history.job_of(ended.message)
        if ended.state in FAILED_STATES:
            what = _told(jobs[job]) if job in jobs else "a job of the subject's own"
            raise SubjectError(f"{what} fails although nothing is done to it: {_why(system, ended)}")
    if idle := [job for job in jobs if not history.attempts[job]]:
        raise SubjectError(f"{_told(jobs[idle[0]])} was acknowledged, and its body never began")


def _why(system: LaneSystem[Any], ended: AttemptEnded) -> str:
    """What the worker's log says of it, else its state.

    The pool child has told of the end, and the main process, which logs it, may not have heard of it yet.
    """
    otherwise = f"it ended as {ended.state}"
    try:
        return wait_until(lambda: _logged(system.directory, ended), within=LOG_SECONDS_MAX, or_else=otherwise)
    except WaitedInVainError:
        return otherwise


def _logged(directory: Path, ended: AttemptEnded) -> str:
    for log in sorted(directory.glob("*.log")):
        for line in log.read_text(errors="replace").splitlines():
            if ended.message in line and (raised := _RAISED.search(line)):
                return raised[1]
    return ""


def _told(job: PlannedJob) -> str:
    return f"{job.task}({', '.join(f'{name}={value!r}' for name, value in job.arguments.items())})"


def _by_job(history: History) -> tuple[dict[JobId, tuple[EffectRequested, ...]], float]:
    """What was applied while each job was the only one, and how long the longest took."""
    found: dict[JobId, list[EffectRequested]] = {}
    current: JobId | None = None
    began = longest = 0.0
    for event in sorted(history.events, key=lambda event: event.at):
        match event:
            case EnqueueCalled(job=job, at=at):
                current, began = job, at
                found[job] = []
            case EffectApplied(request=number, at=at) if current is not None:
                found[current].append(history.requests[number])
                longest = max(longest, at - began)
            case AttemptEnded(at=at) if current is not None:
                longest = max(longest, at - began)
            case _:
                pass
    return {job: tuple(requests) for job, requests in found.items()}, longest

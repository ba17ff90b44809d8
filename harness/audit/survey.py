"""Asks a live application in its own environment: bounded in time and size, and nothing is left behind."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec

from harness.audit.facts import Facts
from harness.lane import Lane
from harness.runtimes.log_tail import last_line
from harness.runtimes.subject import subject_environment
from harness.session import HarnessError, open_session
from harness.system import SubjectError
from harness.waiting import WaitedInVainError, wait_until

NOTHING: Mapping[str, str] = MappingProxyType({})
ANSWER_BYTES_MAX = 16 << 20
PATIENCE_SECONDS = 5.0  # for the subject's own watch, which tells where it stands, before it is ended from outside
_SURVEYOR = Path(__file__).parents[1] / "systems" / "celery" / "surveyor.py"
_LOG = "subject.log"


def survey(app: str, *, python: str, cwd: Path, seconds: float, environment: Mapping[str, str] = NOTHING) -> Facts:
    """What the application says of itself, imported in `cwd` by `python` with `environment` besides ours.

    :raises SubjectError: one sentence; there is no such application, or none that can be asked within `seconds`
    """
    with open_session(in_memory=True) as session, session.lane("survey") as lane:
        own = subject_environment(environment)
        return asked(app, lane, python=python, cwd=cwd, seconds=seconds, environment=own)


def asked(app: str, lane: Lane, *, python: str, cwd: Path, seconds: float, environment: Mapping[str, str]) -> Facts:
    """The same in a lane that is there, and with all of its environment.

    :raises SubjectError: as `survey`
    """
    pipe = lane.directory / "answer"
    os.mkfifo(pipe)
    pipe.chmod(0o666)  # a container's user is somebody else; the folder above is closed to everybody else's
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        pid = lane.spawn(
            [python, str(_SURVEYOR), app, str(pipe), f"{seconds:g}"],
            # An audit writes nothing, no byte code either.
            environment={**environment, "PYTHONDONTWRITEBYTECODE": "1"},
            cwd=cwd,
            log=_LOG,
        )
        answer = _read(reading, lane, pid, within=seconds + PATIENCE_SECONDS)
    except HarnessError as error:
        raise SubjectError(str(error)) from error
    finally:
        os.close(reading)
    if answer is None:
        raise SubjectError(f"{app} was not imported within {seconds:g} s and was ended; --timeout gives it more")
    return _facts(app, answer, lane, pid, cwd=cwd, seconds=seconds)


def _read(reading: int, lane: Lane, pid: int, *, within: float) -> bytes | None:
    """One line, or what there is of it when its process has ended; None if neither came in time."""
    data = bytearray()

    def is_over() -> bool:
        has_ended = lane.exit_of(pid) is not None
        while len(data) <= ANSWER_BYTES_MAX and not data.endswith(b"\n"):
            try:
                chunk = os.read(reading, 1 << 16)
            except BlockingIOError:
                return False  # somebody has it open for writing
            if not chunk:
                return has_ended
            data.extend(chunk)
        return True

    try:
        wait_until(is_over, within=within, or_else="no answer")
    except WaitedInVainError:
        return None
    return bytes(data)


def _facts(app: str, data: bytes, lane: Lane, pid: int, *, cwd: Path, seconds: float) -> Facts:
    if len(data) > ANSWER_BYTES_MAX:
        raise SubjectError(f"{app} tells more than {ANSWER_BYTES_MAX >> 20} MiB of itself; that cannot be audited")
    if not data.endswith(b"\n"):
        status = lane.exit_of(pid) or "no word"
        said = last_line(lane.directory / _LOG)
        raise SubjectError(f"{app} does not import: its process ended with {status}: {said}")
    try:
        answer: dict[str, Any] = json.loads(data)  # not msgspec's, which takes no lone surrogates: a name may have them
        if error := answer.get("error"):
            raise SubjectError(_told(app, str(error), str(answer.get("at") or ""), cwd=cwd, seconds=seconds))
        return msgspec.convert(answer, Facts)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise SubjectError(f"{app} tells of itself what cannot be read: {error}") from error


def _told(app: str, error: str, at: str, *, cwd: Path, seconds: float) -> str:
    file, _, line = at.rpartition(":")
    where = f"{Path(file).relative_to(cwd)}:{line}" if file and Path(file).is_relative_to(cwd) else at
    if error == "hangs":
        stood = f"it stood in {where}" if where else "it stood in no code of its own"
        return f"{app} was not imported within {seconds:g} s ({stood}); --timeout gives it more"
    return f"{error} ({where})" if where else error

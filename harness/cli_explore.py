"""How `jobproof explore` does its work: crash points one by one, and schedules of several faults."""

import difflib
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import click
import msgspec

from harness.bad_input import BadInputError
from harness.codec import UnreadableError
from harness.contract import Contract
from harness.contract_file import working_directory
from harness.exit_codes import ExitCode, exit_code
from harness.explore.combine import combine, plans_for
from harness.explore.combined import told
from harness.explore.exploration import Choice, Explorer, NoSuchPointError
from harness.explore.files import checked, finish
from harness.plan import Plan, RuntimeChoice
from harness.report import exploration as report
from harness.report import terminal
from harness.report.visible import ERROR_LENGTH_MAX, visible
from harness.runtimes.choice import RUNTIMES, NotHereError, Place
from harness.runtimes.runtime import Runtime
from harness.services.broker import BrokerServer, NoBrokerError, resolve
from harness.session import Session, open_session
from harness.system import SubjectError


def explore(plan: Plan, choice: Choice, *, path: Path, directory: Path, format_: str) -> int:
    """Crash points: kill, judge, report; the exit code."""
    (directory / "events").mkdir()
    began = datetime.now(UTC)
    with (
        told_in_one_line(),
        open_session(in_memory=True) as session,
        opened(choice.runtime, session, path=path, named=bool(choice.contract_file)) as runtime,
        report.progress(plan, lanes=choice.lanes, quiet=format_ == "json") as listener,
    ):
        explorer = Explorer(
            plan,
            choice,
            directory=directory,
            session=session,
            runtime=runtime,
            listener=listener,
        )
        found = explorer.carry_out(began=began)
    finish(directory, found)
    exited = exit_code(found.outcome, harness_failed=bool(explorer.harness_failures))
    if format_ == "json":
        click.echo((directory / "explore.json").read_bytes().rstrip())
    else:
        report.show(found, directory=directory, code=exited)
    for failure in explorer.harness_failures:
        click.echo(f"jobproof: the harness failed at {failure}", err=True)
    return exited


def check(directory: Path, format_: str) -> int:

    try:
        found = checked(directory)
    except UnreadableError as error:
        raise BadInputError(str(error)) from error
    if format_ == "json":
        click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2))
    else:
        report.show(found, directory=None, code=exit_code(found.outcome))
    return exit_code(found.outcome)


def schedules(contract: Contract, *, path: Path, directory: Path, lanes: int, **words: Any) -> int:
    """Seeded schedules of several faults, and the smallest that fails; the exit code. `words` are as for `combine`."""
    server = broker_server()
    plans = plans_for(contract, directory=directory, **words)
    with (
        told_in_one_line(),
        terminal.progress(plans, runtime=f"{server.version} from {server.found}", lanes=lanes, quiet=False) as listener,
        open_session() as session,
    ):
        result = combine(
            contract,
            directory=directory,
            session=session,
            server=server,
            cwd=working_directory(path),
            lanes=lanes,
            listener=listener,
            **words,
        )
    for line in told(result):
        click.echo(visible(line))
    for failure in result.harness_failures:
        click.echo(f"jobproof: the harness failed in {failure}", err=True)
    return exit_code(result.outcome, harness_failed=bool(result.harness_failures))


@contextmanager
def told_in_one_line() -> Iterator[None]:
    """What ends the work early: one line, once every process has ended, and the exit code."""
    try:
        yield
    except NoSuchPointError as error:
        near = difflib.get_close_matches(error.name, error.names, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(error.names) or 'none'}"
        _leave_saying(ExitCode.BAD_INPUT, f"error: the job has no crash point {error.name!r}; {hint}")
    except SubjectError as error:
        _leave_saying(ExitCode.BAD_INPUT, f"error: {visible(' '.join(str(error).split()), ERROR_LENGTH_MAX)}")
    except KeyboardInterrupt:
        _leave_saying(ExitCode.INTERRUPTED, "interrupted")


def _leave_saying(code: int, message: str) -> NoReturn:
    click.echo(f"jobproof: {' '.join(message.split())}", err=True)
    leave(code)


@contextmanager
def opened(choice: RuntimeChoice, session: Session, *, path: Path, named: bool) -> Iterator[Runtime]:
    """The runtime that was asked for, for the contract in a file. `named`: the person did name that one.

    :raises BadInputError: what it needs is not here
    """
    place = Place(session=session, cwd=working_directory(path), named=named, choice=choice)
    with ExitStack() as stack:
        try:
            runtime = stack.enter_context(RUNTIMES[choice.name].open(place))
        except NotHereError as error:
            raise BadInputError(" ".join(str(error).split())) from error
        yield runtime


def broker_server() -> BrokerServer:
    try:
        return resolve()
    except NoBrokerError as error:
        raise BadInputError(str(error)) from error


def leave(code: int) -> NoReturn:
    """End now: the processes are gone, and the lanes' threads may still wait for what will never come."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)

"""What every command shares that runs a subject: a runtime is opened, and whatever ends the work early is one line."""

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NoReturn

import click

from harness.bad_input import BadInputError
from harness.contract_file import working_directory
from harness.exit_codes import ExitCode
from harness.explore.exploration import NoSuchPointError
from harness.nearest import hint
from harness.plan import RuntimeChoice
from harness.report.visible import ERROR_LENGTH_MAX, visible
from harness.runtimes.choice import RUNTIMES, NotHereError, Place
from harness.runtimes.runtime import Runtime
from harness.services.broker import BrokerServer, NoBrokerError, resolve
from harness.session import Session
from harness.system import SubjectError


@contextmanager
def told_in_one_line() -> Iterator[None]:
    """What ends the work early: one line, once every process has ended, and the exit code."""
    try:
        yield
    except NoSuchPointError as error:
        told = f"error: the job has no crash point {error.name!r}; {hint(error.name, error.names)}"
        _leave_saying(ExitCode.BAD_INPUT, told)
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

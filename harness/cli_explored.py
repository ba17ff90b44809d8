"""How `jobproof explore` does its work: crash points one by one, and schedules of several faults."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import msgspec

from harness.bad_input import BadInputError
from harness.cli_deployed import broker_server, opened, told_in_one_line
from harness.codec import UnreadableError
from harness.contract import Contract
from harness.contract_file import working_directory
from harness.exit_codes import exit_code
from harness.explore.combine import combine, plans_for
from harness.explore.combined import told
from harness.explore.exploration import Choice, Explorer
from harness.explore.files import checked, finish
from harness.plan import Plan
from harness.report import exploration as report
from harness.report import terminal
from harness.report.visible import visible
from harness.session import open_session


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
    """Judge a recorded exploration again; the exit code."""
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

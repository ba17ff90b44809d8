"""`jobproof init` and `jobproof certify`: a team's own tasks, unchanged, in their own environment."""

import os
import random
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.bad_input import BadInputError
from harness.cli_input import IMPORT_SECONDS_MAX, compiled, empty_directory, python_option, with_python
from harness.cli_types import LANES_MAX, SEED_MAX, Seconds, WholeNumber
from harness.exit_codes import ExitCode, exit_code

if TYPE_CHECKING:  # what is only needed for the types would be felt at every other command
    from harness.audit.finding import Accepted

CONTRACT_FILE = "jobproof_contract.py"
_seconds = click.option(
    "--timeout",
    "seconds",
    type=Seconds(),
    default=f"{IMPORT_SECONDS_MAX:g}s",
    show_default=True,
    help="For the import of the application.",
)


@click.command("init")
@click.argument("app", metavar="APP")
@python_option
@click.option("--out", type=click.Path(path_type=Path), default=CONTRACT_FILE, show_default=True, metavar="FILE")
@_seconds
def init_command(app: str, python: str, out: Path, seconds: float) -> int:
    """Write a contract for the Celery application APP: every task found, and a TODO for what only you can say.

    APP is what `celery -A` takes, as shop.celery:app. It is imported in this folder, in a process of its own.
    """
    from harness.audit.code import Code
    from harness.audit.survey import survey
    from harness.certify.initial import contract_text
    from harness.certify.todo import todos_in
    from harness.report.summary import counted
    from harness.report.visible import visible
    from harness.runtimes.subject import found_python
    from harness.system import SubjectError

    if out.exists():
        raise BadInputError(f"--out {out}: there is such a file already; name another, so that nothing is lost")
    try:
        facts = survey(app, python=found_python(python, Path.cwd()), cwd=Path.cwd(), seconds=seconds)
    except SubjectError as error:
        raise BadInputError(visible(str(error))) from error
    if not facts.tasks:
        raise BadInputError(f"{app} has no task of its own; is the module imported that has them?")
    text = contract_text(app, facts, Code(facts, Path.cwd()), python=python)
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BadInputError(f"--out {out}: it cannot be written ({error.strerror})") from error
    todos = todos_in(out)
    click.echo(f"{out}: {counted(len(facts.tasks), 'task')}, {len(todos)} left to say")
    for each in todos:
        click.echo(f"  {out}:{each.line}: {visible(each.what)}")
    click.echo(f"then: jobproof certify {out} --profile quick")
    return ExitCode.HELD


@click.command("certify")
@click.argument("contract_file", type=click.Path(path_type=Path), metavar="CONTRACT")
@click.option(
    "--profile",
    "profile_name",
    type=click.Choice(["quick", "core", "full"]),
    default="core",
    show_default=True,
    help="How much is asked: half a minute for a task or two, what runs on every change, or everything.",
)
@python_option
@click.option("--seed", type=WholeNumber(0, SEED_MAX), default=None, help="Default: drawn, and printed.")
@click.option("--lanes", type=WholeNumber(1, LANES_MAX), default=None, help="In parallel. Default: the cores.")
@click.option("--out", type=click.Path(path_type=Path), help="A new or empty folder. Default: one under reports/.")
@click.option("--baseline", type=click.Path(path_type=Path), metavar="FILE", help="Accepted findings of the audit.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="For the output.",
)
@_seconds
def certify_command(
    contract_file: Path,
    profile_name: str,
    python: str,
    seed: int | None,
    lanes: int | None,
    out: Path | None,
    baseline: Path | None,
    format_: str,
    seconds: float,
) -> int:
    """Judge a team's own tasks, unchanged: audit, scenarios that apply, crash points of each task, one verdict.

    CONTRACT is a contract in Python, as `jobproof init` writes it. What it leaves out is learnt.
    """
    from harness import cli_explore
    from harness.audit.rules import CATALOGUE as RULES
    from harness.certify.certify import Asked, Certifier
    from harness.certify.files import write
    from harness.certify.profiles import PROFILES
    from harness.contract_file import working_directory
    from harness.report import certification as report
    from harness.session import open_session
    from scenarios import CATALOGUE, FAULT_FREE

    if _told_what_is_left(contract_file):
        return ExitCode.BAD_INPUT
    contract = with_python(compiled(contract_file), python)
    asked = Asked(
        contract_file=str(contract_file),
        profile=next(each for each in PROFILES if each.name == profile_name),
        seed=seed if seed is not None else random.SystemRandom().randrange(SEED_MAX + 1),
        lanes=lanes if lanes is not None else (os.cpu_count() or 1),
        import_seconds=seconds,
        accepted=_accepted(baseline),
        twin=FAULT_FREE,
        catalogue=CATALOGUE,
        rules=RULES,
    )
    server = cli_explore.broker_server()
    directory = empty_directory(out)
    with (
        cli_explore.told_in_one_line(),
        report.progress(contract, asked.profile.name, seed=asked.seed, quiet=format_ == "json") as listener,
        open_session(in_memory=True) as session,
    ):
        certifier = Certifier(
            contract,
            asked,
            directory=directory,
            session=session,
            server=server,
            cwd=working_directory(contract_file),
            listener=listener,
        )
        found = certifier.carry_out()
    write(directory, found)
    code = exit_code(found.outcome, harness_failed=bool(certifier.harness_failures))
    if format_ == "json":
        click.echo((directory / "certify.json").read_bytes().rstrip())
    else:
        report.show(found, directory=directory, code=code)
    for failure in certifier.harness_failures:
        click.echo(f"jobproof: the harness failed in {failure}", err=True)
    # Lanes of an exploration that the subject broke off may still wait for what will never come.
    return cli_explore.leave(code) if certifier.unexplored else code


def _told_what_is_left(contract_file: Path) -> bool:
    """Whether anything is left to say, and that it was said, a line for each."""
    from harness.certify.todo import todos_in
    from harness.report.visible import visible

    todos = todos_in(contract_file)
    for each in todos:
        click.echo(f"jobproof: error: {contract_file}:{each.line}: still to be said: {visible(each.what)}", err=True)
    return bool(todos)


def _accepted(baseline: Path | None) -> "dict[str, Accepted]":
    from harness.audit import baseline as baselines
    from harness.codec import UnreadableError

    try:
        return baselines.read(baseline) if baseline is not None else {}
    except UnreadableError as error:
        raise BadInputError(str(error)) from error

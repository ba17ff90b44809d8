"""The command line. Exit codes are API: see `docs/exit-codes.md`."""

import os
import random
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import click
import msgspec

from harness import __version__
from harness.bad_input import BadInputError
from harness.cli_audit import audit_command
from harness.cli_certify import certify_command, init_command, verify_command
from harness.cli_explore import explore_command
from harness.cli_input import (
    completed,
    empty_directory,
    named,
    python_option,
    reference_contract,
    runtime_choice,
    runtime_options,
)
from harness.cli_list import list_command
from harness.cli_types import SEED_MAX, WholeNumber, format_option, lanes_for, lanes_option
from harness.exit_codes import ExitCode, exit_code

EXPLORE_JSON = "explore.json"

run_lanes_option = lanes_option("one more than cores, with docker half of the cores")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="jobproof")
def cli() -> None:
    """Chaos testing for job systems: kill real workers inside real jobs, and judge from outside.

    Exit codes: 0 every guarantee held, 1 one was violated, 2 bad arguments, contract or configuration,
    3 could not be judged, 4 the harness itself failed, 130 interrupted.
    """


cli.add_command(audit_command)
cli.add_command(init_command)
cli.add_command(certify_command)
cli.add_command(verify_command)
cli.add_command(explore_command)
cli.add_command(list_command)


@cli.command("run")
@click.argument("scenarios", nargs=-1, metavar="[SCENARIO ...]")
@click.option("--contract", "contract_file", type=click.Path(path_type=Path), help="Default: the reference worker's.")
@python_option
@runtime_options
@click.option("--toxiproxy-image", default="", metavar="IMAGE", help="With toxiproxy-server in it.")
@click.option(
    "--profile",
    type=click.Choice(["core", "full"]),
    default="core",
    show_default=True,
    help="Where no scenario is named: those that run on every change, or all.",
)
@click.option("--bug", default="", metavar="NAME", help="Plant a known bug and run the scenarios that must find it.")
@click.option("--seed", type=WholeNumber(0, SEED_MAX), default=None, help="Default: drawn, and printed.")
@click.option("--out", type=click.Path(path_type=Path), help="A new or empty folder. Default: one under reports/.")
@format_option
@run_lanes_option
@click.option("--fail-fast", is_flag=True, help="Start no further scenario after one that did not hold.")
def run_command(
    scenarios: tuple[str, ...],
    contract_file: Path | None,
    python: str,
    runtime: str,
    image: str,
    base_image: str,
    broker_image: str,
    toxiproxy_image: str,
    profile: str,
    bug: str,
    seed: int | None,
    out: Path | None,
    format_: str,
    lanes: int | None,
    fail_fast: bool,
) -> int:
    """Run scenarios against a subject and judge what happened."""
    from harness.coverage import covered
    from harness.plan import NotCovered, Plans
    from harness.runtimes.choice import RUNTIMES
    from harness.scenario import FULL
    from scenarios import CATALOGUE, FAULT_FREE

    chosen_runtime = runtime_choice(
        runtime, image=image, base_image=base_image, broker_image=broker_image, toxiproxy_image=toxiproxy_image
    )
    path = contract_file if contract_file is not None else reference_contract()
    seed = seed if seed is not None else random.SystemRandom().randrange(SEED_MAX + 1)
    contract = completed(path, python, chosen_runtime, seed=seed)
    planted = named(bug, contract.planted_bugs, "bug") if bug else None
    if scenarios:
        chosen = [named(name, (*CATALOGUE, FAULT_FREE), "scenario") for name in dict.fromkeys(scenarios)]
    else:
        chosen = [
            scenario
            for scenario in CATALOGUE
            if (scenario.name in planted.scenarios if planted is not None else profile in (scenario.profile, FULL))
        ]
    planned = [each.plan(contract, seed=seed, bug=bug) for each in chosen if each is not FAULT_FREE]
    idle = tuple(
        NotCovered(name=plan.scenario, because="has nothing to hurt in this contract")
        for plan in planned
        if not plan.steps
    )
    if idle and scenarios:
        raise BadInputError(f"{idle[0].name} {idle[0].because}: see docs/contract.md for what it needs to be told")
    twin = FAULT_FREE.plan(contract, seed=seed, bug=bug)
    kept, not_covered = covered(
        (twin, *(plan for plan in planned if plan.steps)), contract, RUNTIMES[runtime].capabilities
    )
    asked = {plan.scenario for plan in planned} if scenarios else set()
    for each in not_covered:
        if each.name in asked:
            raise BadInputError(f"{each.name} cannot be run on {contract.system}: it {each.because}")
    plans = Plans(
        seed=seed,
        plans=kept,
        not_covered=(*not_covered, *idle),
        contract_file=str(contract_file) if contract_file is not None else "",
        whole=not scenarios,
        profile=profile,
        bug=bug,
        runtime=chosen_runtime,
    )
    return _carry_out(plans, path=path, out=out, format_=format_, lanes=lanes, fail_fast=fail_fast)


@cli.command("replay")
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="A new or empty folder. Default: one under reports/.")
@format_option
@run_lanes_option
def replay_command(directory: Path, out: Path | None, format_: str, lanes: int | None) -> int:
    """Run the plan recorded in DIRECTORY again. A seed repeats the plan, not the machine's scheduling."""
    plans = _plans_in(_recorded(directory))
    path = Path(plans.contract_file) if plans.contract_file else reference_contract()
    if not path.is_file():
        raise BadInputError(f"{path}: the contract of this plan is no longer there; run from the folder it was run in")
    return _carry_out(plans, path=path, out=out, format_=format_, lanes=lanes, fail_fast=False)


@cli.command("check")
@click.argument("directory", type=click.Path(path_type=Path))
@format_option
def check_command(directory: Path, format_: str) -> int:
    """Judge the history recorded in DIRECTORY again, with today's checkers. Writes nothing."""
    from harness.campaign import result_of
    from harness.codec import UnreadableError
    from harness.report import terminal
    from harness.store import histories_in

    if (directory / EXPLORE_JSON).is_file():
        from harness.cli_explored import check as check_exploration

        return check_exploration(directory, format_)
    directory = _recorded(directory)
    plans = _plans_in(directory)
    try:
        by_name = histories_in(directory, [plan.scenario for plan in plans.plans])
    except UnreadableError as error:
        raise BadInputError(str(error)) from error
    histories = [by_name.get(plan.scenario) for plan in plans.plans]
    result = result_of(plans, histories, began="", seconds=0.0)
    if format_ == "json":
        click.echo(msgspec.json.format(msgspec.json.encode(result), indent=2))
    else:
        terminal.show(result, directory=None, code=exit_code(result.outcome))
    return exit_code(result.outcome)


@cli.command("doctor")
@format_option
def doctor_command(format_: str) -> int:
    """What is on this machine, what is missing, and how to get it."""
    from harness.doctor import examine

    findings = examine()
    if format_ == "json":
        click.echo(msgspec.json.format(msgspec.json.encode(findings), indent=2))
    else:
        width = max(len(finding.name) for finding in findings)
        for finding in findings:
            mark = "ok" if finding.ok else ("MISSING" if finding.needed else "absent")
            click.echo(f"{finding.name:{width}}  {mark:7}  {finding.found}")
            if finding.advice:
                click.echo(f"{'':{width}}           {finding.advice}")
    return ExitCode.HELD if all(finding.ok for finding in findings if finding.needed) else ExitCode.BAD_INPUT


@cli.command("clean")
def clean_command() -> int:
    """Remove what a run left behind that was killed together with all its helpers: processes, folders, containers."""
    from harness.cleaning import clean

    cleaned = clean()
    click.echo(f"processes and folders: {_removed(cleaned.sessions)}")
    click.echo(f"containers, networks, volumes: {cleaned.not_looked or _removed(cleaned.in_docker)}")
    return ExitCode.HELD


def _removed(sessions: tuple[str, ...]) -> str:
    return f"removed those of {', '.join(sessions)}" if sessions else "nothing was left behind"


# --- how a command does its work ---


def _carry_out(plans: Any, *, path: Path, out: Path | None, format_: str, lanes: int | None, fail_fast: bool) -> int:
    from harness.campaign import Campaign, finish
    from harness.cli_deployed import leave, opened
    from harness.codec import pretty
    from harness.report import terminal
    from harness.runtimes.choice import RUNTIMES
    from harness.session import open_session
    from harness.system import SubjectError

    kind = RUNTIMES[plans.runtime.name]
    lanes = lanes if lanes is not None else lanes_for(kind.lanes)
    directory = empty_directory(out)
    began, start = datetime.now(UTC), time.monotonic()
    (directory / "events").mkdir()
    (directory / "plan.json").write_bytes(pretty(plans))
    code: int | None = None
    message = ""
    with ExitStack() as stack:
        session = stack.enter_context(open_session())
        runtime = stack.enter_context(opened(plans.runtime, session, path=path, named=bool(plans.contract_file)))
        listener = stack.enter_context(
            terminal.progress(plans, runtime=runtime.sentence, lanes=lanes, quiet=format_ == "json")
        )
        campaign = Campaign(
            plans,
            directory=directory,
            session=session,
            runtime=runtime,
            lanes=lanes,
            fail_fast=fail_fast,
            listener=listener,
        )
        try:
            campaign.carry_out()
        except SubjectError as error:
            code, message = ExitCode.BAD_INPUT, f"jobproof: error: {error}"
        except KeyboardInterrupt:
            code, message = ExitCode.INTERRUPTED, "jobproof: interrupted; what had been recorded can be judged"
    result = finish(directory, plans, began=began, seconds=time.monotonic() - start)
    if code is None:
        exited = exit_code(result.outcome, harness_failed=bool(campaign.harness_failures))
        if format_ == "json":
            click.echo((directory / "result.json").read_bytes().rstrip())
        else:
            terminal.show(result, directory=directory, code=exited)
        for failure in campaign.harness_failures:
            click.echo(f"jobproof: the harness failed in {failure}", err=True)
        return exited
    click.echo(f"{message} (jobproof check {directory})", err=True)
    return leave(code)


def _recorded(directory: Path) -> Path:
    """Where the record of a run stands; of a certification, that of its scenarios."""
    return directory / "scenarios" if (directory / "certify.json").is_file() else directory


def _plans_in(directory: Path) -> Any:
    from harness.codec import UnreadableError, read
    from harness.plan import Plans

    if not (directory / "plan.json").is_file():
        raise BadInputError(f"{directory} holds no plan.json; name a folder that `jobproof run` has written")
    try:
        return read(directory / "plan.json", Plans)
    except UnreadableError as error:
        raise BadInputError(str(error)) from error


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The entry point: every error of the person's is one line on stderr and a documented exit code."""
    try:
        code = cli.main(args=list(arguments) if arguments is not None else None, standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("jobproof: interrupted", err=True)
        code = ExitCode.INTERRUPTED
    except KeyboardInterrupt:
        click.echo("jobproof: interrupted", err=True)
        code = ExitCode.INTERRUPTED
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        code = ExitCode.BAD_INPUT
    except click.ClickException as error:
        click.echo(f"jobproof: error: {' '.join(error.format_message().split())}", err=True)
        code = ExitCode.BAD_INPUT
    except Exception as error:  # the last line of defence: a person gets a sentence, and a traceback on request
        if os.environ.get("JOBPROOF_TRACEBACK"):
            raise
        click.echo(
            f"jobproof: the harness failed: {type(error).__name__}: {error} (JOBPROOF_TRACEBACK=1 shows where)",
            err=True,
        )
        code = ExitCode.HARNESS_FAILED
    sys.exit(int(code or 0))


if __name__ == "__main__":
    main()

"""The command line. Exit codes are API: see `docs/exit-codes.md`."""

import difflib
import os
import random
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click
import msgspec

from harness import __version__
from harness.bad_input import BadInputError
from harness.boundaries.rules import Side
from harness.cli_audit import audit_command
from harness.cli_certify import certify_command, init_command, verify_command
from harness.cli_input import (
    LOCAL,
    compiled,
    completed,
    empty_directory,
    python_option,
    reference_contract,
    runtime_choice,
    runtime_options,
)
from harness.cli_types import LANES_MAX, SEED_MAX, Seconds, WholeNumber, format_option
from harness.contract import PlantedBug
from harness.exit_codes import ExitCode, exit_code
from harness.system import Target

Named = TypeVar("Named")
SCHEDULES_MAX = 10_000
_WORST_FIRST = (
    ExitCode.INTERRUPTED,
    ExitCode.BAD_INPUT,
    ExitCode.VIOLATED,
    ExitCode.HARNESS_FAILED,
    ExitCode.UNKNOWN,
    ExitCode.HELD,
)
EXPLORE_JSON = "explore.json"


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
@click.option(
    "--jobs",
    "lanes",
    type=WholeNumber(1, LANES_MAX),
    default=None,
    help="Lanes in parallel. Default: the cores, with docker half of them.",
)
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
    planted = _find(bug, contract.planted_bugs, "bug") if bug else None
    if scenarios:
        chosen = [_find(name, (*CATALOGUE, FAULT_FREE), "scenario") for name in dict.fromkeys(scenarios)]
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


def _one_of(names: type[Named]) -> Callable[[click.Context, click.Parameter, str], tuple[Named, ...]]:
    """A callback for an option that takes some of an enumeration's values, separated by commas."""

    def chosen(_context: click.Context, _parameter: click.Parameter, text: str) -> tuple[Named, ...]:
        known = [str(value) for value in names]  # type: ignore[attr-defined]
        words = [word.strip() for word in text.split(",") if word.strip()]
        wrong = [word for word in words if word not in known]
        if wrong or not words:
            raise click.BadParameter(f"{', '.join(wrong) or 'nothing'}: expected some of {', '.join(known)}")
        return tuple(value for value in names if str(value) in words)  # type: ignore[attr-defined]

    return chosen


@cli.command("explore")
@click.argument("contract_file", type=click.Path(path_type=Path), required=False, metavar="[CONTRACT]")
@python_option
@runtime_options
@click.option("--job", required=True, metavar="NAME", help="The task: its name, or the last part of it.")
@click.option("--bug", default="", metavar="NAME", help="Plant a known bug first.")
@click.option("--targets", default="child,main,group", show_default=True, callback=_one_of(Target), help="Who dies.")
@click.option("--sides", default="before,after", show_default=True, callback=_one_of(Side), help="Of each boundary.")
@click.option("--only", multiple=True, metavar="POINT", help="A crash point by its name, exactly as the report has it.")
@click.option("--lanes", type=WholeNumber(1, LANES_MAX), default=None, help="In parallel. Default: the cores.")
@click.option(
    "--budget", type=Seconds(), default="60s", show_default=True, help="What is not tried by then is unknown."
)
@click.option(
    "--schedules",
    type=WholeNumber(1, SCHEDULES_MAX),
    default=None,
    metavar="N",
    help="Then N seeded schedules of several faults; a failing one is shrunk.",
)
@click.option(
    "--seed", type=WholeNumber(0, SEED_MAX), default=None, help="Of schedules and drawn inputs. Default: drawn."
)
@click.option(
    "--real-redelivery",
    is_flag=True,
    help="Leave redelivery to the job system: with Celery as slow as its visibility timeout.",
)
@click.option(
    "--interception",
    type=click.Choice(["seccomp", "proxy"]),
    default=None,
    envvar="JOBPROOF_INTERCEPTION",
    show_envvar=True,
    help="How workers are stopped. Default: the best that this machine allows.",
)
@click.option("--strict", is_flag=True, help="What the broker's own bookkeeping loses counts for the exit code, too.")
@click.option("--out", type=click.Path(path_type=Path), help="A new or empty folder. Default: one under reports/.")
@format_option
def explore_command(
    contract_file: Path | None,
    python: str,
    runtime: str,
    image: str,
    base_image: str,
    broker_image: str,
    job: str,
    bug: str,
    targets: tuple[Any, ...],
    sides: tuple[Any, ...],
    only: tuple[str, ...],
    lanes: int | None,
    budget: float,
    schedules: int | None,
    seed: int | None,
    real_redelivery: bool,
    interception: str | None,
    strict: bool,
    out: Path | None,
    format_: str,
) -> int:
    """Kill the worker at every boundary of a job, and say which crashes it survives.

    CONTRACT is a contract in Python; without one it is the reference worker's.
    """
    from harness.explore.exploration import Choice
    from harness.explore.interception import Way
    from harness.explore.stage import plan_of
    from harness.runtimes.choice import RUNTIMES

    chosen_runtime = runtime_choice(runtime, image=image, base_image=base_image, broker_image=broker_image)
    way = Way(interception) if interception is not None else None
    if way is Way.SECCOMP and (reason := RUNTIMES[runtime].unwatched()):
        raise BadInputError(f"--interception seccomp cannot be had with --runtime {runtime}: {reason}")
    if schedules is not None and runtime != LOCAL:
        raise BadInputError(f"--schedules cannot be had with --runtime {runtime}: they are run on local processes")
    path = contract_file if contract_file is not None else reference_contract()
    seed = seed if seed is not None else random.SystemRandom().randrange(SEED_MAX + 1)
    contract = completed(path, python, chosen_runtime, seed=seed)
    if bug:
        _find(bug, contract.planted_bugs, "bug")
    names = {task.name: task.name for task in contract.tasks}
    names |= {task.name.rpartition(".")[2]: task.name for task in contract.tasks}
    if job not in names:
        near = difflib.get_close_matches(job, list(names), n=1, cutoff=0.4)
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(task.name for task in contract.tasks)}"
        raise BadInputError(f"no task of the contract is called {job!r}; {hint}")
    try:
        plan = plan_of(contract, names[job], bug=bug, seed=seed)
    except LookupError as error:
        raise BadInputError(str(error.args[0])) from error
    choice = Choice(
        targets=targets,
        sides=sides,
        only=only,
        lanes=lanes if lanes is not None else (os.cpu_count() or 1),
        budget_seconds=budget,
        real_redelivery=real_redelivery,
        interception=way,
        strict=strict,
        contract_file=str(contract_file) if contract_file is not None else "",
        runtime=chosen_runtime,
    )
    from harness import cli_explore

    if schedules is not None and format_ == "json":
        raise BadInputError("--format json goes without --schedules: their result is result.json in the folder")
    directory = empty_directory(out)
    code = cli_explore.explore(plan, choice, path=path, directory=directory, format_=format_)
    if schedules is None or code not in {ExitCode.HELD, ExitCode.VIOLATED, ExitCode.UNKNOWN}:
        return code
    (directory / "schedules").mkdir()
    drawn = cli_explore.schedules(
        contract,
        path=path,
        directory=directory / "schedules",
        lanes=choice.lanes,
        job=names[job],
        bug=bug,
        count=schedules,
        seed=seed,
        contract_file=choice.contract_file,
    )
    return next(each for each in _WORST_FIRST if each in {code, drawn})


@cli.command("replay")
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="A new or empty folder. Default: one under reports/.")
@format_option
@click.option(
    "--jobs", "lanes", type=WholeNumber(1, LANES_MAX), default=None, help="Lanes in parallel. Default: the cores."
)
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
        from harness.cli_explore import check as check_exploration

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


@cli.command("list")
@click.argument("what", type=click.Choice(["scenarios", "guarantees", "faults", "bugs", "rules"]))
@click.option("--contract", "contract_file", type=click.Path(path_type=Path), help="Whose planted bugs to list.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "json", "markdown"]),
    default="text",
    show_default=True,
    help="For the output; markdown is for bugs (which guarantee finds which, in which scenario) and rules.",
)
def list_command(what: str, contract_file: Path | None, format_: str) -> int:
    """List what there is to run, to judge by, to hurt with, to plant, or to ask in an audit."""
    rows = _rows(what, contract_file)
    if format_ == "json":
        click.echo(msgspec.json.format(msgspec.json.encode(rows), indent=2))
    elif format_ == "markdown":
        from harness.report import audit, matrix

        if what == "rules":
            from harness.audit.rules import CATALOGUE

            click.echo(audit.rules_page(CATALOGUE), nl=False)
            return ExitCode.HELD
        if what != "bugs":
            raise BadInputError(f"--format markdown is for bugs and rules, not for {what}")
        path = contract_file if contract_file is not None else reference_contract()
        click.echo(matrix.render(compiled(path)), nl=False)
    else:
        width = max((len(row["name"]) for row in rows), default=0)
        for row in rows:
            click.echo(f"{row['name']:{width}}  {row['story']}")
    return ExitCode.HELD


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
    from harness.cli_explore import leave, opened
    from harness.codec import pretty
    from harness.report import terminal
    from harness.runtimes.choice import RUNTIMES
    from harness.session import open_session
    from harness.system import SubjectError

    kind = RUNTIMES[plans.runtime.name]
    lanes = lanes if lanes is not None else kind.lanes(os.cpu_count() or 1)
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


def _find(name: str, among: Sequence[Any], what: str) -> Any:
    for each in among:
        if each.name == name:
            return each
    names = [each.name for each in among]
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(names) or 'none'}"
    raise BadInputError(f"no {what} is called {name!r}; {hint} (`jobproof list {what}s`)")


def _rows(what: str, contract_file: Path | None) -> list[dict[str, Any]]:
    if what == "scenarios":
        from scenarios import CATALOGUE, FAULT_FREE

        return [
            {"name": each.name, "story": each.story, "covers": each.covers, "guarantees": each.guarantees}
            for each in (FAULT_FREE, *CATALOGUE)
        ]
    if what == "guarantees":
        from harness.checkers import CATALOGUE as CHECKERS

        return [{"name": checker.guarantee, "story": checker.sentence} for checker in CHECKERS]
    if what == "faults":
        from harness.faults import CATALOGUE as FAULTS

        return [{"name": str(fault.__struct_config__.tag), "story": fault.summary} for fault in FAULTS]
    if what == "rules":
        from harness.audit.rules import CATALOGUE as RULES

        return [
            {"name": rule.name, "story": rule.asks, "severity": rule.severity, "covers": rule.failure_modes}
            for rule in RULES
        ]
    contract = compiled(contract_file if contract_file is not None else reference_contract())
    return [_bug_row(bug) for bug in contract.planted_bugs]


def _bug_row(bug: PlantedBug) -> dict[str, Any]:
    return {
        "name": bug.name,
        "story": bug.story,
        "guarantee": bug.guarantee,
        "also": bug.also,
        "scenarios": bug.scenarios,
    }


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
